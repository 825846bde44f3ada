//! `channels/<name>.yaml`, in the schema of OpenShift's graph data.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{RepositoryError, block, files};
use crate::graph::Feeding;
use crate::names::ChannelName;
use crate::version::ReleaseVersion;

/// A channel as its file says it.
#[derive(Debug, Clone)]
pub struct ChannelSource {
    /// The file, relative to the repository's root.
    pub file: PathBuf,
    /// Its name, also that of the file.
    pub name: ChannelName,
    /// Versions in the order written. `1.2.3+arch` is the release 1.2.3 on one architecture only.
    pub versions: Vec<ReleaseVersion>,
    /// Versions that stay nodes and are never upgrade targets; they may be listed in `versions`
    /// too.
    pub tombstones: Vec<ReleaseVersion>,
    /// Versions no edge may jump over, with the reason.
    pub barriers: BTreeMap<ReleaseVersion, String>,
    /// Versions that are never left, on purpose, with the reason.
    pub dead_ends: BTreeMap<ReleaseVersion, String>,
    /// Where releases are promoted from, if anywhere; promotion itself is not done here.
    pub feeder: Option<Feeder>,
}

/// Where a channel's releases come from.
#[derive(Debug, Clone)]
pub struct Feeder {
    /// The feeding channel; for OpenShift's own files that may be a version-less internal one.
    pub name: ChannelName,
    /// How long a release stays in the feeding channel first.
    pub delay: Option<jiff::Span>,
    /// `public`: only releases with a published erratum.
    pub errata: Option<String>,
    /// Only versions this matches.
    pub filter: Option<regex::Regex>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ChannelFile {
    name: ChannelName,
    #[serde(default)]
    versions: Vec<ReleaseVersion>,
    #[serde(default)]
    tombstones: Vec<ReleaseVersion>,
    #[serde(default)]
    barriers: BTreeMap<ReleaseVersion, String>,
    #[serde(default)]
    dead_ends: BTreeMap<ReleaseVersion, String>,
    #[serde(default)]
    feeder: Option<FeederFile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FeederFile {
    name: ChannelName,
    #[serde(default)]
    delay: Option<jiff::Span>,
    #[serde(default)]
    errata: Option<String>,
    #[serde(default)]
    filter: Option<String>,
}

/// Parses a channel file.
pub(super) fn parse(file: PathBuf, text: &str) -> Result<ChannelSource, RepositoryError> {
    let channel: ChannelFile = files::parse(&file, text, "Channels")?;
    files::check_name(&file, channel.name.as_str(), "name")?;
    let feeder = channel.feeder.map(|feeder| parse_feeder(&file, feeder)).transpose()?;
    let barrier = "make it a version of the channel; what nothing may move to cannot be passed";
    check_marks(&file, "barriers", &channel.barriers, barrier, &[&channel.versions])?;
    let known = [&channel.versions, &channel.tombstones];
    let dead_end = "make it a version or a tombstone of the channel";
    check_marks(&file, "dead_ends", &channel.dead_ends, dead_end, &known)?;
    let withdrawn = |version: &&ReleaseVersion| names(&channel.tombstones, version);
    if let Some(version) = channel.barriers.keys().find(withdrawn) {
        return Err(RepositoryError::content(
            &file,
            format!("{version} is a barrier and a tombstone, so no cluster could pass it"),
            "take it out of one of the two",
        ));
    }
    Ok(ChannelSource {
        barriers: channel.barriers,
        dead_ends: channel.dead_ends,
        name: channel.name,
        versions: channel.versions,
        tombstones: channel.tombstones,
        feeder,
        file,
    })
}

/// Whether a list names a version on some architecture that `version` is about.
fn names(list: &[ReleaseVersion], version: &ReleaseVersion) -> bool {
    list.iter().any(|one| {
        one == version || one.without_build() == *version || *one == version.without_build()
    })
}

/// Checks that marked versions are in one of `lists` and that each has a reason.
fn check_marks(
    file: &Path,
    key: &str,
    marks: &BTreeMap<ReleaseVersion, String>,
    advice: &str,
    lists: &[&Vec<ReleaseVersion>],
) -> Result<(), RepositoryError> {
    for (version, reason) in marks {
        if reason.trim().is_empty() {
            let problem = format!("{key}: {version} has no reason");
            return Err(RepositoryError::content(file, problem, "say why, for those who ask"));
        }
        if !lists.iter().any(|list| names(list, version)) {
            let problem = format!("{key}: {version} is not in the channel");
            return Err(RepositoryError::content(file, problem, advice));
        }
    }
    Ok(())
}

fn parse_feeder(file: &Path, feeder: FeederFile) -> Result<Feeder, RepositoryError> {
    for (key, word) in [("errata", &feeder.errata), ("filter", &feeder.filter)] {
        let chars = word.as_ref().map_or(0, |word| word.chars().count());
        if chars > Feeding::MAX_WORD_CHARS {
            return Err(RepositoryError::content(
                file,
                format!("feeder.{key} has {chars} characters"),
                &format!("say it in {} at most", Feeding::MAX_WORD_CHARS),
            ));
        }
    }
    let filter = feeder.filter.map(|filter| {
        block::expression(&filter).map_err(|_| {
            RepositoryError::content(
                file,
                format!("feeder.filter {filter:?} is not a regular expression"),
                "write it as for blocked edges, e.g. 4[.]1[.].*",
            )
        })
    });
    Ok(Feeder {
        name: feeder.name,
        delay: feeder.delay,
        errata: feeder.errata,
        filter: filter.transpose()?,
    })
}
