//! What people order: policies, and commands to one rollout.

use std::path::Path;

use channels::rollout::lint::Fleet;
use channels::rollout::{Labels, Name, Policy};
use jiff::Timestamp;
use serde_json::json;
use signing::Sha256Digest;

use super::super::audit::Event;
use super::super::{Batch, Refusal, Stop, Store};
use crate::fleet::FleetIndex;
use crate::rollout::{RolloutCommand, RolloutId, RolloutRefusal};

/// Most clusters whose labels a policy is linted against one by one; of a larger fleet only the
/// number counts. A hundred thousand sets of labels take some 20 MB while it is looked at.
const LABELS_LISTED_MAX: usize = 100_000;

/// A policy to apply.
#[derive(Debug, Clone)]
pub struct NewPolicy {
    /// The name it is applied under; the file must have the same.
    pub name: Name,
    /// The file.
    pub text: String,
    /// Who.
    pub by: String,
    /// When.
    pub now: Timestamp,
}

/// A policy that is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppliedPolicy {
    /// Its version.
    pub version: u64,
    /// Whether that is a new one.
    pub changed: bool,
}

/// A policy to take out of force.
#[derive(Debug, Clone)]
pub struct RemovedPolicy {
    /// Its name.
    pub name: Name,
    /// Why.
    pub reason: String,
    /// Who.
    pub by: String,
    /// When.
    pub now: Timestamp,
}

/// A command to one rollout.
#[derive(Debug, Clone)]
pub struct Steer {
    /// Which rollout.
    pub id: RolloutId,
    /// What, in this order; all or none.
    pub commands: Vec<RolloutCommand>,
    /// Who.
    pub by: String,
    /// When.
    pub now: Timestamp,
}

impl Store {
    /// Applies a version of a policy. The same text again changes nothing.
    pub async fn apply_policy(&self, new: NewPolicy) -> Result<AppliedPolicy, Refusal> {
        self.submit(move |batch| batch.apply_policy(&new)).await
    }

    /// Takes a policy out of force.
    pub async fn remove_policy(&self, gone: RemovedPolicy) -> Result<(), Refusal> {
        self.submit(move |batch| batch.remove_policy(&gone)).await
    }

    /// Does what a person orders of one rollout.
    pub async fn steer(&self, steer: Steer) -> Result<(), Refusal> {
        self.submit(move |batch| batch.steer(&steer)).await
    }
}

/// What lint is told of the clusters that a policy is for.
#[derive(Debug)]
pub struct Governed {
    labels: Vec<Labels>,
    clusters: u32,
}

impl Governed {
    /// The clusters of the fleet that a policy is for.
    pub fn by(policy: &Policy, fleet: &FleetIndex) -> Self {
        let (labels, clusters) = fleet.labels_under(policy, LABELS_LISTED_MAX);
        Self { labels, clusters }
    }

    /// In lint's words: their labels, or of too many only the number.
    pub fn fleet(&self) -> Fleet<'_> {
        if u32::try_from(self.labels.len()) == Ok(self.clusters) {
            Fleet::Labels(&self.labels)
        } else {
            Fleet::Size(self.clusters)
        }
    }
}

impl Batch<'_> {
    fn apply_policy(&mut self, new: &NewPolicy) -> Result<AppliedPolicy, Stop> {
        let NewPolicy { name, text, by, now } = new;
        let policy = Policy::parse(Path::new("policy.yaml"), text)
            .map_err(|error| Refusal::Rollout(RolloutRefusal::Policy(error)))?;
        let governed = Governed::by(&policy, &self.committed.fleet());
        let before = self
            .draft(*now, |draft| draft.policies().get(name).map_or(0, |known| known.row.version));
        let (_, version) = self
            .draft(*now, |draft| draft.apply_policy(text, &governed.fleet(), by, *now))
            .map_err(Refusal::Rollout)?;
        let changed = version != before;
        if changed {
            self.audit(&Event {
                at: *now,
                actor: by.clone(),
                action: "apply_policy",
                object: format!("rollout-policy/{name}"),
                detail: json!({
                    "version": version, "sha256": Sha256Digest::of(text.as_bytes()).hex(),
                }),
            })?;
            self.offer_heads_anew(*now);
        }
        Ok(AppliedPolicy { version, changed })
    }

    fn remove_policy(&mut self, gone: &RemovedPolicy) -> Result<(), Stop> {
        let RemovedPolicy { name, reason, by, now } = gone;
        self.draft(*now, |draft| draft.delete_policy(name, by, *now)).map_err(Refusal::Rollout)?;
        self.audit(&Event {
            at: *now,
            actor: by.clone(),
            action: "remove_policy",
            object: format!("rollout-policy/{name}"),
            detail: json!({ "reason": reason }),
        })?;
        // What it governed may fall to a policy that is for more.
        self.offer_heads_anew(*now);
        Ok(())
    }

    fn steer(&mut self, steer: &Steer) -> Result<(), Stop> {
        let Steer { id, commands, by, now } = steer;
        // One that is refused must leave nothing of those before it.
        let before = self.changes.rollouts.overlay.clone();
        let done: Result<(), RolloutRefusal> = self.draft(*now, |draft| {
            commands.iter().try_for_each(|command| draft.command(*id, command, by, *now))
        });
        if let Err(refusal) = done {
            self.changes.rollouts.overlay = before;
            return Err(Refusal::Rollout(refusal).into());
        }
        Ok(())
    }
}
