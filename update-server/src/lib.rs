//! The hub: signed release graphs out, fleet reports in, drift and directives between.

pub mod auth;
pub mod catalog;
pub mod clock;
pub mod config;
pub mod directive;
pub mod fleet;
pub mod http;
pub mod metrics;
pub mod served;
pub mod store;
