//! Which images a site takes although no release names them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::oci::{Host, Repository};

/// An entry of a site's allow-list: `host/repository`, or `host/path/*` for all repositories below
/// that path. Tags and digests are not part of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ImagePattern {
    host: Host,
    path: String,
    is_folder: bool,
}

/// Text that is no pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{value:?} is not host/repository or host/path/*: {why}")]
pub struct PatternError {
    /// The text.
    pub value: String,
    /// What is wrong.
    pub why: String,
}

impl ImagePattern {
    /// Whether the image may be taken in.
    pub fn allows(&self, source: &Host, repository: &Repository) -> bool {
        if self.host != *source {
            return false;
        }
        let repository = repository.as_str();
        if !self.is_folder {
            return repository == self.path;
        }
        self.path.is_empty()
            || repository.strip_prefix(self.path.as_str()).is_some_and(|rest| rest.starts_with('/'))
    }
}

impl FromStr for ImagePattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        let refuse = |why: String| PatternError { value: text.to_owned(), why };
        let (host, rest) =
            text.split_once('/').ok_or_else(|| refuse("it has no '/'".to_owned()))?;
        let host = host.parse::<Host>().map_err(|e| refuse(e.to_string()))?;
        let (path, is_folder) = match rest.strip_suffix('*') {
            None => (rest, false),
            Some("") => ("", true),
            Some(folder) => (folder.strip_suffix('/').unwrap_or(rest), true),
        };
        if !path.is_empty() || !is_folder {
            path.parse::<Repository>().map_err(|e| refuse(e.to_string()))?;
        }
        Ok(Self { host, path: path.to_owned(), is_folder })
    }
}

impl fmt::Display for ImagePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.is_folder, self.path.as_str()) {
            (false, path) => write!(f, "{}/{path}", self.host),
            (true, "") => write!(f, "{}/*", self.host),
            (true, path) => write!(f, "{}/{path}/*", self.host),
        }
    }
}

impl TryFrom<String> for ImagePattern {
    type Error = PatternError;

    fn try_from(text: String) -> Result<Self, PatternError> {
        text.parse()
    }
}

impl From<ImagePattern> for String {
    fn from(pattern: ImagePattern) -> Self {
        pattern.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(pattern: &str, image: &str) -> bool {
        let pattern: ImagePattern = pattern.parse().unwrap();
        assert_eq!(pattern.to_string().parse::<ImagePattern>().unwrap(), pattern);
        let (host, repository) = image.split_once('/').unwrap();
        pattern.allows(&host.parse().unwrap(), &repository.parse().unwrap())
    }

    #[test]
    fn a_pattern_allows_a_repository_or_everything_below_a_path() {
        assert!(allows("r.example/tools/*", "r.example/tools/git"));
        assert!(allows("r.example/tools/*", "r.example/tools/a/b"));
        assert!(allows("r.example/*", "r.example/x"));
        assert!(allows("r.example/tools/git", "r.example/tools/git"));
        for (pattern, image) in [
            ("r.example/tools/*", "r.example/tools"),
            ("r.example/tools/*", "r.example/toolsmith/git"),
            ("r.example/tools/*", "other.example/tools/git"),
            ("r.example/tools", "r.example/tools/git"),
        ] {
            assert!(!allows(pattern, image), "{pattern} {image}");
        }
    }

    #[test]
    fn what_could_mean_more_than_it_says_is_no_pattern() {
        for bad in
            ["", "*", "*/x", "r.example", "r.example/", "r.example/a*", "r.example/*/b", "r/**"]
        {
            assert!(bad.parse::<ImagePattern>().is_err(), "{bad}");
        }
    }
}
