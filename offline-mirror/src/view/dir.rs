//! The directory of a view: what it remembers, its roots, its keys.
//!
//! ```text
//! VIEWDIR/view.json        state: life, holders, versions signed last
//! VIEWDIR/root.json        the newest root: what new sites pin
//! VIEWDIR/metadata/        every root, N.root.json
//! VIEWDIR/keys/            private keys of snapshot and timestamp, 0600
//! VIEWDIR/request.json     a root that waits for its holders
//! VIEWDIR/seen/            floors: what was seen of the hub
//! VIEWDIR/published/       floors: what sites were given
//! VIEWDIR/bundles/         N.json: what each bundle left at the sites that import it
//! VIEWDIR/sites/           NAME.json: the newest inventory seen of each site
//! ```

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use signing::FileName;
use signing::client::limits::MAX_ROOT_BYTES;
use signing::metadata::{Document, Root};

use super::error::ViewError;
use super::plan::HolderKind;
use crate::belief::read_bounded;
use crate::disk::write_file;
use crate::error::Error;

const STATE: &str = "view.json";
const LOCK: &str = "lock";
/// A state holds a dozen numbers.
const STATE_BYTES_MAX: u64 = 16 * 1024;

/// What a view remembers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct State {
    /// Form of this file.
    pub(super) format: u32,
    /// Life of snapshot and timestamp, in days.
    pub(super) days: u16,
    /// Whose keys sign the next root.
    pub(super) holders: HolderKind,
    /// What the root that waits for its holders changes, once it is accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) next: Option<Next>,
    /// First and newest accepted root.
    pub(super) roots: Option<(u64, u64)>,
    /// Versions signed last; never signed again, whatever became of them.
    pub(super) versions: Signed,
    /// Sequence of the newest bundle; never given again either.
    #[serde(default)]
    pub(super) bundles: u64,
}

/// What changes together with the root.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Next {
    /// Life of snapshot and timestamp, in days.
    pub(super) days: u16,
    /// Whose keys sign the root after it.
    pub(super) holders: HolderKind,
}

/// Versions of the roles that the view signs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Signed {
    pub(super) snapshot: u64,
    pub(super) timestamp: u64,
}

impl State {
    /// The form written by this version.
    pub(super) const FORMAT: u32 = 1;
}

/// An opened view. One run at a time: the lock ends with it.
#[derive(Debug)]
pub(super) struct View {
    dir: PathBuf,
    pub(super) state: State,
    _lock: File,
}

impl View {
    /// Makes the directory of a new view, which must not be there or be empty.
    pub(super) fn create(dir: &Path, state: State) -> Result<Self, Error> {
        std::fs::create_dir_all(dir).map_err(Error::io("create", dir))?;
        let mut entries = std::fs::read_dir(dir).map_err(Error::io("read", dir))?;
        if entries.next().is_some() {
            return Err(ViewError::NotEmpty { dir: dir.to_owned() }.into());
        }
        let lock = lock(dir)?;
        Ok(Self { dir: dir.to_owned(), state, _lock: lock })
    }

    /// Opens a view for one run.
    pub(super) fn open(dir: &Path) -> Result<Self, Error> {
        let path = dir.join(STATE);
        let refuse = |why: String| ViewError::NotAView { dir: dir.to_owned(), why };
        if !path.is_file() {
            return Err(refuse(format!("it has no {STATE}")).into());
        }
        let lock = lock(dir)?;
        let bytes = read_bounded(&path, STATE_BYTES_MAX)?;
        let state: State = serde_json::from_slice(&bytes)
            .map_err(|error| refuse(format!("{STATE} cannot be read: {error}")))?;
        if state.format != State::FORMAT {
            let (found, known) = (state.format, State::FORMAT);
            return Err(refuse(format!("{STATE} has format {found}, not {known}")).into());
        }
        Ok(Self { dir: dir.to_owned(), state, _lock: lock })
    }

    /// Writes what is to be remembered.
    pub(super) fn save(&self) -> Result<(), Error> {
        let mut bytes = serde_json::to_vec_pretty(&self.state)
            .map_err(|e| Error::Document { path: STATE.to_owned(), why: e.to_string() })?;
        bytes.push(b'\n');
        write_file(&self.dir.join(STATE), &bytes)
    }

    /// The folder of the private keys.
    pub(super) fn keys(&self) -> PathBuf {
        keys(&self.dir)
    }

    /// The floors of the hub.
    pub(super) fn seen(&self) -> PathBuf {
        self.dir.join("seen")
    }

    /// The floors of the view's own sites.
    pub(super) fn published(&self) -> PathBuf {
        self.dir.join("published")
    }

    /// The request that waits for its holders.
    pub(super) fn request(&self) -> PathBuf {
        self.dir.join("request.json")
    }

    /// What new sites pin.
    pub(super) fn pinned(&self) -> PathBuf {
        self.dir.join("root.json")
    }

    /// Keeps an accepted root; it is the newest from here on, and what was drafted with it holds.
    pub(super) fn add_root(&mut self, version: u64, bytes: &[u8]) -> Result<(), Error> {
        write_file(&self.dir.join(FileName::root(version).relative_path()), bytes)?;
        write_file(&self.pinned(), bytes)?;
        let first = self.state.roots.map_or(version, |(first, _)| first);
        self.state.roots = Some((first, version));
        if let Some(Next { days, holders }) = self.state.next.take() {
            (self.state.days, self.state.holders) = (days, holders);
        }
        self.save()
    }

    /// Every accepted root, oldest first.
    pub(super) fn roots(&self) -> Result<Vec<(u64, Vec<u8>)>, Error> {
        let Some((first, newest)) = self.state.roots else {
            return Err(ViewError::NoRoot { dir: self.dir.clone() }.into());
        };
        let read = |version| {
            let path = self.dir.join(FileName::root(version).relative_path());
            Ok((version, read_bounded(&path, MAX_ROOT_BYTES)?))
        };
        (first..=newest).map(read).collect()
    }

    /// The newest root, if there is one.
    pub(super) fn newest_root(&self) -> Result<Option<Document<Root>>, Error> {
        let Some((_, newest)) = self.state.roots else { return Ok(None) };
        let name = FileName::root(newest).relative_path();
        let bytes = read_bounded(&self.dir.join(&name), MAX_ROOT_BYTES)?;
        let root = Document::parse(&signing::TopRole::Root.into(), &bytes);
        root.map(Some).map_err(crate::metadata::trust(format!("the view's {name}")))
    }
}

/// Every root that the holders of a view accepted, by version, oldest first.
///
/// # Errors
/// When the directory holds no view, or the view has no root yet.
pub(crate) fn accepted_roots(dir: &Path) -> Result<Vec<(u64, Vec<u8>)>, Error> {
    View::open(dir)?.roots()
}

/// The folder of a view's private keys.
pub(super) fn keys(dir: &Path) -> PathBuf {
    dir.join("keys")
}

fn lock(dir: &Path) -> Result<File, Error> {
    let path = dir.join(LOCK);
    let file = File::create(&path).map_err(Error::io("create", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(ViewError::Busy { dir: dir.to_owned() }.into()),
        Err(TryLockError::Error(error)) => Err(Error::io("lock", path)(error)),
    }
}
