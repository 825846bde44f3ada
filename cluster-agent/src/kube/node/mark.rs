//! The annotation on a node that this agent cordoned, and the changes of a node around it.
//!
//! The mark is what makes "uncordon only what we cordoned" hold after a crash: it names the step,
//! and how the node was before. Every change carries the node's resource version, so what somebody
//! else did in between refuses it. Pure.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::objects::Node;
use crate::driver::StepId;
use crate::kube::{CORDONED_BY_ANNOTATION, STEP_ANNOTATION};
use crate::observation::UnitKey;

/// Most DaemonSets a mark remembers; a node with more of them unready is no node to upgrade.
const UNREADY_MAX: usize = 50;

/// What stands in the annotation, as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Mark {
    /// The step that cordoned it.
    pub(crate) step: StepId,
    /// The unit of that step.
    pub(crate) unit: UnitKey,
    /// When (agent's clock): the drain's time counts from here.
    pub(crate) at: Timestamp,
    /// Whether it was unschedulable before; then it stays so.
    #[serde(default)]
    pub(crate) unschedulable: bool,
    /// DaemonSets (`namespace/name`) whose pods were not Ready here before: not the step's doing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) unready: Vec<String>,
}

/// What the annotation of a node says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Marked {
    /// There is none.
    No,
    /// One that can be read.
    By(Mark),
    /// One that cannot be read: somebody else wrote it, so nobody may act on it.
    Unreadable,
}

/// The mark of a node.
pub(crate) fn marked(node: &Node) -> Marked {
    match node.metadata.annotations.get(CORDONED_BY_ANNOTATION) {
        None => Marked::No,
        Some(text) => serde_json::from_str(text).map_or(Marked::Unreadable, Marked::By),
    }
}

/// The mark, if it names this step.
pub(crate) fn mark_of(node: &Node, step: StepId) -> Option<Mark> {
    match marked(node) {
        Marked::By(mark) if mark.step == step => Some(mark),
        Marked::No | Marked::By(_) | Marked::Unreadable => None,
    }
}

/// The mark, if it names this unit, whatever the step: a resume gives a unit another step.
pub(crate) fn mark_of_unit(node: &Node, unit: &UnitKey) -> Option<Mark> {
    match marked(node) {
        Marked::By(mark) if mark.unit == *unit => Some(mark),
        Marked::No | Marked::By(_) | Marked::Unreadable => None,
    }
}

/// Cordons a node and marks it.
pub(crate) fn cordon(node: &Node, mark: &Mark) -> Value {
    let mut patch = rename(node, mark);
    patch["spec"] = json!({ "unschedulable": true });
    patch
}

/// Writes the mark and leaves the node as it is.
pub(crate) fn rename(node: &Node, mark: &Mark) -> Value {
    let mut mark = mark.clone();
    mark.unready.truncate(UNREADY_MAX);
    let text = json!(mark).to_string();
    json!({
        "metadata": {
            "resourceVersion": node.metadata.resource_version,
            "annotations": {
                CORDONED_BY_ANNOTATION: text,
                STEP_ANNOTATION: mark.step.to_string(),
            },
        },
    })
}

/// Takes the mark away, and the cordon if the node was schedulable before it.
pub(crate) fn uncordon(node: &Node, mark: &Mark) -> Value {
    let mut patch = json!({
        "metadata": {
            "resourceVersion": node.metadata.resource_version,
            "annotations": { CORDONED_BY_ANNOTATION: null, STEP_ANNOTATION: null },
        },
    });
    if !mark.unschedulable {
        patch["spec"] = json!({ "unschedulable": null });
    }
    patch
}
