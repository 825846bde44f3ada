//! The invariants of rolling.md §9 (I1–I13), asked of what really happened; those of design.md §7 are
//! in `laws_of_design`.
//!
//! None of them calls the planner or a gate: they look at the model, at what pages the agent was
//! given, at what the driver was told and at what is on disk. Where the agent can only notice
//! something after a while, the law says how long that may take.

use channels::names::UnitName;
use channels::wire::Role;

use super::laws_of_design as design;
use super::looks::{Look, Looks};
use super::network::Delivered;
use super::run::Run;
use super::shape::{SOAK_MS, product_of};
use crate::driver::{FinalizeOrder, StepOrder, Task};
use crate::history::{Cause, Out};
use crate::observation::Placement;

/// A cut or slow voter shows in figures only after the fetch timeout, two probes and an estimate.
const NOTICE_MS: i64 = 4_000;

/// The same while a page tells an old story: until it is caught standing still.
const NOTICE_LIES_MS: i64 = 11_000;

/// A commit that stands still, by `commit_window` of five seconds.
const NOTICE_STALL_MS: i64 = 9_000;

/// A crawling relist shows in a quantile of the last minute; a hung one after half of one.
const NOTICE_PLEG_MS: i64 = 75_000;

/// Probes at which the gate must have held (I2).
const PROBES: usize = 2;

/// A planned unit was taken out and this is on disk or will never have happened.
pub(super) fn taken_out(run: &mut Run, out: &Out) {
    let order = &out.order;
    i01_at_most_one_unit_is_out(run, order);
    i06_the_leader_goes_last(run, order);
    i11_the_agents_own_node_goes_last(run, order);
    design::d7_every_running_version_has_an_edge(run, order);
    design::d7_no_release_beyond_a_pin(run, order);
    design::d7_dependencies_hold(run, order);
    design::d7_nothing_starts_outside_its_window(run, order);
    design::d7_nothing_starts_without_leave(run, order);
    design::d7_checks_have_passed(run, out);
}

/// A stage is about to be started.
pub(super) fn before_start(run: &mut Run, order: &StepOrder, stage: Task) {
    i10_what_is_started_was_written_first(run, order, stage);
    i13_a_stopped_roll_starts_nothing(run, order, stage);
    design::d7_only_the_holder_of_the_lease_acts(run, order, stage);
    if stage == Task::Mutate {
        i01_at_most_one_unit_is_out(run, order);
        i02_the_gate_held_at_two_probes(run, order);
        i03_unknown_counts_as_bad(run, order);
        i05_nothing_goes_while_another_is_down(run, order);
        i06_the_leader_goes_last(run, order);
        i08_a_refused_drain_changes_nothing(run, order);
        i10_no_unit_is_changed_twice(run, order);
    }
}

/// I1: at most one unit of the whole cluster is out.
fn i01_at_most_one_unit_is_out(run: &mut Run, order: &StepOrder) {
    let me = &order.key.unit;
    let drained = run.hands.own_cordons().filter(|name| *name != me).cloned();
    let change = run.court.change.as_ref().filter(|change| change.unit != *me);
    let restarts = change
        .filter(|change| run.sim.restarting_for(&change.unit) == Some(change.step))
        .map(|change| change.unit.clone());
    let others: Vec<UnitName> = drained.chain(restarts).collect();
    if !others.is_empty() {
        run.court.convict("I1", format!("{me} is taken out while {others:?} are out"));
    }
}

/// I2: the gate of x really held at the last two probes, the last of this moment. An oracle of its
/// own: who leads, who is caught up, what is in sync, as the model knows it.
fn i02_the_gate_held_at_two_probes(run: &mut Run, order: &StepOrder) {
    let looks: Vec<&Look> = run.looks.newest().take(PROBES).collect();
    let mut bad = Vec::new();
    if looks.len() < PROBES {
        bad.push("nobody looked twice".to_owned());
    }
    if looks.first().is_some_and(|look| run.now_ms - look.at_ms > 2_000) {
        bad.push("the last look is old".to_owned());
    }
    for look in looks {
        match order.role {
            Role::Controller => {
                bad.extend(quorum_without(run, look, Some(&order.key.unit)));
                if run.shape.combined {
                    bad.extend(replication(look, &order.key.unit));
                }
            }
            Role::Broker => {
                bad.extend(quorum_without(run, look, None));
                bad.extend(replication(look, &order.key.unit));
            }
            Role::Node => {
                bad.extend(nodes(look, &order.key.unit));
                let voter = voter_on(run, &order.key.unit);
                bad.extend(voter.iter().flat_map(|voter| quorum_without(run, look, Some(voter))));
            }
            Role::Workload => {}
        }
        if look.alert {
            bad.push("an alert fires".to_owned());
        }
    }
    if !bad.is_empty() {
        bad.dedup();
        run.court.convict("I2", format!("{} goes: {bad:?}", order.key.unit));
    }
}

/// What is wrong with the quorum if `without` goes, long enough to be noticed.
fn quorum_without(run: &Run, look: &Look, without: Option<&UnitName>) -> Vec<String> {
    let lies = Looks::lately(run.looks.lied_at_ms, NOTICE_LIES_MS, look.at_ms);
    let notice_ms = if lies { NOTICE_LIES_MS } else { NOTICE_MS };
    let long = |since: Option<i64>| since.is_some_and(|since| look.at_ms - since > notice_ms);
    let mut bad = Vec::new();
    if long(look.leaderless_since_ms) {
        bad.push("nobody leads".to_owned());
    }
    if look.at_ms - look.stalled_since_ms > notice_ms.max(NOTICE_STALL_MS) {
        bad.push("nothing is committed".to_owned());
    }
    let voters = || look.units.iter().filter(|(_, unit)| unit.role == Role::Controller);
    let count = voters().count();
    let others = || voters().filter(|(name, _)| Some(*name) != without);
    let behind: Vec<&UnitName> =
        others().filter(|(_, unit)| long(unit.bad_since_ms)).map(|(name, _)| name).collect();
    let well = others().count() - behind.len();
    let small = run.shape.small_quorum && count < 3;
    if well < count / 2 + 1 && !small {
        bad.push(format!("{well} of {count} voters are left, behind are {behind:?}"));
    }
    if !run.shape.majority_only && !behind.is_empty() {
        bad.push(format!("{behind:?} are behind"));
    }
    if count < 3 && !run.shape.small_quorum {
        bad.push(format!("a quorum of {count} may not be rolled"));
    }
    bad
}

/// Brokers whose replicas are not in sync, as any honest page of another shows at once.
fn replication(look: &Look, me: &UnitName) -> Vec<String> {
    let brokers = || look.units.iter().filter(|(_, unit)| unit.is_broker);
    let out: Vec<&UnitName> =
        brokers().filter(|(name, unit)| *name != me && !unit.in_sync).map(|(n, _)| n).collect();
    let told = brokers().any(|(name, unit)| {
        unit.delivered == Delivered::Whole && out.iter().any(|other| *other != name)
    });
    if told { vec![format!("{out:?} are not in sync")] } else { vec![] }
}

/// The controller that sits on a node.
fn voter_on(run: &Run, node: &UnitName) -> Option<UnitName> {
    let here = |target: &&crate::observation::Target| matches!(&target.placement, Placement::OnNode(name) if name == node);
    run.targets.iter().find(here).map(|target| target.key.unit.clone())
}

/// Other nodes that are held, not Ready, or whose kubelet crawls.
fn nodes(look: &Look, me: &UnitName) -> Vec<String> {
    let others = look.units.iter().filter(|(name, unit)| unit.role == Role::Node && *name != me);
    others
        .filter_map(|(name, unit)| {
            let slow = unit.pleg_bad_since_ms.is_some_and(|at| look.at_ms - at > NOTICE_PLEG_MS);
            (unit.held || slow).then(|| format!("{name} is held or slow"))
        })
        .collect()
}

/// I3 and design.md §7: a missing, stale or unreadable signal of a peer never lets a unit go; x
/// itself does not count.
fn i03_unknown_counts_as_bad(run: &mut Run, order: &StepOrder) {
    let me = &order.key.unit;
    let own = product_of(order.role);
    let peer = |name: &UnitName, role: Role| {
        name != me
            && match order.role {
                Role::Controller => role == Role::Controller && !run.shape.majority_only,
                Role::Broker => product_of(role) == own && !run.shape.majority_only,
                Role::Node | Role::Workload => role == order.role,
            }
    };
    let unread: Vec<String> = run
        .looks
        .newest()
        .take(PROBES)
        .flat_map(|look| look.units.iter().map(|(name, unit)| (look.at_ms, name, unit)))
        .filter(|(_, name, unit)| peer(name, unit.role) && unit.delivered == Delivered::Spoiled)
        .map(|(at, name, _)| format!("{name} {} ms ago", run.now_ms - at))
        .collect();
    if !unread.is_empty() {
        run.court.convict("I3", format!("{me} goes, but nobody could read {unread:?}"));
    }
}

/// I5: no unit goes while another one of the cluster is down, as the last two probes told.
fn i05_nothing_goes_while_another_is_down(run: &mut Run, order: &StepOrder) {
    let me = &order.key.unit;
    let down: Vec<String> = run
        .looks
        .newest()
        .take(1)
        .flat_map(|look| look.units.iter())
        .filter(|(name, unit)| *name != me && unit.delivered == Delivered::Lost)
        .map(|(name, _)| name.to_string())
        .collect();
    if !down.is_empty() {
        run.court.convict("I5", format!("{me} goes while {down:?} do not answer"));
    }
}

/// I6: the active controller goes when no other one is left, whoever led at the last probe.
fn i06_the_leader_goes_last(run: &mut Run, order: &StepOrder) {
    // What is tried again is out, and nobody else can go before it.
    if order.role != Role::Controller || order.attempt > 1 {
        return;
    }
    let me = &order.key.unit;
    let Some(look) = run.looks.last() else { return };
    if look.leader.as_ref() != Some(me) {
        return;
    }
    // Who began as a leader goes on as one; nobody can read an election off an old page.
    let began = run.core.history.out.as_ref().is_some_and(|out| out.leadership.was_leader);
    let sure = look.units.values().all(|u| u.delivered == Delivered::Whole);
    let fresh = run.looks.newest().take(6).all(|look| look.leader.as_ref() == Some(me));
    let behind: Vec<String> = look
        .units
        .iter()
        .filter(|(name, unit)| {
            unit.role == Role::Controller && *name != me && unit.version != order.component.version
        })
        .map(|(name, _)| name.to_string())
        .collect();
    let taken = run.court.out.is_none();
    if sure && fresh && !behind.is_empty() && (taken || !began) {
        run.court.convict("I6", format!("leader {me} goes before {behind:?}"));
    }
}

/// I8: where a drain or a check said no, nothing is changed in that step.
fn i08_a_refused_drain_changes_nothing(run: &mut Run, order: &StepOrder) {
    for stage in [Task::Preflight, Task::Before, Task::Quiesce] {
        if run.hands.refused(order.step_id, stage, run.now_ms) {
            run.court.convict("I8", format!("{} is changed after {stage} said no", order.key.unit));
        }
    }
}

/// I10: the phase is on disk before what it leads to is started.
fn i10_what_is_started_was_written_first(run: &mut Run, order: &StepOrder, stage: Task) {
    let written = run.disk.out.as_ref().filter(|out| out.order == *order);
    if written.is_none_or(|out| out.phase.task() != Some(stage)) {
        let phase = run.disk.out.as_ref().map(|out| super::run::phase(&out.phase));
        run.court
            .convict("I10", format!("{stage} of {} starts, on disk is {phase:?}", order.key.unit));
    }
}

/// I10: no unit is restarted into what it already runs, if its pages said so.
fn i10_no_unit_is_changed_twice(run: &mut Run, order: &StepOrder) {
    let me = &order.key.unit;
    let told = run.looks.last().and_then(|look| look.units.get(me));
    let told = told.is_some_and(|unit| {
        unit.delivered == Delivered::Whole && unit.version == order.component.version
    });
    if told && run.core.history.out.as_ref().is_none_or(|out| out.order.attempt == 1) {
        run.court.convict("I10", format!("{me} is changed into {}, which it runs", order.to));
    }
}

/// I11: of a role's units the agent's own node goes last; only a leader goes later.
fn i11_the_agents_own_node_goes_last(run: &mut Run, order: &StepOrder) {
    let me = &order.key.unit;
    if run.shape.host.as_ref() != Some(me) {
        return;
    }
    let Some(look) = run.looks.last() else { return };
    let behind: Vec<String> = look
        .units
        .iter()
        .filter(|(name, unit)| {
            unit.role == order.role && *name != me && unit.version != order.component.version
        })
        .map(|(name, _)| name.to_string())
        .collect();
    if !behind.is_empty() {
        run.court.convict("I11", format!("the agent's own {me} goes before {behind:?}"));
    }
}

/// I12: where a step goes does not change while it is out.
pub(super) fn same_target(run: &mut Run, before: &Out, out: &Out) {
    if before.order.to != out.order.to || before.order.component != out.order.component {
        let (from, to) = (&before.order.to, &out.order.to);
        run.court.convict("I12", format!("{} went to {from}, now to {to}", out.key().unit));
    }
}

/// I13: a roll that is paused, or held on the cluster or by its hub, or of a cluster whose key the
/// hub refuses, starts nothing that prepares or changes.
fn i13_a_stopped_roll_starts_nothing(run: &mut Run, order: &StepOrder, stage: Task) {
    let prepares = matches!(stage, Task::Preflight | Task::Before | Task::Quiesce | Task::Mutate);
    let stopped = run.court.was_paused.is_some() || run.people.hold.is_some();
    let by_hub = run.court.disowned || run.court.held.contains(&order.key.product);
    if prepares && (stopped || by_hub || run.moment.quorum_change.is_some()) {
        run.court.convict("I13", format!("{stage} of {} starts in a stopped roll", order.key.unit));
    }
}

/// The soak of a step has ended. What befalls the unit or the quorum while a last hook runs is no
/// part of it: the agent finds a unit that went as one that changed by itself, and soaks that.
pub(super) fn soak_ended(run: &mut Run, out: &Out) {
    if !out.phase.is_changed() || out.cause == Cause::Adopted {
        return;
    }
    let change = run.court.change.clone();
    let Some(change) = change.filter(|change| change.unit == out.key().unit) else { return };
    i04_back_healthy_and_soaked(run, out);
    if out.order.role == Role::Controller {
        i06_at_most_one_change_of_leaders(run, out, &change);
    }
}

/// I4: a step ends when its unit is back in the version it was sent to, and was watched for as long
/// as it must be.
fn i04_back_healthy_and_soaked(run: &mut Run, out: &Out) {
    let me = &out.key().unit;
    let expected = &out.order.component.version;
    let uneven = Looks::lately(run.looks.uneven_at_ms, 2 * SOAK_MS + 10_000, run.now_ms);
    let well = |look: &&Look| {
        look.units.get(me).is_some_and(|unit| {
            unit.up && unit.version == *expected && unit.delivered != Delivered::Lost
        })
    };
    let good: Vec<&Look> = run.looks.newest().take_while(well).collect();
    let watched_ms = good.last().map_or(0, |first| run.now_ms - first.at_ms);
    let enough = if uneven { good.len() >= PROBES } else { watched_ms >= SOAK_MS };
    if !enough {
        let what = format!("{me} is done after {watched_ms} ms in {expected}");
        run.court.convict("I4", what);
    }
}

/// I6: a step changes the leader once if it took the leader out, and never otherwise.
fn i06_at_most_one_change_of_leaders(run: &mut Run, out: &Out, change: &super::court::Change) {
    let leader = run.looks.last().and_then(|look| look.leader.clone());
    let (Some(before), Some(after)) = (&change.leader, &leader) else { return };
    // Two voters are no majority without one of them: then a leader that nobody touched resigns.
    let lame = run.shape.controllers < 3;
    if *before != change.unit && before != after && !change.paused && !lame {
        let what = format!("{} is done, leader was {before}, is {after}", out.key().unit);
        run.court.convict("I6", what);
    }
}

/// I9: the irreversible step is taken when every unit runs the release, with exactly that approval.
pub(super) fn before_finalize(run: &mut Run, order: &FinalizeOrder) {
    let own = &order.product;
    let mut bad = Vec::new();
    let approved = run.people.finalize.iter().any(|approval| {
        approval.product == *own
            && approval.release == order.release
            && approval.release_digest == order.release_digest
    });
    if !approved {
        bad.push("nobody approved it".to_owned());
    }
    if let Some(look) = run.looks.last() {
        let others = look.units.iter().filter(|(_, unit)| {
            product_of(unit.role) == *own && unit.version != order.release.to_string()
        });
        bad.extend(others.map(|(name, unit)| format!("{name} runs {}", unit.version)));
        let down = look.units.iter().filter(|(_, unit)| unit.delivered == Delivered::Lost);
        bad.extend(down.map(|(name, _)| format!("{name} is down")));
    }
    if run.core.history.out.is_some() {
        bad.push("a unit is out".to_owned());
    }
    if run.court.was_paused.is_some() || run.people.hold.is_some() {
        bad.push("the roll is stopped".to_owned());
    }
    if run.court.finalized.contains(&(own.clone(), order.release.clone())) {
        bad.push("it was finalized before".to_owned());
    }
    if !bad.is_empty() {
        run.court.convict("I9", format!("{} of {own} is finalized: {bad:?}", order.release));
    }
}

/// What must hold after every step and every event.
pub(super) fn after_step(run: &mut Run) {
    i07_only_own_cordons_are_lifted(run);
    i09_no_way_back(run);
    i13_a_pause_lasts_until_resume(run);
    if run.core.history.pause.is_some()
        && let Some(change) = &mut run.court.change
    {
        change.paused = true;
    }
}

/// I7: what somebody else cordoned stays so, and nothing of ours stays behind.
fn i07_only_own_cordons_are_lifted(run: &mut Run) {
    let lost: Vec<UnitName> = run
        .court
        .cordoned_by_people
        .iter()
        .filter(|name| !run.hands.cordons.contains_key(*name))
        .cloned()
        .collect();
    for name in lost {
        run.court.cordoned_by_people.remove(&name);
        run.court.convict("I7", format!("{name} was cordoned by a person, and is not any more"));
    }
    if run.disk.out.is_none() && run.core.history.out.is_none() {
        let left: Vec<UnitName> = run.hands.own_cordons().cloned().collect();
        if !left.is_empty() {
            run.court.convict("I7", format!("nothing is out, and {left:?} stay cordoned"));
        }
    }
}

/// I9: after finalize there is no way back.
fn i09_no_way_back(run: &mut Run) {
    let Some(out) = &run.core.history.out else { return };
    let order = &out.order;
    let past = run.court.finalized.iter().find(|(own, release)| {
        *own == order.key.product && order.to < *release && out.cause == Cause::Planned
    });
    if let Some((_, release)) = past {
        let what = format!("{} goes back to {} after {release}", order.key.unit, order.to);
        run.court.convict("I9", what);
    }
}

/// I13: a pause ends when a person says so.
fn i13_a_pause_lasts_until_resume(run: &mut Run) {
    let pause = run.core.history.pause.as_ref().map(|pause| pause.at);
    let gone = run.court.was_paused.is_some() && run.court.was_paused != pause;
    if gone && !run.court.resumed && !run.court.died {
        run.court.convict("I13", "the pause is gone, and nobody said resume".to_owned());
    }
}
