//! `build-suggestions/<major>.<minor>.yaml`: which versions may move to the releases of a minor.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Deserialize;

use crate::names::{Arch, NameError};
use crate::repository::{RepositoryError, files};
use crate::version::{Minor, ReleaseVersion, Requirement};

/// The key whose suggestion stands for every architecture without one of its own.
const DEFAULT: &str = "default";

/// What may move to the releases of one minor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suggestions {
    /// On every architecture that has no entry of its own.
    pub default: Suggestion,
    /// On these instead.
    pub arches: BTreeMap<Arch, Suggestion>,
}

/// Two ranges of versions, both ends included, each without some.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Suggestion {
    /// Oldest version of the minor before.
    pub minor_min: ReleaseVersion,
    /// Newest version of the minor before.
    pub minor_max: ReleaseVersion,
    /// Versions between the two that are left out.
    pub minor_block_list: BTreeSet<ReleaseVersion>,
    /// Oldest version of the same minor.
    pub z_min: ReleaseVersion,
    /// Newest version of the same minor.
    pub z_max: ReleaseVersion,
    /// Versions between the two that are left out.
    pub z_block_list: BTreeSet<ReleaseVersion>,
}

impl Suggestions {
    /// What holds on an architecture.
    pub fn on(&self, arch: &Arch) -> &Suggestion {
        self.arches.get(arch).unwrap_or(&self.default)
    }
}

impl Suggestion {
    /// Whether a version is in one of the ranges and not left out.
    pub fn includes(&self, version: &ReleaseVersion) -> bool {
        self.ranges().iter().any(|(low, high, without)| {
            *low <= version && version <= *high && !without.contains(version)
        })
    }

    /// The same set as requirements. Those match a pre-release only when they name one of the same
    /// `x.y.z`, so the pre-releases among `known` that are in a range are named one by one.
    pub fn requirements(&self, known: &BTreeSet<ReleaseVersion>) -> Vec<Requirement> {
        let mut texts = Vec::new();
        for (low, high, without) in self.ranges() {
            let mut begin = format!(">={low}");
            for out in without.iter().filter(|one| low <= *one && *one <= high) {
                texts.push(format!("{begin}, <{out}"));
                begin = format!(">{out}");
            }
            texts.push(format!("{begin}, <={high}"));
        }
        let mut requirements: Vec<Requirement> =
            texts.iter().filter_map(|text| text.parse().ok()).collect();
        let named = known
            .iter()
            .filter(|version| self.includes(version))
            .filter(|version| !requirements.iter().any(|requirement| requirement.matches(version)));
        let named: Vec<Requirement> = named.filter_map(exactly).collect();
        requirements.extend(named);
        requirements
    }

    fn ranges(&self) -> [(&ReleaseVersion, &ReleaseVersion, &BTreeSet<ReleaseVersion>); 2] {
        [
            (&self.minor_min, &self.minor_max, &self.minor_block_list),
            (&self.z_min, &self.z_max, &self.z_block_list),
        ]
    }
}

/// The requirement that only this version meets.
pub(super) fn exactly(version: &ReleaseVersion) -> Option<Requirement> {
    format!("={}", version.without_build()).parse().ok()
}

/// Parses a suggestion file; its name is the minor.
pub(super) fn parse(file: &Path, text: &str) -> Result<(Minor, Suggestions), RepositoryError> {
    let name = file.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    let minor: Minor = name.parse().map_err(|error: NameError| {
        RepositoryError::content(file, error.to_string(), "name it after the minor, 4.13.yaml")
    })?;
    let mut entries: BTreeMap<String, Suggestion> = files::parse(file, text, "Graph data")?;
    let Some(default) = entries.remove(DEFAULT) else {
        return Err(RepositoryError::content(
            file,
            "it has no default entry".to_owned(),
            "write default: with both ranges; other architectures may differ from it",
        ));
    };
    let arches: Result<BTreeMap<Arch, Suggestion>, NameError> =
        entries.into_iter().map(|(name, one)| Ok((name.parse()?, one))).collect();
    let arches = arches.map_err(|error| {
        RepositoryError::content(file, error.to_string(), "the keys are default and architectures")
    })?;
    for one in std::iter::once(&default).chain(arches.values()) {
        for (low, high, _) in one.ranges() {
            if low > high {
                return Err(RepositoryError::content(
                    file,
                    format!("the range from {low} to {high} is empty"),
                    "correct its ends",
                ));
            }
        }
    }
    Ok((minor, Suggestions { default, arches }))
}
