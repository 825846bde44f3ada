//! Why there is an edge between two releases, or why there is none.
//!
//! Pure. Tells everything that was weighed, as typed reasons that name files; the compiled graph has
//! the last word on whether the edge is there, and the reasons always explain what it says.

#[cfg(test)]
mod tests;
mod weigh;

use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

pub use weigh::why;

use crate::names::{Arch, ChannelName};
use crate::version::{ReleaseVersion, Requirement};

/// The answer for one channel and architecture.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Why {
    /// The channel.
    pub channel: ChannelName,
    /// The architecture.
    pub arch: Arch,
    /// Where the edge would begin.
    pub from: ReleaseVersion,
    /// Where it would lead.
    pub to: ReleaseVersion,
    /// What there is.
    pub edge: Edge,
    /// Why: what forbids it first, then what puts risks on it, then what allows it.
    pub reasons: Vec<Reason>,
}

/// What there is between two releases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Edge {
    /// No edge.
    None,
    /// An edge whose risks must be cleared or accepted.
    Conditional,
    /// An edge without a risk.
    Recommended,
}

/// One thing that was weighed. Files are relative to the repository's root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "reason")]
pub enum Reason {
    /// Both ends are one release.
    SameVersion,
    /// There is no such release.
    NoRelease {
        /// The version.
        version: ReleaseVersion,
    },
    /// The channel does not list a release.
    NotInChannel {
        /// The version.
        version: ReleaseVersion,
        /// The channel's file.
        file: PathBuf,
    },
    /// The channel lists a release, but not on this architecture, or the release has no content for
    /// it.
    NotOnArch {
        /// The version.
        version: ReleaseVersion,
    },
    /// The target was withdrawn from the channel.
    Withdrawn {
        /// The version.
        version: ReleaseVersion,
        /// The channel's file.
        file: PathBuf,
    },
    /// The source is never left, on purpose.
    DeadEnd {
        /// The version.
        version: ReleaseVersion,
        /// Why, in the author's words.
        why: String,
        /// The channel's file.
        file: PathBuf,
    },
    /// A release between the two that no edge may jump over.
    Barrier {
        /// The version.
        version: ReleaseVersion,
        /// Why, in the author's words.
        why: String,
        /// The channel's file.
        file: PathBuf,
    },
    /// The edge would pass more minors than allowed.
    MinorHops {
        /// Minors it would pass.
        passed: u32,
        /// Minors allowed.
        limit: u32,
        /// Who says so: the target's release file or the product's settings.
        file: PathBuf,
    },
    /// The target's release file does not allow the source.
    NotAllowed {
        /// `upgrade_from`, or `downgrade_from` where the target is older.
        key: &'static str,
        /// What the key lists.
        listed: Vec<Requirement>,
        /// The target's release file.
        file: PathBuf,
    },
    /// A blocked-edge file removes the edge.
    Blocked {
        /// The file.
        file: PathBuf,
    },
    /// A blocked-edge file puts a risk on the edge.
    Risk {
        /// The file.
        file: PathBuf,
        /// The risk's name.
        name: String,
        /// What happens to an exposed cluster.
        message: String,
        /// Page for people.
        url: String,
        /// Its rules in order, as `Always` or `PromQL: query`.
        rules: Vec<String>,
    },
    /// The target's release file allows the source.
    Allowed {
        /// `upgrade_from`, or `downgrade_from` where the target is older.
        key: &'static str,
        /// The first requirement that matches.
        by: Requirement,
        /// The target's release file.
        file: PathBuf,
    },
}

impl Reason {
    /// Whether it alone keeps the edge away.
    pub fn forbids(&self) -> bool {
        match self {
            Self::SameVersion
            | Self::NoRelease { .. }
            | Self::NotInChannel { .. }
            | Self::NotOnArch { .. }
            | Self::Withdrawn { .. }
            | Self::DeadEnd { .. }
            | Self::Barrier { .. }
            | Self::MinorHops { .. }
            | Self::NotAllowed { .. }
            | Self::Blocked { .. } => true,
            Self::Risk { .. } | Self::Allowed { .. } => false,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SameVersion => f.write_str("both are the same release"),
            Self::NoRelease { version } => write!(f, "{version} has no release file"),
            Self::NotInChannel { version, file } => {
                write!(f, "{}: {version} is not in the channel", file.display())
            }
            Self::NotOnArch { version } => {
                write!(f, "{version} is not in the channel on this architecture")
            }
            Self::Withdrawn { version, file } => {
                write!(f, "{}: {version} is a tombstone, nothing moves to it", file.display())
            }
            Self::DeadEnd { version, why, file } => {
                write!(f, "{}: {version} is a dead end: {why}", file.display())
            }
            Self::Barrier { version, why, file } => {
                write!(f, "{}: no edge jumps over {version}: {why}", file.display())
            }
            Self::MinorHops { passed, limit, file } => {
                write!(f, "{}: it passes {passed} minors, at most {limit} allowed", file.display())
            }
            Self::NotAllowed { key, listed, file } if listed.is_empty() => {
                write!(f, "{}: {key} is empty", file.display())
            }
            Self::NotAllowed { key, listed, file } => {
                let listed: Vec<String> = listed.iter().map(ToString::to_string).collect();
                write!(f, "{}: {key} lists {}", file.display(), quoted(&listed))?;
                f.write_str(", and none matches")
            }
            Self::Blocked { file } => write!(f, "{}: removes the edge", file.display()),
            Self::Risk { file, name, message, url, rules } => {
                let rules = rules.join("; else ");
                let message = message.trim_end();
                write!(f, "{}: risk {name}: {message} ({url}; {rules})", file.display())
            }
            Self::Allowed { key, by, file } => {
                write!(f, "{}: {key} allows it by \"{by}\"", file.display())
            }
        }
    }
}

fn quoted(items: &[String]) -> String {
    let quoted: Vec<String> = items.iter().map(|item| format!("\"{item}\"")).collect();
    quoted.join(", ")
}
