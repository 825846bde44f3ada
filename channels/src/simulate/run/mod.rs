//! Virtual time: step by step, what the hub would see, judge and grant.
//!
//! The order within a step is the hub's: people act, reports come in, rings are judged, clusters
//! that ask are answered. A cluster renews its grant before every unit, so its upgrade stands still
//! while the rollout is stopped or the hub is down; a closed window does not interrupt it.

mod record;
mod stage;

pub(super) use record::{Happening, RingTale, Sample, Tale};

use jiff::SignedDuration;

use super::Settings;
use super::cast::{Cast, later};
use super::fault::Fault;
use super::report::Ending;
use crate::rollout::{Period, Policy};
use stage::Stage;

/// Most steps of one run: a year of ten-minute steps. A run that needs more ends there and says so.
pub(super) const STEPS_MAX: u32 = 52_704;

/// Open time without any change after which a run is over, besides the longest curve and soak:
/// two days cover every upgrade that is still going on.
const IDLE: SignedDuration = SignedDuration::from_hours(48);

/// Which story is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Variant {
    /// Nothing goes wrong, everybody is online and takes the typical time.
    Plan,
    /// The faults as they are.
    Actual,
    /// As `Actual`, and the health of no cluster can be read.
    Unreadable,
    /// As `Actual`, and clusters the release harms look healthy.
    Unseen,
}

/// Plays one variant to its end.
pub(super) fn run(
    policy: &Policy,
    cast: &Cast<'_>,
    faults: &[Fault],
    settings: &Settings,
    variant: Variant,
) -> Tale {
    let faults = if variant == Variant::Plan { &[] } else { faults };
    let starts_at = policy.starts_at(settings.published_at);
    let idle = idle_bound(policy);
    let mut stage = Stage::new(policy, cast, faults, settings.step, starts_at, variant);
    for number in 0..STEPS_MAX {
        let step = settings.step.duration();
        let after = step.saturating_mul(i32::try_from(number).unwrap_or(i32::MAX));
        stage.step(later(starts_at, after), after);
        if let Some(ending) = stage.ending(idle) {
            return stage.end(ending);
        }
    }
    stage.end(Ending::OutOfSteps)
}

fn idle_bound(policy: &Policy) -> SignedDuration {
    let lengths = policy.rings.iter().map(|ring| (ring.curve.length(), ring.gates.soak));
    let longest = |periods: &mut dyn Iterator<Item = Period>| periods.max().unwrap_or(Period::ZERO);
    let curve = longest(&mut lengths.clone().map(|(curve, _)| curve));
    let soak = longest(&mut lengths.map(|(_, soak)| soak));
    IDLE.saturating_add(curve.duration()).saturating_add(soak.duration())
}
