//! Why a change of the voter set is not begun. Every sentence says what to do.

use super::goal::Goal;
use crate::kafka::Features;
use crate::kafka::quorum::{CaughtUp, DirectoryId, QuorumView, Replica};

/// The feature that lets voters change (KIP-853).
const KRAFT_VERSION: &str = "kraft.version";

/// Smallest quorum that survives the loss of one voter.
const SMALLEST_SAFE_QUORUM: usize = 3;

/// One reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the sentence above each variant says what its fields hold")]
pub enum Refusal {
    #[error(
        "the quorum is static (kraft.version {level}): voters cannot change. From Kafka 4.1 on run \
         `kafka-features.sh upgrade --feature kraft.version=1`, then replace \
         controller.quorum.voters by controller.quorum.bootstrap.servers on every node"
    )]
    StaticQuorum { level: i16 },
    #[error("the servers do not tell directory ids: they are older than Kafka 3.9")]
    NoDirectoryIds,
    #[error("controller {id} is a voter already")]
    AlreadyVoter { id: i32 },
    #[error("controller {id} is not a voter")]
    NotAVoter { id: i32 },
    #[error("where controller {id} listens is not known: give --endpoint LISTENER://host:port")]
    NoEndpoint { id: i32 },
    #[error("other voters are not caught up, wait until they are: {}", ids(behind))]
    OthersBehind { behind: Vec<i64> },
    #[error("without controller {id} only {left} of {voters} voters are left, {needed} are needed")]
    NoMajority { id: i32, left: usize, voters: usize, needed: usize },
    #[error(
        "{left} voters would be left, which survive no further loss; say --allow-small-quorum if \
         that is meant"
    )]
    SmallQuorum { left: usize },
    #[error("controller {id} is the only voter")]
    LastVoter { id: i32 },
    #[error("a change of the voter set is not committed yet, or nothing is: wait and ask again")]
    Uncommitted,
}

fn ids(ids: &[i64]) -> String {
    ids.iter().map(i64::to_string).collect::<Vec<_>>().join(", ")
}

/// Whether a quorum that a change would make small is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SmallQuorum {
    /// It is.
    Allowed,
    /// It is not.
    Refused,
}

/// How a change is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// `controller.quorum.fetch.timeout.ms`.
    pub fetch_timeout_ms: u64,
    /// Quorums of fewer than three.
    pub small: SmallQuorum,
}

/// Voters other than the one that goes.
pub(super) fn others<'a>(goal: &Goal, view: &'a QuorumView) -> Vec<&'a Replica> {
    let leaving = goal.leaving();
    let goes = |voter: &Replica| {
        leaving.is_some_and(|key| i64::from(key.id) == voter.id && key.directory == voter.directory)
    };
    view.voters.iter().filter(|voter| !goes(voter)).collect()
}

/// Of those the ones that are not caught up.
pub(super) fn behind(others: &[&Replica], view: &QuorumView, fetch_timeout_ms: u64) -> Vec<i64> {
    let lags = |voter: &&&Replica| match view.caught_up(voter, fetch_timeout_ms) {
        CaughtUp::Yes(_) => false,
        CaughtUp::Behind(_) | CaughtUp::Never => true,
    };
    others.iter().filter(lags).map(|voter| voter.id).collect()
}

/// Every reason not to begin.
pub fn refusals(goal: &Goal, view: &QuorumView, features: &Features, rules: Rules) -> Vec<Refusal> {
    let mut refusals = Vec::new();
    let level = features.get(KRAFT_VERSION).copied().unwrap_or(0);
    if level < 1 {
        refusals.push(Refusal::StaticQuorum { level });
    } else if view.voters.iter().any(|voter| voter.directory == DirectoryId::NONE) {
        refusals.push(Refusal::NoDirectoryIds);
    }
    let others = others(goal, view);
    let behind = behind(&others, view, rules.fetch_timeout_ms);
    if !behind.is_empty() {
        refusals.push(Refusal::OthersBehind { behind });
    }
    let Some(leaving) = goal.leaving() else { return refusals };
    let (id, left, voters) = (leaving.id, others.len(), view.voters.len());
    match goal {
        Goal::Remove { .. } if left == 0 => refusals.push(Refusal::LastVoter { id }),
        Goal::Remove { .. } => {
            if left < SMALLEST_SAFE_QUORUM && rules.small == SmallQuorum::Refused {
                refusals.push(Refusal::SmallQuorum { left });
            }
        }
        // Whoever is replaced is away for a while, or has been for long.
        Goal::Replace { .. } | Goal::Disk { .. } => {
            let needed = voters / 2 + 1;
            if left < needed {
                refusals.push(Refusal::NoMajority { id, left, voters, needed });
            }
        }
        Goal::Add { .. } => {}
    }
    refusals
}

/// Whether everything that stood in the leader's log at `before` is committed at `after`.
///
/// A change of the voter set is a record of that log, so then none is under way.
pub fn is_settled(before: &QuorumView, after: &QuorumView) -> bool {
    before.epoch == after.epoch
        && before.voter_ids() == after.voter_ids()
        && matches!(
            (before.leader_log_end_offset(), after.high_watermark),
            (Some(end), Some(committed)) if committed >= end
        )
}
