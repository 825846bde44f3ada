//! Update files of Fedora CoreOS (`updates/<stream>.json`): barriers, dead ends, rollouts.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write as _};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::Deserialize;
use serde_json::Value;

use super::{Files, ImportError, Note, NoteKind, Report, quoted, settings};
use crate::names::{Arch, ChannelName, NameError, ProductRef};
use crate::repository::SETTINGS_FILE;
use crate::rollout::{Curve, FcosRollout, Share};
use crate::version::ReleaseVersion;

/// Streams and revisions each have this many numbers in a patch number.
const REVISIONS: u64 = 1000;

/// What moves to what is said by barriers and dead ends alone.
const UPGRADE_FROM: &str = ">=0.0.0";

/// A version of Fedora CoreOS, `44.20260301.3.1`: Fedora's major, a day, the stream, a revision.
///
/// As a semantic version it is `major.day.(stream × 1000 + revision)`, `44.20260301.3001`; the three
/// numbers of 2019 (`30.20190716.1`) stay as they are. So the order is kept, no two versions become
/// one, and the way back is unique: a patch number below 1000 has no stream. Streams from 1 and
/// revisions to 999 are taken, anything else is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct FcosVersion {
    major: u64,
    day: u64,
    /// 0 for a version of three numbers.
    stream: u64,
    revision: u64,
}

impl FcosVersion {
    /// As a semantic version.
    pub fn to_release(self) -> ReleaseVersion {
        let patch = self.stream * REVISIONS + self.revision;
        semver::Version::new(self.major, self.day, patch).into()
    }

    /// The version that a semantic one stands for; none for pre-releases and build metadata.
    pub fn of_release(version: &ReleaseVersion) -> Option<Self> {
        let version = version.semver();
        let stream = version.patch / REVISIONS;
        (version.pre.is_empty() && version.build.is_empty() && u32::try_from(stream).is_ok())
            .then_some(Self {
                major: version.major,
                day: version.minor,
                stream,
                revision: version.patch % REVISIONS,
            })
    }
}

impl fmt::Display for FcosVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { major, day, stream, revision } = self;
        match stream {
            0 => write!(f, "{major}.{day}.{revision}"),
            stream => write!(f, "{major}.{day}.{stream}.{revision}"),
        }
    }
}

impl FromStr for FcosVersion {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        let error = |why| NameError::new("version of Fedora CoreOS", text, why);
        let mut numbers = Vec::new();
        for part in text.split('.').take(5) {
            let plain = part == "0" || !part.starts_with(['0', '+']);
            let number = part.parse().ok().filter(|_| plain);
            numbers.push(number.ok_or_else(|| error("it must be numbers, without leading zeros"))?);
        }
        let (major, day, stream, revision) = match *numbers.as_slice() {
            [major, day, revision] => (major, day, 0, revision),
            [major, day, stream, revision] if stream > 0 => (major, day, stream, revision),
            [_, _, _, _] => {
                return Err(error("stream 0 cannot be told from a version without one"));
            }
            _ => return Err(error("it must read 44.20260301.3.1")),
        };
        if revision >= REVISIONS {
            return Err(error("its revision must be below 1000 to fit into a semantic version"));
        }
        if stream > u64::from(u32::MAX) {
            return Err(error("its stream is out of range"));
        }
        Ok(Self { major, day, stream, revision })
    }
}

#[derive(Deserialize)]
struct Updates {
    stream: ChannelName,
    releases: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    version: String,
    #[serde(default)]
    metadata: BTreeMap<String, Value>,
}

#[derive(Deserialize)]
struct Reason {
    reason: String,
}

#[derive(Deserialize)]
struct Rollout {
    #[serde(default)]
    start_epoch: i64,
    #[serde(default)]
    start_percentage: Option<f64>,
    #[serde(default)]
    duration_minutes: Option<u64>,
}

/// Converts update files, given as path and text, into one product with a channel per stream and
/// one rollout policy per rollout.
pub fn fedora_coreos(
    product: &ProductRef,
    arches: &[Arch],
    sources: &[(PathBuf, String)],
) -> Result<(Files, Report), ImportError> {
    let mut files = Files::new();
    let mut report = Report::default();
    let mut versions = BTreeSet::new();
    for (file, text) in sources {
        let stream = Stream::read(file, text, &mut report.notes)?;
        let path = Path::new("channels").join(format!("{}.yaml", stream.name));
        versions.extend(stream.versions.iter().copied());
        stream.policies(file, product, &mut files, &mut report)?;
        if files.insert(path, stream.channel()).is_some() {
            let (file, stream) = (file.clone(), stream.name);
            return Err(ImportError::StreamTwice { file, stream });
        }
        report.channels += 1;
        let message = "it lists only releases with a barrier, a dead end or a rollout; add the \
                       others of the stream to the channel";
        report.notes.push(Note::new(NoteKind::NotConverted, file.display(), message));
    }
    for version in versions {
        let message = format!(
            "the payload of {version} is not in the source; write releases/{}.yaml",
            version.to_release()
        );
        report.notes.push(Note::new(NoteKind::PayloadMissing, version.to_release(), message));
    }
    files.insert(PathBuf::from(SETTINGS_FILE), settings(product, arches, Some(UPGRADE_FROM)));
    report.sort();
    Ok((files, report))
}

/// One update file.
struct Stream {
    name: ChannelName,
    versions: BTreeSet<FcosVersion>,
    barriers: BTreeMap<FcosVersion, String>,
    dead_ends: BTreeMap<FcosVersion, String>,
    rollouts: BTreeMap<FcosVersion, FcosRollout>,
}

impl Stream {
    fn read(file: &Path, text: &str, notes: &mut Vec<Note>) -> Result<Self, ImportError> {
        let refuse = |problem: String| ImportError::Fcos { file: file.to_owned(), problem };
        let updates: Updates = serde_json::from_str(text).map_err(|error| {
            refuse(format!("{error}; name an updates/<stream>.json of fedora-coreos-streams"))
        })?;
        let mut stream = Self {
            name: updates.stream,
            versions: BTreeSet::new(),
            barriers: BTreeMap::new(),
            dead_ends: BTreeMap::new(),
            rollouts: BTreeMap::new(),
        };
        for entry in updates.releases {
            let version: FcosVersion =
                entry.version.parse().map_err(|error| refuse(format!("{error}")))?;
            if !stream.versions.insert(version) {
                return Err(refuse(format!("{version} is there twice; keep one entry")));
            }
            for (key, value) in entry.metadata {
                stream
                    .mark(version, &key, value, notes)
                    .map_err(|problem| refuse(format!("{key} of {version}: {problem}")))?;
            }
        }
        Ok(stream)
    }

    fn mark(
        &mut self,
        version: FcosVersion,
        key: &str,
        value: Value,
        notes: &mut Vec<Note>,
    ) -> Result<(), String> {
        let reason = |value| -> Result<String, String> {
            let Reason { reason } =
                serde_json::from_value(value).map_err(|error| format!("{error}; give a reason"))?;
            let said = !reason.trim().is_empty();
            said.then_some(reason).ok_or_else(|| "the reason is empty; say why".to_owned())
        };
        match key {
            "barrier" => drop(self.barriers.insert(version, reason(value)?)),
            "deadend" => drop(self.dead_ends.insert(version, reason(value)?)),
            "rollout" => {
                let Rollout { start_epoch, start_percentage, duration_minutes } =
                    serde_json::from_value(value).map_err(|error| error.to_string())?;
                let start_percentage = start_percentage
                    .ok_or("it has no start_percentage; write a number from 0 to 1")?;
                let rollout = FcosRollout { start_epoch, start_percentage, duration_minutes };
                self.rollouts.insert(version, rollout);
            }
            other => {
                let message = format!("its key {other} is not known here");
                notes.push(Note::new(NoteKind::NotConverted, version, message));
            }
        }
        Ok(())
    }

    /// `channels/<stream>.yaml`.
    fn channel(&self) -> String {
        let mut text = format!("name: {}\nversions:\n", self.name);
        for version in &self.versions {
            let _infallible = writeln!(text, "- {} # {version}", version.to_release());
        }
        for (key, marks) in [("barriers", &self.barriers), ("dead_ends", &self.dead_ends)] {
            if !marks.is_empty() {
                let _infallible = writeln!(text, "{key}:");
            }
            for (version, reason) in marks {
                let _infallible = writeln!(text, "  {}: {}", version.to_release(), quoted(reason));
            }
        }
        text
    }

    /// A policy for every rollout that is not open to all from its start.
    fn policies(
        &self,
        file: &Path,
        product: &ProductRef,
        files: &mut Files,
        report: &mut Report,
    ) -> Result<(), ImportError> {
        for (version, rollout) in &self.rollouts {
            let (start, curve) = Curve::from_fcos(rollout).map_err(|error| ImportError::Fcos {
                file: file.to_owned(),
                problem: format!("rollout of {version}: {error}"),
            })?;
            let opens = curve.points().first().map_or(Share::ALL, |point| point.share);
            if opens == Share::ALL {
                continue;
            }
            let release = version.to_release();
            let name = format!("{}-{release}", self.name).replace('.', "-");
            let mut text = format!(
                "# Rollout of {version}. It names the channel, not the release: use it for this \
                 release only.\nname: {name}\napplies_to:\n- product: {product}\n  channels: [{}]\n\
                 start: {start}\nrings:\n- name: all\n  rest: true\n  curve:\n    points:\n",
                self.name
            );
            for point in curve.points() {
                let point = serde_json::to_string(point).unwrap_or_default();
                let _infallible = writeln!(text, "    - {point}");
            }
            let path = Path::new("rollouts").join(format!("{name}.yaml"));
            files.insert(path, text);
            report.policies += 1;
        }
        Ok(())
    }
}
