//! May this cluster go? The planner's word for `directive::decide`, and what follows from its
//! grant.
//!
//! A start needs its turn: ring, curve, windows, caps, and that nobody and nothing stopped the
//! rollout. Going on needs only the last: a cluster that is half way through is worse off where it
//! is.

use channels::rollout::{Answer, Asking, Attempt, Position, Ring, Stop, WhyNot};
use channels::wire::{Grant, Reason};
use jiff::Timestamp;

use super::attempt::Tracked;
use super::changes::Outcome;
use super::draft::{Draft, Overlay};
use super::event::RolloutEventKind;
use super::facts::Ask;
use super::health::Seen;
use super::measures;
use super::rollouts::Rollouts;
use super::state::{Head, RolloutId};
use crate::fleet::Slot;

/// The planner's word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Turn {
    /// No policy is for the product's channel.
    Ungoverned,
    /// It may go.
    Go {
        /// In which rollout.
        rollout: RolloutId,
    },
    /// Not yet.
    Wait {
        /// In which rollout; `None` for a step that is not served.
        rollout: Option<RolloutId>,
        /// Why; never empty.
        reasons: Vec<Reason>,
        /// When none of them holds any more, if only time is missing.
        earliest_at: Option<Timestamp>,
    },
    /// Somebody or a gate stopped it.
    Hold {
        /// In which rollout.
        rollout: RolloutId,
        /// Why; never empty.
        reasons: Vec<Reason>,
    },
}

impl Rollouts {
    /// What [`Draft::may_go`] would say, for people who look.
    pub fn turn(&self, ask: &Ask<'_>, now: Timestamp) -> Turn {
        Overlay::default().on(self).may_go(ask, now)
    }
}

impl Draft<'_> {
    /// Whether the cluster may start or go on. Opens a rollout for a governed release that has
    /// none.
    pub fn may_go(&mut self, ask: &Ask<'_>, now: Timestamp) -> Turn {
        match self.attempt_of(ask) {
            Some(id) => self.may_go_on(id, ask, now),
            None => self.may_start(ask, now),
        }
    }

    /// The rollout in which the cluster is on its way to what it asks for.
    fn attempt_of(&self, ask: &Ask<'_>) -> Option<RolloutId> {
        self.of_product(&ask.graph.product).into_iter().rev().find(|id| {
            self.head(*id).is_some_and(|head| head.digest == ask.wants.release_digest)
                && self.live(*id, ask.slot).is_some()
        })
    }

    fn may_go_on(&self, id: RolloutId, ask: &Ask<'_>, now: Timestamp) -> Turn {
        let (Some(head), Some(tracked)) = (self.head(id), self.live(id, ask.slot)) else {
            return Turn::Ungoverned;
        };
        let mut stopped = held_ring(head, &tracked.ring);
        for stop in head.state.core.clock().stops() {
            match stop {
                Stop::Held => stopped.push(held(head)),
                Stop::Halted => stopped.push(reason(&halted(head))),
                // Whoever began shall end: that is how health becomes known again.
                Stop::Blind => {}
            }
        }
        if !stopped.is_empty() {
            return Turn::Hold { rollout: id, reasons: stopped };
        }
        // One that failed gave its place under the caps back, and needs one to try again.
        let full = if tracked.in_flight {
            Vec::new()
        } else {
            head.rules.caps.why_not(&head.load, ask.labels, now)
        };
        said(head, &Answer::of(full), Vec::new())
    }

    fn may_start(&mut self, ask: &Ask<'_>, now: Timestamp) -> Turn {
        let (graph, wants) = (ask.graph, ask.wants);
        if self.policies().governing(&graph.product, &graph.channel).is_none() {
            return Turn::Ungoverned;
        }
        let facts = ask.served.facts(graph, ask.from, &wants.to);
        if facts.digest != Some(wants.release_digest) || !facts.allowed || !facts.offered {
            let message = format!("this hub serves no step from {} to {}", ask.from, wants.to);
            let reasons = vec![Reason { code: "not_served".to_owned(), message }];
            return Turn::Wait { rollout: None, reasons, earliest_at: None };
        }
        let Some(id) = self.open(graph, &wants.to, &wants.release_digest, now) else {
            return Turn::Ungoverned;
        };
        let Some(head) = self.head(id) else { return Turn::Ungoverned };
        if let Some(newer) = self.in_place_of(head, ask).filter(|_| !ask.begun) {
            let (version, newer) = (&newer.version, newer.id);
            let message = format!(
                "release {version} took its place, and this cluster may go there directly (rollout \
                 {newer})"
            );
            let reasons = vec![Reason { code: "superseded".to_owned(), message }];
            return Turn::Wait { rollout: Some(id), reasons, earliest_at: None };
        }
        if head.rest.is_empty() {
            let message = "the hub has not looked at the whole fleet yet".to_owned();
            let reasons = vec![Reason { code: "not_counted".to_owned(), message }];
            return Turn::Wait { rollout: Some(id), reasons, earliest_at: None };
        }
        let salt = &self.base.salt;
        let ring = head.rules.ring_of(ask.labels);
        let position = ring.map(|ring| Position::new(ring, &head.digest, salt, ask.cluster));
        let asking = Asking {
            policy: &head.rules,
            position: position.as_ref(),
            labels: ask.labels,
            load: &head.load,
            judgements: &head.judgements,
        };
        let ring = ring.and_then(|ring| head.rules.rings.get(ring));
        if let Some(wait) = ring.and_then(|ring| self.unmeasured(head, ring, ask, now)) {
            return wait;
        }
        let stopped = ring.map_or_else(Vec::new, |ring| held_ring(head, &ring.name));
        said(head, &head.state.core.answer(&asking, now), stopped)
    }

    /// A cluster that has not told its baseline yet is waited for: once it goes, it has none any more.
    fn unmeasured(&self, head: &Head, ring: &Ring, ask: &Ask<'_>, now: Timestamp) -> Option<Turn> {
        let missing = measures::unanswered(&ring.gates.baselines, ask.health)?;
        let applied = self.policies().get(&head.policy).map(|known| known.row.at);
        let since = applied.map_or(head.opened_at, |at| at.max(head.opened_at));
        let until = since.checked_add(measures::PATIENCE).ok().filter(|until| now < *until)?;
        let message = format!("its value before the upgrade of {} is not known yet", missing.name);
        let reasons = vec![Reason { code: "baseline_unmeasured".to_owned(), message }];
        Some(Turn::Wait { rollout: Some(head.id), reasons, earliest_at: Some(until) })
    }

    /// The newer rollout whose release the cluster can have instead.
    fn in_place_of(&self, head: &Head, ask: &Ask<'_>) -> Option<&Head> {
        let newer = |other: &&Head| {
            other.policy == head.policy
                && other.version > head.version
                && ask.ceiling.is_none_or(|ceiling| other.version <= *ceiling)
                && other.state.graphs.contains(ask.graph)
                && ask.served.has_plain_edge(ask.graph, ask.from, &other.version)
        };
        let others = self.of_product(&head.product);
        others.into_iter().filter_map(|id| self.head(id)).filter(newer).max_by_key(|o| o.id)
    }

    /// `directive::decide` gave the grant that [`Draft::may_go`] allowed.
    pub fn granted(&mut self, ask: &Ask<'_>, rollout: RolloutId, grant: &Grant, now: Timestamp) {
        let Some(head) = self.head(rollout) else { return };
        let caps = &head.rules.caps;
        let known = self.live(rollout, ask.slot).cloned();
        let starts = known.as_ref().is_none_or(|known| !known.in_flight);
        let domain = caps.domain_of(ask.labels).map(ToOwned::to_owned);
        let mut tracked = known.unwrap_or_else(|| {
            let ring = head.rules.ring_of(ask.labels).unwrap_or(0);
            Tracked {
                cluster: ask.cluster,
                generation: grant.generation,
                ring: head.ring_name(ring),
                from: ask.from.clone(),
                domain: None,
                attempt: Attempt {
                    granted_at: Some(now),
                    heard_at: Some(now),
                    ..Attempt::default()
                },
                in_flight: false,
                expires_at: None,
                old_failure: ask.failure.map(|failure| failure.at),
                baseline: Some(ask.health.clone()),
                seen: Seen::default(),
                worse: None,
                held: Vec::new(),
            }
        });
        tracked.expires_at = Some(grant.expires_at);
        if starts {
            tracked.in_flight = true;
            tracked.domain = domain;
            let dirty = false;
            if let Some(head) = self.head_mut(rollout, dirty) {
                head.load.count_in_domain(tracked.domain.as_deref());
                let rules = std::sync::Arc::clone(&head.rules);
                head.load.count_grant(&rules.caps, now);
            }
        }
        self.put(rollout, ask.slot, tracked, true);
        for other in self.of_product(&ask.graph.product) {
            if other != rollout {
                self.leave(other, ask.slot, now);
            }
        }
    }

    /// The cluster of an attempt is gone, or goes elsewhere. What failed stays failed until somebody
    /// accepted it.
    pub(super) fn leave(&mut self, id: RolloutId, slot: Slot, now: Timestamp) {
        let Some(tracked) = self.live(id, slot) else { return };
        let accepted = self.head(id).is_some_and(|head| head.has_accepted(tracked));
        if tracked.attempt.recorded.is_some() && !accepted {
            let mut tracked = tracked.clone();
            if tracked.in_flight {
                tracked.in_flight = false;
                let domain = tracked.domain.clone();
                self.put(id, slot, tracked, true);
                if let Some(head) = self.head_mut(id, false) {
                    head.load.end_in_domain(domain.as_deref());
                }
            }
            return;
        }
        if tracked.has_succeeded() {
            return self.end(id, slot, Outcome::Settled, now);
        }
        let cluster = tracked.cluster;
        self.end(id, slot, Outcome::Left, now);
        self.tell(id, None, RolloutEventKind::ClusterLeft { cluster }, now);
    }
}

/// An answer as the planner's word.
fn said(head: &Head, answer: &Answer, mut reasons: Vec<Reason>) -> Turn {
    let is_stop = |why: &WhyNot| matches!(why, WhyNot::Held | WhyNot::Halted { .. });
    let stopped = !reasons.is_empty() || answer.why_not.iter().any(is_stop);
    let words = |why: &WhyNot| if *why == WhyNot::Held { held(head) } else { reason(why) };
    reasons.extend(answer.why_not.iter().map(words));
    let rollout = head.id;
    if stopped {
        Turn::Hold { rollout, reasons }
    } else if reasons.is_empty() {
        Turn::Go { rollout }
    } else {
        Turn::Wait { rollout: Some(rollout), reasons, earliest_at: answer.earliest_at }
    }
}

fn reason(why: &WhyNot) -> Reason {
    Reason { code: why.code().to_owned(), message: why.to_string() }
}

fn halted(head: &Head) -> WhyNot {
    let failures = u32::try_from(head.state.core.halted_by().len()).unwrap_or(u32::MAX);
    WhyNot::Halted { failures }
}

/// Who holds the rollout, where that is known here; other holds are in the hub's list of them.
fn held(head: &Head) -> Reason {
    let message = match &head.state.held {
        Some(said) => format!("{} holds rollout {}: {}", said.by, head.id, said.reason),
        None => format!("a hold covers rollout {}", head.id),
    };
    Reason { code: WhyNot::Held.code().to_owned(), message }
}

fn held_ring(head: &Head, ring: &channels::rollout::Name) -> Vec<Reason> {
    let said = head.state.rings_held.get(ring);
    let message = said.map(|said| {
        format!("{} holds ring {ring} of rollout {}: {}", said.by, head.id, said.reason)
    });
    let reason = message.map(|message| Reason { code: "held".to_owned(), message });
    reason.into_iter().collect()
}
