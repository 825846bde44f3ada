//! What the agent remembers about its own doing: everything that must survive a `kill -9`.
//!
//! Values and small pure changes of them; reading and writing is `state`'s.

mod finalization;

use std::collections::BTreeMap;

use channels::names::{PoolName, ProductRef, UnitName};
use channels::version::ReleaseVersion;
use channels::wire::{self, Role};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use signing::Sha256Digest;

use crate::driver::{StepOrder, Task};
use crate::gate::MutateRecord;
use crate::observation::UnitKey;
use crate::phase::{Failed, Phase, elapsed_ms};

pub use finalization::{Arrived, Certainty, Doubt, Finalization, FinalizeRun, Finalized, Floor};

/// Completed moves kept per product, as many as OpenShift's cluster version keeps.
const COMPLETED_MAX: usize = 100;

/// Why a step was left: a person ordered the product back to another release.
pub const BACK_ORDERED: &str = "back_ordered";

/// Steps whose length is remembered per role: an odd number has a middle, and an old cluster's
/// habits are forgotten after a few.
const STEP_TIMES_MAX: usize = 9;

/// The agent's memory.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct History {
    /// One record per product.
    pub products: BTreeMap<ProductRef, ProductHistory>,
    /// The one unit that is out, if one is (invariant I1: there is room for one).
    pub out: Option<Out>,
    /// Set by a gate or a failed step, cleared by `resume`.
    pub pause: Option<Pause>,
    /// A green baseline from this time on is owed before the next unit: the roll was resumed.
    pub baseline_owed_since: Option<Timestamp>,
    /// When the last unit was finished or dropped; a grant must be newer.
    pub last_step_ended_at: Option<Timestamp>,
    /// Highest generation of a grant ever seen; an older one is worthless.
    pub highest_generation: u64,
    /// The last step that was refused before it changed anything.
    pub refused: Option<RefusedStep>,
    /// How each unit looked when it was last calm, so that a change by itself is noticed.
    #[serde(with = "pairs")]
    pub calm: BTreeMap<UnitKey, Calm>,
}

/// One product's record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProductHistory {
    /// The release that every unit runs, or the one a roll moves away from.
    pub version: ReleaseVersion,
    /// The roll that is under way.
    pub roll: Option<Roll>,
    /// Completed rolls, oldest first.
    pub completed: Vec<Completed>,
    /// How long the last undisturbed steps of each role took, milliseconds, oldest first.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub step_ms: BTreeMap<Role, Vec<u64>>,
    /// The finalize step that has not been taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finalization: Option<Finalization>,
    /// Releases that were finalized, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub finalized: Vec<Finalized>,
    /// Finalize steps that failed and may have taken effect, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub doubts: Vec<Doubt>,
}

/// A product on its way to another release.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Roll {
    /// Where to.
    pub to: ReleaseVersion,
    /// Digest of that release's document.
    pub release_digest: Sha256Digest,
    /// When its first unit was taken out.
    pub started_at: Timestamp,
    /// Units finished.
    pub units_done: u32,
    /// Whether any unit may have been changed; until then the roll can be given up.
    pub touched: bool,
    /// Other releases that units were left on when the target changed in mid-roll.
    pub passed: Vec<ReleaseVersion>,
}

/// A finished roll.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Completed {
    /// From.
    pub from: ReleaseVersion,
    /// To.
    pub to: ReleaseVersion,
    /// First unit out.
    pub started_at: Timestamp,
    /// Last unit soaked.
    pub completed_at: Timestamp,
}

/// The unit that is out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Out {
    /// What the driver is asked to do; names the step for ever.
    pub order: StepOrder,
    /// Its pool.
    pub pool: PoolName,
    /// Whether this agent changes it, or it changed by itself.
    pub cause: Cause,
    /// When no command may be started any more; `None` without a hub or for an adopted unit.
    pub grant_expires_at: Option<Timestamp>,
    /// How it looked when it was taken out.
    pub before: MutateRecord,
    /// Who leads the quorum, followed since the step began.
    pub leadership: Leadership,
    /// Where the step stands.
    pub phase: Phase,
    /// A stage that the driver was told to start and knows nothing of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unstarted: Option<Unstarted>,
    /// The roll was paused meanwhile: how long the step took says nothing about others.
    #[serde(default)]
    pub disturbed: bool,
    /// The last attempt whose change was seen to run or to have ended. From then on the unit may be
    /// half changed: what goes wrong is never undone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed_in: Option<u32>,
    /// What of the step failed; cleared by `resume`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<Failed>,
    /// It was not healthy when it was taken out.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub was_ill: bool,
}

/// A stage or hook that does not get started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unstarted {
    /// Which.
    pub stage: Task,
    /// How often it was found not started.
    pub times: u32,
}

/// Why a unit is out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// A step of this agent.
    Planned,
    /// It restarted or changed by itself and is watched like one that was changed.
    Adopted,
}

/// Elections during a step: one is allowed if the unit led, none otherwise (I6).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leadership {
    /// Whether the unit led its quorum when it was taken out.
    pub was_leader: bool,
    /// Whether it led when it was changed; a drain is long, and leadership moves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub led_at_change: Option<bool>,
    /// The last leader seen.
    pub leader: Option<UnitName>,
    /// How often it changed since the step began.
    pub changes: u32,
}

impl Leadership {
    /// Notes the leader of one probe; a probe without a leader is not a change.
    pub fn note(&mut self, leader: Option<&UnitName>) {
        let Some(leader) = leader else { return };
        if self.leader.as_ref().is_some_and(|known| known != leader) {
            self.changes = self.changes.saturating_add(1);
        }
        self.leader = Some(leader.clone());
    }

    /// The change of `unit` begins: from now on elections count, and only its own is allowed.
    pub fn begin_change(&mut self, unit: &UnitName) {
        self.led_at_change = Some(self.leader.as_ref() == Some(unit));
        self.changes = 0;
    }

    /// Changes this step may cause.
    pub fn allowed(&self) -> u32 {
        u32::from(self.led_at_change.unwrap_or(self.was_leader))
    }
}

/// The roll is stopped until a person resumes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pause {
    /// Why.
    pub why: wire::WaitingOn,
    /// Since when.
    pub at: Timestamp,
}

/// A step that was refused before it changed anything; tried again later by itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RefusedStep {
    /// The unit.
    pub key: UnitKey,
    /// Why.
    pub why: wire::WaitingOn,
    /// When.
    pub at: Timestamp,
    /// When it was first refused by the same gate, if it was several times in a row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_at: Option<Timestamp>,
    /// How often the same gate refused it in a row before this time.
    #[serde(default)]
    pub times_before: u32,
}

impl RefusedStep {
    /// When the same gate first refused it.
    pub fn since(&self) -> Timestamp {
        self.first_at.unwrap_or(self.at)
    }
}

/// A unit that nobody touches.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Calm {
    /// The version it reported.
    pub version: String,
    /// `process_start_time_seconds`.
    pub process_start_s: Option<f64>,
    /// Names its life, where a witness is the evidence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incarnation: Option<String>,
}

impl Out {
    /// The unit.
    pub fn key(&self) -> &UnitKey {
        &self.order.key
    }

    /// Its role.
    pub fn role(&self) -> Role {
        self.order.role
    }

    /// Whether an attempt has changed it, as far as anybody saw.
    pub fn is_touched(&self) -> bool {
        self.changed_in.is_some()
    }

    /// Whether the change of this very attempt was seen.
    pub fn is_change_seen(&self) -> bool {
        self.changed_in == Some(self.order.attempt)
    }

    /// Takes in that its change runs or has ended; says whether that is news.
    pub fn note_change(&mut self) -> bool {
        let seen = Some(self.order.attempt);
        std::mem::replace(&mut self.changed_in, seen) != seen
    }

    /// Counts that the stage was found not started, in a row; says how often so far.
    pub fn note_unstarted(&mut self, stage: Task) -> u32 {
        let before = self.unstarted.filter(|seen| seen.stage == stage).map_or(0, |seen| seen.times);
        let times = before.saturating_add(1);
        self.unstarted = Some(Unstarted { stage, times });
        times
    }

    /// The stage was started after all.
    pub fn note_started(&mut self, stage: Task) {
        self.unstarted = self.unstarted.filter(|seen| seen.stage != stage);
    }
}

impl ProductHistory {
    /// A product of which nothing is remembered but what it runs.
    pub fn new(version: ReleaseVersion) -> Self {
        Self {
            version,
            roll: None,
            completed: vec![],
            step_ms: BTreeMap::new(),
            finalization: None,
            finalized: vec![],
            doubts: vec![],
        }
    }

    /// Remembers how long a step took.
    fn note_step(&mut self, role: Role, took_ms: u64) {
        let taken = self.step_ms.entry(role).or_default();
        taken.push(took_ms);
        let surplus = taken.len().saturating_sub(STEP_TIMES_MAX);
        taken.drain(..surplus);
    }
}

impl History {
    /// Whether an attempt has changed the unit and it was left like that: then it is its own state
    /// that the next attempt is to mend.
    pub fn is_left_changed(&self, key: &UnitKey) -> bool {
        let out = self.out.as_ref().filter(|out| out.key() == key);
        let left = |refused: &RefusedStep| refused.key == *key && refused.why.gate == BACK_ORDERED;
        out.is_some_and(Out::is_touched) || self.refused.as_ref().is_some_and(left)
    }

    /// Fills in what documents written before there was a word for it do not say.
    pub(crate) fn understood(mut self) -> Self {
        let gate = self.pause.as_ref().map(|pause| pause.why.gate.as_str());
        let Some(out) = &mut self.out else { return self };
        let failed = match gate {
            Some("mutate_failed") => Some(Failed::Change),
            Some("return_overdue") => Some(Failed::Return),
            Some("restore_failed") => Some(Failed::Restore),
            Some("after_failed") => Some(Failed::After),
            Some("stage_not_started") => Some(Failed::Start),
            Some(_) | None => None,
        };
        out.failed = out.failed.or(failed);
        let changed = matches!(out.failed, Some(Failed::Change | Failed::Return));
        let before = out.order.attempt.checked_sub(1).filter(|before| *before > 0);
        let seen = if changed { Some(out.order.attempt) } else { before };
        out.changed_in = out.changed_in.or(seen);
        self
    }

    /// Whether the unit is the one that is out.
    pub fn is_out(&self, key: &UnitKey) -> bool {
        self.out.as_ref().is_some_and(|out| out.key() == key)
    }

    /// The last finalize step of each product that had one.
    pub fn last_finalized(&self) -> BTreeMap<ProductRef, Finalized> {
        let last = |(product, record): (&ProductRef, &ProductHistory)| {
            Some((product.clone(), record.finalized.last()?.clone()))
        };
        self.products.iter().filter_map(last).collect()
    }

    /// After the clock went back: what the agent waits *since* is taken for now, so that it neither
    /// waits for the old time to come again nor takes anything for older than it is. Says whether
    /// anything was.
    pub fn not_after(&mut self, now: Timestamp) -> bool {
        let mut changed = false;
        let refused = self.refused.as_mut().map(|refused| &mut refused.at);
        let times = [self.last_step_ended_at.as_mut(), self.baseline_owed_since.as_mut(), refused];
        for at in times.into_iter().flatten().filter(|at| **at > now) {
            *at = now;
            changed = true;
        }
        changed
    }

    /// Takes the unit off the field: done, or dropped before it was changed.
    pub fn end_step(&mut self, now: Timestamp) {
        let Some(out) = self.out.take() else { return };
        self.last_step_ended_at = Some(now);
        if let Phase::Dropped { why } = out.phase {
            if out.cause == Cause::Adopted {
                // Nobody refused anything: it is looked at anew.
                return;
            }
            let key = out.order.key;
            let same = |last: &RefusedStep| last.key == key && last.why.gate == why.gate;
            let before = self.refused.take().filter(same);
            let times_before =
                before.as_ref().map_or(0, |last| last.times_before.saturating_add(1));
            let first_at = before.map(|last| last.since());
            self.refused = Some(RefusedStep { key, why, at: now, first_at, times_before });
        } else if out.cause == Cause::Planned {
            self.refused = None;
            let Some(product) = self.products.get_mut(&out.order.key.product) else { return };
            if !out.disturbed {
                product.note_step(out.order.role, elapsed_ms(out.before.at, now));
            }
            if let Some(roll) = &mut product.roll {
                roll.units_done = roll.units_done.saturating_add(1);
            }
        }
    }

    /// Begins a roll, or changes the target of the one under way.
    pub fn begin_roll(
        &mut self,
        product: &ProductRef,
        to: &ReleaseVersion,
        release_digest: Sha256Digest,
        now: Timestamp,
    ) {
        let Some(record) = self.products.get_mut(product) else { return };
        match &mut record.roll {
            Some(roll) if roll.to == *to => {}
            Some(roll) => {
                let left = std::mem::replace(&mut roll.to, to.clone());
                if roll.touched && !roll.passed.contains(&left) {
                    roll.passed.push(left);
                }
                roll.release_digest = release_digest;
            }
            None => {
                record.roll = Some(Roll {
                    to: to.clone(),
                    release_digest,
                    started_at: now,
                    units_done: 0,
                    touched: false,
                    passed: vec![],
                });
            }
        }
    }

    /// Every unit runs the target and has soaked.
    pub fn complete(&mut self, product: &ProductRef, arrived: &Arrived, now: Timestamp) {
        let Some(record) = self.products.get_mut(product) else { return };
        let started_at = record.roll.take().map_or(now, |roll| roll.started_at);
        let to = arrived.to.clone();
        let from = std::mem::replace(&mut record.version, to.clone());
        record.arrive(&from, arrived, now);
        record.completed.push(Completed { from, to, started_at, completed_at: now });
        let surplus = record.completed.len().saturating_sub(COMPLETED_MAX);
        record.completed.drain(..surplus);
    }
}

/// A map with structured keys as a list of pairs, because JSON keys are texts.
mod pairs {
    use super::{BTreeMap, Calm, UnitKey};
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(
        map: &BTreeMap<UnitKey, Calm>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        map.iter().collect::<Vec<_>>().serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<UnitKey, Calm>, D::Error> {
        Vec::<(UnitKey, Calm)>::deserialize(deserializer).map(|list| list.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_election_counts_only_when_the_leader_is_another() {
        let mut seen = Leadership::default();
        let name = |n: &str| n.parse::<UnitName>().unwrap();
        for leader in [Some("c1"), None, Some("c1"), Some("c2"), None, Some("c2")] {
            seen.note(leader.map(name).as_ref());
        }
        assert_eq!(seen.changes, 1);
        assert_eq!(seen.allowed(), 0);
    }

    #[test]
    fn a_changed_target_remembers_what_units_were_left_on() {
        let product: ProductRef = "acme/kafka".parse().unwrap();
        let version = |v: &str| v.parse::<ReleaseVersion>().unwrap();
        let digest = Sha256Digest::of(b"doc");
        let mut history = History::default();
        history.products.insert(product.clone(), ProductHistory::new(version("3.9.0")));
        history.begin_roll(&product, &version("4.0.0"), digest, Timestamp::UNIX_EPOCH);
        if let Some(roll) = history.products.get_mut(&product).and_then(|p| p.roll.as_mut()) {
            roll.touched = true;
        }
        history.begin_roll(&product, &version("4.1.0"), digest, Timestamp::UNIX_EPOCH);
        let roll = history.products[&product].roll.clone().unwrap();
        assert_eq!((roll.to, roll.passed), (version("4.1.0"), vec![version("4.0.0")]));
        let arrived = Arrived {
            to: version("4.1.0"),
            release_digest: digest,
            finalize: None,
            runs: BTreeMap::new(),
        };
        history.complete(&product, &arrived, Timestamp::UNIX_EPOCH);
        let record = &history.products[&product];
        assert_eq!(record.version, version("4.1.0"));
        assert_eq!((record.roll.clone(), record.completed.len()), (None, 1));
    }
}
