//! The manifest of a bundle set: the one document whose signature vouches for every byte carried.
//!
//! It is a [`signing::Statement`] of type [`BundleManifest::KIND`], signed with the snapshot key of the
//! view it was made under. Sites trust that key because their pinned view root names it.

use std::fmt;
use std::str::FromStr;

use channels::names::{Arch, ProductRef, SiteName};
use channels::version::ReleaseVersion;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use signing::Sha256Digest;

use crate::oci::{Digest, Host, Repository, Tag};

/// Distance between two hashes inside an entry. Damage is named to within this many bytes, and a
/// broken download loses at most this many.
pub const CHUNK_BYTES: u64 = 8 * 1024 * 1024;

/// What a bundle set holds and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BundleManifest {
    /// Form of this document; [`BundleManifest::FORMAT`] is what this version reads and writes.
    pub format: u32,
    /// Name in front of every file of the set.
    pub name: BundleName,
    /// Grows by one with every bundle of the view, whatever it carries. A site refuses to go back.
    pub sequence: u64,
    /// When it was begun.
    pub created_at: Timestamp,
    /// Program and version that made it.
    pub created_by: String,
    /// When the first metadata in it expires; none where nothing does.
    pub good_until: Option<Timestamp>,
    /// Sites it is meant for; every other site refuses it. Empty = any site of the view.
    pub sites: Vec<SiteName>,
    /// What it presumes to be at its sites; empty for a full bundle.
    pub bases: Vec<Base>,
    /// Blobs and manifests that the images need and that are not in the set, because every addressed
    /// site has them already.
    pub required: Vec<Required>,
    /// Whether everything asked for is carried. `false` makes import refuse unless told otherwise.
    pub complete: bool,
    /// What was asked for and is not carried; empty exactly when `complete`.
    pub missing: Vec<Missing>,
    /// Releases whose documents and images are carried.
    pub releases: Vec<CarriedRelease>,
    /// Images, children and referrers beside their subjects.
    pub images: Vec<CarriedImage>,
    /// The tar files, in order.
    pub segments: Vec<Segment>,
    /// What the tar files hold, in order of segment and offset. Between entries lie only tar
    /// headers and zeros, which follow from this list.
    pub entries: Vec<Entry>,
}

impl BundleManifest {
    /// `_type` of the statement.
    pub const KIND: &'static str = "fairway-bundle";
    /// The form written by this version.
    pub const FORMAT: u32 = 1;
}

/// An inventory that an increment was computed against.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Base {
    /// Whose; none where somebody assumed a sequence to have arrived.
    pub site: Option<SiteName>,
    /// Digest of the signed inventory; none where it was assumed.
    pub inventory: Option<Sha256Digest>,
    /// The newest bundle that had been imported there.
    pub sequence: u64,
}

/// Something that must be at the site already.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Required {
    /// Its digest.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
    /// Repositories whose images need it: registries keep blobs by repository.
    pub repositories: Vec<Repository>,
    /// Whether it is a manifest.
    pub is_manifest: bool,
}

/// Something that could not be carried.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Missing {
    /// Image, blob or document, for people.
    pub what: String,
    /// Why not, the innermost cause last.
    pub why: String,
}

/// A release that is carried.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct CarriedRelease {
    /// The product.
    pub product: ProductRef,
    /// The release.
    pub version: ReleaseVersion,
    /// Architectures whose images are carried.
    pub arches: Vec<Arch>,
}

/// An image, or an artifact about one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct CarriedImage {
    /// Repository, without host.
    pub repository: Repository,
    /// Digest of its manifest or index.
    pub digest: Digest,
    /// Tags it gets at the site.
    pub tags: Vec<Tag>,
    /// Registry that it was read from, for the configuration of container runtimes. Never contacted
    /// by a site.
    pub source: Host,
    /// Why it is carried.
    pub role: ImageRole,
}

/// Why an image is carried.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum ImageRole {
    /// A release names it.
    Release,
    /// Somebody asked for it by name; the site's allow-list must have it.
    Extra,
    /// It is about another image: a signature, an attestation, an SBOM.
    Referrer {
        /// That image.
        subject: Digest,
    },
}

/// One tar file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    /// File name.
    pub file: String,
    /// Length in bytes.
    pub size: u64,
}

/// One file inside a segment.
///
/// `chunks` are digests of *prefixes*: the n-th is over the first n × [`CHUNK_BYTES`] bytes of the
/// entry, and `digest` over all of it. One pass of one hash therefore yields them all, finds damage
/// to within a chunk, and is the digest that registries know the blob by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Path in the tar file.
    pub path: String,
    /// Index into [`BundleManifest::segments`].
    pub segment: u32,
    /// Offset of its first content byte in that file.
    pub offset: u64,
    /// Length of its content in the file.
    pub size: u64,
    /// Digest of its content.
    pub digest: Digest,
    /// Digests of the prefixes that are shorter than the entry, in order.
    pub chunks: Vec<Digest>,
    /// What it is.
    pub content: Content,
}

impl Entry {
    /// The blob it is, or is a part of.
    pub fn blob(&self) -> Option<Digest> {
        match &self.content {
            Content::Blob { blob, .. } => Some(*blob),
            Content::File | Content::Manifest { .. } => None,
        }
    }

    /// The manifest or blob it is, or is a part of.
    pub fn object(&self) -> Option<Digest> {
        match &self.content {
            Content::Blob { blob, .. } => Some(*blob),
            Content::Manifest { .. } => Some(self.digest),
            Content::File => None,
        }
    }
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Content {
    /// A file of the OCI layout itself or of the TUF repository.
    File,
    /// A manifest or index.
    Manifest {
        /// Its media type.
        media_type: String,
    },
    /// A blob, or one part of it.
    Blob {
        /// Digest of the whole blob.
        blob: Digest,
        /// How its bytes are stored.
        encoding: Encoding,
        /// Which part; none for a blob in one piece.
        part: Option<Part>,
    },
}

/// How a blob's bytes are stored in its entry. Later forms (deltas against a blob of the base) get
/// names of their own, so that an older reader refuses what it would misread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Encoding {
    /// As they are.
    Identity,
}

/// One part of a blob that does not fit into a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Offset of this part in the blob.
    pub from: u64,
    /// Length of the whole blob.
    pub of: u64,
}

/// Longest name of a bundle: `-0001.tar` and `.manifest.json` must fit behind it on any file system.
const NAME_BYTES_MAX: usize = 100;
/// A bundle's name that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "bundle {value:?}: a name is up to 100 letters, digits, '.', '_' and '-', a letter or digit first"
)]
pub struct BundleNameError {
    /// The name.
    pub value: String,
}

/// Name in front of every file of a bundle set: letters, digits, `.`, `_` and `-`, beginning with a
/// letter or digit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BundleName(String);

impl BundleName {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// File name of the signed manifest.
    pub fn manifest_file(&self) -> String {
        format!("{self}.manifest.json")
    }

    /// File name of the segment with this index, counted from 0; names count from 1.
    pub fn segment_file(&self, index: u32) -> String {
        format!("{self}-{:04}.tar", index.saturating_add(1))
    }
}

impl TryFrom<String> for BundleName {
    type Error = BundleNameError;

    fn try_from(value: String) -> Result<Self, BundleNameError> {
        let word = |b: u8| b.is_ascii_alphanumeric();
        let good = value.len() <= NAME_BYTES_MAX
            && value.bytes().next().is_some_and(word)
            && value.bytes().all(|b| word(b) || b"._-".contains(&b));
        if good { Ok(Self(value)) } else { Err(BundleNameError { value }) }
    }
}

impl FromStr for BundleName {
    type Err = BundleNameError;

    fn from_str(text: &str) -> Result<Self, BundleNameError> {
        text.to_owned().try_into()
    }
}

impl From<BundleName> for String {
    fn from(name: BundleName) -> Self {
        name.0
    }
}

impl fmt::Display for BundleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_file_names_and_nothing_else() {
        let name: BundleName = "north-2026.11".parse().unwrap();
        assert_eq!(name.manifest_file(), "north-2026.11.manifest.json");
        assert_eq!(name.segment_file(0), "north-2026.11-0001.tar");
        for bad in ["", ".", "../x", "a/b", "a b", "-x", &"x".repeat(101)] {
            assert!(bad.parse::<BundleName>().is_err(), "{bad}");
        }
    }
}
