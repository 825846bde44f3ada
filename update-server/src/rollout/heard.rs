//! A report: what it says of attempts.
//!
//! Began: the product has a unit out on the way to the release, or some that are done. Succeeded: it runs it and rolls no more. Error: it
//! paused with a failure on the way there. Rolled back: it began, and runs an older release with
//! no target. Times are the hub's: no agent's clock decides about a failure.

use channels::rollout::{Attempt, ClusterState, End, Failure, FailureKind, HealthGate};
use channels::wire::Phase;
use jiff::Timestamp;

use super::attempt::Tracked;
use super::draft::Draft;
use super::event::RolloutEventKind;
use super::facts::Heard;
use super::health::{Seen, Stage};
use super::measures;
use super::state::{Head, RolloutId};
use crate::fleet::{ProductRecord, Slot};

impl Draft<'_> {
    /// Takes note of a report, before its questions are answered with [`Draft::may_go`].
    pub fn heard(&mut self, heard: &Heard<'_>, now: Timestamp) {
        for product in heard.products {
            for id in self.of_product(&product.graph.product) {
                self.heard_in(id, heard, product, now);
            }
        }
    }

    fn heard_in(
        &mut self,
        id: RolloutId,
        heard: &Heard<'_>,
        product: &ProductRecord,
        now: Timestamp,
    ) {
        let Some(head) = self.head(id) else { return };
        let said = Said::of(head, product);
        let slot = heard.slot;
        match self.live(id, slot) {
            Some(_) if said.beyond => self.leave(id, slot, now),
            Some(tracked) => {
                let after = said.told(head, tracked.clone(), product, now);
                self.conclude(id, slot, after, now);
            }
            None => {
                // Whoever succeeded and goes back later found what the soak did not show.
                let its = said.moving && self.is_its(id, product)
                    || said.back && self.is_settled(id, slot);
                if its && let Some(adopted) = adopt(head, heard, product, now) {
                    let after = said.told(head, adopted, product, now);
                    self.conclude(id, slot, after, now);
                }
            }
        }
    }

    /// Whether a cluster that moves to the release without a grant belongs to this rollout: its
    /// policy governs, and no later rollout is for the same release.
    fn is_its(&self, id: RolloutId, product: &ProductRecord) -> bool {
        let graph = &product.graph;
        let Some(head) = self.head(id) else { return false };
        let governing = self.policies().governing(&graph.product, &graph.channel);
        let same = |other: &RolloutId| {
            self.head(*other)
                .is_some_and(|other| other.version == head.version && other.policy == head.policy)
        };
        governing.is_some_and(|policy| policy.row.name == head.policy)
            && head.state.graphs.contains(graph)
            && self.of_product(&graph.product).into_iter().filter(same).max() == Some(id)
    }

    /// Keeps an attempt after it changed: notes a failure, gives its place under the caps back
    /// when it succeeded, and judges the rollout at once when it failed.
    pub(super) fn conclude(
        &mut self,
        id: RolloutId,
        slot: Slot,
        mut tracked: Tracked,
        now: Timestamp,
    ) {
        let Some(head) = self.head(id) else { return };
        let was = self.live(id, slot);
        let was_in_flight = was.is_some_and(|was| was.in_flight);
        let deadlines = &head.rules.deadlines;
        let state = tracked.state(deadlines, &head.state.interruptions, now);
        let mut failed = None;
        match state {
            ClusterState::Succeeded { .. } => tracked.in_flight = false,
            ClusterState::Failed { why, at } => {
                if tracked.attempt.recorded.is_none() {
                    tracked.attempt.recorded = Some((why, at));
                    failed = Some(Failure { cluster: tracked.cluster, why, at });
                }
                // Until its grant expires it could still take a unit out.
                tracked.in_flight &= tracked.expires_at.is_some_and(|at| at > now);
            }
            ClusterState::Rolling { .. } => tracked.in_flight = true,
            ClusterState::NotStarted | ClusterState::Granted { .. } => {}
        }
        let heard_at = was.and_then(|was| was.attempt.heard_at);
        let quiet = Attempt { heard_at, ..tracked.attempt };
        let unchanged =
            was.is_some_and(|was| *was == Tracked { attempt: quiet, ..tracked.clone() });
        let (domain, is_in_flight) = (tracked.domain.clone(), tracked.in_flight);
        self.put(id, slot, tracked, !unchanged);
        if was_in_flight != is_in_flight
            && let Some(head) = self.head_mut(id, false)
        {
            if is_in_flight {
                head.load.count_in_domain(domain.as_deref());
            } else {
                head.load.end_in_domain(domain.as_deref());
            }
        }
        if let Some(failure) = failed {
            self.tell(id, None, RolloutEventKind::ClusterFailed { failure }, now);
            self.judge_after_failure(id, now);
        }
    }
}

/// What a report says of one release.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::struct_excessive_bools, reason = "each is a sentence of its own")]
struct Said {
    /// A unit is out on the way to it, or was, and it has not paused.
    moving: bool,
    /// Everything runs it.
    there: bool,
    /// Everything runs an older one, and nothing is wanted.
    back: bool,
    /// Everything runs a newer one.
    beyond: bool,
    /// Paused on the way there, or after it.
    paused: bool,
}

impl Said {
    fn of(head: &Head, product: &ProductRecord) -> Self {
        let (version, rolls) = (&product.version, product.phase.is_rolling());
        let to = product.target.as_ref() == Some(&head.version);
        // Between two units none is out, and some are done.
        let partly = product.progress.is_some_and(|progress| progress.done > 0);
        let runs = *version == head.version;
        Self {
            moving: to && (rolls || partly) && product.phase != Phase::Paused,
            there: runs && !rolls,
            back: *version < head.version && product.target.is_none() && !rolls,
            beyond: *version > head.version && !rolls,
            paused: (to || runs) && product.phase == Phase::Paused,
        }
    }

    /// The attempt after the report.
    fn told(
        self,
        head: &Head,
        mut tracked: Tracked,
        product: &ProductRecord,
        now: Timestamp,
    ) -> Tracked {
        tracked.attempt.heard_at = Some(now);
        if (self.moving || self.there) && is_over(head, &tracked, product, now) {
            tracked.attempt = Attempt {
                granted_at: tracked.attempt.granted_at,
                began_at: Some(now),
                heard_at: Some(now),
                ..Attempt::default()
            };
            tracked.seen = Seen::default();
            tracked.worse = None;
        }
        if self.moving {
            tracked.attempt.began_at.get_or_insert(now);
        }
        let failure = product.failure.as_ref().map(|failure| failure.at);
        let is_new = failure.is_some() && failure != tracked.old_failure;
        let attempt = &mut tracked.attempt;
        let succeeded = matches!(attempt.end, Some(End::Succeeded { .. }));
        if attempt.end.is_none() || succeeded {
            if self.paused && is_new {
                attempt.end = Some(End::Error { at: now });
                tracked.old_failure = failure;
            } else if self.back && (attempt.began_at.is_some() || succeeded) {
                attempt.end = Some(End::RolledBack { at: now });
            } else if self.there && !self.paused && !succeeded {
                attempt.end = Some(End::Succeeded { at: now });
            }
        }
        Self::see(head, &mut tracked, product, now);
        tracked
    }

    fn see(head: &Head, tracked: &mut Tracked, product: &ProductRecord, now: Timestamp) {
        let stage = match (tracked.attempt.end, tracked.attempt.began_at) {
            (Some(End::Succeeded { .. }), _) => Stage::Succeeded,
            (None, Some(_)) => Stage::Rolling,
            (Some(End::Error { .. } | End::RolledBack { .. }) | None, _) => return,
        };
        let baseline = tracked.baseline.as_ref();
        let rules = head.health_rules(&tracked.ring);
        tracked.seen = tracked.seen.after(baseline, &product.health, stage, rules, now);
        if let HealthGate::Fail { since } = tracked.seen.gate
            && tracked.attempt.regressed_at.is_none()
        {
            tracked.attempt.regressed_at = Some(since);
            // Nothing is compared while it rolls.
            let baselines = if stage == Stage::Succeeded { rules.baselines } else { &[] };
            tracked.worse = measures::worse(baselines, baseline, &product.health).map(Box::new);
        }
    }
}

/// Whether the attempt failed, somebody accepted that, and what failed is over: a cluster that was
/// accepted as less healthy is not a new failure with every report that says so again.
fn is_over(head: &Head, tracked: &Tracked, product: &ProductRecord, now: Timestamp) -> bool {
    let regressed = matches!(tracked.attempt.recorded, Some((FailureKind::HealthRegression, _)));
    let (baseline, rules) = (tracked.baseline.as_ref(), head.health_rules(&tracked.ring));
    let afresh = Seen::default().after(baseline, &product.health, Stage::Succeeded, rules, now);
    head.has_accepted(tracked) && (!regressed || afresh.gate == HealthGate::Pass)
}

/// An attempt of a cluster that began without a grant of this rollout: it was on its way when the
/// policy came, or its grant was thought to have lapsed. In no ring it is nobody's.
fn adopt(
    head: &Head,
    heard: &Heard<'_>,
    product: &ProductRecord,
    now: Timestamp,
) -> Option<Tracked> {
    let ring = head.rules.ring_of(heard.labels)?;
    Some(Tracked {
        cluster: heard.cluster,
        generation: 0,
        ring: head.ring_name(ring),
        from: product.version.clone(),
        domain: head.rules.caps.domain_of(heard.labels).map(ToOwned::to_owned),
        attempt: Attempt { began_at: Some(now), heard_at: Some(now), ..Attempt::default() },
        in_flight: false,
        expires_at: None,
        old_failure: product.failure.as_ref().map(|failure| failure.at),
        baseline: None,
        seen: Seen::default(),
        worse: None,
        held: Vec::new(),
    })
}
