//! What the laws remember, and what was broken.

use std::collections::{BTreeMap, BTreeSet};

use channels::names::{ProductRef, UnitName};
use channels::version::ReleaseVersion;
use jiff::Timestamp;

use crate::driver::StepId;
use crate::history::Out;

/// A broken invariant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Broken {
    /// The invariant's name, with its number in rolling.md §9 or design.md §7.
    pub(super) law: &'static str,
    /// What happened.
    pub(super) what: String,
}

/// A change that really was made.
#[derive(Debug, Clone)]
pub(super) struct Change {
    pub(super) step: StepId,
    pub(super) unit: UnitName,
    /// Who led when it was made.
    pub(super) leader: Option<UnitName>,
    /// Somebody paused the roll since.
    pub(super) paused: bool,
}

/// A leave of the hub's that the agent has heard.
#[derive(Debug, Clone)]
pub(super) struct Leave {
    pub(super) to: ReleaseVersion,
    pub(super) at_ms: i64,
}

/// The memory of all laws.
#[derive(Debug, Clone, Default)]
pub(super) struct Court {
    pub(super) broken: Vec<Broken>,
    /// The newest change.
    pub(super) change: Option<Change>,
    /// The step that is out as last written to disk.
    pub(super) out: Option<Out>,
    /// When the last step ended.
    pub(super) ended_at_ms: i64,
    pub(super) leaves: BTreeMap<ProductRef, Leave>,
    /// Since when the roll was paused when the agent began to think.
    pub(super) was_paused: Option<Timestamp>,
    /// A person said resume since.
    pub(super) resumed: bool,
    /// The agent died since.
    pub(super) died: bool,
    /// Finalize steps that ended well, by release.
    pub(super) finalized: Vec<(ProductRef, ReleaseVersion)>,
    /// Products that the hub holds, as the agent has heard.
    pub(super) held: BTreeSet<ProductRef>,
    /// The hub has refused the cluster's key since it last answered.
    pub(super) disowned: bool,
    /// Nodes that a person keeps out of service.
    pub(super) cordoned_by_people: BTreeSet<UnitName>,
}

impl Court {
    pub(super) fn convict(&mut self, law: &'static str, what: String) {
        self.broken.push(Broken { law, what });
    }
}
