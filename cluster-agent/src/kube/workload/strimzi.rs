//! Kafka clusters that Strimzi rolls. Pure.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::custom::Envelope;
use super::seen::{Body, Rollout, Seen};
use crate::driver::{StepId, StepOrder};
use crate::kube::object::{Condition, Meta, Pod, Said, condition};
use crate::observation::UnitKey;

/// The group of its resources.
pub(super) const GROUP: &str = "kafka.strimzi.io";

/// The kind that says which version to run.
pub(super) const KIND: &str = "Kafka";

/// Annotation: while it is `true`, no new reconciliation begins.
const PAUSE: &str = "strimzi.io/pause-reconciliation";

/// Annotation: for whose sake this agent has paused it, see [`PausedBy`].
const PAUSED_BY: &str = "fairway.dev/paused-by";

/// Annotation of pods: the Kafka version they run.
const POD_VERSION: &str = "strimzi.io/kafka-version";

/// What a stop does here, in words for people.
const WEAK_STOP: &str = "its reconciliation is paused: none begins, but one that had begun is finished by Strimzi, pod after pod";

/// The pods of a Kafka cluster, controllers and brokers.
pub(super) fn selector(cluster: &str) -> String {
    format!("strimzi.io/name={cluster}-kafka")
}

/// What stands in the annotation, as JSON.
#[derive(Debug, Serialize, Deserialize)]
struct PausedBy {
    /// The step.
    step: StepId,
    /// Its unit: by it a pause is known again, whatever became of the step.
    unit: UnitKey,
}

/// Who has paused a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Paused {
    No,
    ByUs,
    ByOthers,
}

/// Who has paused the resource that is this unit.
pub(super) fn paused(meta: &Meta, unit: &UnitKey) -> Paused {
    if meta.annotations.get(PAUSE).map(String::as_str) != Some("true") {
        return Paused::No;
    }
    let by = meta.annotations.get(PAUSED_BY);
    let by = by.and_then(|text| serde_json::from_str::<PausedBy>(text).ok());
    match by {
        Some(by) if by.unit == *unit => Paused::ByUs,
        // Of another agent's unit, or not to be read: its author takes it away.
        Some(_) | None => Paused::ByOthers,
    }
}

/// The merge patch that pauses it for a step.
pub(super) fn pause(meta: &Meta, order: &StepOrder) -> Value {
    let by = PausedBy { step: order.step_id, unit: order.key.clone() };
    let by = json!(json!(by).to_string());
    annotate(meta, &json!({ PAUSE: "true", PAUSED_BY: by }))
}

/// The merge patch that takes a pause of ours away.
pub(super) fn unpause(meta: &Meta) -> Value {
    annotate(meta, &json!({ PAUSE: null, PAUSED_BY: null }))
}

/// Refused if somebody else has changed the resource since, who may have paused it.
fn annotate(meta: &Meta, annotations: &Value) -> Value {
    let version = &meta.resource_version;
    json!({ "metadata": { "resourceVersion": version, "annotations": annotations } })
}

/// What a `Kafka` resource and its pods say, as the workload that is this unit.
pub(super) fn seen(object: Value, pods: &[Pod], unit: &UnitKey) -> Result<Seen, serde_json::Error> {
    let envelope = Envelope::of(&object)?;
    let named = format!("{KIND} {}", envelope.metadata.name);
    let wanted = object.pointer("/spec/kafka/version").and_then(Value::as_str).map(str::to_owned);
    let runs = |pod: &&Pod| pod.metadata.annotations.get(POD_VERSION) == wanted.as_ref();
    let updated = count(pods.iter().filter(runs).count());
    let ready = count(pods.iter().filter(|pod| pod.is_ready()).count());
    let rollout = rollout(&envelope, wanted.as_deref(), (updated, ready, pods));
    let mut seen = Seen {
        reached: [envelope.observed().unwrap_or(0), updated, ready],
        version: version(&object, pods),
        // A roll of Strimzi's own takes a member out: nothing else may go meanwhile.
        ready: Some(rollout == Rollout::Complete),
        rollout,
        held: None,
        must_be_whole: true,
        body: Body::Resource(object),
        meta: envelope.metadata,
        named,
    };
    match paused(&seen.meta, unit) {
        Paused::No => {}
        Paused::ByUs => seen.rollout = Rollout::Underway(with_pause(&seen.rollout)),
        Paused::ByOthers => {
            seen.held = Some(format!(
                "{} has the annotation {PAUSE}, which this agent did not set: somebody else holds it",
                seen.named
            ));
        }
    }
    Ok(seen)
}

fn with_pause(rollout: &Rollout) -> String {
    match rollout {
        Rollout::Complete => WEAK_STOP.to_owned(),
        Rollout::Underway(how) | Rollout::Failed(how) => format!("{how}; {WEAK_STOP}"),
    }
}

/// The version that all pods run. Before the pods say, the resource's status does.
fn version(object: &Value, pods: &[Pod]) -> Said {
    let mut said = pods.iter().map(|pod| pod.metadata.annotations.get(POD_VERSION));
    match said.next() {
        Some(Some(first)) => {
            let agreed = said.all(|other| other == Some(first));
            if agreed { Said::Version(first.clone()) } else { Said::Nothing }
        }
        Some(None) => Said::Nothing,
        None => {
            let told = object.pointer("/status/kafkaVersion").and_then(Value::as_str);
            told.map_or(Said::Nothing, |version| Said::Version(version.to_owned()))
        }
    }
}

fn rollout(
    envelope: &Envelope,
    wanted: Option<&str>,
    (updated, ready, pods): (i64, i64, &[Pod]),
) -> Rollout {
    let (all, version) = (count(pods.len()), wanted.unwrap_or("the operator's default version"));
    let how = format!("{updated} of {all} pods run {version}, {ready} are Ready");
    let generation = envelope.metadata.generation;
    let conditions = &envelope.status.conditions;
    let holds = |kind: &str| condition(conditions, kind).filter(|c| c.holds());
    let observed = envelope.observed().is_some_and(|observed| observed >= generation);
    if !observed {
        return Rollout::Underway(format!(
            "Strimzi has not finished generation {generation}: {how}"
        ));
    }
    if let Some(condition) = holds("NotReady") {
        // Strimzi tries again by itself, at its next reconciliation.
        return Rollout::Underway(format!("Strimzi says {}: {how}", Condition::said(condition)));
    }
    if holds("Ready").is_none() || ready < all || wanted.is_some() && updated < all {
        return Rollout::Underway(how);
    }
    Rollout::Complete
}

fn count(items: usize) -> i64 {
    i64::try_from(items).unwrap_or(i64::MAX)
}
