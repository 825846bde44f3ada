//! Bundles arrive at a site: what is taken in, in which order, and what is refused before that.
#![expect(clippy::unwrap_used, reason = "in tests a failed step is a failed test")]

mod cli;
mod crossing;
mod damage;
mod hub;
mod kill;
mod late;
mod maker;
mod own_store;
mod prune;
mod refusals;
mod registry;
mod repair;
mod scene;
mod several;
