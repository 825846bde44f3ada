//! The client: [`crate::trusted`] driven over a [`Source`] and a [`Store`].
//!
//! The order of everything that is saved makes a crash harmless: a file is saved only after it
//! was verified, and whatever the store returns is verified again.

mod delegated;
pub mod limits;
mod list;
mod memory;
mod mirrors;
mod refresh;
mod search;
mod target;

pub use list::Roles;
pub use mirrors::{FromMirror, MirrorFailure, MirrorsFailed};
pub use target::{Target, TargetFile};

use crate::Sha256Digest;
use crate::error::Error;
use crate::metadata::{Document, KeySet, Targets};
use crate::names::{FileName, RoleName, TopRole};
use crate::source::{Fetched, Source, SourceError, etag_of};
use crate::store::Store;
use crate::trusted::{Floors, Ready, Roots};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Versions of the top-level roles; 0 where nothing is trusted yet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Versions {
    /// Version of root.
    pub root: u64,
    /// Version of timestamp.
    pub timestamp: u64,
    /// Version of snapshot.
    pub snapshot: u64,
    /// Version of the top-level targets.
    pub targets: u64,
}

/// The outcome of a refresh.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refreshed {
    /// Whether anything is newer than what this client (or its store) trusted before.
    pub changed: bool,
    /// Version of root.
    pub root_version: u64,
    /// Version of timestamp.
    pub timestamp_version: u64,
    /// Version of snapshot.
    pub snapshot_version: u64,
    /// The earliest expiry of the top-level roles.
    pub expires: Timestamp,
}

/// One delegation edge: the delegator's bytes and the delegate's name.
type Edge = (Sha256Digest, RoleName);

/// A TUF client for one repository.
#[derive(Debug)]
pub struct Client<S: Source, T: Store> {
    source: S,
    store: T,
    roots: Roots,
    floors: Floors,
    /// The last complete set.
    ready: Option<Ready>,
    /// Validator of the timestamp in `ready`.
    etag: Option<String>,
    /// Delegated roles verified under `ready`, per edge. Dropped when `ready` changes.
    delegated: BTreeMap<Edge, Arc<Document<Targets>>>,
}

impl<S: Source, T: Store> Client<S, T> {
    /// Opens a client that trusts `pinned_root` and nothing else: what the store holds is
    /// verified from there.
    pub fn open(pinned_root: &[u8], source: S, store: T) -> Result<Self, Error> {
        let roots = memory::walk_stored_roots(Roots::pinned(pinned_root)?, &store)?;
        let floors = memory::load_floors(&roots, &store)?;
        let delegated = BTreeMap::new();
        Ok(Self { source, store, roots, floors, ready: None, etag: None, delegated })
    }

    /// Versions trusted now; those of the last complete set, or else the floors.
    pub fn trusted_versions(&self) -> Versions {
        let floors = &self.floors;
        Versions {
            root: self.roots.version(),
            timestamp: floors.timestamp().map_or(0, |timestamp| timestamp.body.version),
            snapshot: floors.snapshot().map_or(0, |snapshot| snapshot.body.version),
            targets: self.ready.as_ref().map_or(0, |ready| ready.targets().body.version),
        }
    }

    /// The tag that a hub gives the timestamp of the last complete set, whichever mirror served it
    /// ([`crate::source::timestamp_etag`]).
    pub fn hub_etag(&self) -> Option<String> {
        let ready = self.ready.as_ref()?;
        Some(etag_of(self.roots.version(), ready.timestamp().digest()))
    }

    /// The keys that the newest root gives to `role`, after a complete and unexpired refresh: for
    /// what those keys sign beside the repository ([`crate::statement`]).
    pub fn keys(&self, role: TopRole, now: Timestamp) -> Result<&KeySet, Error> {
        Ok(self.fresh(now)?.roots().keys(role))
    }

    /// The last complete set, with every expiry re-checked.
    fn fresh(&self, now: Timestamp) -> Result<&Ready, Error> {
        let ready = self.ready.as_ref().ok_or(Error::NotRefreshed)?;
        ready.check_fresh(now)?;
        Ok(ready)
    }

    /// Fetches a whole file; none if the source says there is no such file.
    async fn fetch(&self, file: &FileName, max_bytes: u64) -> Result<Option<Vec<u8>>, Error> {
        let failed = |source| Error::Fetch { file: file.clone(), source };
        match self.source.fetch(file, max_bytes, None).await.map_err(failed)? {
            Fetched::Body { bytes, .. } => bounded(bytes, max_bytes).map(Some).map_err(failed),
            Fetched::NotFound => Ok(None),
            Fetched::NotModified => Err(failed(SourceError::Unconditional)),
        }
    }

    /// Fetches a file that signed metadata promises.
    async fn fetch_promised(&self, file: &FileName, max_bytes: u64) -> Result<Vec<u8>, Error> {
        let found = self.fetch(file, max_bytes).await?;
        found.ok_or_else(|| Error::Missing { file: file.clone() })
    }
}

/// The limit once more: the source is not trusted to keep it.
fn bounded(bytes: Vec<u8>, limit: u64) -> Result<Vec<u8>, SourceError> {
    let fits = u64::try_from(bytes.len()).is_ok_and(|length| length <= limit);
    if fits { Ok(bytes) } else { Err(SourceError::TooLarge { limit }) }
}
