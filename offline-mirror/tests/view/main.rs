//! Views between a hub and its sites: who signs them, what a bundle carries of them, and what a site
//! that pinned one believes.
#![expect(clippy::unwrap_used, reason = "in tests a failed step is a failed test")]

mod hub;
mod peers;
#[expect(dead_code, reason = "`tests/create` needs more of it")]
#[path = "../create/registry.rs"]
mod registry;
#[macro_use]
mod views;
mod roots;
mod scene;
