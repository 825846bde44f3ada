//! What the driver remembers to spare requests. Losing it, as a restart does, changes nothing but
//! how soon something is asked again.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::super::super::{Pass, Stage, StepId, StepStatus};
use crate::phase::elapsed_ms;

/// A pass is made at most this often, whatever the agent's pace: it lists the pods of a node.
const PASS_EVERY: Duration = Duration::from_secs(1);

/// A check of permissions, templates and budgets is made at most this often.
const PREFLIGHT_EVERY: Duration = Duration::from_secs(5);

/// What a status is good for once the stage is over: nothing more is to be done.
const OVER_EVERY: Duration = Duration::from_secs(2);

/// When an eviction is tried again (rolling.md §5.1): every 5 s for 90 s, then every minute, after
/// ten minutes every five. Seconds since the first try, and the pause from then on.
const CADENCE: [(u64, u64); 3] = [(600, 300), (90, 60), (0, 5)];

/// Pods remembered; more than a kubelet runs.
const PODS_MAX: usize = 2_000;

/// Tries of one pod.
#[derive(Debug, Clone)]
struct Tries {
    first: Timestamp,
    last: Timestamp,
    answer: String,
}

/// What a status is about: a pass that only looked says nothing for one that acts.
type About = (StepId, Stage, Pass);

#[derive(Debug, Default)]
struct Memory {
    status: Option<(About, Instant, StepStatus)>,
    tries: BTreeMap<String, Tries>,
    permitted_at: Option<Instant>,
    stopped: Option<StepId>,
}

/// The memory, behind a lock that is never held across a request.
#[derive(Debug, Default)]
pub(super) struct Scratch(Mutex<Memory>);

impl Scratch {
    fn with<T>(&self, act: impl FnOnce(&mut Memory) -> T) -> T {
        // A panic elsewhere leaves at worst a request too many.
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The last status, if it is fresh enough to be said again.
    pub(super) fn status(&self, about: About) -> Option<StepStatus> {
        self.with(|memory| {
            let (of, at, status) = memory.status.as_ref()?;
            let over = matches!(status, StepStatus::Finished { .. });
            let good_for = match about.1 {
                Stage::Preflight => PREFLIGHT_EVERY,
                Stage::Quiesce | Stage::Mutate | Stage::Restore if over => OVER_EVERY,
                Stage::Quiesce | Stage::Mutate | Stage::Restore => PASS_EVERY,
            };
            (*of == about && at.elapsed() < good_for).then(|| status.clone())
        })
    }

    /// Keeps a status. What says that nothing was started is not kept: a start follows.
    pub(super) fn keep_status(&self, about: About, status: StepStatus) {
        self.with(|memory| {
            memory.status = (status != StepStatus::Absent).then(|| (about, Instant::now(), status));
        });
    }

    pub(super) fn forget_status(&self) {
        self.with(|memory| memory.status = None);
    }

    /// Whether a pod's eviction may be tried now.
    pub(super) fn is_due(&self, uid: &str, now: Timestamp) -> bool {
        self.with(|memory| {
            let Some(tries) = memory.tries.get(uid) else { return true };
            let tried_for_s = elapsed_ms(tries.first, now) / 1000;
            let pause = CADENCE.into_iter().find(|(from, _)| tried_for_s >= *from);
            let pause_s = pause.map_or(0, |(_, pause)| pause);
            // A clock that went back must not stop a drain.
            tries.last > now || elapsed_ms(tries.last, now) / 1000 >= pause_s
        })
    }

    /// Notes a try and what came of it.
    pub(super) fn tried(&self, uid: &str, answer: String, now: Timestamp) {
        self.with(|memory| {
            let first = memory.tries.get(uid).map_or(now, |tries| tries.first.min(now));
            if memory.tries.len() >= PODS_MAX {
                memory.tries.clear();
            }
            memory.tries.insert(uid.to_owned(), Tries { first, last: now, answer });
        });
    }

    /// What the last try of a pod was answered.
    pub(super) fn answer(&self, uid: &str) -> Option<String> {
        self.with(|memory| memory.tries.get(uid).map(|tries| tries.answer.clone()))
    }

    /// Forgets pods that are gone.
    pub(super) fn keep_tries_of(&self, uids: &[&str]) {
        self.with(|memory| memory.tries.retain(|uid, _| uids.contains(&uid.as_str())));
    }

    /// Whether permissions were found in order within `age`.
    pub(super) fn was_permitted(&self, age: Duration) -> bool {
        self.with(|memory| memory.permitted_at.is_some_and(|at| at.elapsed() < age))
    }

    /// Notes the step that was stopped, if one was.
    pub(super) fn note_stopped(&self, step: Option<StepId>) {
        self.with(|memory| {
            if memory.stopped != step {
                memory.status = None;
            }
            memory.stopped = step;
        });
    }

    /// Whether this step was stopped.
    pub(super) fn is_stopped(&self, step: StepId) -> bool {
        self.with(|memory| memory.stopped == Some(step))
    }

    pub(super) fn note_permitted(&self) {
        self.with(|memory| memory.permitted_at = Some(Instant::now()));
    }
}
