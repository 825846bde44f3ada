//! Makes the signed set: what is in the channel repository, signed by whoever must sign it.
//!
//! Pure but for the signers: no prompts, no files, no network, no clock. Only what changed is
//! signed again, so publishing an unchanged repository gives the same bytes. `snapshot` and
//! `timestamp` are the hub's to sign. Published metadata is verified from the pinned root before
//! anything is taken from it.
//!
//! ```text
//! Content (releases, graphs) ─┐
//! previous metadata ──────────┼─> assemble ─> Assembly { repository, changes } ─> wire::Publication
//! Layout + Keyring ───────────┘
//! ```

mod assemble;
mod assembly;
mod ceremony;
mod content;
mod draft;
mod error;
mod keyring;
mod layout;
mod previous;
mod root;
mod succession;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod turns;
mod vendor;

pub use assemble::{assemble, assemble_above, plan, plan_above};
pub use assembly::{Assembly, Change, Why};
pub use ceremony::{Ceremony, CeremonySpec, Preparation, hold_ceremony, prepare_ceremony};
pub use content::{Content, ContentError};
pub use draft::{DraftError, NextRoot, OnlineRole, draft_first_root, draft_next_root};
pub use error::PublisherError;
pub use keyring::{Keyring, KeyringError, MemoryKeyring, Turn};
pub use layout::{
    Floors, ImportedVendor, Layout, RoleKeys, RootTrust, Terms, VendorKeys, VendorLayout,
    channels_role, releases_role, targets_role, vendor_role,
};
pub use previous::{TrustedRoots, check_published};
pub use root::{RootKeys, first_root};
pub use signing::repository::request::Change as TrustChange;
pub use succession::{Succession, check_first_root, succeed};
pub use turns::{Drafting, Returned};
pub use vendor::{VendorSet, assemble_vendor, plan_vendor};
