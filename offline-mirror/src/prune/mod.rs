//! Finds and removes what no cluster of the site needs any more, in two phases.
//!
//! `plan` asks the site's hub what its clusters run, and writes a file that says of every image why
//! it stays or goes. People read it. `apply` asks the hub again and removes what the file says and
//! what is still needed by nobody. Only images that bundles brought are ever touched.

mod apply;
mod decide;
mod document;
mod error;
mod fleet;
mod releases;

pub use apply::{Pruned, apply};
pub use decide::{Need, Use};
pub use document::{Kept, PRUNE_BYTES_MAX, PrunePlan, Removable};
pub use error::PruneError;
pub use fleet::SiteHub;
pub use releases::{Asked, plan};
