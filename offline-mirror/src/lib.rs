//! Carries releases and signed metadata across an air gap.
//!
//! `export` reads a hub the way an agent does, through a TUF client started from a pinned root, and
//! writes the metadata, the vendor's targets and the blobs one release names into a directory.
//! `import` verifies all of that again without a network, and only then feeds a site's own update
//! server and, where asked, a registry. Nothing here signs anything.
//!
//! ```text
//! hub ──TUF──►┐                       ┌──► site registry (blobs, manifests, indexes, tags)
//!             ├─ export ─ directory ─ import
//! registry ──►┘                       └──► site update server (POST /api/v1/publications)
//! ```

mod belief;
pub mod cli;
mod error;
mod export;
mod feed;
mod image;
mod import;
mod layout;
mod manifest;
mod metadata;
mod record;
mod registry;
mod vendors;

pub use belief::{AcceptExpired, read_root};
pub use error::Error;
pub use export::{ExportRequest, Exported, Tally, export};
pub use feed::Feed;
pub use import::{ImportRequest, Imported, import};
pub use layout::Layout;
pub use record::{ExportRecord, ExportedImage};
pub use registry::{Registry, RegistryAccess};
pub use vendors::{ExportedVendors, VendorsRequest, vendors};
