//! Rows the store writes in the transaction of whatever caused them, and reads back at start.
//!
//! What is only ever read back whole is one JSON column; what is asked for by itself has its own.

use channels::names::ProductRef;
use channels::rollout::Name;
use channels::version::ReleaseVersion;
use jiff::Timestamp;
use signing::Sha256Digest;

use super::event::RolloutEvent;
use super::state::RolloutId;
use crate::fleet::Slot;

/// A version of a policy. Rows are only added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyRow {
    /// Its name.
    pub name: Name,
    /// Grows by one with every version of a name, a deletion included.
    pub version: u64,
    /// The file; of a deleted policy the last one.
    pub text: String,
    /// Whether this version deletes the policy: it governs nothing any more.
    pub deleted: bool,
    /// When.
    pub at: Timestamp,
    /// Who.
    pub by: String,
}

/// A rollout, written whole whenever its state changes. Key: `id`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RolloutRow {
    /// Its number.
    pub id: RolloutId,
    /// Its policy.
    pub policy: Name,
    /// Its product.
    pub product: ProductRef,
    /// Its release.
    pub version: ReleaseVersion,
    /// Digest of the release's document.
    pub digest: Sha256Digest,
    /// When the hub first saw it.
    pub opened_at: Timestamp,
    /// Everything else, as JSON.
    pub state: String,
}

/// What an attempt has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// It is looked at still: on its way, soaking, or failed.
    Live,
    /// It succeeded and soaked.
    Settled,
    /// Its grant expired before it began.
    Lapsed,
    /// Its cluster was retired, or moved on to another release.
    Left,
}

impl Outcome {
    /// The name in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Settled => "settled",
            Self::Lapsed => "lapsed",
            Self::Left => "left",
        }
    }

    /// The outcome of a name.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Live, Self::Settled, Self::Lapsed, Self::Left]
            .into_iter()
            .find(|outcome| outcome.as_str() == name)
    }
}

/// An attempt of one cluster. Key: rollout, slot and generation; a row of the same key is
/// replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptRow {
    /// In which rollout.
    pub rollout: RolloutId,
    /// Of which cluster.
    pub slot: Slot,
    /// Generation of its first grant; 0 for one that the hub did not grant.
    pub generation: u64,
    /// What it has come to.
    pub outcome: Outcome,
    /// When it was granted.
    pub granted_at: Option<Timestamp>,
    /// When the row last changed.
    pub at: Timestamp,
    /// The attempt as JSON while it is live; empty afterwards.
    pub body: String,
}

/// Everything a draft changed, as rows and events. Memory takes it over with
/// [`super::Rollouts::apply`] after the commit.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RolloutChanges {
    /// New versions of policies, to insert.
    pub policies: Vec<PolicyRow>,
    /// Rollouts, to insert or replace.
    pub rollouts: Vec<RolloutRow>,
    /// Attempts, to insert or replace.
    pub attempts: Vec<AttemptRow>,
    /// What to tell, in order.
    pub events: Vec<RolloutEvent>,
}
