//! May this cluster go? The planner's word for `directive::decide`, and what follows from its
//! grant.

use channels::wire::{Grant, Reason};
use jiff::Timestamp;

use super::draft::Draft;
use super::facts::Ask;
use super::state::RolloutId;

/// The planner's word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Turn {
    /// No policy is for the product's channel.
    Ungoverned,
    /// It may go.
    Go {
        /// In which rollout.
        rollout: RolloutId,
    },
    /// Not yet.
    Wait {
        /// In which rollout; `None` for a release that is not served.
        rollout: Option<RolloutId>,
        /// Why; never empty.
        reasons: Vec<Reason>,
        /// When none of them holds any more, if only time is missing.
        earliest_at: Option<Timestamp>,
    },
    /// Somebody or a gate stopped it.
    Hold {
        /// In which rollout.
        rollout: RolloutId,
        /// Why; never empty.
        reasons: Vec<Reason>,
    },
}

impl Draft<'_> {
    /// Whether the cluster may start or go on. Opens a rollout for a governed release that has
    /// none.
    pub fn may_go(&mut self, ask: &Ask<'_>, now: Timestamp) -> Turn {
        let _ = (ask, now);
        Turn::Ungoverned
    }

    /// `directive::decide` gave the grant that [`Draft::may_go`] allowed.
    pub fn granted(&mut self, ask: &Ask<'_>, rollout: RolloutId, grant: &Grant, now: Timestamp) {
        let _ = (ask, rollout, grant, now);
    }
}
