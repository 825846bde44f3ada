//! The hub as a client found it just now, for a view to be made from.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use signing::metadata::{Document, Root, Snapshot};
use signing::{
    Client, DirStore, FileName, MemSource, MemStore, Recording, Source, TopRole, Versions,
};

use crate::belief::check_same;
use crate::error::Error;
use crate::metadata::trust;

/// Files by name.
pub(crate) type Files = BTreeMap<FileName, Vec<u8>>;

/// What a client that started from `root` fetched, and the versions it ended at.
pub(crate) struct Hub<'a> {
    /// The pinned root.
    pub(crate) root: &'a [u8],
    /// Everything that was fetched.
    pub(crate) files: Files,
    /// What was believed of it.
    pub(crate) found: Versions,
}

/// What a view is made from.
pub(super) struct Origin {
    /// The hub's newest root.
    pub(super) root: Document<Root>,
    /// The hub's snapshot.
    pub(super) snapshot: Document<Snapshot>,
}

impl<'a> Hub<'a> {
    /// Reads the hub's top-level roles over `source`, as an agent that pinned `root` does.
    pub(super) async fn refreshed<S: Source>(
        root: &'a [u8],
        source: S,
        now: Timestamp,
    ) -> Result<Self, Error> {
        let recording = Recording::new(source);
        let mut client =
            Client::open(root, &recording, MemStore::new()).map_err(trust("the pinned root"))?;
        let pinned = client.trusted_versions().root;
        recording.add(FileName::root(pinned), root.to_vec());
        client.refresh(now).await.map_err(trust("the hub's repository"))?;
        let found = client.trusted_versions();
        Ok(Self { root, files: recording.files(), found })
    }

    /// Refuses a hub that is older than `seen` remembers, and remembers this one. Otherwise a
    /// mirror could have a view made over the keys of a root that the hub has long replaced.
    pub(super) async fn no_older_than(&self, seen: &Path, now: Timestamp) -> Result<(), Error> {
        let store =
            DirStore::open(seen).map_err(|source| Error::State { dir: seen.to_owned(), source })?;
        let mut floors = Client::open(self.root, as_source(&self.files), store)
            .map_err(trust("the pinned root, or what the view has seen of the hub,"))?;
        floors.refresh(now).await.map_err(trust("the hub's repository"))?;
        check_same(floors.trusted_versions(), self.found).map_err(trust("the hub's repository"))
    }

    /// The documents that the client believed; their signatures are checked once more, because
    /// files are kept whether or not they were believed.
    pub(super) fn origin(&self) -> Result<Origin, Error> {
        self.read().map_err(trust("the hub's repository"))
    }

    fn read(&self) -> Result<Origin, signing::Error> {
        let file = |role: TopRole, version| {
            let versioned = FileName::Metadata { role: role.into(), version: Some(version) };
            let plain = FileName::Metadata { role: role.into(), version: None };
            let found = self.files.get(&versioned).or_else(|| self.files.get(&plain));
            found.ok_or(signing::Error::Missing { file: versioned })
        };
        let root = file(TopRole::Root, self.found.root)?;
        let root = Document::<Root>::parse(&TopRole::Root.into(), root)?;
        let snapshot = file(TopRole::Snapshot, self.found.snapshot)?;
        let snapshot = Document::<Snapshot>::parse(&TopRole::Snapshot.into(), snapshot)?;
        snapshot.verify(root.body.keys(TopRole::Snapshot))?;
        for (role, found, expected) in [
            (TopRole::Root, root.body.version, self.found.root),
            (TopRole::Snapshot, snapshot.body.version, self.found.snapshot),
        ] {
            if found != expected {
                return Err(signing::Error::Version { role: role.into(), found, expected });
            }
        }
        Ok(Origin { root, snapshot })
    }
}

/// The files as a repository in memory.
pub(super) fn as_source(files: &Files) -> MemSource {
    let shared = |(name, bytes): (&FileName, &Vec<u8>)| {
        (name.relative_path(), Arc::<[u8]>::from(bytes.as_slice()))
    };
    MemSource::new(files.iter().map(shared).collect())
}
