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
    /// By one copy, as where the file systems differ.
    #[cfg(test)]
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

/// A segment that was taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Adopted {
    /// Its id.
    pub segment: SegmentId,
    /// Whether its file was hashed: it is the very file that the caller hashed, or
    /// [`Store::note_checked`] said so earlier.
    pub is_checked: bool,
}

/// A segment's row.
struct Row {
    id: i64,
    generation: u32,
    is_punched: bool,
    is_checked: bool,
}

impl Row {
    /// Which generation the segment gets when it is taken over anew.
    fn next_generation(newest: Option<&Self>) -> u32 {
        newest.map_or(0, |row| row.generation.saturating_add(1))
    }
}

impl Store {
    /// Takes over the segment at `path`. The same segment again is the same id, unless space inside
    /// it was given back meanwhile; then it is taken over anew.
    ///
    /// What is not checked has to be hashed where it lies ([`Store::segment_path`]) before anything
    /// in it is indexed, since a copy from a bad medium may differ; then [`Store::note_checked`] or
    /// [`Store::forget_segment`]. An earlier run may have been killed between copy and check.
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
    ) -> Result<Adopted, StoreError> {
        let size = regular_file_size(path)?;
        let newest = self.read("look for a segment", |tx| find(tx, name))?;
        if let Some(row) = newest.as_ref().filter(|row| !row.is_punched) {
            return Ok(Adopted { segment: SegmentId(row.id), is_checked: row.is_checked });
        }
        let generation = Row::next_generation(newest.as_ref());
        let relative = relative_path(name, generation)?;
        let target = self.dir().join(files::SEGMENTS).join(&relative);
        let is_checked = place(path, &target, how)? == Placed::Linked;
        let found = regular_file_size(&target)?;
        if found != size {
            return Err(StoreError::Corrupt {
                what: "a segment of size",
                value: found.to_string(),
            });
        }
        self.write("adopt a segment", |tx| {
            tx.execute(
                "INSERT INTO segments \
                 (bundle, file, generation, path, size, adopted_at, is_checked) \
                 VALUES (?, ?, ?, ?, ?, ?, ?)",
                params![
                    name.bundle.to_string(),
                    name.file,
                    generation,
                    relative,
                    size,
                    now.as_second(),
                    is_checked
                ],
            )
            .during("adopt a segment")?;
            Ok(Adopted { segment: SegmentId(tx.last_insert_rowid()), is_checked })
        })
    }

    /// Every entry of the segment's own file has the digest that its bundle says.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn note_checked(&self, _turn: &Exclusive, id: SegmentId) -> Result<(), StoreError> {
        self.write("mark a segment", |tx| {
            tx.execute("UPDATE segments SET is_checked = 1 WHERE id = ?", [id.0])
                .during("mark a segment")
                .map(|_| ())
        })
    }

    /// Forgets a segment whose file is not what its bundle says, so that it is taken over anew.
    /// Blobs that lie in it stay where they are: a check of the store says which of them are damaged.
    ///
    /// # Errors
    /// When the database cannot be written or the file cannot be deleted.
    pub fn forget_segment(&self, _turn: &Exclusive, id: SegmentId) -> Result<(), StoreError> {
        let operation = "forget a segment";
        let path = self.segment_path(id)?;
        let is_gone = self.write(operation, |tx| {
            let is_used = tx
                .prepare_cached("SELECT 1 FROM extents WHERE segment = ?")
                .and_then(|mut statement| statement.exists([id.0]))
                .during(operation)?;
            let sql = if is_used {
                "UPDATE segments SET is_punched = 1 WHERE id = ?"
            } else {
                "DELETE FROM segments WHERE id = ?"
            };
            tx.execute(sql, [id.0]).during(operation)?;
            Ok(!is_used)
        })?;
        if is_gone {
            files::remove(&path)?;
        }
        Ok(())
    }

    /// Bytes of disk that taking over the segment at `path` needs: none when the store has it, or when
    /// it can be linked, which is tried. What a killed run left of an earlier copy is deleted.
    ///
    /// # Errors
    /// When the segment or the store cannot be looked at.
    pub fn segment_needs(
        &self,
        _turn: &Exclusive,
        path: &Path,
        name: &SegmentName,
    ) -> Result<u64, StoreError> {
        let size = regular_file_size(path)?;
        let newest = self.read("look for a segment", |tx| find(tx, name))?;
        if newest.as_ref().is_some_and(|row| !row.is_punched) {
            return Ok(0);
        }
        let relative = relative_path(name, Row::next_generation(newest.as_ref()))?;
        let target = self.dir().join(files::SEGMENTS).join(relative);
        files::remove(&target.with_extension("partial"))?;
        files::remove(&target)?;
        let links = link(path, &target)?;
        files::remove(&target)?;
        Ok(if links { 0 } else { size })
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
}

fn find(tx: &Transaction<'_>, name: &SegmentName) -> Result<Option<Row>, StoreError> {
    tx.prepare_cached(
        "SELECT id, generation, is_punched, is_checked FROM segments WHERE bundle = ? AND file = ? \
         ORDER BY generation DESC LIMIT 1",
    )
    .and_then(|mut statement| {
        statement
            .query_row(params![name.bundle.to_string(), name.file], |row| {
                Ok(Row {
                    id: row.get(0)?,
                    generation: row.get(1)?,
                    is_punched: row.get(2)?,
                    is_checked: row.get(3)?,
                })
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

/// How a segment came to its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Placed {
    Linked,
    Copied,
}

/// Links or copies; what an interrupted run left at `target` is in nobody's use and goes.
fn place(path: &Path, target: &Path, how: Adopt) -> Result<Placed, StoreError> {
    let partial = target.with_extension("partial");
    files::remove(&partial)?;
    files::remove(target)?;
    if how == Adopt::LinkOrCopy && link(path, target)? {
        File::open(target).and_then(|file| file.sync_all()).of("sync", target)?;
        files::make_read_only(target)?;
        files::sync_parent(target)?;
        return Ok(Placed::Linked);
    }
    let copied = copy(path, &partial);
    if copied.is_err() {
        files::remove(&partial)?;
    }
    copied?;
    files::put_in_place(&partial, target)?;
    Ok(Placed::Copied)
}

/// Whether it could be linked. Not so on another file system, on one without hard links (the sticks
/// bundles travel on), over two mounts of one, or where the kernel guards another user's files.
fn link(path: &Path, target: &Path) -> Result<bool, StoreError> {
    match fs::hard_link(path, target) {
        Ok(()) => Ok(true),
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::CrossesDevices
                    | io::ErrorKind::Unsupported
                    | io::ErrorKind::PermissionDenied
                    | io::ErrorKind::TooManyLinks
            ) =>
        {
            Ok(false)
        }
        Err(error) => Err(error).of("link", target),
    }
}

fn copy(path: &Path, partial: &Path) -> Result<(), StoreError> {
    let mut from = File::open(path).of("open", path)?;
    let mut to = File::options().write(true).create_new(true).open(partial).of("make", partial)?;
    io::copy(&mut from, &mut to).of("copy to", partial)?;
    to.sync_all().of("sync", partial)
}
