//! When an export's metadata is believed: as of now, or by a person's leave as of when it was signed.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use signing::client::limits::{MAX_ROOT_BYTES, MAX_TIMESTAMP_BYTES};
use signing::metadata::SIGNED_AT;
use signing::{
    Attack, Client, DirSource, DirStore, FileName, MemStore, Recording, TopRole, Versions,
};

use crate::error::Error;
use crate::export::trust;
use crate::layout::read_at_most;
use crate::metadata::TUF_DIR;

/// Leave to use metadata that was good when the hub signed it and has expired since.
///
/// Only expiry is forgiven: everything is verified as of the moment the hub signed.
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

/// A client that has verified an export, and what it read.
pub(crate) type ExportClient<'a> = Client<&'a Recording<DirSource>, MemStore>;

/// Runs `verify` as of now or, when that meets expired metadata and there is leave, as of when the
/// hub signed; that moment is returned too.
pub(crate) async fn at_a_good_moment<T>(
    dir: &Path,
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
    let Some(as_of) = signed_at(dir).filter(|at| *at < now) else { return Err(error) };
    Ok((verify(as_of).await?, Some(as_of)))
}

/// A source over the export's TUF repository that keeps what it hands out.
pub(crate) fn recording(dir: &Path) -> Recording<DirSource> {
    Recording::new(DirSource::new(dir.join(TUF_DIR)))
}

/// A client that starts from the pinned root and believes the export's top-level roles; `state`
/// refuses versions older than those seen before, and a directory that changes while it is read.
pub(crate) async fn refreshed<'a>(
    recording: &'a Recording<DirSource>,
    dir: &Path,
    root: &[u8],
    state: Option<&PathBuf>,
    now: Timestamp,
) -> Result<ExportClient<'a>, Error> {
    let refused = "the exported repository";
    let mut seen = None;
    if let Some(state) = state {
        // A client of its own: the one below has to read every file that it hands on.
        let store =
            DirStore::open(state).map_err(|source| Error::State { dir: state.clone(), source })?;
        let mut floors = Client::open(root, DirSource::new(dir.join(TUF_DIR)), store)
            .map_err(trust("the pinned root or the trust state"))?;
        floors.refresh(now).await.map_err(trust(refused))?;
        seen = Some(floors.trusted_versions());
    }
    let mut client =
        Client::open(root, recording, MemStore::new()).map_err(trust("the pinned root"))?;
    client.refresh(now).await.map_err(trust(refused))?;
    if let Some(seen) = seen {
        check_same(seen, client.trusted_versions()).map_err(trust(refused))?;
    }
    Ok(client)
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

/// When the hub signed the timestamp, by its own word.
fn signed_at(dir: &Path) -> Option<Timestamp> {
    let path = dir.join(TUF_DIR).join(FileName::timestamp().relative_path());
    let bytes = read_bounded(&path, MAX_TIMESTAMP_BYTES).ok()?;
    let envelope: serde_json::Value = serde_json::from_slice(&bytes).ok()?;
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
    use std::collections::BTreeMap;

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

    /// An export directory with no targets, as the hub signed it at `now`.
    fn export(now: Timestamp) -> tempfile::TempDir {
        let mut staged = StagedRepository::new();
        let targets = build_targets(1, at(1000), &BTreeMap::new(), &[], &[&key()]).unwrap();
        staged.put_metadata(&TopRole::Root.into(), root()).unwrap();
        staged.put_metadata(&TopRole::Targets.into(), targets).unwrap();
        let staged = staged.with_online_roles(&key(), &key(), now, Versions::default()).unwrap();
        let dir = tempfile::tempdir().unwrap();
        for (path, bytes) in staged.write_order() {
            crate::layout::write_file(&dir.path().join(TUF_DIR).join(path), &bytes).unwrap();
        }
        dir
    }

    /// What comes of a stick that shows `first` to the one who remembers, then `second`.
    async fn shown(first: &Path, second: &Path) -> Result<(), Error> {
        let state = tempfile::tempdir().unwrap();
        let recording = recording(second);
        let state = state.path().join("seen");
        refreshed(&recording, first, &root(), Some(&state), at(2)).await.map(|_client| ())
    }

    #[tokio::test]
    async fn a_stick_that_shows_an_older_set_the_second_time_is_refused() {
        let (new, old) = (export(at(1)), export(at(0)));
        shown(new.path(), new.path()).await.unwrap();
        let error = shown(new.path(), old.path()).await.unwrap_err();
        assert_eq!(error.attack(), Some(Attack::Rollback));
        let Error::Trust { source, .. } = error else { unreachable!("{error}") };
        assert!(matches!(*source, TufError::Rollback { .. }), "{source}");
    }

    #[tokio::test]
    async fn a_stick_that_shows_a_newer_set_the_second_time_is_refused() {
        let (new, old) = (export(at(1)), export(at(0)));
        let error = shown(old.path(), new.path()).await.unwrap_err();
        assert_eq!(error.attack(), Some(Attack::Rollback));
    }
}
