//! The rollout planner: who may go, what became of those who went, and when everything stops.
//!
//! Read in this order: [`policies`] (which policy governs), [`facts`] (what the planner is told),
//! [`state`] (one rollout), [`attempt`] and [`health`] (one cluster in it), [`draft`] (changes that
//! wait for a commit), [`ask`], [`heard`], [`tick`] and [`command`] (what changes it), [`rollouts`]
//! (what is committed), [`changes`] (rows to write), [`view`] and [`course`] (what people see). The arithmetic is
//! `channels::rollout`, the same code the simulator runs.
//!
//! Everything here is a synchronous function of values and `now`. It does no I/O, reads no clock,
//! and never grants by itself: `directive::decide` does, and tells the draft.

pub mod ask;
pub mod attempt;
mod census;
pub mod changes;
pub mod command;
pub mod course;
pub mod draft;
pub mod event;
pub mod facts;
pub mod health;
pub mod heard;
mod measures;
mod plain;
pub mod policies;
pub mod rollouts;
#[cfg(test)]
#[expect(clippy::as_conversions, clippy::wildcard_enum_match_arm, reason = "tests")]
mod simulation;
pub mod state;
#[cfg(test)]
#[expect(clippy::as_conversions, clippy::wildcard_enum_match_arm, reason = "tests")]
mod tests;
pub mod tick;
pub mod view;

pub use ask::Turn;
pub use attempt::Tracked;
pub use changes::{AttemptRow, Outcome, PolicyRow, RolloutChanges, RolloutRow};
pub use command::{RolloutCommand, RolloutRefusal};
pub use course::{COURSE_POINTS, Course, DonePoint, OpenPoint, Went};
pub use draft::{Draft, Overlay};
pub use event::{RolloutEvent, RolloutEventKind};
pub use facts::{Ask, Fact, Fleet, Heard, Offer};
pub use measures::Worse;
pub use policies::{InForce, Policies};
pub use rollouts::{RestoreError, Rollouts};
pub use state::{RolloutId, Said};
pub use view::{AttemptView, OpenView, RingView, RollbackOffer, RolloutStatus, RolloutView};
