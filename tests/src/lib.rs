//! End-to-end scenarios over real processes, seeded simulation, and the tidy checks.
//!
//! The package's own binary, `fairway-under-test`, is `fairway`'s entry point under a name of its
//! own, so that plain `cargo test --workspace` builds the processes its scenarios start.
