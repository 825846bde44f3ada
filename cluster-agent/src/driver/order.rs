//! What is asked of a driver, and what it answers.

use std::fmt;
use std::str::FromStr;

use channels::names::NameError;
use channels::version::ReleaseVersion;
use channels::wire::{Component, Role};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use crate::observation::UnitKey;

/// Names one step (one attempt to move one unit) for ever.
///
/// Made once, persisted before the first side effect, and used to find a running child again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StepId(pub uuid::Uuid);

impl StepId {
    /// A new id, unlike every other.
    pub fn new() -> Self {
        Self(uuid::Uuid::new_v4())
    }
}

impl Default for StepId {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for StepId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0.to_string())
    }
}

impl FromStr for StepId {
    type Err = NameError;
    fn from_str(value: &str) -> Result<Self, NameError> {
        uuid::Uuid::parse_str(value)
            .map(Self)
            .map_err(|_| NameError::new("step id", value, "it must be a UUID"))
    }
}

/// One unit's move from one release to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepOrder {
    /// Identity of the step.
    pub step_id: StepId,
    /// The unit.
    pub key: UnitKey,
    /// Its role.
    pub role: Role,
    /// Release it comes from.
    pub from: ReleaseVersion,
    /// Release it goes to.
    pub to: ReleaseVersion,
    /// What the target release holds for units of this role.
    pub component: Component,
    /// 1 for the first attempt.
    pub attempt: u32,
}

#[cfg(test)]
impl StepOrder {
    /// The first attempt to move a unit (product, name) from one release to another, whose component
    /// has this version and an image of this repository and content: for tests.
    pub(crate) fn sample(
        (product, unit): (&str, &str),
        role: Role,
        [from, to]: [&str; 2],
        (version, repository, content): (&str, &str, &[u8]),
    ) -> Self {
        let digest = signing::Sha256Digest::of(content);
        let image = channels::wire::Image { repository: repository.to_owned(), digest };
        Self {
            step_id: StepId::new(),
            key: UnitKey { product: product.parse().unwrap(), unit: unit.parse().unwrap() },
            role,
            from: from.parse().unwrap(),
            to: to.parse().unwrap(),
            component: Component { role, version: version.to_owned(), image },
            attempt: 1,
        }
    }
}

/// The parts of a step that have side effects, in order (rolling.md §9).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Checks that the unit can be changed at all; changes nothing.
    Preflight,
    /// Takes work off the unit (cordon and drain).
    Quiesce,
    /// Changes the unit.
    Mutate,
    /// Undoes `Quiesce` (uncordon).
    Restore,
}

impl Stage {
    /// Every stage, in order.
    pub const ALL: [Self; 4] = [Self::Preflight, Self::Quiesce, Self::Mutate, Self::Restore];

    /// The name used in files, logs and configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Preflight => "preflight",
            Self::Quiesce => "quiesce",
            Self::Mutate => "mutate",
            Self::Restore => "restore",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What a phase of a step waits for: a stage of the driver, or a hook of the pool's owner around
/// them. In the order of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// [`Stage::Preflight`].
    Preflight,
    /// The hook before anything is done to the unit.
    Before,
    /// [`Stage::Quiesce`].
    Quiesce,
    /// [`Stage::Mutate`].
    Mutate,
    /// [`Stage::Restore`].
    Restore,
    /// The hook when everything else is over.
    After,
}

impl Task {
    /// Every task, in order.
    pub const ALL: [Self; 6] =
        [Self::Preflight, Self::Before, Self::Quiesce, Self::Mutate, Self::Restore, Self::After];

    /// The stage of the driver; `None` for a hook.
    pub fn stage(self) -> Option<Stage> {
        match self {
            Self::Preflight => Some(Stage::Preflight),
            Self::Quiesce => Some(Stage::Quiesce),
            Self::Mutate => Some(Stage::Mutate),
            Self::Restore => Some(Stage::Restore),
            Self::Before | Self::After => None,
        }
    }

    /// The name used in files, logs and configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Before => "before",
            Self::After => "after",
            Self::Preflight => Stage::Preflight.as_str(),
            Self::Quiesce => Stage::Quiesce.as_str(),
            Self::Mutate => Stage::Mutate.as_str(),
            Self::Restore => Stage::Restore.as_str(),
        }
    }
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// How a stage, a hook or another command stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StepStatus {
    /// Never started.
    Absent,
    /// Still running.
    Running {
        /// When it started, by the clock of the machine it runs on.
        since: Timestamp,
        /// What it waits for, for people: the disruption budget, the pod, the Job.
        detail: Option<String>,
    },
    /// Ended.
    Finished {
        /// 0 = success; see [`super::EXIT_TIMED_OUT`] and [`super::EXIT_LOST`].
        exit_code: i32,
        /// The last lines it printed, at most [`super::LOG_TAIL_BYTES`].
        log_tail: String,
    },
}
