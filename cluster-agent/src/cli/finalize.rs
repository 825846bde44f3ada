//! `finalize` and `back`: the way without return, and the way back before it.

use std::io::{BufRead as _, IsTerminal as _};

use channels::version::ReleaseVersion;

use super::{Answer, BackArgs, FinalizeArgs, commands, complain};
use crate::clock;
use crate::config::Settings;
use crate::history::{Certainty, Doubt, Floor};
use crate::state::{self, Approval, Control, FinalizeApproval, LevelUnchanged};

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
    if args.unchanged {
        return unchanged(args, &settings);
    }
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
    confirm(args, "Write the release to approve it:", &pending.release)?;
    let by = who(args)?;
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

/// States that the level of a step that failed is not in force.
fn unchanged(args: &FinalizeArgs, settings: &Settings) -> anyhow::Result<Answer> {
    let product = &args.product;
    // Taken before anybody looks: what fails meanwhile is another doubt.
    let at = clock::now();
    let memory = state::load(&settings.state_dir, &settings.cluster_name)?;
    let record = memory.history.products.get(product);
    if let Some(pending) = record.and_then(|r| r.finalization.as_ref()).filter(|p| p.run.is_some())
    {
        anyhow::bail!("{product} {} is being finalized: wait for its end", pending.release);
    }
    let doubts = record.map_or(&[][..], |record| &record.doubts);
    let Some(newest) = doubts.iter().map(|doubt| &doubt.release).max() else {
        anyhow::bail!("no finalize step of {product} has failed: there is nothing to say");
    };
    for doubt in doubts {
        complain(&format!(
            "{product} {}: its finalize step failed at {:.0}; level {} may be in force",
            doubt.release, doubt.since, doubt.level
        ));
    }
    if let Some(servers) = settings.products.get(product).and_then(|own| own.kafka.as_ref()) {
        let read = commands::runtime()?
            .block_on(async { crate::kafka::KafkaClient::new(servers)?.features().await });
        match read {
            Ok(levels) => {
                let levels: Vec<String> =
                    levels.iter().map(|(name, level)| format!("{name} {level}")).collect();
                complain(&format!("The quorum's leader says: {}", levels.join(", ")));
            }
            Err(error) => complain(&format!("The quorum does not say: {}", error.story())),
        }
    }
    complain("Older releases may destroy what a raised level wrote: look at the cluster itself.");
    confirm(args, "Write the newest release above if its level is NOT in force:", newest)?;
    let by = who(args)?;
    let stated = |doubt: &Doubt| LevelUnchanged {
        product: product.clone(),
        release: doubt.release.clone(),
        at,
        by: by.clone(),
    };
    let stated = doubts.iter().map(stated).collect();
    Control::new(&settings.state_dir).state_unchanged(stated)?;
    Ok(Answer::yes(format!("{product}: the way back is open again; see `status`\n")))
}

/// Asks a person, unless they said that they need not be.
fn confirm(args: &FinalizeArgs, question: &str, release: &ReleaseVersion) -> anyhow::Result<()> {
    if args.yes {
        return Ok(());
    }
    anyhow::ensure!(
        std::io::stdin().is_terminal(),
        "nobody can be asked here: look at the above, then repeat with --yes"
    );
    complain(question);
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line)?;
    anyhow::ensure!(line.trim() == release.to_string(), "not confirmed");
    Ok(())
}

fn who(args: &FinalizeArgs) -> anyhow::Result<String> {
    let by: String = args.by.trim().chars().take(NAME_CHARS_MAX).collect();
    anyhow::ensure!(!by.is_empty(), "say who you are: --by NAME");
    Ok(by)
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
        match record.floor().filter(|floor| to < floor.release) {
            Some(Floor { release, certainty: Certainty::Is }) => {
                anyhow::bail!("{release} was finalized, there is no way back to {to}")
            }
            Some(Floor { release, certainty: Certainty::MayBe }) => anyhow::bail!(
                "the finalize step of {release} was begun and may have taken effect: no way back \
                 to {to} until it has ended well, or you have looked and say `cluster-agent \
                 finalize {product} --unchanged`"
            ),
            None => {}
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
