//! Signed documents that must not be believed.

use std::collections::BTreeMap;

use channels::wire::ReleaseDocument;
use jiff::SignedDuration;
use signing::{MetaPin, RoleName, StagedRepository, TargetPath, TopRole, Versions};

use super::scene::{Mode, Scene};
use crate::e2e::server::hub::{now, until};
use crate::e2e::server::vendor::{
    CHANNELS_ROLE, GRAPH, PRODUCT, RELEASES_ROLE, content, forge_role, graph_only, release,
};

/// Forged repositories are older than the hub's, so that going back to the hub's is no rollback.
const AN_HOUR: SignedDuration = SignedDuration::from_hours(1);
/// A timestamp lives for a day.
const OVER_A_DAY: SignedDuration = SignedDuration::from_hours(25);

/// 3.9.1, and 4.0.0 that may be reached from it.
fn releases() -> [ReleaseDocument; 2] {
    [release("3.9.1", "<3.9.1"), release("4.0.0", ">=3.9.0, <4.0.0")]
}

/// A scene whose hub offers 4.0.0 to all; the agent does not run yet.
async fn scene(mode: Mode) -> Scene {
    Scene::set(&content(&releases(), &[(0, 1)]), mode).await
}

fn path(text: &str) -> TargetPath {
    TargetPath::new(text).expect("a path")
}

/// The newest version of `role` with these targets, signed by the key of `signer`; the rest as
/// published, snapshot and timestamp signed with the hub's stolen keys.
fn forged(
    scene: &Scene,
    role: &str,
    targets: &BTreeMap<TargetPath, Vec<u8>>,
    signer: Option<&str>,
) -> StagedRepository {
    let vendor = &scene.vendor;
    let mut repository = vendor.published().clone();
    let signer = signer.map(|name| vendor.key(name));
    forge_role(&mut repository, role, targets, signer);
    vendor.with_stolen_online_keys(repository, AN_HOUR, Versions::default())
}

/// The vendor publishes twice, so that every role has a version above the forged one, which agents
/// have seen in a snapshot; then the proxy is honest.
async fn supersede(scene: &mut Scene) {
    let mut all = releases().to_vec();
    let mut edges = vec![(0, 1)];
    for version in ["4.0.1", "4.0.2"] {
        all.push(release(version, "^4.0"));
        edges.push((edges.len(), edges.len() + 1));
        scene.vendor.publish(&scene.hub, &content(&all, &edges)).await;
    }
    scene.proxy.be_honest();
}

async fn refuses_a_graph_signed_by(signer: Option<&str>) {
    let mut scene = scene(Mode::Auto).await;
    let graph = graph_only(&releases(), &[(0, 1)]);
    scene.proxy.serve(&forged(&scene, CHANNELS_ROLE, graph.targets(), signer));
    scene.run_agent().await;
    scene.refuses("arbitrary_software", &[CHANNELS_ROLE]).await;
    scene.fails_at_the_hub("arbitrary_software").await;
    supersede(&mut scene).await;
    scene.goes("4.0.0").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unsigned_graph_is_refused() {
    refuses_a_graph_signed_by(None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_graph_signed_by_another_vendor_is_refused() {
    refuses_a_graph_signed_by(Some("mallory.channels")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_release_signed_by_another_vendor_is_refused() {
    let mut scene = scene(Mode::Auto).await;
    let mut documents = content(&releases(), &[]).targets().clone();
    documents.remove(&path(GRAPH));
    scene.proxy.serve(&forged(&scene, RELEASES_ROLE, &documents, Some("mallory.releases")));
    scene.run_agent().await;
    scene.refuses("arbitrary_software", &[RELEASES_ROLE]).await;
    scene.fails_at_the_hub("arbitrary_software").await;
    supersede(&mut scene).await;
    scene.goes("4.0.0").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edge_that_the_release_does_not_list_is_refused() {
    let unreachable = [release("3.9.1", "<3.9.1"), release("4.0.0", ">=3.9.2, <4.0.0")];
    let mut scene = Scene::set(&content(&unreachable, &[(0, 1)]), Mode::Auto).await;
    scene.run_agent().await;
    scene.refuses("edge_not_allowed", &["4.0.0", "3.9.1", "upgrade_from"]).await;
    let [old, new] = unreachable;
    let bridge = [old, new, release("4.0.1", "^3.9")];
    scene.vendor.publish(&scene.hub, &content(&bridge, &[(0, 2)])).await;
    scene.goes("4.0.1").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_graph_older_than_one_that_was_seen_is_a_rollback() {
    let mut scene = scene(Mode::Auto).await;
    let older = scene.vendor.published().clone();
    // The vendor withdraws the edge: the newer graph offers nothing, and the agent has seen it.
    let reply = scene.vendor.publish(&scene.hub, &content(&releases(), &[])).await;
    scene.run_agent().await;
    until("the agent has the newer graph", async || {
        match scene.proxy.asked("stable.amd64.graph.json") {
            0 => Err("not asked for".to_owned()),
            _ => Ok(()),
        }
    })
    .await;
    // The older graph again, with its true signatures, under a snapshot and a timestamp that are
    // newer than what the agent has.
    let seen = Versions {
        snapshot: reply.snapshot_version,
        timestamp: reply.timestamp_version,
        ..Versions::default()
    };
    scene.proxy.serve(&scene.vendor.with_stolen_online_keys(older, AN_HOUR, seen));
    // A publication makes the hub tell the agent that there is something to look at.
    let third = [&releases()[..], &[release("4.0.1", "^4")]].concat();
    scene.vendor.publish(&scene.hub, &content(&third, &[(1, 2)])).await;
    scene.refuses("rollback", &[CHANNELS_ROLE]).await;
    scene.fails_at_the_hub("rollback").await;
    // What was seen is remembered over `kill -9`.
    scene.run_agent().await;
    scene.refuses("rollback", &[CHANNELS_ROLE]).await;
    scene.vendor.publish(&scene.hub, &content(&third, &[(0, 1), (1, 2)])).await;
    scene.proxy.be_honest();
    scene.goes("4.0.0").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_expired_timestamp_is_a_freeze() {
    let mut scene = scene(Mode::Auto).await;
    let published = scene.vendor.published().clone();
    let frozen = scene.vendor.with_stolen_online_keys(published, OVER_A_DAY, Versions::default());
    scene.proxy.serve(&frozen);
    scene.run_agent().await;
    scene.refuses("freeze", &["timestamp", "expired"]).await;
    scene.fails_at_the_hub("freeze").await;
    scene.proxy.be_honest();
    scene.goes("4.0.0").await;
}

/// A repository whose timestamp expires in a few seconds.
fn short_lived(scene: &Scene, seen: Versions) -> StagedRepository {
    let vendor = &scene.vendor;
    let published = vendor.published().clone();
    let mut short = vendor.with_stolen_online_keys(published, AN_HOUR, seen);
    let (snapshot, role) = (RoleName::from(TopRole::Snapshot), RoleName::from(TopRole::Timestamp));
    let pin = MetaPin::of_snapshot(short.newest(&snapshot).expect("a snapshot").1).expect("a pin");
    let expires = now() + SignedDuration::from_secs(4);
    let signers: [&dyn signing::Signer; 1] = [vendor.timestamp_key()];
    let timestamp =
        signing::build_timestamp(seen.timestamp + 1, expires, now() - AN_HOUR, pin, &signers);
    short.put_metadata(&role, timestamp.expect("a timestamp")).expect("it replaces the other");
    short
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_verified_stops_counting_when_its_timestamp_expires() {
    let mut scene = scene(Mode::Manual).await;
    let chain = |length: usize| {
        let mut all = releases().to_vec();
        all.extend((1..=length).map(|patch| release(&format!("4.0.{patch}"), "^4.0")));
        let edges: Vec<_> = (1..all.len()).map(|to| (to - 1, to)).collect();
        content(&all, &edges)
    };
    let reply = scene.vendor.publish(&scene.hub, &chain(1)).await;
    scene.run_agent().await;
    scene.refuses("approval", &["4.0.0"]).await;
    let seen = Versions {
        snapshot: reply.snapshot_version,
        timestamp: reply.timestamp_version,
        ..Versions::default()
    };
    scene.proxy.serve(&short_lived(&scene, seen));
    // A publication makes the hub tell the agent that there is something to look at.
    scene.vendor.publish(&scene.hub, &chain(2)).await;
    scene.refuses("freeze", &["timestamp", "expired"]).await;
    // A person's word does not replace a signature.
    scene.agent("approve", &["--product", PRODUCT, "--version", "4.0.0"]).await;
    scene.refuses("freeze", &["timestamp", "expired"]).await;
    scene.vendor.publish(&scene.hub, &chain(3)).await;
    scene.proxy.be_honest();
    scene.goes("4.0.0").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_release_without_a_signed_document_is_refused() {
    let mut scene = scene(Mode::Auto).await;
    let [old, _] = releases();
    let only_old = content(&[old], &[]);
    let mut listed = only_old.targets().clone();
    listed.remove(&path(GRAPH));
    scene.proxy.serve(&forged(&scene, RELEASES_ROLE, &listed, Some(RELEASES_ROLE)));
    scene.run_agent().await;
    scene.refuses("release_missing", &["4.0.0.release.json"]).await;
    scene.fails_at_the_hub("release_missing").await;
    supersede(&mut scene).await;
    scene.goes("4.0.0").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listed_release_whose_document_is_gone_is_refused() {
    let mut scene = scene(Mode::Auto).await;
    let published = scene.vendor.published().clone();
    let whole = scene.vendor.with_stolen_online_keys(published, AN_HOUR, Versions::default());
    scene.proxy.serve(&whole);
    scene.proxy.lose("4.0.0.release.json");
    scene.run_agent().await;
    scene.refuses("metadata_unusable", &["4.0.0.release.json"]).await;
    scene.fails_at_the_hub("metadata_unusable").await;
    scene.proxy.be_honest();
    scene.goes("4.0.0").await;
}
