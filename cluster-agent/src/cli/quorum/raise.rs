//! `quorum raise`: one feature up, for good. The command of a finalize step, or a person's.

use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::time::Instant;

use super::super::{Answer, commands, complain};
use super::change::{Memory, guiding, read_stance};
use super::stance::Stance;
use super::{Level, RaiseArgs, product};
use crate::kafka::change::ChangeFile;
use crate::kafka::{KafkaClient, RaiseError, Raised};

/// How long levels are read again after an answer that does not say whether it was raised: a
/// controller waits 25 s for its commit, and then an election is over, too.
const READ_BACK: Duration = Duration::from_secs(40);

/// Raises a feature, unless it is there already: safe to repeat.
pub(super) async fn raise(args: &RaiseArgs) -> anyhow::Result<Answer> {
    let settings = commands::settings(&args.product.config)?;
    let (name, servers) = product(&settings, args.product.product.as_ref())?;
    let file = ChangeFile::new(&settings.state_dir);
    let _guiding = if args.dry_run { None } else { Some(guiding(&file)?) };
    if let Some(open) = file.read()? {
        bail!("a change of voters is open: {} of {}", open.goal, open.product);
    }
    let memory = Memory::of(args.no_agent);
    let own = match read_stance(&settings.state_dir, &settings.cluster_name, memory)? {
        Stance::Free => false,
        Stance::Finalizing(product) if product == *name => true,
        Stance::Finalizing(product) => {
            bail!("{product} is being finalized: wait until that is over")
        }
        Stance::Rolling { why, .. } => bail!("{why}"),
    };
    let feature = &args.feature;
    let mut client = KafkaClient::new(servers)?;
    let (finalized, supported) = client.levels().await?;
    let level = match args.level {
        Level::Number(level) => level,
        Level::Max => *supported
            .get(feature)
            .with_context(|| format!("the active controller knows no feature {feature}"))?,
    };
    let now = finalized.get(feature).copied().unwrap_or(0);
    if now == level {
        return Ok(Answer::yes(format!("{name}: {feature} is {level} already\n")));
    }
    if now > level {
        bail!("{feature} is {now}: a level never goes back, and {level} is below it");
    }
    if args.dry_run {
        client.try_feature(feature, level).await?;
        let text = format!("{name}: {feature} could be raised from {now} to {level}\n");
        return Ok(Answer::yes(text));
    }
    if !own && !args.by_hand {
        bail!(
            "the agent does not finalize {name} at the moment. Approve it (`cluster-agent finalize \
             {name}`): then its gates are asked, and its memory knows that there is no way back. \
             To raise {feature} without them, say --by-hand"
        );
    }
    if !own {
        complain(
            "by hand: the agent does not learn of it. A release that waits for its finalize step \
             still offers the way back, which would destroy the cluster's metadata: approve its \
             `finalize` afterwards, whose command then finds the level there already",
        );
    }
    let until = Instant::now() + READ_BACK;
    let text = match client.raise_feature(feature, level, until).await {
        Ok(Raised::Answered) => format!("{name}: {feature} raised from {now} to {level}\n"),
        Ok(Raised::ReadBack) => format!(
            "{name}: {feature} raised from {now} to {level}; the answer was lost, the level was \
             read back\n"
        ),
        Err(error @ (RaiseError::Refused(_) | RaiseError::Unknown { .. })) => {
            return Err(error.into());
        }
    };
    Ok(Answer::yes(text))
}
