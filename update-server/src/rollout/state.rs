//! One rollout: a release's way through the fleet under one policy.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use channels::names::{NameError, ProductRef};
use channels::rollout::{
    Failure, Interruptions, Judgement, Load, Name, Policy, Rest, Rollout, Stop,
};
use channels::version::ReleaseVersion;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use signing::Sha256Digest;

use super::attempt::Tracked;
use super::changes::{Outcome, RolloutRow};
use crate::fleet::GraphKey;

/// A rollout's number at the hub, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RolloutId(pub u64);

impl fmt::Display for RolloutId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for RolloutId {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let number = text.parse().ok().filter(|number| *number > 0);
        number.map(Self).ok_or_else(|| NameError::new("rollout", text, "write its number"))
    }
}

/// What a person did, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    /// Who.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// Why, in their words.
    pub reason: String,
}

/// What is kept of a rollout on disk, besides its columns.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct State {
    /// Clock, rings, failures.
    pub(super) core: Rollout,
    /// Graphs in which the hub saw the release, as their head or because a cluster asked for it.
    pub(super) graphs: BTreeSet<GraphKey>,
    /// The version of the policy that `core` was last counted under.
    pub(super) policy_version: u64,
    /// When the hub was down, or the rollout stopped: an open end is [`Timestamp::MAX`].
    pub(super) interruptions: Interruptions,
    /// Somebody holds all of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) held: Option<Said>,
    /// A hold of the hub's list covers all of it.
    #[serde(default)]
    pub(super) covered: bool,
    /// Somebody holds a ring.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) rings_held: BTreeMap<Name, Said>,
    /// Somebody made it an emergency.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) emergency: Option<Said>,
    /// The newest rollout that took its place in one of its graphs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) superseded_by: Option<RolloutId>,
    /// When every member ran the release for the first time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) converged_at: Option<Timestamp>,
}

/// One rollout, without its attempts.
#[derive(Debug, Clone)]
pub(super) struct Head {
    pub(super) id: RolloutId,
    pub(super) policy: Name,
    pub(super) product: ProductRef,
    pub(super) version: ReleaseVersion,
    pub(super) digest: Sha256Digest,
    pub(super) opened_at: Timestamp,
    pub(super) state: State,
    /// The policy as it applies: with an emergency's curves and windows, if it is one.
    pub(super) rules: Arc<Policy>,
    /// What counts against the caps.
    pub(super) load: Load,
    /// The clusters of each ring that are no attempts, as of the last tick.
    pub(super) rest: Vec<Rest>,
    /// As of the last look.
    pub(super) judgements: Vec<Judgement>,
}

impl Head {
    /// The row.
    pub(super) fn row(&self) -> RolloutRow {
        RolloutRow {
            id: self.id,
            policy: self.policy.clone(),
            product: self.product.clone(),
            version: self.version.clone(),
            digest: self.digest,
            opened_at: self.opened_at,
            // Names, numbers and times: always serialise.
            state: serde_json::to_string(&self.state).unwrap_or_default(),
        }
    }

    /// Name of a ring by its index; the policy has at least one.
    pub(super) fn ring_name(&self, ring: usize) -> Name {
        let ring = self.rules.rings.get(ring).or_else(|| self.rules.rings.first());
        // A policy without rings is refused when it is read.
        ring.map_or_else(|| self.policy.clone(), |ring| ring.name.clone())
    }

    /// Stops or starts the clock as holds ask for.
    pub(super) fn note_holds(&mut self, now: Timestamp) {
        let held = self.state.held.is_some() || self.state.covered;
        if held != self.state.core.clock().stops().contains(&Stop::Held) {
            if held {
                self.state.core.hold(&self.rules, now);
            } else {
                self.state.core.release(&self.rules, now);
            }
        }
        self.note_stops(now);
    }

    /// Remembers from when to when grants were not renewed: while it was held or halted.
    pub(super) fn note_stops(&mut self, now: Timestamp) {
        let stops = self.state.core.clock().stops();
        let stopped = stops.contains(&Stop::Held) || stops.contains(&Stop::Halted);
        let gaps = &mut self.state.interruptions.stopped;
        let open = gaps.last().is_some_and(|(_, until)| *until == Timestamp::MAX);
        match (open, stopped) {
            (false, true) => gaps.push((now, Timestamp::MAX)),
            (true, false) => {
                if let Some(last) = gaps.last_mut() {
                    last.1 = now;
                }
            }
            (true, true) | (false, false) => {}
        }
    }

    /// Shares are of those that began: nobody may be missing between the end of an attempt and the
    /// next tick.
    pub(super) fn note_ended(&mut self, tracked: &Tracked, outcome: Outcome) {
        let ring = self.ring(&tracked.ring);
        if let Some(rest) = self.rest.get_mut(ring) {
            match outcome {
                Outcome::Settled => rest.settled = rest.settled.saturating_add(1),
                Outcome::Lapsed => rest.not_started = rest.not_started.saturating_add(1),
                Outcome::Live | Outcome::Left => {}
            }
        }
    }

    /// Forgets interruptions that ended before anybody who is looked at was last heard of, began
    /// or was granted.
    pub(super) fn forget_before(&mut self, oldest: Option<Timestamp>) {
        let touches = |(_, until): &(Timestamp, Timestamp)| {
            *until == Timestamp::MAX || oldest.is_some_and(|oldest| oldest < *until)
        };
        self.state.interruptions.stopped.retain(touches);
        self.state.interruptions.hub_down.retain(touches);
    }

    /// Whether the attempt failed and somebody accepted that.
    pub(super) fn has_accepted(&self, tracked: &Tracked) -> bool {
        tracked.attempt.recorded.is_some_and(|(why, at)| {
            let failure = Failure { cluster: tracked.cluster, why, at };
            self.state.core.acknowledged().contains(&failure)
        })
    }

    /// Whether anybody is left to go, as of the last tick.
    pub(super) fn has_more_to_do(&self) -> bool {
        self.rest.iter().any(|rest| rest.not_started > 0) || self.load.in_flight() > 0
    }

    /// Index of a ring by its name; a name that is gone from the policy stands for the first ring,
    /// whose gates are the first to stop everything.
    pub(super) fn ring(&self, name: &Name) -> usize {
        self.rules.rings.iter().position(|ring| ring.name == *name).unwrap_or(0)
    }
}
