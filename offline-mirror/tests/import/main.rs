//! Bundles arrive at a site: what is taken in, in which order, and what is refused before that.
#![expect(
    clippy::expect_used,
    clippy::as_conversions,
    reason = "tests: a wrong assumption ends them"
)]

#[path = "../air_gap/hub.rs"]
mod hub;
#[path = "../air_gap/registry.rs"]
mod registry;

mod crossing;
mod damage;
mod kill;
mod late;
mod maker;
mod prune;
mod refusals;
mod repair;
mod scene;
