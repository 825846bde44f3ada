//! Pods, with their containers and what they wait for.

use serde::Deserialize;

use super::template::PodSpec;
use super::{Condition, Meta, Template, condition};

/// A controller needs this long to hand over and stop (rolling.md §1.1); pods that allow
/// themselves less are given it all the same.
const GRACE_MIN_S: u32 = 30;

/// A pod.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct Pod {
    /// Its metadata.
    pub(crate) metadata: Meta,
    /// What should run in it.
    pub(crate) spec: PodSpec,
    /// What does.
    pub(crate) status: PodStatus,
}

/// How a pod stands.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct PodStatus {
    /// `Running` and so on.
    pub(crate) phase: String,
    /// `Ready` and so on.
    pub(crate) conditions: Vec<Condition>,
    /// Its containers.
    pub(crate) container_statuses: Vec<ContainerStatus>,
    /// The containers that run before them.
    pub(crate) init_container_statuses: Vec<ContainerStatus>,
}

/// How a container stands.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ContainerStatus {
    /// Its name.
    pub(crate) name: String,
    /// The image it runs; empty until it has been started once.
    #[serde(rename = "imageID")]
    pub(crate) image_id: String,
    /// How often it was started again in this pod.
    pub(crate) restart_count: i64,
    /// Running, waiting, terminated.
    pub(crate) state: ContainerState,
}

/// Why a container does not run.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct ContainerState {
    /// Set while it waits.
    pub(crate) waiting: Option<Waiting>,
}

/// What a container waits for.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct Waiting {
    /// `CrashLoopBackOff` and so on.
    pub(crate) reason: String,
    /// The rest of it.
    pub(crate) message: String,
}

impl Pod {
    /// Whether it is Ready and stays.
    pub(crate) fn is_ready(&self) -> bool {
        self.metadata.deletion_timestamp.is_none() && self.serves()
    }

    /// Whether its condition says Ready, on its way out or not: what disruption budgets go by.
    pub(crate) fn serves(&self) -> bool {
        condition(&self.status.conditions, "Ready").is_some_and(Condition::holds)
    }

    /// Whether its containers have ended for good.
    pub(crate) fn is_finished(&self) -> bool {
        matches!(self.status.phase.as_str(), "Succeeded" | "Failed")
    }

    /// The same as a template, whose version it carries.
    pub(crate) fn as_template(&self) -> Template {
        Template { metadata: self.metadata.clone(), spec: self.spec.clone() }
    }

    /// The status of one of its containers.
    pub(crate) fn container(&self, name: &str) -> Option<&ContainerStatus> {
        self.status.container_statuses.iter().find(|status| status.name == name)
    }

    /// Why it is not Ready, in one line.
    pub(crate) fn why_not_ready(&self) -> String {
        if self.metadata.deletion_timestamp.is_some() {
            return "it is being deleted".to_owned();
        }
        let statuses =
            self.status.init_container_statuses.iter().chain(&self.status.container_statuses);
        let mut waits = statuses.filter_map(|status| {
            let waiting = status.state.waiting.as_ref()?;
            Some(format!("container {} waits: {}", status.name, waiting.reason))
        });
        if let Some(why) = waits.next() {
            return why;
        }
        let unmet = |kind| condition(&self.status.conditions, kind).filter(|c| !c.holds());
        match unmet("PodScheduled").or_else(|| unmet("Ready")) {
            Some(condition) => condition.said(),
            None => format!("it is {}", self.status.phase),
        }
    }
}

/// Seconds to stop in, if the pod allows itself fewer than it needs.
pub(crate) fn grace_needed(spec: &PodSpec, least_s: u32) -> Option<u32> {
    let least = least_s.max(GRACE_MIN_S);
    // Kubernetes gives 30 s to a pod that does not say.
    let own = spec.termination_grace_period_seconds.unwrap_or(30);
    (own < i64::from(least)).then_some(least)
}
