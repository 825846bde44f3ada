//! Why an edit was refused. Nothing is ever changed half.

use crate::version::ReleaseVersion;

/// Why a text was not edited.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// The text is not YAML to begin with.
    #[error("it is not YAML: {problem}; correct that first")]
    Syntax {
        /// What is wrong, in the parser's words.
        problem: String,
    },
    /// The list is written in a way these edits do not know.
    #[error(
        "{key} is written in a way that is not edited here (line {line}); write it as one \"- item\" \
         per line or as [a, b] on one line, or edit it by hand"
    )]
    Style {
        /// The key.
        key: &'static str,
        /// Line, from 1; 0 where the key could not be found.
        line: usize,
    },
    /// The version is in the list already.
    #[error("{version} is in {key} already")]
    Listed {
        /// The version.
        version: ReleaseVersion,
        /// The list.
        key: &'static str,
    },
    /// The version is not in the list.
    #[error("{version} is not in {key}")]
    NotListed {
        /// The version.
        version: ReleaseVersion,
        /// The list.
        key: &'static str,
    },
    /// A release that was withdrawn is not promoted.
    #[error("{version} is a tombstone; what was withdrawn does not come back by promotion")]
    Withdrawn {
        /// The version.
        version: ReleaseVersion,
    },
    /// `fixedIn` ends ranges; this block is about one version.
    #[error("to is one version, which fixedIn cannot end; remove the block instead")]
    NotARange,
    /// Parsed again, the edited text would mean something else than was asked for.
    #[error(
        "the edited text would not mean exactly this change; edit the file by hand, it may use \
         anchors, tags or several documents"
    )]
    Meaning,
}
