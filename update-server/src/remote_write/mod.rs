//! Tells a long-term store (Prometheus, Thanos, Mimir, `VictoriaMetrics`) how the fleet is, by
//! Prometheus remote-write 1.0. Off unless `[remote_write]` is set.
//!
//! ```text
//! fleet index, metrics page ─► round (every interval) ─► requests ─► bounded buffer ─► sender
//! ```
//! `config` is what a person sets, `round` decides what is said (values, and marks for what has
//! gone), `page` and `clusters` where it comes from, `write` how it looks on the wire,
//! `buffer` what happens when nobody takes it, `answer` what a receiver's answer means. Only
//! `task` waits, reads the clock and talks to anybody. Nothing here ever makes a report wait.

mod answer;
mod buffer;
mod clusters;
mod config;
mod page;
mod round;
mod task;
#[cfg(test)]
mod tests;
mod write;

pub use config::{Allowed, RemoteWriteError, RemoteWriteFragments, RemoteWriteSettings};
pub(crate) use task::spawn;
