//! Writes generated files, never over what somebody else wrote or changed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use signing::Sha256Digest;

use crate::site::{SiteError, read_at_most, write_file};

/// Where it is noted what was written; formats without comments leave no other place.
const LIST: &str = "written-by-offline-mirror.json";
/// Longest list or generated file read, in bytes: a line per repository.
const BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Configuration that is not written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigureError {
    /// Files are in the way.
    #[error("{} would be overwritten, and was not written by this command or was changed since", files.join(", "))]
    NotOurs {
        /// Paths below the output directory.
        files: Vec<String>,
    },
    /// The site has taken nothing in.
    #[error("there is no image to configure anything for")]
    Nothing,
    /// A file could not be read or written.
    #[error(transparent)]
    Site(#[from] SiteError),
}

impl ConfigureError {
    /// The attack this failure would be: none is one.
    pub fn attack(&self) -> Option<signing::Attack> {
        None
    }

    /// What a person can do.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NotOurs { .. } => {
                Some("look at them, then give --force, or choose another --out".to_owned())
            }
            Self::Nothing => Some("import a bundle first, or name one with --bundle".to_owned()),
            Self::Site(error) => error.hint(),
        }
    }
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    files: BTreeMap<String, Sha256Digest>,
}

/// What was done.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Written {
    /// Files that are new or other than before.
    pub written: Vec<String>,
    /// Files that are as they were.
    pub unchanged: Vec<String>,
    /// Files of an earlier run that nothing needs any more; they are left where they are.
    pub left_over: Vec<String>,
}

/// Writes `files` below `dir`.
///
/// # Errors
/// [`ConfigureError::NotOurs`], with nothing written, unless `force`.
pub fn write(
    dir: &Path,
    files: &BTreeMap<String, String>,
    force: bool,
) -> Result<Written, ConfigureError> {
    let list = read_list(&dir.join(LIST))?;
    let mut done = Written::default();
    let mut not_ours = Vec::new();
    for (name, text) in files {
        let Some(found) = read_at_most(&dir.join(name), BYTES_MAX)? else {
            done.written.push(name.clone());
            continue;
        };
        if found == text.as_bytes() {
            done.unchanged.push(name.clone());
            continue;
        }
        if list.files.get(name) != Some(&Sha256Digest::of(&found)) {
            not_ours.push(name.clone());
        }
        done.written.push(name.clone());
    }
    if !not_ours.is_empty() && !force {
        return Err(ConfigureError::NotOurs { files: not_ours });
    }
    for name in &done.written {
        if let Some(text) = files.get(name) {
            write_file(&dir.join(name), text.as_bytes())?;
        }
    }
    done.left_over = list.files.keys().filter(|name| !files.contains_key(*name)).cloned().collect();
    let mut list = list;
    let digest =
        |(name, text): (&String, &String)| (name.clone(), Sha256Digest::of(text.as_bytes()));
    list.files.extend(files.iter().map(digest));
    let path: PathBuf = dir.join(LIST);
    let malformed = |why: String| SiteError::Malformed { path: path.clone(), why };
    let text = serde_json::to_vec_pretty(&list).map_err(|e| malformed(e.to_string()))?;
    write_file(&path, &text)?;
    Ok(done)
}

fn read_list(path: &Path) -> Result<List, SiteError> {
    let Some(bytes) = read_at_most(path, BYTES_MAX)? else { return Ok(List::default()) };
    serde_json::from_slice(&bytes)
        .map_err(|e| SiteError::Malformed { path: path.to_owned(), why: e.to_string() })
}
