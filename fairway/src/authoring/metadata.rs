//! `metadata/`: what was last published, byte for byte.

use std::path::PathBuf;

use signing::{FileName, StagedRepository, TopRole};

use crate::error::{CliError, Result};
use crate::files::{read_bounded, replace};

/// Largest metadata file read; a thousand vendors make 360 kB, a release list of a long history 2 MB.
const MAX_METADATA_BYTES: u64 = 64 * 1024 * 1024;

/// Most files in the directory: every root ever made, and a few per vendor.
const MAX_FILES: usize = 100_000;

/// The directory.
#[derive(Debug, Clone)]
pub(crate) struct MetadataDir {
    path: PathBuf,
}

/// Files that were added by [`MetadataDir::add`], in case the hub refuses them.
#[derive(Debug)]
pub(crate) struct Added(Vec<PathBuf>);

impl MetadataDir {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// Reads every metadata file; nothing where nothing was ever published.
    pub(crate) fn load_if_there(&self) -> Result<StagedRepository> {
        if self.path.exists() { self.load() } else { Ok(StagedRepository::new()) }
    }

    /// Reads every metadata file.
    pub(crate) fn load(&self) -> Result<StagedRepository> {
        let mut staged = StagedRepository::new();
        for (name, path) in self.list()? {
            let bytes = read_bounded(&path, MAX_METADATA_BYTES).map_err(|error| {
                CliError::failed(format!("failed to read {}: {error}", path.display()))
            })?;
            staged.put_file(&format!("metadata/{name}"), bytes).map_err(|error| {
                let what = format!("{} is not metadata as it was published", path.display());
                CliError::because(what, &error).hint("restore metadata/ from git")
            })?;
        }
        Ok(staged)
    }

    /// Writes files that are not there yet. Versions are in the names, so nothing is overwritten.
    pub(crate) fn add(&self, repository: &StagedRepository) -> Result<Added> {
        std::fs::create_dir_all(&self.path).map_err(|error| self.write_error(&error))?;
        let mut added = Vec::new();
        for (name, bytes) in repository.files() {
            let Some(file) = file_of(name) else { continue };
            let path = self.path.join(file);
            if !path.exists() {
                replace(&path, bytes).map_err(|error| self.write_error(&error))?;
                added.push(path);
            }
        }
        Ok(Added(added))
    }

    /// Takes added files back, after the hub refused them.
    pub(crate) fn take_back(&self, added: &Added) -> Result<()> {
        for path in &added.0 {
            std::fs::remove_file(path).map_err(|error| self.write_error(&error))?;
        }
        Ok(())
    }

    /// Removes versions that `repository` no longer has; roots are kept for ever.
    pub(crate) fn prune(&self, repository: &StagedRepository) -> Result<()> {
        for (name, path) in self.list()? {
            let keep = FileName::from_relative_path(&format!("metadata/{name}"))
                .is_ok_and(|name| is_root(&name) || repository.get(&name).is_some());
            if !keep {
                std::fs::remove_file(&path).map_err(|error| self.write_error(&error))?;
            }
        }
        Ok(())
    }

    fn list(&self) -> Result<Vec<(String, PathBuf)>> {
        let failed = |error: &std::io::Error| {
            CliError::failed(format!("failed to list {}: {error}", self.path.display()))
        };
        let mut files = Vec::new();
        for entry in std::fs::read_dir(&self.path).map_err(|error| failed(&error))? {
            let entry = entry.map_err(|error| failed(&error))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if !name.starts_with('.') {
                files.push((name, entry.path()));
            }
            if files.len() > MAX_FILES {
                return Err(CliError::failed(format!(
                    "{} has more than {MAX_FILES} files",
                    self.path.display()
                )));
            }
        }
        files.sort();
        Ok(files)
    }

    fn write_error(&self, error: &std::io::Error) -> CliError {
        CliError::failed(format!("failed to write {}: {error}", self.path.display()))
    }
}

/// File name below `metadata/`, for files the publisher signs.
fn file_of(name: &FileName) -> Option<String> {
    match name {
        FileName::Metadata { version: Some(_), .. } => {
            name.relative_path().strip_prefix("metadata/").map(str::to_owned)
        }
        FileName::Metadata { version: None, .. } | FileName::Target { .. } => None,
    }
}

fn is_root(name: &FileName) -> bool {
    matches!(name, FileName::Metadata { role, .. } if role.as_top() == Some(TopRole::Root))
}
