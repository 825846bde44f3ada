//! What is committed: policies, rollouts and attempts, in memory.
//!
//! A cluster that has not started costs nothing here, and one that succeeded and soaked a bit.

use std::collections::BTreeMap;
use std::sync::Arc;

use channels::names::ProductRef;
use channels::rollout::{FleetSalt, Load, Name, Policy};

use super::attempt::Tracked;
use super::changes::{AttemptRow, Outcome, PolicyRow, RolloutRow};
use super::command::RolloutRefusal;
use super::draft::{Edit, Overlay};
use super::policies::Policies;
use super::state::{Head, RolloutId, State};
use crate::fleet::Slot;

/// Why rows cannot be read back.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// A stored policy is none any more.
    #[error("a stored rollout policy cannot be read")]
    Policy(#[source] RolloutRefusal),
    /// A rollout's state cannot be read.
    #[error("the state of rollout {id} cannot be read")]
    State {
        /// Which.
        id: RolloutId,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// A rollout's policy is missing.
    #[error("rollout {id} names policy {policy}, which is not stored")]
    NoPolicy {
        /// Which.
        id: RolloutId,
        /// Its policy.
        policy: Name,
    },
    /// An attempt cannot be read.
    #[error("the attempt of row {} in rollout {rollout} cannot be read", slot.0)]
    Attempt {
        /// In which rollout.
        rollout: RolloutId,
        /// Of which cluster.
        slot: Slot,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
}

/// A set of rows, a bit each.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct SlotSet {
    words: Vec<u64>,
}

impl SlotSet {
    fn place(slot: Slot) -> (usize, u64) {
        let word = usize::try_from(slot.0 / 64).unwrap_or(usize::MAX);
        (word, 1_u64 << (slot.0 % 64))
    }

    pub(super) fn contains(&self, slot: Slot) -> bool {
        let (word, bit) = Self::place(slot);
        self.words.get(word).is_some_and(|word| word & bit != 0)
    }

    pub(super) fn insert(&mut self, slot: Slot) {
        let (word, bit) = Self::place(slot);
        if self.words.len() <= word {
            self.words.resize(word.saturating_add(1), 0);
        }
        if let Some(word) = self.words.get_mut(word) {
            *word |= bit;
        }
    }

    pub(super) fn remove(&mut self, slot: Slot) {
        let (word, bit) = Self::place(slot);
        if let Some(word) = self.words.get_mut(word) {
            *word &= !bit;
        }
    }
}

/// The attempts of one rollout.
#[derive(Debug, Clone, Default)]
pub(super) struct Attempts {
    pub(super) live: BTreeMap<Slot, Tracked>,
    pub(super) settled: SlotSet,
}

/// Everything committed.
#[derive(Debug)]
pub struct Rollouts {
    pub(super) salt: FleetSalt,
    pub(super) policies: Policies,
    pub(super) heads: BTreeMap<RolloutId, Head>,
    pub(super) attempts: BTreeMap<RolloutId, Attempts>,
    pub(super) of_product: BTreeMap<ProductRef, Vec<RolloutId>>,
    pub(super) generation: u64,
}

impl Rollouts {
    /// No policies and no rollouts.
    pub fn new(salt: FleetSalt) -> Self {
        Self {
            salt,
            policies: Policies::default(),
            heads: BTreeMap::new(),
            attempts: BTreeMap::new(),
            of_product: BTreeMap::new(),
            generation: 0,
        }
    }

    /// Reads rows back. Of policies the newest version of each name is enough; of attempts all
    /// live and settled ones are needed, and of the others those granted within the longest
    /// period of a cap.
    pub fn restore(
        salt: FleetSalt,
        policies: impl IntoIterator<Item = PolicyRow>,
        rollouts: impl IntoIterator<Item = RolloutRow>,
        attempts: impl IntoIterator<Item = AttemptRow>,
    ) -> Result<Self, RestoreError> {
        let mut all = Self::new(salt);
        all.policies = Policies::restore(policies).map_err(RestoreError::Policy)?;
        for row in rollouts {
            let head = all.read(row)?;
            all.index(head);
        }
        for row in attempts {
            all.take(row)?;
        }
        for (id, attempts) in &mut all.attempts {
            let Attempts { live, settled } = attempts;
            for slot in live.keys() {
                settled.remove(*slot);
            }
            if let Some(head) = all.heads.get_mut(id) {
                for tracked in live.values().filter(|tracked| tracked.in_flight) {
                    head.load.count_in_domain(tracked.domain.as_deref());
                }
            }
        }
        Ok(all)
    }

    fn read(&self, row: RolloutRow) -> Result<Head, RestoreError> {
        let RolloutRow { id, policy, product, version, digest, opened_at, state } = row;
        let state: State =
            serde_json::from_str(&state).map_err(|source| RestoreError::State { id, source })?;
        let Some(known) = self.policies.get(&policy) else {
            return Err(RestoreError::NoPolicy { id, policy });
        };
        let rules = rules(&known.policy, state.emergency.is_some());
        Ok(Head {
            id,
            policy,
            product,
            version,
            digest,
            opened_at,
            state,
            rules,
            load: Load::default(),
            rest: Vec::new(),
            judgements: Vec::new(),
        })
    }

    fn take(&mut self, row: AttemptRow) -> Result<(), RestoreError> {
        let AttemptRow { rollout, slot, outcome, granted_at, body, .. } = row;
        let Some(head) = self.heads.get_mut(&rollout) else { return Ok(()) };
        if let Some(at) = granted_at {
            head.load.count_grant(&head.rules.caps, at);
        }
        let attempts = self.attempts.entry(rollout).or_default();
        match outcome {
            Outcome::Live => {
                let tracked = serde_json::from_str(&body)
                    .map_err(|source| RestoreError::Attempt { rollout, slot, source })?;
                attempts.live.insert(slot, tracked);
            }
            Outcome::Settled => attempts.settled.insert(slot),
            Outcome::Lapsed | Outcome::Left => {}
        }
        Ok(())
    }

    fn index(&mut self, head: Head) {
        let of_product = self.of_product.entry(head.product.clone()).or_default();
        if !of_product.contains(&head.id) {
            of_product.push(head.id);
        }
        self.heads.insert(head.id, head);
    }

    /// Takes over what a draft changed, after its commit.
    pub fn apply(&mut self, overlay: Overlay) {
        let Overlay { policies, heads, attempts, .. } = overlay;
        if let Some(policies) = policies {
            self.policies = policies;
        }
        for (_, edited) in heads {
            self.index(edited.head);
        }
        for ((rollout, slot), edit) in attempts {
            let known = self.attempts.entry(rollout).or_default();
            match edit {
                Edit::Live { tracked, .. } => {
                    known.settled.remove(slot);
                    known.live.insert(slot, *tracked);
                }
                Edit::Gone => {
                    known.live.remove(&slot);
                }
                Edit::Settled => {
                    known.live.remove(&slot);
                    known.settled.insert(slot);
                }
            }
        }
        self.generation = self.generation.wrapping_add(1);
    }

    /// Takes over rows that another hub on the same database has committed since: of `policies` all
    /// there are, if one changed; of the others those that changed. Figures that no row has stay as
    /// they are until the next tick; where a policy changed nobody starts before that.
    pub fn adopt(
        &mut self,
        policies: Option<Vec<PolicyRow>>,
        rollouts: Vec<RolloutRow>,
        mut attempts: Vec<AttemptRow>,
    ) -> Result<(), RestoreError> {
        if let Some(rows) = policies {
            self.policies = Policies::restore(rows).map_err(RestoreError::Policy)?;
        }
        for row in rollouts {
            let mut head = self.read(row)?;
            if let Some(known) = self.heads.remove(&head.id) {
                head.load = known.load;
                if known.rules == head.rules {
                    (head.rest, head.judgements) = (known.rest, known.judgements);
                }
            }
            self.index(head);
        }
        attempts.sort_by_key(|row| (row.rollout, row.slot, row.generation));
        for row in attempts {
            self.adopt_attempt(row)?;
        }
        self.generation = self.generation.wrapping_add(1);
        Ok(())
    }

    /// As if the draft that wrote the row had been applied here.
    fn adopt_attempt(&mut self, row: AttemptRow) -> Result<(), RestoreError> {
        let AttemptRow { rollout, slot, generation, outcome, granted_at, at, body } = row;
        let Some(head) = self.heads.get_mut(&rollout) else { return Ok(()) };
        let attempts = self.attempts.entry(rollout).or_default();
        let known = attempts.live.get(&slot);
        if known.is_some_and(|known| known.generation > generation) {
            return Ok(());
        }
        let new: Option<Tracked> = match outcome {
            Outcome::Live => {
                Some(serde_json::from_str(&body).map_err(|source| RestoreError::Attempt {
                    rollout,
                    slot,
                    source,
                })?)
            }
            Outcome::Settled | Outcome::Lapsed | Outcome::Left => None,
        };
        let same = known.filter(|known| known.generation == generation);
        let tries_again = same.is_some_and(|old| !old.in_flight)
            && new.as_ref().is_some_and(|new| new.in_flight && new.attempt.recorded.is_some());
        match granted_at {
            Some(granted_at) if same.is_none() => {
                head.load.count_grant(&head.rules.caps, granted_at);
            }
            Some(_) if tries_again => head.load.count_grant(&head.rules.caps, at),
            Some(_) | None => {}
        }
        let old = attempts.live.remove(&slot);
        if let Some(old) = old.as_ref().filter(|old| old.in_flight) {
            head.load.end_in_domain(old.domain.as_deref());
        }
        if outcome == Outcome::Settled {
            attempts.settled.insert(slot);
        }
        if let Some(new) = new {
            if new.in_flight {
                head.load.count_in_domain(new.domain.as_deref());
            }
            attempts.settled.remove(slot);
            attempts.live.insert(slot, new);
        } else if let Some(old) = old {
            head.note_ended(&old, outcome);
        }
        Ok(())
    }

    /// The policies.
    pub fn policies(&self) -> &Policies {
        &self.policies
    }

    /// Changes with every [`Rollouts::apply`].
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The longest period of a cap in force: attempts granted within it are needed at start.
    pub fn longest_period(&self) -> Option<jiff::SignedDuration> {
        let caps = self.heads.values().filter_map(|head| head.rules.caps.per_period);
        caps.map(|cap| cap.period.duration()).max()
    }

    /// Whether anything is on its way, soaking or waiting for judgement: without, a tick may be
    /// left out.
    pub fn is_idle(&self) -> bool {
        self.heads.is_empty()
    }

    /// The fleet's salt.
    pub fn salt(&self) -> &FleetSalt {
        &self.salt
    }
}

/// A policy as it applies to a rollout.
pub(super) fn rules(policy: &Arc<Policy>, emergency: bool) -> Arc<Policy> {
    if emergency { Arc::new(policy.in_emergency()) } else { Arc::clone(policy) }
}
