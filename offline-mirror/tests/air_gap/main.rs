//! The whole loop: a bundle made from a hub and a registry, carried, taken in by a site; what the
//! site sends back decides what the next bundle carries.
#![expect(clippy::unwrap_used, reason = "in tests a failed step is a failed test")]
#![expect(dead_code, reason = "the scene serves the tests of create too")]

#[path = "../create/hub.rs"]
mod hub;
#[path = "../create/registry.rs"]
mod registry;
#[path = "../create/scene.rs"]
mod scene;

mod trips;
