//! Agents that break one rule each: if a law does not convict them, it is not a law.
//!
//! Nothing in the agent helps them. They are given the same inputs, spoiled on the way in, or their
//! memory is changed behind their back.

use channels::rollout::Calendar;
use channels::wire::Role;
use jiff::Timestamp;

use super::network::Delivered;
use super::run::Run;
use super::shape::Shape;
use crate::driver::{StepOrder, Task};
use crate::history::Cause;
use crate::observation::UnitKey;
use crate::phase::{Phase, StepTimings};
use crate::plan::{Grants, Mode};
use crate::state::FinalizeApproval;
use crate::telemetry::{Probe, ScrapeError};

/// What an agent does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sabotage {
    /// It restarts a second unit with every one.
    TwoAtOnce,
    /// It takes what it last read of a unit for what the unit says now.
    TrustsOldPages,
    /// It does not soak.
    NoSoak,
    /// Its first controller is the leader.
    LeaderFirst,
    /// It uncordons whatever it finds.
    UncordonsAll,
    /// It finalizes without being told.
    FinalizesUnasked,
    /// It writes nothing down.
    NeverPersists,
    /// It does not know where it runs.
    HostAnyTime,
    /// It changes where a unit goes while the unit is out.
    RetargetsMidStep,
    /// It forgets a pause.
    ForgetsPauses,
    /// It does not look at a hold.
    IgnoresHold,
    /// It goes by what it once knew of the graph.
    StaleGraph,
    /// It does not look at its windows.
    IgnoresWindows,
    /// It needs nobody's leave.
    IgnoresHub,
    /// It goes without the lease.
    IgnoresLease,
    /// It goes whatever checks say.
    IgnoresChecks,
    /// It takes every move for approved.
    IgnoresApprovals,
    /// It changes a unit whose drain was refused.
    IgnoresRefusals,
    /// It does without a majority.
    IgnoresQuorum,
    /// It does not look at its pins.
    IgnoresPin,
    /// It does not look at what releases need.
    IgnoresNeeds,
    /// It does not listen to the hub while a unit is out.
    DeafMidStep,
}

impl Sabotage {
    /// Every one, and the law that must convict it.
    pub(super) const ALL: [(Self, &'static str); 23] = [
        (Self::TwoAtOnce, "I1"),
        (Self::IgnoresQuorum, "I2"),
        (Self::TrustsOldPages, "I3"),
        (Self::NoSoak, "I4"),
        (Self::TrustsOldPages, "I5"),
        (Self::LeaderFirst, "I6"),
        (Self::UncordonsAll, "I7"),
        (Self::IgnoresRefusals, "I8"),
        (Self::FinalizesUnasked, "I9"),
        (Self::NeverPersists, "I10"),
        (Self::HostAnyTime, "I11"),
        (Self::RetargetsMidStep, "I12"),
        (Self::ForgetsPauses, "I13"),
        (Self::IgnoresHold, "I13"),
        (Self::StaleGraph, "D7-edge"),
        (Self::IgnoresWindows, "D7-window"),
        (Self::IgnoresHub, "D7-grant"),
        (Self::IgnoresLease, "D7-lease"),
        (Self::IgnoresChecks, "D7-check"),
        (Self::IgnoresApprovals, "D7-approval"),
        (Self::IgnoresPin, "D7-pin"),
        (Self::IgnoresNeeds, "D7-dependency"),
        (Self::DeafMidStep, "I13"),
    ];

    /// Before the agent thinks.
    pub(super) fn tell(run: &mut Run) {
        match run.sabotage {
            Some(Self::NoSoak) => {
                for step in run.core.policy.timings.steps.values_mut() {
                    *step = StepTimings { soak_ms: 0, green_probes: 0, ..*step };
                }
            }
            Some(Self::HostAnyTime) => run.core.policy.hosts.clear(),
            Some(Self::ForgetsPauses) => run.core.history.pause = None,
            Some(Self::IgnoresHold) => run.core.orders(None, run.people.approvals.clone()),
            Some(Self::StaleGraph) => {
                let known = super::catalogue::Catalogue::new(&run.shape).known();
                let now = run.now();
                run.core.learn(known, now);
            }
            Some(Self::IgnoresWindows) => {
                for policy in run.core.policy.products.values_mut() {
                    policy.rules.windows = Calendar::default();
                    policy.rules.pools.clear();
                }
            }
            Some(Self::IgnoresHub) => run.core.policy.grants = Grants::None,
            Some(Self::IgnoresLease) => run.core.leased(None),
            Some(Self::IgnoresChecks) => {
                for policy in run.core.policy.products.values_mut() {
                    policy.rules.checks.required.clear();
                }
                run.core.standing.checks.clear();
            }
            Some(Self::IgnoresApprovals) => {
                for policy in run.core.policy.products.values_mut() {
                    policy.mode = Mode::Auto;
                }
            }
            Some(Self::IgnoresQuorum) => {
                run.core.policy.gate.all_other_voters = false;
                run.core.policy.gate.allow_small_quorum = true;
                run.core.policy.gate.voters_bad_stop_ms = u64::MAX;
            }
            Some(Self::FinalizesUnasked) => unasked(run),
            Some(Self::IgnoresPin) => {
                run.core.policy.products.values_mut().for_each(|product| product.pin = None);
            }
            Some(Self::IgnoresNeeds) => {
                let known = super::catalogue::Catalogue::new(&Shape {
                    dependent: false,
                    ..run.shape.clone()
                });
                let now = run.now();
                run.core.learn(known.known(), now);
            }
            Some(Self::DeafMidStep) if run.core.history.out.is_some() => {
                run.core.standing.directives.clear();
                run.core.standing.disowned = None;
            }
            Some(Self::RetargetsMidStep) => {
                if let Some(out) = &mut run.core.history.out {
                    out.order.component.version = "9.9.9".to_owned();
                }
            }
            Some(
                Self::TwoAtOnce
                | Self::TrustsOldPages
                | Self::LeaderFirst
                | Self::UncordonsAll
                | Self::NeverPersists
                | Self::IgnoresRefusals
                | Self::DeafMidStep,
            )
            | None => {}
        }
    }

    /// After the agent decided, before it writes.
    pub(super) fn decided(run: &mut Run) {
        let new = run.court.out.is_none();
        if run.sabotage != Some(Self::LeaderFirst) || !new {
            return;
        }
        let leader = run.looks.last().and_then(|look| look.leader.clone());
        if let (Some(out), Some(leader)) = (&mut run.core.history.out, leader)
            && out.order.role == Role::Controller
            && out.cause == Cause::Planned
        {
            out.order.key.unit = leader;
        }
    }

    /// After a stage was started.
    pub(super) fn started(run: &mut Run, order: &StepOrder, stage: Task) {
        match (run.sabotage, stage) {
            (Some(Self::TwoAtOnce), Task::Mutate | Task::Quiesce) => {
                let mut keys = run.targets.iter().map(|target| &target.key);
                let other =
                    keys.find(|key| key.product == order.key.product && key.unit != order.key.unit);
                if let Some(key) = other.cloned() {
                    let step_id = run.id();
                    let second = StepOrder { step_id, key, ..order.clone() };
                    super::laws::before_start(run, &second, Task::Mutate);
                }
            }
            (Some(Self::UncordonsAll), Task::Restore) => run.hands.cordons.clear(),
            (Some(Self::IgnoresRefusals), Task::Quiesce | Task::Preflight) => {
                if let Some(out) = &mut run.core.history.out {
                    let since = out.phase.since().unwrap_or(Timestamp::UNIX_EPOCH);
                    out.phase = Phase::Mutate { since, quiesced: true };
                    run.disk.out.clone_from(&run.core.history.out);
                }
                run.now_ms += 60_000;
                super::laws::before_start(run, order, Task::Mutate);
            }
            _ => {}
        }
    }

    /// What the agent is given of one unit.
    pub(super) fn scraped(
        run: &mut Run,
        key: &UnitKey,
        how: Delivered,
        result: &mut Result<Probe, ScrapeError>,
        now: Timestamp,
    ) {
        if run.sabotage != Some(Self::TrustsOldPages) {
            return;
        }
        let restarts = run.court.change.as_ref().is_some_and(|change| change.unit == key.unit);
        if let (Ok(probe), Delivered::Whole) = (&*result, how) {
            run.held_good.insert(key.clone(), probe.clone());
        } else if let Some(good) = run.held_good.get(key).filter(|_| !restarts) {
            *result = Ok(Probe { requested_at: now, received_at: now, ..good.clone() });
        }
    }
}

/// Approves what nobody did.
fn unasked(run: &mut Run) {
    let pending = run.core.history.products.iter().find_map(|(product, record)| {
        let pending = record.finalization.as_ref()?;
        Some(FinalizeApproval {
            product: product.clone(),
            release: pending.release.clone(),
            release_digest: pending.release_digest,
            at: run.now(),
            by: "nobody".to_owned(),
        })
    });
    run.core.finalize_approved(pending.into_iter().collect());
}
