//! What can go wrong while a bundle is made, each with what, where and what to do.

use std::path::PathBuf;

use jiff::Timestamp;
use signing::Attack;

use crate::bundle::{BundleError, BundleName, Missing};
use crate::error::Error;
use crate::plan::PlanError;
use crate::registry::RegistryError;

/// Failure of a create.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CreateError {
    /// What is asked for cannot be planned.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The bundle cannot be written.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// The view cannot sign, or a file cannot be got at.
    #[error(transparent)]
    Mirror(#[from] Error),
    /// A blob cannot be fetched; what is down stays.
    #[error("{down} of {all} blobs are here")]
    Fetch {
        /// Blobs that are here.
        down: usize,
        /// Blobs of the bundle.
        all: usize,
        /// The first that failed.
        #[source]
        source: RegistryError,
    },
    /// No view is named.
    #[error("a bundle is made under a view, and none is named")]
    NoView,
    /// Earlier work in the directory was for something else.
    #[error("{name} was begun in {} with another {}", dir.display(), differences.join(", "))]
    Changed {
        /// Name of the bundle.
        name: BundleName,
        /// The directory.
        dir: PathBuf,
        /// What differs.
        differences: Vec<String>,
    },
    /// The same was made before, and to look again may find something else.
    #[error(
        "{}: made at {created_at} by the same request{}{}; nothing was looked up this time",
        manifest.display(),
        if *complete { "" } else { ", NOT COMPLETE" },
        if *is_good { "" } else { ", and EXPIRED" }
    )]
    Made {
        /// Its manifest.
        manifest: PathBuf,
        /// When it was begun.
        created_at: Timestamp,
        /// Whether it holds everything that was asked for then.
        complete: bool,
        /// Whether its metadata is still good; sites refuse what has expired.
        is_good: bool,
    },
    /// The state of earlier work cannot be used.
    #[error("{}: {why}", path.display())]
    Pinned {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The bundle is made and does not hold everything that was asked for.
    #[error("{name} is made and NOT COMPLETE: {} of what was asked for is missing", missing.len())]
    Incomplete {
        /// Its name.
        name: BundleName,
        /// What is missing.
        missing: Vec<Missing>,
    },
}

impl CreateError {
    /// The attack this failure would be, if it is one.
    pub fn attack(&self) -> Option<Attack> {
        match self {
            Self::Plan(error) => error.attack(),
            Self::Bundle(error) => error.attack(),
            Self::Mirror(error) => error.attack(),
            Self::Fetch { source, .. } => source.attack(),
            Self::NoView
            | Self::Changed { .. }
            | Self::Made { .. }
            | Self::Pinned { .. }
            | Self::Incomplete { .. } => None,
        }
    }

    /// Whether something was looked at and refused (exit 1), rather than not got at (exit 2).
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::Plan(error) => error.is_refusal(),
            Self::Bundle(error) => error.is_refusal(),
            Self::Mirror(error) => error.is_refusal(),
            Self::Fetch { source, .. } => source.is_refusal(),
            Self::NoView => false,
            Self::Changed { .. }
            | Self::Made { .. }
            | Self::Pinned { .. }
            | Self::Incomplete { .. } => true,
        }
    }

    /// What a person can do about it, in one line.
    pub fn hint(&self) -> Option<String> {
        let text = match self {
            Self::Plan(error) => return error.hint(),
            Self::Bundle(error) => return error.hint(),
            Self::Mirror(error) => error.hint(),
            Self::Fetch { source, .. } => {
                let more = source.hint().map(|hint| format!("; {hint}")).unwrap_or_default();
                let without = "; --keep-going makes a bundle without the images that need it";
                let without = if source.is_answer() { without } else { "" };
                return Some(format!(
                    "run the same command again, it goes on where this run stopped{without}{more}"
                ));
            }
            Self::NoView => {
                "make one with: offline-mirror view init; then name it: --view, or view in \
                 mirror.toml"
            }
            Self::Changed { .. } => {
                "ask for the same again to finish it, choose another --name, or give it up with \
                 --restart: blobs that both need are kept"
            }
            Self::Made { complete: true, is_good: true, .. } => {
                "carry it, or choose another --name or directory for a new one"
            }
            Self::Made { complete: true, is_good: false, .. } => {
                "sites refuse it: choose another --name or directory for a new one"
            }
            Self::Made { complete: false, .. } => {
                "--restart makes it anew in its place and fetches everything again; another --name \
                 keeps both"
            }
            Self::Pinned { .. } => "give the earlier work up with --restart",
            Self::Incomplete { .. } => {
                "sites refuse it unless told to take it; when the registries are well again, make \
                 a whole one: the same with --restart in its place, or under another --name"
            }
        };
        Some(text.to_owned())
    }
}
