//! Hashes what the store has and looks whether everything is where the database says.

use std::path::PathBuf;

use jiff::Timestamp;
use serde::Serialize;

use super::error::{During as _, StoreError};
use super::manifests::parse_digest;
use super::read::BlobReader;
use super::{Exclusive, Store, blobs};
use crate::oci::{Digest, Hasher, INDEX_TYPES};

/// Damaged places that are named; more than this is a broken disk.
const DAMAGES_MAX: usize = 1000;
/// Rows looked up at once.
const PAGE: usize = 500;
/// Blobs marked in one commit: other writers wait for it.
const BATCH: usize = 200;
/// Threads that hash; more than this only makes a disk seek.
const THREADS_MAX: usize = 4;
const SECONDS_PER_DAY: i64 = 24 * 60 * 60;

/// How much is hashed.
#[derive(Debug, Clone, Copy)]
pub struct Fsck {
    /// Share of the blobs, 1 to 100. Less than all of them takes other ones every day, so that all
    /// have their turn within 100 / `percent` days.
    pub percent: u8,
}

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Damage {
    /// The blob or manifest.
    pub digest: Digest,
    /// File that holds it, or its first damaged piece.
    pub file: Option<PathBuf>,
    /// Offset in that file where the bytes that were looked at begin.
    pub offset: Option<u64>,
    /// What is wrong.
    pub why: String,
}

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct FsckReport {
    /// Blobs hashed.
    pub blobs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Blobs that had no turn.
    pub skipped: u64,
    /// What is wrong; none when all is well.
    pub damages: Vec<Damage>,
    /// Blobs that were marked as damaged, so that their bytes can be brought again.
    pub forgotten: u64,
}

/// Something that a manifest points at and its repository does not hold.
#[derive(Debug, Clone, Default)]
struct Absent {
    child: String,
    repository: String,
    manifest: String,
}

impl FsckReport {
    /// Whether nothing is wrong.
    pub fn is_sound(&self) -> bool {
        self.damages.is_empty()
    }

    fn add(&mut self, other: Self) {
        self.blobs = self.blobs.saturating_add(other.blobs);
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.skipped = self.skipped.saturating_add(other.skipped);
        self.damages.extend(other.damages);
        self.damages.truncate(DAMAGES_MAX);
        self.forgotten = self.forgotten.saturating_add(other.forgotten);
    }
}

impl Store {
    /// Hashes blobs and compares them with their digests; `seen` is called with the bytes done so
    /// far. Safe beside everything else.
    ///
    /// # Errors
    /// When the database cannot be read; damage is no error but a finding.
    pub fn fsck(
        &self,
        fsck: Fsck,
        now: Timestamp,
        mut seen: impl FnMut(u64),
    ) -> Result<FsckReport, StoreError> {
        let mut report = FsckReport::default();
        let mut after = String::new();
        loop {
            let page = self.page(&after)?;
            let Some((last, _)) = page.last() else { break };
            after = last.to_string();
            let (turn, skipped): (Vec<_>, Vec<_>) =
                page.into_iter().partition(|(digest, _)| has_turn(digest, fsck.percent, now));
            report.skipped =
                report.skipped.saturating_add(u64::try_from(skipped.len()).unwrap_or(u64::MAX));
            report.add(self.hash_all(&turn)?);
            seen(report.bytes);
        }
        report.damages.extend(self.missing_children()?);
        let why = "it was damaged, and nobody has brought it again";
        let marked = self.marked()?.into_iter().map(|digest| {
            let why = why.to_owned();
            Damage { digest, file: None, offset: None, why }
        });
        report.damages.extend(marked);
        report.damages.truncate(DAMAGES_MAX);
        Ok(report)
    }

    /// Marks what a check found damaged: it is as good as absent from then on, until an import or a
    /// push brings its bytes, and repositories go on holding it. A segment that held such a blob is
    /// taken over anew when its bundle comes again.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn forget_damaged(
        &self,
        _turn: &Exclusive,
        report: &mut FsckReport,
    ) -> Result<(), StoreError> {
        let operation = "mark what is damaged";
        for batch in report.damages.chunks(BATCH) {
            let marked = self.write(operation, |tx| {
                let mut marked = 0_u64;
                for damage in batch {
                    // What never came, or was marked earlier, is not found.
                    let Some(row) = blobs::find(tx, &damage.digest)? else { continue };
                    tx.execute(
                        "UPDATE segments SET is_punched = 1, has_dead = 1 WHERE id IN \
                         (SELECT segment FROM extents WHERE blob = ?)",
                        [row.id],
                    )
                    .and_then(|_| tx.execute("DELETE FROM extents WHERE blob = ?", [row.id]))
                    .and_then(|_| {
                        tx.execute("UPDATE blobs SET is_damaged = 1 WHERE id = ?", [row.id])
                    })
                    .during(operation)?;
                    marked = marked.saturating_add(1);
                }
                Ok(marked)
            })?;
            report.forgotten = report.forgotten.saturating_add(marked);
        }
        Ok(())
    }

    /// What is marked and still held.
    fn marked(&self) -> Result<Vec<Digest>, StoreError> {
        let operation = "list what is marked as damaged";
        let rows: Vec<String> = self.read(operation, |tx| {
            let mut statement = tx
                .prepare_cached(
                    "SELECT digest FROM blobs WHERE is_damaged = 1 AND unlinked_at IS NULL \
                     ORDER BY digest LIMIT ?",
                )
                .during(operation)?;
            let rows = statement.query_map([DAMAGES_MAX], |row| row.get(0));
            rows.and_then(Iterator::collect).during(operation)
        })?;
        rows.iter().map(|text| parse_digest(text)).collect()
    }

    fn page(&self, after: &str) -> Result<Vec<(Digest, u64)>, StoreError> {
        let operation = "list blobs";
        let rows: Vec<(String, u64)> = self.read(operation, |tx| {
            let mut statement = tx
                .prepare_cached(
                    "SELECT digest, size FROM blobs WHERE digest > ? AND is_damaged = 0 \
                     ORDER BY digest LIMIT ?",
                )
                .during(operation)?;
            let rows = statement
                .query_map(rusqlite::params![after, PAGE], |row| Ok((row.get(0)?, row.get(1)?)));
            rows.and_then(Iterator::collect).during(operation)
        })?;
        rows.into_iter().map(|(text, size)| Ok((parse_digest(&text)?, size))).collect()
    }

    fn hash_all(&self, blobs: &[(Digest, u64)]) -> Result<FsckReport, StoreError> {
        let threads = std::thread::available_parallelism().map_or(1, usize::from).min(THREADS_MAX);
        let next = std::sync::atomic::AtomicUsize::new(0);
        let work = || {
            let mut report = FsckReport::default();
            loop {
                let index = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                let Some((digest, _)) = blobs.get(index) else { return Ok(report) };
                report.add(self.hash_one(digest)?);
            }
        };
        std::thread::scope(|scope| {
            let running: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
            let mut report = FsckReport::default();
            for thread in running {
                match thread.join() {
                    Ok(done) => report.add(done?),
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
            Ok(report)
        })
    }

    fn hash_one(&self, digest: &Digest) -> Result<FsckReport, StoreError> {
        let reader = self.read("find a blob", |tx| match blobs::find(tx, digest)? {
            Some(row) => self.reader_of(tx, digest, row, None).map(Some),
            None => Ok(None),
        })?;
        // Collected since it was listed.
        let Some(reader) = reader else { return Ok(FsckReport::default()) };
        let start = reader.position();
        let mut report = FsckReport { blobs: 1, ..FsckReport::default() };
        let why = match hash(reader, digest, &mut report.bytes) {
            Ok(found) if found == *digest => return Ok(report),
            Ok(found) => format!("its bytes have the digest {found}"),
            // Nobody may read it here: that says nothing about its bytes.
            Err(error) if is_forbidden(&error) => return Err(error),
            Err(error) => chain(&error),
        };
        // Collected while it was read.
        if self.stat(digest)?.is_none() {
            return Ok(FsckReport::default());
        }
        let (file, offset) = start.unzip();
        report.damages.push(Damage { digest: *digest, file, offset, why });
        Ok(report)
    }

    /// Config and layers that manifests need and that their repository does not hold, each once per
    /// repository. Children of an index may be absent, and layers that registries need not hold are
    /// told apart by reading the manifest.
    fn missing_children(&self) -> Result<Vec<Damage>, StoreError> {
        let mut missing: Vec<Damage> = Vec::new();
        let mut after = Absent::default();
        loop {
            let page = self.absent_children(&after)?;
            let Some(last) = page.last() else { return Ok(missing) };
            after = last.clone();
            let mut named: Option<Absent> = None;
            for absent in page {
                let same = |named: &Absent| {
                    named.child == absent.child && named.repository == absent.repository
                };
                let digest = parse_digest(&absent.child)?;
                if named.as_ref().is_some_and(same)
                    || !self.needs(&parse_digest(&absent.manifest)?, &digest)?
                {
                    continue;
                }
                let Absent { repository, manifest, .. } = &absent;
                let why =
                    format!("{repository} does not have it, and manifest {manifest} needs it");
                missing.push(Damage { digest, file: None, offset: None, why });
                if missing.len() >= DAMAGES_MAX {
                    return Ok(missing);
                }
                named = Some(absent);
            }
        }
    }

    /// A page of what images point at and their repository does not hold, behind `after`.
    fn absent_children(&self, after: &Absent) -> Result<Vec<Absent>, StoreError> {
        let operation = "look for missing blobs";
        let [oci_index, docker_index] = INDEX_TYPES;
        self.read(operation, |tx| {
            let mut statement = tx
                .prepare_cached(
                    "SELECT c.child, r.name, d.digest FROM children c \
                     JOIN manifests m ON m.repository = c.repository AND m.blob = c.manifest \
                     JOIN repositories r ON r.id = c.repository JOIN blobs d ON d.id = c.manifest \
                     WHERE m.media_type NOT IN (?1, ?2) \
                     AND (c.child, r.name, d.digest) > (?3, ?4, ?5) \
                     AND NOT EXISTS (SELECT 1 FROM blobs b WHERE b.digest = c.child AND \
                       (EXISTS (SELECT 1 FROM links l \
                          WHERE l.repository = c.repository AND l.blob = b.id) \
                        OR EXISTS (SELECT 1 FROM manifests o \
                          WHERE o.repository = c.repository AND o.blob = b.id))) \
                     ORDER BY c.child, r.name, d.digest LIMIT ?6",
                )
                .during(operation)?;
            let Absent { child, repository, manifest } = after;
            let from =
                rusqlite::params![oci_index, docker_index, child, repository, manifest, PAGE];
            let rows = statement.query_map(from, |row| {
                Ok(Absent { child: row.get(0)?, repository: row.get(1)?, manifest: row.get(2)? })
            });
            rows.and_then(Iterator::collect).during(operation)
        })
    }

    fn needs(&self, manifest: &Digest, child: &Digest) -> Result<bool, StoreError> {
        let Some(reader) = self.reader(manifest, None)? else { return Ok(false) };
        // Damage of the manifest itself has been reported.
        let Ok(bytes) = reader.read_all(crate::oci::MANIFEST_BYTES_MAX) else { return Ok(false) };
        let Ok(parsed) = crate::oci::Manifest::parse(&bytes) else { return Ok(false) };
        Ok(parsed.blobs().any(|blob| blob.digest == *child && !blob.may_be_elsewhere()))
    }
}

fn hash(mut reader: BlobReader, digest: &Digest, bytes: &mut u64) -> Result<Digest, StoreError> {
    let mut hasher = Hasher::new(digest.algorithm());
    while let Some(piece) = reader.next_piece()? {
        hasher.update(&piece);
        *bytes = bytes.saturating_add(u64::try_from(piece.len()).unwrap_or(u64::MAX));
    }
    Ok(hasher.finish())
}

/// Spreads blobs over days by the first bytes of their digests.
fn has_turn(digest: &Digest, percent: u8, now: Timestamp) -> bool {
    let hex = digest.hex();
    let number = hex.get(..4).and_then(|head| u16::from_str_radix(head, 16).ok()).unwrap_or(0);
    let day = now.as_second().div_euclid(SECONDS_PER_DAY);
    let shift = day.saturating_mul(i64::from(percent)).rem_euclid(100);
    (i64::from(number % 100) + 100 - shift) % 100 < i64::from(percent)
}

fn is_forbidden(error: &StoreError) -> bool {
    let denied = std::io::ErrorKind::PermissionDenied;
    matches!(error, StoreError::File { source, .. } if source.kind() == denied)
}

fn chain(error: &StoreError) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
