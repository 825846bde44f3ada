//! Metadata and conditions, which all objects have alike.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;

/// `metadata`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Meta {
    /// Its name, unique among its kind in the namespace.
    pub(crate) name: String,
    /// Its namespace; empty if its kind has none.
    pub(crate) namespace: String,
    /// Its own for ever: an object made anew under the name has another.
    pub(crate) uid: String,
    /// Changes with every write.
    pub(crate) resource_version: String,
    /// Counts the changes of what should be.
    pub(crate) generation: i64,
    /// Labels.
    pub(crate) labels: BTreeMap<String, String>,
    /// Annotations.
    pub(crate) annotations: BTreeMap<String, String>,
    /// When it was made.
    pub(crate) creation_timestamp: Option<Timestamp>,
    /// Set once it is being deleted.
    pub(crate) deletion_timestamp: Option<Timestamp>,
    /// Whose it is.
    pub(crate) owner_references: Vec<Owner>,
}

impl Meta {
    /// `namespace/name`.
    pub(crate) fn place(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }

    /// The owner that starts it again.
    pub(crate) fn controller(&self) -> Option<&Owner> {
        self.owner_references.iter().find(|owner| owner.controller)
    }
}

/// One of `metadata.ownerReferences`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct Owner {
    /// `ReplicaSet` and so on.
    pub(crate) kind: String,
    /// Its name.
    pub(crate) name: String,
    /// Whether it is the one that starts the object again.
    pub(crate) controller: bool,
}

/// One of `status.conditions`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct Condition {
    /// `Ready` and so on.
    #[serde(rename = "type")]
    pub(crate) kind: String,
    /// `True`, `False` or `Unknown`.
    pub(crate) status: String,
    /// Why, in one word.
    pub(crate) reason: String,
    /// Why, in words for people.
    pub(crate) message: String,
}

/// The condition of a type, if it is there.
pub(crate) fn condition<'a>(conditions: &'a [Condition], kind: &str) -> Option<&'a Condition> {
    conditions.iter().find(|condition| condition.kind == kind)
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
