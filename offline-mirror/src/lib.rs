//! Carries releases and signed metadata across an air gap.
//!
//! [`plan`] says what a bundle would carry, and [`create`] makes it: it reads a hub the way an agent
//! does, through a TUF client started from a pinned root, and streams what the releases name out of
//! registries into tar segments ([`bundle`]). A bundle is made under a [`view`](view_init) of the hub,
//! whose snapshot, timestamp and bundle manifests are signed with keys of its own; nothing of a vendor
//! or a hub is signed here. [`import`] verifies all of that again without a network, and only then
//! feeds a [`site`]'s registry or own [`store`] and its update server.
//!
//! ```text
//! hub ──TUF──►┐                         ┌──► site registry, or own store behind `serve`
//!             ├─ create ─ bundle set ─ import
//! registry ──►┘      ▲                  ├──► site update server (POST /api/v1/publications)
//!                    └── inventory ─────┘
//! ```

mod belief;
pub mod bundle;
pub mod cli;
pub mod configure;
pub mod create;
mod disk;
mod error;
mod feed;
pub mod import;
mod metadata;
pub mod oci;
pub mod plan;
pub mod prune;
pub mod registry;
pub mod serve;
mod server;
pub mod site;
mod status;
pub mod store;
mod vendors;
mod view;

pub use belief::{AcceptExpired, read_root};
pub use error::Error;
pub use feed::Feed;
pub use server::{ServerAccess, is_open};
pub use status::{ExportedStatus, SiteHub, StatusError, StatusRequest};
pub use vendors::{CarriedVendors, VendorsRequest, vendors};
pub use view::{
    Accepted, DEFAULT_LIFE_DAYS, DEFAULT_ROOT_DAYS, Drafted, Holders, MAX_LIFE_DAYS, MAX_ROOT_DAYS,
    ViewError, ViewInit, ViewRenewal, view_accept, view_init, view_renew,
};
