//! After the timestamp: the snapshot step (TUF 1.0.34 §5.5).

use super::{Floors, Roots, Snapshotted, exactly, top};
use crate::error::Error;
use crate::metadata::{Document, MetaFile, Snapshot, TimestampMetadata};
use crate::names::{FileName, RoleName, TopRole};
use jiff::Timestamp;
use std::sync::Arc;

/// A trusted timestamp; the snapshot is next.
#[derive(Debug, Clone)]
pub struct Timestamped {
    pub(super) roots: Roots,
    pub(super) timestamp: Arc<Document<TimestampMetadata>>,
    /// The update's one time (§5.1), with the floor applied.
    pub(super) now: Timestamp,
}

impl Timestamped {
    /// The pin of the snapshot.
    pub fn pin(&self) -> &MetaFile {
        self.timestamp.body.snapshot()
    }

    /// The name of the snapshot file.
    pub fn file(&self) -> FileName {
        self.roots.metadata_file(&top(TopRole::Snapshot), self.pin().version)
    }

    /// The bytes of the timestamp, to be kept.
    pub fn raw(&self) -> &[u8] {
        self.timestamp.raw()
    }

    /// Whether this timestamp is the one `floors` already holds.
    pub fn is_in(&self, floors: &Floors) -> bool {
        floors.timestamp.as_ref().is_some_and(|kept| Arc::ptr_eq(kept, &self.timestamp))
    }

    /// Raises the floors to this timestamp.
    pub fn raise(&self, floors: &mut Floors) {
        floors.timestamp = Some(self.timestamp.clone());
    }

    /// Takes the snapshot (§5.5).
    pub fn snapshot(&self, bytes: &[u8], floors: &Floors) -> Result<Snapshotted, Error> {
        // §5.5.2: the bytes the timestamp pins.
        self.pin().check(&self.file(), bytes)?;
        // §5.5.3: signatures.
        let snapshot = self.roots.signed::<Snapshot>(TopRole::Snapshot, bytes)?;
        // §5.5.4: the version the timestamp pins.
        exactly(&snapshot, self.pin().version)?;
        // §5.5.5: no targets role goes back or vanishes.
        if let Some(trusted) = &floors.snapshot {
            not_rolled_back(&trusted.body, &snapshot.body)?;
        }
        // §5.5.6: expiry.
        snapshot.check_expiry(self.now)?;
        Ok(Snapshotted { before: self.clone(), snapshot })
    }
}

fn not_rolled_back(trusted: &Snapshot, new: &Snapshot) -> Result<(), Error> {
    for (file, pin) in &trusted.meta {
        let role = || {
            let name = file.strip_suffix(".json").unwrap_or(file);
            RoleName::new(name).unwrap_or(top(TopRole::Targets))
        };
        let Some(found) = new.meta.get(file) else {
            return Err(Error::RoleRemoved { role: role() });
        };
        if found.version < pin.version {
            let (found, floor) = (found.version, pin.version);
            return Err(Error::Rollback { role: role(), found, floor });
        }
    }
    Ok(())
}
