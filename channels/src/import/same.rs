//! Whether what was written means what the source meant.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

use super::{Import, ImportError};
use crate::compile::{Compiled, compile_partly};
use crate::graph::Risk;
use crate::names::Arch;
use crate::repository::{BlockSource, GraphData, ProductSource, PullSpec, ReleaseSource};
use crate::version::ReleaseVersion;

/// How much was compared and found equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Same {
    /// Pairs of versions, on each architecture, that are blocked or carry the same risks.
    pub pairs: usize,
    /// Graphs of one channel and architecture that are equal.
    pub graphs: usize,
    /// Their plain edges.
    pub edges: usize,
    /// Their conditional edges.
    pub conditional_edges: usize,
}

impl Import {
    /// Reads the product written in `directory` and compares it with the source: which pairs of
    /// versions are blocked or carry which risks, whatever the releases allow; every compiled
    /// graph; and every release.
    ///
    /// Graphs are compiled over a stand-in for every version the channels name, because most
    /// sources come without payloads.
    pub fn check(&self, directory: &Path) -> Result<Same, ImportError> {
        let mut written = ProductSource::load(directory, Path::new(""))?;
        for expected in self.expected.releases.values() {
            let version = &expected.document.version;
            if !written.releases.get(version).is_some_and(|found| is_same(expected, found)) {
                return Err(ImportError::ReleaseDiffers { version: version.clone() });
            }
        }
        let (source, stand_ins) = stand_ins(&self.source, &self.expected, &self.arches);
        let pairs = compare_blocks(&source, &written, &self.arches)?;
        written.releases = stand_ins;
        written.defaults = source.defaults.clone();
        let graphs = compare_graphs(&source, &written)?;
        let count = |edges: fn(&crate::graph::Graph) -> usize| {
            graphs.graphs.iter().map(|(_, _, graph)| edges(graph)).sum()
        };
        Ok(Same {
            pairs,
            graphs: graphs.graphs.len(),
            edges: count(|graph| graph.edges().len()),
            conditional_edges: count(|graph| {
                graph.conditional().iter().map(|group| group.edges.len()).sum()
            }),
        })
    }
}

fn is_same(expected: &ReleaseSource, found: &ReleaseSource) -> bool {
    let (one, other) = (&expected.document, &found.document);
    one.upgrade_from == other.upgrade_from
        && expected.narrowed == found.narrowed
        && expected.payloads == found.payloads
        && one.released_at == other.released_at
        && one.url == other.url
}

type Releases = BTreeMap<ReleaseVersion, ReleaseSource>;

/// The source with a made-up payload for every version, and these releases.
fn stand_ins(
    source: &GraphData,
    expected: &ProductSource,
    arches: &[Arch],
) -> (ProductSource, Releases) {
    let content = |version: &ReleaseVersion, arch: &Arch| -> Option<PullSpec> {
        let digest = signing::Sha256Digest::of(format!("{version}+{arch}").as_bytes());
        format!("stand-in@{digest}").parse().ok()
    };
    let releases = source.suggested_releases(arches, jiff::Timestamp::UNIX_EPOCH, &content);
    let product = source.clone().into_product(expected.product.clone(), releases);
    let releases = product.releases.clone();
    (product, releases)
}

fn compare_graphs(
    source: &ProductSource,
    written: &ProductSource,
) -> Result<Compiled, ImportError> {
    // The same versions are left out on both sides, if any; what is compared is all the rest.
    let (source, _) = compile_partly(source);
    let (written, _) = compile_partly(written);
    let longest = source.graphs.len().max(written.graphs.len());
    for index in 0..longest {
        let (one, other) = (source.graphs.get(index), written.graphs.get(index));
        if one != other
            && let Some((channel, arch, _)) = one.or(other)
        {
            let (channel, arch) = (channel.clone(), arch.clone());
            return Err(ImportError::GraphDiffers { channel, arch });
        }
    }
    Ok(written)
}

/// Versions as bits, by index.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Bits(Vec<u64>);

impl Bits {
    fn of(count: usize, is_in: impl Fn(usize) -> bool) -> Self {
        let word = |word: usize| {
            let bits = (0..64).filter(|bit| word * 64 + bit < count && is_in(word * 64 + bit));
            bits.fold(0_u64, |bits, bit| bits | 1 << bit)
        };
        Self((0..count.div_ceil(64)).map(word).collect())
    }

    fn add(&mut self, other: &Self) {
        for (word, other) in self.0.iter_mut().zip(&other.0) {
            *word |= other;
        }
    }

    /// Index of the first difference.
    fn differs(&self, other: Option<&Self>) -> Option<usize> {
        let other = |word: usize| other.and_then(|other| other.0.get(word)).copied().unwrap_or(0);
        self.0.iter().enumerate().find_map(|(place, word)| {
            let bit = (word ^ other(place)).trailing_zeros();
            (bit < 64).then(|| place * 64 + usize::try_from(bit).unwrap_or(0))
        })
    }
}

/// One product's blocks over fixed versions, asked by target.
struct Cover<'p> {
    blocks: &'p [BlockSource],
    versions: &'p [ReleaseVersion],
    sources: BTreeMap<(bool, String), Bits>,
}

impl<'p> Cover<'p> {
    fn new(blocks: &'p [BlockSource], versions: &'p [ReleaseVersion], arch: &Arch) -> Self {
        let mut sources = BTreeMap::new();
        for block in blocks {
            sources.entry(block.from.key()).or_insert_with(|| {
                let covers = |index: usize| {
                    versions.get(index).is_some_and(|version| block.from.cover(version, arch))
                };
                Bits::of(versions.len(), covers)
            });
        }
        Self { blocks, versions, sources }
    }

    /// By risk, or none for removal: the versions that carry it on the way to one target.
    fn carried_to(&self, target: &ReleaseVersion, arch: &Arch) -> BTreeMap<Option<&'p Risk>, Bits> {
        let mut carried: BTreeMap<Option<&Risk>, Bits> = BTreeMap::new();
        for block in self.blocks.iter().filter(|block| block.covers_target(target, arch)) {
            let Some(bits) = self.sources.get(&block.from.key()) else { continue };
            let none = || Bits::of(self.versions.len(), |_| false);
            carried.entry(block.risk.as_ref()).or_insert_with(none).add(bits);
        }
        carried
    }
}

/// Compares blocks pair by pair, over all versions that channels and blocks name.
fn compare_blocks(
    source: &ProductSource,
    written: &ProductSource,
    arches: &[Arch],
) -> Result<usize, ImportError> {
    let mut versions: Vec<ReleaseVersion> = source.releases.keys().cloned().collect();
    versions.extend(source.blocks.iter().filter_map(|block| match &block.to {
        crate::repository::Targets::Version(to) => Some(to.without_build()),
        crate::repository::Targets::Range(_) => None,
    }));
    versions.sort();
    versions.dedup();
    for arch in arches {
        let one = Cover::new(&source.blocks, &versions, arch);
        let other = Cover::new(&written.blocks, &versions, arch);
        for to in &versions {
            let (one, other) = (one.carried_to(to, arch), other.carried_to(to, arch));
            if one == other {
                continue;
            }
            let of_one = one.iter().filter_map(|(risk, bits)| bits.differs(other.get(risk)));
            let of_other = other.iter().filter_map(|(risk, bits)| bits.differs(one.get(risk)));
            // A risk over no version at all is no difference.
            if let Some(from) = of_one.chain(of_other).find_map(|index| versions.get(index)) {
                return Err(ImportError::BlockDiffers {
                    from: from.clone(),
                    to: to.clone(),
                    arch: arch.clone(),
                });
            }
        }
    }
    Ok(versions.len() * versions.len().saturating_sub(1) * arches.len())
}
