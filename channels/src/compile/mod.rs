//! A product's source files to the documents that are signed: release documents and graphs.
//!
//! Pure and deterministic: the same source gives the same documents, to the byte. Edges come from
//! each release's `upgrade_from` and `downgrade_from` over the versions in the channel; blocks
//! remove edges or put risks on them, and so do tombstones, barriers, dead ends and the bound on
//! minors. What a feeder asks for is told and not done: promotion edits the source.

mod edges;
mod incremental;
mod members;
mod nodes;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use edges::Rules;
pub use incremental::Incremental;
use members::{Member, Place};
use nodes::About;

use crate::graph::{Graph, GraphBuilder, GraphError, Origin};
use crate::names::{Arch, ChannelName, ProductRef};
use crate::repository::{ChannelSource, ProductSource};
use crate::version::ReleaseVersion;
use crate::wire::ReleaseDocument;

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
///
/// Every pair of releases is looked at once per architecture, and every edge once per channel; all
/// of OpenShift (1,375 versions, four architectures, 76 channels) takes a fraction of a second.
pub fn compile(source: &ProductSource) -> Result<Compiled, Vec<CompileError>> {
    let (compiled, errors) = compile_partly(source);
    if errors.is_empty() { Ok(compiled) } else { Err(errors) }
}

/// Compiles what can be compiled, for lint; versions with errors are left out of their graphs.
pub(crate) fn compile_partly(source: &ProductSource) -> (Compiled, Vec<CompileError>) {
    let mut errors = Vec::new();
    let mut work = Work::new(source, &mut errors);
    let mut graphs = Vec::new();
    for job in work.jobs() {
        match work.build(&job) {
            Ok(graph) => graphs.push((job.channel.name.clone(), job.arch.clone(), graph)),
            Err(error) => errors.push(job.failed(error)),
        }
    }
    (work.compiled(graphs), errors)
}

/// What is worked out once for all graphs of a product.
struct Work<'s> {
    source: &'s ProductSource,
    channels: Vec<(&'s ChannelSource, Vec<Member>)>,
    /// By release: what its nodes say of it in every graph.
    about: Vec<About>,
    rules: Rules<'s>,
}

/// One graph to build.
struct Job<'s> {
    channel: &'s ChannelSource,
    arch: &'s Arch,
    /// Index of the architecture among the product's.
    number: usize,
    places: Vec<Place<'s>>,
}

impl Job<'_> {
    fn failed(&self, source: GraphError) -> CompileError {
        CompileError::Graph { file: self.channel.file.clone(), arch: self.arch.clone(), source }
    }
}

impl<'s> Work<'s> {
    fn new(source: &'s ProductSource, errors: &mut Vec<CompileError>) -> Self {
        let rules = Rules::new(source);
        let channels: Vec<(&ChannelSource, Vec<Member>)> = source
            .channels
            .values()
            .map(|channel| (channel, members::resolve(channel, rules.releases(), errors)))
            .collect();
        let listed = members::listing(&channels, rules.releases().len());
        let about = nodes::about(rules.releases(), listed, &source.eol);
        Self { source, channels, about, rules }
    }

    /// All graphs that have a node, by channel, then architecture.
    fn jobs(&self) -> Vec<Job<'s>> {
        let mut jobs = Vec::new();
        for (channel, members) in &self.channels {
            for (number, arch) in self.rules.arches().iter().enumerate() {
                let places = members::places(channel, members, arch, self.rules.releases());
                if !places.is_empty() {
                    jobs.push(Job { channel, arch, number, places });
                }
            }
        }
        jobs
    }

    fn build(&mut self, job: &Job<'_>) -> Result<Graph, GraphError> {
        let mut builder = GraphBuilder::new(Some(Origin {
            product: self.source.product.clone(),
            channel: job.channel.name.clone(),
            arch: job.arch.clone(),
        }));
        builder.feeding(self.source.feeding(job.channel));
        // By release: the place edges may leave it from.
        let mut sources: Vec<Option<usize>> = vec![None; self.rules.releases().len()];
        // By place: how many barriers are older.
        let mut older = vec![0];
        for (number, place) in job.places.iter().enumerate() {
            let release = self.rules.releases()[place.release];
            let about = &self.about[place.release];
            builder.node(nodes::node(release, job.arch, about, place));
            sources[place.release] = Some(number).filter(|_| place.dead_end.is_none());
            older.push(older[number] + usize::from(place.barrier.is_some()));
        }
        let jumps = |one: usize, other: usize| older[one.max(other)] > older[one.min(other) + 1];
        let mut sets: Vec<Option<usize>> = Vec::new();
        for (to, place) in job.places.iter().enumerate().filter(|(_, place)| !place.tombstone) {
            for edge in self.rules.row(place.release, job.number).iter() {
                let Some(from) = sources[edge.from].filter(|from| !jumps(*from, to)) else {
                    continue;
                };
                let Some(set) = edge.risks else {
                    builder.edge(from, to);
                    continue;
                };
                sets.resize(self.rules.risk_sets(), None);
                let known = sets[set].get_or_insert_with(|| builder.risks(self.rules.risks(set)));
                builder.conditional(from, to, *known);
            }
        }
        builder.build()
    }

    fn compiled(&self, graphs: Vec<(ChannelName, Arch, Graph)>) -> Compiled {
        let releases = self.rules.releases().iter().map(|release| release.document.clone());
        Compiled { product: self.source.product.clone(), releases: releases.collect(), graphs }
    }
}
