//! The agent's state in the hub's words: the same sentences go to log, report and `status`.
//!
//! Pure: values in, documents out.

use std::collections::BTreeMap;

use channels::names::ProductRef;
use channels::wire::{self, AcceptedRisk, ClusterHeader, Failure, ProductState, Progress, Report};
use jiff::Timestamp;

use super::core::Core;
use super::ledger::{Ledger, Turn};
use crate::history::Out;
use crate::plan::{AT_REST, Ask, Goal, ProductPolicy, Scene, Stand, Target, stand};

/// Longest message of a reason or failure in a report; the full text is in the log.
const MESSAGE_CHARS_MAX: usize = 400;

/// Longest reason of an accepted risk in a report: a sentence. The configuration has all of it.
const ACCEPTED_REASON_CHARS_MAX: usize = 160;

/// Units listed in a report that would otherwise be too large.
const UNITS_IN_LARGE_REPORT: usize = 8;

/// The state of every product, and the reasons that came or went since the last call.
pub fn product_states(
    core: &Core,
    ledger: &mut Ledger,
    ask: Option<&Ask>,
    now: Timestamp,
) -> (Vec<ProductState>, Vec<Turn>) {
    let mut reasons: BTreeMap<ProductRef, Vec<wire::WaitingOn>> = core
        .policy
        .products
        .keys()
        .map(|product| (product.clone(), waiting_on(core, product)))
        .collect();
    let turns = ledger.note_reasons(&mut reasons, now);
    let states = reasons
        .into_iter()
        .filter_map(|(product, reasons)| state(core, ledger, ask, now, &product, reasons))
        .collect();
    (states, turns)
}

fn state(
    core: &Core,
    ledger: &mut Ledger,
    ask: Option<&Ask>,
    now: Timestamp,
    product: &ProductRef,
    mut waiting_on: Vec<wire::WaitingOn>,
) -> Option<ProductState> {
    let policy = core.policy.products.get(product)?;
    let record = core.history.products.get(product)?;
    let out = core.history.out.as_ref().filter(|out| out.key().product == *product);
    let target = core.targets.get(product);
    let phase = phase(core, product, out, target, &waiting_on);
    waiting_on.truncate(Report::MAX_REASONS);
    let since = ledger.note_phase(product, phase, now);
    let mut health = core
        .observation
        .as_ref()
        .map_or_else(wire::HealthSummary::default, |seen| seen.health(product, None));
    health.since = Some(ledger.note_verdict(product, health.verdict, now));
    health.measured = measured(core, product);
    let mut units =
        core.observation.as_ref().map_or_else(Vec::new, |seen| seen.unit_states(product));
    units.truncate(Report::MAX_UNITS);
    let to = record.roll.as_ref().filter(|roll| roll.touched).map(|roll| roll.to.clone());
    Some(ProductState {
        product: product.clone(),
        channel: policy.channel.clone(),
        arch: policy.arch.clone(),
        version: record.version.clone(),
        target: to.or_else(|| match target {
            Some(Target::Move(goal)) => Some(goal.to.clone()),
            Some(Target::Blocked { to, .. }) => to.clone(),
            Some(Target::Settled) | None => None,
        }),
        phase,
        since: out.and_then(|out| out.phase.since()).unwrap_or(since),
        unit: out.map(|out| out.key().unit.clone()),
        progress: progress(core, product, target, now),
        health,
        waiting_on,
        failure: failure(core, product),
        accepted_risks: accepted_risks(policy, now),
        wants: ask.filter(|ask| ask.product == *product).map(|ask| ask.request.clone()),
        units,
    })
}

/// Answers to what the hub wants measured of the product. What is still being asked is left out.
fn measured(core: &Core, product: &ProductRef) -> Vec<wire::Measured> {
    let wanted = core.measures.iter().filter(|measure| measure.product == *product);
    let answer = |measure: &wire::Measure| match &core.measured {
        Some(known) => known.get(&measure.id).cloned(),
        None => Some(wire::Measured {
            id: measure.id.clone(),
            value: None,
            mean: None,
            why: Some("no [prometheus] is configured here".to_owned()),
        }),
    };
    wanted.filter_map(answer).collect()
}

fn phase(
    core: &Core,
    product: &ProductRef,
    out: Option<&Out>,
    target: Option<&Target>,
    waiting_on: &[wire::WaitingOn],
) -> wire::Phase {
    match out {
        _ if is_paused(core, product) => wire::Phase::Paused,
        Some(out) => out.phase.wire(),
        None if waiting_on.iter().any(|why| !AT_REST.contains(&why.gate.as_str()))
            || matches!(target, Some(Target::Move(_))) =>
        {
            wire::Phase::Waiting
        }
        None => wire::Phase::Idle,
    }
}

/// Whether the pause is this product's: its unit is out, or it was when the roll paused.
fn is_paused(core: &Core, product: &ProductRef) -> bool {
    core.history.pause.is_some()
        && match &core.history.out {
            Some(out) => out.key().product == *product,
            None => core
                .history
                .products
                .get(product)
                .is_some_and(|p| p.roll.is_some() || p.finalization.is_some()),
        }
}

/// Why the product does not move; while a unit is out, why that one does not advance.
fn waiting_on(core: &Core, product: &ProductRef) -> Vec<wire::WaitingOn> {
    let planned = core.plan.as_ref().and_then(|plan| plan.waiting_on.get(product));
    let mut reasons: Vec<wire::WaitingOn> = planned
        .into_iter()
        .flatten()
        .map(|reason| {
            let mut reason = reason.to_wire();
            reason.message = short(&reason.message);
            reason
        })
        .collect();
    let out = core.history.out.as_ref().is_some_and(|out| out.key().product == *product);
    if out && let Some(wait) = &core.current_wait {
        reasons.push(wire::WaitingOn { message: short(&wait.message), ..wait.clone() });
    }
    reasons
}

/// The failure that still matters: what does not verify, or what paused the roll.
fn failure(core: &Core, product: &ProductRef) -> Option<Failure> {
    let known = core.known.get(product);
    let metadata = known.and_then(|known| known.failure.as_ref()).map(|t| t.failure.clone());
    let document = || {
        let releases = known.map(|known| &known.releases)?;
        let Some(Target::Blocked { to: Some(to), .. }) = core.targets.get(product) else {
            return None;
        };
        releases.get(to)?.as_ref().err().cloned()
    };
    let paused = || {
        let pause = core.history.pause.as_ref()?;
        is_paused(core, product).then(|| Failure {
            kind: pause.why.gate.clone(),
            message: pause.why.message.clone(),
            at: pause.at,
        })
    };
    let failure = paused().or(metadata).or_else(document)?;
    Some(Failure { message: short(&failure.message), ..failure })
}

/// Risks that the owner accepts, those whose time is over last.
fn accepted_risks(policy: &ProductPolicy, now: Timestamp) -> Vec<AcceptedRisk> {
    let told = |risk: &AcceptedRisk| AcceptedRisk {
        name: risk.name.clone(),
        reason: risk.reason.chars().take(ACCEPTED_REASON_CHARS_MAX).collect(),
        until: risk.until,
    };
    let mut risks: Vec<_> = policy.accepted_risks.iter().map(told).collect();
    risks.sort_by_key(|risk| !risk.is_in_force(now));
    risks.truncate(Report::MAX_ACCEPTED_RISKS);
    risks
}

/// Units done of units concerned, while a roll is under way.
fn progress(
    core: &Core,
    product: &ProductRef,
    target: Option<&Target>,
    now: Timestamp,
) -> Option<Progress> {
    core.history.products.get(product)?.roll.as_ref()?;
    let (Some(Target::Move(goal)), Some(observation)) = (target, &core.observation) else {
        return None;
    };
    Some(count(&core.scene(observation, now), product, goal))
}

fn count(scene: &Scene<'_>, product: &ProductRef, goal: &Goal) -> Progress {
    let mut progress = Progress { done: 0, total: 0 };
    for key in scene.observation.units.keys().filter(|key| key.product == *product) {
        match stand(scene, key, goal) {
            Stand::NotConcerned => {}
            Stand::AtGoal if !scene.history.is_out(key) => {
                progress.done += 1;
                progress.total += 1;
            }
            Stand::AtGoal | Stand::Behind(_) | Stand::Foreign(_) | Stand::Silent => {
                progress.total += 1;
            }
        }
    }
    progress
}

fn short(message: &str) -> String {
    message.chars().take(MESSAGE_CHARS_MAX).collect()
}

/// A report that fits the hub's body limit: healthy units are left out first, then most units, then
/// what the owner accepts.
pub(super) fn report(cluster: ClusterHeader, products: Vec<ProductState>) -> Report {
    let mut report = Report { cluster, full: true, products };
    if !fits(&report) {
        for product in &mut report.products {
            product.units.retain(|unit| unit.health != wire::HealthVerdict::Healthy);
        }
    }
    if !fits(&report) {
        for product in &mut report.products {
            product.units.truncate(UNITS_IN_LARGE_REPORT);
        }
    }
    if !fits(&report) {
        for product in &mut report.products {
            product.accepted_risks.clear();
        }
    }
    report
}

fn fits(report: &Report) -> bool {
    serde_json::to_vec(report).is_ok_and(|bytes| bytes.len() <= Report::MAX_BYTES)
}
