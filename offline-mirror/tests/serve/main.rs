//! The registry over a site's store, asked as clients ask it: each case of the public OCI
//! distribution conformance suite, by its name there, and what the suite does not ask.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod access;
mod blobs;
mod cli;
mod kill;
mod listing;
mod manifests;
mod peers;
mod scene;
mod served;
