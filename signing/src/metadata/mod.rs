//! The four kinds of TUF metadata: read once into a typed view, the raw bytes and the canonical
//! bytes. Signatures are checked over the canonical form of what was parsed, so unknown members
//! count (TUF 1.0.34 §4); what is stored is the raw bytes, never a second serialisation.

mod document;
mod hashes;
mod role;
mod root;
mod snapshot;
mod targets;
mod timestamp;

pub(crate) use document::Envelope;
pub use document::{Document, SignedBy};
pub use hashes::Hashes;
pub use role::{Body, KeySet};
pub use root::Root;
pub use snapshot::{MetaFile, Snapshot};
pub use targets::{DelegatedRole, TargetInfo, Targets};
pub use timestamp::{SIGNED_AT, TimestampMetadata};

/// The specification this crate implements, written into everything it makes.
pub const SPEC_VERSION: &str = "1.0.34";
