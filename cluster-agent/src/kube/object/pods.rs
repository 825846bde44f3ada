//! Pods, and asking one to go.

use serde::Deserialize;
use serde_json::{Value, json};

use super::template::PodSpec;
use super::{Condition, Meta, Place, Template, condition};
use crate::kube::{Kube, KubeError, Refusal};

/// A controller needs this long to hand over and stop (rolling.md §1.1); pods that allow
/// themselves less are given it all the same.
const GRACE_MIN_S: i64 = 30;

/// A pod.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
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
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
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
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
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
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct ContainerState {
    /// Set while it waits.
    pub(crate) waiting: Option<Waiting>,
}

/// What a container waits for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
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
        self.metadata.deletion_timestamp.is_none()
            && condition(&self.status.conditions, "Ready").is_some_and(Condition::holds)
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

/// What came of asking a pod to go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Eviction {
    /// It goes.
    Accepted,
    /// It is not there any more, or another pod has its name.
    Gone,
    /// It may not go yet; asked again later, never deleted instead.
    Refused(String),
}

/// Seconds to stop in, if the pod allows itself fewer than it needs.
pub(crate) fn grace_needed(spec: &PodSpec, least_s: i64) -> Option<i64> {
    let least = least_s.max(GRACE_MIN_S);
    // Kubernetes gives 30 s to a pod that does not say.
    let own = spec.termination_grace_period_seconds.unwrap_or(30);
    (own < least).then_some(least)
}

/// Asks for exactly that pod to go. The body is made here: the one that the client library writes
/// loses the precondition and the grace period.
pub(crate) async fn evict(
    kube: &Kube,
    pods: &Place,
    pod: &Meta,
    namespace: &str,
    grace_s: Option<i64>,
) -> Result<Eviction, KubeError> {
    let mut options = json!({ "preconditions": { "uid": pod.uid } });
    if let (Some(grace_s), Some(options)) = (grace_s, options.as_object_mut()) {
        options.insert("gracePeriodSeconds".to_owned(), Value::from(grace_s));
    }
    let body = json!({
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": { "name": pod.name, "namespace": namespace },
        "deleteOptions": options,
    });
    let asked: Result<Value, KubeError> =
        kube.post_subresource(pods.path(), &pod.name, "eviction", &body).await;
    let Err(error) = asked else { return Ok(Eviction::Accepted) };
    match error.refusal() {
        // A conflict is the precondition: that name has another pod.
        Some(refusal) if matches!(refusal.code, 404 | 409) => Ok(Eviction::Gone),
        Some(refusal) if matches!(refusal.code, 429 | 500) => Ok(Eviction::Refused(said(refusal))),
        Some(_) | None => Err(error),
    }
}

/// What the server said, with the budget that it names among the causes.
fn said(refusal: &Refusal) -> String {
    let named: Vec<&str> = refusal
        .causes
        .iter()
        .map(|(_, message)| message.as_str())
        .filter(|message| !message.is_empty())
        .collect();
    if named.is_empty() { refusal.message.clone() } else { named.join("; ") }
}
