//! What people do to policies and rollouts.

use std::collections::BTreeSet;

use channels::rollout::{Failure, Name, PolicyError, Ring, lint};
use jiff::Timestamp;

use super::draft::Draft;
use super::event::{FAILURES_TOLD, RolloutEventKind};
use super::policies::InForce;
use super::rollouts::rules;
use super::state::{Head, RolloutId, Said};

/// Longest reason kept.
pub const REASON_MAX_BYTES: usize = 2_000;

/// What a person may do to one rollout. Every one has a reason, for those who come after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RolloutCommand {
    /// Nobody of it, or of one ring, starts or renews.
    Hold {
        /// The ring, if only one.
        ring: Option<Name>,
        /// Why.
        reason: String,
    },
    /// Lifts that hold.
    Release {
        /// The ring, if only one.
        ring: Option<Name>,
        /// Why.
        reason: String,
    },
    /// Goes on after a halt: the failures named were seen and are accepted.
    Resume {
        /// Which.
        seen: BTreeSet<Failure>,
        /// Why.
        reason: String,
    },
    /// Lets a ring with `approval: true` open once its gates let it.
    Approve {
        /// Which.
        ring: Name,
        /// Why.
        reason: String,
    },
    /// The steepest curve for all rings, and windows do not count. Freezes, gates and caps do.
    Emergency {
        /// Why.
        reason: String,
    },
}

/// Why a policy or a command was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RolloutRefusal {
    /// No rollout of that number.
    #[error("there is no rollout {id}")]
    NoRollout {
        /// The number.
        id: RolloutId,
    },
    /// No such policy.
    #[error("there is no rollout policy {name}")]
    NoPolicy {
        /// The name.
        name: Name,
    },
    /// No such ring.
    #[error("the policy of rollout {id} has no ring {ring}")]
    NoRing {
        /// The rollout.
        id: RolloutId,
        /// The ring.
        ring: Name,
    },
    /// The ring opens by itself.
    #[error("ring {ring} of rollout {id} needs no approval")]
    NoApprovalNeeded {
        /// The rollout.
        id: RolloutId,
        /// The ring.
        ring: Name,
    },
    /// No reason, or a book.
    #[error("a reason of 1 to {REASON_MAX_BYTES} bytes is needed")]
    Reason,
    /// Nothing holds it.
    #[error("nothing of the kind holds rollout {id}")]
    NotHeld {
        /// The rollout.
        id: RolloutId,
    },
    /// A failure was named that does not wait.
    #[error("rollout {id} has no such failure of cluster {} to acknowledge", failure.cluster)]
    NoSuchFailure {
        /// The rollout.
        id: RolloutId,
        /// The failure.
        failure: Failure,
    },
    /// Failures halt it that the person did not name.
    #[error("{missing} failures halt rollout {id} that were not named; look at them first")]
    FailuresUnseen {
        /// The rollout.
        id: RolloutId,
        /// How many.
        missing: usize,
    },
    /// Nothing waits to be acknowledged.
    #[error("no failure of rollout {id} waits to be acknowledged")]
    NothingToAcknowledge {
        /// The rollout.
        id: RolloutId,
    },
    /// The file is no policy.
    #[error("the policy cannot be read")]
    Policy(#[source] PolicyError),
    /// The policy reads well and would harm.
    #[error("the policy has {count} errors: {first}")]
    Lint {
        /// How many.
        count: usize,
        /// The first.
        first: String,
    },
    /// Two policies would govern the same releases.
    #[error("policies {name} and {other} are for {what} equally; make one of them more specific")]
    Overlap {
        /// The one that was applied.
        name: Name,
        /// The one in force.
        other: Name,
        /// What both are for.
        what: String,
    },
    /// More policies than are kept in force.
    #[error("there are {max} policies already", max = super::policies::POLICIES_MAX)]
    TooManyPolicies,
}

impl Draft<'_> {
    /// Applies a version of a policy to everything it governs from now on; answers with its
    /// name and version. The same text again is no new version. [`Draft::offered`] follows.
    pub fn apply_policy(
        &mut self,
        text: &str,
        fleet: &lint::Fleet<'_>,
        by: &str,
        now: Timestamp,
    ) -> Result<(Name, u64), RolloutRefusal> {
        let policy = self.policies().check(text, fleet, by, now)?;
        let key = (policy.row.name.clone(), policy.row.version);
        if let Some(known) = self.policies().get(&key.0)
            && known.row.text == text
            && !known.row.deleted
        {
            return Ok((key.0, known.row.version));
        }
        self.write_policy(policy.clone());
        self.adopt(&policy, now);
        Ok(key)
    }

    /// Deletes a policy: it governs nothing any more, nobody starts in its rollouts, and attempts
    /// under way are judged by it to their end.
    pub fn delete_policy(
        &mut self,
        name: &Name,
        by: &str,
        now: Timestamp,
    ) -> Result<(), RolloutRefusal> {
        let known = self.policies().get(name).filter(|known| !known.row.deleted);
        let Some(mut policy) = known.cloned() else {
            return Err(RolloutRefusal::NoPolicy { name: name.clone() });
        };
        policy.row.deleted = true;
        policy.row.version = policy.row.version.saturating_add(1);
        (policy.row.at, policy.row.by) = (now, by.to_owned());
        self.write_policy(policy);
        for id in self.of_policy(name) {
            self.tell(id, Some(by), RolloutEventKind::Closed, now);
        }
        Ok(())
    }

    fn of_policy(&self, name: &Name) -> Vec<RolloutId> {
        let of_it = |id: &RolloutId| self.head(*id).is_some_and(|head| head.policy == *name);
        self.ids().into_iter().filter(of_it).collect()
    }

    /// Counts the time so far under the version before, and goes on under this one.
    fn adopt(&mut self, policy: &InForce, now: Timestamp) {
        for id in self.of_policy(&policy.row.name) {
            let Some(head) = self.head_mut(id, true) else { continue };
            let rules = rules(&policy.policy, head.state.emergency.is_some());
            head.state.core.adopt(&head.rules, &rules, now);
            head.rules = rules;
            head.state.policy_version = policy.row.version;
            head.judgements.clear();
            let version = policy.row.version;
            self.tell(id, None, RolloutEventKind::PolicyChanged { version }, now);
        }
    }

    /// Does what a person asks of one rollout.
    pub fn command(
        &mut self,
        id: RolloutId,
        command: &RolloutCommand,
        by: &str,
        now: Timestamp,
    ) -> Result<(), RolloutRefusal> {
        let reason = command.reason();
        if reason.trim().is_empty() || reason.len() > REASON_MAX_BYTES {
            return Err(RolloutRefusal::Reason);
        }
        let said = Said { by: by.to_owned(), at: now, reason: reason.to_owned() };
        let head = self.head_mut(id, true).ok_or(RolloutRefusal::NoRollout { id })?;
        let event = match command {
            RolloutCommand::Hold { ring, .. } => head.hold(ring.as_ref(), said, now),
            RolloutCommand::Release { ring, .. } => head.let_go(ring.as_ref(), reason, now),
            RolloutCommand::Resume { seen, .. } => head.resume(seen, reason, now),
            RolloutCommand::Approve { ring, .. } => head.approve(ring, reason, now),
            RolloutCommand::Emergency { .. } => Ok(head.hurry(said, now)),
        }?;
        self.tell(id, Some(by), event, now);
        Ok(())
    }
}

impl RolloutCommand {
    fn reason(&self) -> &str {
        match self {
            Self::Hold { reason, .. }
            | Self::Release { reason, .. }
            | Self::Resume { reason, .. }
            | Self::Approve { reason, .. }
            | Self::Emergency { reason } => reason,
        }
    }
}

type Done = Result<RolloutEventKind, RolloutRefusal>;

impl Head {
    fn check_ring(&self, ring: &Name) -> Result<&Ring, RolloutRefusal> {
        let found = self.rules.rings.iter().find(|known| known.name == *ring);
        found.ok_or_else(|| RolloutRefusal::NoRing { id: self.id, ring: ring.clone() })
    }

    fn hold(&mut self, ring: Option<&Name>, said: Said, now: Timestamp) -> Done {
        let reason = said.reason.clone();
        if let Some(ring) = ring {
            self.check_ring(ring)?;
            self.state.rings_held.entry(ring.clone()).or_insert(said);
        } else {
            self.state.held.get_or_insert(said);
            self.note_holds(now);
        }
        Ok(RolloutEventKind::Held { ring: ring.cloned(), reason })
    }

    fn let_go(&mut self, ring: Option<&Name>, reason: &str, now: Timestamp) -> Done {
        let was_held = match ring {
            // Also of a ring that the policy has no more.
            Some(ring) => self.state.rings_held.remove(ring).is_some(),
            None => self.state.held.take().is_some(),
        };
        if !was_held {
            return Err(RolloutRefusal::NotHeld { id: self.id });
        }
        self.note_holds(now);
        Ok(RolloutEventKind::Released { ring: ring.cloned(), reason: reason.to_owned() })
    }

    fn resume(&mut self, seen: &BTreeSet<Failure>, reason: &str, now: Timestamp) -> Done {
        let id = self.id;
        let core = &mut self.state.core;
        if core.failed().is_empty() {
            return Err(RolloutRefusal::NothingToAcknowledge { id });
        }
        let waits = |failure: &&Failure| core.failed().get(&failure.cluster) == Some(*failure);
        if let Some(failure) = seen.iter().find(|failure| !waits(failure)) {
            return Err(RolloutRefusal::NoSuchFailure { id, failure: *failure });
        }
        let missing = core.halted_by().difference(seen).count();
        if missing > 0 {
            return Err(RolloutRefusal::FailuresUnseen { id, missing });
        }
        core.resume(seen, &self.rules, now);
        let waiting = core.halted_by().len();
        self.note_stops(now);
        let seen = seen.iter().copied().take(FAILURES_TOLD).collect();
        Ok(RolloutEventKind::Resumed { seen, waiting, reason: reason.to_owned() })
    }

    fn approve(&mut self, ring: &Name, reason: &str, now: Timestamp) -> Done {
        let needed = self.state.core.needs_approval(self.check_ring(ring)?);
        if !needed {
            return Err(RolloutRefusal::NoApprovalNeeded { id: self.id, ring: ring.clone() });
        }
        self.state.core.approve(&self.rules, ring, now);
        Ok(RolloutEventKind::Approved { ring: ring.clone(), reason: reason.to_owned() })
    }

    /// Time so far counts as it did.
    fn hurry(&mut self, said: Said, now: Timestamp) -> RolloutEventKind {
        let reason = said.reason.clone();
        if self.state.emergency.is_none() {
            let rules = rules(&self.rules, true);
            self.state.core.adopt(&self.rules, &rules, now);
            self.rules = rules;
            self.state.emergency = Some(said);
        }
        RolloutEventKind::Emergency { reason }
    }
}
