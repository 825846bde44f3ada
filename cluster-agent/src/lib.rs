//! Observes a cluster, plans one step at a time, rolls it, and reports.

pub mod driver;
