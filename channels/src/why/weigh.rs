//! Weighing one pair of releases.

use std::collections::BTreeSet;

use super::{Edge, Reason, Why};
use crate::graph::{Graph, MatchingRule, Risk};
use crate::names::Arch;
use crate::repository::{ChannelSource, ProductSource, ReleaseSource, SETTINGS_FILE};
use crate::version::ReleaseVersion;

/// Explains the edge between two releases in a channel's compiled graph for one architecture.
pub fn why(
    product: &ProductSource,
    channel: &ChannelSource,
    arch: &Arch,
    graph: &Graph,
    from: &ReleaseVersion,
    to: &ReleaseVersion,
) -> Why {
    let offer = graph.targets_of(from).into_iter().find(|offer| offer.to == to);
    let edge = match offer {
        None => Edge::None,
        Some(offer) if offer.risks.is_empty() => Edge::Recommended,
        Some(_) => Edge::Conditional,
    };
    let mut reasons = Vec::new();
    if from == to {
        reasons.push(Reason::SameVersion);
    }
    for version in [from, to] {
        reasons.extend(absent(product, channel, graph, version));
    }
    reasons.extend(marks(channel, graph, from, to));
    if let Some(target) = product.releases.get(to)
        && from != to
    {
        reasons.extend(minors(product, target, from));
        blocks(product, arch, from, to, &mut reasons);
        let (key, listed) = listed(target, arch, from);
        let file = target.file.clone();
        let by = listed.iter().find(|one| one.matches(from)).cloned();
        reasons.push(match by.filter(|_| target.allows_from(from, arch)) {
            Some(by) => Reason::Allowed { key, by, file },
            None => Reason::NotAllowed { key, listed: listed.to_vec(), file },
        });
    }
    reasons.sort_by_key(|reason| (!reason.forbids(), matches!(reason, Reason::Allowed { .. })));
    Why {
        channel: channel.name.clone(),
        arch: arch.clone(),
        from: from.clone(),
        to: to.clone(),
        edge,
        reasons,
    }
}

/// Why a version is no node, if it is none.
fn absent(
    product: &ProductSource,
    channel: &ChannelSource,
    graph: &Graph,
    version: &ReleaseVersion,
) -> Option<Reason> {
    if graph.node(version).is_some() {
        return None;
    }
    let version = version.clone();
    let mut listed = channel.versions.iter().chain(&channel.tombstones);
    let lists = listed.any(|one| *one == version || one.without_build() == version);
    Some(match (product.releases.contains_key(&version), lists) {
        (false, _) => Reason::NoRelease { version },
        (true, false) => Reason::NotInChannel { version, file: channel.file.clone() },
        (true, true) => Reason::NotOnArch { version },
    })
}

/// Tombstone, dead end and barriers.
fn marks(
    channel: &ChannelSource,
    graph: &Graph,
    from: &ReleaseVersion,
    to: &ReleaseVersion,
) -> Vec<Reason> {
    let file = || channel.file.clone();
    let mut reasons = Vec::new();
    if graph.node(to).is_some_and(crate::graph::Node::is_tombstone) {
        reasons.push(Reason::Withdrawn { version: to.clone(), file: file() });
    }
    if let Some(why) = graph.node(from).and_then(|node| node.dead_end()) {
        let (version, why) = (from.clone(), why.to_owned());
        reasons.push(Reason::DeadEnd { version, why, file: file() });
    }
    if let (Some(from), Some(to)) = (graph.node_index(from), graph.node_index(to)) {
        let between = graph.nodes()[from.min(to)..from.max(to)].iter().skip(1);
        reasons.extend(between.filter_map(|node| {
            let why = node.barrier()?.to_owned();
            Some(Reason::Barrier { version: node.version.clone(), why, file: file() })
        }));
    }
    reasons
}

/// The bound on minors, where the pair breaks it.
fn minors(
    product: &ProductSource,
    target: &ReleaseSource,
    from: &ReleaseVersion,
) -> Option<Reason> {
    let settings = || product.directory.join(SETTINGS_FILE);
    let (limit, file) = match (target.minor_hops, product.rules.minor_hops) {
        (Some(limit), _) => (limit, target.file.clone()),
        (None, Some(limit)) => (limit, settings()),
        (None, None) => return None,
    };
    let minor = |version: &ReleaseVersion| (version.semver().major, version.semver().minor);
    let all: BTreeSet<(u64, u64)> = product.releases.keys().map(minor).collect();
    let place = |version: &ReleaseVersion| all.range(..minor(version)).count();
    let passed = place(from).abs_diff(place(&target.document.version));
    let passed = u32::try_from(passed).unwrap_or(u32::MAX);
    (passed > limit).then_some(Reason::MinorHops { passed, limit, file })
}

fn blocks(
    product: &ProductSource,
    arch: &Arch,
    from: &ReleaseVersion,
    to: &ReleaseVersion,
    reasons: &mut Vec<Reason>,
) {
    let covering = product
        .blocks
        .iter()
        .filter(|block| block.covers_target(to, arch) && block.from.cover(from, arch));
    for block in covering {
        let file = block.file.clone();
        reasons.push(match &block.risk {
            None => Reason::Blocked { file },
            Some(risk) => Reason::Risk {
                file,
                name: risk.name.clone(),
                message: risk.message.clone(),
                url: risk.url.clone(),
                rules: rules(risk),
            },
        });
    }
}

fn rules(risk: &Risk) -> Vec<String> {
    let told = risk.matching_rules.iter().map(|rule| match rule {
        MatchingRule::Always => "Always".to_owned(),
        MatchingRule::PromQl { promql } => {
            let words: Vec<&str> = promql.split_whitespace().collect();
            format!("PromQL: {}", words.join(" "))
        }
        MatchingRule::Unknown { kind } => format!("{kind}, which nobody here can evaluate"),
    });
    told.collect()
}

/// The requirements that speak of `from`, and the key they stand under.
fn listed<'s>(
    target: &'s ReleaseSource,
    arch: &Arch,
    from: &ReleaseVersion,
) -> (&'static str, &'s [crate::version::Requirement]) {
    let document = &target.document;
    if from.semver().cmp_precedence(document.version.semver()).is_gt() {
        return ("downgrade_from", &document.downgrade_from);
    }
    let narrow = target.narrowed.get(arch).unwrap_or(&document.upgrade_from);
    ("upgrade_from", narrow)
}
