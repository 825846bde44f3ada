//! Releases, channels, graphs, health and every type that crosses a process boundary.
//!
//! Everything here is a synchronous function of values: no clock, no network, no task. Reading a
//! channel repository from disk is the one exception, and it is a loader of its own.

pub mod cincinnati;
pub mod compile;
pub mod diff;
pub mod draw;
pub mod drift;
pub mod edit;
pub mod eol;
pub mod graph;
pub mod health;
pub mod import;
pub mod lint;
pub mod names;
pub mod path;
pub mod promotion;
pub mod repository;
pub mod rollout;
pub mod simulate;
pub mod version;
pub mod why;
pub mod wire;
mod yaml;
