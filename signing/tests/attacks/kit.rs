//! A repository in memory whose every part can be changed, and a source that can be watched.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use signing::repository::add_signature;
use signing::{
    Client, Delegation, Error, Fetched, FileName, MemStore, MetaPin, PublicKey, RoleName, RootSpec,
    SecretKey, Signer, Source, SourceError, TargetEntry, TargetPath, TopRole, Verified, build_root,
    build_snapshot, build_targets, build_timestamp, cjson,
};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

pub(crate) type TestClient = Client<Files, MemStore>;
type Edit = Box<dyn Fn(&mut Value)>;

pub(crate) const RELEASE: &str = "acme/app/1.0.0.release.json";
pub(crate) const OTHER_RELEASE: &str = "other/app/1.0.0.release.json";

/// The time of all tests, plus some hours.
pub(crate) fn at(hours: i64) -> Timestamp {
    let start: Timestamp = "2026-11-20T00:00:00Z".parse().unwrap();
    start + SignedDuration::from_hours(hours)
}

/// The key of a seed; tests name keys by small numbers.
pub(crate) fn key(seed: u8) -> SecretKey {
    SecretKey::from_seed([seed; 32])
}

pub(crate) fn public(seeds: &[u8]) -> Vec<PublicKey> {
    seeds.iter().map(|seed| key(*seed).public().clone()).collect()
}

pub(crate) fn path(text: &str) -> TargetPath {
    TargetPath::new(text).unwrap()
}

pub(crate) fn role(name: &str) -> RoleName {
    RoleName::new(name).unwrap()
}

/// What a source does instead of answering.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fault {
    Status(u16),
    TooSlow,
    /// Says that nothing changed, to whatever request.
    NotModified,
    /// Ignores the limit it is given and sends so many bytes.
    Flood(usize),
}

/// Files that a test can change at any time, and a log of what was asked for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Files(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    files: BTreeMap<String, Vec<u8>>,
    faults: BTreeMap<String, Fault>,
    log: Vec<String>,
    etag_of_timestamp_only: bool,
}

impl Files {
    pub(crate) fn get(&self, path: &str) -> Vec<u8> {
        self.0.lock().unwrap().files.get(path).unwrap_or_else(|| panic!("no {path}")).clone()
    }

    pub(crate) fn put(&self, path: &str, bytes: Vec<u8>) {
        self.0.lock().unwrap().files.insert(path.to_owned(), bytes);
    }

    pub(crate) fn remove(&self, path: &str) {
        self.0.lock().unwrap().files.remove(path).unwrap_or_else(|| panic!("no {path}"));
    }

    pub(crate) fn fault(&self, path: &str, fault: Fault) {
        self.0.lock().unwrap().faults.insert(path.to_owned(), fault);
    }

    /// What was asked for since the last call.
    pub(crate) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap().log)
    }

    /// From now on the validator says nothing about roots, as on a plain file server.
    pub(crate) fn be_a_plain_mirror(&self) {
        self.0.lock().unwrap().etag_of_timestamp_only = true;
    }

    /// All files as they are now, to be served again later.
    pub(crate) fn copy(&self) -> BTreeMap<String, Vec<u8>> {
        self.0.lock().unwrap().files.clone()
    }

    pub(crate) fn serve(&self, files: BTreeMap<String, Vec<u8>>) {
        self.0.lock().unwrap().files = files;
    }
}

impl Source for Files {
    async fn fetch(
        &self,
        file: &FileName,
        max_bytes: u64,
        if_none_match: Option<&str>,
    ) -> Result<Fetched, SourceError> {
        let path = file.relative_path();
        let mut inner = self.0.lock().unwrap();
        inner.log.push(path.clone());
        match inner.faults.get(&path) {
            Some(Fault::Status(code)) => return Err(SourceError::Status { code: *code }),
            Some(Fault::TooSlow) => {
                return Err(SourceError::TooSlow { received: 5, elapsed_ms: 10_000 });
            }
            Some(Fault::NotModified) => return Ok(Fetched::NotModified),
            Some(Fault::Flood(length)) => {
                return Ok(Fetched::Body { bytes: vec![b' '; *length], etag: None });
            }
            None => {}
        }
        let Some(bytes) = inner.files.get(&path).cloned() else { return Ok(Fetched::NotFound) };
        if u64::try_from(bytes.len()).unwrap() > max_bytes {
            return Err(SourceError::TooLarge { limit: max_bytes });
        }
        let mut roots = inner.files.keys().filter(|path| path.ends_with(".root.json")).count();
        if inner.etag_of_timestamp_only {
            roots = 0;
        }
        let etag = (*file == FileName::timestamp())
            .then(|| signing::source::timestamp_etag(u64::try_from(roots).unwrap(), &bytes));
        if etag.is_some() && etag.as_deref() == if_none_match {
            return Ok(Fetched::NotModified);
        }
        Ok(Fetched::Body { bytes, etag })
    }
}

/// Who may sign, who does, and the rest of what every role has.
#[derive(Debug, Clone)]
pub(crate) struct Role {
    pub(crate) version: u64,
    pub(crate) expires: Timestamp,
    pub(crate) keys: Vec<u8>,
    pub(crate) threshold: u32,
    /// Whose signatures the file carries; normally `keys`.
    pub(crate) signers: Vec<u8>,
}

impl Role {
    fn new(keys: &[u8], threshold: u32, days: i64) -> Self {
        let (keys, signers) = (keys.to_vec(), keys.to_vec());
        Self { version: 1, expires: at(24 * days), keys, threshold, signers }
    }

    /// Replaces the keys, and signs with the new ones.
    pub(crate) fn rotate(&mut self, keys: &[u8]) {
        self.keys = keys.to_vec();
        self.signers = keys.to_vec();
    }

    fn sign_with(&self, build: impl FnOnce(&[&dyn Signer]) -> Vec<u8>) -> Vec<u8> {
        let keys: Vec<_> = self.signers.iter().map(|seed| key(*seed)).collect();
        let signers: Vec<&dyn Signer> = keys.iter().map(|key| -> &dyn Signer { key }).collect();
        build(&signers)
    }
}

/// A delegated role.
#[derive(Debug, Clone)]
pub(crate) struct Delegate {
    pub(crate) role: Role,
    /// Who delegates to it, and for which paths. Several delegators make a diamond.
    pub(crate) from: Vec<&'static str>,
    pub(crate) paths: Vec<String>,
    pub(crate) terminating: bool,
    pub(crate) targets: BTreeMap<String, Vec<u8>>,
}

impl Delegate {
    pub(crate) fn new(from: &'static str, seed: u8, paths: &[&str]) -> Self {
        Self {
            role: Role::new(&[seed], 1, 60),
            from: vec![from],
            paths: paths.iter().map(|path| (*path).to_owned()).collect(),
            terminating: true,
            targets: BTreeMap::new(),
        }
    }

    pub(crate) fn with(mut self, path: &str, bytes: &[u8]) -> Self {
        self.targets.insert(path.to_owned(), bytes.to_vec());
        self
    }
}

/// The repository. Change fields, then [`Repo::publish`].
pub(crate) struct Repo {
    pub(crate) root: Role,
    pub(crate) targets: Role,
    pub(crate) snapshot: Role,
    pub(crate) timestamp: Role,
    pub(crate) signed_at: Timestamp,
    pub(crate) top: BTreeMap<String, Vec<u8>>,
    pub(crate) delegates: BTreeMap<String, Delegate>,
    pub(crate) files: Files,
    pub(crate) store: MemStore,
    edits: BTreeMap<String, Edit>,
}

impl Repo {
    /// Two vendors with one release each; root by two of three keys.
    pub(crate) fn new() -> Self {
        let acme = Delegate::new("targets", 50, &["acme/*/*"]);
        let other = Delegate::new("targets", 60, &["other/*/*"]);
        let releases = Delegate::new("acme", 51, &["acme/*/*.release.json"]).with(RELEASE, b"one");
        let repo = Self {
            root: Role::new(&[10, 11, 12], 2, 365),
            targets: Role::new(&[20], 1, 300),
            snapshot: Role::new(&[30], 1, 7),
            timestamp: Role::new(&[40], 1, 1),
            signed_at: at(0),
            top: BTreeMap::new(),
            delegates: BTreeMap::from([
                ("acme".to_owned(), acme),
                ("acme.releases".to_owned(), releases),
                ("other".to_owned(), other.with(OTHER_RELEASE, b"two")),
            ]),
            files: Files::default(),
            store: MemStore::new(),
            edits: BTreeMap::new(),
        };
        repo.publish_root(&[]);
        repo.publish();
        repo
    }

    /// Changes the signed part of a role before it is signed.
    pub(crate) fn edit(&mut self, role: &str, edit: impl Fn(&mut Value) + 'static) {
        self.edits.insert(role.to_owned(), Box::new(edit));
    }

    pub(crate) fn delegate(&mut self, name: &str) -> &mut Delegate {
        self.delegates.get_mut(name).unwrap()
    }

    /// The role of this name, delegated or not.
    pub(crate) fn any_role(&mut self, name: &str) -> &mut Role {
        match name {
            "root" => &mut self.root,
            "targets" => &mut self.targets,
            "snapshot" => &mut self.snapshot,
            "timestamp" => &mut self.timestamp,
            delegate => &mut self.delegate(delegate).role,
        }
    }

    /// Leaves only versions in the pins of the snapshot and of the timestamp, as other
    /// repositories do: then length and hash cannot hide what another check misses.
    pub(crate) fn pin_versions_only(&mut self) {
        let strip = |signed: &mut Value| {
            for pin in signed["meta"].as_object_mut().unwrap().values_mut() {
                *pin = json!({"version": pin["version"]});
            }
        };
        self.edit("snapshot", strip);
        self.edit("timestamp", strip);
    }

    /// Puts the next version of everything but root on the server.
    pub(crate) fn publish_next(&mut self) {
        for role in [&mut self.targets, &mut self.snapshot, &mut self.timestamp] {
            role.version += 1;
        }
        for delegate in self.delegates.values_mut() {
            delegate.role.version += 1;
        }
        self.publish();
    }

    /// Puts the next root on the server, signed by its own signers and `also`.
    pub(crate) fn publish_next_root(&mut self, also: &[u8]) {
        self.root.version += 1;
        self.publish_root(also);
    }

    pub(crate) fn publish_root(&self, also: &[u8]) {
        let keys = |role: &Role| (public(&role.keys), role.threshold);
        let spec = RootSpec {
            version: self.root.version,
            expires: self.root.expires,
            roles: BTreeMap::from([
                (TopRole::Root, keys(&self.root)),
                (TopRole::Targets, keys(&self.targets)),
                (TopRole::Snapshot, keys(&self.snapshot)),
                (TopRole::Timestamp, keys(&self.timestamp)),
            ]),
        };
        let unsigned = build_root(&spec, &[], None).unwrap();
        let mut signers = self.root.signers.clone();
        signers.extend(also);
        let bytes = self.edited("root", &unsigned, &signers);
        self.files.put(&format!("metadata/{}.root.json", self.root.version), bytes);
    }

    /// Puts everything but root on the server, as the fields say.
    pub(crate) fn publish(&self) {
        let mut pins = BTreeMap::new();
        for (name, delegate) in &self.delegates {
            let bytes = self.targets_file(name, &delegate.role, &delegate.targets);
            self.put_targets(name, delegate.role.version, bytes, &mut pins);
        }
        let bytes = self.targets_file("targets", &self.targets, &self.top);
        self.put_targets("targets", self.targets.version, bytes, &mut pins);

        let Role { version, expires, .. } = self.snapshot;
        let built =
            self.snapshot.sign_with(|s| build_snapshot(version, expires, &pins, s).unwrap());
        let bytes = self.edited("snapshot", &built, &self.snapshot.signers);
        let pin = MetaPin {
            version,
            length: u64::try_from(bytes.len()).unwrap(),
            digest: signing::Sha256Digest::of(&bytes),
        };
        self.files.put(&format!("metadata/{version}.snapshot.json"), bytes);

        let Role { version, expires, .. } = self.timestamp;
        let built = self
            .timestamp
            .sign_with(|s| build_timestamp(version, expires, self.signed_at, pin, s).unwrap());
        let bytes = self.edited("timestamp", &built, &self.timestamp.signers);
        self.files.put("metadata/timestamp.json", bytes);
    }

    fn targets_file(&self, name: &str, role: &Role, listed: &BTreeMap<String, Vec<u8>>) -> Vec<u8> {
        let mut entries = BTreeMap::new();
        for (path, bytes) in listed {
            let path = TargetPath::new(path.as_str()).unwrap();
            let entry = TargetEntry::of(bytes);
            let file = FileName::target(path.clone(), entry.digest);
            self.files.put(&file.relative_path(), bytes.clone());
            entries.insert(path, entry);
        }
        let delegations: Vec<_> = self
            .delegates
            .iter()
            .filter(|(_, delegate)| delegate.from.contains(&name))
            .map(|(name, delegate)| Delegation {
                role: RoleName::new(name.as_str()).unwrap(),
                keys: public(&delegate.role.keys),
                threshold: delegate.role.threshold,
                paths: delegate.paths.clone(),
                terminating: delegate.terminating,
            })
            .collect();
        let Role { version, expires, .. } = *role;
        let built =
            role.sign_with(|s| build_targets(version, expires, &entries, &delegations, s).unwrap());
        self.edited(name, &built, &role.signers)
    }

    fn put_targets(
        &self,
        name: &str,
        version: u64,
        bytes: Vec<u8>,
        pins: &mut BTreeMap<RoleName, MetaPin>,
    ) {
        let name = role(name);
        let length = u64::try_from(bytes.len()).unwrap();
        pins.insert(
            name.clone(),
            MetaPin { version, length, digest: signing::Sha256Digest::of(&bytes) },
        );
        let file = FileName::Metadata { role: name, version: Some(version) };
        self.files.put(&file.relative_path(), bytes);
    }

    /// Applies the role's edit and signs again with `signers`.
    fn edited(&self, role: &str, bytes: &[u8], signers: &[u8]) -> Vec<u8> {
        let mut envelope: Value = serde_json::from_slice(bytes).unwrap();
        if let Some(edit) = self.edits.get(role) {
            edit(&mut envelope["signed"]);
        }
        sealed(&envelope["signed"], signers)
    }

    /// The root that agents are delivered with.
    pub(crate) fn pinned(&self) -> Vec<u8> {
        self.files.get("metadata/1.root.json")
    }

    /// A client as after a (re)start: same store, same pinned root.
    pub(crate) fn client(&self) -> TestClient {
        Client::open(&self.pinned(), self.files.clone(), self.store.clone()).unwrap()
    }

    /// A client that has accepted the repository as it is.
    pub(crate) async fn trusting(&self) -> TestClient {
        let mut client = self.client();
        client.refresh(at(0)).await.unwrap();
        client
    }
}

/// An envelope around `signed` with the signatures of `signers`, whatever they may sign.
pub(crate) fn sealed(signed: &Value, signers: &[u8]) -> Vec<u8> {
    let canonical = cjson::encode(signed).unwrap();
    let signatures: Vec<_> = signers
        .iter()
        .map(|seed| {
            let key = key(*seed);
            json!({"keyid": key.public().key_id(), "sig": hex::encode(key.sign(&canonical))})
        })
        .collect();
    json!({"signatures": signatures, "signed": signed}).to_string().into_bytes()
}

/// Adds the signature of `seed` to a file on the server.
pub(crate) fn add_root_signature(files: &Files, path: &str, seed: u8) {
    let root = TopRole::Root.into();
    let signed = add_signature::<signing::metadata::Root>(&root, &files.get(path), &key(seed));
    files.put(path, signed.unwrap());
}

/// Finds a target and fetches it.
pub(crate) async fn download(
    client: &mut TestClient,
    target: &str,
) -> Result<Option<Verified<Vec<u8>>>, Error> {
    match client.target(&path(target), at(0)).await? {
        Some(found) => client.fetch_target(&found).await.map(Some),
        None => Ok(None),
    }
}

/// Where a client stands when the attack comes. All of them trusted the honest repository before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It goes on running.
    Running,
    /// Its process was started again: a new client over the same store.
    Restarted,
    /// It refused the attack once, and was started again: a refusal leaves nothing behind that
    /// would let the attack pass the next time.
    RefusedAndRestarted,
}

impl Standing {
    pub(crate) const ALL: [Self; 3] = [Self::Running, Self::Restarted, Self::RefusedAndRestarted];
}

pub(crate) type Answer = Result<Option<Verified<Vec<u8>>>, Error>;

/// Runs one attack against a client in every standing: it trusts `honest`, then `tamper` happens,
/// and at `hours` it wants the release of the first vendor.
pub(crate) async fn attacked(
    honest: impl Fn() -> Repo,
    tamper: impl Fn(&mut Repo),
    hours: i64,
) -> Vec<(Standing, Answer)> {
    let mut answers = Vec::new();
    for standing in Standing::ALL {
        let mut repo = honest();
        let mut client = repo.trusting().await;
        assert!(download(&mut client, RELEASE).await.unwrap().is_some());
        tamper(&mut repo);
        let answer = match standing {
            Standing::Running => wanted(&mut client, at(hours)).await,
            Standing::Restarted => wanted(&mut repo.client(), at(hours)).await,
            Standing::RefusedAndRestarted => {
                let first = wanted(&mut client, at(hours)).await;
                assert!(first.is_err(), "{first:?}");
                wanted(&mut repo.client(), at(hours)).await
            }
        };
        answers.push((standing, answer));
    }
    answers
}

/// Refreshes, then finds and fetches the release of the first vendor.
pub(crate) async fn wanted<S: Source, T: signing::Store>(
    client: &mut Client<S, T>,
    now: Timestamp,
) -> Answer {
    client.refresh(now).await?;
    match client.target(&path(RELEASE), now).await? {
        Some(found) => client.fetch_target(&found).await.map(Some),
        None => Ok(None),
    }
}

/// A fresh client's answer to everything: refresh, then the release of the first vendor.
pub(crate) async fn first_use(repo: &Repo) -> Result<Option<Verified<Vec<u8>>>, Error> {
    let mut client = repo.client();
    client.refresh(at(0)).await?;
    download(&mut client, RELEASE).await
}
