//! Blocks that differ only in their target, as few ranges as say the same.

use std::collections::{BTreeMap, BTreeSet};

use crate::graph::Risk;
use crate::repository::{BlockSource, Targets};
use crate::version::{ReleaseVersion, Requirement};

/// Blocks that become one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fold {
    /// Indices of the blocks, by target; at least one.
    pub(super) blocks: Vec<usize>,
    /// First and last target; the range includes both. `None` keeps the only block as it is.
    pub(super) range: Option<(ReleaseVersion, ReleaseVersion)>,
}

/// What blocks must share to become one: the risk, or none, and where the edges come from.
type Key<'b> = (Option<&'b Risk>, (bool, String));

/// Groups blocks and folds each group into ranges that, among `known` versions, hold exactly the
/// targets of the group. Blocks of one architecture, and ranges, are left as they are.
pub(super) fn fold(blocks: &[BlockSource], known: &BTreeSet<ReleaseVersion>) -> Vec<Fold> {
    let mut groups: BTreeMap<Key<'_>, BTreeMap<&ReleaseVersion, Vec<usize>>> = BTreeMap::new();
    let mut folds = Vec::new();
    for (index, block) in blocks.iter().enumerate() {
        match &block.to {
            Targets::Version(to) if to.semver().build.is_empty() => {
                let key = (block.risk.as_ref(), block.from.key());
                groups.entry(key).or_default().entry(to).or_default().push(index);
            }
            Targets::Version(_) | Targets::Range(_) => {
                folds.push(Fold { blocks: vec![index], range: None });
            }
        }
    }
    let mut universe = known.clone();
    universe.extend(groups.values().flat_map(|targets| targets.keys().copied().cloned()));
    let universe: Vec<ReleaseVersion> = universe.into_iter().collect();
    for targets in groups.into_values() {
        fold_group(&targets, &universe, &mut folds);
    }
    folds.sort_by_key(|fold| fold.blocks.first().copied());
    folds
}

/// From the lowest target that is left, takes the longest range that holds nothing else.
fn fold_group(
    targets: &BTreeMap<&ReleaseVersion, Vec<usize>>,
    universe: &[ReleaseVersion],
    folds: &mut Vec<Fold>,
) {
    let mut open: BTreeSet<&ReleaseVersion> = targets.keys().copied().collect();
    while let Some(first) = open.pop_first() {
        let longest = ends(first, targets, universe)
            .into_iter()
            .rev()
            .find_map(|last| Some((last, held(first, last, targets, universe)?)));
        let (last, mut held) = longest.unwrap_or((first, Vec::new()));
        held.retain(|version| open.remove(version));
        let members = std::iter::once(first).chain(held);
        let mut blocks: Vec<usize> =
            members.filter_map(|version| targets.get(version)).flatten().copied().collect();
        let range = (blocks.len() > 1).then(|| (first.clone(), last.clone()));
        if blocks.len() > 1 && first == last {
            // Files that say the same of the same version: one of them is enough.
            blocks.sort_unstable();
        }
        folds.push(Fold { blocks, range });
    }
}

/// Targets above `first` at which a range from it could end: those before the next full release
/// that is not a target.
fn ends<'t>(
    first: &ReleaseVersion,
    targets: &BTreeMap<&'t ReleaseVersion, Vec<usize>>,
    universe: &[ReleaseVersion],
) -> Vec<&'t ReleaseVersion> {
    let after = universe.partition_point(|version| version <= first);
    let stop = universe
        .iter()
        .skip(after)
        .find(|version| version.semver().pre.is_empty() && !targets.contains_key(version));
    let above = targets.keys().copied().filter(|version| *version > first);
    above.filter(|version| stop.is_none_or(|stop| *version < stop)).collect()
}

/// The targets in the range from `first` to `last`, or `None` where it holds anything else.
fn held<'t>(
    first: &ReleaseVersion,
    last: &ReleaseVersion,
    targets: &BTreeMap<&'t ReleaseVersion, Vec<usize>>,
    universe: &[ReleaseVersion],
) -> Option<Vec<&'t ReleaseVersion>> {
    let range: Requirement = range_text(first, last).parse().ok()?;
    let from = universe.partition_point(|version| version < first);
    let mut held = Vec::new();
    for version in universe.iter().skip(from).take_while(|version| *version <= last) {
        if range.matches(version) {
            held.push(*targets.get_key_value(version)?.0);
        }
    }
    Some(held)
}

/// The range as a block file says it.
pub(super) fn range_text(first: &ReleaseVersion, last: &ReleaseVersion) -> String {
    if first == last { first.to_string() } else { format!(">={first}, <={last}") }
}
