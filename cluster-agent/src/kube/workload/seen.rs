//! A workload as it was read, whatever it is, and what follows from it. Pure.

use jiff::Timestamp;
use serde_json::Value;

use crate::config::Wanted;
use crate::kube::VERSION_ANNOTATION;
use crate::kube::object::{Mark, Meta, Said, Template};
use crate::kube::outcome::Reached;
use crate::observation::{Finding, Witness};

/// A workload as it was read.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Seen {
    /// The object's metadata.
    pub(super) meta: Meta,
    /// What it is called, for people: `Deployment shop`.
    pub(super) named: String,
    /// What it is told to be.
    pub(super) body: Body,
    /// How its rollout stands.
    pub(super) rollout: Rollout,
    /// How far that is.
    pub(super) reached: Reached,
    /// The version that runs, if only one does.
    pub(super) version: Said,
    /// Whether it serves at all; `None` = it does not say.
    pub(super) ready: Option<bool>,
    /// Why a change of it would not be rolled out.
    pub(super) held: Option<String>,
    /// Whether nothing of it may move while it is changed.
    pub(super) must_be_whole: bool,
}

/// What an object is told to be.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Body {
    /// A pod template, in which these containers are the component's.
    Template(Box<Template>, Wanted),
    /// A custom resource as a whole.
    Resource(Value),
}

/// How a rollout stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Rollout {
    /// Everything is as the object says.
    Complete,
    /// Not yet; in numbers.
    Underway(String),
    /// Its own controller has given up.
    Failed(String),
}

impl Rollout {
    fn why(&self) -> Option<&str> {
        match self {
            Self::Complete => None,
            Self::Underway(how) | Self::Failed(how) => Some(how),
        }
    }
}

/// The next thing to say of a step whose mark is on the object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Next {
    /// It has been rolled out.
    Done,
    /// It is being rolled out.
    Wait(String),
    /// It will not be.
    Failed(String),
}

impl Seen {
    /// Whether it is told to be what the mark says.
    pub(super) fn is_at(&self, mark: &Mark) -> bool {
        match &self.body {
            Body::Template(template, wanted) => template.is_at(mark, wanted),
            Body::Resource(object) => {
                self.meta.annotations.get(VERSION_ANNOTATION) == Some(&mark.version)
                    && mark.fields.iter().all(|(pointer, value)| {
                        object.pointer(pointer).and_then(Value::as_str) == Some(value)
                    })
            }
        }
    }

    /// Why a step must not begin; `None` = it may. What is broken may be changed, because the
    /// change may mend it; what moves may not.
    pub(super) fn refusal(&self) -> Option<String> {
        if let Some(why) = &self.held {
            return Some(why.clone());
        }
        if let Body::Template(template, wanted) = &self.body
            && let Some(missing) = template.lacks(wanted)
        {
            return Some(format!("{} has no container {missing}", self.named));
        }
        match &self.rollout {
            Rollout::Complete | Rollout::Failed(_) if !self.must_be_whole => None,
            Rollout::Complete => None,
            Rollout::Underway(how) | Rollout::Failed(how) => {
                Some(format!("{} is not at rest: {how}", self.named))
            }
        }
    }

    /// How the step stands.
    pub(super) fn next(&self, mark: &Mark) -> Next {
        if !self.is_at(mark) {
            let named = &self.named;
            return Next::Failed(format!("{named} was changed to something else meanwhile"));
        }
        match &self.rollout {
            Rollout::Complete => Next::Done,
            Rollout::Underway(how) => Next::Wait(how.clone()),
            Rollout::Failed(why) => Next::Failed(format!("{}: {why}", self.named)),
        }
    }

    /// The word about the unit that it is.
    pub(super) fn word(&self, now: Timestamp) -> Witness {
        let mut findings = Vec::new();
        if let Some(why) = self.rollout.why() {
            findings.push(Finding::RolloutIncomplete { why: why.to_owned() });
        }
        let version = match &self.version {
            Said::Version(version) => Some(plain(version)),
            Said::Nothing => None,
            Said::Contradicts(why) => {
                let (what, why) = (self.named.clone(), why.clone());
                findings.push(Finding::VersionContradicted { what, why });
                None
            }
        };
        Witness { at: now, version, incarnation: None, ready: self.ready, findings }
    }
}

fn plain(version: &str) -> String {
    version.strip_prefix('v').unwrap_or(version).to_owned()
}
