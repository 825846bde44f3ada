//! What goes wrong in one run, in one line each: `bad:5%,label=tier=edge`.
//!
//! `KIND[:VALUE][,KEY=VALUE]…`. The same lines stand behind `--faults` and in a scenario file.
//! Times are lengths of time after the start of the rollout.

mod read;
mod scenario;
#[cfg(test)]
mod tests;

use crate::names::NameError;
use crate::rollout::{Labels, Percent, Period};
use crate::version::{ReleaseVersion, Requirement};

pub use scenario::{SCENARIO_MAX_BYTES, ScenarioError, scenario};

/// Most faults of one run: more cannot be told apart in a report.
pub const FAULTS_MAX: usize = 32;
/// Longest fault read, in bytes.
const FAULT_MAX_BYTES: usize = 1024;

/// One thing that goes wrong, or that a person does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    text: String,
    kind: Kind,
    who: Who,
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The release fails on this share of clusters, at the end of their upgrade.
    Bad { share: Percent },
    /// Upgrades of this share of clusters take so many hundredths as long.
    Slow { hundredths: u32, share: Percent },
    /// This share of clusters begins and is never heard of again.
    Silent { share: Percent },
    /// This share of clusters succeeds, and is less healthy than before after this time.
    Regress { share: Percent, after: Period },
    /// The health of this share of clusters cannot be read.
    Blind { share: Percent, span: Span },
    /// The hub is down.
    Outage { span: Span },
    /// Somebody holds the rollout.
    Hold { span: Span },
    /// Somebody acknowledges every failure seen by then.
    Resume { at: Period },
}

/// From when to when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) from: Period,
    /// `None`: to the end.
    pub(super) to: Option<Period>,
}

impl Span {
    pub(super) fn includes(self, after: jiff::SignedDuration) -> bool {
        self.from.duration() <= after && self.to.is_none_or(|to| after < to.duration())
    }
}

/// Whom a fault may hit.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Who {
    labels: Labels,
    versions: Vec<Requirement>,
}

/// A fault that cannot be read, and what to write.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FaultError {
    /// No fault is called so.
    #[error(
        "fault {text:?}: there is no {kind:?}; there are bad, slow, silent, regress, blind, outage, \
         hold and resume"
    )]
    Kind {
        /// The fault.
        text: String,
        /// What was written.
        kind: String,
    },
    /// It has a key its kind does not take, or one twice.
    #[error("fault {text:?}: {key:?} has no place here, or is there twice; {kind} takes {takes}")]
    Key {
        /// The fault.
        text: String,
        /// The key.
        key: String,
        /// The kind.
        kind: &'static str,
        /// What it takes.
        takes: &'static str,
    },
    /// Something it must say is missing.
    #[error("fault {text:?}: {missing} is missing; write for example {example}")]
    Missing {
        /// The fault.
        text: String,
        /// What is missing.
        missing: &'static str,
        /// One that is whole.
        example: &'static str,
    },
    /// A value cannot be read.
    #[error("fault {text:?}: {problem}")]
    Value {
        /// The fault.
        text: String,
        /// What is wrong with it and what to write.
        problem: NameError,
    },
    /// It ends before it begins.
    #[error("fault {text:?}: it goes from {from} to {to}; it must end after it begins")]
    Backwards {
        /// The fault.
        text: String,
        /// Its beginning.
        from: Period,
        /// Its end.
        to: Period,
    },
    /// It is too long to be one.
    #[error("a fault has {bytes} bytes; at most {max} are read", max = FAULT_MAX_BYTES)]
    TooLong {
        /// Its length.
        bytes: usize,
    },
}

impl Fault {
    /// As it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn kind(&self) -> Kind {
        self.kind
    }

    /// Whether it is the release that harms clusters.
    pub(super) fn is_harm(&self) -> bool {
        match self.kind {
            Kind::Bad { .. } | Kind::Silent { .. } | Kind::Regress { .. } => true,
            Kind::Slow { .. }
            | Kind::Blind { .. }
            | Kind::Outage { .. }
            | Kind::Hold { .. }
            | Kind::Resume { .. } => false,
        }
    }

    /// Whether a cluster with these labels and this version may be hit. One whose version is not
    /// known is hit by a fault that names none.
    pub(super) fn may_hit(&self, labels: &Labels, version: Option<&ReleaseVersion>) -> bool {
        self.who.labels.iter().all(|(label, value)| labels.get(label) == Some(value))
            && self
                .who
                .versions
                .iter()
                .all(|requirement| version.is_some_and(|version| requirement.matches(version)))
    }

    /// The times at which it begins or ends.
    pub(super) fn times(&self) -> Vec<Period> {
        match self.kind {
            Kind::Bad { .. } | Kind::Slow { .. } | Kind::Silent { .. } | Kind::Regress { .. } => {
                Vec::new()
            }
            Kind::Blind { span, .. } | Kind::Outage { span } | Kind::Hold { span } => {
                [span.from].into_iter().chain(span.to).collect()
            }
            Kind::Resume { at } => vec![at],
        }
    }
}
