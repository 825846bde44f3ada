//! Observes a cluster, plans one step at a time, rolls it, and reports.

pub mod driver;
pub mod hub;
pub mod sim;
