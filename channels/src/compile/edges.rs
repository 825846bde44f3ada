//! Which edges the releases and blocks of a product make, and which risks these carry.
//!
//! A product has many channels and architectures over the same releases, so what leads into a
//! release on one architecture is worked out once: a *row*. A channel's graph takes from it what
//! starts at its own versions.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use crate::graph::Risk;
use crate::names::Arch;
use crate::repository::{
    BlockSource, GraphRules, ProductSource, ReleaseSource, Sources, Targets, searched_text,
};
use crate::version::ReleaseVersion;

/// One edge into a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Incoming {
    /// Index of the release it comes from.
    pub(super) from: usize,
    /// Number of the set of risks it carries; see [`Rules::risks`].
    pub(super) risks: Option<usize>,
}

/// The rules of one product. Releases, blocks and architectures are named by index.
pub(super) struct Rules<'s> {
    releases: Vec<&'s ReleaseSource>,
    blocks: &'s [BlockSource],
    arches: Vec<&'s Arch>,
    bounds: GraphRules,
    /// By release: place of its minor among those the product has releases of.
    minors: Vec<u32>,
    /// Blocks of one target version, also under that version without build metadata.
    exact: BTreeMap<&'s ReleaseVersion, Vec<usize>>,
    bare: BTreeMap<ReleaseVersion, Vec<usize>>,
    /// Blocks whose targets are a range.
    ranges: Vec<usize>,
    /// By release: which releases its document allows, where any architecture asked for it.
    allowed: Vec<Option<Rc<[usize]>>>,
    /// Number of each block's `from` among the different ones.
    source_of: Vec<usize>,
    /// By number of a `from` and architecture: the releases it covers.
    sources: Vec<Option<Vec<bool>>>,
    /// By architecture and release: what expressions are searched for in.
    texts: Vec<Vec<String>>,
    risks: RiskSets<'s>,
    /// By release and architecture.
    rows: Vec<Option<Rc<[Incoming]>>>,
}

impl<'s> Rules<'s> {
    pub(super) fn new(source: &'s ProductSource) -> Self {
        let releases: Vec<&ReleaseSource> = source.releases.values().collect();
        let blocks = source.blocks.as_slice();
        let mut exact: BTreeMap<&ReleaseVersion, Vec<usize>> = BTreeMap::new();
        let mut bare: BTreeMap<ReleaseVersion, Vec<usize>> = BTreeMap::new();
        let mut ranges = Vec::new();
        let mut numbers = BTreeMap::new();
        let mut source_of = Vec::with_capacity(blocks.len());
        for (index, block) in blocks.iter().enumerate() {
            match &block.to {
                Targets::Version(to) if to.semver().build.is_empty() => {
                    exact.entry(to).or_default().push(index);
                }
                Targets::Version(to) => {
                    exact.entry(to).or_default().push(index);
                    bare.entry(to.without_build()).or_default().push(index);
                }
                Targets::Range(_) => ranges.push(index),
            }
            let next = numbers.len();
            source_of.push(*numbers.entry(block.from.key()).or_insert(next));
        }
        let arches: BTreeSet<&Arch> =
            releases.iter().flat_map(|release| release.document.arches.keys()).collect();
        let texts = arches.iter().map(|arch| {
            let versions = releases.iter().map(|release| &release.document.version);
            versions.map(|version| searched_text(version, arch)).collect()
        });
        Self {
            bounds: source.rules,
            minors: minors(&releases),
            texts: texts.collect(),
            allowed: vec![None; releases.len()],
            rows: vec![None; releases.len() * arches.len()],
            sources: vec![None; numbers.len() * arches.len()],
            risks: RiskSets::new(blocks),
            arches: arches.into_iter().collect(),
            releases,
            blocks,
            exact,
            bare,
            ranges,
            source_of,
        }
    }

    /// All releases of the product in version order.
    pub(super) fn releases(&self) -> &[&'s ReleaseSource] {
        &self.releases
    }

    /// All architectures of the product; the others below are named by index into this.
    pub(super) fn arches(&self) -> &[&'s Arch] {
        &self.arches
    }

    /// How many sets of risks there are so far.
    pub(super) fn risk_sets(&self) -> usize {
        self.risks.sets.len()
    }

    /// A set of risks by its number, sorted.
    pub(super) fn risks(&self, set: usize) -> Vec<Risk> {
        let members = self.risks.sets.get(set).map_or(&[][..], |members| members);
        members.iter().map(|risk| self.risks.risks[*risk].clone()).collect()
    }

    /// The edges into a release on one architecture, by source; channels play no part here.
    pub(super) fn row(&mut self, to: usize, arch: usize) -> Rc<[Incoming]> {
        let slot = to * self.arches.len() + arch;
        if let Some(row) = &self.rows[slot] {
            return Rc::clone(row);
        }
        let blocks = self.blocks_to(to, arch);
        for block in &blocks {
            self.find_sources(*block, arch);
        }
        let mut row = Vec::new();
        let mut carried = Vec::new();
        let allowed = self.allowed(to, arch);
        'edges: for &from in allowed.iter() {
            if !self.within_hops(from, to) {
                continue;
            }
            carried.clear();
            for &block in &blocks {
                if !self.covers(block, from, arch) {
                    continue;
                }
                match self.risks.of_block[block] {
                    Some(risk) => carried.push(risk),
                    // A block without a risk removes the edge, whatever else is said of it.
                    None => continue 'edges,
                }
            }
            row.push(Incoming { from, risks: self.risks.number(&mut carried) });
        }
        let row: Rc<[Incoming]> = row.into();
        self.rows[slot] = Some(Rc::clone(&row));
        row
    }

    /// The releases that may move to a release on one architecture, as the releases say.
    fn allowed(&mut self, to: usize, arch: usize) -> Rc<[usize]> {
        let (release, arch) = (self.releases[to], self.arches[arch]);
        let list = |allows: &dyn Fn(&ReleaseVersion) -> bool| {
            // Newer releases come after this one, and can only come back by a downgrade.
            let end =
                if release.document.downgrade_from.is_empty() { to } else { self.releases.len() };
            let sources = self.releases[..end].iter().enumerate();
            let allowed = sources.filter(|(_, source)| allows(&source.document.version));
            allowed.map(|(from, _)| from).collect()
        };
        if release.narrowed.contains_key(arch) {
            return list(&|version| release.allows_from(version, arch));
        }
        if let Some(allowed) = &self.allowed[to] {
            return Rc::clone(allowed);
        }
        let allowed: Rc<[usize]> = list(&|version| release.document.allows_from(version));
        self.allowed[to] = Some(Rc::clone(&allowed));
        allowed
    }

    fn within_hops(&self, from: usize, to: usize) -> bool {
        let limit = self.hop_limit(to);
        limit.is_none_or(|limit| self.minors[from].abs_diff(self.minors[to]) <= limit)
    }

    /// How many minors an edge into a release may pass.
    pub(super) fn hop_limit(&self, to: usize) -> Option<u32> {
        self.releases[to].minor_hops.or(self.bounds.minor_hops)
    }

    /// The place of a release's minor among those the product has releases of.
    pub(super) fn minor(&self, release: usize) -> u32 {
        self.minors[release]
    }

    /// The blocks that cover edges into a release.
    pub(super) fn blocks_to(&self, to: usize, arch: usize) -> Vec<usize> {
        let (version, arch) = (&self.releases[to].document.version, self.arches[arch]);
        let listed = [self.exact.get(version), self.bare.get(version)];
        let listed = listed.into_iter().flatten().flatten();
        let all = listed.chain(&self.ranges).copied();
        all.filter(|block| self.blocks[*block].covers_target(version, arch)).collect()
    }

    /// Works out which releases a block's `from` covers, unless that is known.
    fn find_sources(&mut self, block: usize, arch: usize) {
        let slot = self.source_of[block] * self.arches.len() + arch;
        if self.sources[slot].is_none() {
            let found = match &self.blocks[block].from {
                Sources::Pattern(pattern) => {
                    self.texts[arch].iter().map(|text| pattern.is_match(text)).collect()
                }
                Sources::Range(range) => self
                    .releases
                    .iter()
                    .map(|release| range.matches(&release.document.version))
                    .collect(),
            };
            self.sources[slot] = Some(found);
        }
    }

    fn covers(&self, block: usize, from: usize, arch: usize) -> bool {
        let slot = self.source_of[block] * self.arches.len() + arch;
        self.sources[slot].as_ref().is_some_and(|covered| covered[from])
    }
}

/// Numbers the minors of the releases, which are in version order, from 0.
fn minors(releases: &[&ReleaseSource]) -> Vec<u32> {
    let mut place = 0;
    let mut last = None;
    let number = |release: &&ReleaseSource| {
        let version = release.document.version.semver();
        let minor = (version.major, version.minor);
        if last.replace(minor).is_some_and(|last| last != minor) {
            place += 1;
        }
        place
    };
    releases.iter().map(number).collect()
}

/// Risks and sets of them by number, so that edges are compared by numbers and not by texts.
struct RiskSets<'s> {
    /// The different risks, sorted: a set sorted by number is sorted by risk.
    risks: Vec<&'s Risk>,
    of_block: Vec<Option<usize>>,
    sets: Vec<Rc<[usize]>>,
    numbers: BTreeMap<Rc<[usize]>, usize>,
}

impl<'s> RiskSets<'s> {
    fn new(blocks: &'s [BlockSource]) -> Self {
        let different: BTreeSet<&Risk> =
            blocks.iter().filter_map(|block| block.risk.as_ref()).collect();
        let numbers: BTreeMap<&Risk, usize> =
            different.iter().enumerate().map(|(number, risk)| (*risk, number)).collect();
        let of_block = blocks
            .iter()
            .map(|block| block.risk.as_ref().and_then(|risk| numbers.get(risk).copied()))
            .collect();
        let risks = different.into_iter().collect();
        Self { risks, of_block, sets: Vec::new(), numbers: BTreeMap::new() }
    }

    /// The number of a set of risks given in any order; `None` for the empty one.
    fn number(&mut self, risks: &mut Vec<usize>) -> Option<usize> {
        if risks.is_empty() {
            return None;
        }
        risks.sort_unstable();
        risks.dedup();
        if let Some(number) = self.numbers.get(risks.as_slice()) {
            return Some(*number);
        }
        let set: Rc<[usize]> = risks.as_slice().into();
        self.numbers.insert(Rc::clone(&set), self.sets.len());
        self.sets.push(set);
        Some(self.sets.len() - 1)
    }
}
