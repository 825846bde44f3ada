//! A second view of a hub, for sites behind an air gap.
//!
//! A connected hub's timestamp lives a day, because an old one is a `freeze` to a connected agent; a
//! parcel is weeks on the road. So an exporter keeps a *view*: the hub's targets and the vendors'
//! files byte for byte, below a root, snapshot and timestamp of its own with a long life. Sites pin
//! the view's root; connected agents pin the hub's, and neither follows the other's. To a client
//! both are plain TUF.
//!
//! ```text
//! holders of root keys ──► view root ──► targets: the hub's keys ──► vendors' roles, as they are
//!                                   └──► snapshot, timestamp: the view's keys, weeks of life
//! ```
//!
//! A thief of a view's keys can keep its sites at old sets until its root ends or is renewed; they
//! never add software, because targets and everything below are signed by the hub and the vendors.

mod ceremony;
mod dir;
mod error;
mod hub;
mod keys;
mod plan;
mod publish;
mod records;
mod request;

pub use ceremony::{Accepted, Drafted, ViewInit, ViewRenewal, view_accept, view_init, view_renew};
pub(crate) use dir::accepted_roots;
pub use error::ViewError;
pub(crate) use hub::{Files, Hub};
pub use plan::{DEFAULT_LIFE_DAYS, DEFAULT_ROOT_DAYS, Holders, MAX_LIFE_DAYS, MAX_ROOT_DAYS};
pub(crate) use publish::{Published, foreseen, manifest_key, publish};
pub(crate) use records::{
    BundleRecord, SeenInventory, bundle_records, forget_bundle_record, keep_bundle_record,
    remember_inventory, seen_inventory,
};
