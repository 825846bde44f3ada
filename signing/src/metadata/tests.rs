//! Form of metadata.
