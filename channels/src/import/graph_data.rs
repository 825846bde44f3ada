//! A checkout of OpenShift's graph data, as a product of ours.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::{Files, ImportError, Note, NoteKind, Payloads, Report, blocks, releases, settings};
use crate::names::{Arch, ProductRef};
use crate::repository::{GraphData, KnownRelease, ProductSource, SETTINGS_FILE, load_graph_data};
use crate::version::{Minor, ReleaseVersion};
use crate::wire::Role;

/// Folders whose files are taken over as they are.
const COPIED: [&str; 2] = ["channels", "internal-channels"];

/// Everything the reader knows; other entries of a checkout are reported.
const READ: [&str; 6] =
    ["channels", "internal-channels", "blocked-edges", "build-suggestions", "raw", "version"];

/// What the source does not say.
#[derive(Debug, Clone)]
pub struct Options {
    /// Whose product it becomes.
    pub product: ProductRef,
    /// Architectures the releases exist on, where payloads do not tell; at least one.
    pub arches: Vec<Arch>,
    /// Payloads of releases; without them no release is written.
    pub payloads: Payloads,
    /// When a release came out for which the payloads have no date.
    pub released_at: Option<Timestamp>,
    /// What kind of unit runs the payload.
    pub role: Role,
}

/// The texts of a product, and what they must mean.
#[derive(Debug, Clone)]
pub struct Import {
    /// What to write.
    pub files: Files,
    /// What came of it.
    pub report: Report,
    pub(super) source: GraphData,
    /// What the files are expected to say, apart from folding.
    pub(super) expected: ProductSource,
    pub(super) arches: Vec<Arch>,
}

/// Converts the checkout in `directory`. Nothing is written; the same input gives the same texts.
pub fn graph_data(directory: &Path, options: &Options) -> Result<Import, ImportError> {
    let source = load_graph_data(directory)?;
    if source.channels.is_empty() {
        return Err(ImportError::NoChannels { directory: directory.to_owned() });
    }
    let mut report = Report { blocks_read: source.blocks.len(), ..Report::default() };
    let mut files = Files::new();
    for folder in COPIED {
        files.extend(texts(directory, folder)?);
    }
    report.channels = files.len();
    let arches = arches(&source, options);
    let mut known = source.versions();
    known.extend(options.payloads.versions().map(ReleaseVersion::without_build));
    let block_texts = texts(directory, "blocked-edges")?;
    let written = blocks::write(&source.blocks, &known, &block_texts, &mut report.notes);
    report.blocks_written = written.len();
    files.extend(written);
    let expected = expected(&source, options, &arches, &mut report.notes);
    for release in expected.releases.values() {
        let (path, text) = releases::write(release, options.role);
        files.insert(path, text);
        report.releases += 1;
    }
    files.insert(PathBuf::from(SETTINGS_FILE), settings(&options.product, &arches, None));
    left_behind(directory, &mut report.notes)?;
    report.sort();
    Ok(Import { files, report, source, expected, arches })
}

/// The architectures asked for, those of the payloads, and those that versions name.
fn arches(source: &GraphData, options: &Options) -> Vec<Arch> {
    let mut arches: BTreeSet<Arch> = options.arches.iter().cloned().collect();
    arches.extend(options.payloads.arches().cloned());
    let channels = source.channels.iter().chain(&source.internal_channels);
    let versions = channels.flat_map(|one| one.versions.iter().chain(&one.tombstones));
    arches.extend(versions.filter_map(|one| one.semver().build.as_str().parse().ok()));
    arches.into_iter().collect()
}

/// The releases that can be written, in the product they make; notes say what is missing.
fn expected(
    source: &GraphData,
    options: &Options,
    arches: &[Arch],
    notes: &mut Vec<Note>,
) -> ProductSource {
    let payloads = &options.payloads;
    let content = |version: &ReleaseVersion, arch: &Arch| {
        Some(payloads.of(version)?.get(arch)?.image.clone())
    };
    let since = options.released_at.unwrap_or(Timestamp::UNIX_EPOCH);
    let mut found = source.suggested_releases(arches, since, &content);
    found.retain(|version, release| dated(version, release, options, notes));
    let versions = source.versions();
    missing(source, &versions, &found, options, notes);
    source.clone().into_product(options.product.clone(), found)
}

/// Gives a release its date, or says that there is none.
fn dated(
    version: &ReleaseVersion,
    release: &mut KnownRelease,
    options: &Options,
    notes: &mut Vec<Note>,
) -> bool {
    let of_version = options.payloads.of(version).into_iter().flatten();
    let own = of_version.filter_map(|(_, payload)| payload.released_at).min();
    if let Some(at) = own.or(options.released_at) {
        release.released_at = at;
        return true;
    }
    let message = "nothing says when it came out; add released_at to the payloads or --released-at";
    notes.push(Note::new(NoteKind::DateMissing, version, message));
    false
}

fn missing(
    source: &GraphData,
    versions: &BTreeSet<ReleaseVersion>,
    found: &BTreeMap<ReleaseVersion, KnownRelease>,
    options: &Options,
    notes: &mut Vec<Note>,
) {
    for version in versions.iter().filter(|version| options.payloads.of(version).is_none()) {
        let message = "its payload is not in the source; name it in --payloads FILE";
        notes.push(Note::new(NoteKind::PayloadMissing, version, message));
    }
    for version in options.payloads.versions().filter(|version| !versions.contains(version)) {
        let message = "it is in no channel, so no release is written";
        notes.push(Note::new(NoteKind::PayloadUnused, version, message));
    }
    let minors: BTreeSet<Minor> = versions.iter().map(Minor::of).collect();
    for minor in minors.into_iter().filter(|minor| !source.suggestions.contains_key(minor)) {
        let message = "it has no build suggestions; its releases get upgrade_from: []";
        notes.push(Note::new(NoteKind::PredecessorsUnknown, minor, message));
    }
    for (from, to) in &source.added {
        if !found.contains_key(&to.without_build()) {
            let message = "raw/metadata.json adds this edge, and there is no release to hold it";
            notes.push(Note::new(NoteKind::EdgeLost, format!("{from} -> {to}"), message));
        }
    }
}

/// The files of a folder of YAML, by path; the reader has checked that they are text.
fn texts(directory: &Path, folder: &str) -> Result<Files, ImportError> {
    let mut texts = Files::new();
    if !directory.join(folder).is_dir() {
        return Ok(texts);
    }
    for name in names(&directory.join(folder))? {
        let file = Path::new(folder).join(&name);
        if file.extension().is_some_and(|extension| extension == "yaml") && !name.starts_with('.') {
            let text = fs::read_to_string(directory.join(&file))
                .map_err(|source| ImportError::Read { file: file.clone(), source })?;
            texts.insert(file, text);
        }
    }
    Ok(texts)
}

fn names(directory: &Path) -> Result<Vec<String>, ImportError> {
    let failed = |source| ImportError::Read { file: directory.to_owned(), source };
    let mut names = Vec::new();
    for entry in fs::read_dir(directory).map_err(failed)? {
        names.push(entry.map_err(failed)?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

/// Notes what else a checkout holds. Programs, documents and licences are not data.
fn left_behind(directory: &Path, notes: &mut Vec<Note>) -> Result<(), ImportError> {
    for name in names(directory)? {
        let extension = Path::new(&name).extension().and_then(|extension| extension.to_str());
        let is_data = matches!(extension, Some("yaml" | "yml" | "json"));
        if is_data && !READ.contains(&name.as_str()) && !name.starts_with('.') {
            let message = "it is no part of the data this import knows";
            notes.push(Note::new(NoteKind::NotConverted, &name, message));
        }
    }
    Ok(())
}
