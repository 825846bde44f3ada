//! Export and import between a hub, two registries and a site's update server, all in this
//! process, and every refusal on the way by its name.
#![expect(clippy::unwrap_used, reason = "in tests a failed step is a failed test")]

mod cli;
mod crossing;
mod hub;
mod late;
mod partial;
mod peers;
mod refusals;
mod registry;
mod scene;
mod view;
