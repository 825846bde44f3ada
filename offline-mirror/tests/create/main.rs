//! Plans and bundles between a hub, a registry and a directory: what is carried, what a kill, a fault
//! or a change in mid-way does, and that the bytes are the same whatever happened.
#![expect(clippy::unwrap_used, reason = "in tests a failed step is a failed test")]

mod bundle;
mod golden;
mod hub;
mod increments;
mod partial;
mod refusals;
#[expect(dead_code, reason = "`tests/killed` needs more of it")]
mod registry;
mod scene;
mod walk;
