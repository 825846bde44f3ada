//! Publishing with real signatures on a real directory: what is taken, what is refused and under
//! which name, and what a crash or a restart leaves.

mod rotation;
mod vendors;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use channels::names::ProductRef;
use channels::wire::PublicationReply;
use jiff::Timestamp;
use signing::{Attack, StagedRepository};
use tempfile::TempDir;

use super::disk::Disk;
use super::fixture::{Fixture, Vendor, hours, open, publication, t0};
use super::{PublishError, Publisher};
use crate::catalog::Catalog;
use crate::http::problem::Code;

fn served() -> (TempDir, Publisher, Catalog, Fixture) {
    let dir = tempfile::tempdir().unwrap();
    let (publisher, catalog) = open(dir.path(), t0());
    let fixture = Fixture::new();
    publisher.publish(fixture.publication(), t0()).unwrap();
    (dir, publisher, catalog, fixture)
}

fn kafka(vendor: &str) -> ProductRef {
    format!("{vendor}/kafka").parse().unwrap()
}

/// A second vendor whose metadata ends at `expires`.
fn with_beta(expires: Timestamp) -> Fixture {
    let mut fixture = Fixture::new();
    let mut beta = Vendor::new("beta", 40);
    beta.release("2.0.0", &[]);
    beta.graph("stable", &["2.0.0"], &[]);
    beta.expires = expires;
    fixture.vendors.push(beta);
    fixture
}

/// Versions in a vendor's `stable` graph, as served.
fn stable(catalog: &Catalog, vendor: &str) -> Option<Vec<String>> {
    let (channel, arch) = ("stable".parse().unwrap(), "amd64".parse().unwrap());
    let entry = catalog.graph(&kafka(vendor), &channel, &arch)?;
    Some(entry.graph.nodes().iter().map(|node| node.version.to_string()).collect())
}

/// Publishes and requires a refusal that leaves everything as it was.
#[track_caller]
fn refused(files: BTreeMap<String, Vec<u8>>, code: Code, attack: Option<Attack>) -> PublishError {
    let (_dir, publisher, catalog, _) = served();
    let before = (catalog.timestamp_etag(), stable(&catalog, "acme"), catalog.generation());
    let error = publisher.publish(publication(files), hours(1)).unwrap_err();
    assert_eq!((error.code(), error.attack()), (code, attack), "{}", error.chain());
    let after = (catalog.timestamp_etag(), stable(&catalog, "acme"), catalog.generation());
    assert_eq!(before, after);
    error
}

#[test]
fn a_first_publication_is_verified_and_served() {
    let dir = tempfile::tempdir().unwrap();
    let (publisher, catalog) = open(dir.path(), t0());
    assert_eq!(catalog.status(t0()).root_version, None);
    let reply = publisher.publish(Fixture::new().publication(), t0()).unwrap();
    let unix = u64::try_from(t0().as_second()).unwrap();
    assert_eq!(
        reply,
        PublicationReply {
            changed: true,
            root_version: 1,
            snapshot_version: unix,
            timestamp_version: unix,
            graphs: vec!["acme/kafka stable amd64".to_owned()],
        }
    );
    assert_eq!(stable(&catalog, "acme").unwrap(), ["1.0.0", "1.1.0"]);
    let release = catalog.release(&kafka("acme"), &"1.1.0".parse().unwrap()).unwrap();
    assert!(release.document.allows_from(&"1.0.0".parse().unwrap()));
    let path = format!("targets/acme/kafka/{}.1.1.0.release.json", release.digest.hex());
    assert!(catalog.tuf_file(&path).unwrap().immutable);
    let status = catalog.status(t0());
    assert_eq!((status.root_version, status.stale), (Some(1), None));
    assert_eq!(status.expires, Some(hours(24)), "the timestamp lives a day");
}

#[test]
fn the_served_set_is_what_a_client_of_the_directory_accepts() {
    let (dir, ..) = served();
    let mut staged = StagedRepository::new();
    for (path, bytes) in files_below(&dir.path().join("tuf")) {
        staged.put_file(&path, bytes).unwrap();
    }
    let root = fs::read(dir.path().join("tuf/metadata/1.root.json")).unwrap();
    let verified =
        signing::verify_staged(&root, &staged, signing::MemStore::new(), hours(1)).unwrap();
    assert!(verified.broken.is_empty());
    assert_eq!(verified.targets.iter().filter(|target| target.present).count(), 3);
}

fn files_below(root: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    let mut open = vec![root.to_path_buf()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
                found.push((name, fs::read(&path).unwrap()));
            }
        }
    }
    found.sort();
    found
}

#[test]
fn the_same_set_again_changes_nothing() {
    let (_dir, publisher, catalog, fixture) = served();
    let etag = catalog.timestamp_etag();
    let reply = publisher.publish(fixture.publication(), hours(5)).unwrap();
    assert!(!reply.changed);
    assert!(reply.graphs.is_empty());
    assert_eq!(catalog.timestamp_etag(), etag);
}

#[test]
fn a_second_publication_needs_only_what_is_new() {
    let (_dir, publisher, catalog, mut fixture) = served();
    let old = fixture.files();
    fixture.next_release();
    let mut new = fixture.files();
    new.retain(|path, bytes| old.get(path) != Some(bytes));
    assert_eq!(new.len(), 4, "two roles, a release, a graph: {:?}", new.keys());
    let reply = publisher.publish(publication(new), hours(1)).unwrap();
    assert_eq!(reply.graphs, ["acme/kafka stable amd64"]);
    assert_eq!(stable(&catalog, "acme").unwrap(), ["1.0.0", "1.1.0", "1.2.0"]);
    assert_eq!(catalog.generation(), 2);
}

#[test]
fn a_first_publication_without_root_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (publisher, catalog) = open(dir.path(), t0());
    let mut files = Fixture::new().files();
    files.remove("metadata/1.root.json");
    let error = publisher.publish(publication(files), t0()).unwrap_err();
    assert_eq!(error.code(), Code::RootMissing);
    assert_eq!(catalog.timestamp_etag(), None);
}

#[test]
fn a_root_that_names_other_online_keys_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (publisher, _) = open(dir.path(), t0());
    let mut fixture = Fixture::new();
    std::mem::swap(&mut fixture.online.snapshot, &mut fixture.online.timestamp);
    let error = publisher.publish(fixture.publication(), t0()).unwrap_err();
    assert_eq!(error.code(), Code::OnlineKeysMismatch);
}

#[test]
fn a_new_root_is_taken_by_chain_and_gaps_are_refused() {
    let (_dir, publisher, catalog, mut fixture) = served();
    let etag = catalog.timestamp_etag();
    fixture.root_version = 3;
    let mut gap = fixture.files();
    gap.remove("metadata/2.root.json");
    let error = publisher.publish(publication(gap), hours(1)).unwrap_err();
    assert_eq!(error.code(), Code::PublicationConflict);
    let reply = publisher.publish(fixture.publication(), hours(1)).unwrap();
    assert_eq!((reply.changed, reply.root_version), (true, 3));
    assert!(catalog.timestamp_etag().unwrap().starts_with("\"3-"));
    assert_ne!(catalog.timestamp_etag(), etag);
    assert!(catalog.tuf_file("metadata/2.root.json").is_some());
}

#[test]
fn an_older_graph_after_a_newer_one_is_a_rollback() {
    let (_dir, publisher, catalog, mut fixture) = served();
    let old = fixture.publication();
    fixture.next_release();
    publisher.publish(fixture.publication(), hours(1)).unwrap();
    let error = publisher.publish(old, hours(2)).unwrap_err();
    assert_eq!(error.code(), Code::PublicationConflict);
    assert_eq!(error.attack(), Some(Attack::Rollback));
    assert_eq!(stable(&catalog, "acme").unwrap().len(), 3);
}

#[test]
fn other_content_under_a_published_version_is_mix_and_match() {
    let mut fixture = Fixture::new();
    fixture.acme().graph("stable", &["1.0.0", "1.1.0"], &[]);
    refused(fixture.files(), Code::PublicationConflict, Some(Attack::MixAndMatch));
}

#[test]
fn a_graph_signed_by_another_vendors_key_is_refused() {
    let mut fixture = Fixture::new();
    fixture.next_release();
    let honest = fixture.files();
    fixture.acme().channels_key = 99;
    let mut files = fixture.files();
    // The vendor's own delegation stays the honest one.
    files.insert("metadata/1.acme.json".to_owned(), honest["metadata/1.acme.json"].clone());
    refused(files, Code::PublicationUnverified, Some(Attack::ArbitrarySoftware));
}

#[test]
fn a_role_that_lists_another_vendors_path_is_refused() {
    let mut fixture = Fixture::new();
    let acme = fixture.acme();
    acme.channels_version = 2;
    let stolen = acme.graphs["acme/kafka/stable.amd64.graph.json"].clone();
    acme.graphs.insert("beta/kafka/stable.amd64.graph.json".to_owned(), stolen);
    refused(fixture.files(), Code::PublicationUnverified, Some(Attack::ArbitrarySoftware));
}

#[test]
fn a_graph_of_something_else_is_wrong_software() {
    let mut fixture = Fixture::new();
    let acme = fixture.acme();
    acme.channels_version = 2;
    let stable = acme.graphs["acme/kafka/stable.amd64.graph.json"].clone();
    acme.graphs.insert("acme/kafka/fast.amd64.graph.json".to_owned(), stable);
    refused(fixture.files(), Code::InvalidPublication, Some(Attack::WrongSoftware));
}

#[test]
fn a_release_document_of_another_version_is_wrong_software() {
    let mut fixture = Fixture::new();
    let acme = fixture.acme();
    acme.releases_version = 2;
    let document = acme.releases["acme/kafka/1.0.0.release.json"].clone();
    acme.releases.insert("acme/kafka/1.0.1.release.json".to_owned(), document);
    refused(fixture.files(), Code::InvalidPublication, Some(Attack::WrongSoftware));
}

#[test]
fn a_published_release_document_cannot_change() {
    let mut fixture = Fixture::new();
    fixture.acme().releases_version = 2;
    fixture.acme().release("1.1.0", &["*"]);
    refused(fixture.files(), Code::ReleaseImmutable, Some(Attack::ArbitrarySoftware));
}

#[test]
fn a_published_release_document_cannot_be_withdrawn_and_so_not_be_replaced() {
    let (_dir, publisher, catalog, mut fixture) = served();
    fixture.acme().releases_version = 2;
    fixture.acme().channels_version = 2;
    fixture.acme().graph("stable", &["1.0.0"], &[]);
    fixture.acme().releases.remove("acme/kafka/1.1.0.release.json").unwrap();
    let error = publisher.publish(fixture.publication(), hours(1)).unwrap_err();
    assert_eq!(error.code().slug(), "release_removed", "{error}");
    assert!(catalog.release(&kafka("acme"), &"1.1.0".parse().unwrap()).is_some());
}

#[test]
fn a_vendor_whose_delegation_is_gone_takes_its_releases_along() {
    let dir = tempfile::tempdir().unwrap();
    let (publisher, catalog) = open(dir.path(), t0());
    let mut fixture = with_beta(hours(240));
    publisher.publish(fixture.publication(), t0()).unwrap();
    fixture.vendors.pop();
    fixture.targets_version = 2;
    publisher.publish(fixture.publication(), hours(1)).unwrap();
    assert!(stable(&catalog, "beta").is_none());
    assert!(catalog.release(&kafka("beta"), &"2.0.0".parse().unwrap()).is_none());
}

#[test]
fn a_vendor_cannot_take_names_that_are_not_below_its_own() {
    for name in ["beta", "beta.releases", "acmes.releases"] {
        let dir = tempfile::tempdir().unwrap();
        let (publisher, catalog) = open(dir.path(), t0());
        let mut fixture = Fixture::new();
        fixture.acme().also_delegates = vec![name.to_owned()];
        let error = publisher.publish(fixture.publication(), t0()).unwrap_err();
        assert_eq!(error.code(), Code::InvalidPublication, "{name}: {error}");
        assert!(error.to_string().contains(name), "{error}");
        assert_eq!(catalog.timestamp_etag(), None);
    }
}

#[test]
fn names_with_a_dot_are_the_vendors_to_give_and_not_the_top_levels() {
    let dir = tempfile::tempdir().unwrap();
    let (publisher, _) = open(dir.path(), t0());
    let mut fixture = Fixture::new();
    fixture.acme().role_prefix = "beta.releases";
    let error = publisher.publish(fixture.publication(), t0()).unwrap_err();
    assert_eq!(error.code(), Code::InvalidPublication, "{error}");
}

#[test]
fn the_roles_of_one_vendor_are_bounded_over_all_its_publications() {
    let (_dir, publisher, _, mut fixture) = served();
    let names = |from: u32| (from..from + 40).map(|n| format!("acme.x{n}")).collect();
    fixture.acme().own_version = 2;
    fixture.acme().also_delegates = names(0);
    publisher.publish(fixture.publication(), t0()).unwrap();
    fixture.acme().own_version = 3;
    fixture.acme().also_delegates = names(40);
    let error = publisher.publish(fixture.publication(), t0()).unwrap_err();
    assert_eq!(error.code(), Code::InvalidPublication, "{error}");
    assert!(error.to_string().contains("at most 64"), "{error}");
}

#[test]
fn files_that_are_listed_but_not_sent_or_sent_but_not_listed_are_refused() {
    let mut fixture = Fixture::new();
    fixture.next_release();
    let mut files = fixture.files();
    files.remove("targets/acme/kafka/1.2.0.release.json");
    let error = refused(files, Code::InvalidPublication, None);
    assert!(matches!(error, PublishError::Missing { .. }), "{error}");

    let mut files = Fixture::new().files();
    files.insert("targets/acme/kafka/9.9.9.release.json".to_owned(), b"{}".to_vec());
    refused(files, Code::InvalidPublication, Some(Attack::ArbitrarySoftware));
}

#[test]
fn documents_that_do_not_parse_fail_the_whole_publication() {
    for (path, expected) in [
        ("acme/kafka/fast.amd64.graph.json", "is not a release graph"),
        ("acme/kafka/readme.graph.json", "is neither"),
    ] {
        let mut fixture = Fixture::new();
        fixture.acme().channels_version = 2;
        fixture.acme().graphs.insert(path.to_owned(), b"{\"nodes\":7}".to_vec());
        let error = refused(fixture.files(), Code::InvalidPublication, None);
        assert!(error.to_string().contains(expected), "{error}");
    }
    for document in ["{}", "{\"format\":2"] {
        let mut fixture = Fixture::new();
        fixture.acme().releases_version = 2;
        let path = "acme/kafka/1.2.0.release.json".to_owned();
        fixture.acme().releases.insert(path, document.as_bytes().to_vec());
        let error = refused(fixture.files(), Code::InvalidPublication, None);
        assert!(matches!(error, PublishError::Release { .. }), "{error}");
    }
}

#[test]
fn metadata_that_is_expired_on_arrival_is_a_freeze() {
    let mut fixture = Fixture::new();
    fixture.next_release();
    fixture.acme().expires = t0();
    let mut files = fixture.files();
    let honest = Fixture::new().files();
    files.insert("metadata/1.acme.json".to_owned(), honest["metadata/1.acme.json"].clone());
    refused(files, Code::PublicationUnverified, Some(Attack::Freeze));
}

#[test]
fn paths_and_content_that_cannot_be_read_are_named() {
    let (_dir, publisher, ..) = served();
    for (path, base64, expected) in [
        ("targets/../x", "", "not a target path"),
        ("/etc/passwd", "", "it must read"),
        ("metadata/root.json", "e30=", "version in its name"),
        ("metadata/7.root.json", "e30=", "not usable metadata"),
        ("metadata/1.targets.json", "***", "not base64"),
    ] {
        let mut bad = publication(BTreeMap::from([(path.to_owned(), Vec::new())]));
        bad.files[0].base64 = base64.to_owned();
        let error = publisher.publish(bad, t0()).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        assert_eq!(error.code(), Code::InvalidPublication);
    }
    let online = Fixture::new().files()["metadata/1.targets.json"].clone();
    let text = String::from_utf8(online).unwrap();
    let snapshot = text.replace("\"_type\":\"targets\"", "\"_type\":\"snapshot\"");
    let path = "metadata/1.snapshot.json".to_owned();
    let files = BTreeMap::from([(path, snapshot.into_bytes())]);
    let error = publisher.publish(publication(files), t0()).unwrap_err();
    assert_eq!(error.code(), Code::InvalidPublication, "{error}");
}

#[test]
fn a_restart_serves_the_same_graphs_at_once_under_a_newer_timestamp() {
    let (dir, publisher, catalog, _) = served();
    let channel = "stable".parse().unwrap();
    let graph = |catalog: &Catalog| {
        let entry = catalog.graph(&kafka("acme"), &channel, &"amd64".parse().unwrap()).unwrap();
        (entry.digest, entry.graph.nodes().len())
    };
    drop(publisher);
    // With the clock behind as well: a copy of earlier may have signed higher versions since.
    for hour in [2, -2] {
        let before = timestamp_version(dir.path());
        let (_, again) = open(dir.path(), hours(hour));
        assert_eq!(graph(&again), graph(&catalog));
        assert_ne!(again.timestamp_etag(), catalog.timestamp_etag());
        assert!(timestamp_version(dir.path()) > before);
        assert!(timestamp_version(dir.path()) >= hours(hour).as_second());
        assert_eq!(again.status(hours(hour)).stale, None);
    }
}

fn timestamp_version(data_dir: &Path) -> i64 {
    let bytes = fs::read(data_dir.join("tuf/metadata/timestamp.json")).unwrap();
    let timestamp: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
    timestamp["signed"]["version"].as_i64().unwrap()
}

#[test]
fn after_a_long_stop_the_timestamp_is_renewed_at_the_start() {
    let (dir, publisher, catalog, _) = served();
    drop(publisher);
    let (_, again) = open(dir.path(), hours(100));
    assert_ne!(again.timestamp_etag(), catalog.timestamp_etag());
    assert_eq!(again.status(hours(100)).stale, None);
    // The renewal is on disk too.
    assert_eq!(timestamp_version(dir.path()), hours(100).as_second());
}

#[test]
fn an_expired_root_is_served_and_marked_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let (publisher, _) = open(dir.path(), t0());
    let mut fixture = Fixture::new();
    fixture.expires = hours(48);
    publisher.publish(fixture.publication(), t0()).unwrap();
    drop(publisher);
    let (publisher, catalog) = open(dir.path(), hours(72));
    assert_eq!(stable(&catalog, "acme").unwrap().len(), 2);
    let stale = catalog.status(hours(72)).stale.unwrap();
    assert!(stale.contains("expired at 2026-11-22T12:00:00Z"), "{stale}");
    fixture.next_release();
    let error = publisher.publish(fixture.publication(), hours(72)).unwrap_err();
    assert_eq!(error.attack(), Some(Attack::Freeze));
}

#[test]
fn a_damaged_data_directory_is_an_error_and_not_an_empty_hub() {
    let (dir, publisher, _, fixture) = served();
    drop(publisher);
    let digest = signing::Sha256Digest::of(&fixture.files()["metadata/1.targets.json"]).hex();
    let targets = dir.path().join("tuf/metadata/1.targets.json");
    let mut bytes = fs::read(&targets).unwrap();
    assert_eq!(signing::Sha256Digest::of(&bytes).hex(), digest);
    let last = bytes.iter().rposition(u8::is_ascii_digit).unwrap();
    bytes[last] = if bytes[last] == b'1' { b'2' } else { b'1' };
    fs::write(&targets, &bytes).unwrap();
    let keys = super::fixture::online_keys();
    assert!(Publisher::open(dir.path(), keys.clone(), None, hours(1)).is_err());
    fs::remove_file(&targets).unwrap();
    let error = Publisher::open(dir.path(), keys, None, hours(1)).unwrap_err();
    assert!(matches!(error, PublishError::Damaged { .. }), "{error}");
}

#[test]
fn the_timestamp_is_renewed_after_a_third_of_its_life_and_the_snapshot_after_a_third_of_its_own() {
    let (_dir, publisher, catalog, _) = served();
    let snapshot = |hour| {
        let version = hours(hour).as_second();
        catalog.tuf_file(&format!("metadata/{version}.snapshot.json")).is_some()
    };
    let generation = catalog.generation();
    assert!(!publisher.resign_if_due(hours(7)).unwrap());
    let before = catalog.timestamp_etag();
    assert!(publisher.resign_if_due(hours(8)).unwrap());
    assert_ne!(catalog.timestamp_etag(), before);
    assert!(!snapshot(8), "the snapshot is young");
    assert!(publisher.resign_if_due(hours(57)).unwrap());
    assert!(snapshot(57));
    assert!(snapshot(0), "a client may still be reading the old one");
    assert_eq!(catalog.generation(), generation, "no content changed");
    assert_eq!(catalog.status(hours(57)).stale, None);
    assert_eq!(
        catalog.status(hours(57 + 24)).stale.unwrap(),
        "timestamp expired at 2026-11-23T21:00:00Z"
    );
}

#[test]
fn published_versions_never_go_back_when_the_clock_does() {
    let (_dir, publisher, _, mut fixture) = served();
    let first = publisher.publish(fixture.publication(), t0()).unwrap();
    fixture.next_release();
    let second = publisher.publish(fixture.publication(), hours(-20)).unwrap();
    assert_eq!(second.timestamp_version, first.timestamp_version + 1);
    assert_eq!(second.snapshot_version, first.snapshot_version + 1);
}

#[test]
fn what_a_clock_that_ran_ahead_signed_is_signed_again() {
    let dir = tempfile::tempdir().unwrap();
    let (publisher, catalog) = open(dir.path(), t0());
    let mut fixture = Fixture::new();
    fixture.expires = hours(24 * 800);
    fixture.acme().expires = hours(24 * 800);
    publisher.publish(fixture.publication(), hours(24 * 365)).unwrap();
    assert!(publisher.resign_if_due(hours(0)).unwrap());
    assert_eq!(catalog.status(hours(0)).expires, Some(hours(24)));
    assert!(!publisher.resign_if_due(hours(1)).unwrap(), "once is enough");
}

#[test]
fn one_vendors_expired_metadata_does_not_stop_another_vendors_publication() {
    let dir = tempfile::tempdir().unwrap();
    let (publisher, catalog) = open(dir.path(), t0());
    let mut fixture = with_beta(hours(240));
    publisher.publish(fixture.publication(), t0()).unwrap();
    fixture.next_release();
    publisher.publish(fixture.publication(), hours(480)).unwrap();
    let check = |catalog: &Catalog| {
        assert_eq!(stable(catalog, "acme").unwrap().len(), 3);
        assert_eq!(stable(catalog, "beta").unwrap(), ["2.0.0"]);
        let status = catalog.status(hours(480));
        assert_eq!(status.stale, None);
        assert_eq!(status.expired_roles, ["beta", "beta.channels", "beta.releases"]);
    };
    check(&catalog);
    drop(publisher);
    check(&open(dir.path(), hours(480)).1);
}

#[test]
fn files_of_superseded_sets_stay_for_clients_in_the_middle_of_an_update_and_then_go() {
    let (dir, publisher, catalog, mut fixture) = served();
    let graph = fixture.acme().graphs["acme/kafka/stable.amd64.graph.json"].clone();
    let digest = signing::Sha256Digest::of(&graph).hex();
    let path = format!("targets/acme/kafka/{digest}.stable.amd64.graph.json");
    let on_disk = dir.path().join("tuf").join(&path);
    for round in 1..=4u64 {
        fixture.acme().channels_version = round + 1;
        let extra = format!("1.1.{round}");
        fixture.acme().graph("stable", &["1.0.0", "1.1.0", &extra], &[(0, 1)]);
        publisher.publish(fixture.publication(), hours(1)).unwrap();
        let kept = round <= 3;
        assert_eq!(catalog.tuf_file(&path).is_some(), kept, "after {round} publications");
        assert_eq!(on_disk.exists(), kept, "after {round} publications");
    }
}

/// What a publication writes, taken from a hub that did it.
fn second_set(fixture: &Fixture, dir: &Path) -> Vec<(String, Arc<[u8]>)> {
    let (publisher, _) = open(dir, hours(1));
    publisher.publish(fixture.publication(), hours(1)).unwrap();
    let mut staged = StagedRepository::new();
    for (path, bytes) in files_below(&dir.join("tuf")) {
        staged.put_file(&path, bytes).unwrap();
    }
    staged.write_order()
}

fn copy(from: &Path, to: &Path) {
    for (path, bytes) in files_below(from) {
        let to = to.join(path);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::write(to, bytes).unwrap();
    }
}

#[test]
fn a_crash_at_any_point_leaves_the_old_or_the_new_set() {
    let (old, publisher, _, mut fixture) = served();
    drop(publisher);
    fixture.next_release();
    let elsewhere = tempfile::tempdir().unwrap();
    copy(old.path(), elsewhere.path());
    let set = second_set(&fixture, elsewhere.path());
    let points = u64::try_from(set.len()).unwrap();
    // Before the commit point: some files written, no list. After it: some files moved.
    for (committed, point) in (0..=points).flat_map(|point| [(false, point), (true, point)]) {
        let dir = tempfile::tempdir().unwrap();
        copy(old.path(), dir.path());
        Disk::open(dir.path()).unwrap().stage_for_test(&set);
        let staged = dir.path().join("tuf/staged");
        if committed {
            for (number, (path, _)) in (0..point).zip(&set) {
                let to = dir.path().join("tuf").join(path);
                fs::create_dir_all(to.parent().unwrap()).unwrap();
                fs::rename(staged.join(number.to_string()), to).unwrap();
            }
        } else {
            fs::remove_file(staged.join("commit.json")).unwrap();
            for number in point..points {
                fs::remove_file(staged.join(number.to_string())).unwrap();
            }
        }
        let (_, catalog) = open(dir.path(), hours(2));
        let expected = if committed { 3 } else { 2 };
        assert_eq!(stable(&catalog, "acme").unwrap().len(), expected, "{committed} {point}");
        assert!(!staged.exists());
        assert_eq!(catalog.status(hours(2)).stale, None);
    }
}

#[test]
fn leftovers_of_nobody_are_removed_at_the_start() {
    let (dir, publisher, ..) = served();
    drop(publisher);
    let stray = dir.path().join("tuf/metadata/9.acme.channels.json");
    fs::write(&stray, b"{}").unwrap();
    open(dir.path(), hours(1));
    assert!(!stray.exists());
}

#[test]
fn online_keys_are_made_once_and_kept_private() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let first = super::OnlineKeys::load_or_create(dir.path()).unwrap();
    let second = super::OnlineKeys::load_or_create(dir.path()).unwrap();
    assert_eq!(first.public(), second.public());
    assert_ne!(first.public().snapshot, first.public().timestamp);
    let path = dir.path().join("keys/snapshot.pem");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    assert!(super::OnlineKeys::load_or_create(dir.path()).is_err());
}

#[test]
fn lost_online_keys_are_not_replaced_beside_a_repository_they_signed() {
    let (dir, publisher, ..) = served();
    drop(publisher);
    let error = super::OnlineKeys::load_or_create(dir.path()).unwrap_err();
    assert!(error.to_string().contains("restore"), "{error}");
    assert_eq!(fs::read_dir(dir.path().join("keys")).unwrap().count(), 0);
}

#[test]
fn a_crash_while_a_key_is_made_leaves_nothing_that_stops_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("keys")).unwrap();
    fs::write(dir.path().join("keys/snapshot.pem.new"), b"").unwrap();
    super::OnlineKeys::load_or_create(dir.path()).unwrap();
    let mut names: Vec<_> = fs::read_dir(dir.path().join("keys"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["snapshot.pem", "timestamp.pem"]);
}
