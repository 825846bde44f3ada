//! The invariants of design.md §7 (D7) beside those of rolling.md §9: where a unit may go, when, and
//! on whose word.

use channels::names::ProductRef;
use channels::rollout::Opening;
use channels::version::ReleaseVersion;

use super::super::world::{product, version};
use super::hub::Hub;
use super::network::Delivered;
use super::run::Run;
use super::shape::{KAFKA, product_of};
use crate::driver::{StepOrder, Task};
use crate::history::Out;
use crate::plan::{CheckOutcome, LeaseFact, Mode};

/// design.md §7: a target needs an edge from every version that still runs; a withdrawn one holds.
pub(super) fn d7_every_running_version_has_an_edge(run: &mut Run, order: &StepOrder) {
    let to = order.to.to_string();
    let own = &order.key.product;
    let Some(look) = run.looks.last() else { return };
    let clear = run.risk_is_clear();
    let sure = look.units.values().all(|unit| unit.delivered == Delivered::Whole);
    let missing: Vec<String> = look
        .units
        .iter()
        .filter(|(_, unit)| product_of(unit.role) == *own && unit.version != to)
        .filter(|(_, unit)| !run.catalogue.offers(own, (&unit.version, &to), clear))
        .map(|(name, unit)| format!("{name} from {}", unit.version))
        .collect();
    if sure && !missing.is_empty() {
        let what = format!("{} goes to {to} without an edge for {missing:?}", order.key.unit);
        run.court.convict("D7-edge", what);
    }
}

/// design.md §7: a pin is the release, or can be reached from it. Only an order back is a newer word
/// of the same person.
pub(super) fn d7_no_release_beyond_a_pin(run: &mut Run, order: &StepOrder) {
    let own = &order.key.product;
    let Some(pin) = run.policy.products[own].pin.as_ref().map(ToString::to_string) else { return };
    let back = run.people.approvals.iter().any(|a| a.product == *own && a.back);
    if !back && !run.catalogue.leads_to(own, &order.to.to_string(), &pin) {
        let what = format!("{} goes to {}, pinned to {pin}", order.key.unit, order.to);
        run.court.convict("D7-pin", what);
    }
}

/// design.md §7: what the release needs of other products runs everywhere, and nothing is taken from
/// a product that all its units need. A single unit of another product that changed by itself is no
/// release of that product: its own roll says what becomes of it.
pub(super) fn d7_dependencies_hold(run: &mut Run, order: &StepOrder) {
    let own = &order.key.product;
    let Some(look) = run.looks.last() else { return };
    if look.units.values().any(|unit| unit.delivered != Delivered::Whole) {
        return;
    }
    let of = |product: &ProductRef| -> Vec<ReleaseVersion> {
        let units = look.units.values().filter(|unit| product_of(unit.role) == *product);
        units.map(|unit| version(&unit.version)).collect()
    };
    let mut bad = Vec::new();
    if let Some((other, requirement)) = run.catalogue.needs(own, &order.to.to_string()) {
        let runs = of(other);
        if runs.is_empty() || !runs.iter().all(|version| requirement.matches(version)) {
            bad.push(format!("it needs {other} {requirement}, which runs {runs:?}"));
        }
    }
    for other in run.catalogue.shelves.keys().filter(|other| *other != own) {
        let runs = of(other);
        let broken = |version: &ReleaseVersion| {
            let need = run.catalogue.needs(other, &version.to_string());
            need.is_some_and(|(product, need)| product == own && !need.matches(&order.to))
        };
        if !runs.is_empty() && runs.iter().all(broken) {
            bad.push(format!("{other} {runs:?} needs another"));
        }
    }
    if !bad.is_empty() {
        let what = format!("{} goes to {}: {bad:?}", order.key.unit, order.to);
        run.court.convict("D7-dependency", what);
    }
}

/// design.md §7: windows, freezes and paused pools.
pub(super) fn d7_nothing_starts_outside_its_window(run: &mut Run, order: &StepOrder) {
    let rules = &run.policy.products[&order.key.product].rules;
    let paused = rules.pools.values().any(|pool| pool.paused);
    let open = rules.windows.opening(run.now()) == Opening::Open;
    if paused || !open {
        let what = format!("{} starts outside its window", order.key.unit);
        run.court.convict("D7-window", what);
    }
}

/// design.md §7: manual moves are approved, as are those that policy `patch` does not make, and a hub's grant is newer than the last unit.
pub(super) fn d7_nothing_starts_without_leave(run: &mut Run, order: &StepOrder) {
    let own = &order.key.product;
    let line = |version: &ReleaseVersion| (version.semver().major, version.semver().minor);
    let by_itself = match run.shape.mode {
        Mode::Auto | Mode::Hub => true,
        Mode::Patch => line(&order.from) == line(&order.to),
        Mode::Manual => false,
    };
    let named = |a: &crate::state::Approval| a.product == *own && (a.to >= order.to || a.back);
    if !by_itself && !run.people.approvals.iter().any(named) {
        // Units that a roll has begun with may follow each other after the approval is gone.
        let begun = run.disk.products[own].roll.as_ref().is_some_and(|roll| roll.touched);
        if !begun {
            run.court.convict("D7-approval", format!("nobody approved {} of {own}", order.to));
        }
    }
    if run.hub == Hub::Absent {
        return;
    }
    let leave = run.court.leaves.get(own);
    let fits =
        leave.is_some_and(|leave| leave.to == order.to && leave.at_ms >= run.court.ended_at_ms);
    if !fits {
        run.court.convict("D7-grant", format!("{} goes on {leave:?}", order.key.unit));
    }
}

/// design.md §7: before the first unit everything has been checked.
pub(super) fn d7_checks_have_passed(run: &mut Run, out: &Out) {
    let own = &out.order.key.product;
    let first = run.disk.products[own].roll.as_ref().is_none_or(|roll| !roll.touched);
    let required = run.shape.checked && *own == product(KAFKA);
    if first && required && run.moment.check != Some(CheckOutcome::Passed) {
        let what = format!("{} goes, the check says {:?}", out.key().unit, run.moment.check);
        run.court.convict("D7-check", what);
    }
}

/// design.md §7 and I1: of several agents one acts.
pub(super) fn d7_only_the_holder_of_the_lease_acts(run: &mut Run, order: &StepOrder, stage: Task) {
    let holds = match &run.moment.lease {
        None => true,
        Some(LeaseFact::Held { until }) => run.now() < *until,
        Some(LeaseFact::Elsewhere { .. } | LeaseFact::Unknown { .. }) => false,
    };
    if !holds {
        let what = format!("{stage} of {} starts without the lease", order.key.unit);
        run.court.convict("D7-lease", what);
    }
}
