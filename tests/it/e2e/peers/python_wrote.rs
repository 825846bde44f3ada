//! Our client over a repository that python-tuf wrote (`tests/peers/python_tuf_repository.py`):
//! ed25519, ECDSA and RSA keys with thresholds of two, a rotated root, hash bins, a role name that
//! must be percent-encoded, a file with nothing but a SHA-512.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::Value;
use signing::{
    Attack, Client, DirSource, Error, FileName, MemStore, RoleName, Sha256Digest, Source, Store,
};

use super::{WebServer, alter, copy, flip, postpone, python, target, text};
use crate::e2e::process::now;

/// In the odd role; listed without a SHA-256.
const ONLY_SHA512: &str = "acme/app/only512.bin";
/// In one of sixteen hash bins.
const POOLED: &str = "pool/file-07.bin";

/// What the writer says it has written.
#[derive(Debug, Deserialize)]
struct Expected {
    role: RoleName,
    targets: BTreeMap<String, ExpectedTarget>,
}

#[derive(Debug, Deserialize)]
struct ExpectedTarget {
    length: u64,
    sha256: String,
    custom: Option<Value>,
    role: RoleName,
}

#[derive(Debug)]
struct Written {
    folder: PathBuf,
    expected: Expected,
    _dir: tempfile::TempDir,
}

impl Written {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("repository");
        let output = python("python_tuf_repository.py", &[folder.to_str().unwrap()]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        let expected = std::fs::read(folder.join("expected.json")).unwrap();
        Self { folder, expected: serde_json::from_slice(&expected).unwrap(), _dir: dir }
    }

    fn root(&self) -> Vec<u8> {
        std::fs::read(self.folder.join("root.json")).unwrap()
    }

    /// A copy with one file altered, under both names if it has two.
    fn altered(&self, file: &FileName, change: impl Fn(&mut Vec<u8>)) -> tempfile::TempDir {
        let copied = tempfile::tempdir().unwrap();
        copy(&self.folder, copied.path());
        let encoded = file.relative_path();
        let plain = signing::names::percent_decode(&encoded).expect("what we encoded");
        for name in BTreeSet::from([encoded, plain]) {
            alter(&copied.path().join(name), &change);
        }
        copied
    }

    /// Where a target's file lies.
    fn file(&self, path: &str) -> FileName {
        let digest = Sha256Digest::from_hex(&self.expected.targets[path].sha256).unwrap();
        FileName::target(target(path), digest)
    }
}

fn metadata(role: &str, version: u64) -> FileName {
    FileName::Metadata { role: RoleName::new(role).unwrap(), version: Some(version) }
}

/// Refreshes, then downloads one target.
async fn download<S: Source, T: Store>(
    client: &mut Client<S, T>,
    path: &str,
    now: Timestamp,
) -> Result<Vec<u8>, Error> {
    client.refresh(now).await?;
    let found = client.target_file(&target(path), now).await?.expect("it is listed");
    Ok(client.fetch_file(&found).await?.into_inner())
}

async fn downloads_everything<S: Source>(written: &Written, source: S) {
    let mut client = Client::open(&written.root(), source, MemStore::new()).unwrap();
    let refreshed = client.refresh(now()).await.unwrap();
    assert_eq!((refreshed.root_version, refreshed.snapshot_version), (2, 2));
    for (path, expected) in &written.expected.targets {
        let found = client.target_file(&target(path), now()).await.unwrap();
        let found = found.unwrap_or_else(|| panic!("{path} is not listed"));
        let bytes = client.fetch_file(&found).await.unwrap();
        assert_eq!(Sha256Digest::of(&bytes).hex(), expected.sha256, "{path}");
        let listed = (found.length, &found.custom, &found.role);
        assert_eq!(listed, (expected.length, &expected.custom, &expected.role), "{path}");
    }
    let absent = client.target_file(&target("pool/file-99.bin"), now()).await.unwrap();
    assert_eq!(absent, None);
}

#[tokio::test]
#[ignore = "needs python-tuf"]
async fn our_client_downloads_everything_python_tuf_wrote_from_a_folder_and_over_http() {
    let written = Written::new();
    assert_eq!(written.expected.targets.len(), 25);
    downloads_everything(&written, DirSource::new(&written.folder)).await;
    let server = WebServer::start(&written.folder);
    downloads_everything(&written, server.source()).await;
    // Its own writer agrees that the repository is in order.
    let root = written.folder.join("root.json");
    let urls = [format!("{}/metadata/", server.url), format!("{}/targets/", server.url)];
    let mut arguments = vec![root.to_str().unwrap(), &urls[0], &urls[1]];
    let simple = |path: &&String| !path.contains('#');
    arguments.extend(written.expected.targets.keys().filter(simple).map(String::as_str));
    let output = python("python_tuf_client.py", &arguments);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(text(&output.stdout).lines().count(), 24);
}

/// What our client says to a repository of python-tuf with one file altered, read from the folder
/// and over HTTP.
async fn refusal(written: &Written, folder: &Path, path: &str) -> [Option<Attack>; 2] {
    let root = written.root();
    let mut local = Client::open(&root, DirSource::new(folder), MemStore::new()).unwrap();
    let server = WebServer::start(folder);
    let mut remote = Client::open(&root, server.source(), MemStore::new()).unwrap();
    let refused = |outcome: Result<Vec<u8>, Error>| outcome.expect_err("it is refused").attack();
    let remote = refused(download(&mut remote, path, now()).await);
    [refused(download(&mut local, path, now()).await), remote]
}

#[tokio::test]
#[ignore = "needs python-tuf"]
async fn an_altered_file_that_python_tuf_wrote_is_refused_by_the_name_of_the_attack() {
    let written = Written::new();
    let odd = written.expected.role.as_str().to_owned();
    let postponed = |file: FileName| written.altered(&file, |bytes| postpone(bytes));
    let cases = [
        (postponed(FileName::root(2)), "top.txt", Attack::ArbitrarySoftware),
        (postponed(FileName::timestamp()), "top.txt", Attack::ArbitrarySoftware),
        (postponed(metadata("snapshot", 2)), "top.txt", Attack::MixAndMatch),
        (postponed(metadata("targets", 2)), "top.txt", Attack::MixAndMatch),
        (postponed(metadata("bins", 1)), POOLED, Attack::MixAndMatch),
        // Snapshot pins no hash of this one: only its two signatures can tell.
        (postponed(metadata(&odd, 7)), ONLY_SHA512, Attack::ArbitrarySoftware),
        (
            written.altered(&written.file(POOLED), |bytes| flip(bytes)),
            POOLED,
            Attack::ArbitrarySoftware,
        ),
        (
            written.altered(&written.file("top.txt"), |bytes| bytes.push(b'\n')),
            "top.txt",
            Attack::EndlessData,
        ),
    ];
    for (number, (folder, path, attack)) in cases.iter().enumerate() {
        let refused = refusal(&written, folder.path(), path).await;
        assert_eq!(refused, [Some(*attack); 2], "case {number}");
    }
}

#[tokio::test]
#[ignore = "needs python-tuf"]
async fn an_older_timestamp_that_python_tuf_signed_is_a_rollback() {
    let written = Written::new();
    let mut store = MemStore::new();
    let open = |store: MemStore| {
        Client::open(&written.root(), DirSource::new(&written.folder), store).unwrap()
    };
    download(&mut open(store.clone()), POOLED, now()).await.unwrap();
    let current = written.folder.join("metadata/timestamp.json");
    std::fs::copy(written.folder.join("older/timestamp.json"), current).unwrap();
    let refused = download(&mut open(store.clone()), POOLED, now()).await.unwrap_err();
    assert!(matches!(refused, Error::Rollback { found: 1, floor: 2, .. }), "{refused}");
    assert_eq!(refused.attack(), Some(Attack::Rollback));
    // Whoever has seen nothing newer has nothing against it: the refusal above was the memory's.
    store = MemStore::new();
    download(&mut open(store), POOLED, now()).await.unwrap();
}

#[tokio::test]
#[ignore = "needs python-tuf"]
async fn a_repository_of_python_tuf_past_its_expiry_is_a_freeze() {
    let written = Written::new();
    let source = DirSource::new(&written.folder);
    let mut client = Client::open(&written.root(), source, MemStore::new()).unwrap();
    let later = now() + SignedDuration::from_hours(24 * 31);
    let refused = download(&mut client, POOLED, later).await.unwrap_err();
    assert_eq!(refused.attack(), Some(Attack::Freeze), "{refused}");
    download(&mut client, POOLED, now()).await.unwrap();
}
