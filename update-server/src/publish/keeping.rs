//! Where sets are kept: in the data directory alone, or in the database that replicas share, with the
//! directory as this replica's copy.
//!
//! In a shared repository every change begins with the right to publish, which one replica has at a
//! time, and with the newest set of the others: whatever is signed follows what any replica signed.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use signing::{FileName, StagedRepository};

use super::disk::Disk;
use super::error::PublishError;
use super::{KEPT_SETS, State};
use crate::store::PublishTurn;

/// A file of a set: its path below the repository's directory, and its bytes.
pub(super) type FileBytes = (String, Arc<[u8]>);

/// The right to change the repository.
pub(super) enum Turn<'t> {
    /// Nobody else has this repository.
    Alone,
    /// Until it is committed, no other replica publishes.
    Shared(PublishTurn<'t>),
}

impl Turn<'_> {
    /// Makes `served` the newest set: writes what is new of it, in the order in which readers of the
    /// directory may see it. Says whether every file is in its place on this machine's disk.
    pub(super) fn commit(
        self,
        disk: &Disk,
        state: &mut State,
        served: &StagedRepository,
        now: Timestamp,
    ) -> Result<bool, PublishError> {
        let known: BTreeSet<String> = state
            .files
            .iter()
            .filter(|(_, file)| file.immutable)
            .map(|(name, _)| name.relative_path())
            .collect();
        let mut order = served.write_order();
        order.retain(|(path, _)| !known.contains(path));
        let turn = match self {
            Self::Alone => return disk.commit(&order),
            Self::Shared(turn) => turn,
        };
        let stays: BTreeSet<String> =
            served.files().map(|(name, _)| name.relative_path()).collect();
        let gone = known.difference(&stays).cloned().collect();
        let keep = u64::try_from(KEPT_SETS).unwrap_or(u64::MAX);
        state.generation = turn.commit(&order, &gone, keep, now)?;
        Ok(copy(disk, &order))
    }
}

/// Writes files of a set that the database holds already. Trouble is logged, and mended by the next
/// start: this replica serves the set from memory all the same.
pub(super) fn copy(disk: &Disk, files: &[(String, Arc<[u8]>)]) -> bool {
    disk.commit(files).unwrap_or_else(|error| {
        tracing::error!(error = error.chain(), "the set is served, but not copied to the disk");
        false
    })
}

/// The files that the disk does not have with these bytes.
pub(super) fn missing(disk: &Disk, files: Vec<FileBytes>) -> Result<Vec<FileBytes>, PublishError> {
    let mut missing = Vec::new();
    for (path, bytes) in files {
        let name = FileName::from_relative_path(&path)
            .map_err(|error| PublishError::Damaged { what: format!("{path}: {error}") })?;
        if disk.read(&name)?.is_none_or(|found| *found != *bytes) {
            missing.push((path, bytes));
        }
    }
    Ok(missing)
}
