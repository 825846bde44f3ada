//! Faults that can be set on a simulated unit.

use serde::{Deserialize, Serialize};

/// One thing that is wrong with a unit until it is cleared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Fault {
    /// A controller replicates this far behind the leader (no effect while it leads); a node's
    /// relists take this long.
    Lag {
        /// Milliseconds.
        ms: u32,
    },
    /// The process is stopped: it neither answers nor takes part in anything.
    Hang,
    /// A controller answers, but hears from no other voter and none hears from it.
    Cut,
    /// Relists hang: the histogram and `last_seen` stand still. Nodes only.
    RelistStall,
    /// The page lacks a metric family.
    MissingMetric {
        /// The family's name.
        family: String,
    },
    /// The page's text stays what it was when the fault was set.
    StalePage,
    /// The family's samples carry a label value that simple parsers tear apart.
    Unreadable {
        /// The family's name.
        family: String,
    },
}

impl Fault {
    /// How far behind, if this fault is a lag.
    pub(super) fn lag_ms(&self) -> Option<i64> {
        match self {
            Self::Lag { ms } => Some(i64::from(*ms)),
            Self::Hang
            | Self::Cut
            | Self::RelistStall
            | Self::MissingMetric { .. }
            | Self::StalePage
            | Self::Unreadable { .. } => None,
        }
    }
}
