//! File names of a TUF repository with consistent snapshots (TUF 1.0.34 §6.2).

use super::{NameError, RoleName, TargetPath, TopRole, percent_decode, percent_encode};
use crate::Sha256Digest;
use std::fmt;

/// The hash in front of a target's file name: lower-case hex of any supported algorithm.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HashPrefix(String);

impl HashPrefix {
    /// Shortest and longest prefix: SHA-256 and SHA-512 in hex.
    const LENGTHS: [usize; 2] = [64, 128];

    /// Reads lower-case hex of a SHA-256 or SHA-512 hash.
    pub fn from_hex(hex: &str) -> Result<Self, NameError> {
        let lower_hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        if Self::LENGTHS.contains(&hex.len()) && hex.bytes().all(lower_hex) {
            Ok(Self(hex.to_owned()))
        } else {
            Err(NameError::Hash { found: hex.to_owned() })
        }
    }

    /// The hex digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<Sha256Digest> for HashPrefix {
    fn from(digest: Sha256Digest) -> Self {
        Self(digest.hex())
    }
}

/// One file of a repository.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FileName {
    /// `metadata/<role>.json`, or `metadata/<version>.<role>.json`.
    Metadata {
        /// Whose metadata.
        role: RoleName,
        /// The version in the file name; none for `timestamp.json`.
        version: Option<u64>,
    },
    /// `targets/<directory>/<hash>.<file>`: the hash is in front of the *file name*.
    Target {
        /// The target's path.
        path: TargetPath,
        /// The hash in the file name; none in a repository without consistent snapshots.
        digest: Option<HashPrefix>,
    },
}

impl FileName {
    /// `timestamp.json`, the one file that is polled.
    pub fn timestamp() -> Self {
        Self::Metadata { role: TopRole::Timestamp.into(), version: None }
    }

    /// `<version>.root.json`.
    pub fn root(version: u64) -> Self {
        Self::Metadata { role: TopRole::Root.into(), version: Some(version) }
    }

    /// A target named by its SHA-256.
    pub fn target(path: TargetPath, digest: Sha256Digest) -> Self {
        Self::Target { path, digest: Some(digest.into()) }
    }

    /// Where the file lies below a repository directory. Safe to join: no `..`, not absolute.
    pub fn relative_path(&self) -> String {
        match self {
            Self::Metadata { role, version } => {
                format!("metadata/{}", metadata_name(role, *version))
            }
            Self::Target { path, digest } => format!("targets/{}", hashed(path, digest.as_ref())),
        }
    }

    /// The same, percent-encoded for a URL.
    pub fn url_path(&self) -> String {
        match self {
            // A role's name is percent-encoded in its *file* name already.
            Self::Metadata { .. } => self.relative_path(),
            Self::Target { .. } => {
                let path = self.relative_path();
                path.split('/').map(percent_encode).collect::<Vec<_>>().join("/")
            }
        }
    }

    /// Reads what [`FileName::relative_path`] writes.
    pub fn from_relative_path(text: &str) -> Result<Self, NameError> {
        let unknown = || NameError::File { found: text.to_owned() };
        if let Some(name) = text.strip_prefix("metadata/") {
            let stem = name.strip_suffix(".json").ok_or_else(unknown)?;
            return parse_metadata(stem).ok_or_else(unknown);
        }
        let path = TargetPath::new(text.strip_prefix("targets/").ok_or_else(unknown)?)?;
        let (directory, file) = path.split_file_name();
        let (prefix, name) = file.split_once('.').ok_or_else(unknown)?;
        let digest = HashPrefix::from_hex(prefix)?;
        let path = TargetPath::new(format!("{directory}{name}"))?;
        Ok(Self::Target { path, digest: Some(digest) })
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.relative_path())
    }
}

fn metadata_name(role: &RoleName, version: Option<u64>) -> String {
    match version {
        Some(version) => format!("{version}.{}.json", role.quoted()),
        None => format!("{}.json", role.quoted()),
    }
}

fn hashed(path: &TargetPath, digest: Option<&HashPrefix>) -> String {
    let (directory, file) = path.split_file_name();
    match digest {
        Some(digest) => format!("{directory}{}.{file}", digest.as_str()),
        None => path.to_string(),
    }
}

fn parse_metadata(stem: &str) -> Option<FileName> {
    let (version, quoted) = match stem.split_once('.') {
        Some((number, rest))
            if !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()) =>
        {
            (Some(number.parse().ok()?), rest)
        }
        _ => (None, stem),
    };
    let role = RoleName::new(percent_decode(quoted)?).ok()?;
    // One name per file: an escape that was not needed, or `007`, is another name for the same.
    let name = FileName::Metadata { role, version };
    (name.relative_path() == format!("metadata/{stem}.json")).then_some(name)
}
