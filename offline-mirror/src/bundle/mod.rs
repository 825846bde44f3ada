//! The bundle set: tar segments, and the signed manifest that says what every byte of them is.
//!
//! ```text
//! PlannedEntry ─ lay_out ─► Laid ─ Writer (any order, any number of runs) ─► segments ─ seal ─► set
//! set ─ BundleDir (nobody's word) ─ verify ─► Reader ─ check ─► Evidence
//! ```
//! Described byte by byte in `docs/bundle-format.md`. Nothing here opens a network connection, reads a
//! clock, or knows what a release is.

mod check;
mod dir;
mod error;
mod evidence;
mod file;
mod framing;
mod layout;
mod manifest;
mod oci_layout;
mod reader;
mod seal;
mod size;
mod validate;
mod writer;

pub use check::check;
pub use dir::BundleDir;
pub use error::BundleError;
pub use evidence::{DAMAGE_MAX, Damage, DamageKind, Evidence, SegmentEvidence};
pub use layout::{Item, Laid, Piece, Planned, PlannedEntry, lay_out};
pub use manifest::{
    Base, BundleManifest, BundleName, BundleNameError, CHUNK_BYTES, CarriedImage, CarriedRelease,
    Content, Encoding, Entry, ImageRole, Missing, Part, Required, Segment,
};
pub use oci_layout::{ListedImage, oci_layout_files};
pub use reader::{BlobReader, Extent, PIECE_BYTES, Reader};
pub use seal::{discard, seal};
pub use size::{SegmentSize, SegmentSizeError};
pub use validate::{Fault, validate};
pub use writer::{ItemWriter, Room, Writer, Written, room, work_dir};

#[cfg(test)]
mod example;
#[cfg(test)]
mod sample;
