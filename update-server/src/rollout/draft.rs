//! Changes that wait for a commit: what one batch of the store did to policies and rollouts.
//!
//! Jobs of one batch see each other's changes through a [`Draft`], while readers do not. An
//! [`Overlay`] that is dropped leaves no trace: a failed commit grants nothing and forgets nothing.

use std::collections::{BTreeMap, BTreeSet};

use channels::names::ProductRef;
use channels::rollout::{Interruptions, Load, Name, Rollout};
use channels::version::ReleaseVersion;
use jiff::Timestamp;
use signing::Sha256Digest;

use super::attempt::Tracked;
use super::changes::{AttemptRow, Outcome, RolloutChanges};
use super::event::{RolloutEvent, RolloutEventKind};
use super::facts::Offer;
use super::policies::{InForce, Policies};
use super::rollouts::{Rollouts, rules};
use super::state::{Head, RolloutId, State};
use crate::fleet::{GraphKey, Slot};

/// What a batch changed.
#[derive(Debug, Clone, Default)]
pub struct Overlay {
    pub(super) policies: Option<Policies>,
    pub(super) heads: BTreeMap<RolloutId, Edited>,
    pub(super) attempts: BTreeMap<(RolloutId, Slot), Edit>,
    rows: RolloutChanges,
}

/// A rollout in a draft.
#[derive(Debug, Clone)]
pub(super) struct Edited {
    pub(super) head: Head,
    /// Whether its row must be written; otherwise only figures changed that are made anew at start.
    pub(super) dirty: bool,
}

/// An attempt in a draft.
#[derive(Debug, Clone)]
pub(super) enum Edit {
    Live { tracked: Box<Tracked>, dirty: bool },
    Gone,
    Settled,
}

/// The committed state with an overlay on it.
#[derive(Debug)]
pub struct Draft<'a> {
    pub(super) base: &'a Rollouts,
    pub(super) over: &'a mut Overlay,
}

impl Overlay {
    /// The committed state with these changes on it. All calls on one overlay must be given the
    /// same committed state.
    pub fn on<'a>(&'a mut self, base: &'a Rollouts) -> Draft<'a> {
        Draft { base, over: self }
    }

    /// Whether nothing happened.
    pub fn is_empty(&self) -> bool {
        self.policies.is_none() && self.heads.is_empty() && self.attempts.is_empty()
    }

    /// The rows to write and what to tell, for the transaction of this batch. Call it once, at
    /// the end; [`Rollouts::apply`] follows after the commit.
    pub fn changes(&self, now: Timestamp) -> RolloutChanges {
        let mut changes = self.rows.clone();
        let heads = self.heads.values().filter(|edited| edited.dirty);
        changes.rollouts.extend(heads.map(|edited| edited.head.row()));
        for ((rollout, slot), edit) in &self.attempts {
            if let Edit::Live { tracked, dirty: true } = edit {
                changes.attempts.push(row(*rollout, *slot, tracked, Outcome::Live, now));
            }
        }
        changes
    }
}

fn row(
    rollout: RolloutId,
    slot: Slot,
    tracked: &Tracked,
    outcome: Outcome,
    at: Timestamp,
) -> AttemptRow {
    let live = outcome == Outcome::Live;
    AttemptRow {
        rollout,
        slot,
        generation: tracked.generation,
        outcome,
        granted_at: tracked.attempt.granted_at,
        at,
        // Names, numbers and times: always serialise.
        body: if live { serde_json::to_string(tracked).unwrap_or_default() } else { String::new() },
    }
}

impl Draft<'_> {
    /// The policies as of this point of the batch.
    pub fn policies(&self) -> &Policies {
        self.over.policies.as_ref().unwrap_or(&self.base.policies)
    }

    pub(super) fn policies_mut(&mut self) -> &mut Policies {
        self.over.policies.get_or_insert_with(|| self.base.policies.clone())
    }

    pub(super) fn head(&self, id: RolloutId) -> Option<&Head> {
        match self.over.heads.get(&id) {
            Some(edited) => Some(&edited.head),
            None => self.base.heads.get(&id),
        }
    }

    /// A rollout to change; `dirty` if its row changes.
    pub(super) fn head_mut(&mut self, id: RolloutId, dirty: bool) -> Option<&mut Head> {
        if !self.over.heads.contains_key(&id) {
            let head = self.base.heads.get(&id)?.clone();
            self.over.heads.insert(id, Edited { head, dirty: false });
        }
        let edited = self.over.heads.get_mut(&id)?;
        edited.dirty |= dirty;
        Some(&mut edited.head)
    }

    pub(super) fn ids(&self) -> Vec<RolloutId> {
        let mut ids: Vec<_> =
            self.base.heads.keys().chain(self.over.heads.keys()).copied().collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    pub(super) fn live(&self, id: RolloutId, slot: Slot) -> Option<&Tracked> {
        match self.over.attempts.get(&(id, slot)) {
            Some(Edit::Live { tracked, .. }) => Some(tracked),
            Some(Edit::Gone | Edit::Settled) => None,
            None => self.base.attempts.get(&id)?.live.get(&slot),
        }
    }

    pub(super) fn is_settled(&self, id: RolloutId, slot: Slot) -> bool {
        match self.over.attempts.get(&(id, slot)) {
            Some(Edit::Settled) => true,
            Some(Edit::Live { .. } | Edit::Gone) => false,
            None => self.base.attempts.get(&id).is_some_and(|all| all.settled.contains(slot)),
        }
    }

    /// Every live attempt of a rollout, by slot.
    pub(super) fn all_live(&self, id: RolloutId) -> Vec<(Slot, &Tracked)> {
        let base = self.base.attempts.get(&id).into_iter().flat_map(|all| &all.live);
        let old = base.filter(|(slot, _)| !self.over.attempts.contains_key(&(id, **slot)));
        let range = (id, Slot(0))..=(id, Slot(u32::MAX));
        let new = self.over.attempts.range(range).filter_map(|((_, slot), edit)| match edit {
            Edit::Live { tracked, .. } => Some((*slot, tracked.as_ref())),
            Edit::Gone | Edit::Settled => None,
        });
        old.map(|(slot, tracked)| (*slot, tracked)).chain(new).collect()
    }

    /// Keeps an attempt; `dirty` if its row changes.
    pub(super) fn put(&mut self, id: RolloutId, slot: Slot, tracked: Tracked, dirty: bool) {
        let was = match self.over.attempts.get(&(id, slot)) {
            Some(Edit::Live { dirty, .. }) => *dirty,
            Some(Edit::Gone | Edit::Settled) | None => false,
        };
        let edit = Edit::Live { tracked: Box::new(tracked), dirty: dirty || was };
        self.over.attempts.insert((id, slot), edit);
    }

    /// Ends an attempt for good.
    pub(super) fn end(&mut self, id: RolloutId, slot: Slot, outcome: Outcome, now: Timestamp) {
        let Some(tracked) = self.live(id, slot).cloned() else { return };
        self.over.rows.attempts.push(row(id, slot, &tracked, outcome, now));
        let edit = if outcome == Outcome::Settled { Edit::Settled } else { Edit::Gone };
        self.over.attempts.insert((id, slot), edit);
        let Some(head) = self.head_mut(id, false) else { return };
        if tracked.in_flight {
            head.load.end_in_domain(tracked.domain.as_deref());
        }
        head.note_ended(&tracked, outcome);
    }

    pub(super) fn tell(
        &mut self,
        rollout: RolloutId,
        by: Option<&str>,
        kind: RolloutEventKind,
        at: Timestamp,
    ) {
        let by = by.map(ToOwned::to_owned);
        self.over.rows.events.push(RolloutEvent { at, rollout, by, kind });
    }

    pub(super) fn write_policy(&mut self, policy: InForce) {
        self.over.rows.policies.push(policy.row.clone());
        self.policies_mut().put(policy);
    }

    /// The hub serves these now: the head of every graph. Heads that a policy governs and that
    /// have no rollout yet get one. To be called after a publication, after a policy was applied,
    /// and at start.
    pub fn offered(&mut self, heads: &[Offer], now: Timestamp) {
        for offer in heads {
            self.open(&offer.graph, &offer.version, &offer.digest, now);
        }
    }

    /// The hub was down, or did not tick: nobody was heard and nothing renewed in that time. To be
    /// called before anything else in the first batch after it.
    pub fn hub_was_down(&mut self, from: Timestamp, until: Timestamp) {
        for id in self.ids() {
            if let Some(head) = self.head_mut(id, true) {
                head.state.interruptions.hub_down.push((from, until));
            }
        }
    }
}

impl Draft<'_> {
    /// The rollout of a release in a graph, opened if a policy governs and none is there.
    pub(super) fn open(
        &mut self,
        graph: &GraphKey,
        version: &ReleaseVersion,
        digest: &Sha256Digest,
        now: Timestamp,
    ) -> Option<RolloutId> {
        let policy = self.policies().governing(&graph.product, &graph.channel)?.clone();
        let id = match self.find(&graph.product, &policy.row.name, digest) {
            Some(id) => id,
            None => self.begin(graph, version, digest, &policy, now),
        };
        if self.head(id).is_some_and(|head| !head.state.graphs.contains(graph)) {
            let head = self.head_mut(id, true)?;
            head.state.graphs.insert(graph.clone());
            self.supersede(id, now);
        }
        Some(id)
    }

    /// Rollouts of a product, oldest first.
    pub(super) fn of_product(&self, product: &ProductRef) -> Vec<RolloutId> {
        let base = self.base.of_product.get(product).into_iter().flatten().copied();
        let new = self.over.heads.values().map(|edited| &edited.head);
        let new =
            new.filter(|head| head.product == *product && !self.base.heads.contains_key(&head.id));
        base.chain(new.map(|head| head.id)).collect()
    }

    fn find(
        &self,
        product: &ProductRef,
        policy: &Name,
        digest: &Sha256Digest,
    ) -> Option<RolloutId> {
        self.of_product(product).into_iter().find(|id| {
            self.head(*id).is_some_and(|head| head.policy == *policy && head.digest == *digest)
        })
    }

    fn begin(
        &mut self,
        graph: &GraphKey,
        version: &ReleaseVersion,
        digest: &Sha256Digest,
        policy: &InForce,
        now: Timestamp,
    ) -> RolloutId {
        let last = self.ids().last().map_or(0, |id| id.0);
        let id = RolloutId(last.saturating_add(1));
        let starts_at = policy.policy.starts_at(now);
        let state = State {
            core: Rollout::starting_at(starts_at),
            graphs: BTreeSet::new(),
            policy_version: policy.row.version,
            interruptions: Interruptions::default(),
            held: None,
            covered: false,
            rings_held: BTreeMap::new(),
            emergency: None,
            superseded_by: None,
            converged_at: None,
        };
        let head = Head {
            id,
            policy: policy.row.name.clone(),
            product: graph.product.clone(),
            version: version.clone(),
            digest: *digest,
            opened_at: now,
            state,
            rules: rules(&policy.policy, false),
            load: Load::default(),
            rest: Vec::new(),
            judgements: Vec::new(),
        };
        self.over.heads.insert(id, Edited { head, dirty: true });
        let what = format!("{} {version} under {}", graph.product, policy.row.name);
        self.tell(id, None, RolloutEventKind::Opened { what, starts_at }, now);
        id
    }

    /// Notes which rollouts of the same policy and product a release takes the place of, or has
    /// lost its own to.
    fn supersede(&mut self, id: RolloutId, now: Timestamp) {
        let Some(head) = self.head(id).cloned() else { return };
        for other in self.of_product(&head.product) {
            let Some(known) = self.head(other).filter(|known| known.policy == head.policy) else {
                continue;
            };
            if known.state.graphs.is_disjoint(&head.state.graphs) {
                continue;
            }
            let (older, newer) = match known.version.cmp(&head.version) {
                std::cmp::Ordering::Less => (other, id),
                std::cmp::Ordering::Greater => (id, other),
                std::cmp::Ordering::Equal => continue,
            };
            let by = self.head(older).and_then(|head| head.state.superseded_by);
            let by = by.and_then(|by| self.head(by)).map(|head| head.version.clone());
            let is_news =
                self.head(newer).is_some_and(|head| by.is_none_or(|by| by < head.version));
            if is_news && let Some(head) = self.head_mut(older, true) {
                head.state.superseded_by = Some(newer);
                self.tell(older, None, RolloutEventKind::Superseded { by: newer }, now);
            }
        }
    }
}
