//! The writing side: builds signed metadata, stages a publication, and asks our own client
//! whether it would accept the result. Nothing here writes to disk.

mod build;
mod ceremony;
mod envelope;
pub mod request;
mod staged;
mod verify;

pub use build::{
    Delegation, MetaPin, RootSpec, TargetEntry, build_root, build_snapshot, build_targets,
    build_timestamp,
};
pub use ceremony::{RoleProgress, add_signature, check_root_chain, merge_signatures, progress};
pub use envelope::BuildError;
pub(crate) use envelope::seal;
pub use request::{RequestError, Review, Signing, SigningRequest};
pub use staged::{SNAPSHOT_LIFETIME, StagedRepository, TIMESTAMP_LIFETIME};
pub use verify::{StagedTarget, VerifiedRepository, verify_staged};
