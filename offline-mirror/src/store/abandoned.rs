//! Pushes that nobody goes on with: their bytes go, and their places become free.
//!
//! A push rests since its last byte came, which is when its file was last changed. One that a request
//! writes to never rests, however slowly its bytes come: its file is locked.

use std::fs::{self, File};
use std::io::ErrorKind;

use jiff::{SignedDuration, Timestamp};

use super::error::{During as _, Of as _, StoreError};
use super::uploads::{self, UPLOADS_MAX};
use super::{Store, UploadId, files, lock};

/// Without a collection, a push is forgotten after this rest. A person who was interrupted in the
/// evening goes on within it.
const UPLOAD_REST: SignedDuration = SignedDuration::from_hours(48);
/// Where no place is left, the rest after which a push makes room: clients go on within seconds, or
/// after the minute that the registry waits for bytes.
const ROOM_REST: SignedDuration = SignedDuration::from_mins(10);
/// Pushes that make room at once, so that not every new one looks through all of them.
const ROOM: usize = 64;

/// A push that nobody ended, as it was listed.
struct Resting {
    id: UploadId,
    since: Timestamp,
    bytes: u64,
}

impl Store {
    /// Forgets pushes that nobody went on with for two days before `now`; says how many, and how many
    /// bytes they had.
    ///
    /// # Errors
    /// When a file or the database fails.
    pub fn forget_abandoned_uploads(&self, now: Timestamp) -> Result<(u64, u64), StoreError> {
        self.forget_resting_uploads(now.checked_sub(UPLOAD_REST).unwrap_or(Timestamp::MIN))
    }

    /// Forgets pushes that rest since `before`; says how many, and how many bytes they had.
    pub(super) fn forget_resting_uploads(
        &self,
        before: Timestamp,
    ) -> Result<(u64, u64), StoreError> {
        let (mut count, mut bytes) = (0_u64, 0_u64);
        for resting in self.resting_uploads(before)? {
            if self.forget_if_resting(&resting)? {
                count = count.saturating_add(1);
                bytes = bytes.saturating_add(resting.bytes);
            }
        }
        Ok((count, bytes))
    }

    /// Makes room for another push where there is none: the ones that rest longest go.
    pub(super) fn make_room_for_upload(&self, now: Timestamp) -> Result<(), StoreError> {
        let operation = "count uploads";
        let count: u64 = self.read(operation, |tx| {
            tx.query_row("SELECT count(*) FROM uploads", [], |row| row.get(0)).during(operation)
        })?;
        if count < UPLOADS_MAX {
            return Ok(());
        }
        let before = now.checked_sub(ROOM_REST).unwrap_or(Timestamp::MIN);
        for resting in self.resting_uploads(before)?.into_iter().take(ROOM) {
            self.forget_if_resting(&resting)?;
        }
        Ok(())
    }

    /// Pushes that rest since `before`, the one that rests longest first.
    fn resting_uploads(&self, before: Timestamp) -> Result<Vec<Resting>, StoreError> {
        let operation = "list uploads";
        let begun: Vec<(String, i64)> = self.read(operation, |tx| {
            let mut statement =
                tx.prepare_cached("SELECT id, started_at FROM uploads").during(operation)?;
            let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
            rows.and_then(Iterator::collect).during(operation)
        })?;
        let mut resting = Vec::new();
        for (id, started_at) in begun {
            let Ok(id) = id.parse() else {
                return Err(StoreError::Corrupt { what: "an upload", value: id });
            };
            let meta = fs::symlink_metadata(self.upload_path(id)).ok();
            let bytes = meta.as_ref().map_or(0, fs::Metadata::len);
            let changed = meta.as_ref().and_then(changed_at);
            // Without a file it was never written to, or is being ended.
            let began = || Timestamp::from_second(started_at).unwrap_or(Timestamp::MIN);
            let since = changed.unwrap_or_else(began);
            if since <= before {
                resting.push(Resting { id, since, bytes });
            }
        }
        resting.sort_by_key(|one| one.since);
        Ok(resting)
    }

    /// Says whether it is forgotten: not while a request writes to it, nor when one did since it was
    /// listed.
    fn forget_if_resting(&self, resting: &Resting) -> Result<bool, StoreError> {
        let path = self.upload_path(resting.id);
        // Held until its row and its file are gone.
        let file = match File::options().read(true).write(true).open(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            opened => Some(opened.of("open", &path)?),
        };
        if let Some(file) = &file {
            match uploads::lock_file(file, resting.id, &path) {
                Err(StoreError::UploadBusy { .. }) => return Ok(false),
                locked => locked?,
            }
            let meta = file.metadata().of("look at", &path)?;
            if changed_at(&meta).is_some_and(|at| at > resting.since) {
                return Ok(false);
            }
        }
        self.forget_upload(resting.id)?;
        Ok(true)
    }

    pub(super) fn forget_upload(&self, id: UploadId) -> Result<(), StoreError> {
        self.write("forget an upload", |tx| {
            tx.execute("DELETE FROM uploads WHERE id = ?", [id.to_string()])
                .during("forget an upload")
        })?;
        lock(&self.0.uploads).remove(&id);
        files::remove(&self.upload_path(id)).map(|_| ())
    }
}

fn changed_at(meta: &fs::Metadata) -> Option<Timestamp> {
    meta.modified().ok().and_then(|at| Timestamp::try_from(at).ok())
}
