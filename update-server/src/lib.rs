//! The hub: signed release graphs out, fleet reports in, drift and directives between.
//!
//! Read in this order: [`config`] (what a person may set), [`server`] (what is started, in which
//! order, and how it ends), [`http`] (every path), [`store`] (what is kept, and when a write is
//! acknowledged), [`fleet`] (what is answered from memory), [`directive`] (what a cluster may do
//! next), [`rollout`] (whose turn it is), [`bulk`] (one change to many clusters), [`site`] (dark
//! sites, by carried files), [`publish`] and [`catalog`] (what is served to everyone), [`fcos`] (the
//! same for Fedora `CoreOS`), [`remote_write`] (to a long-term store), [`backup`],
//! [`migrate`] (to another kind of database).

pub mod auth;
pub mod backup;
pub mod bulk;
pub mod catalog;
pub mod cli;
pub mod clock;
pub mod config;
pub mod directive;
pub mod events;
pub mod fcos;
pub mod fleet;
pub mod http;
pub mod metrics;
pub mod migrate;
pub mod publish;
pub mod remote_write;
pub mod rollout;
pub mod served;
pub mod server;
pub mod site;
pub mod store;
pub mod telemetry;
pub mod webhooks;

pub use cli::{ServeArgs, cli_main, command};
pub use config::Settings;
pub use server::{RunError, Running, run};
