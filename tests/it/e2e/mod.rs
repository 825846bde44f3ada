//! Scenarios over real processes: a hub, agents, and the small processes they restart.
//!
//! [`world`] sets the stage (hub, vendor, clusters); every other module that is not part of it
//! tells one story. Nothing sleeps to keep in step: [`process::eventually`] looks until it sees.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a scenario that cannot go on has failed, and says where"
)]

mod agent;
mod agent_guide;
mod backup;
mod browser;
mod client;
mod cluster;
mod crashes;
mod cut_off;
mod faults;
mod gap;
mod holding;
mod http;
mod images;
mod kafka;
mod kube;
mod members;
mod mirror;
mod nodes;
mod peers;
mod process;
mod prometheus;
mod refusals;
mod replicas;
mod rolling;
mod rollout;
mod server;
mod shipping;
mod vendor;
mod vendors;
mod verbs;
mod world;
