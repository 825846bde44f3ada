//! Which releases a channel has on which architecture, and what the channel says of them.

use std::collections::{BTreeMap, BTreeSet};

use super::CompileError;
use crate::names::Arch;
use crate::repository::{ChannelSource, ReleaseSource};
use crate::version::ReleaseVersion;

/// One release in one channel.
#[derive(Debug)]
pub(super) struct Member {
    /// Index into the product's releases, which are in version order.
    release: usize,
    /// Only on this architecture.
    only: Option<Arch>,
    tombstone: bool,
}

/// A release as a node of one graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place<'s> {
    /// Index into the product's releases.
    pub(super) release: usize,
    /// Withdrawn: it stays a node, and nothing moves to it.
    pub(super) tombstone: bool,
    /// Why no edge jumps over it.
    pub(super) barrier: Option<&'s str>,
    /// Why no edge leaves it.
    pub(super) dead_end: Option<&'s str>,
}

/// Finds the releases a channel names; one release may be named several times, as itself and as
/// `+arch` entries.
pub(super) fn resolve(
    channel: &ChannelSource,
    releases: &[&ReleaseSource],
    errors: &mut Vec<CompileError>,
) -> Vec<Member> {
    let find = |version: &ReleaseVersion| {
        releases.binary_search_by(|release| release.document.version.cmp(version)).ok()
    };
    let tombstones: BTreeSet<&ReleaseVersion> = channel.tombstones.iter().collect();
    let versions: BTreeSet<&ReleaseVersion> =
        channel.versions.iter().chain(&channel.tombstones).collect();
    let mut members = Vec::new();
    for version in versions {
        let tombstone = tombstones.contains(version);
        if let Some(release) = find(version) {
            members.push(Member { release, only: None, tombstone });
            continue;
        }
        let (file, version) = (channel.file.clone(), version.clone());
        let only: Option<Arch> = version.semver().build.as_str().parse().ok();
        match (find(&version.without_build()), only) {
            (Some(release), Some(only))
                if releases[release].document.arches.contains_key(&only) =>
            {
                let tombstone = tombstone || tombstones.contains(&version.without_build());
                members.push(Member { release, only: Some(only), tombstone });
            }
            (Some(_), Some(_)) => errors.push(CompileError::MissingArch { file, version }),
            (None, _) | (_, None) => errors.push(CompileError::MissingRelease { file, version }),
        }
    }
    members
}

/// The nodes of a channel's graph for one architecture, in version order.
pub(super) fn places<'s>(
    channel: &'s ChannelSource,
    members: &[Member],
    arch: &Arch,
    releases: &[&ReleaseSource],
) -> Vec<Place<'s>> {
    // One node per release, even where it is listed for all architectures and for this one;
    // withdrawn if either entry is.
    let mut tombstones: BTreeMap<usize, bool> = BTreeMap::new();
    for member in members {
        if member.only.as_ref().is_none_or(|only| only == arch)
            && releases[member.release].document.arches.contains_key(arch)
        {
            *tombstones.entry(member.release).or_default() |= member.tombstone;
        }
    }
    let place = |(release, tombstone): (usize, bool)| {
        let version = &releases[release].document.version;
        let barrier = marked(&channel.barriers, version, arch);
        let dead_end = marked(&channel.dead_ends, version, arch);
        Place { release, tombstone, barrier, dead_end }
    };
    tombstones.into_iter().map(place).collect()
}

/// The reason given for a version, on all architectures or as `version+arch` on this one.
fn marked<'s>(
    marks: &'s BTreeMap<ReleaseVersion, String>,
    version: &ReleaseVersion,
    arch: &Arch,
) -> Option<&'s str> {
    let mine = |marked: &ReleaseVersion| {
        marked == version
            || (marked.semver().build.as_str() == arch.as_str()
                && marked.without_build() == *version)
    };
    marks.iter().find(|(marked, _)| mine(marked)).map(|(_, reason)| reason.as_str())
}

/// The channels each release is in, as node metadata shows them.
pub(super) fn listing(channels: &[(&ChannelSource, Vec<Member>)], releases: usize) -> Vec<String> {
    let mut names: Vec<BTreeSet<&str>> = vec![BTreeSet::new(); releases];
    for (channel, members) in channels {
        for member in members.iter().filter(|member| !member.tombstone) {
            names[member.release].insert(channel.name.as_str());
        }
    }
    names.into_iter().map(|names| names.into_iter().collect::<Vec<_>>().join(",")).collect()
}
