//! Observes a cluster, plans one step at a time, rolls it, and reports.

pub mod driver;
pub mod gate;
pub mod hub;
pub mod observation;
pub mod sim;
pub mod telemetry;
