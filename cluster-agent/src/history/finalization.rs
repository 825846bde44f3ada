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
        self.finalized.push(Finalized { release, level, at: now, by: run.approved_by });
        let surplus = self.finalized.len().saturating_sub(COMPLETED_MAX);
        self.finalized.drain(..surplus);
    }

    /// The step under way failed: it may have done a part of its work, so a person decides again.
    pub fn finalize_failed(&mut self) {
        if let Some(pending) = &mut self.finalization {
            pending.spent = pending.run.take().map(|run| run.approved_at);
        }
    }

    /// The step under way never began; its approval still stands.
    pub fn finalize_withdrawn(&mut self) {
        if let Some(pending) = &mut self.finalization {
            pending.run = None;
        }
    }
}
