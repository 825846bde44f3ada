//! Metadata and conditions, which all objects have alike.

pub(crate) use crate::kube::node::objects::{Condition, Meta, condition};

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
