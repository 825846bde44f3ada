//! The core against the simulated cluster: real pages, real gates, a hub, faults and crashes.
//!
//! Every run follows from its seed. `SEED=n` replays one, `SEEDS=n` runs that many.
#![expect(
    clippy::as_conversions,
    clippy::cast_possible_wrap,
    clippy::wildcard_enum_match_arm,
    reason = "tests"
)]

mod air_gap;
mod facts;
mod finalize;
mod hooks;
mod hub_wishes;
mod keys;
mod lab;
mod real_nodes;
mod refusals;
mod retries;
mod risks;
mod rolls;
mod simulation;
mod small_quorums;
mod whole;
mod windows;
mod world;
