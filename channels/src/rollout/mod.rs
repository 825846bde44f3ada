//! Rollout policies of a fleet's owner, and the arithmetic of a rollout.
//!
//! Read in this order: [`policy`] (the file), [`curve`] and [`share`] (how much is open), [`order`]
//! (who is first), [`calendar`] and [`clock`] (when time counts), [`attempt`] (what became of a
//! cluster), [`mod@judge`] (may the next ring open), [`caps`] (how many at a time), [`progress`] (one
//! rollout as it goes) and [`why`] (the answer to a cluster). The hub and the simulator run this
//! same code.
//!
//! Everything is a synchronous function of values, in whole numbers; nothing reads a clock, a file
//! or a random number, and nothing here grants.

pub mod amount;
pub mod attempt;
pub mod calendar;
pub mod caps;
pub mod clock;
pub mod curve;
pub mod gates;
pub mod judge;
pub mod known;
pub mod labels;
pub mod lint;
pub mod order;
pub mod policy;
pub mod progress;
pub mod selector;
pub mod share;
pub mod why;

pub use amount::{Amount, Percent, Period};
pub use attempt::{Attempt, ClusterState, End, FailureKind, Interruptions};
pub use calendar::{Calendar, CalendarError, Opening};
pub use caps::{Caps, Load};
pub use clock::{RolloutClock, Stop};
pub use curve::{Curve, CurveError, Point, Template};
pub use gates::{Baseline, Gates, GatesError, Side};
pub use judge::{
    Acknowledged, Counts, Decision, Failure, HealthGate, Judgement, Member, Muster, Rest, Trip,
    WaitReason, judge, judge_muster,
};
pub use known::{FcosRollout, Wave};
pub use labels::{LABELS_MAX, LabelError, LabelPatch, Labels};
pub use order::{FleetSalt, Position, place};
pub use policy::{Deadlines, Name, Policy, PolicyError, PolicyFault, Ring, Scope, Start};
pub use progress::{Asking, Evaluation, Rollout};
pub use selector::{Selector, SelectorError};
pub use share::Share;
pub use why::{Answer, WhyNot};

#[cfg(test)]
pub(crate) mod tests;
