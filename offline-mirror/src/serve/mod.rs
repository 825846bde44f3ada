//! An OCI registry over a site's own [`Store`](crate::store::Store) (OCI distribution spec 1.1).
//!
//! Read-only unless told otherwise. It opens no connection to anywhere, changes no manifest, and
//! serves bytes from where they lie: a blob is never in memory as a whole.
//!
//! ```text
//! request ─► route (pure) ─► access (pure) ─► pull | push | listing ─► store (blocking threads)
//! ```

mod access;
mod answer;
mod body;
mod error;
mod listing;
mod metrics;
mod pull;
mod push;
mod range;
mod route;
mod server;
mod tls;

pub use access::{Anonymous, Exposure, Role, TokenError, Tokens};
pub use error::ServeError;
pub use server::{Allowed, Running, ServeSettings};
