//! The mark that a step leaves on the object it changes.
//!
//! It is written before or with the change, and it is all that is needed to go on: an agent that
//! was killed reads it back and knows what it had begun.

use channels::names::UnitName;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{MARK, Meta};
use crate::driver::StepId;
use crate::kube::STEP_ANNOTATION;

/// What a step is about, as an annotation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Mark {
    /// The step.
    pub(crate) step: StepId,
    /// The unit it moves.
    pub(crate) unit: UnitName,
    /// The version the unit must report.
    pub(crate) version: String,
    /// The image it must run, by digest; empty where the object names none.
    #[serde(default)]
    pub(crate) image: String,
    /// Fields of a custom resource and what they must hold, by JSON pointer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) fields: Vec<(String, String)>,
    /// Uid of the pod that is to go, if it was there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) was: Option<String>,
    /// When the step began (agent's clock).
    pub(crate) at: Timestamp,
}

impl Mark {
    /// The mark of that step on an object, if there is one. One that cannot be read is none: the
    /// step is found not started, and the gates are asked again before anything is done.
    pub(crate) fn of(meta: &Meta, step: &StepId) -> Option<Self> {
        let mark: Self = serde_json::from_str(meta.annotations.get(MARK)?).ok()?;
        (mark.step == *step).then_some(mark)
    }

    /// The annotations that carry it.
    pub(crate) fn annotations(&self) -> Value {
        // The id stands alone as well, for people and for `kubectl`.
        json!({ STEP_ANNOTATION: self.step.to_string(), MARK: json!(self).to_string() })
    }

    /// The digest of the image, if it names one.
    pub(crate) fn digest(&self) -> Option<&str> {
        self.image.rsplit_once('@').map(|(_, digest)| digest)
    }
}
