//! An OCI distribution registry over the store.
