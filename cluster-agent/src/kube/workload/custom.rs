//! Custom resources, by what their operators report. Pure.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::seen::{Body, Rollout, Seen};
use crate::config::{Field, FieldValue, Pointer, Registry, ResourcePool};
use crate::driver::{DriverError, StepOrder};
use crate::kube::VERSION_ANNOTATION;
use crate::kube::object::{
    Condition, DIGEST, Mark, Meta, Said, VERSION_LABEL, checked_version, condition, image_name,
};

/// What every custom resource is expected to have.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Envelope {
    /// Its metadata.
    pub(super) metadata: Meta,
    /// What its operator reports.
    pub(super) status: EnvelopeStatus,
}

/// The usual part of a status.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct EnvelopeStatus {
    /// The spec that the operator has dealt with; `None` = it does not say.
    pub(super) observed_generation: Option<i64>,
    /// Its conditions.
    pub(super) conditions: Vec<Condition>,
}

impl Envelope {
    /// Reads it out of a whole object.
    pub(super) fn of(object: &Value) -> Result<Self, serde_json::Error> {
        Self::deserialize(object)
    }

    /// The generation its operator has dealt with.
    pub(super) fn observed(&self) -> Option<i64> {
        self.status.observed_generation
    }
}

/// What each field must hold for an order.
pub(super) fn values(
    fields: &[Field],
    registry: Option<&Registry>,
    order: &StepOrder,
) -> Result<Vec<(String, String)>, DriverError> {
    let component = &order.component;
    let of = |value: FieldValue| match (value, registry) {
        (FieldValue::ComponentVersion, _) => checked_version(&component.version).map(str::to_owned),
        (FieldValue::Version, _) => Ok(order.to.to_string()),
        (FieldValue::Digest, _) => Ok(component.image.digest.to_string()),
        (FieldValue::Image, Some(registry)) => image_name(registry, &component.image),
        (FieldValue::Image, None) => Err(DriverError::NoRegistry),
    };
    fields.iter().map(|field| Ok((field.pointer.to_string(), of(field.value)?))).collect()
}

/// The merge patch that puts the mark's values into a resource, together with the mark; or why that
/// would replace more than one field.
pub(super) fn patch_to(object: &Value, fields: &[Field], mark: &Mark) -> Result<Value, String> {
    let mut patch = json!({ "metadata": { "annotations": mark.annotations() } });
    put(
        &mut patch,
        &["metadata", "annotations", VERSION_ANNOTATION],
        Value::from(mark.version.clone()),
    );
    put(&mut patch, &["metadata", "annotations", DIGEST], json!(mark.digest()));
    for field in fields {
        let pointer = field.pointer.to_string();
        let value = mark.fields.iter().find(|(of, _)| *of == pointer);
        let Some((_, value)) = value else { continue };
        check_path(object, &field.pointer)?;
        let steps: Vec<&str> = field.pointer.steps().iter().map(String::as_str).collect();
        put(&mut patch, &steps, Value::from(value.clone()));
    }
    Ok(patch)
}

/// A merge patch replaces lists and values as a whole, so the way to a field leads through objects.
fn check_path(object: &Value, pointer: &Pointer) -> Result<(), String> {
    let (Some(_), way) =
        pointer.steps().split_last().map_or((None, &[][..]), |(l, w)| (Some(l), w))
    else {
        return Ok(());
    };
    let mut at = object;
    for step in way {
        match at.get(step) {
            None | Some(Value::Null) => return Ok(()),
            Some(inner @ Value::Object(_)) => at = inner,
            Some(_) => return Err(format!("{pointer} leads through {step}, which is no object")),
        }
    }
    Ok(())
}

fn put(into: &mut Value, steps: &[&str], value: Value) {
    let Some((first, rest)) = steps.split_first() else {
        *into = value;
        return;
    };
    if !into.is_object() {
        *into = Value::Object(Map::new());
    }
    if let Some(members) = into.as_object_mut() {
        put(members.entry(*first).or_insert(Value::Null), rest, value);
    }
}

/// What a resource says, as a workload.
pub(super) fn seen(object: Value, pool: &ResourcePool) -> Result<Seen, serde_json::Error> {
    let envelope = Envelope::of(&object)?;
    let named = format!("{} {}", pool.resource_kind, envelope.metadata.name);
    let generation = envelope.metadata.generation;
    let rollout = rollout(&envelope, pool);
    let observed = envelope.observed();
    let tells = observed.is_some() || pool.version_pointer.is_some();
    let held = (!tells).then(|| {
        format!("{named} reports no status.observedGeneration: nobody can tell when its operator is done; set version_pointer")
    });
    let version = match (&pool.version_pointer, &rollout) {
        (Some(pointer), _) => {
            let said = object.pointer(&pointer.to_string()).and_then(Value::as_str);
            said.map_or(Said::Nothing, |version| Said::Version(version.to_owned()))
        }
        (None, _) if observed.is_some_and(|observed| observed >= generation) => {
            told(&object, &envelope.metadata, &pool.fields)
        }
        (None, _) => Said::Nothing,
    };
    let ready = condition(&envelope.status.conditions, &pool.ready_condition).map(Condition::holds);
    Ok(Seen {
        rollout,
        reached: [observed.unwrap_or(0), i64::from(ready == Some(true)), 0],
        version,
        ready: None,
        held,
        must_be_whole: false,
        body: Body::Resource(object),
        meta: envelope.metadata,
        named,
    })
}

/// The version that a resource is told to run: the annotation that goes with its fields, unless
/// somebody changed one of them since; the field itself before the first step.
fn told(object: &Value, meta: &Meta, fields: &[Field]) -> Said {
    let held = |wanted: FieldValue| {
        let field = fields.iter().find(|field| field.value == wanted)?;
        object.pointer(&field.pointer.to_string()).and_then(Value::as_str)
    };
    let own = held(FieldValue::ComponentVersion);
    let Some(version) = meta.annotations.get(VERSION_ANNOTATION) else {
        let label = meta.labels.get(VERSION_LABEL).map(String::as_str);
        return own.or(label).map_or(Said::Nothing, |version| Said::Version(version.to_owned()));
    };
    if let Some(own) = own.filter(|own| own != version) {
        return Said::Version(own.to_owned());
    }
    let digest = meta.annotations.get(DIGEST);
    let image = held(FieldValue::Image).or(held(FieldValue::Digest));
    match (image, digest) {
        (Some(image), Some(digest)) if !image.ends_with(digest.as_str()) => {
            Said::Contradicts(format!("it is annotated as {version} ({digest}), and told {image}"))
        }
        _ => Said::Version(version.clone()),
    }
}

fn rollout(envelope: &Envelope, pool: &ResourcePool) -> Rollout {
    let (conditions, generation) = (&envelope.status.conditions, envelope.metadata.generation);
    let failed = pool.failed_condition.as_ref().and_then(|kind| condition(conditions, kind));
    if envelope.observed().is_some_and(|observed| observed < generation) {
        return Rollout::Underway(format!(
            "its operator has not dealt with generation {generation}"
        ));
    }
    if let Some(condition) = failed.filter(|condition| condition.holds()) {
        return Rollout::Failed(condition.said());
    }
    match condition(conditions, &pool.ready_condition) {
        Some(condition) if condition.holds() => Rollout::Complete,
        Some(condition) => {
            Rollout::Underway(format!("{}: {}", pool.ready_condition, condition.said()))
        }
        None => Rollout::Underway(format!("it has no condition {}", pool.ready_condition)),
    }
}
