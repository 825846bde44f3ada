//! `quorum add`, `remove`, `replace`: opens a change, or goes on with the one that is open.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::time::Instant;

use super::super::{Answer, Verdict, commands, complain};
use super::stance::{Stance, stance};
use super::{ChangeArgs, product};
use crate::clock;
use crate::config::Settings;
use crate::kafka::change::{
    Change, ChangeFile, Ended, Guide, Guiding, Opening, Rules, SmallQuorum, Wish, open,
};
use crate::kafka::{KafkaClient, QuorumView};
use crate::observation::UnitKey;
use crate::state::{self, Control, InUse, in_use};

/// An agent decides this soon after it has read its orders, many times over.
const AGENT_READS: Duration = Duration::from_secs(3);

/// Whether the memory of an agent must be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Memory {
    /// Yes: an empty one would say that nothing is under way.
    Needed,
    /// `--no-agent`.
    MayBeMissing,
}

impl Memory {
    pub(super) fn of(no_agent: bool) -> Self {
        if no_agent { Self::MayBeMissing } else { Self::Needed }
    }
}

pub(super) async fn change(args: &ChangeArgs, wish: Wish) -> anyhow::Result<Answer> {
    let settings = commands::settings(&args.product.config)?;
    let (name, servers) = product(&settings, args.product.product.as_ref())?;
    let file = ChangeFile::new(&settings.state_dir);
    let _guiding = if args.dry_run { None } else { Some(guiding(&file)?) };
    let mut client = KafkaClient::new(servers)?;
    let fetch_timeout_ms = settings.quorum_limits.fetch_timeout_ms;
    let memory = Memory::of(args.no_agent);
    let mut change = match file.read()? {
        Some(open) if open.product == *name && open.goal.is_wish(&wish) => {
            complain(&format!("going on with the change that is open: {}", open.goal));
            if args.dry_run {
                return Ok(Answer::yes(planned(&open)));
            }
            // Nothing goes while the file is there; but it may have come back from a copy.
            may_change(&settings, memory, &wish)?;
            open
        }
        Some(open) => bail!(
            "another change is open: {} of {} since {}; finish it first, or close it with \
             `cluster-agent quorum abort`",
            open.goal,
            open.product,
            open.opened_at
        ),
        None => {
            if let Exception::LostDisk { id, out } = may_change(&settings, memory, &wish)? {
                is_lost(&settings, &client.describe().await?, id, out.as_ref())?;
            }
            let small =
                if args.allow_small_quorum { SmallQuorum::Allowed } else { SmallQuorum::Refused };
            let rules = Rules { fetch_timeout_ms, small };
            let change = match open(&mut client, name, &wish, rules, clock::now()).await? {
                Opening::Ready(change) => change,
                Opening::Refused(reasons) => {
                    let lines: Vec<String> =
                        reasons.iter().map(|why| format!("refused: {why}\n")).collect();
                    return Ok(Answer { text: lines.concat(), verdict: Verdict::No });
                }
            };
            if args.dry_run {
                return Ok(Answer::yes(planned(&change)));
            }
            begin(&settings, memory, &wish, &file, &change).await?;
            complain(planned(&change).trim_end());
            change
        }
    };
    let until = Instant::now() + Duration::from_secs(args.wait);
    let mut guide = Guide { client: &mut client, file: &file, fetch_timeout_ms };
    let ended = guide.drive(&mut change, until, &mut |line| complain(&line)).await?;
    Ok(told(&change, &ended))
}

fn told(change: &Change, ended: &Ended) -> Answer {
    let text = match ended {
        Ended::Done => {
            let after = change.afterwards().map_or_else(String::new, |after| format!("{after}\n"));
            return Answer::yes(format!("done: {}\n{after}", change.goal));
        }
        Ended::Closed => format!(
            "stopped: {} was closed or replaced while this command ran; nothing more is done\n",
            change.goal
        ),
        Ended::Waiting { why } => {
            format!("not done yet: {why}\nrun the same command again to go on\n")
        }
    };
    Answer { text, verdict: Verdict::No }
}

/// The lock of whoever changes voters or levels, for as long as this command lives.
pub(super) fn guiding(file: &ChangeFile) -> anyhow::Result<Guiding> {
    file.guide()?.context(
        "another `cluster-agent quorum` command still runs with this state directory: let it end, \
         or end it (`quorum abort` closes its change, and it ends by itself)",
    )
}

/// Opens the change, and looks again whether the agent let a unit go in the meantime.
async fn begin(
    settings: &Settings,
    memory: Memory,
    wish: &Wish,
    file: &ChangeFile,
    change: &Change,
) -> anyhow::Result<()> {
    file.write(change)?;
    if in_use(&settings.state_dir)? == InUse::Yes {
        tokio::time::sleep(AGENT_READS).await;
        if let Err(error) = may_change(settings, memory, wish) {
            file.remove()?;
            return Err(error);
        }
    }
    Ok(())
}

/// Whether a change is allowed although a roll is open.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Exception {
    /// No roll is open.
    None,
    /// The roll stands still, and this controller may have lost its disk.
    LostDisk { id: i32, out: Option<UnitKey> },
}

/// An error while a roll moves or a finalize step runs.
fn may_change(settings: &Settings, memory: Memory, wish: &Wish) -> anyhow::Result<Exception> {
    match read_stance(&settings.state_dir, &settings.cluster_name, memory)? {
        Stance::Free => Ok(Exception::None),
        Stance::Finalizing(product) => {
            bail!("{product} is being finalized: wait until that is over")
        }
        Stance::Rolling { why, still, out } => match wish {
            Wish::Disk { id, .. } if still => Ok(Exception::LostDisk { id: *id, out }),
            Wish::Add { .. } | Wish::Remove { .. } | Wish::Replace { .. } | Wish::Disk { .. } => {
                bail!("{why}")
            }
        },
    }
}

/// What the agent's memory says, which must be there: one that is missing says nothing.
pub(super) fn read_stance(dir: &Path, cluster: &str, memory: Memory) -> anyhow::Result<Stance> {
    let document =
        state::load_if_there(dir, cluster).context("whether a roll is open cannot be told")?;
    let Some(document) = document else {
        if memory == Memory::MayBeMissing {
            return Ok(Stance::Free);
        }
        bail!(
            "{} has no memory of an agent, so whether a roll is open cannot be told: run this \
             where the agent runs, with its configuration; say --no-agent if there is none",
            dir.display()
        );
    };
    if in_use(dir)? == InUse::No {
        complain(&format!(
            "no agent runs with {} at the moment: if it runs elsewhere by now, run this there",
            dir.display()
        ));
    }
    Ok(stance(&document.history, Control::new(dir).hold()?.is_some()))
}

/// In a roll that stands still only a disk that is lost is replaced: that of the unit that is out,
/// or of a voter that has not caught up. That all others have is asked when the change is opened.
fn is_lost(
    settings: &Settings,
    view: &QuorumView,
    id: i32,
    out: Option<&UnitKey>,
) -> anyhow::Result<()> {
    let id = i64::from(id);
    let units = settings.products.values().flat_map(|product| &product.pools);
    let mut units = units.flat_map(|pool| &pool.units).map(|unit| &unit.target);
    let is_out = units.any(|unit| Some(&unit.key) == out && unit.node_id == Some(id));
    let limit_ms = settings.quorum_limits.fetch_timeout_ms;
    let voter = view.voters.iter().find(|voter| voter.id == id);
    let lags = voter.is_some_and(|voter| !view.caught_up(voter, limit_ms).is_yes());
    if is_out || lags {
        return Ok(());
    }
    bail!(
        "controller {id} is well and not out: in a roll that is paused or held only a disk that is \
         lost is replaced"
    )
}

fn planned(change: &Change) -> String {
    let mut text = format!("{} of {}:\n", change.goal, change.product);
    for (number, step) in (1..).zip(change.plan()) {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  {number}. {step}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::{Document, StateDir};

    #[test]
    fn a_memory_that_is_missing_is_no_leave_to_change_voters() {
        let dir = tempfile::tempdir().unwrap();
        let read = |memory| read_stance(dir.path(), "east", memory);
        let error = read(Memory::Needed).unwrap_err().to_string();
        assert!(error.contains("--no-agent"), "{error}");
        assert_eq!(read(Memory::MayBeMissing).unwrap(), Stance::Free);
        let state = StateDir::open(dir.path()).unwrap();
        state.save(&Document::new("east")).unwrap();
        assert_eq!(read(Memory::Needed).unwrap(), Stance::Free);
        let other = read_stance(dir.path(), "west", Memory::MayBeMissing);
        assert!(other.is_err(), "another cluster's memory says nothing either");
    }
}
