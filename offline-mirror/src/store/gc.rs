//! Gives back the space of what no repository holds.
//!
//! What is *wanted* is decided elsewhere: every manifest of a repository stays, tagged or not, until
//! somebody deletes it (`prune` does, with reasons). A collection frees
//! 1. holds of a repository on blobs that none of its manifests needs,
//! 2. blobs that nobody holds, and the stretches of segments where they lay,
//! 3. pushes that nobody goes on with, and files that a killed process left behind.
//!
//! Each only after a grace, so that a push between its first blob and its manifest, and a client in
//! the middle of a download, lose nothing.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use rusqlite::{OptionalExtension as _, params};
use serde::Serialize;

use super::error::{During as _, Of as _, StoreError};
use super::manifests::parse_digest;
use super::{Exclusive, Store, files, holes};
use crate::oci::{Algorithm, Digest};

/// Blobs freed in one transaction: other writers wait for it.
const BATCH: usize = 200;
/// Files looked at in one folder of loose blobs; 256 folders share them evenly.
const FOLDER_ENTRIES_MAX: usize = 1_000_000;

/// How a collection goes about it.
#[derive(Debug, Clone, Copy)]
pub struct Gc {
    /// How long something must have been unwanted before it goes.
    pub grace: SignedDuration,
}

impl Gc {
    /// An hour: the longest that a push rests between two requests, or a client takes for one blob
    /// over a slow line of a site.
    pub const GRACE: SignedDuration = SignedDuration::from_hours(1);
}

/// What a collection did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct GcReport {
    /// Holds of repositories on blobs that none of their manifests needs.
    pub links_dropped: u64,
    /// Blobs that nobody held.
    pub blobs_removed: u64,
    /// Segments in which nothing is wanted any more.
    pub segments_removed: u64,
    /// Pushes that nobody went on with.
    pub uploads_removed: u64,
    /// Files that a killed process left behind.
    pub strays_removed: u64,
    /// Bytes of disk that were freed.
    pub bytes_freed: u64,
    /// Bytes in segments that nobody needs, and that stay because the bundle's directory still has
    /// the file under another name.
    pub bytes_shared: u64,
    /// Blobs that nobody holds and whose grace is not over.
    pub blobs_waiting: u64,
}

/// A segment to look at.
struct Candidate {
    id: i64,
    path: PathBuf,
    size: u64,
}

impl Store {
    /// Frees space. Safe beside pushes and pulls; takes its turn with imports.
    ///
    /// # Errors
    /// When a file or the database fails; what was freed until then stays freed.
    pub fn gc(&self, _turn: &Exclusive, gc: Gc, now: Timestamp) -> Result<GcReport, StoreError> {
        let before = now.checked_sub(gc.grace).unwrap_or(Timestamp::MIN);
        let mut report = GcReport::default();
        let (count, bytes) = self.forget_resting_uploads(before)?;
        report.uploads_removed = count;
        report.bytes_freed = bytes;
        report.links_dropped = self.drop_unneeded_links(before, now)?;
        while self.free_blobs(before, &mut report)? {}
        self.free_segments(before, &mut report)?;
        self.remove_strays(before, &mut report)?;
        self.forget_empty_repositories()?;
        report.blobs_waiting = self.read("count", |tx| {
            tx.query_row("SELECT count(*) FROM blobs WHERE unlinked_at NOT NULL", [], |r| r.get(0))
                .during("count")
        })?;
        Ok(report)
    }

    fn drop_unneeded_links(&self, before: Timestamp, now: Timestamp) -> Result<u64, StoreError> {
        let operation = "drop holds on blobs";
        self.write(operation, |tx| {
            let dropped = tx
                .execute(
                    "DELETE FROM links WHERE linked_at <= ?1 AND NOT EXISTS (SELECT 1 \
                     FROM children c JOIN blobs b ON b.digest = c.child \
                     WHERE c.repository = links.repository AND b.id = links.blob)",
                    [before.as_second()],
                )
                .during(operation)?;
            // Two phases: what is let go here is freed by a collection after another grace.
            tx.execute(
                "UPDATE blobs SET unlinked_at = ?1 WHERE unlinked_at IS NULL \
                 AND NOT EXISTS (SELECT 1 FROM links WHERE blob = id) \
                 AND NOT EXISTS (SELECT 1 FROM manifests WHERE blob = id)",
                [now.as_second()],
            )
            .during(operation)?;
            Ok(u64::try_from(dropped).unwrap_or(u64::MAX))
        })
    }

    /// One batch; says whether there may be more.
    fn free_blobs(&self, before: Timestamp, report: &mut GcReport) -> Result<bool, StoreError> {
        let operation = "free blobs";
        let freed: Vec<(i64, String, bool)> = self.write(operation, |tx| {
            let rows: Vec<(i64, String, bool)> = {
                let mut statement = tx
                    .prepare_cached(
                        "SELECT id, digest, is_loose FROM blobs WHERE unlinked_at <= ? LIMIT ?",
                    )
                    .during(operation)?;
                let rows = statement.query_map(params![before.as_second(), BATCH], |row| {
                    Ok((row.get(0)?, row.get(1)?, row.get(2)?))
                });
                rows.and_then(Iterator::collect).during(operation)?
            };
            for (id, _, _) in &rows {
                tx.execute(
                    "UPDATE segments SET has_dead = 1 WHERE id IN \
                     (SELECT segment FROM extents WHERE blob = ?)",
                    [id],
                )
                .during(operation)?;
                tx.execute("DELETE FROM blobs WHERE id = ?", [id]).during(operation)?;
            }
            Ok(rows)
        })?;
        for (_, digest, is_loose) in &freed {
            report.blobs_removed = report.blobs_removed.saturating_add(1);
            if *is_loose {
                let bytes = self.remove_forgotten(&parse_digest(digest)?)?;
                report.bytes_freed = report.bytes_freed.saturating_add(bytes);
            }
        }
        Ok(freed.len() == BATCH)
    }

    /// Deletes a loose file unless a push brought it back meanwhile.
    fn remove_forgotten(&self, digest: &Digest) -> Result<u64, StoreError> {
        let path = files::loose(self.dir(), digest);
        self.write("free a blob", |tx| {
            if super::blobs::find(tx, digest)?.is_some_and(|row| row.is_loose) {
                return Ok(0);
            }
            let bytes = holes::disk_bytes(&path);
            Ok(if files::remove(&path)? { bytes } else { 0 })
        })
    }

    fn free_segments(&self, before: Timestamp, report: &mut GcReport) -> Result<(), StoreError> {
        let operation = "look for dead stretches";
        let folder = self.dir().join(files::SEGMENTS);
        let candidates: Vec<Candidate> = self.read(operation, |tx| {
            let mut statement = tx
                .prepare_cached(
                    "SELECT id, path, size FROM segments WHERE has_dead = 1 AND adopted_at <= ?",
                )
                .during(operation)?;
            let rows = statement.query_map([before.as_second()], |row| {
                let path: String = row.get(1)?;
                Ok(Candidate { id: row.get(0)?, path: folder.join(path), size: row.get(2)? })
            });
            rows.and_then(Iterator::collect).during(operation)
        })?;
        for segment in candidates {
            self.free_segment(&segment, report)?;
        }
        Ok(())
    }

    fn free_segment(&self, segment: &Candidate, report: &mut GcReport) -> Result<(), StoreError> {
        let live = self.live(segment.id)?;
        let is_shared = segment.path.exists() && holes::is_shared(&segment.path)?;
        if live.is_empty() {
            let bytes = if is_shared { 0 } else { holes::disk_bytes(&segment.path) };
            self.write("forget a segment", |tx| {
                tx.execute("DELETE FROM segments WHERE id = ?", [segment.id])
                    .during("forget a segment")
            })?;
            files::remove(&segment.path)?;
            report.segments_removed = report.segments_removed.saturating_add(1);
            report.bytes_freed = report.bytes_freed.saturating_add(bytes);
            return Ok(());
        }
        let dead = holes::dead(&live, segment.size);
        if is_shared {
            let bytes = dead.iter().map(|hole| hole.end.saturating_sub(hole.start)).sum();
            report.bytes_shared = report.bytes_shared.saturating_add(bytes);
            return Ok(());
        }
        // First the word that bytes are missing, so that the segment is never taken for whole.
        if !dead.is_empty() {
            self.mark(segment.id, "UPDATE segments SET is_punched = 1 WHERE id = ?")?;
            let bytes = holes::punch(&segment.path, &dead)?;
            report.bytes_freed = report.bytes_freed.saturating_add(bytes);
        }
        self.mark(segment.id, "UPDATE segments SET has_dead = 0 WHERE id = ?")
    }

    fn mark(&self, segment: i64, sql: &'static str) -> Result<(), StoreError> {
        self.write("mark a segment", |tx| {
            tx.execute(sql, [segment]).during("mark a segment").map(|_| ())
        })
    }

    fn live(&self, segment: i64) -> Result<Vec<Range<u64>>, StoreError> {
        let operation = "look for live stretches";
        self.read(operation, |tx| {
            let mut statement = tx
                .prepare_cached("SELECT start, size FROM extents WHERE segment = ? ORDER BY start")
                .during(operation)?;
            let rows = statement.query_map([segment], |row| {
                let (start, size): (u64, u64) = (row.get(0)?, row.get(1)?);
                Ok(start..start.saturating_add(size))
            });
            rows.and_then(Iterator::collect).during(operation)
        })
    }

    /// Files that no row names: a process was killed between a file and its commit.
    fn remove_strays(&self, before: Timestamp, report: &mut GcReport) -> Result<(), StoreError> {
        for algorithm in Algorithm::ALL {
            let top = self.dir().join(files::BLOBS).join(algorithm.as_str());
            for folder in entries(&top)? {
                for path in entries(&folder)? {
                    let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
                    let digest = format!("{}:{name}", algorithm.as_str()).parse::<Digest>();
                    let Ok(digest) = digest else { continue };
                    if is_older(&path, before) && !self.is_known_loose(&digest)? {
                        let bytes = self.remove_forgotten(&digest)?;
                        report.strays_removed = report.strays_removed.saturating_add(1);
                        report.bytes_freed = report.bytes_freed.saturating_add(bytes);
                    }
                }
            }
        }
        let is_upload = "SELECT 1 FROM uploads WHERE id = ?";
        self.remove_unnamed(files::UPLOADS, is_upload, before, report)?;
        let is_segment = "SELECT 1 FROM segments WHERE path = ?";
        self.remove_unnamed(files::SEGMENTS, is_segment, before, report)
    }

    fn is_known_loose(&self, digest: &Digest) -> Result<bool, StoreError> {
        self.read("look for a blob", |tx| {
            Ok(super::blobs::find(tx, digest)?.is_some_and(|row| row.is_loose))
        })
    }

    fn remove_unnamed(
        &self,
        folder: &str,
        sql: &'static str,
        before: Timestamp,
        report: &mut GcReport,
    ) -> Result<(), StoreError> {
        for path in entries(&self.dir().join(folder))? {
            let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default().to_owned();
            if !is_older(&path, before) {
                continue;
            }
            self.write("look for strays", |tx| {
                let named =
                    tx.query_row(sql, [&name], |_| Ok(())).optional().during("look for strays")?;
                if named.is_none() {
                    let bytes = holes::disk_bytes(&path);
                    files::remove(&path)?;
                    report.strays_removed = report.strays_removed.saturating_add(1);
                    report.bytes_freed = report.bytes_freed.saturating_add(bytes);
                }
                Ok(())
            })?;
        }
        Ok(())
    }

    fn forget_empty_repositories(&self) -> Result<(), StoreError> {
        let operation = "forget empty repositories";
        self.write(operation, |tx| {
            tx.execute(
                "DELETE FROM repositories WHERE \
                 NOT EXISTS (SELECT 1 FROM links WHERE repository = repositories.id) AND \
                 NOT EXISTS (SELECT 1 FROM manifests WHERE repository = repositories.id) AND \
                 NOT EXISTS (SELECT 1 FROM uploads WHERE repository = repositories.id)",
                [],
            )
            .during(operation)?;
            Ok(())
        })
    }
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let listed = fs::read_dir(folder).of("list", folder)?;
    let entries: Result<Vec<_>, _> =
        listed.take(FOLDER_ENTRIES_MAX).map(|entry| entry.map(|e| e.path())).collect();
    entries.of("list", folder)
}

/// Whether a file was last changed at or before `before`; one that cannot be asked is young.
fn is_older(path: &Path, before: Timestamp) -> bool {
    let modified = fs::symlink_metadata(path).and_then(|meta| meta.modified()).ok();
    modified.and_then(|at| Timestamp::try_from(at).ok()).is_some_and(|at| at <= before)
}
