//! A rollout on a fleet that does not exist: what a policy does, before it does it.
//!
//! Read in this order: [`fleet`] (who the clusters are), [`fault`] (what goes wrong), `cast` (what
//! will become of each), `run` (virtual time), [`report`] (what is told of it) and [`chart`] (the
//! same as a picture).
//!
//! Every decision is made by [`crate::rollout`], the code the hub runs; nothing here computes a
//! share, an order, a window, a cap or a judgement. Pure: virtual time, and dice with a seed.

mod cast;
pub mod chart;
mod draw;
pub mod fault;
pub mod fleet;
pub mod report;
mod run;
mod tell;
#[cfg(test)]
mod tests;

use jiff::Timestamp;

pub use fault::{Fault, FaultError, ScenarioError, scenario};
pub use fleet::{Fleet, FleetError, FleetFault, Habits, Member, Upgrade};
pub use report::Report;

use crate::rollout::{Period, Policy};
use crate::version::ReleaseVersion;

/// Shortest step: more often than this no agent reports.
pub const STEP_MIN: Period = Period::from_mins(1);
/// Longest step: beyond it a halt would be seen after the fact.
pub const STEP_MAX: Period = Period::from_hours(24);
/// The step where none is given: 13 days are 1,872 of them.
pub const STEP_DEFAULT: Period = Period::from_mins(10);

/// One simulation, the policy and the fleet aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Fixes every throw of the dice.
    pub seed: u64,
    /// Virtual time moves on by this much; no time in the report is more exact.
    pub step: Period,
    /// When the release is published. The rollout starts then, or when the policy says.
    pub published_at: Timestamp,
    /// The release; clusters that run it already are left out, and it shuffles the order.
    pub release: ReleaseVersion,
}

/// A simulation that makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SimulateError {
    /// The step is too short or too long.
    #[error("the step is {step}; write {min} to {max}", min = STEP_MIN, max = STEP_MAX)]
    Step {
        /// What was asked for.
        step: Period,
    },
    /// More faults than a report can tell apart.
    #[error("there are {faults} faults; at most {max} are simulated", max = fault::FAULTS_MAX)]
    TooManyFaults {
        /// How many.
        faults: usize,
    },
    /// A fault that can hit no cluster of the fleet, probably misspelt.
    #[error("fault {fault:?} can hit no cluster: none has these labels and versions")]
    FaultHitsNobody {
        /// The fault.
        fault: String,
    },
    /// No cluster is left to upgrade.
    #[error(
        "there is nobody to upgrade: {in_no_ring} clusters are in no ring of the policy, \
         {already_there} run the release already"
    )]
    NobodyToUpgrade {
        /// Clusters no ring selects.
        in_no_ring: u32,
        /// Clusters that run it.
        already_there: u32,
    },
}

/// Runs the policy on the fleet and tells what happened.
///
/// Up to four runs over the same clusters: the plan (nothing goes wrong and everybody is there),
/// what happens with the faults, and with a fault that harms clusters also what happens when the
/// health gate can read nothing, and when it sees nothing wrong.
pub fn simulate(
    policy: &Policy,
    fleet: &Fleet,
    faults: &[Fault],
    settings: &Settings,
) -> Result<Report, SimulateError> {
    if settings.step < STEP_MIN || settings.step > STEP_MAX {
        return Err(SimulateError::Step { step: settings.step });
    }
    if faults.len() > fault::FAULTS_MAX {
        return Err(SimulateError::TooManyFaults { faults: faults.len() });
    }
    let may_hit = |fault: &Fault| {
        fleet.members().iter().any(|member| fault.may_hit(&member.labels, member.version.as_ref()))
    };
    if let Some(fault) = faults.iter().find(|fault| !may_hit(fault)) {
        return Err(SimulateError::FaultHitsNobody { fault: fault.text().to_owned() });
    }
    let dice = draw::Dice::new(settings.seed);
    let cast = cast::Cast::new(policy, fleet, faults, &settings.release, dice)?;
    let run = |variant| run::run(policy, &cast, faults, settings, variant);
    let harmful = faults.iter().any(Fault::is_harm);
    let shadow = |variant| harmful.then(|| run(variant));
    let runs = tell::Runs {
        plan: run(run::Variant::Plan),
        actual: run(run::Variant::Actual),
        unreadable: shadow(run::Variant::Unreadable),
        unseen: shadow(run::Variant::Unseen),
    };
    Ok(tell::report(policy, fleet, faults, settings, &cast, &runs))
}
