//! Compiling a product again after an edit: only graphs whose inputs changed are built.
//!
//! The unit is one graph. Each is kept with a digest of everything that goes into it; where that
//! digest comes out the same, so would the graph. Nothing is kept on disk: a full compile of the
//! largest known product takes a fraction of a second, and this is for those who compile the same
//! one again and again, such as an editor that shows what a change does.

use std::collections::BTreeMap;

use signing::Sha256Digest;

use super::{CompileError, Compiled, Job, Work, nodes};
use crate::graph::Graph;
use crate::names::{Arch, ChannelName};
use crate::repository::{BlockSource, ProductSource, ReleaseSource, Sources};

/// A compiler that remembers the graphs of the last run.
#[derive(Debug, Default)]
pub struct Incremental {
    last: Option<Compiled>,
    digests: BTreeMap<(ChannelName, Arch), Sha256Digest>,
    rebuilt: Vec<(ChannelName, Arch)>,
}

impl Incremental {
    /// One that remembers nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Compiles a product; the answer is that of [`super::compile`]. After a failure what was built
    /// all the same is remembered.
    pub fn compile(&mut self, source: &ProductSource) -> Result<&Compiled, Vec<CompileError>> {
        let known = std::mem::take(&mut self.digests);
        let last = self.last.take().map(|last| last.graphs).unwrap_or_default();
        let mut last: BTreeMap<(ChannelName, Arch), Graph> =
            last.into_iter().map(|(channel, arch, graph)| ((channel, arch), graph)).collect();
        self.rebuilt.clear();
        let mut errors = Vec::new();
        let mut work = Work::new(source, &mut errors);
        let mut inputs = Inputs::new(source, work.rules.arches().len());
        let mut graphs = Vec::new();
        for job in work.jobs() {
            let key = (job.channel.name.clone(), job.arch.clone());
            let digest = inputs.digest(&work, &job);
            let unchanged = last.remove(&key).filter(|_| known.get(&key) == Some(&digest));
            let graph = if let Some(graph) = unchanged {
                graph
            } else {
                match work.build(&job) {
                    Ok(graph) => {
                        self.rebuilt.push(key.clone());
                        graph
                    }
                    Err(error) => {
                        errors.push(job.failed(error));
                        continue;
                    }
                }
            };
            graphs.push((key.0.clone(), key.1.clone(), graph));
            self.digests.insert(key, digest);
        }
        let compiled = self.last.insert(work.compiled(graphs));
        if errors.is_empty() { Ok(compiled) } else { Err(errors) }
    }

    /// The graphs the last run had to build, by channel, then architecture.
    pub fn rebuilt(&self) -> &[(ChannelName, Arch)] {
        &self.rebuilt
    }
}

/// Bytes to digest; every field is preceded by its length, so that no two lists of fields are the
/// same bytes.
#[derive(Default)]
struct Fields(Vec<u8>);

impl Fields {
    fn add(&mut self, field: impl AsRef<[u8]>) {
        let field = field.as_ref();
        self.0.extend(field.len().to_le_bytes());
        self.0.extend(field);
    }

    fn digest(&self) -> Sha256Digest {
        Sha256Digest::of(&self.0)
    }
}

/// Digests of the parts of a product that several graphs share.
struct Inputs<'s> {
    releases: Vec<&'s ReleaseSource>,
    /// What a block says of the edges it covers; not which those are.
    blocks: Vec<Sha256Digest>,
    /// By release and architecture: what decides over the edges into it.
    edges_into: Vec<Option<Sha256Digest>>,
}

impl<'s> Inputs<'s> {
    fn new(source: &'s ProductSource, arches: usize) -> Self {
        Self {
            releases: source.releases.values().collect(),
            blocks: source.blocks.iter().map(block).collect(),
            edges_into: vec![None; source.releases.len() * arches],
        }
    }

    fn digest(&mut self, work: &Work<'_>, job: &Job<'_>) -> Sha256Digest {
        let mut fields = Fields::default();
        fields.add(work.source.product.to_string());
        fields.add(job.channel.name.as_str());
        fields.add(job.arch.as_str());
        fields.add(format!("{:?}", work.source.feeding(job.channel)));
        // Places among the minors shift with every minor that comes or goes; mostly none is bound.
        let bound = job.places.iter().any(|place| work.rules.hop_limit(place.release).is_some());
        for place in &job.places {
            let release = self.releases[place.release];
            let node = nodes::node(release, job.arch, &work.about[place.release], place);
            fields.add(node.version.to_string());
            fields.add(node.payload);
            fields.add(node.metadata.len().to_le_bytes());
            for (key, value) in &node.metadata {
                fields.add(key);
                fields.add(value);
            }
            if bound {
                fields.add(work.rules.minor(place.release).to_le_bytes());
            }
            fields.add(self.into(work, place.release, job.number).as_bytes());
        }
        fields.digest()
    }

    fn into(&mut self, work: &Work<'_>, to: usize, arch: usize) -> Sha256Digest {
        let arches = work.rules.arches();
        let slot = to * arches.len() + arch;
        if let Some(digest) = self.edges_into[slot] {
            return digest;
        }
        let release = self.releases[to];
        let narrowed = release.narrowed.get(arches[arch]);
        let mut fields = Fields::default();
        for list in
            [narrowed.unwrap_or(&release.document.upgrade_from), &release.document.downgrade_from]
        {
            fields.add(list.len().to_le_bytes());
            for requirement in list {
                fields.add(requirement.to_string());
            }
        }
        fields.add(work.rules.hop_limit(to).map_or_else(String::new, |limit| limit.to_string()));
        let mut blocks: Vec<&Sha256Digest> =
            work.rules.blocks_to(to, arch).into_iter().map(|block| &self.blocks[block]).collect();
        blocks.sort_unstable();
        for block in blocks {
            fields.add(block.as_bytes());
        }
        let digest = fields.digest();
        self.edges_into[slot] = Some(digest);
        digest
    }
}

fn block(block: &BlockSource) -> Sha256Digest {
    let mut fields = Fields::default();
    match &block.from {
        Sources::Pattern(pattern) => {
            fields.add("pattern");
            fields.add(pattern.as_str());
        }
        Sources::Range(range) => {
            fields.add("range");
            fields.add(range.to_string());
        }
    }
    if let Some(risk) = &block.risk {
        fields.add(&risk.name);
        fields.add(&risk.message);
        fields.add(&risk.url);
        for rule in &risk.matching_rules {
            fields.add(format!("{rule:?}"));
        }
    }
    fields.digest()
}
