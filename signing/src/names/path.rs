//! Target paths: relative, `/`-separated, safe to join below a directory.

use super::NameError;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A target's path below the repository's `targets/`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TargetPath(String);

impl TargetPath {
    /// Longest path, in bytes.
    pub const MAX_BYTES: usize = 512;
    /// Longest segment, in bytes: with a hash in front of it and a writer's temporary suffix
    /// behind it, it fits the 255 bytes of a file name.
    pub const MAX_SEGMENT_BYTES: usize = 160;

    /// Checks and takes `path`.
    pub fn new(path: impl Into<String>) -> Result<Self, NameError> {
        let path = path.into();
        let safe = path.len() <= Self::MAX_BYTES
            && path.split('/').all(Self::is_segment)
            && !path.chars().any(|c| c.is_control() || c == '\\');
        if safe { Ok(Self(path)) } else { Err(NameError::Target { found: path }) }
    }

    fn is_segment(segment: &str) -> bool {
        !matches!(segment, "" | "." | "..") && segment.len() <= Self::MAX_SEGMENT_BYTES
    }

    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The directory part (with its trailing `/`, or empty) and the file name.
    pub fn split_file_name(&self) -> (&str, &str) {
        match self.0.rfind('/') {
            Some(slash) => self.0.split_at(slash + 1),
            None => ("", &self.0),
        }
    }
}

impl fmt::Display for TargetPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for TargetPath {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::new(text)
    }
}

impl TryFrom<String> for TargetPath {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        Self::new(text)
    }
}

impl From<TargetPath> for String {
    fn from(path: TargetPath) -> Self {
        path.0
    }
}
