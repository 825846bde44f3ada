//! Listing and reading files, with bounds.

use std::fs;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

use super::RepositoryError;
use crate::yaml::{self, Fault};

/// Largest file read. The largest real one, a channel of 400 versions, has 8 kB.
pub(super) const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// Most files read from one folder. OpenShift's 1,717 blocked edges are the most known.
pub(super) const MAX_FILES: usize = 20_000;

/// Name of the file that says who reviews a directory; it holds no data.
const REVIEWERS_FILE: &str = "OWNERS";

/// One entry of a directory.
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) is_directory: bool,
}

/// The entries of a directory in name order. Names that begin with a dot are left out, and
/// symbolic links are not followed into directories.
pub(super) fn list(root: &Path, directory: &Path) -> Result<Vec<Entry>, RepositoryError> {
    let failed = |source| RepositoryError::Read { file: relative(root, directory), source };
    let mut entries = Vec::new();
    for entry in fs::read_dir(directory).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.starts_with('.') {
            let is_directory = entry.file_type().map_err(failed)?.is_dir();
            entries.push(Entry { name, is_directory });
        }
    }
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(entries)
}

/// A file's path as errors show it.
pub(super) fn relative(root: &Path, path: &Path) -> PathBuf {
    match path.strip_prefix(root) {
        Ok(below) if !below.as_os_str().is_empty() => below.to_owned(),
        Ok(_) | Err(_) => path.to_owned(),
    }
}

/// A file's text.
pub(super) fn read(root: &Path, file: &Path) -> Result<String, RepositoryError> {
    let path = root.join(file);
    let failed = |source| RepositoryError::Read { file: file.to_owned(), source };
    let bytes = fs::metadata(&path).map_err(failed)?.len();
    if bytes > MAX_FILE_BYTES {
        let limit = MAX_FILE_BYTES;
        return Err(RepositoryError::TooLarge { file: file.to_owned(), bytes, limit });
    }
    fs::read_to_string(&path).map_err(failed)
}

/// Parses YAML; a fault names its place and the section of the manual that says what is right.
pub(super) fn parse<T: DeserializeOwned>(
    file: &Path,
    text: &str,
    section: &str,
) -> Result<T, RepositoryError> {
    yaml::read(text).map_err(|fault| misread(file, fault, section))
}

/// A fault in a file, with the section of the manual that says what is right.
pub(super) fn misread(file: &Path, fault: Fault, section: &str) -> RepositoryError {
    let Fault { line, column, problem, .. } = fault;
    let advice = format!("see \"{section}\" in docs/channel-repository.md");
    RepositoryError::Syntax { file: file.to_owned(), line, column, problem, advice }
}

/// Parses every `*.yaml` file of a directory below `root`, in name order; a missing directory has
/// none. Markdown and reviewers' files are left out; any other file is a fault.
pub(super) fn read_folder<T>(
    root: &Path,
    folder: &Path,
    errors: &mut Vec<RepositoryError>,
    mut one: impl FnMut(PathBuf, &str) -> Result<T, RepositoryError>,
) -> Vec<T> {
    let mut parsed = Vec::new();
    let directory = root.join(folder);
    if !directory.exists() {
        return parsed;
    }
    let entries = match list(root, &directory) {
        Ok(entries) => entries,
        Err(error) => {
            errors.push(error);
            return parsed;
        }
    };
    if entries.len() > MAX_FILES {
        let problem = format!("it holds {} files; at most {MAX_FILES} are read", entries.len());
        let advice = "say more in fewer files: a range needs one file per risk";
        errors.push(RepositoryError::content(folder, problem, advice));
        return parsed;
    }
    for entry in entries {
        let file = folder.join(&entry.name);
        let extension = file.extension().and_then(|extension| extension.to_str());
        match (entry.is_directory, extension) {
            (false, Some("yaml")) => match read(root, &file).and_then(|text| one(file, &text)) {
                Ok(value) => parsed.push(value),
                Err(error) => errors.push(error),
            },
            (false, Some("md")) => {}
            (false, None) if entry.name == REVIEWERS_FILE => {}
            (true | false, _) => errors.push(RepositoryError::StrayFile {
                file,
                advice: "name it *.yaml, or move it out of this directory".to_owned(),
            }),
        }
    }
    parsed
}

/// Fails when a file's name is not `<stem>.yaml`.
pub(super) fn check_name(file: &Path, stem: &str, what: &str) -> Result<(), RepositoryError> {
    let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    if name.strip_suffix(".yaml") == Some(stem) {
        return Ok(());
    }
    Err(RepositoryError::content(
        file,
        format!("the file says {what} {stem}"),
        &format!("rename it to {stem}.yaml or correct its {what}"),
    ))
}
