//! Takes a backup of a data directory, whether or not a hub runs on it.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::error::{BackupError, disk};
use super::files::{self, copy, create, is_free, make_dir, names, sync_dir};
use super::{FORMAT, FileEntry, KEYS, MANIFEST_FILE, Manifest, TUF};
use crate::store::{DATABASE_FILE, check_database, copy_database};

/// A publication takes a moment, and the next one comes minutes later.
const ATTEMPTS: u32 = 10;

/// Where a publication waits; there only while one is under way or after a crash.
const STAGED: &str = "tuf/staged";
/// The file that every publication and every signature of the hub's own replaces last.
const TIMESTAMP: &str = "tuf/metadata/timestamp.json";

/// What shall be in the backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// Everything but private keys.
    WithoutKeys,
    /// Everything, private keys included: whoever reads the backup can sign as the hub.
    WithKeys,
}

/// Copies what the hub of `data_dir` keeps into the new directory `to`.
///
/// The database is copied first and the repository last: what agents may have seen by then is in
/// the copy.
///
/// # Errors
/// `to` holds something, or a disk or the database refused. Nothing is left at `to`.
pub fn take(
    data_dir: &Path,
    to: &Path,
    what: What,
    now: Timestamp,
) -> Result<Manifest, BackupError> {
    if !data_dir.join(DATABASE_FILE).is_file() {
        return Err(BackupError::NoHub { path: data_dir.to_owned() });
    }
    if !is_free(to)? {
        return Err(BackupError::NotEmpty { path: to.to_owned() });
    }
    let draft = draft_of(to);
    if !is_free(&draft)? {
        return Err(BackupError::NotEmpty { path: draft });
    }
    let result = fill(data_dir, &draft, what, now).and_then(|manifest| {
        // An empty directory at `to` gives way.
        fs::rename(&draft, to).map_err(disk("create", to))?;
        sync_dir(to.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new(".")))?;
        Ok(manifest)
    });
    if result.is_err() {
        // What is left is useless, and named nothing that looks like a backup.
        let _ = fs::remove_dir_all(&draft);
    }
    result
}

/// `…/NAME` is made as `…/NAME.partial`.
fn draft_of(to: &Path) -> PathBuf {
    let mut name = to.file_name().unwrap_or_default().to_owned();
    name.push(".partial");
    to.with_file_name(name)
}

fn fill(
    data_dir: &Path,
    draft: &Path,
    what: What,
    now: Timestamp,
) -> Result<Manifest, BackupError> {
    make_dir(draft)?;
    let database = draft.join(DATABASE_FILE);
    let failed = |source| BackupError::Database { path: data_dir.to_owned(), source };
    copy_database(data_dir, &database).map_err(failed)?;
    let content = check_database(&database).map_err(failed)?;
    fs::File::open(&database).and_then(|file| file.sync_all()).map_err(disk("flush", &database))?;
    let mut listed = vec![files::measure(&database, DATABASE_FILE)?];
    listed.extend(repository(data_dir, draft, what)?);
    listed.sort_by(|one, other| one.path.cmp(&other.path));
    let manifest = Manifest {
        format: FORMAT,
        made_at: now,
        hub_version: env!("CARGO_PKG_VERSION").to_owned(),
        with_keys: what == What::WithKeys,
        keys: names(&data_dir.join(KEYS), KEYS)?,
        database: content,
        files: listed,
    };
    write_manifest(draft, &manifest)?;
    Ok(manifest)
}

fn write_manifest(draft: &Path, manifest: &Manifest) -> Result<(), BackupError> {
    let path = draft.join(MANIFEST_FILE);
    let text = serde_json::to_vec_pretty(manifest)
        .map_err(|error| BackupError::Manifest { why: error.to_string() })?;
    let mut file = create(&path)?;
    file.write_all(&text).and_then(|()| file.sync_all()).map_err(disk("write", &path))?;
    for folder in [draft.join(TUF).join("metadata"), draft.join(TUF), draft.join(KEYS)] {
        if folder.is_dir() {
            sync_dir(&folder)?;
        }
    }
    sync_dir(draft)
}

/// Copies the repository, and the keys that fit it, as they were at one moment.
fn repository(data_dir: &Path, draft: &Path, what: What) -> Result<Vec<FileEntry>, BackupError> {
    for _ in 0..ATTEMPTS {
        for folder in [TUF, KEYS] {
            match fs::remove_dir_all(draft.join(folder)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(disk("remove", &draft.join(folder))(error));
                }
                _ => {}
            }
        }
        let before = published(data_dir)?;
        let mut listed = copy_all(data_dir, draft, TUF)?;
        if what == What::WithKeys {
            listed.extend(copy_all(data_dir, draft, KEYS)?);
        }
        // Files that are named by their content never change; the one that is polled is replaced
        // by every commit, last of all.
        if before.is_some() && published(data_dir)? == before {
            return Ok(listed);
        }
    }
    Err(BackupError::Unsettled { attempts: ATTEMPTS })
}

/// The state of the repository: its polled file, empty before the first publication; `None` while a
/// publication is on its way into place.
fn published(data_dir: &Path) -> Result<Option<Vec<u8>>, BackupError> {
    if data_dir.join(STAGED).join("commit.json").exists() {
        return Ok(None);
    }
    let path = data_dir.join(TIMESTAMP);
    match fs::read(&path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Some(Vec::new())),
        Err(error) => Err(disk("read", &path)(error)),
    }
}

fn copy_all(data_dir: &Path, draft: &Path, folder: &str) -> Result<Vec<FileEntry>, BackupError> {
    let mut listed = Vec::new();
    for name in names(&data_dir.join(folder), folder)? {
        // Half a publication, or half a key: a start throws both away.
        let path = Path::new(&name);
        if path.starts_with(STAGED) || path.extension().is_some_and(|end| end == "new") {
            continue;
        }
        // Old files are swept away after a publication; none of them belongs to what is served.
        listed.extend(copy(&data_dir.join(&name), &draft.join(&name), &name)?);
    }
    Ok(listed)
}
