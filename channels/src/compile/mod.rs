//! A product's source files to the documents that are signed: release documents and graphs.
//!
//! Pure and deterministic: the same source gives the same documents, to the byte. Edges come from
//! each release's `upgrade_from` and `downgrade_from` over the versions in the channel; blocks
//! remove edges or put risks on them. Feeders are not expanded here.

mod edges;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use edges::Rules;

use crate::graph::{Graph, GraphBuilder, GraphError, Node, Origin, TOMBSTONE_KEY};
use crate::names::{Arch, ChannelName, ProductRef};
use crate::repository::{ChannelSource, ProductSource, ReleaseSource};
use crate::version::ReleaseVersion;
use crate::wire::{ReleaseDocument, Severity};

/// Node metadata: the release's page for people.
pub const URL_KEY: &str = "url";
/// Node metadata: digest of the payload's manifest.
pub const MANIFEST_KEY: &str = "io.openshift.upgrades.graph.release.manifestref";
/// Node metadata: the channels a release is in, sorted, separated by commas.
pub const CHANNELS_KEY: &str = "io.openshift.upgrades.graph.release.channels";
/// Node metadata: the vendor's urgency, absent for `none`.
pub const SEVERITY_KEY: &str = "fairway.dev/severity";

/// What a product publishes.
#[derive(Debug, Clone, PartialEq)]
pub struct Compiled {
    /// The product.
    pub product: ProductRef,
    /// All releases, in version order.
    pub releases: Vec<ReleaseDocument>,
    /// One graph per channel and architecture that has at least one release, by channel, then
    /// architecture.
    pub graphs: Vec<(ChannelName, Arch, Graph)>,
}

/// Why a product cannot be compiled.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// A channel names a version that has no release file.
    #[error(
        "{}: {version} has no release file; add releases/{version}.yaml or take it out",
        file.display()
    )]
    MissingRelease {
        /// The channel's file.
        file: PathBuf,
        /// The version as written.
        version: ReleaseVersion,
    },
    /// A channel names a release on an architecture the release has no content for.
    #[error("{}: {version} names an architecture its release has no content for", file.display())]
    MissingArch {
        /// The channel's file.
        file: PathBuf,
        /// The version as written, `x.y.z+arch`.
        version: ReleaseVersion,
    },
    /// The graph breaks a bound.
    #[error("{}: its graph for {arch} cannot be built", file.display())]
    Graph {
        /// The channel's file.
        file: PathBuf,
        /// The architecture.
        arch: Arch,
        /// Why.
        #[source]
        source: GraphError,
    },
}

/// Compiles a product, or says everything that is wrong with it.
pub fn compile(source: &ProductSource) -> Result<Compiled, Vec<CompileError>> {
    let (compiled, errors) = compile_partly(source);
    if errors.is_empty() { Ok(compiled) } else { Err(errors) }
}

/// Compiles what can be compiled, for lint; versions with errors are left out of their graphs.
pub(crate) fn compile_partly(source: &ProductSource) -> (Compiled, Vec<CompileError>) {
    let mut errors = Vec::new();
    let releases: Vec<&ReleaseSource> = source.releases.values().collect();
    let members: Vec<(&ChannelSource, Vec<Member>)> = source
        .channels
        .values()
        .map(|channel| (channel, resolve(channel, &releases, &mut errors)))
        .collect();
    let listed = listing(&members, &releases);
    let mut rules = Rules::new(&releases, &source.blocks);
    let mut graphs = Vec::new();
    for (channel, members) in &members {
        for number in 0..rules.arches().len() {
            let arch = rules.arches()[number];
            let here: Vec<&Member> = members.iter().filter(|m| m.is_on(arch, &releases)).collect();
            let origin = Origin {
                product: source.product.clone(),
                channel: channel.name.clone(),
                arch: arch.clone(),
            };
            if here.is_empty() {
                continue;
            }
            match build(origin, number, &here, &releases, &listed, &mut rules) {
                Ok(graph) => graphs.push((channel.name.clone(), arch.clone(), graph)),
                Err(error) => errors.push(CompileError::Graph {
                    file: channel.file.clone(),
                    arch: arch.clone(),
                    source: error,
                }),
            }
        }
    }
    let releases = releases.iter().map(|release| release.document.clone()).collect();
    (Compiled { product: source.product.clone(), releases, graphs }, errors)
}

/// One release in one channel.
struct Member {
    /// Index into the product's releases, which are in version order.
    release: usize,
    /// Only on this architecture.
    only: Option<Arch>,
    tombstone: bool,
}

impl Member {
    fn is_on(&self, arch: &Arch, releases: &[&ReleaseSource]) -> bool {
        self.only.as_ref().is_none_or(|only| only == arch)
            && releases[self.release].document.arches.contains_key(arch)
    }
}

/// Finds the releases a channel names; one release may be named several times, as itself and as
/// `+arch` entries.
fn resolve(
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
        let tombstone =
            tombstones.contains(version) || tombstones.contains(&version.without_build());
        let (file, version) = (channel.file.clone(), version.clone());
        if let Some(release) = find(&version) {
            members.push(Member { release, only: None, tombstone });
            continue;
        }
        let only: Option<Arch> = version.semver().build.as_str().parse().ok();
        match (find(&version.without_build()), only) {
            (Some(release), Some(only))
                if releases[release].document.arches.contains_key(&only) =>
            {
                members.push(Member { release, only: Some(only), tombstone });
            }
            (Some(_), Some(_)) => errors.push(CompileError::MissingArch { file, version }),
            (None, _) | (_, None) => errors.push(CompileError::MissingRelease { file, version }),
        }
    }
    members
}

/// The channels each release is in, as node metadata shows them.
fn listing(members: &[(&ChannelSource, Vec<Member>)], releases: &[&ReleaseSource]) -> Vec<String> {
    let mut names: Vec<BTreeSet<&str>> = vec![BTreeSet::new(); releases.len()];
    for (channel, members) in members {
        for member in members.iter().filter(|member| !member.tombstone) {
            names[member.release].insert(channel.name.as_str());
        }
    }
    names.into_iter().map(|names| names.into_iter().collect::<Vec<_>>().join(",")).collect()
}

/// One graph; `number` is its architecture among the product's.
fn build(
    origin: Origin,
    number: usize,
    members: &[&Member],
    releases: &[&ReleaseSource],
    listed: &[String],
    rules: &mut Rules<'_>,
) -> Result<Graph, GraphError> {
    let arch = origin.arch.clone();
    // One node per release, even where it is listed for all architectures and for this one;
    // withdrawn if either entry is.
    let mut nodes: BTreeMap<usize, bool> = BTreeMap::new();
    for member in members {
        *nodes.entry(member.release).or_default() |= member.tombstone;
    }
    let mut builder = GraphBuilder::new(Some(origin));
    let mut handles = Vec::with_capacity(nodes.len());
    for (&release, &tombstone) in &nodes {
        let channels = &listed[release];
        handles.push((release, builder.node(node(releases[release], &arch, channels, tombstone))));
    }
    let mut sets = BTreeMap::new();
    for &(to, to_handle) in handles.iter().filter(|(release, _)| !nodes[release]) {
        for &(from, from_handle) in &handles {
            let Some(risks) = rules.edge(from, to, number) else { continue };
            if risks.is_empty() {
                builder.edge(from_handle, to_handle);
                continue;
            }
            let set = if let Some(set) = sets.get(&risks) {
                *set
            } else {
                let set = builder.risks(rules.risks(&risks));
                sets.insert(risks, set);
                set
            };
            builder.conditional(from_handle, to_handle, set);
        }
    }
    builder.build()
}

fn node(release: &ReleaseSource, arch: &Arch, channels: &str, tombstone: bool) -> Node {
    let document = &release.document;
    let mut metadata = BTreeMap::new();
    let mut add = |key: &str, value: String| metadata.insert(key.to_owned(), value);
    if let Some(url) = &document.url {
        add(URL_KEY, url.clone());
    }
    if let Some(content) = document.arches.get(arch) {
        add(MANIFEST_KEY, content.payload.digest.to_string());
    }
    if !channels.is_empty() {
        add(CHANNELS_KEY, channels.to_owned());
    }
    if let Some(word) = severity(document.severity) {
        add(SEVERITY_KEY, word.to_owned());
    }
    if tombstone {
        add(TOMBSTONE_KEY, "true".to_owned());
    }
    let payload = release.payloads.get(arch).cloned().unwrap_or_default();
    Node { version: document.version.clone(), payload, metadata }
}

fn severity(severity: Severity) -> Option<&'static str> {
    match severity {
        Severity::None | Severity::Unknown => None,
        Severity::Low => Some("low"),
        Severity::Moderate => Some("moderate"),
        Severity::Important => Some("important"),
        Severity::Critical => Some("critical"),
    }
}
