//! After the snapshot: the top-level targets step (TUF 1.0.34 §5.6).

use super::{Floors, Ready, Timestamped, exactly, top};
use crate::error::Error;
use crate::metadata::{Document, MetaFile, Snapshot, Targets};
use crate::names::{FileName, TopRole};
use std::sync::Arc;

/// A trusted snapshot; the top-level targets are next.
#[derive(Debug, Clone)]
pub struct Snapshotted {
    pub(super) before: Timestamped,
    pub(super) snapshot: Arc<Document<Snapshot>>,
}

impl Snapshotted {
    /// The pin of the top-level targets.
    pub fn pin(&self) -> Result<&MetaFile, Error> {
        let role = top(TopRole::Targets);
        self.snapshot.body.pin(&role).ok_or(Error::RoleRemoved { role })
    }

    /// The name of the top-level targets file.
    pub fn file(&self) -> Result<FileName, Error> {
        Ok(self.before.roots.metadata_file(&top(TopRole::Targets), self.pin()?.version))
    }

    /// The bytes of the snapshot, to be kept.
    pub fn raw(&self) -> &[u8] {
        self.snapshot.raw()
    }

    /// Raises the floors to this snapshot.
    pub fn raise(&self, floors: &mut Floors) {
        floors.snapshot = Some(self.snapshot.clone());
    }

    /// Takes the top-level targets (§5.6).
    pub fn targets(&self, bytes: &[u8]) -> Result<Ready, Error> {
        // §5.6.2: the bytes the snapshot pins, as far as it pins bytes.
        let pin = self.pin()?;
        pin.check(&self.file()?, bytes)?;
        // §5.6.3: signatures. §5.6.4: version. §5.6.5: expiry.
        let targets = self.before.roots.signed::<Targets>(TopRole::Targets, bytes)?;
        exactly(&targets, pin.version)?;
        targets.check_expiry(self.before.now)?;
        Ok(Ready { before: self.clone(), targets })
    }
}
