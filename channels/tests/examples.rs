//! The example vendor reads, compiles, lints clean, and says what its README says.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;
use std::path::Path;

use channels::compile::compile;
use channels::graph::{Graph, MatchingRule};
use channels::lint::{Code, lint};
use channels::path::{Goal, hops_to_head, next_step, path};
use channels::repository::{ProductSource, Workspace};
use channels::version::ReleaseVersion;
use signing::Sha256Digest;

fn acme() -> Workspace {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/acme");
    Workspace::load(&root).unwrap()
}

fn product<'w>(workspace: &'w Workspace, name: &str) -> &'w ProductSource {
    workspace.products.iter().find(|product| product.product.product.as_str() == name).unwrap()
}

fn graph(product: &ProductSource, channel: &str) -> Graph {
    let graphs = compile(product).unwrap().graphs;
    graphs.into_iter().find(|(name, _, _)| name.as_str() == channel).unwrap().2
}

fn version(text: &str) -> ReleaseVersion {
    text.parse().unwrap()
}

#[test]
fn the_examples_lint_with_nothing_but_the_note_on_their_downgrade() {
    let now = "2026-11-20T00:00:00Z".parse().unwrap();
    let found: BTreeSet<(Code, String)> = lint(&acme(), now)
        .into_iter()
        .map(|finding| (finding.code, finding.file.display().to_string()))
        .collect();
    let note = |file: &str| (Code::DowngradeCycle, file.to_owned());
    let expected = [note("kafka/channels/candidate-4.yaml"), note("kafka/channels/fast-4.yaml")];
    assert_eq!(found, expected.into());
}

#[test]
fn every_digest_is_made_from_the_documented_sentence() {
    for product in &acme().products {
        for (version, release) in &product.releases {
            for content in release.document.arches.values() {
                let images = content.components.iter().map(|component| &component.image);
                for image in images.chain([&content.payload]) {
                    let repository = &image.repository;
                    let text = format!("fairway example, not an image: {repository}:{version}");
                    assert_eq!(image.digest, Sha256Digest::of(text.as_bytes()), "{text}");
                }
            }
        }
    }
}

#[test]
fn kafka_goes_from_3_9_to_the_head_in_one_step_and_never_into_the_tombstone() {
    let workspace = acme();
    let graph = graph(product(&workspace, "kafka"), "stable-4");
    assert_eq!(graph.head(), Some(&version("4.3.0")));
    let step = next_step(&graph, &version("3.9.0"), &Goal::Head, &BTreeSet::new());
    assert_eq!(step.to, Some(version("4.3.0")));
    let tombstone = version("4.1.0");
    assert!(graph.node(&tombstone).unwrap().is_tombstone());
    for node in graph.nodes() {
        assert!(graph.targets_of(&node.version).iter().all(|offer| *offer.to != tombstone));
    }
    assert_eq!(hops_to_head(&graph, &tombstone), Some(1));
}

#[test]
fn kafka_4_0_0_carries_the_risk_from_3_x_only() {
    let workspace = acme();
    let graph = graph(product(&workspace, "kafka"), "stable-4");
    let offers = graph.targets_of(&version("3.9.1"));
    let risks =
        |to: &str| offers.iter().find(|offer| *offer.to == version(to)).unwrap().risks.to_vec();
    let risk = risks("4.0.0");
    assert_eq!(risk[0].name, "LibrdkafkaKerberos");
    assert!(matches!(risk[0].matching_rules.as_slice(), [MatchingRule::PromQl { .. }]));
    for free in ["4.0.1", "4.2.0", "4.3.0"] {
        assert!(risks(free).is_empty(), "{free}");
    }
    let step =
        next_step(&graph, &version("3.9.1"), &Goal::Version(version("4.0.0")), &BTreeSet::new());
    assert_eq!((step.to, step.refused[0].reasons.join(",")), (None, "LibrdkafkaKerberos".into()));
}

#[test]
fn kafka_4_3_1_may_be_taken_back_to_4_3_0_and_no_further() {
    let workspace = acme();
    let graph = graph(product(&workspace, "kafka"), "fast-4");
    let back: Vec<&ReleaseVersion> =
        graph.targets_of(&version("4.3.1")).iter().map(|offer| offer.to).collect();
    assert_eq!(back, [&version("4.3.0")]);
}

#[test]
fn the_platform_moves_one_minor_at_a_time() {
    let workspace = acme();
    let graph = graph(product(&workspace, "platform"), "stable-1.34");
    let way = path(&graph, &version("1.31.13"), &version("1.34.1"), &|_| false).unwrap();
    let way: Vec<String> = way.iter().map(ToString::to_string).collect();
    assert_eq!(way, ["1.31.13", "1.32.10", "1.33.6", "1.34.1"]);
    for node in graph.nodes() {
        for offer in graph.targets_of(&node.version) {
            assert!(offer.to.semver().minor <= node.version.semver().minor + 1);
        }
    }
    let patch = next_step(&graph, &version("1.33.2"), &Goal::PatchOnly, &BTreeSet::new());
    assert_eq!(patch.to, Some(version("1.33.6")));
}
