//! The owner's rules of one product beside its gates: windows, pools, zones, checks, finalize.
//!
//! Local configuration (or the owner's `ClusterUpdate`), never a document.

use std::collections::{BTreeMap, BTreeSet};

use channels::names::{PoolName, UnitName};
use channels::rollout::Calendar;

use crate::state::LocalHold;

/// Age beyond which a check's result is no ground to begin a roll on, milliseconds: long enough for
/// the checks and the hub's grant, short enough that a disk does not fill meanwhile.
pub const CHECK_AGE_MS: u64 = 15 * 60_000;

/// Rules of one product.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProductRules {
    /// A hold of this product alone, from its `ClusterUpdate`.
    pub hold: Option<LocalHold>,
    /// When its units may start.
    pub windows: Calendar,
    /// Rules by pool; a pool without an entry has none.
    pub pools: BTreeMap<PoolName, PoolRules>,
    /// The zone of units that have one.
    pub zones: BTreeMap<UnitName, String>,
    /// About its finalize step.
    pub finalize: FinalizeRules,
    /// What must be checked before its units go.
    pub checks: CheckRules,
}

/// Rules of one pool.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PoolRules {
    /// No unit of it starts.
    pub paused: bool,
    /// When its units may start, beside the product's own windows.
    pub windows: Calendar,
    /// Zones in the order they are rolled; others follow by name, units without a zone come last.
    pub zones: Vec<String>,
}

/// Rules about the finalize step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FinalizeRules {
    /// There is a way to run it.
    pub configured: bool,
    /// A release with another level waits until this one is finalized. By default it does where
    /// there is a way to finalize: an owner who finalizes by hand would wait for ever.
    pub required_before_next: bool,
}

/// What must be checked before units go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckRules {
    /// The owner's commands, in the order they run.
    pub commands: Vec<CheckRule>,
    /// Checks of other sources that must have passed; what others report counts all the same.
    pub required: BTreeSet<String>,
    /// Age beyond which a result counts no more, milliseconds.
    pub max_age_ms: u64,
}

impl Default for CheckRules {
    fn default() -> Self {
        Self { commands: vec![], required: BTreeSet::new(), max_age_ms: CHECK_AGE_MS }
    }
}

/// One command that checks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckRule {
    /// Its name; its gate is `check_<name>`.
    pub name: String,
    /// When it must have passed.
    pub when: CheckWhen,
}

/// When a check must have passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CheckWhen {
    /// Before the first unit of a roll, and before the first after `resume`.
    #[default]
    Roll,
    /// Before every unit, for that unit.
    Unit,
}
