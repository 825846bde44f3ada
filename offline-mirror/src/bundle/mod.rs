//! The bundle set: tar segments, and the signed manifest that says what every byte of them is.
//!
//! Described byte by byte in `docs/bundle-format.md`.

mod manifest;

pub use manifest::{
    Base, BundleManifest, BundleName, BundleNameError, CHUNK_BYTES, CarriedImage, CarriedRelease,
    Content, Encoding, Entry, ImageRole, Missing, Part, Required, Segment,
};
