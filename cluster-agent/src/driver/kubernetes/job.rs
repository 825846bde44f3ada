//! The Job that changes a node: a local template, filled with the step's values and pinned.
//!
//! The template is the operator's; a document fills placeholders in its texts with versions and
//! digests and nothing else. Where the Job runs, as whom and how often is not the template's to say.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::super::{DriverError, StepId, StepOrder, TextTemplate};
use crate::config::NodePool;
use crate::kube::{STEP_ANNOTATION, VERSION_ANNOTATION};

/// Largest template; a Job is a few kilobytes, and the API takes no more than 1.5 MiB.
const TEMPLATE_BYTES_MAX: u64 = 256 * 1024;

/// Annotation: the unit whose node the Job changes.
pub(super) const UNIT_ANNOTATION: &str = "fairway.dev/unit";

/// Keys that are the agent's to set, and what sets them.
const OWN_KEYS: [(&str, &str); 11] = [
    ("/metadata/name", "the agent names the Job after the step"),
    ("/metadata/generateName", "the agent names the Job after the step"),
    ("/metadata/namespace", "the pool's namespace key"),
    ("/spec/backoffLimit", "the pool's job_retries key"),
    ("/spec/activeDeadlineSeconds", "the pool's job_timeout_ms key"),
    ("/spec/ttlSecondsAfterFinished", "the agent keeps a Job until its unit was changed well"),
    ("/spec/suspend", "a suspended Job changes nothing"),
    ("/spec/template/spec/nodeName", "the agent pins the Job to the node of the step"),
    ("/spec/template/spec/serviceAccountName", "the pool's service_account key"),
    ("/spec/template/spec/serviceAccount", "the pool's service_account key"),
    ("/spec/template/spec/schedulerName", "the Job is pinned, not scheduled"),
];

/// A checked Job template.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct JobTemplate {
    path: PathBuf,
    tree: Tree,
}

/// A template's value, with placeholders found in its texts.
#[derive(Debug, Clone, PartialEq)]
enum Tree {
    Plain(Value),
    Text(TextTemplate),
    List(Vec<Tree>),
    Map(Vec<(String, Tree)>),
}

/// The name of the Job of a step.
pub(super) fn name_of(step: StepId) -> String {
    format!("fairway-{step}")
}

impl JobTemplate {
    /// Reads a local file, YAML or JSON.
    pub(super) fn read(path: &Path) -> Result<Self, DriverError> {
        let file = |source| DriverError::File { action: "read", path: path.to_owned(), source };
        let size = std::fs::metadata(path).map_err(file)?.len();
        let refused = |why: String| DriverError::Template { path: path.to_owned(), why };
        if size > TEMPLATE_BYTES_MAX {
            return Err(refused(format!("it is larger than {TEMPLATE_BYTES_MAX} bytes")));
        }
        let text = std::fs::read_to_string(path).map_err(file)?;
        Self::parse(path, &text)
    }

    /// Checks the text of a template.
    pub(super) fn parse(path: &Path, text: &str) -> Result<Self, DriverError> {
        let refused = |why: String| DriverError::Template { path: path.to_owned(), why };
        let value: Value =
            serde_saphyr::from_str(text).map_err(|error| refused(error.to_string()))?;
        check(&value).map_err(refused)?;
        let tree = tree(value).map_err(refused)?;
        Ok(Self { path: path.to_owned(), tree })
    }

    /// The Job of a step.
    pub(super) fn render(&self, order: &StepOrder, pool: &NodePool) -> Result<Value, DriverError> {
        let mut job = filled(&self.tree, order)?;
        // The order's names were parsed, and the template was checked: these are all objects.
        let refused = || DriverError::Template {
            path: self.path.clone(),
            why: "it is no Job with a pod template".to_owned(),
        };
        let step = order.step_id.to_string();
        let meta = object(&mut job, "metadata").ok_or_else(refused)?;
        meta.insert("name".to_owned(), json!(name_of(order.step_id)));
        meta.insert("namespace".to_owned(), json!(pool.namespace));
        let labels = nested(meta, "labels").ok_or_else(refused)?;
        labels.insert(STEP_ANNOTATION.to_owned(), json!(step));
        let annotations = nested(meta, "annotations").ok_or_else(refused)?;
        annotations.insert(VERSION_ANNOTATION.to_owned(), json!(order.to.to_string()));
        annotations.insert(UNIT_ANNOTATION.to_owned(), json!(order.key.to_string()));
        let spec = object(&mut job, "spec").ok_or_else(refused)?;
        spec.insert("backoffLimit".to_owned(), json!(pool.job_retries));
        spec.insert("activeDeadlineSeconds".to_owned(), json!(seconds(pool.job_timeout_ms)));
        let template = nested(spec, "template").ok_or_else(refused)?;
        let pod_meta = nested(template, "metadata").ok_or_else(refused)?;
        let pod_labels = nested(pod_meta, "labels").ok_or_else(refused)?;
        pod_labels.insert(STEP_ANNOTATION.to_owned(), json!(step));
        let pod = nested(template, "spec").ok_or_else(refused)?;
        pod.insert("nodeName".to_owned(), json!(order.key.unit.as_str()));
        pod.insert("serviceAccountName".to_owned(), json!(pool.service_account));
        // The node is cordoned, and on its way it may be unready: the Job stays all the same.
        let everything = json!({ "operator": "Exists" });
        let tolerations = pod.entry("tolerations").or_insert_with(|| json!([]));
        tolerations.as_array_mut().ok_or_else(refused)?.push(everything);
        pod.entry("restartPolicy").or_insert_with(|| json!("Never"));
        Ok(job)
    }
}

fn seconds(ms: u64) -> u64 {
    ms.div_ceil(1000)
}

fn object<'a>(value: &'a mut Value, key: &str) -> Option<&'a mut Map<String, Value>> {
    nested(value.as_object_mut()?, key)
}

/// The object below `key`, made if it is not there; `None` if something else is.
fn nested<'a>(map: &'a mut Map<String, Value>, key: &str) -> Option<&'a mut Map<String, Value>> {
    map.entry(key).or_insert_with(|| json!({})).as_object_mut()
}

/// What a template must be, and what it must leave to the agent.
fn check(value: &Value) -> Result<(), String> {
    let text = |pointer: &str| value.pointer(pointer).and_then(Value::as_str);
    if text("/apiVersion") != Some("batch/v1") || text("/kind") != Some("Job") {
        return Err("it must be of apiVersion batch/v1 and kind Job".to_owned());
    }
    let containers = value.pointer("/spec/template/spec/containers").and_then(Value::as_array);
    if containers.is_none_or(Vec::is_empty) {
        return Err("it has no pod: spec.template.spec.containers is missing".to_owned());
    }
    for (pointer, why) in OWN_KEYS {
        if value.pointer(pointer).is_some() {
            let key = pointer.trim_start_matches('/').replace('/', ".");
            return Err(format!("it must not set {key}: {why}"));
        }
    }
    for key in ["completions", "parallelism"] {
        let given = value.pointer(&format!("/spec/{key}"));
        if given.is_some_and(|count| count.as_u64() != Some(1)) {
            return Err(format!("spec.{key} must be 1: a node is changed once"));
        }
    }
    Ok(())
}

fn tree(value: Value) -> Result<Tree, String> {
    Ok(match value {
        Value::String(text) => {
            Tree::Text(TextTemplate::parse(&text).map_err(|error| error.to_string())?)
        }
        Value::Array(items) => Tree::List(items.into_iter().map(tree).collect::<Result<_, _>>()?),
        Value::Object(map) => {
            let entry = |(key, value)| Ok((key, tree(value)?));
            Tree::Map(map.into_iter().map(entry).collect::<Result<_, String>>()?)
        }
        plain @ (Value::Null | Value::Bool(_) | Value::Number(_)) => Tree::Plain(plain),
    })
}

fn filled(tree: &Tree, order: &StepOrder) -> Result<Value, DriverError> {
    Ok(match tree {
        Tree::Plain(value) => value.clone(),
        Tree::Text(text) => Value::String(text.render(order)?),
        Tree::List(items) => {
            Value::Array(items.iter().map(|item| filled(item, order)).collect::<Result<_, _>>()?)
        }
        Tree::Map(entries) => Value::Object(
            entries
                .iter()
                .map(|(key, value)| Ok((key.clone(), filled(value, order)?)))
                .collect::<Result<_, DriverError>>()?,
        ),
    })
}

#[cfg(test)]
mod tests;
