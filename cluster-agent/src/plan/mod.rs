//! The planner: what happens next on this cluster, and if nothing, why.
//!
//! Pure: [`plan`] reads one [`Scene`] and returns a [`Plan`]. The same scene always gives the same
//! plan; no I/O, no clock, no randomness. It never changes a phase of the unit that is out (that is
//! `phase`'s), and while one is out it chooses nothing (invariant I1).
//!
//! Order of thought: which product has the lane → which of its units goes next → every gate of
//! that unit, one function each → the hub's grant last, so that no grant is asked for in vain.

mod adopt;
mod checks;
mod dependencies;
mod facts;
mod finalize;
mod gates;
mod hub_wishes;
mod metrics;
mod pick;
mod policy;
mod rules;
mod stillness;
mod target;
mod target_choice;
mod target_risks;
mod waiting_on;
mod watch;
mod windows;

use std::collections::{BTreeMap, BTreeSet};

use channels::names::ProductRef;
use channels::wire::{Directive, GrantRequest};
use jiff::Timestamp;

use crate::driver::CheckOrder;
use crate::history::History;
use crate::observation::{Observation, UnitKey};
use crate::state::{FinalizeApproval, LocalHold};

pub use adopt::{Stray, calm_down, note_calm};
pub use facts::{
    CheckOutcome, CheckResult, CheckSource, LeaseFact, QuorumChange, lease, quorum_change,
};
pub use gates::{disowned, go_blockers, heard_lately, local_hold};
pub use hub_wishes::{HubWishes, follow};
pub use metrics::{MissingMetric, missing_metrics};
pub use pick::{Outdated, candidates};
pub use policy::{GATE_GAP_MS, Grants, Mode, Policy, ProductPolicy, Timings};
pub use rules::{
    CHECK_AGE_MS, CheckRule, CheckRules, CheckWhen, FinalizeRules, PoolRules, ProductRules,
};
pub use stillness::{Still, Stillness};
pub use target::{
    Basis, Goal, Knowledge, Known, Severity, Stand, Target, Targets, Trouble, VerifiedRelease,
    documents_needed, plain, running, stand,
};
pub use target_risks::{Exposure, RiskAnswer, RiskAnswers, RiskOutcome, RiskVerdict};
pub use waiting_on::{AT_REST, WaitingOn, finding_to_wire};
pub use watch::{Held, Watch, evidence_at};
pub use windows::expected_ms;

/// Everything a decision depends on.
#[derive(Debug, Clone, Copy)]
pub struct Scene<'a> {
    /// The cluster as last seen.
    pub observation: &'a Observation,
    /// Verified places to go.
    pub targets: &'a Targets,
    /// The owner's policy.
    pub policy: &'a Policy,
    /// The agent's memory.
    pub history: &'a History,
    /// What people and the hub last said, and how long gates have held.
    pub standing: &'a Standing,
    /// The time.
    pub now: Timestamp,
}

/// What is known about the moment but not persisted.
#[derive(Debug, Clone, Default)]
pub struct Standing {
    /// A hold placed on this cluster.
    pub hold: Option<LocalHold>,
    /// The hub's last directive per product.
    pub directives: BTreeMap<ProductRef, Heard>,
    /// Why the last report was not answered, if it was not.
    pub hub_error: Option<HubError>,
    /// The hub refuses the cluster's key: what it granted is void, and only a person can mend it.
    pub disowned: Option<Disowned>,
    /// When the newest report was sent that the hub has answered since the agent started.
    pub answered_report_at: Option<Timestamp>,
    /// How long the gates have held.
    pub watch: Watch,
    /// Whether controllers' pages move.
    pub stillness: Stillness,
    /// Since when this process observes; what needs several probes is unknown at first.
    pub awake_since: Option<Timestamp>,
    /// How it stands with the lease; `None` = this cluster has none.
    pub lease: Option<LeaseFact>,
    /// Finalize steps a person approved.
    pub finalize_approvals: Vec<FinalizeApproval>,
    /// A guided change of a quorum's voters that is open.
    pub quorum_change: Option<QuorumChange>,
    /// What checks before a roll found, by source and product.
    pub checks: BTreeMap<CheckSource, BTreeMap<ProductRef, Vec<CheckResult>>>,
}

/// A directive and when it was heard.
#[derive(Debug, Clone, PartialEq)]
pub struct Heard {
    /// What the hub said.
    pub directive: Directive,
    /// When the report was sent that it answers.
    pub at: Timestamp,
}

/// A report that was not answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HubError {
    /// Why.
    pub why: String,
    /// Since when reports fail.
    pub since: Timestamp,
}

/// A refusal of the cluster's key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disowned {
    /// Slug of the problem: `cluster_retired`, `identity_conflict`, `key_replaced`, `key_revoked`,
    /// `unknown_cluster`.
    pub code: String,
    /// The hub's words.
    pub why: String,
    /// Since when.
    pub since: Timestamp,
}

/// The planner's answer.
#[derive(Debug, Clone, PartialEq)]
#[must_use = "an unread plan moves nothing and explains nothing"]
pub struct Plan {
    /// What to do now.
    pub next: Option<Step>,
    /// All local gates hold, only the hub's leave is missing.
    pub ask: Option<Ask>,
    /// The unit that goes next, if its gates let it.
    pub picked: Option<UnitKey>,
    /// Checks to run, in order: their results are all that is missing, or soon will be.
    pub checks: Vec<CheckOrder>,
    /// Why each product does not move; empty where nothing needs to.
    pub waiting_on: BTreeMap<ProductRef, Vec<WaitingOn>>,
}

/// One thing to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Take a unit out and move it to the goal.
    TakeOut(Outdated),
    /// Watch a unit that changed by itself as if it had been changed.
    Adopt(Stray),
    /// Every unit of the product runs the goal: the move is complete.
    Complete {
        /// The product.
        product: ProductRef,
        /// What it runs.
        goal: Box<Goal>,
    },
    /// Take the irreversible step of a release that runs everywhere.
    Finalize {
        /// The product.
        product: ProductRef,
        /// Who said so.
        approval: FinalizeApproval,
    },
}

/// Whether a person wants a finalize step taken, or it is being taken.
pub fn finalize_wanted(scene: &Scene<'_>) -> bool {
    finalize::is_wanted(scene)
}

/// A request for the hub's leave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// For which product.
    pub product: ProductRef,
    /// What is asked for.
    pub request: GrantRequest,
}

/// Plans the next step. Pure: the same scene always gives the same plan.
pub fn plan(scene: &Scene<'_>) -> Plan {
    let mut plan =
        Plan { next: None, ask: None, picked: None, checks: vec![], waiting_on: BTreeMap::new() };
    for (product, target) in scene.targets {
        let why = match target {
            Target::Settled | Target::Move(_) => vec![],
            Target::Blocked { why, .. } => why.clone(),
        };
        let own = scene.policy.products.get(product);
        let unheeded = own.into_iter().flat_map(|own| own.hub.unheeded.iter().cloned());
        plan.waiting_on.insert(product.clone(), why.into_iter().chain(unheeded).collect());
    }
    if let Some(pause) = gates::paused(scene) {
        let product = scene.history.out.as_ref().map(|out| out.key().product.clone());
        for (name, why) in &mut plan.waiting_on {
            let wants = scene.targets.get(name).is_some_and(|t| *t != Target::Settled)
                || finalize::pending(scene).any(|(pending, _)| pending == name);
            if product.as_ref().map_or(wants, |p| p == name) {
                why.insert(0, pause.clone());
            }
        }
    }
    let lane = finalize::note(scene, &mut plan);
    if let Some(out) = &scene.history.out {
        note_other_products(scene, &out.key().product, &mut plan);
        if !out.phase.is_changed() {
            let failed = gates::failed_before(scene, out.key());
            plan.waiting_on.entry(out.key().product.clone()).or_default().extend(failed);
        }
        return plan;
    }
    if let Some(stray) = adopt::stray(scene) {
        plan.next = Some(Step::Adopt(stray));
        return plan;
    }
    if let Some((product, goal)) = pick::completed(scene) {
        plan.next = Some(Step::Complete { product: product.clone(), goal: Box::new(goal.clone()) });
        return plan;
    }
    if lane == finalize::Lane::Taken {
        return plan;
    }
    let Some((product, goal)) = pick::lane(scene) else {
        if let Some(product) = pick::rolling(scene) {
            note_other_products(scene, product, &mut plan);
        }
        return plan;
    };
    note_other_products(scene, product, &mut plan);
    let mut why = gates::product_blockers(scene, product, goal);
    if let Some(outdated) = pick::next_unit(scene, product, goal) {
        consider(scene, product, goal, outdated, &mut plan, &mut why);
    }
    plan.checks.extend(pick::checks_of_others(scene, product));
    plan.waiting_on.entry(product.clone()).or_default().extend(why);
    plan
}

/// Every gate of the unit that is next; what is in its way joins `why`.
fn consider(
    scene: &Scene<'_>,
    product: &ProductRef,
    goal: &Goal,
    outdated: Outdated,
    plan: &mut Plan,
    why: &mut Vec<WaitingOn>,
) {
    plan.picked = Some(outdated.key.clone());
    why.extend(gates::step_blockers(scene, &outdated.key));
    let transient =
        |w: &WaitingOn| matches!(w, WaitingOn::ObservationOld { .. } | WaitingOn::GateOnce { .. });
    let checks = checks::before(scene, product, &outdated);
    if why.iter().all(|w| transient(w) || matches!(w, WaitingOn::Baseline { .. })) {
        plan.checks = checks.run;
    }
    why.extend(checks.why);
    if why.is_empty() {
        match gates::grant(scene, product, goal) {
            None => plan.next = Some(Step::TakeOut(outdated)),
            Some(reason) => {
                plan.ask = Some(ask(scene, product, goal));
                why.push(reason);
            }
        }
    } else {
        // A slow probe must not hide, for a moment each time, that the hub said no; and a hold
        // is worth knowing whatever else is in the way.
        let passing = why.iter().all(transient);
        let refusal = gates::refusal_of_hub(scene, product, goal);
        why.extend(refusal.filter(|r| passing || is_no(r)));
    }
    if let (None, Some(key)) = (&plan.next, &plan.picked) {
        why.extend(gates::failed_before(scene, key));
    }
}

/// Products that could move, were it not for the one that does.
fn note_other_products(scene: &Scene<'_>, moving: &ProductRef, plan: &mut Plan) {
    for (other, target) in scene.targets {
        let Target::Move(goal) = target else { continue };
        if other == moving {
            continue;
        }
        let why = gates::other_product(scene, moving);
        let held = gates::refusal_of_hub(scene, other, goal).filter(is_no);
        let first = pick::next_unit(scene, other, goal);
        let also = pick::lasting(scene, other, goal, first.as_ref()).into_iter().chain(held);
        plan.waiting_on.entry(other.clone()).or_default().extend([why].into_iter().chain(also));
    }
}

/// A no of the hub's that is worth knowing whatever else is in the way.
fn is_no(why: &WaitingOn) -> bool {
    matches!(why, WaitingOn::HubHold { .. } | WaitingOn::Disowned { .. })
}

fn ask(scene: &Scene<'_>, product: &ProductRef, goal: &Goal) -> Ask {
    let held = scene.standing.directives.get(product).and_then(|h| h.directive.grant.as_ref());
    let request = GrantRequest {
        to: goal.to.clone(),
        release_digest: goal.release_digest,
        renews: held.filter(|grant| grant.to == goal.to).map(|grant| grant.generation),
    };
    Ask { product: product.clone(), request }
}

impl Standing {
    /// Takes in an observation: keeps the series of every unit that wants to go.
    pub fn note(
        &mut self,
        targets: &Targets,
        policy: &Policy,
        history: &History,
        observation: &Observation,
        now: Timestamp,
    ) {
        self.awake_since.get_or_insert(now);
        self.stillness.note(observation);
        let keys: BTreeSet<UnitKey> = {
            let scene = Scene { observation, targets, policy, history, standing: self, now };
            match pick::lane(&scene) {
                Some((product, goal)) if history.out.is_none() => {
                    candidates(&scene, product, goal).into_iter().map(|c| c.key).collect()
                }
                Some(_) | None => match &history.out {
                    // Before its change, the unit that is out must still be allowed to go.
                    Some(out) if !out.phase.is_changed() => BTreeSet::from([out.key().clone()]),
                    Some(_) | None => BTreeSet::new(),
                },
            }
        };
        self.watch.note(&keys, observation, history, &policy.gate, &policy.timings);
        let fit: BTreeSet<ProductRef> = {
            let scene = Scene { observation, targets, policy, history, standing: self, now };
            let fit = finalize::pending(&scene)
                .filter(|(product, pending)| finalize::unfit(&scene, product, pending).is_empty());
            fit.map(|(product, _)| product.clone()).collect()
        };
        self.watch.note_products(fit, observation.at, &policy.timings);
    }
}
