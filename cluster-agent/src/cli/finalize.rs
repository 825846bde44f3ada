//! `finalize` and `back`: the way without return, and the way back before it.

use std::io::{BufRead as _, IsTerminal as _};

use super::{Answer, BackArgs, FinalizeArgs, commands, complain};
use crate::clock;
use crate::state::{self, Approval, Control, FinalizeApproval};

/// Longest name of whoever approves; it is kept in the agent's memory.
const NAME_CHARS_MAX: usize = 100;

/// Approves the irreversible step of the release that runs everywhere.
pub(super) fn finalize(args: &FinalizeArgs) -> anyhow::Result<Answer> {
    let settings = commands::settings(&args.config)?;
    let product = &args.product;
    let cluster = &settings.cluster_name;
    let Some(configured) = settings.products.get(product) else {
        anyhow::bail!("{product} is not configured on {cluster}");
    };
    anyhow::ensure!(
        configured.finalize.is_some(),
        "nothing can finalize {product}: write [products.finalize] with command = [...] into {}, \
         below its [[products]], and start the agent again",
        args.config.config.display()
    );
    let memory = state::load(&settings.state_dir, cluster)?;
    let record = memory.history.products.get(product);
    let Some(pending) = record.and_then(|record| record.finalization.as_ref()) else {
        let runs =
            record.map_or_else(|| "an unknown release".to_owned(), |r| r.version.to_string());
        anyhow::bail!("{product} has nothing to finalize; it runs {runs}");
    };
    anyhow::ensure!(
        pending.run.is_none(),
        "{product} {} is being finalized already",
        pending.release
    );
    complain(&format!(
        "{product} {} on {cluster}, level {}: {}\nThere is no way back to an older release after \
         this.",
        pending.release, pending.level, pending.summary
    ));
    if !args.yes {
        anyhow::ensure!(
            std::io::stdin().is_terminal(),
            "nobody can be asked here: look at the above, then repeat with --yes"
        );
        complain("Write the release to approve it:");
        let mut line = String::new();
        std::io::stdin().lock().read_line(&mut line)?;
        anyhow::ensure!(line.trim() == pending.release.to_string(), "not approved");
    }
    let by: String = args.by.trim().chars().take(NAME_CHARS_MAX).collect();
    anyhow::ensure!(!by.is_empty(), "say who approves it: --by NAME");
    Control::new(&settings.state_dir).approve_finalize(FinalizeApproval {
        product: product.clone(),
        release: pending.release.clone(),
        release_digest: pending.release_digest,
        at: clock::now(),
        by,
    })?;
    Ok(Answer::yes(format!(
        "{product} {} is finalized once its gates have held for a baseline; see `status`\n",
        pending.release
    )))
}

/// Orders a product back to an older release.
pub(super) fn back(args: &BackArgs) -> anyhow::Result<Answer> {
    let settings = commands::settings(&args.config)?;
    let (product, to) = (&args.product, &args.version);
    let cluster = &settings.cluster_name;
    anyhow::ensure!(
        settings.products.contains_key(product),
        "{product} is not configured on {cluster}"
    );
    let memory = state::load(&settings.state_dir, cluster)?;
    if let Some(record) = memory.history.products.get(product) {
        if let Some(release) = record.newest_finalized().filter(|release| to < *release) {
            anyhow::bail!("{release} was finalized, there is no way back to {to}");
        }
        let begun = record.roll.as_ref().is_some_and(|roll| roll.touched);
        anyhow::ensure!(
            *to < record.version || begun && *to == record.version,
            "{product} runs {}, which is not newer than {to}",
            record.version
        );
    }
    Control::new(&settings.state_dir).approve(Approval {
        product: product.clone(),
        to: to.clone(),
        at: clock::now(),
        back: true,
    })?;
    Ok(Answer::yes(format!(
        "{product} goes back to {to} if its release document allows it, and stays there until \
         another release is approved\n"
    )))
}
