//! The finalize step: when it may run, and what it forbids.
//!
//! Two phases, because the second cannot be undone: first every unit runs the release, then, with a
//! person's approval of exactly that release document, one command raises the level. Until then the
//! owner may go back; afterwards nobody can.

use channels::names::ProductRef;
use channels::wire::{Action, HealthVerdict, ReleaseDocument};

use super::facts::{lease, quorum_change};
use super::gates::{
    disowned, evidence_old, heard_lately, hub_hold, local_hold, other_product, paused, stale_pages,
};
use super::pick::{rolling, units};
use super::target::plain;
use super::windows::product_closed;
use super::{Grants, Plan, ProductPolicy, Scene, Step, Target, WaitingOn};
use crate::history::{Certainty, Finalization, Floor, ProductHistory};
use crate::observation::{Finding, UnitKey};
use crate::phase::elapsed_ms;
use crate::state::FinalizeApproval;

/// What the finalize step makes of the lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lane {
    /// Units may go.
    Free,
    /// It runs, or only waits for time to pass: nothing else starts.
    Taken,
}

/// Puts into the plan what each product's finalize step waits for, and the step itself if nothing
/// is in its way.
pub(super) fn note(scene: &Scene<'_>, plan: &mut Plan) -> Lane {
    let mut lane = Lane::Free;
    for (product, pending) in pending(scene) {
        let (mut why, wants_lane) = match (&pending.run, approval(scene, product, pending)) {
            (Some(run), _) => (vec![finalizing(product, pending, run.started_at)], true),
            (None, None) => (vec![needs_approval(scene, product, pending)], false),
            (None, Some(approval)) => {
                let why = blockers(scene, product, pending);
                if why.is_empty() && lane == Lane::Free {
                    let (product, approval) = (product.clone(), approval.clone());
                    plan.next = Some(Step::Finalize { product, approval });
                }
                let passing = why.iter().all(passes);
                (why, passing)
            }
        };
        plan.waiting_on.entry(product.clone()).or_default().append(&mut why);
        if wants_lane && lane == Lane::Free {
            lane = Lane::Taken;
            note_others(scene, product, pending, plan);
        }
    }
    lane
}

/// Products with a finalize step that has not been taken.
pub(super) fn pending<'a>(
    scene: &Scene<'a>,
) -> impl Iterator<Item = (&'a ProductRef, &'a Finalization)> {
    let products = scene.history.products.iter();
    products.filter_map(|(product, record)| Some((product, record.finalization.as_ref()?)))
}

/// Whether a person wants the step taken, or it is being taken.
pub(super) fn is_wanted(scene: &Scene<'_>) -> bool {
    pending(scene).any(|(product, pending)| {
        pending.run.is_some() || approval(scene, product, pending).is_some()
    })
}

/// The approval of exactly this release, if it was not used up by a step that failed.
fn approval<'a>(
    scene: &Scene<'a>,
    product: &ProductRef,
    pending: &Finalization,
) -> Option<&'a FinalizeApproval> {
    scene.standing.finalize_approvals.iter().find(|approval| {
        approval.product == *product
            && approval.release == pending.release
            && approval.release_digest == pending.release_digest
            && pending.spent != Some(approval.at)
            && rules(scene, product).is_some_and(|policy| policy.rules.finalize.configured)
    })
}

fn rules<'a>(scene: &Scene<'a>, product: &ProductRef) -> Option<&'a ProductPolicy> {
    scene.policy.products.get(product)
}

fn needs_approval(scene: &Scene<'_>, product: &ProductRef, pending: &Finalization) -> WaitingOn {
    let configured = rules(scene, product).is_some_and(|policy| policy.rules.finalize.configured);
    let how = if configured {
        format!("`cluster-agent finalize {product}`")
    } else {
        "configure its command in [products.finalize] first".to_owned()
    };
    let (release, summary) = (pending.release.clone(), pending.summary.clone());
    WaitingOn::FinalizeApproval { release, summary, how }
}

fn finalizing(product: &ProductRef, pending: &Finalization, since: jiff::Timestamp) -> WaitingOn {
    WaitingOn::Finalizing {
        product: product.clone(),
        release: pending.release.clone(),
        level: pending.level.clone(),
        since,
    }
}

/// Whether only time must pass.
fn passes(why: &WaitingOn) -> bool {
    matches!(
        why,
        WaitingOn::FinalizeBaseline { .. }
            | WaitingOn::ObservationOld { .. }
            | WaitingOn::HubWord { .. }
    )
}

fn note_others(scene: &Scene<'_>, product: &ProductRef, pending: &Finalization, plan: &mut Plan) {
    let since = pending.run.as_ref().map_or(scene.now, |run| run.started_at);
    for (other, target) in scene.targets {
        if other != product && matches!(target, Target::Move(_)) {
            let why = finalizing(product, pending, since);
            plan.waiting_on.entry(other.clone()).or_default().push(why);
        }
    }
}

/// Every gate once more: there is no way back from this.
fn blockers(scene: &Scene<'_>, product: &ProductRef, pending: &Finalization) -> Vec<WaitingOn> {
    let mut why: Vec<WaitingOn> = [
        paused(scene),
        local_hold(scene, product),
        lease(scene),
        quorum_change(scene),
        product_closed(scene, product),
        other(scene),
        hub(scene, product),
    ]
    .into_iter()
    .flatten()
    .collect();
    let keys = || units(scene, product).map(|(key, _)| key);
    why.extend(keys().find_map(|key| evidence_old(scene, key)));
    let unfit = unfit(scene, product, pending);
    if unfit.is_empty() {
        why.extend(baseline(scene, product, pending));
    }
    why.extend(unfit);
    if why.is_empty() {
        // Asked for last: it is worth nothing by the time a baseline has held.
        why.extend(hub_word(scene, pending));
    }
    why
}

/// A hold that was placed since the hub's last answer has not been heard.
fn hub_word(scene: &Scene<'_>, pending: &Finalization) -> Option<WaitingOn> {
    let Grants::From(_) = scene.policy.grants else { return None };
    let limit_ms = scene.policy.timings.grant_max_age_ms;
    let release = pending.release.clone();
    (!heard_lately(scene)).then_some(WaitingOn::HubWord { release, limit_ms })
}

/// A unit is out, or another product is in mid-roll, or this one is.
fn other(scene: &Scene<'_>) -> Option<WaitingOn> {
    let out = scene.history.out.as_ref().map(|out| &out.key().product);
    Some(other_product(scene, out.or_else(|| rolling(scene))?))
}

/// A hold of the hub's, or a hub that cannot say whether there is one.
fn hub(scene: &Scene<'_>, product: &ProductRef) -> Option<WaitingOn> {
    let Grants::From(_) = scene.policy.grants else { return None };
    if let Some(disowned) = disowned(scene) {
        return Some(disowned);
    }
    if let Some(error) = &scene.standing.hub_error {
        return Some(WaitingOn::HubUnreachable { why: error.why.clone(), since: error.since });
    }
    if scene.standing.answered_report_at.is_none() {
        return Some(WaitingOn::NotAsked);
    }
    let heard = scene.standing.directives.get(product)?;
    (heard.directive.action == Action::Hold).then(|| hub_hold(&heard.directive))
}

/// What of the product is not as it must be: every unit runs the release and is healthy, nothing
/// else of the cluster is down.
pub(super) fn unfit(
    scene: &Scene<'_>,
    product: &ProductRef,
    pending: &Finalization,
) -> Vec<WaitingOn> {
    let say = |about: Option<&UnitKey>, finding: &Finding| WaitingOn::FinalizeUnsafe {
        release: pending.release.clone(),
        about_unit: about.map(|key| key.unit.clone()),
        finding: finding.clone(),
    };
    let mut why = Vec::new();
    for (key, unit) in &scene.observation.units {
        let own = key.product == *product;
        let found = unit.findings.iter().filter(|finding| own || finding.is_down());
        why.extend(found.map(|finding| say(Some(key), finding)));
        // A verdict that is not healthy without a finding is unknown all the same.
        if own && unit.findings.is_empty() && unit.verdict != HealthVerdict::Healthy {
            why.push(say(Some(key), &Finding::NotObserved));
        }
        let gates = scene.observation.gates.iter();
        let gates = gates.filter(|gate| own && gate.scope.covers(key, unit));
        why.extend(gates.map(|gate| say(None, &gate.finding)));
        let Some(expected) = pending.runs.get(&unit.role).filter(|_| own) else { continue };
        match &unit.version {
            Some(observed) if plain(observed) == plain(expected) => {}
            Some(observed) => {
                let (observed, expected) = (observed.clone(), expected.clone());
                why.push(say(Some(key), &Finding::VersionDiffers { observed, expected }));
            }
            None => why.push(say(Some(key), &Finding::NotObserved)),
        }
    }
    let quorum = scene.observation.quorums.get(product);
    why.extend(quorum.into_iter().flat_map(|seen| &seen.findings).map(|found| say(None, found)));
    why.extend(units(scene, product).flat_map(|(key, _)| stale_pages(scene, key)));
    let mut once: Vec<WaitingOn> = Vec::new();
    for reason in why {
        if !once.contains(&reason) {
            once.push(reason);
        }
    }
    once
}

fn baseline(scene: &Scene<'_>, product: &ProductRef, pending: &Finalization) -> Option<WaitingOn> {
    let owed_since = scene.history.baseline_owed_since.unwrap_or(jiff::Timestamp::MIN);
    let limit_ms = scene.policy.timings.baseline_ms;
    let held = scene.standing.watch.product_held(product);
    let observed_ms = held.map_or(0, |held| elapsed_ms(held.since.max(owed_since), held.last));
    let release = pending.release.clone();
    (held.is_none() || observed_ms < limit_ms).then_some(WaitingOn::FinalizeBaseline {
        release,
        observed_ms,
        limit_ms,
    })
}

/// What the finalize step, taken or not, forbids about a move to a release.
pub(super) fn forbids(
    record: &ProductHistory,
    policy: &ProductPolicy,
    document: &ReleaseDocument,
) -> Option<WaitingOn> {
    let to = &document.version;
    if let Some(Floor { release, certainty }) = record.floor().filter(|floor| to < floor.release) {
        let (to, release) = (to.clone(), release.clone());
        return Some(match certainty {
            Certainty::Is => WaitingOn::Finalized { to, release },
            Certainty::MayBe => {
                WaitingOn::FinalizeDoubtful { to, release, product: document.product_ref() }
            }
        });
    }
    let pending = record.finalization.as_ref()?;
    let begun = record.roll.as_ref().is_some_and(|roll| roll.touched);
    // A patch of the same level changes nothing about what is left to finalize.
    let other = document.finalize.as_ref().is_some_and(|step| step.level != pending.level);
    let required = policy.rules.finalize.required_before_next;
    let waits = *to > pending.release && other && required && !begun;
    waits.then(|| WaitingOn::FinalizePending { to: to.clone(), release: pending.release.clone() })
}
