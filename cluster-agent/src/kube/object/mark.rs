//! The mark that a step leaves on the object it changes.
//!
//! It is written before or with the change, and it is all that is needed to go on: an agent that
//! was killed reads it back and knows what it had begun.

use channels::names::UnitName;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Meta, STEP};
use crate::driver::StepId;

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
    /// The mark on an object. One that cannot be read is none: its step is found not started, and
    /// the gates are asked again before anything is done.
    pub(crate) fn on(meta: &Meta) -> Option<Self> {
        serde_json::from_str(meta.annotations.get(STEP)?).ok()
    }

    /// The mark of that step, if that is whose it is.
    pub(crate) fn of(meta: &Meta, step: &StepId) -> Option<Self> {
        Self::on(meta).filter(|mark| mark.step == *step)
    }

    /// The annotation's text.
    pub(crate) fn to_text(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }

    /// The digest of the image, if it names one.
    pub(crate) fn digest(&self) -> Option<&str> {
        self.image.rsplit_once('@').map(|(_, digest)| digest)
    }
}
