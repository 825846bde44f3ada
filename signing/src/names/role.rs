//! Role names: the four top-level roles, and whatever a delegator called its delegates.

use super::NameError;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// The four roles that root itself names (TUF 1.0.34 §2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TopRole {
    /// Holds the keys of all top-level roles, and its own.
    Root,
    /// Pins targets and every delegated role.
    Snapshot,
    /// Lists targets and delegates.
    Targets,
    /// Pins snapshot; the one file that is polled.
    Timestamp,
}

impl TopRole {
    /// All four.
    pub const ALL: [Self; 4] = [Self::Root, Self::Snapshot, Self::Targets, Self::Timestamp];

    /// The name, which is also the `_type` of the role's metadata.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Snapshot => "snapshot",
            Self::Targets => "targets",
            Self::Timestamp => "timestamp",
        }
    }
}

impl fmt::Display for TopRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The name of any role. A delegator may choose odd names (`../x`); they are harmless because
/// every file name made from one is percent-encoded.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RoleName(String);

impl RoleName {
    /// Longest name in its percent-encoded form, in bytes. With a version in front and `.json`
    /// and a writer's temporary suffix behind it, it fits the 255 bytes of a file name; a vendor
    /// whose delegate does not must not be able to make another's disk operations fail.
    const MAX_QUOTED_BYTES: usize = 200;

    /// Checks and takes `name`.
    pub fn new(name: impl Into<String>) -> Result<Self, NameError> {
        let name = name.into();
        let usable = !name.is_empty()
            && super::percent_encode(&name).len() <= Self::MAX_QUOTED_BYTES
            && !name.chars().any(char::is_control);
        if usable { Ok(Self(name)) } else { Err(NameError::Role { found: name }) }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The top-level role of this name, if it is one. Delegates must not be called so.
    pub fn as_top(&self) -> Option<TopRole> {
        TopRole::ALL.into_iter().find(|top| top.as_str() == self.0)
    }

    /// The name as it appears in file names and URLs: percent-encoded.
    pub fn quoted(&self) -> String {
        super::percent_encode(&self.0)
    }
}

impl From<TopRole> for RoleName {
    fn from(role: TopRole) -> Self {
        Self(role.as_str().to_owned())
    }
}

impl fmt::Display for RoleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for RoleName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::new(text)
    }
}

impl TryFrom<String> for RoleName {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        Self::new(text)
    }
}

impl From<RoleName> for String {
    fn from(role: RoleName) -> Self {
        role.0
    }
}
