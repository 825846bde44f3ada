//! TUF 1.0.34 client and repository, keys, and HTTP message signatures.
mod digest;
pub use digest::{DigestError, Sha256Digest};
