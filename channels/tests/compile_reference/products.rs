//! Random products: few versions, so that rules meet often.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use channels::eol::EndOfLife;
use channels::graph::{MatchingRule, Risk};
use channels::names::Arch;
use channels::promotion::Record;
use channels::repository::{
    BlockSource, ChannelSource, Defaults, GraphRules, ProductSource, ReleaseSource, Sources,
    Targets,
};
use channels::version::{Minor, ReleaseVersion, Requirement};
use channels::wire::{ArchContent, Image, ReleaseDocument, Severity};
use proptest::prelude::*;
use signing::Sha256Digest;

const ARCHES: [&str; 2] = ["amd64", "arm64"];

const REQUIREMENTS: [&str; 9] = [
    ">=1.0.0",
    "^1.1",
    "~1.0",
    "~1.2",
    "=1.0.1",
    ">=1.0.0-rc.1, <2.0.0",
    ">=1.1.1, <1.2.2",
    "<1.2.0",
    ">1.0.0, <=2.9.9",
];

const PATTERNS: [&str; 6] =
    [".*", "1[.]0[.].*", "^1[.]1[.][01][+]", "[+]arm64$", "-rc", "k3s1|2[.]0[.]0"];

fn arch(name: &str) -> Arch {
    name.parse().unwrap()
}

fn versions() -> impl Strategy<Value = BTreeSet<ReleaseVersion>> {
    let tail = prop_oneof![5 => Just(""), 1 => Just("-rc.1"), 1 => Just("+k3s1")];
    let version = (1_u64..3, 0_u64..4, 0_u64..3, tail).prop_map(|(major, minor, patch, tail)| {
        format!("{major}.{minor}.{patch}{tail}").parse().unwrap()
    });
    prop::collection::btree_set(version, 1..12)
}

fn requirement() -> impl Strategy<Value = Requirement> {
    prop::sample::select(REQUIREMENTS.to_vec()).prop_map(|text| text.parse().unwrap())
}

fn requirements(most: usize) -> impl Strategy<Value = Vec<Requirement>> {
    prop::collection::vec(requirement(), 0..=most)
}

fn hops() -> impl Strategy<Value = Option<u32>> {
    prop_oneof![3 => Just(None), 2 => (0_u32..3).prop_map(Some)]
}

/// Which architectures it exists on, and what it may be reached from.
fn release(version: ReleaseVersion) -> impl Strategy<Value = ReleaseSource> {
    let arches = prop_oneof![3 => Just(0..2), 1 => Just(0..1), 1 => Just(1..2)];
    let narrowed = prop::option::weighted(0.2, requirements(1));
    let downgrade = prop_oneof![4 => Just(Vec::new()), 1 => requirements(2)];
    (arches, requirements(3), downgrade, narrowed, hops()).prop_map(
        move |(arches, upgrade_from, downgrade_from, narrowed, minor_hops)| {
            let digest = Sha256Digest::of(version.to_string().as_bytes());
            let payload = Image { repository: "acme/app".to_owned(), digest };
            let content = ArchContent { payload, components: Vec::new() };
            let document = ReleaseDocument {
                format: ReleaseDocument::FORMAT,
                critical: Vec::new(),
                vendor: "acme".parse().unwrap(),
                product: "app".parse().unwrap(),
                version: version.clone(),
                released_at: "2026-01-01T00:00:00Z".parse().unwrap(),
                severity: Severity::None,
                advisories: Vec::new(),
                url: None,
                upgrade_from,
                downgrade_from,
                dependencies: Vec::new(),
                arches: ARCHES[arches].iter().map(|name| (arch(name), content.clone())).collect(),
                finalize: None,
            };
            let narrowed = narrowed.into_iter().map(|list| (arch("arm64"), list)).collect();
            let (file, payloads) = (PathBuf::new(), BTreeMap::new());
            ReleaseSource { file, document, payloads, narrowed, minor_hops }
        },
    )
}

fn risk() -> impl Strategy<Value = Risk> {
    let rules = prop_oneof![
        Just(vec![MatchingRule::Always]),
        Just(vec![MatchingRule::PromQl { promql: "up".to_owned() }, MatchingRule::Always]),
    ];
    (prop::sample::select(vec!["A", "B", "C"]), rules).prop_map(|(name, matching_rules)| Risk {
        name: name.to_owned(),
        message: format!("{name} happens"),
        url: "https://acme.example/risk".to_owned(),
        matching_rules,
    })
}

fn block(known: Vec<ReleaseVersion>) -> impl Strategy<Value = BlockSource> {
    let one = (prop::sample::select(known.clone()), prop::option::of(0_usize..2));
    let to = prop_oneof![
        one.prop_map(|(version, on)| Targets::Version(match on {
            Some(on) if version.semver().build.is_empty() => {
                format!("{version}+{}", ARCHES[on]).parse().unwrap()
            }
            Some(_) | None => version,
        })),
        requirement().prop_map(Targets::Range),
    ];
    let from = prop_oneof![
        requirement().prop_map(Sources::Range),
        prop::sample::select(PATTERNS.to_vec())
            .prop_map(|text| Sources::Pattern(regex::Regex::new(text).unwrap())),
    ];
    let fixed_in = prop::option::weighted(0.3, prop::sample::select(known));
    (to, from, fixed_in, prop::option::weighted(0.7, risk())).prop_map(
        |(to, from, fixed_in, risk)| BlockSource { file: PathBuf::new(), to, from, fixed_in, risk },
    )
}

/// Something said of a version: 0 for all architectures, else one of them if it exists there.
fn entry(release: &ReleaseSource, on: usize) -> ReleaseVersion {
    let version = &release.document.version;
    let name = on.checked_sub(1).map(|on| ARCHES[on]);
    let name = name.filter(|name| release.document.arches.contains_key(&arch(name)));
    match name {
        Some(name) if version.semver().build.is_empty() => {
            format!("{version}+{name}").parse().unwrap()
        }
        Some(_) | None => version.clone(),
    }
}

fn channel(name: &str, known: Vec<ReleaseSource>) -> impl Strategy<Value = ChannelSource> + use<> {
    let name: channels::names::ChannelName = name.parse().unwrap();
    let on = prop_oneof![5 => Just(0_usize), 1 => Just(1_usize), 1 => Just(2_usize)];
    let listed = prop::collection::vec((0..known.len(), on.clone()), 0..14);
    let few = prop::collection::vec((0..known.len(), on), 0..2);
    (listed, few.clone(), few.clone(), few).prop_map(move |(listed, withdrawn, floors, ends)| {
        let entries = |picks: Vec<(usize, usize)>| -> Vec<ReleaseVersion> {
            picks.into_iter().map(|(pick, on)| entry(&known[pick], on)).collect()
        };
        let marks = |picks: Vec<(usize, usize)>, why: &str| -> BTreeMap<ReleaseVersion, String> {
            entries(picks).into_iter().map(|version| (version, why.to_owned())).collect()
        };
        ChannelSource {
            file: PathBuf::new(),
            name: name.clone(),
            versions: entries(listed),
            tombstones: entries(withdrawn),
            barriers: marks(floors, "floor"),
            dead_ends: marks(ends, "end"),
            feeder: None,
        }
    })
}

/// Ends of some lines; not every one has releases.
fn ends() -> impl Strategy<Value = BTreeMap<Minor, EndOfLife>> {
    let line = (1_u64..3, 0_u64..4).prop_map(|(major, minor)| Minor { major, minor });
    let day = prop::sample::select(vec!["2026-12-31", "2027-06-30"]);
    prop::collection::btree_map(line, day.prop_map(|day| day.parse().unwrap()), 0..3)
}

/// A product with two channels.
pub(crate) fn product() -> impl Strategy<Value = ProductSource> {
    versions()
        .prop_flat_map(|versions| versions.into_iter().map(release).collect::<Vec<_>>())
        .prop_flat_map(|releases| {
            let known: Vec<ReleaseVersion> =
                releases.iter().map(|release| release.document.version.clone()).collect();
            (
                channel("fast", releases.clone()),
                channel("stable", releases.clone()),
                prop::collection::vec(block(known), 0..6),
                hops(),
                ends(),
                Just(releases),
            )
        })
        .prop_map(|(fast, stable, blocks, minor_hops, eol, releases)| ProductSource {
            directory: PathBuf::new(),
            product: "acme/app".parse().unwrap(),
            defaults: Defaults::default(),
            rules: GraphRules { minor_hops },
            eol,
            releases: releases.into_iter().map(|r| (r.document.version.clone(), r)).collect(),
            channels: [(fast.name.clone(), fast), (stable.name.clone(), stable)].into(),
            internal_channels: BTreeMap::new(),
            blocks,
            promotions: Record::default(),
        })
}

/// The same product twice, the second time with every list in another order. Not those of releases:
/// their documents are signed as written, and graphs name them by digest.
pub(crate) fn shuffled() -> impl Strategy<Value = (ProductSource, ProductSource)> {
    product().prop_flat_map(|one| {
        let blocks = Just(one.blocks.clone()).prop_shuffle();
        let lists: Vec<_> = one
            .channels
            .values()
            .map(|channel| {
                let versions = Just(channel.versions.clone()).prop_shuffle();
                (versions, Just(channel.tombstones.clone()).prop_shuffle())
            })
            .collect();
        (Just(one), blocks, lists).prop_map(|(one, blocks, lists)| {
            let mut two = one.clone();
            two.blocks = blocks;
            for (channel, (versions, tombstones)) in two.channels.values_mut().zip(lists) {
                channel.versions = versions;
                channel.tombstones = tombstones;
            }
            (one, two)
        })
    })
}

/// A product and what a few edits make of it, one after the other.
pub(crate) fn edits() -> impl Strategy<Value = Vec<ProductSource>> {
    product().prop_flat_map(|one| {
        let releases: Vec<ReleaseSource> = one.releases.values().cloned().collect();
        let known: Vec<ReleaseVersion> = one.releases.keys().cloned().collect();
        let edit = (
            0..8_u8,
            prop::sample::select(known.clone()).prop_flat_map(release),
            channel("stable", releases),
            block(known),
            hops(),
            ends(),
            any::<prop::sample::Index>(),
            (1_u64..3, 0_u64..4),
        );
        (Just(one), prop::collection::vec(edit, 1..4)).prop_map(|(one, edits)| {
            let mut made = vec![one];
            for (kind, release, channel, block, hops, ends, place, minor) in edits {
                let mut next = made[made.len() - 1].clone();
                match kind {
                    0 => next.blocks.push(block),
                    1 if !next.blocks.is_empty() => {
                        let place = place.index(next.blocks.len());
                        next.blocks.remove(place);
                    }
                    2 => next.rules.minor_hops = hops,
                    3 => {
                        next.channels.insert(channel.name.clone(), channel);
                    }
                    4 => {
                        // What it is on stays, for the channels name it there.
                        let version = release.document.version.clone();
                        let arches = next.releases[&version].document.arches.clone();
                        let mut release = release;
                        release.document.arches = arches;
                        next.releases.insert(version, release);
                    }
                    5 => {
                        // In no channel: it matters only as one minor more.
                        let version = format!("{}.{}.9", minor.0, minor.1);
                        let version: ReleaseVersion = version.parse().unwrap();
                        let mut release = release;
                        release.document.version = version.clone();
                        next.releases.insert(version, release);
                    }
                    6 => next.eol = ends,
                    _ => next.blocks.reverse(),
                }
                made.push(next);
            }
            made
        })
    })
}
