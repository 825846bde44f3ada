//! Tar segments of bundles, taken over as they are.
//!
//! A segment is linked into the store, so that its bytes exist once; on another file system it is
//! copied once. What was linked keeps its name in the bundle's directory, and both names are one
//! file: it becomes read-only, and space inside it is not given back while the other name exists.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rusqlite::{OptionalExtension as _, Transaction, params};
use signing::Sha256Digest;

use super::error::{During as _, Of as _, StoreError};
use super::{Exclusive, Store, files};

/// How a segment is taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Adopt {
    /// By hard link, or by one copy where the file systems differ.
    LinkOrCopy,
    /// By one copy, so that the bundle's own file may be written to or carried on.
    Copy,
}

/// Which segment it is: the same one is never adopted twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentName {
    /// Digest of the bundle's signed manifest.
    pub bundle: Sha256Digest,
    /// File name inside the set, without folders.
    pub file: String,
}

/// A segment in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SegmentId(pub(super) i64);

/// A segment's row.
struct Row {
    id: i64,
    generation: u32,
    is_punched: bool,
}

impl Store {
    /// Takes over the segment at `path`. The same segment again is the same id, unless space inside
    /// it was given back meanwhile; then it is taken over anew.
    ///
    /// Whoever takes over by copy hashes [`Store::segment_path`], not the source: a copy from a bad
    /// medium may differ.
    ///
    /// # Errors
    /// When the file cannot be linked, copied or made durable.
    pub fn adopt_segment(
        &self,
        _turn: &Exclusive,
        path: &Path,
        name: &SegmentName,
        how: Adopt,
        now: Timestamp,
    ) -> Result<SegmentId, StoreError> {
        let size = regular_file_size(path)?;
        let newest = self.read("look for a segment", |tx| find(tx, name))?;
        let generation = match newest {
            Some(row) if !row.is_punched => return Ok(SegmentId(row.id)),
            Some(row) => row.generation.saturating_add(1),
            None => 0,
        };
        let relative = relative_path(name, generation)?;
        let target = self.dir().join(files::SEGMENTS).join(&relative);
        place(path, &target, how)?;
        let found = regular_file_size(&target)?;
        if found != size {
            return Err(StoreError::Corrupt {
                what: "a segment of size",
                value: found.to_string(),
            });
        }
        self.write("adopt a segment", |tx| {
            tx.execute(
                "INSERT INTO segments (bundle, file, generation, path, size, adopted_at) \
                 VALUES (?, ?, ?, ?, ?, ?)",
                params![
                    name.bundle.to_string(),
                    name.file,
                    generation,
                    relative,
                    size,
                    now.as_second()
                ],
            )
            .during("adopt a segment")?;
            Ok(SegmentId(tx.last_insert_rowid()))
        })
    }

    /// Where a segment lies.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn segment_path(&self, id: SegmentId) -> Result<PathBuf, StoreError> {
        let path: String = self.read("find a segment", |tx| {
            tx.query_row("SELECT path FROM segments WHERE id = ?", [id.0], |row| row.get(0))
                .during("find a segment")
        })?;
        Ok(self.dir().join(files::SEGMENTS).join(path))
    }

    /// Whether taking over a segment from `dir` needs no space: both are on one file system.
    pub fn can_link_from(&self, dir: &Path) -> bool {
        use std::os::unix::fs::MetadataExt as _;
        let device = |path: &Path| fs::metadata(path).map(|meta| meta.dev()).ok();
        device(dir).is_some_and(|there| Some(there) == device(self.dir()))
    }
}

fn find(tx: &Transaction<'_>, name: &SegmentName) -> Result<Option<Row>, StoreError> {
    tx.prepare_cached(
        "SELECT id, generation, is_punched FROM segments WHERE bundle = ? AND file = ? \
         ORDER BY generation DESC LIMIT 1",
    )
    .and_then(|mut statement| {
        statement
            .query_row(params![name.bundle.to_string(), name.file], |row| {
                Ok(Row { id: row.get(0)?, generation: row.get(1)?, is_punched: row.get(2)? })
            })
            .optional()
    })
    .during("look for a segment")
}

/// `<16 hex digits of the bundle>-<file>`, so that a person sees what it is.
fn relative_path(name: &SegmentName, generation: u32) -> Result<String, StoreError> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    if name.file.is_empty() || name.file.starts_with('.') || !name.file.bytes().all(plain) {
        return Err(StoreError::Corrupt { what: "a segment called", value: name.file.clone() });
    }
    let bundle: String = hex::encode(name.bundle.as_bytes()).chars().take(16).collect();
    Ok(match generation {
        0 => format!("{bundle}-{}", name.file),
        later => format!("{bundle}-{later}-{}", name.file),
    })
}

fn regular_file_size(path: &Path) -> Result<u64, StoreError> {
    let meta = fs::symlink_metadata(path).of("look at", path)?;
    if meta.is_file() {
        return Ok(meta.len());
    }
    Err(io::Error::other("it is not a regular file")).of("adopt", path)
}

/// Links or copies; what an interrupted run left at `target` is in nobody's use and goes.
fn place(path: &Path, target: &Path, how: Adopt) -> Result<(), StoreError> {
    let partial = target.with_extension("partial");
    files::remove(&partial)?;
    files::remove(target)?;
    if how == Adopt::LinkOrCopy {
        match fs::hard_link(path, target) {
            Ok(()) => {
                File::open(target).and_then(|file| file.sync_all()).of("sync", target)?;
                files::make_read_only(target)?;
                return files::sync_parent(target);
            }
            // Another file system, or one without hard links (the sticks bundles travel on).
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::CrossesDevices
                        | io::ErrorKind::Unsupported
                        | io::ErrorKind::PermissionDenied
                        | io::ErrorKind::TooManyLinks
                ) => {}
            Err(error) => return Err(error).of("link", target),
        }
    }
    let copied = copy(path, &partial);
    if copied.is_err() {
        files::remove(&partial)?;
    }
    copied?;
    files::put_in_place(&partial, target)
}

fn copy(path: &Path, partial: &Path) -> Result<(), StoreError> {
    let mut from = File::open(path).of("open", path)?;
    let mut to = File::options().write(true).create_new(true).open(partial).of("make", partial)?;
    io::copy(&mut from, &mut to).of("copy to", partial)?;
    to.sync_all().of("sync", partial)
}
