//! Converts what other update systems keep into a channel repository of ours.
//!
//! [`graph_data()`] reads a checkout of OpenShift's graph data, [`fedora_coreos()`] the update files
//! of Fedora CoreOS. Both answer with texts and with what could not be converted; nothing is
//! written here, and nothing the source does not say is made up. [`Import::check`] reads the
//! written files back and compares what they mean with what the source means.

mod blocks;
mod fcos;
mod fold;
mod graph_data;
mod payloads;
mod releases;
mod same;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::PathBuf;

use serde::Serialize;

pub use fcos::{FcosVersion, fedora_coreos};
pub use graph_data::{Import, Options, graph_data};
pub use payloads::{PAYLOADS_MAX_BYTES, Payload, Payloads};
pub use same::Same;

use crate::names::{Arch, ChannelName, ProductRef};
use crate::repository::RepositoryError;
use crate::version::ReleaseVersion;

/// Files by their path below the product's directory.
pub type Files = BTreeMap<PathBuf, String>;

/// What a note is about. The names are stable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NoteKind {
    /// A release cannot be written, as nothing says its payload.
    PayloadMissing,
    /// A release cannot be written, as nothing says when it came out.
    DateMissing,
    /// A payload names a version that is in no channel.
    PayloadUnused,
    /// No build suggestions for the minor: nothing says who may move to its releases.
    PredecessorsUnknown,
    /// An edge the source adds by hand is lost, as the release it leads to is not written.
    EdgeLost,
    /// Something in the source has no place in a channel repository.
    NotConverted,
    /// A block stays a file of its own, as no range means exactly the same.
    KeptApart,
    /// Blocks of one range name different releases as the fix; the range names none.
    FixesDiffer,
    /// Files that became one differ in comments or layout; the newest one's text was kept.
    TextsDiffer,
}

impl NoteKind {
    /// The name in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PayloadMissing => "payload_missing",
            Self::DateMissing => "date_missing",
            Self::PayloadUnused => "payload_unused",
            Self::PredecessorsUnknown => "predecessors_unknown",
            Self::EdgeLost => "edge_lost",
            Self::NotConverted => "not_converted",
            Self::KeptApart => "kept_apart",
            Self::FixesDiffer => "fixes_differ",
            Self::TextsDiffer => "texts_differ",
        }
    }

    /// Whether something of the source, or something a repository needs, is missing in the result.
    pub fn is_missing(self) -> bool {
        match self {
            Self::PayloadMissing
            | Self::DateMissing
            | Self::PayloadUnused
            | Self::PredecessorsUnknown
            | Self::EdgeLost
            | Self::NotConverted => true,
            Self::KeptApart | Self::FixesDiffer | Self::TextsDiffer => false,
        }
    }
}

/// Something a person should know of a conversion.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Note {
    /// What it is about.
    pub kind: NoteKind,
    /// The file, version or risk.
    pub subject: String,
    /// What is the matter and what to do.
    pub message: String,
}

impl Note {
    fn new(kind: NoteKind, subject: impl Display, message: impl Into<String>) -> Self {
        Self { kind, subject: format!("{subject}"), message: message.into() }
    }
}

/// What came of a conversion, for people and for programs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Channels written, internal ones included.
    pub channels: usize,
    /// Release files written.
    pub releases: usize,
    /// Blocked-edge files, and blocks of `raw/metadata.json`, in the source.
    pub blocks_read: usize,
    /// Blocked-edge files written.
    pub blocks_written: usize,
    /// Rollout policies written.
    pub policies: usize,
    /// What could not be converted, and what was decided on the way; by kind, then subject.
    pub notes: Vec<Note>,
}

impl Report {
    /// Whether the result lacks something that a person has to add.
    pub fn lacks_something(&self) -> bool {
        self.notes.iter().any(|note| note.kind.is_missing())
    }

    fn sort(&mut self) {
        self.notes.sort();
        self.notes.dedup();
    }
}

/// Why nothing could be imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The source, or what was written, cannot be read.
    #[error("{} cannot be read", if faults.len() == 1 { "a file" } else { "files" })]
    Repository {
        /// Every fault, at least one.
        faults: Vec<RepositoryError>,
    },
    /// A file of the source cannot be read.
    #[error("{}: cannot be read", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The source has neither channels nor blocked edges.
    #[error("{}: has no channels; name a checkout of graph data", directory.display())]
    NoChannels {
        /// The directory.
        directory: PathBuf,
    },
    /// A line of the payload table is unusable.
    #[error("payloads, entry {entry}: {problem}")]
    Payloads {
        /// Line of a CSV file or element of a JSON array, from 1; 0 for the whole.
        entry: usize,
        /// What is wrong and what to do.
        problem: String,
    },
    /// An update file of Fedora CoreOS is not one.
    #[error("{}: {problem}", file.display())]
    Fcos {
        /// The file.
        file: PathBuf,
        /// What is wrong and what to do.
        problem: String,
    },
    /// Two sources would make the same channel.
    #[error("{}: the stream {stream} is also in another file", file.display())]
    StreamTwice {
        /// The second file.
        file: PathBuf,
        /// The stream.
        stream: ChannelName,
    },
    /// A block of the source means something else in the result.
    #[error("{from} -> {to} on {arch} is blocked otherwise than in the source; nothing is written")]
    BlockDiffers {
        /// Source version.
        from: ReleaseVersion,
        /// Target version.
        to: ReleaseVersion,
        /// Architecture.
        arch: Arch,
    },
    /// A compiled graph of the result is not that of the source.
    #[error("the graph of {channel} on {arch} is not that of the source; nothing is written")]
    GraphDiffers {
        /// The channel.
        channel: ChannelName,
        /// The architecture.
        arch: Arch,
    },
    /// A release reads back as something else.
    #[error("release {version} reads back as another one; nothing is written")]
    ReleaseDiffers {
        /// The version.
        version: ReleaseVersion,
    },
}

impl From<Vec<RepositoryError>> for ImportError {
    fn from(faults: Vec<RepositoryError>) -> Self {
        Self::Repository { faults }
    }
}

/// `fairway.toml` of an imported product.
fn settings(product: &ProductRef, arches: &[Arch], upgrade_from: Option<&str>) -> String {
    let arches: Vec<String> = arches.iter().map(|arch| format!("\"{arch}\"")).collect();
    let upgrade_from =
        upgrade_from.map_or(String::new(), |list| format!("upgrade_from = [\"{list}\"]\n"));
    format!(
        "vendor = \"{}\"\nproduct = \"{}\"\n\n[defaults]\narches = [{}]\n{upgrade_from}",
        product.vendor,
        product.product,
        arches.join(", ")
    )
}

/// A text as a double-quoted YAML scalar.
fn quoted(text: &str) -> String {
    // JSON's escapes are a subset of YAML's.
    serde_json::Value::from(text).to_string()
}
