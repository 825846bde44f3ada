//! The table of payloads that `--payloads` names: what graph data does not hold.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::Timestamp;
use serde::Deserialize;

use super::ImportError;
use crate::names::Arch;
use crate::repository::PullSpec;
use crate::version::ReleaseVersion;

/// Largest table read; OpenShift's, with all its architectures, has half a megabyte.
pub const PAYLOADS_MAX_BYTES: u64 = 16 * 1024 * 1024;

/// The columns of a CSV table, and the keys of a JSON one; the last may be left out.
const COLUMNS: [&str; 4] = ["version", "arch", "digest", "released_at"];

/// One release on one architecture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload {
    /// The image.
    pub image: PullSpec,
    /// When the release came out, where the table says it.
    pub released_at: Option<Timestamp>,
}

/// Payloads by version and architecture.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Payloads(BTreeMap<ReleaseVersion, BTreeMap<Arch, Payload>>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    version: String,
    arch: String,
    digest: String,
    #[serde(default)]
    released_at: Option<String>,
}

impl Payloads {
    /// Reads a table: a JSON array of objects where the file's name ends in `.json`, CSV with a
    /// line of column names otherwise. A `digest` that is not a whole `repository@sha256:…` is one
    /// of `repository`.
    pub fn parse(file: &Path, text: &str, repository: Option<&str>) -> Result<Self, ImportError> {
        let is_json = file.extension().is_some_and(|extension| extension == "json");
        let rows = if is_json { json(text)? } else { csv(text)? };
        let mut payloads = Self::default();
        for (entry, row) in rows {
            let refuse = |problem: String| ImportError::Payloads { entry, problem };
            let version: ReleaseVersion =
                row.version.parse().map_err(|error| refuse(format!("{error}")))?;
            let arch: Arch = row.arch.parse().map_err(|error| refuse(format!("{error}")))?;
            let image = image(&row.digest, repository).map_err(refuse)?;
            let released_at = row.released_at.as_deref().filter(|text| !text.is_empty());
            let released_at = released_at.map(date).transpose().map_err(refuse)?;
            let of_version = payloads.0.entry(version).or_default();
            if of_version.insert(arch, Payload { image, released_at }).is_some() {
                let problem = format!("{} on {} is there twice", row.version, row.arch);
                return Err(refuse(problem));
            }
        }
        Ok(payloads)
    }

    /// What the table says of a release, by architecture.
    pub fn of(&self, version: &ReleaseVersion) -> Option<&BTreeMap<Arch, Payload>> {
        self.0.get(version)
    }

    /// All versions of the table.
    pub fn versions(&self) -> impl Iterator<Item = &ReleaseVersion> {
        self.0.keys()
    }

    /// All architectures of the table.
    pub fn arches(&self) -> impl Iterator<Item = &Arch> {
        self.0.values().flat_map(BTreeMap::keys)
    }

    /// Whether the table is empty.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn image(digest: &str, repository: Option<&str>) -> Result<PullSpec, String> {
    let text = match (digest.contains('@'), repository) {
        (true, _) => digest.to_owned(),
        (false, Some(repository)) => format!("{repository}@{digest}"),
        (false, None) => {
            return Err(format!(
                "{digest:?} names no repository; write repository@sha256:…, or name the \
                 repository for all of them"
            ));
        }
    };
    text.parse().map_err(|error: crate::names::NameError| error.to_string())
}

/// A day, which begins at midnight UTC, or a full time.
pub(super) fn date(text: &str) -> Result<Timestamp, String> {
    text.parse()
        .or_else(|_| format!("{text}T00:00:00Z").parse())
        .map_err(|_| format!("{text:?} is not a time; write 2025-03-18 or 2025-03-18T10:00:00Z"))
}

fn json(text: &str) -> Result<Vec<(usize, Row)>, ImportError> {
    let whole = |error: serde_json::Error| ImportError::Payloads {
        entry: 0,
        problem: format!("{error}; write a list of {{version, arch, digest, released_at}}"),
    };
    let rows: Vec<Row> = serde_json::from_str(text).map_err(whole)?;
    Ok((1..).zip(rows).collect())
}

fn csv(text: &str) -> Result<Vec<(usize, Row)>, ImportError> {
    let refuse =
        |entry: usize, problem: &str| ImportError::Payloads { entry, problem: problem.to_owned() };
    let mut lines = (1..).zip(text.lines());
    let columns: Vec<&str> =
        lines.next().map_or(Vec::new(), |(_, line)| line.split(',').map(str::trim).collect());
    let place = |name: &str| columns.iter().position(|column| *column == name);
    let known = columns.iter().all(|column| COLUMNS.contains(column));
    let (Some(version), Some(arch), Some(digest), true) =
        (place("version"), place("arch"), place("digest"), known)
    else {
        return Err(refuse(
            1,
            "the first line must name the columns: version,arch,digest and, if you have it, \
             released_at",
        ));
    };
    let mut rows = Vec::new();
    for (entry, line) in lines.filter(|(_, line)| !line.trim().is_empty()) {
        let cells: Vec<&str> = line.split(',').map(str::trim).collect();
        if cells.len() != columns.len() || line.contains('"') {
            return Err(refuse(
                entry,
                "it must have as many values as there are columns, without quotes",
            ));
        }
        let cell = |place: usize| cells.get(place).copied().unwrap_or_default().to_owned();
        rows.push((
            entry,
            Row {
                version: cell(version),
                arch: cell(arch),
                digest: cell(digest),
                released_at: place("released_at").map(cell),
            },
        ));
    }
    Ok(rows)
}
