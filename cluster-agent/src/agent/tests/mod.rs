//! The core against the simulated cluster: real pages, real gates, a hub, faults and crashes.
//!
//! Every run follows from its seed. `SEED=n` replays one, `SEEDS=n` runs that many.
#![expect(clippy::unwrap_used, clippy::as_conversions, reason = "tests")]

mod refusals;
mod rolls;
mod world;
