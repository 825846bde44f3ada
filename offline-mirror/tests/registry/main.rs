//! The registry engine against registries that misbehave: each fault is survived, or refused by its
//! name, and credentials never leave for another host.
#![expect(clippy::unwrap_used, reason = "in tests a failed step is a failed test")]

mod entry;
mod lists;
mod peers;
mod pull;
mod push;
mod redirects;
mod scene;
mod server;
mod sign_in;
