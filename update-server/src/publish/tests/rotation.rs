//! New online keys: when they take over, what a crash in between leaves, what agents make of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::FutureExt as _;
use signing::repository::MetaPin;
use signing::{
    Attack, Client, DirSource, MemStore, PublicKey, SecretKey, StagedRepository, build_timestamp,
    keyfile,
};
use tempfile::TempDir;

use super::super::disk::Disk;
use super::super::fixture::{Fixture, hours, publication, root, t0};
use super::super::{OnlineKeys, OnlineRole, PublishError, Publisher};
use super::{Code, copy, files_below};
use crate::catalog::Catalog;

/// A hub whose keys are files, and what it serves.
struct Hub {
    dir: TempDir,
    publisher: Publisher,
    fixture: Fixture,
}

/// Opens the data directory as the server's start does.
fn start(dir: &Path, hour: i64) -> Result<(Publisher, Catalog), PublishError> {
    Publisher::open(dir, OnlineKeys::load_or_create(dir)?, None, hours(hour))
}

fn pem(text: &str) -> PublicKey {
    PublicKey::from_spki_pem(text).unwrap()
}

impl Hub {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let online = OnlineKeys::load_or_create(dir.path()).unwrap();
        let (publisher, _) = start(dir.path(), 0).unwrap();
        let fixture = Fixture { online, ..Fixture::new() };
        publisher.publish(fixture.publication(), t0()).unwrap();
        Self { dir, publisher, fixture }
    }

    fn next(&self, role: OnlineRole) -> PublicKey {
        self.publisher.make_next_key(role, false).unwrap();
        let keys = self.publisher.online_keys();
        pem(&match role {
            OnlineRole::Snapshot => keys.snapshot_next.unwrap(),
            OnlineRole::Timestamp => keys.timestamp_next.unwrap(),
        })
    }

    fn snapshot(&self) -> &PublicKey {
        self.fixture.online.snapshot.public()
    }

    fn timestamp(&self) -> &PublicKey {
        self.fixture.online.timestamp.public()
    }

    fn root_1(&self) -> Vec<u8> {
        fs::read(self.dir.path().join("tuf/metadata/1.root.json")).unwrap()
    }

    /// Publishes root 2, under which any of these keys signs.
    fn publish_root(
        &self,
        snapshot: &[&PublicKey],
        timestamp: &[&PublicKey],
    ) -> Result<(), PublishError> {
        let bytes = root(2, self.fixture.expires, snapshot, timestamp, Some(&self.root_1()));
        let files = [("metadata/2.root.json".to_owned(), bytes)].into();
        self.publisher.publish(publication(files), hours(1)).map(|_| ())
    }

    fn key_files(&self) -> Vec<String> {
        key_files(self.dir.path())
    }
}

fn key_files(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = files_below(&dir.join("keys")).into_iter().map(|f| f.0).collect();
    names.sort();
    names
}

const SETTLED: [&str; 2] = ["snapshot.pem", "timestamp.pem"];

/// Versions that an agent trusts which pinned root 1 and starts from nothing.
fn agent(dir: &Path, root_1: &[u8], hour: i64) -> (u64, u64) {
    let source = DirSource::new(dir.join("tuf"));
    let mut client = Client::open(root_1, source, MemStore::new()).unwrap();
    let refreshed = client.refresh(hours(hour)).now_or_never().unwrap().unwrap();
    (refreshed.root_version, refreshed.timestamp_version)
}

#[test]
fn the_next_key_signs_as_soon_as_a_root_names_it() {
    let hub = Hub::new();
    let next = hub.next(OnlineRole::Timestamp);
    assert_ne!(&next, hub.timestamp());
    let before = agent(hub.dir.path(), &hub.root_1(), 0);
    hub.publish_root(&[hub.snapshot()], &[&next]).unwrap();
    let after = agent(hub.dir.path(), &hub.root_1(), 1);
    assert_eq!((before.0, after.0), (1, 2));
    assert!(after.1 > before.1, "the hub's own versions go on");
    let keys = hub.publisher.online_keys();
    assert_eq!((pem(&keys.timestamp), keys.timestamp_next), (next, None));
    assert_eq!(&pem(&keys.snapshot), hub.snapshot(), "the other key stays");
    // The old key is gone: nothing accepts it any more.
    assert_eq!(hub.key_files(), SETTLED);
    let kept = OnlineKeys::load_or_create(hub.dir.path()).unwrap().public();
    assert_eq!(kept.timestamp, keys.timestamp);
}

#[test]
fn both_keys_are_replaced_by_one_root() {
    let hub = Hub::new();
    let (snapshot, timestamp) = (hub.next(OnlineRole::Snapshot), hub.next(OnlineRole::Timestamp));
    assert_eq!(hub.key_files().len(), 4);
    hub.publish_root(&[&snapshot], &[&timestamp]).unwrap();
    assert_eq!(agent(hub.dir.path(), &hub.root_1(), 1).0, 2);
    assert_eq!(hub.key_files(), SETTLED);
    // And again: the names are free for the next pair.
    assert_ne!(hub.next(OnlineRole::Timestamp), timestamp);
}

#[test]
fn a_waiting_key_stays_the_same_signs_nothing_and_survives_a_restart() {
    let hub = Hub::new();
    let first = hub.next(OnlineRole::Timestamp);
    assert_eq!(hub.next(OnlineRole::Timestamp), first);
    let mut fixture = hub.fixture.clone();
    fixture.next_release();
    hub.publisher.publish(fixture.publication(), hours(1)).unwrap();
    assert_eq!(agent(hub.dir.path(), &hub.root_1(), 1).0, 1);
    let (again, _) = start(hub.dir.path(), 2).unwrap();
    let keys = again.online_keys();
    assert_eq!((&pem(&keys.timestamp), keys.timestamp_next.as_deref().map(pem)), {
        (hub.timestamp(), Some(first))
    });
}

#[test]
fn a_fresh_key_takes_the_place_of_one_that_an_intruder_copied_or_planted() {
    let hub = Hub::new();
    let copied = hub.next(OnlineRole::Timestamp);
    hub.publisher.make_next_key(OnlineRole::Timestamp, true).unwrap();
    let fresh = hub.next(OnlineRole::Timestamp);
    assert_ne!(fresh, copied);
    let refused = hub.publish_root(&[hub.snapshot()], &[&copied]).unwrap_err();
    assert!(matches!(refused, PublishError::OnlineKeys { role: "timestamp", .. }), "{refused}");
    hub.publish_root(&[hub.snapshot()], &[&fresh]).unwrap();
    assert_eq!(hub.key_files(), SETTLED);

    // Planted on the disk; found at the next start.
    let hub = Hub::new();
    let theirs = SecretKey::from_seed([66; 32]);
    let pem = keyfile::to_plain_pem(&theirs).unwrap();
    keyfile::write_new(hub.dir.path().join("keys/snapshot.next.pem"), &pem).unwrap();
    let (publisher, _) = start(hub.dir.path(), 2).unwrap();
    let waiting = || publisher.next_key(OnlineRole::Snapshot).unwrap();
    assert_eq!(waiting(), theirs.public().key_id());
    let made = publisher.make_next_key(OnlineRole::Snapshot, true).unwrap();
    assert_eq!(waiting(), made);
    assert_ne!(made, theirs.public().key_id());
    // And a start finds the fresh one, nothing of theirs.
    let (again, _) = start(hub.dir.path(), 3).unwrap();
    assert_eq!(again.next_key(OnlineRole::Snapshot), Some(made));
}

#[test]
fn a_next_key_before_the_first_root_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (publisher, _) = start(dir.path(), 0).unwrap();
    let error = publisher.make_next_key(OnlineRole::Snapshot, true).unwrap_err();
    assert!(matches!(error, PublishError::NextBeforeRoot { role: "snapshot" }), "{error}");
    assert_eq!(key_files(dir.path()), SETTLED);
}

#[test]
fn a_root_that_names_neither_key_is_refused_and_told_which_ones_there_are() {
    let hub = Hub::new();
    let next = hub.next(OnlineRole::Timestamp);
    let stranger = signing::SecretKey::from_seed([99; 32]);
    for timestamp in [vec![stranger.public()], vec![hub.snapshot()]] {
        let error = hub.publish_root(&[hub.snapshot()], &timestamp).unwrap_err();
        assert_eq!(error.code(), Code::OnlineKeysMismatch);
        let text = error.to_string();
        for id in [hub.timestamp().key_id(), next.key_id()] {
            assert!(text.contains(id.as_str()), "{text}");
        }
        assert!(text.contains("`fairway rotate timestamp`"), "{text}");
    }
    // The next key of one role is no key of the other.
    let error = hub.publish_root(&[&next], &[&next]).unwrap_err();
    assert!(matches!(error, PublishError::OnlineKeys { role: "snapshot", .. }), "{error}");
    assert_eq!(agent(hub.dir.path(), &hub.root_1(), 1).0, 1);
    assert_eq!(hub.key_files().len(), 3);
}

#[test]
fn a_root_that_names_both_keys_keeps_the_one_in_force() {
    let hub = Hub::new();
    let next = hub.next(OnlineRole::Timestamp);
    hub.publish_root(&[hub.snapshot()], &[&next, hub.timestamp()]).unwrap();
    let keys = hub.publisher.online_keys();
    assert_eq!(&pem(&keys.timestamp), hub.timestamp());
    assert_eq!(keys.timestamp_next.as_deref().map(pem), Some(next));
    assert_eq!(agent(hub.dir.path(), &hub.root_1(), 1).0, 2);
}

#[test]
fn signing_again_in_time_goes_on_with_the_new_keys() {
    let hub = Hub::new();
    let (snapshot, timestamp) = (hub.next(OnlineRole::Snapshot), hub.next(OnlineRole::Timestamp));
    hub.publish_root(&[&snapshot], &[&timestamp]).unwrap();
    // The timestamp alone for two days, then both; a client that verified root 2 checks each.
    for hour in (12..100).step_by(12) {
        let before = agent(hub.dir.path(), &hub.root_1(), hour);
        assert!(hub.publisher.resign_if_due(hours(hour)).unwrap());
        assert!(agent(hub.dir.path(), &hub.root_1(), hour).1 > before.1);
    }
    let Hub { dir, publisher, .. } = hub;
    drop(publisher);
    let (publisher, catalog) = start(dir.path(), 100).unwrap();
    assert_eq!(catalog.status(hours(100)).stale, None);
    assert!(publisher.resign_if_due(hours(112)).unwrap());
    let root_1 = fs::read(dir.path().join("tuf/metadata/1.root.json")).unwrap();
    assert_eq!(agent(dir.path(), &root_1, 112).0, 2);
}

/// Files with their paths below `tuf`, in write order.
type Files = Vec<(String, Arc<[u8]>)>;

/// The set that root 2 brings, in the order in which it is written, and the data directory just
/// before it, with its next key.
fn half_way() -> (Hub, Files, PublicKey) {
    let hub = Hub::new();
    let next = hub.next(OnlineRole::Timestamp);
    let before = copy_of(hub.dir.path());
    hub.publish_root(&[hub.snapshot()], &[&next]).unwrap();
    let mut staged = StagedRepository::new();
    for (path, bytes) in files_below(&hub.dir.path().join("tuf")) {
        staged.put_file(&path, bytes).unwrap();
    }
    let set = staged.write_order();
    let fixture = hub.fixture.clone();
    let (publisher, _) = start(before.path(), 1).unwrap();
    (Hub { dir: before, publisher, fixture }, set, next)
}

/// A copy of a data directory; key files are private in it too.
fn copy_of(data_dir: &Path) -> TempDir {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    copy(data_dir, dir.path());
    for name in key_files(dir.path()) {
        let mode = fs::Permissions::from_mode(0o600);
        fs::set_permissions(dir.path().join("keys").join(name), mode).unwrap();
    }
    dir
}

#[test]
fn a_crash_before_the_commit_leaves_the_old_key_in_force() {
    let (hub, set, next) = half_way();
    let dir = copy_of(hub.dir.path());
    Disk::open(dir.path()).unwrap().stage_for_test(&set);
    fs::remove_file(dir.path().join("tuf/staged/commit.json")).unwrap();
    let (publisher, _) = start(dir.path(), 2).unwrap();
    let keys = publisher.online_keys();
    assert_eq!(&pem(&keys.timestamp), hub.timestamp());
    assert_eq!(keys.timestamp_next.as_deref().map(pem), Some(next));
    assert_eq!(agent(dir.path(), &hub.root_1(), 2).0, 1);
}

#[test]
fn a_crash_between_the_commit_and_the_key_files_is_mended_at_the_start() {
    let (hub, set, next) = half_way();
    for moved in 0..=set.len() {
        let dir = copy_of(hub.dir.path());
        Disk::open(dir.path()).unwrap().stage_for_test(&set);
        for (number, (path, _)) in set.iter().take(moved).enumerate() {
            let to: PathBuf = dir.path().join("tuf").join(path);
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            fs::rename(dir.path().join("tuf/staged").join(number.to_string()), to).unwrap();
        }
        assert_eq!(key_files(dir.path()).len(), 3, "the key files are as before");
        let (publisher, catalog) = start(dir.path(), 2).unwrap();
        let keys = publisher.online_keys();
        assert_eq!((pem(&keys.timestamp), keys.timestamp_next), (next.clone(), None));
        assert_eq!(catalog.status(hours(2)).stale, None);
        assert_eq!(agent(dir.path(), &hub.root_1(), 2).0, 2, "{moved}");
        assert_eq!(key_files(dir.path()), SETTLED);
        drop(publisher);
        // The other half: the key files are switched, and it starts again.
        start(dir.path(), 3).unwrap();
        assert_eq!(agent(dir.path(), &hub.root_1(), 3).0, 2);
    }
}

#[test]
fn key_files_of_another_copy_are_named_at_the_start() {
    let hub = Hub::new();
    let old = copy_of(hub.dir.path());
    let next = hub.next(OnlineRole::Timestamp);
    hub.publish_root(&[hub.snapshot()], &[&next]).unwrap();
    let Hub { dir, publisher, .. } = hub;
    drop(publisher);
    // A repository with root 2 and the keys of before.
    let file = "keys/timestamp.pem";
    fs::copy(old.path().join(file), dir.path().join(file)).unwrap();
    let error = start(dir.path(), 2).unwrap_err();
    assert!(matches!(error, PublishError::OtherKeys { root: 2, role: "timestamp" }), "{error}");
}

#[test]
fn a_key_file_that_cannot_be_switched_is_switched_later() {
    let hub = Hub::new();
    let next = hub.next(OnlineRole::Timestamp);
    let file = hub.dir.path().join("keys/timestamp.pem");
    // A directory in its place is one way for the renaming to fail.
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    hub.publish_root(&[hub.snapshot()], &[&next]).unwrap();
    assert_eq!(agent(hub.dir.path(), &hub.root_1(), 1).0, 2, "served all the same");
    assert!(hub.publisher.make_next_key(OnlineRole::Timestamp, true).is_err(), "its name is taken");
    fs::remove_dir(&file).unwrap();
    hub.publisher.resign_if_due(hours(12)).unwrap();
    assert_eq!(hub.key_files(), SETTLED);
    hub.next(OnlineRole::Timestamp);
}

#[test]
fn an_agent_whose_versions_a_thief_ran_up_accepts_the_hub_again_after_the_rotation() {
    let hub = Hub::new();
    let mut staged = StagedRepository::new();
    for (path, bytes) in files_below(&hub.dir.path().join("tuf")) {
        if path != "metadata/timestamp.json" {
            staged.put_file(&path, bytes).unwrap();
        }
    }
    // What whoever stole the timestamp key serves.
    let (_, snapshot) = staged.newest(&signing::TopRole::Snapshot.into()).unwrap();
    let pin = MetaPin::of_snapshot(snapshot).unwrap();
    let thief = &hub.fixture.online.timestamp;
    let stolen = build_timestamp(u64::MAX - 1, hours(24), t0(), pin, &[thief]).unwrap();
    staged.put_metadata(&signing::TopRole::Timestamp.into(), stolen).unwrap();
    let store = MemStore::new();
    let refresh = |source: signing::MemSource, hour: i64| {
        let mut client = Client::open(&hub.root_1(), source, store.clone()).unwrap();
        let result = client.refresh(hours(hour)).now_or_never().unwrap();
        result.map(|refreshed| refreshed.timestamp_version).map_err(|error| error.attack())
    };
    let served = || {
        let mut staged = StagedRepository::new();
        for (path, bytes) in files_below(&hub.dir.path().join("tuf")) {
            staged.put_file(&path, bytes).unwrap();
        }
        staged.as_source()
    };
    assert_eq!(refresh(staged.as_source(), 0), Ok(u64::MAX - 1));
    assert_eq!(refresh(served(), 0), Err(Some(Attack::Rollback)), "the hub alone cannot mend it");
    let next = hub.next(OnlineRole::Timestamp);
    hub.publish_root(&[hub.snapshot()], &[&next]).unwrap();
    let unix = u64::try_from(hours(1).as_second()).unwrap();
    assert_eq!(refresh(served(), 1), Ok(unix), "floors of the old key are dropped");
    // And the thief's file is worth nothing now.
    assert!(refresh(staged.as_source(), 1).is_err());
}
