//! TUF 1.0.34 client and repository, keys, and HTTP message signatures.
//!
//! Read in this order: [`names`] and [`key`] (what is signed, and by whom), [`metadata`] (the five
//! file types), [`trusted`] (every check of the specification's client workflow, without I/O),
//! [`client`] (the same workflow over a [`Source`] and a [`Store`]), [`repository`] (the writing
//! side, which asks our own client before anything is published), [`statement`] (what the same keys
//! sign beside the repository) and [`message`] (RFC 9421).
//!
//! The crate reads no clock: `now` is an argument. It speaks HTTP only with feature `http`, and
//! holds private keys on disk only with feature `keys`.

pub mod attack;
pub mod causes;
pub mod cjson;
pub mod client;
pub mod digest;
pub mod error;
pub mod glob;
pub mod json;
pub mod key;
#[cfg(feature = "keys")]
pub mod keyfile;
pub mod message;
pub mod metadata;
pub mod names;
pub mod repository;
#[cfg(feature = "keys")]
pub mod signer;
pub mod source;
pub mod statement;
pub mod store;
pub mod trusted;
pub mod verified;

pub use attack::Attack;
pub use client::{
    Client, FromMirror, MirrorFailure, MirrorsFailed, Refreshed, Target, TargetFile, Versions,
};
pub use digest::{Sha256Digest, Sha256Hasher};
pub use error::Error;
pub use key::{KeyError, KeyId, PublicKey, SecretKey, SignError, Signer};
pub use metadata::KeySet;
pub use names::{FileName, HashPrefix, NameError, RoleName, TargetPath, TopRole};
pub use repository::{
    BuildError, Delegation, MetaPin, RootSpec, SigningRequest, StagedRepository, TargetEntry,
    VerifiedRepository, build_root, build_snapshot, build_targets, build_timestamp, verify_staged,
};
#[cfg(feature = "http")]
pub use source::HttpSource;
pub use source::{
    DirSource, Fetched, MemSource, Mirrors, MirrorsError, Recording, Source, SourceError,
};
pub use statement::{Statement, StatementError};
pub use store::{DirStore, MemStore, Store, StoreError};
pub use verified::Verified;
