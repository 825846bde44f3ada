//! What can go wrong with a bundle set, each with what, where and what to do.

use std::path::PathBuf;

use signing::{Attack, BuildError, StatementError};

use crate::oci::Digest;

use super::evidence::Evidence;
use super::manifest::BundleManifest;
use super::validate::Fault;

/// What to do about a file that is not as it was made.
const COPY_AGAIN: &str = "copy this file again from where the bundle was made; verify names every \
                          damaged file at once";

/// Failure of writing, reading or checking a bundle set.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BundleError {
    /// A file cannot be carried under this path.
    #[error("{path}: {why}")]
    Path {
        /// The path.
        path: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Two planned entries have one path.
    #[error("{path} is planned twice")]
    Twice {
        /// The path.
        path: String,
    },
    /// An entry is larger than its kind may be.
    #[error("{path} has {size} bytes, at most {limit} can be carried")]
    TooLarge {
        /// The entry.
        path: String,
        /// Its length.
        size: u64,
        /// The bound, for all files together where it is one of them.
        limit: u64,
    },
    /// More than one set can hold.
    #[error("more than {limit} {what} in one bundle")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// The bound.
        limit: usize,
    },
    /// The file system has too little room.
    #[error("{}: {needed} bytes are needed, {free} are free", dir.display())]
    NoRoom {
        /// Directory that is written into.
        dir: PathBuf,
        /// What is still to be written, in bytes.
        needed: u64,
        /// What is free, in bytes.
        free: u64,
    },
    /// A file is in the way that this run did not write.
    #[error("{}: a file of another bundle or an earlier run", file.display())]
    Occupied {
        /// The file.
        file: PathBuf,
    },
    /// The set is finished already.
    #[error("{}: this bundle is complete already", manifest.display())]
    Sealed {
        /// Its manifest.
        manifest: PathBuf,
    },
    /// The working state belongs to another plan.
    #[error("{}: begun for another plan", work.display())]
    OtherPlan {
        /// Working state.
        work: PathBuf,
    },
    /// Another process writes this set.
    #[error("{}: another process is writing this bundle", work.display())]
    Locked {
        /// Working state.
        work: PathBuf,
    },
    /// An item is written by somebody else in this process, is done, or does not exist.
    #[error("item {item} cannot be begun: {why}")]
    NotOpen {
        /// Number of the item in the layout.
        item: usize,
        /// Why not.
        why: &'static str,
    },
    /// More bytes came than planned.
    #[error("{path}: more than its {size} bytes came")]
    TooLong {
        /// The entry.
        path: String,
        /// Its planned length.
        size: u64,
    },
    /// Fewer bytes came than planned.
    #[error("{path}: {found} of {size} bytes came")]
    TooShort {
        /// The entry.
        path: String,
        /// Its planned length.
        size: u64,
        /// What came.
        found: u64,
    },
    /// Other bytes came than planned.
    #[error("{path}: the bytes have digest {found}")]
    Digest {
        /// The entry, which is named after the digest it must have.
        path: String,
        /// What came.
        found: Digest,
    },
    /// Not everything is written.
    #[error("{left} of {all} items are not written")]
    Unfinished {
        /// How many are missing.
        left: usize,
        /// How many there are.
        all: usize,
    },
    /// The manifest could not be signed.
    #[error("cannot sign the manifest")]
    Sign(#[source] BuildError),
    /// A file could not be read or written.
    #[error("cannot {operation} {}", path.display())]
    Io {
        /// What was tried.
        operation: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// There is no manifest.
    #[error("{}: no manifest of a bundle here", dir.display())]
    NoManifest {
        /// Where it was looked for.
        dir: PathBuf,
        /// Whether a bundle was begun there.
        is_begun: bool,
    },
    /// Several bundles lie in one directory.
    #[error("{}: several bundles: {}", dir.display(), files.join(", "))]
    Several {
        /// Where.
        dir: PathBuf,
        /// Their manifests.
        files: Vec<String>,
    },
    /// Something else than a regular file has the name of one.
    #[error("{}: not a regular file", file.display())]
    NotAFile {
        /// Its path.
        file: PathBuf,
    },
    /// The manifest is too long to be one.
    #[error("{}: {size} bytes, at most {limit} are read", file.display())]
    ManifestTooLong {
        /// The manifest.
        file: PathBuf,
        /// Its length.
        size: u64,
        /// The bound.
        limit: u64,
    },
    /// The manifest is no statement of a bundle, or not signed by whom it must be.
    #[error("{}{}", file.display(), at(*offset))]
    Statement {
        /// The manifest.
        file: PathBuf,
        /// Where reading it failed, in bytes, when it is no JSON.
        offset: Option<u64>,
        /// What is wrong.
        #[source]
        source: StatementError,
    },
    /// The manifest has a form that this version does not know.
    #[error("{}: format {found}, this program reads {}", file.display(), BundleManifest::FORMAT)]
    Format {
        /// The manifest.
        file: PathBuf,
        /// What it says.
        found: u32,
    },
    /// The manifest contradicts itself.
    #[error("{}", file.display())]
    Structure {
        /// The manifest.
        file: PathBuf,
        /// How.
        #[source]
        source: Fault,
    },
    /// Segment files are not where they were looked for.
    #[error("missing: {}", files.join(", "))]
    MissingSegments {
        /// All that are missing.
        files: Vec<String>,
    },
    /// A segment file has another length than its manifest says.
    #[error("{}: {found} bytes, expected {expected}", file.display())]
    SegmentLength {
        /// The segment.
        file: PathBuf,
        /// From the manifest.
        expected: u64,
        /// Of the file.
        found: u64,
    },
    /// Bytes are not those that were written.
    #[error("{}", evidence.summary())]
    Damaged {
        /// All that was looked at, and every damaged place.
        evidence: Box<Evidence>,
    },
    /// The bundle does not carry this.
    #[error("{what} is not in this bundle")]
    NotCarried {
        /// Digest or path.
        what: String,
    },
}

fn at(offset: Option<u64>) -> String {
    offset.map(|offset| format!(" at byte {offset}")).unwrap_or_default()
}

impl BundleError {
    /// Wraps an I/O error with its file.
    pub(super) fn io(
        operation: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { operation, path, source }
    }

    /// The attack this failure would be, if it is one.
    pub fn attack(&self) -> Option<Attack> {
        if matches!(self, Self::TooLong { .. } | Self::ManifestTooLong { .. }) {
            return Some(Attack::EndlessData);
        }
        if let Self::Statement { source, .. } = self {
            return source.attack();
        }
        let is_other_content = matches!(
            self,
            Self::Digest { .. }
                | Self::Damaged { .. }
                | Self::SegmentLength { .. }
                | Self::NotAFile { .. }
        );
        is_other_content.then_some(Attack::ArbitrarySoftware)
    }

    /// Whether something was looked at and refused (exit 1), rather than not got at (exit 2).
    pub fn is_refusal(&self) -> bool {
        self.attack().is_some()
            || matches!(
                self,
                Self::Statement { .. }
                    | Self::Structure { .. }
                    | Self::Format { .. }
                    | Self::MissingSegments { .. }
                    | Self::TooShort { .. }
                    | Self::Unfinished { .. }
                    | Self::Sealed { .. }
                    | Self::NotCarried { .. }
            )
    }

    /// What a person can do about it, in one line.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::NoRoom { needed, free, .. } => {
                let more = needed.saturating_sub(*free);
                return Some(format!("free {more} bytes there, or write to another file system"));
            }
            Self::Occupied { .. } => {
                "choose another --name or directory, or move that file away; nothing is overwritten"
            }
            Self::Sealed { .. } => "carry it, or choose another --name for a new bundle",
            Self::OtherPlan { .. } => {
                "run create with the plan it was begun for, choose another --name, or remove what \
                 was begun"
            }
            Self::Locked { .. } => "wait for the other process, or stop it",
            Self::TooLong { .. } | Self::TooShort { .. } | Self::Digest { .. } => {
                "run the same command again; if it stays, the registry is broken or hostile"
            }
            Self::Unfinished { .. } => "run create again; it goes on where it stopped",
            Self::NoManifest { is_begun: true, .. } => {
                "create did not finish; run it again with the same directory"
            }
            Self::NoManifest { .. } => "name the directory or the .manifest.json of a bundle",
            Self::Several { .. } => "name one of these files instead of the directory",
            Self::Statement { source: StatementError::Signatures { .. }, .. } => {
                "check that the pinned root is that of the view this bundle was made under; if it \
                 is, copy the manifest again, and do not use the bundle if that does not help"
            }
            Self::Format { .. } => "read it with a newer offline-mirror",
            Self::MissingSegments { .. } => {
                "copy these files beside the manifest, or name their directory with --also"
            }
            Self::NotAFile { .. }
            | Self::ManifestTooLong { .. }
            | Self::Statement { .. }
            | Self::SegmentLength { .. }
            | Self::Damaged { .. } => COPY_AGAIN,
            Self::Io { source, .. } if source.kind() == std::io::ErrorKind::StorageFull => {
                "the disk is full; free space and run the same command again, it goes on"
            }
            Self::Io { .. } => "check the path, its rights and the medium",
            Self::Path { .. }
            | Self::Twice { .. }
            | Self::TooLarge { .. }
            | Self::TooMany { .. }
            | Self::NotOpen { .. }
            | Self::Sign(_)
            | Self::Structure { .. }
            | Self::NotCarried { .. } => return None,
        };
        Some(hint.to_owned())
    }
}
