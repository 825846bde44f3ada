//! Which edges exist, and which risks they carry.
//!
//! A product has many channels and architectures over the same releases, so what holds for a pair
//! of releases is worked out once and remembered.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use crate::graph::Risk;
use crate::names::Arch;
use crate::repository::{BlockSource, ReleaseSource, Targets};
use crate::version::ReleaseVersion;

/// The rules of one product. Releases, blocks and architectures are named by index.
pub(super) struct Rules<'s> {
    releases: &'s [&'s ReleaseSource],
    blocks: &'s [BlockSource],
    arches: Vec<&'s Arch>,
    /// Blocks of one target version, also under that version without build metadata.
    exact: BTreeMap<ReleaseVersion, Vec<usize>>,
    /// Blocks whose targets are a range.
    ranges: Vec<usize>,
    /// By target release: which releases it may be reached from.
    allowed: Vec<Option<Vec<bool>>>,
    /// By target release and architecture: the blocks that cover it.
    covering: Vec<Option<Rc<[usize]>>>,
    /// Number of each block's `from` among the different ones.
    source_of: Vec<usize>,
    /// By number of a `from` and architecture: the releases it covers.
    sources: Vec<Option<Vec<bool>>>,
}

impl<'s> Rules<'s> {
    pub(super) fn new(releases: &'s [&'s ReleaseSource], blocks: &'s [BlockSource]) -> Self {
        let mut exact: BTreeMap<ReleaseVersion, Vec<usize>> = BTreeMap::new();
        let mut ranges = Vec::new();
        let mut numbers = BTreeMap::new();
        let mut source_of = Vec::with_capacity(blocks.len());
        for (index, block) in blocks.iter().enumerate() {
            match &block.to {
                Targets::Version(to) => {
                    exact.entry(to.clone()).or_default().push(index);
                    if !to.semver().build.is_empty() {
                        exact.entry(to.without_build()).or_default().push(index);
                    }
                }
                Targets::Range(_) => ranges.push(index),
            }
            let next = numbers.len();
            source_of.push(*numbers.entry(block.from.key()).or_insert(next));
        }
        let arches: BTreeSet<&Arch> =
            releases.iter().flat_map(|release| release.document.arches.keys()).collect();
        Self {
            releases,
            blocks,
            exact,
            ranges,
            allowed: vec![None; releases.len()],
            covering: vec![None; releases.len() * arches.len()],
            source_of,
            sources: vec![None; numbers.len() * arches.len()],
            arches: arches.into_iter().collect(),
        }
    }

    /// All architectures of the product; the others below are named by index into this.
    pub(super) fn arches(&self) -> &[&'s Arch] {
        &self.arches
    }

    /// The edge between two releases on one architecture: `None` where there is none or a block
    /// removes it, else the blocks whose risks it carries.
    pub(super) fn edge(&mut self, from: usize, to: usize, arch: usize) -> Option<Vec<usize>> {
        if !self.allows(from, to) {
            return None;
        }
        let mut risks = Vec::new();
        for &block in self.blocks_to(to, arch).iter() {
            if self.covers(block, from, arch) {
                // A block without a risk removes the edge, whatever else is said of it.
                self.blocks[block].risk.as_ref()?;
                risks.push(block);
            }
        }
        Some(risks)
    }

    /// The risks of some blocks.
    pub(super) fn risks(&self, blocks: &[usize]) -> Vec<Risk> {
        let risks: BTreeSet<&Risk> =
            blocks.iter().filter_map(|block| self.blocks[*block].risk.as_ref()).collect();
        risks.into_iter().cloned().collect()
    }

    fn allows(&mut self, from: usize, to: usize) -> bool {
        let releases = self.releases;
        let allowed = self.allowed[to].get_or_insert_with(|| {
            let target = &releases[to].document;
            releases.iter().map(|release| target.allows_from(&release.document.version)).collect()
        });
        allowed[from]
    }

    fn blocks_to(&mut self, to: usize, arch: usize) -> Rc<[usize]> {
        let version = &self.releases[to].document.version;
        let (exact, ranges, blocks) = (&self.exact, &self.ranges, self.blocks);
        let name = self.arches[arch];
        let covering = self.covering[to * self.arches.len() + arch].get_or_insert_with(|| {
            let exact = exact.get(version).map_or(&[][..], Vec::as_slice);
            let all = exact.iter().chain(ranges).copied();
            all.filter(|block| blocks[*block].covers_target(version, name)).collect()
        });
        Rc::clone(covering)
    }

    fn covers(&mut self, block: usize, from: usize, arch: usize) -> bool {
        let (releases, blocks) = (self.releases, self.blocks);
        let name = self.arches[arch];
        let slot = self.source_of[block] * self.arches.len() + arch;
        let covered = self.sources[slot].get_or_insert_with(|| {
            let versions = releases.iter().map(|release| &release.document.version);
            versions.map(|version| blocks[block].from.cover(version, name)).collect()
        });
        covered[from]
    }
}
