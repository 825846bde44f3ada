//! Observes a cluster, plans one step at a time, rolls it, and reports.

pub mod agent;
pub mod cli;
pub mod clock;
pub mod config;
pub mod crash;
pub mod driver;
pub mod footprint;
pub mod gate;
pub mod history;
pub mod hub;
pub mod kafka;
pub mod kube;
pub mod observation;
mod pem;
pub mod phase;
pub mod plan;
pub mod prometheus;
pub mod sim;
pub mod state;
pub mod status;
pub mod telemetry;
