//! Observes a cluster, plans one step at a time, rolls it, and reports.

pub mod gate;
pub mod observation;
pub mod telemetry;
