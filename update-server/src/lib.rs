//! The hub: signed release graphs out, fleet reports in, drift and directives between.

pub mod catalog;
pub mod http;
pub mod metrics;
pub mod publish;
