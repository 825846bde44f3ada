//! When a bundle's metadata is believed: as of now, or by a person's leave as of when it was signed.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use signing::client::limits::MAX_ROOT_BYTES;
use signing::metadata::SIGNED_AT;
use signing::{
    Attack, Client, DirStore, FileName, MemSource, MemStore, Recording, Store as _, TopRole,
    Versions,
};

use crate::disk::read_at_most;
use crate::error::Error;
use crate::metadata::trust;

/// Leave to use metadata that was good when its view signed it and has expired since.
///
/// Only expiry is forgiven: everything is verified as of the moment the view signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AcceptExpired {
    /// When this leave itself ends.
    pub until: Timestamp,
    /// Why, for the site's audit log.
    pub reason: String,
}

/// Longest reason, in characters: a few sentences in an audit row.
const REASON_CHARS_MAX: usize = 500;

impl AcceptExpired {
    /// Refuses leave that nobody could account for later: without a reason, or where nothing
    /// remembers what was seen, since age alone does not protect against an older copy then.
    pub(crate) fn check(&self, state: Option<&Path>) -> Result<(), Error> {
        let refuse = |why| Err(Error::Leave { why });
        if self.reason.trim().is_empty() {
            return refuse("the reason is empty");
        }
        if self.reason.chars().count() > REASON_CHARS_MAX {
            return refuse("the reason is longer than 500 characters");
        }
        if self.reason.chars().any(char::is_control) {
            return refuse("the reason holds a control character");
        }
        if state.is_none() {
            return refuse("it needs a directory that remembers what was seen");
        }
        Ok(())
    }
}

/// A client that has verified a bundle's metadata, and what it read.
pub(crate) type BundleClient<'a> = Client<&'a Recording<MemSource>, MemStore>;

/// The TUF files of a bundle, read once: what is verified is what is handed on.
pub(crate) type TufFiles = BTreeMap<FileName, Vec<u8>>;

/// Runs `verify` as of now or, when that meets expired metadata and there is leave, as of when the
/// view signed; that moment is returned too.
pub(crate) async fn at_a_good_moment<T>(
    files: &TufFiles,
    leave: Option<&AcceptExpired>,
    now: Timestamp,
    verify: impl AsyncFn(Timestamp) -> Result<T, Error>,
) -> Result<(T, Option<Timestamp>), Error> {
    let error = match verify(now).await {
        Err(error) if error.attack() == Some(Attack::Freeze) => error,
        answer => return answer.map(|found| (found, None)),
    };
    let (Some(leave), Some(checked)) = (leave, error.checked_at()) else { return Err(error) };
    // Expiry was checked against a later time than the clock's: one that was signed and seen.
    if checked > now {
        return Err(Error::ClockBack { seen: checked, now });
    }
    if now >= leave.until {
        let (until, source) = (leave.until, Box::new(error));
        return Err(Error::LeaveEnded { until, now, source });
    }
    // The moment is read before it is believed, but it lies inside the signed timestamp: if it was
    // changed, the signature does not verify.
    let Some(as_of) = signed_at(files).filter(|at| *at < now) else { return Err(error) };
    Ok((verify(as_of).await?, Some(as_of)))
}

/// A source over a bundle's TUF repository that keeps what it hands out.
pub(crate) fn recording(files: &TufFiles) -> Recording<MemSource> {
    let shared = |(name, bytes): (&FileName, &Vec<u8>)| {
        (name.relative_path(), Arc::<[u8]>::from(bytes.as_slice()))
    };
    Recording::new(MemSource::new(files.iter().map(shared).collect()))
}

/// A client that starts from the pinned root and believes the bundle's top-level roles; `seen`
/// refuses versions older than those seen before, and is raised.
pub(crate) async fn refreshed<'a>(
    recording: &'a Recording<MemSource>,
    files: &TufFiles,
    root: &[u8],
    seen: &MemStore,
    now: Timestamp,
) -> Result<BundleClient<'a>, Error> {
    let refused = "the carried repository";
    // A client of its own: the one below has to read every file that it hands on.
    let floors = self::recording(files);
    let mut floors = Client::open(root, &floors, seen.clone())
        .map_err(trust("the pinned root, or what was seen of the view,"))?;
    floors.refresh(now).await.map_err(trust(refused))?;
    let mut client =
        Client::open(root, recording, MemStore::new()).map_err(trust("the pinned root"))?;
    client.refresh(now).await.map_err(trust(refused))?;
    check_same(floors.trusted_versions(), client.trusted_versions()).map_err(trust(refused))?;
    Ok(client)
}

/// What a site has seen of its view, in memory: nothing is raised on disk before a bundle is known
/// to be good, or a lost increment that turns up again could no longer be taken in.
pub(crate) fn seen(dir: &Path) -> Result<MemStore, Error> {
    let mut memory = MemStore::new();
    if !dir.is_dir() {
        return Ok(memory);
    }
    let failed = |source| Error::State { dir: dir.to_owned(), source };
    let store = DirStore::open(dir).map_err(failed)?;
    for entry in std::fs::read_dir(dir).map_err(Error::io("read", dir))? {
        let name = entry.map_err(Error::io("read", dir))?.file_name();
        let Some(name) = name.to_str() else { continue };
        if let Some(bytes) = store.load(name).map_err(failed)? {
            memory.save(name, &bytes).map_err(failed)?;
        }
    }
    Ok(memory)
}

/// Remembers on disk what was seen.
pub(crate) fn keep_seen(dir: &Path, memory: &MemStore) -> Result<(), Error> {
    let failed = |source| Error::State { dir: dir.to_owned(), source };
    let mut store = DirStore::open(dir).map_err(failed)?;
    for name in memory.names() {
        let known = store.load(&name).map_err(failed)?;
        let Some(bytes) = memory.load(&name).map_err(failed)? else { continue };
        if known.as_ref() != Some(&bytes) {
            store.save(&name, &bytes).map_err(failed)?;
        }
    }
    Ok(())
}

/// A stick can be made to show another set at every reading: what is handed on must be the set
/// that the floors were checked and raised with. The older of two counts as the rollback.
pub(crate) fn check_same(seen: Versions, found: Versions) -> Result<(), signing::Error> {
    let pairs = [
        (TopRole::Root, seen.root, found.root),
        (TopRole::Timestamp, seen.timestamp, found.timestamp),
        (TopRole::Snapshot, seen.snapshot, found.snapshot),
        (TopRole::Targets, seen.targets, found.targets),
    ];
    match pairs.into_iter().find(|(_, seen, found)| seen != found) {
        Some((role, seen, found)) => {
            let (found, floor) = (seen.min(found), seen.max(found));
            Err(signing::Error::Rollback { role: role.into(), found, floor })
        }
        None => Ok(()),
    }
}

/// When the view signed the timestamp, by its own word.
pub(crate) fn signed_at(files: &TufFiles) -> Option<Timestamp> {
    let bytes = files.get(&FileName::timestamp())?;
    let envelope: serde_json::Value = serde_json::from_slice(bytes).ok()?;
    envelope.get("signed")?.get(SIGNED_AT)?.as_str()?.parse().ok()
}

/// Reads the root that a person named.
///
/// # Errors
/// When the file cannot be read, or is longer than a root may be.
pub fn read_root(path: &Path) -> Result<Vec<u8>, Error> {
    read_bounded(path, MAX_ROOT_BYTES)
}

/// Reads a file of at most `bytes_max` bytes.
pub(crate) fn read_bounded(path: &Path, bytes_max: u64) -> Result<Vec<u8>, Error> {
    let why = format!("more than {bytes_max} bytes");
    read_at_most(path, bytes_max)?
        .ok_or_else(|| Error::Document { path: path.display().to_string(), why })
}

#[cfg(test)]
mod tests {
    use signing::{
        Error as TufError, RootSpec, SecretKey, StagedRepository, build_root, build_targets,
    };

    use super::*;

    fn key() -> SecretKey {
        SecretKey::from_seed([1; 32])
    }

    fn at(hours: i64) -> Timestamp {
        let start: Timestamp = "2026-11-20T00:00:00Z".parse().unwrap();
        start + jiff::SignedDuration::from_hours(hours)
    }

    fn root() -> Vec<u8> {
        let roles = TopRole::ALL.map(|role| (role, (vec![key().public().clone()], 1)));
        let spec = RootSpec { version: 1, expires: at(1000), roles: roles.into() };
        build_root(&spec, &[&key()], None).unwrap()
    }

    /// A repository with no targets, as it was signed at `now`.
    fn files(now: Timestamp) -> TufFiles {
        let mut staged = StagedRepository::new();
        let targets = build_targets(1, at(1000), &BTreeMap::new(), &[], &[&key()]).unwrap();
        staged.put_metadata(&TopRole::Root.into(), root()).unwrap();
        staged.put_metadata(&TopRole::Targets.into(), targets).unwrap();
        let staged = staged.with_online_roles(&key(), &key(), now, Versions::default()).unwrap();
        staged.files().map(|(name, bytes)| (name.clone(), bytes.to_vec())).collect()
    }

    async fn believe(files: &TufFiles, seen: &MemStore) -> Result<(), Error> {
        let recording = recording(files);
        refreshed(&recording, files, &root(), seen, at(2)).await.map(|_client| ())
    }

    #[tokio::test]
    async fn an_older_set_is_refused_once_a_newer_one_was_kept() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("seen");
        let memory = seen(&dir).unwrap();
        believe(&files(at(1)), &memory).await.unwrap();
        assert!(!dir.exists(), "looking leaves nothing behind");
        keep_seen(&dir, &memory).unwrap();
        let error = believe(&files(at(0)), &seen(&dir).unwrap()).await.unwrap_err();
        assert_eq!(error.attack(), Some(Attack::Rollback));
        let Error::Trust { source, .. } = error else { unreachable!("{error}") };
        assert!(matches!(*source, TufError::Rollback { .. }), "{source}");
        believe(&files(at(1)), &seen(&dir).unwrap()).await.unwrap();
    }
}
