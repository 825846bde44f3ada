//! Release versions and the requirements that name sets of them.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::names::NameError;

/// A release's semantic version.
///
/// Order is semver precedence first; build metadata (`4.2.14+amd64`, one architecture only) breaks
/// ties by its text, so that versions sort the same way everywhere.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ReleaseVersion(semver::Version);

impl ReleaseVersion {
    /// The semantic version inside.
    pub fn semver(&self) -> &semver::Version {
        &self.0
    }

    /// The same version without build metadata.
    #[must_use]
    pub fn without_build(&self) -> Self {
        let mut version = self.0.clone();
        version.build = semver::BuildMetadata::EMPTY;
        Self(version)
    }

    /// Whether it is newer than a highest version. One without build metadata stands for all its
    /// builds.
    pub fn is_above(&self, highest: &Self) -> bool {
        if highest.0.build.is_empty() {
            self.0.cmp_precedence(&highest.0) == Ordering::Greater
        } else {
            self > highest
        }
    }
}

impl From<semver::Version> for ReleaseVersion {
    fn from(version: semver::Version) -> Self {
        Self(version)
    }
}

impl PartialOrd for ReleaseVersion {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for ReleaseVersion {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0
            .cmp_precedence(&other.0)
            .then_with(|| self.0.build.as_str().cmp(other.0.build.as_str()))
    }
}

impl fmt::Display for ReleaseVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0.to_string())
    }
}

impl FromStr for ReleaseVersion {
    type Err = NameError;
    fn from_str(value: &str) -> Result<Self, NameError> {
        if value.len() > 128 {
            return Err(NameError::new("version", value, "it must have at most 128 characters"));
        }
        semver::Version::parse(value)
            .map(Self)
            .map_err(|_| NameError::new("version", value, "it must be a semantic version, x.y.z"))
    }
}

impl TryFrom<String> for ReleaseVersion {
    type Error = NameError;
    fn try_from(value: String) -> Result<Self, NameError> {
        value.parse()
    }
}

impl From<ReleaseVersion> for String {
    fn from(version: ReleaseVersion) -> Self {
        version.to_string()
    }
}

/// A minor line, `4.13`: all releases that share their first two numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Minor {
    /// The major version.
    pub major: u64,
    /// The minor version.
    pub minor: u64,
}

impl Minor {
    /// The line a version belongs to.
    pub fn of(version: &ReleaseVersion) -> Self {
        Self { major: version.semver().major, minor: version.semver().minor }
    }
}

impl fmt::Display for Minor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

impl FromStr for Minor {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        let error = || NameError::new("minor", text, "it must read major.minor, such as 4.13");
        let (major, minor) = text.split_once('.').ok_or_else(error)?;
        // As in a version: digits alone, so that one line has one text.
        let number = |text: &str| {
            let plain = text == "0" || !text.starts_with(['0', '+']);
            text.parse().ok().filter(|_| plain).ok_or_else(error)
        };
        Ok(Self { major: number(major)?, minor: number(minor)? })
    }
}

/// A set of versions written as a semver requirement (`^3.9`, `>=4.0.0, <4.2.0`, `=4.1.0-rc.1`).
///
/// Pre-releases match only when a comparator names a pre-release of the same `x.y.z`, which is the
/// `semver` crate's rule. Build metadata plays no part.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Requirement {
    text: String,
    req: semver::VersionReq,
}

impl Requirement {
    /// Whether `version` is in the set.
    pub fn matches(&self, version: &ReleaseVersion) -> bool {
        self.req.matches(version.semver())
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl FromStr for Requirement {
    type Err = NameError;
    fn from_str(value: &str) -> Result<Self, NameError> {
        if value.len() > 512 {
            return Err(NameError::new(
                "requirement",
                value,
                "it must have at most 512 characters",
            ));
        }
        let req = semver::VersionReq::parse(value).map_err(|_| {
            NameError::new("requirement", value, "it must be a semver requirement such as \"^3.9\"")
        })?;
        Ok(Self { text: value.to_owned(), req })
    }
}

impl TryFrom<String> for Requirement {
    type Error = NameError;
    fn try_from(value: String) -> Result<Self, NameError> {
        value.parse()
    }
}

impl From<Requirement> for String {
    fn from(requirement: Requirement) -> Self {
        requirement.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> ReleaseVersion {
        text.parse().unwrap()
    }

    #[test]
    fn a_highest_version_without_a_build_stands_for_all_its_builds() {
        let above = |text: &str, highest: &str| version(text).is_above(&version(highest));
        assert!(!above("4.2.14+s390x", "4.2.14") && !above("4.2.14-rc.1", "4.2.14"));
        assert!(above("4.2.14+s390x", "4.2.14+amd64") && above("4.2.15", "4.2.14+amd64"));
    }

    #[test]
    fn a_minor_has_one_text() {
        let minor: Minor = "3.10".parse().unwrap();
        assert_eq!(
            (minor, minor.to_string().as_str()),
            (Minor::of(&version("3.10.0-rc.1")), "3.10")
        );
        assert!(minor > "3.9".parse().unwrap());
        for wrong in ["", "3", "3.", ".9", "3.09", "+3.9", "3.9.1", "3.x", " 3.9", "-1.0", "v3.9"] {
            let error = wrong.parse::<Minor>().unwrap_err().to_string();
            assert!(error.contains("it must read major.minor, such as 4.13"), "{error}");
        }
        assert_eq!("0.0".parse::<Minor>().unwrap(), Minor { major: 0, minor: 0 });
    }

    #[test]
    fn order_is_precedence_then_build_text() {
        let mut versions =
            ["4.2.14+s390x", "4.2.14+amd64", "4.2.14", "4.2.2", "4.2.14-rc.1"].map(version);
        versions.sort();
        assert_eq!(
            versions.map(|v| v.to_string()),
            ["4.2.2", "4.2.14-rc.1", "4.2.14", "4.2.14+amd64", "4.2.14+s390x"]
        );
    }

    #[test]
    fn prereleases_match_only_when_named() {
        let minor: Requirement = "^3.9".parse().unwrap();
        assert!(minor.matches(&version("3.9.1")));
        assert!(!minor.matches(&version("3.9.2-rc.1")));
        let named: Requirement = ">=3.9.2-rc.1, <3.10.0".parse().unwrap();
        assert!(named.matches(&version("3.9.2-rc.1")));
    }
}
