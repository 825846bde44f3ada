//! What OCI defines, as types: digests, names, descriptors, manifests, the tree below a manifest.
//! Pure; nothing here fetches, stores or pushes.
//!
//! Sources: OCI image spec 1.1 (descriptor, manifest, image-index, artifacts), OCI distribution spec
//! 1.1 (names, tags, referrers), Docker manifest v2 schema 2.

mod digest;
mod manifest;
mod media;
mod name;
mod tree;

pub use digest::{Algorithm, Digest, DigestError, Hasher};
pub use manifest::{Content, Descriptor, MANIFEST_BYTES_MAX, Manifest, ManifestError};
pub use media::{INDEX_TYPES, MANIFEST_TYPES};
pub use name::{Host, NameError, Repository, Tag};
pub use tree::{Node, Tree, TreeError, Walk, Wanted};
