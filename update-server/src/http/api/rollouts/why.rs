//! Why a cluster may not go now, and when it may: what the hub would answer if it asked.

use channels::version::ReleaseVersion;
use channels::wire::{Action, ClusterRow, GrantRequest, Hold, Reason};
use jiff::Timestamp;
use signing::Sha256Digest;

use super::super::HubState;
use crate::directive::{self, Asked, Limits, Situation};
use crate::fleet::{ClusterRecord, ProductRecord, Slot, why_revoked};
use crate::rollout::{Ask, Overlay, RolloutView, Rollouts, Turn};
use crate::served::Served;

/// What the hub would say.
pub(super) struct Answer {
    pub(super) why_not: Vec<Reason>,
    pub(super) earliest_at: Option<Timestamp>,
}

/// The committed state, asked without leaving a trace.
pub(super) struct Asker<'a> {
    rollouts: &'a Rollouts,
    served: &'a dyn Served,
    holds: &'a [Hold],
    ttl_s: u64,
    now: Timestamp,
    /// What the questions would change; dropped with this value.
    scratch: Overlay,
}

impl<'a> Asker<'a> {
    pub(super) fn new(
        state: &'a HubState,
        rollouts: &'a Rollouts,
        holds: &'a [Hold],
        now: Timestamp,
    ) -> Self {
        let (served, ttl_s) = (&state.catalog, state.settings.grant_ttl_s);
        Self { rollouts, served, holds, ttl_s, now, scratch: Overlay::default() }
    }

    /// What the hub would answer if this product asked for this release.
    pub(super) fn ask(
        &mut self,
        slot: Slot,
        record: &ClusterRecord,
        product: &ProductRecord,
        to: (&ReleaseVersion, &Sha256Digest),
    ) -> Answer {
        if let Some(revoked) = &record.revoked {
            return Answer { why_not: vec![why_revoked(revoked)], earliest_at: None };
        }
        let wants = GrantRequest { to: to.0.clone(), release_digest: *to.1, renews: None };
        let limits = Limits::of(record.settings_of(&product.graph.product));
        let ask = Ask::by((slot, record), product, &wants, limits.ceiling(), self.served);
        let turn: Turn = self.scratch.on(self.rollouts).may_go(&ask, self.now);
        let facts = self.served.facts(&product.graph, &product.version, &wants.to);
        let asked = Asked::by(product, Some(&wants), facts, &turn, limits);
        let situation = Situation {
            cluster: record.id,
            holds: self.holds,
            full: false,
            now: self.now,
            ttl_s: self.ttl_s,
        };
        let decision = directive::decide(&situation, &record.ledger, &[asked]);
        let Some(said) = decision.directives.into_iter().next() else {
            return Answer { why_not: Vec::new(), earliest_at: None };
        };
        if said.action == Action::Proceed {
            let message = "it may go; its agent has not asked yet".to_owned();
            let why_not = vec![Reason { code: "not_asked".to_owned(), message }];
            return Answer { why_not, earliest_at: Some(self.now) };
        }
        Answer { why_not: said.reasons, earliest_at: said.earliest_at }
    }

    /// The newest release under a policy that the product can take next, if any.
    fn next<'v>(
        &self,
        product: &ProductRecord,
        views: &'v [RolloutView],
    ) -> Option<&'v RolloutView> {
        let graph = &product.graph;
        let policy = self.rollouts.policies().governing(&graph.product, &graph.channel)?;
        let fits = |view: &&RolloutView| {
            let facts = self.served.facts(graph, &product.version, &view.version);
            view.product == graph.product
                && view.policy == policy.policy.name
                && view.version > product.version
                && facts.allowed
                && facts.offered
        };
        views.iter().filter(fits).max_by(|a, b| a.version.cmp(&b.version))
    }
}

/// Fills in why products that wait for a rollout may not go, and when they may. What an agent was
/// told in its last directive stays where no rollout is in the way.
pub(in super::super) fn explain(state: &HubState, rows: &mut [ClusterRow]) {
    by_rollouts(state, rows);
    rows.iter_mut().for_each(tell_channels);
}

/// Says of every product that does not follow the channel that the hub wants. The agent decides: a
/// channel is what releases may come at all.
fn tell_channels(row: &mut ClusterRow) {
    for product in &mut row.products {
        let own = row.settings.iter().find(|settings| settings.product == product.product);
        let wanted = own.and_then(|settings| settings.channel.as_ref());
        let Some(wanted) = wanted.filter(|wanted| **wanted != product.channel) else { continue };
        let refuses = product.waiting_on.iter().any(|why| why.gate == "hub_channel");
        let why = if refuses {
            "its agent is not allowed to change (products.hub_may_set_channel)"
        } else {
            "its agent has not heard of it yet"
        };
        let message =
            format!("the hub wants channel {wanted}, it follows {}: {why}", product.channel);
        product.why_not.push(Reason { code: "channel_mismatch".to_owned(), message });
    }
}

fn by_rollouts(state: &HubState, rows: &mut [ClusterRow]) {
    let committed = state.store.committed();
    let (holds, now) = (committed.holds(), state.now());
    let fleet = committed.fleet();
    let rollouts = committed.rollouts();
    if rollouts.is_idle() {
        return;
    }
    let views = rollouts.views(now);
    let mut asker = Asker::new(state, &rollouts, &holds, now);
    for row in rows.iter_mut().filter(|row| row.site.is_none()) {
        let Some(slot) = fleet.slot(row.id) else { continue };
        let Some(record) = fleet.record(slot) else { continue };
        for shown in row.products.iter_mut().filter(|shown| !shown.phase.is_rolling()) {
            let own = |known: &&ProductRecord| known.graph.product == shown.product;
            let Some(product) = record.products.iter().find(own) else { continue };
            let Some(next) = asker.next(product, &views) else { continue };
            let answer = asker.ask(slot, &record, product, (&next.version, &next.digest));
            (shown.why_not, shown.earliest_at) = (answer.why_not, answer.earliest_at);
        }
    }
}
