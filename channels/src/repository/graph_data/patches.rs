//! `raw/metadata.json`: corrections to the predecessors that release images name.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::repository::block::Patterns;
use crate::repository::files::read;
use crate::repository::{BlockSource, RepositoryError, Sources, Targets};
use crate::version::ReleaseVersion;

const FILE: &str = "raw/metadata.json";

/// What all keys begin with.
const PREFIX: &str = "io.openshift.upgrades.graph.";

/// The corrections, as edges to add and blocks that remove some.
#[derive(Debug, Default)]
pub(super) struct Patches {
    pub(super) added: BTreeSet<(ReleaseVersion, ReleaseVersion)>,
    pub(super) removed: Vec<BlockSource>,
}

/// Reads the file, if there is one.
pub(super) fn load(directory: &Path, known: &mut Patterns) -> Result<Patches, RepositoryError> {
    let file = Path::new(FILE);
    if !directory.join(file).exists() {
        return Ok(Patches::default());
    }
    parse(file, &read(directory, file)?, known)
}

pub(super) fn parse(
    file: &Path,
    text: &str,
    known: &mut Patterns,
) -> Result<Patches, RepositoryError> {
    let parsed: Result<BTreeMap<ReleaseVersion, BTreeMap<String, String>>, _> =
        serde_json::from_str(text);
    let releases = parsed.map_err(|error| {
        let (line, column) = (error.line(), error.column());
        let problem = error.to_string();
        let tail = format!(" at line {line} column {column}");
        RepositoryError::Syntax {
            file: file.to_owned(),
            line: u64::try_from(line).unwrap_or(u64::MAX),
            column: u64::try_from(column).unwrap_or(u64::MAX),
            problem: problem.strip_suffix(&tail).unwrap_or(&problem).to_owned(),
            advice: "it maps a version to keys and values, all of them texts".to_owned(),
        }
    })?;
    let mut patches = Patches::default();
    for (version, keys) in &releases {
        for (key, value) in keys {
            patches.apply(file, version, (key, value), known)?;
        }
    }
    Ok(patches)
}

impl Patches {
    fn apply(
        &mut self,
        file: &Path,
        version: &ReleaseVersion,
        (key, value): (&str, &str),
        known: &mut Patterns,
    ) -> Result<(), RepositoryError> {
        match key.strip_prefix(PREFIX) {
            Some("previous.add") => {
                let from = versions(file, value)?;
                self.added.extend(from.into_iter().map(|from| (from, version.clone())));
            }
            Some("next.add") => {
                let to = versions(file, value)?;
                self.added.extend(to.into_iter().map(|to| (version.clone(), to)));
            }
            Some("previous.remove") => {
                for from in versions(file, value)? {
                    self.remove(file, &exact(&from), version, known)?;
                }
            }
            Some("next.remove") => {
                for to in versions(file, value)? {
                    self.remove(file, &exact(version), &to, known)?;
                }
            }
            Some("previous.remove_regex") => self.remove(file, value, version, known)?,
            Some(_) | None => {
                return Err(RepositoryError::content(
                    file,
                    format!("{version} has the key {key:?}, which is not known"),
                    "known are previous.add, previous.remove, previous.remove_regex, next.add and \
                     next.remove after io.openshift.upgrades.graph.",
                ));
            }
        }
        Ok(())
    }

    fn remove(
        &mut self,
        file: &Path,
        from: &str,
        to: &ReleaseVersion,
        known: &mut Patterns,
    ) -> Result<(), RepositoryError> {
        let from = crate::repository::block::pattern(file, from, known)?;
        self.removed.push(BlockSource {
            file: PathBuf::from(file),
            to: Targets::Version(to.clone()),
            from: Sources::Pattern(from),
            fixed_in: None,
            risk: None,
        });
        Ok(())
    }
}

/// An expression for one version, on every architecture unless it names one.
fn exact(version: &ReleaseVersion) -> String {
    let tail = if version.semver().build.is_empty() { "[+].*" } else { "" };
    format!("^{}{tail}$", regex::escape(&version.to_string()))
}

fn versions(file: &Path, list: &str) -> Result<Vec<ReleaseVersion>, RepositoryError> {
    let parse = |text: &str| {
        text.trim().parse().map_err(|error: crate::names::NameError| {
            RepositoryError::content(file, error.to_string(), "list versions with commas between")
        })
    };
    list.split(',').filter(|text| !text.trim().is_empty()).map(parse).collect()
}
