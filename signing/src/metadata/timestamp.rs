//! `timestamp`: the newest snapshot (TUF 1.0.34 §4.6), and when it was signed.

use super::role::Body;
use super::snapshot::MetaFile;
use crate::error::Error;
use crate::names::RoleName;
use jiff::Timestamp;
use serde::Deserialize;

/// Our signed extension: the signer's clock, a lower bound for a reader whose clock is behind.
pub const SIGNED_AT: &str = "x-signed-at";

/// The content of `timestamp.json`.
#[derive(Debug, Clone, Deserialize)]
pub struct TimestampMetadata {
    /// Version.
    pub version: u64,
    /// End of validity.
    pub expires: Timestamp,
    /// When it was signed, by the signer's clock; other repositories do not say.
    #[serde(rename = "x-signed-at", default)]
    pub signed_at: Option<Timestamp>,
    meta: Meta,
}

/// Exactly one file is pinned.
#[derive(Debug, Clone, Deserialize)]
struct Meta {
    #[serde(rename = "snapshot.json")]
    snapshot: MetaFile,
}

impl TimestampMetadata {
    /// The pin of the snapshot.
    pub fn snapshot(&self) -> &MetaFile {
        &self.meta.snapshot
    }
}

impl Body for TimestampMetadata {
    const TYPE: &'static str = "timestamp";

    fn version(&self) -> u64 {
        self.version
    }

    fn expires(&self) -> Timestamp {
        self.expires
    }

    fn validate(&self, _role: &RoleName) -> Result<(), Error> {
        Ok(())
    }
}
