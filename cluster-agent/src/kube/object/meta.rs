//! Metadata and conditions, which all objects have alike.

use std::collections::BTreeMap;

use serde::Deserialize;

/// The metadata of an object.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Meta {
    /// Its name.
    pub(crate) name: String,
    /// Names this life of it.
    pub(crate) uid: String,
    /// Names its state; a write that carries it fails if the state is another one.
    pub(crate) resource_version: String,
    /// Counts changes of its spec.
    pub(crate) generation: i64,
    /// Set while it is being deleted.
    pub(crate) deletion_timestamp: Option<String>,
    /// Its labels.
    pub(crate) labels: BTreeMap<String, String>,
    /// Its annotations.
    pub(crate) annotations: BTreeMap<String, String>,
}

/// One of the conditions in an object's status.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Condition {
    /// Which condition.
    #[serde(rename = "type")]
    pub(crate) kind: String,
    /// `True`, `False` or `Unknown`.
    pub(crate) status: String,
    /// Why, for machines.
    pub(crate) reason: String,
    /// Why, for people.
    pub(crate) message: String,
}

impl Condition {
    /// Whether it is said to hold.
    pub(crate) fn holds(&self) -> bool {
        self.status == "True"
    }

    /// Its reason and message in one line.
    pub(crate) fn said(&self) -> String {
        match (self.reason.as_str(), self.message.as_str()) {
            ("", "") => format!("{} is {}", self.kind, self.status),
            ("", message) => message.to_owned(),
            (reason, "") => reason.to_owned(),
            (reason, message) => format!("{reason}: {message}"),
        }
    }
}

/// The condition of that type.
pub(crate) fn condition<'a>(conditions: &'a [Condition], kind: &str) -> Option<&'a Condition> {
    conditions.iter().find(|condition| condition.kind == kind)
}
