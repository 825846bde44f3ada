//! A day-old copy of the repository, with the clock of a whole day: what a client that has followed
//! the hub all along says to it.

use std::fs;
use std::path::Path;

use signing::{Attack, MemStore, StagedRepository};

use crate::publish::fixture::{Fixture, hours, open, t0};

/// The repository as it is on disk, for a client.
fn served(data_dir: &Path) -> StagedRepository {
    let mut staged = StagedRepository::new();
    let tuf = data_dir.join("tuf");
    let mut open = vec![tuf.clone()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                let name = path.strip_prefix(&tuf).unwrap().to_str().unwrap();
                staged.put_file(name, fs::read(&path).unwrap()).unwrap();
            }
        }
    }
    staged
}

/// A client with a memory.
struct Client {
    root: Vec<u8>,
    store: MemStore,
}

impl Client {
    /// Looks at the hub, and names the attack it met.
    fn look(&self, data_dir: &Path, hour: i64) -> Result<(), Option<Attack>> {
        let store = self.store.clone();
        match signing::verify_staged(&self.root, &served(data_dir), store, hours(hour)) {
            Ok(verified) if verified.broken.is_empty() => Ok(()),
            Ok(verified) => Err(verified.broken.into_iter().next().unwrap().1.attack()),
            Err(error) => Err(error.attack()),
        }
    }
}

/// A hub with one publication, a client that has seen it, and a copy of the data directory.
fn backed_up() -> (tempfile::TempDir, tempfile::TempDir, Client, Fixture) {
    let (dir, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let fixture = Fixture::new();
    open(dir.path(), t0()).0.publish(fixture.publication(), t0()).unwrap();
    let root = fs::read(dir.path().join("tuf/metadata/1.root.json")).unwrap();
    let client = Client { root, store: MemStore::new() };
    client.look(dir.path(), 0).unwrap();
    copy_dir(dir.path(), copy.path());
    (dir, copy, client, fixture)
}

fn copy_dir(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let to = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy_dir(&path, &to);
        } else {
            fs::copy(&path, to).unwrap();
        }
    }
}

#[test]
fn a_day_old_copy_is_no_rollback_to_a_client_that_looked_every_hour() {
    let (dir, copy, client, _) = backed_up();
    let (publisher, _) = open(dir.path(), hours(0));
    let mut signed = 0;
    for hour in 1..=24 {
        signed += u32::from(publisher.resign_if_due(hours(hour)).unwrap());
        client.look(dir.path(), hour).unwrap();
    }
    assert!(signed >= 2, "the hub has signed again during the day: {signed}");
    assert!(client.look(copy.path(), 25).is_err(), "as it is, the copy is not to be served");
    let (restored, _) = open(copy.path(), hours(25));
    for hour in 25..=50 {
        client.look(copy.path(), hour).unwrap();
        restored.resign_if_due(hours(hour)).unwrap();
    }
}

#[test]
fn what_was_published_since_must_be_published_again_before_a_client_looks() {
    let (dir, copy, client, mut fixture) = backed_up();
    let (publisher, _) = open(dir.path(), hours(1));
    fixture.next_release();
    publisher.publish(fixture.publication(), hours(2)).unwrap();
    client.look(dir.path(), 3).unwrap();
    let (restored, _) = open(copy.path(), hours(25));
    assert_eq!(client.look(copy.path(), 25), Err(Some(Attack::Rollback)), "looked too early");
    let reply = restored.publish(fixture.publication(), hours(26)).unwrap();
    assert!(reply.changed);
    client.look(copy.path(), 26).unwrap();
}
