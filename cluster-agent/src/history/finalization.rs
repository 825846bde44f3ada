//! What is remembered about a release's finalize step: pending, running, done.

use std::collections::BTreeMap;

use channels::version::ReleaseVersion;
use channels::wire::{Finalize, Role};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use signing::Sha256Digest;

use super::{COMPLETED_MAX, ProductHistory};
use crate::driver::FinalizeOrder;

/// A release that runs everywhere and whose irreversible step has not been taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finalization {
    /// The release.
    pub release: ReleaseVersion,
    /// Digest of its document.
    pub release_digest: Sha256Digest,
    /// What becomes irreversible, in its vendor's words.
    pub summary: String,
    /// The level that is finalized.
    pub level: String,
    /// The version that units of each role must report.
    pub runs: BTreeMap<Role, String>,
    /// Since when it could be finalized.
    pub since: Timestamp,
    /// The step under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<FinalizeRun>,
    /// When the approval was given that was used up by a step that failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spent: Option<Timestamp>,
}

/// A finalize step under way; written before its command starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FinalizeRun {
    /// What is run; names the step for ever.
    pub order: FinalizeOrder,
    /// Since when.
    pub started_at: Timestamp,
    /// When it was approved.
    pub approved_at: Timestamp,
    /// By whom.
    pub approved_by: String,
}

/// A release that was finalized: there is no way back before it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finalized {
    /// The release.
    pub release: ReleaseVersion,
    /// The level.
    pub level: String,
    /// When.
    pub at: Timestamp,
    /// Who approved it.
    pub by: String,
}

/// A finalize step that was begun and did not end well: its level may be in force all the same (a
/// command that ran out of time, a request that was answered too late).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Doubt {
    /// The release.
    pub release: ReleaseVersion,
    /// The level.
    pub level: String,
    /// When the step failed; only what is said about the level after this counts.
    pub since: Timestamp,
}

/// Why there is no way back to a release before this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Floor<'a> {
    /// The release.
    pub release: &'a ReleaseVersion,
    /// Whether it was finalized, or only may be.
    pub certainty: Certainty,
}

/// Whether a level is in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Certainty {
    /// Its step runs, or failed after it had begun.
    MayBe,
    /// Its step ended well.
    Is,
}

/// What a product arrived at.
#[derive(Debug, Clone, PartialEq)]
pub struct Arrived {
    /// The release.
    pub to: ReleaseVersion,
    /// Digest of its document.
    pub release_digest: Sha256Digest,
    /// Its finalize step, if its document has one.
    pub finalize: Option<Finalize>,
    /// The version that units of each role report.
    pub runs: BTreeMap<Role, String>,
}

impl ProductHistory {
    /// The newest release that was finalized.
    pub fn newest_finalized(&self) -> Option<&ReleaseVersion> {
        self.finalized.iter().map(|done| &done.release).max()
    }

    /// The newest release that was finalized or may be: nothing older may run any more.
    pub fn floor(&self) -> Option<Floor<'_>> {
        let done = self.finalized.iter().map(|done| (&done.release, Certainty::Is));
        let doubts = self.doubts.iter().map(|doubt| (&doubt.release, Certainty::MayBe));
        let runs = self.finalization.iter().filter(|pending| pending.run.is_some());
        let runs = runs.map(|pending| (&pending.release, Certainty::MayBe));
        let highest = done.chain(doubts).chain(runs).max();
        highest.map(|(release, certainty)| Floor { release, certainty })
    }

    /// What there is to finalize once the product has arrived somewhere.
    pub(super) fn arrive(&mut self, from: &ReleaseVersion, arrived: &Arrived, now: Timestamp) {
        let Arrived { to, release_digest, finalize, runs } = arrived.clone();
        // A level that is already in force needs no step, and the way back leads to none.
        let new = finalize
            .filter(|step| to > *from && self.finalized.iter().all(|f| f.level != step.level));
        if let Some(Finalize { summary, level }) = new {
            let (release, since) = (to, now);
            let (run, spent) = (None, None);
            self.finalization = Some(Finalization {
                release,
                release_digest,
                summary,
                level,
                runs,
                since,
                run,
                spent,
            });
            return;
        }
        // Back before it: nothing of it is left to finalize. Beyond it: it still can be.
        let left = self.finalization.take().filter(|pending| pending.release <= to);
        self.finalization = left.map(|pending| Finalization { runs, ..pending });
    }

    /// The step under way ended well.
    pub fn finalize_done(&mut self, now: Timestamp) {
        let Some(Finalization { release, level, run: Some(run), .. }) = self.finalization.take()
        else {
            return;
        };
        // A level holds what is below it.
        self.doubts.retain(|doubt| doubt.release > release);
        self.finalized.push(Finalized { release, level, at: now, by: run.approved_by });
        let surplus = self.finalized.len().saturating_sub(COMPLETED_MAX);
        self.finalized.drain(..surplus);
    }

    /// The step under way failed: it may have done its work or a part of it, so a person decides
    /// again, and until its level is known nothing goes back.
    pub fn finalize_failed(&mut self, now: Timestamp) {
        let Some(pending) = &mut self.finalization else { return };
        pending.spent = pending.run.take().map(|run| run.approved_at);
        let (release, level) = (pending.release.clone(), pending.level.clone());
        self.doubts.retain(|doubt| doubt.release != release);
        self.doubts.push(Doubt { release, level, since: now });
        let surplus = self.doubts.len().saturating_sub(COMPLETED_MAX);
        self.doubts.drain(..surplus);
    }

    /// The command of the step under way could not be started: nothing was done, and its approval
    /// is used up.
    pub fn finalize_not_started(&mut self) {
        if let Some(pending) = &mut self.finalization {
            pending.spent = pending.run.take().map(|run| run.approved_at);
        }
    }

    /// Somebody looked, at this time, and the level of the release is not in force. Says whether
    /// that ended a doubt.
    pub fn level_unchanged(&mut self, release: &ReleaseVersion, at: Timestamp) -> bool {
        let before = self.doubts.len();
        self.doubts.retain(|doubt| doubt.release != *release || at < doubt.since);
        self.doubts.len() != before
    }

    /// The step under way never began; its approval still stands.
    pub fn finalize_withdrawn(&mut self) {
        if let Some(pending) = &mut self.finalization {
            pending.run = None;
        }
    }
}
