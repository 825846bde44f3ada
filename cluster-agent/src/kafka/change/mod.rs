//! Guided changes of a quorum's voters (KIP-853): one at a time, one act after another, each after
//! a fresh look at the quorum.

mod decide;
mod file;
mod goal;
mod guide;
mod open;
mod refusal;
#[cfg(test)]
mod tests;

pub use decide::{Next, Wait, next};
pub use file::{ChangeFile, Guiding, Held};
pub use goal::{Change, Goal, Wish};
pub use guide::{Ended, Guide, GuideError};
pub use open::{Opening, open};
pub use refusal::{Refusal, Rules, SmallQuorum, is_settled, refusals};
