//! Controllers and brokers that are pods of one StatefulSet: one unit per pod.
//!
//! What to do next is worked out from the set and its pods as they are (`next`), never from what
//! was done before; the shell (`stateful_set`) reads, does it, and looks again. A member that
//! restarts by itself after the template was changed comes back in the new version: its pod says
//! so, and the planner adopts it as the unit that is out.

mod next;
#[cfg(test)]
#[expect(clippy::wildcard_enum_match_arm, reason = "tests")]
mod real;
mod set;
mod stateful_set;
#[cfg(test)]
#[expect(clippy::wildcard_enum_match_arm, reason = "tests")]
mod tests;
mod words;

pub use stateful_set::{MembersLook, StatefulSetMembers};
