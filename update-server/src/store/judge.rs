//! Whether a report is new, a retry, an old one, or proof that two agents use one key.
//!
//! Pure. Three facts tell the cases apart. `seq` grows with every report of a state directory and
//! is on disk before it is used; after a start it is at least the clock in milliseconds. `instance`
//! is drawn at every start and never written down, so no copy of a disk has it. A process that was
//! told the last committed `seq` goes on above it.
//!
//! - A retry after a lost answer has the body of the last report.
//! - A restart has an instance nobody has seen: it takes over, and the one before it is superseded.
//!   A report without an instance after one with an instance does the same: it is of another agent.
//!   So does state restored from a backup, whose counter may have gone back: on its own it cannot
//!   be told from a copy, and it is no conflict, because the other process has ended.
//! - A *superseded* instance is alive beside the one that took over if its `seq` grows all the same,
//!   or if it knows of a number that was committed after it was superseded (`heard_seq`, from a
//!   refusal). A report of a process that has ended, delayed on the way, can do neither. No clock
//!   has a say in that.
//! - Machines copied with their memory share the instance too. Then each finds its numbers used up
//!   by the other again and again, with reports newer than the last one; a report that was merely
//!   delayed is older than it.

use channels::wire::AgentInstance;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use signing::Sha256Digest;

/// Superseded instances remembered: two machines need one. A thief who draws a new name for every
/// report needs this many of them between two reports of the true agent to have it forgotten.
pub(super) const SUPERSEDED_MAX: usize = 64;

/// More than [`SUPERSEDED_MAX`] starts within this time are no restarts: a supervisor that waits
/// five minutes between two tries makes 48, and no agent is silent for as long between two reports.
const STARTS_WINDOW_MS: i64 = 4 * 3600 * 1000;

/// What one refusal of a newer report adds.
const HEAT_PER_REFUSAL: u8 = 4;

/// From here on it is no accident: three refusals with hardly a report between them. A machine that
/// was taken back to a snapshot while it ran causes one refusal, and every accepted report takes
/// one from the heat again.
const HEAT_MAX: u8 = 10;

/// A process that another one took over from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Superseded {
    /// Which process.
    pub(super) instance: AgentInstance,
    /// Number of the first report of the one that took over.
    pub(super) at_seq: u64,
    /// When that was received, by the hub's clock; 0 if it was before the hub kept it.
    #[serde(default)]
    pub(super) at_ms: i64,
}

/// What the hub remembers of a cluster's last committed report.
#[derive(Debug, Clone, Default)]
pub(super) struct LastSeen {
    /// Its number; 0 before the first.
    pub(super) seq: u64,
    /// SHA-256 of its body.
    pub(super) body_digest: Option<Sha256Digest>,
    /// When it was sent, by the agent's clock, but not later than it was received.
    pub(super) sent_at: Option<Timestamp>,
    /// The process that sent it.
    pub(super) instance: Option<AgentInstance>,
    /// Processes before that one.
    pub(super) superseded: Vec<Superseded>,
    /// Refusals that hint at a second process, see [`HEAT_MAX`].
    pub(super) heat: u8,
}

/// What decides about a report that has come in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Incoming {
    pub(super) seq: u64,
    pub(super) body_digest: Sha256Digest,
    pub(super) sent_at: Timestamp,
    pub(super) received_at: Timestamp,
    pub(super) instance: Option<AgentInstance>,
    pub(super) heard_seq: Option<u64>,
}

impl Incoming {
    /// When it was sent as far as that can be believed: a time to come would make every later
    /// report look older.
    pub(super) fn sent_at_most(&self) -> Timestamp {
        self.sent_at.min(self.received_at)
    }
}

/// What a report is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Commit it.
    Fresh,
    /// Answer it as before.
    Retry,
    /// Refuse it, and remember this heat.
    Replay {
        /// The new heat.
        heat: u8,
    },
    /// Two agents use the key. The report is fresh all the same if its number grows.
    Conflict(Proof),
}

/// Why two agents must be alive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Proof {
    /// An instance that another one took over from goes on reporting.
    Superseded,
    /// One instance counts twice.
    CountsTwice,
    /// So many instances in so short a time that the first of them would be forgotten.
    ManyStarts,
}

impl Proof {
    /// For the audit log.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Superseded => "superseded_instance",
            Self::CountsTwice => "counts_twice",
            Self::ManyStarts => "many_starts",
        }
    }
}

/// Judges a report by the last one.
pub(super) fn judge(last: &LastSeen, report: &Incoming) -> Verdict {
    let grows = report.seq > last.seq;
    let back = last.superseded.iter().find(|one| report.instance == Some(one.instance));
    let lives = |one: &Superseded| report.heard_seq.is_some_and(|heard| heard >= one.at_seq);
    if back.is_some_and(|one| grows || lives(one)) {
        return Verdict::Conflict(Proof::Superseded);
    }
    if grows && report.instance != last.instance && is_burst(last, report) {
        return Verdict::Conflict(Proof::ManyStarts);
    }
    if grows {
        return Verdict::Fresh;
    }
    if report.seq == last.seq && last.body_digest == Some(report.body_digest) {
        return Verdict::Retry;
    }
    let same = report.instance.is_some() && report.instance == last.instance;
    let newer = last.sent_at.is_some_and(|sent_at| report.sent_at_most() > sent_at);
    if !(same && newer) {
        return Verdict::Replay { heat: last.heat };
    }
    match last.heat.saturating_add(HEAT_PER_REFUSAL) {
        heat if heat >= HEAT_MAX => Verdict::Conflict(Proof::CountsTwice),
        heat => Verdict::Replay { heat },
    }
}

/// Whether one more instance would have one forgotten that was superseded only lately.
fn is_burst(last: &LastSeen, report: &Incoming) -> bool {
    let now_ms = report.received_at.as_millisecond();
    let lately = |one: &Superseded| now_ms.saturating_sub(one.at_ms) < STARTS_WINDOW_MS;
    last.superseded.len() >= SUPERSEDED_MAX && last.superseded.last().is_some_and(lately)
}

/// The superseded instances after `report` was committed: the one that reported before it, if it
/// is another one, then those before that.
pub(super) fn succeed(last: &LastSeen, report: &Incoming) -> Vec<Superseded> {
    let known = last.superseded.iter().copied();
    if last.instance == report.instance {
        return known.collect();
    }
    let (at_seq, at_ms) = (report.seq, report.received_at.as_millisecond());
    let before = last.instance.map(|instance| Superseded { instance, at_seq, at_ms });
    let all = before.into_iter().chain(known).filter(|one| Some(one.instance) != report.instance);
    all.take(SUPERSEDED_MAX).collect()
}

#[cfg(test)]
mod tests;
