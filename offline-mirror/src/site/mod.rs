//! A site: the place behind the gap that takes bundles in, and what it remembers about them.
//!
//! A site directory holds the site's configuration, its key, what it has seen of the view it pinned,
//! and the ledger of what it took in. What it sends back (inventories and receipts) is signed here.
//!
//! ```text
//! SITEDIR/site.toml        name, allow-list, usual registry or store and update server
//! SITEDIR/root.json        the view's root, pinned by a way of its own
//! SITEDIR/site.key         the site's private key, 0600
//! SITEDIR/site.pub         its public half, for whoever makes the bundles
//! SITEDIR/seen/            floors: what was seen of the view
//! SITEDIR/ledger.json      bundles taken in
//! SITEDIR/metadata/        TUF files of the newest bundle, for `prune`
//! SITEDIR/inventory.json   the newest inventory
//! SITEDIR/receipts/        one receipt per bundle
//! ```
//!
//! Never opens a network connection.

mod config;
mod dir;
mod error;
mod files;
mod inventory;
mod ledger;
mod newest;
mod pattern;
mod receipt;

pub use config::{ServerConfig, SiteConfig};
pub use dir::{SiteDir, SiteInit};
pub use error::SiteError;
pub(crate) use files::{read_at_most, read_file, write_file};
pub use inventory::{Held, INVENTORY_BYTES_MAX, Inventory, MissingList, ViewIdentity};
pub use ledger::{Ledger, TakenIn};
pub use pattern::{ImagePattern, PatternError};
pub use receipt::{Receipt, Told};
