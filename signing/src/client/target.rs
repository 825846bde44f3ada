//! What a lookup answers, and fetching the file itself (TUF 1.0.34 §5.7).

use super::Client;
use crate::error::Error;
use crate::metadata::{Hashes, TargetInfo};
use crate::names::{FileName, RoleName, TargetPath};
use crate::source::Source;
use crate::store::Store;
use crate::{Sha256Digest, Verified};
use serde_json::Value;

/// A target, named by its SHA-256 as everything in Fairway is.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    /// Its path.
    pub path: TargetPath,
    /// Its bytes.
    pub length: u64,
    /// Its SHA-256.
    pub digest: Sha256Digest,
    /// What the signer said about it.
    pub custom: Option<Value>,
    /// Who signed.
    pub role: RoleName,
}

/// A target as any TUF repository may list it, perhaps without a SHA-256.
#[derive(Debug, Clone, PartialEq)]
pub struct TargetFile {
    /// Its path.
    pub path: TargetPath,
    /// Its bytes.
    pub length: u64,
    /// Its hashes.
    pub hashes: Hashes,
    /// What the signer said about it.
    pub custom: Option<Value>,
    /// Who signed.
    pub role: RoleName,
}

impl TargetFile {
    pub(super) fn new(path: &TargetPath, info: &TargetInfo, role: &RoleName) -> Self {
        Self {
            path: path.clone(),
            length: info.length,
            hashes: info.hashes.clone(),
            custom: info.custom.clone(),
            role: role.clone(),
        }
    }

    /// The same, named by SHA-256.
    pub(super) fn named(self) -> Result<Target, Error> {
        let Self { path, length, hashes, custom, role } = self;
        match hashes.as_sha256() {
            Some(digest) => Ok(Target { path, length, digest, custom, role }),
            None => Err(Error::NoSha256 { path }),
        }
    }
}

impl Verified<TargetFile> {
    /// Whether `bytes` are this target's (§5.7.3), for a copy that is already at hand.
    pub fn check(&self, bytes: &[u8]) -> Result<(), Error> {
        check(&FileName::Target { path: self.path.clone(), digest: None }, self, bytes)
    }
}

fn check(file: &FileName, target: &TargetFile, bytes: &[u8]) -> Result<(), Error> {
    let found = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    if found != target.length {
        return Err(Error::Length { file: file.clone(), found, expected: target.length });
    }
    target.hashes.check(file, bytes)
}

impl<S: Source, T: Store> Client<S, T> {
    /// Fetches a target and checks its length and hash.
    pub async fn fetch_target(
        &mut self,
        target: &Verified<Target>,
    ) -> Result<Verified<Vec<u8>>, Error> {
        let file = TargetFile {
            path: target.path.clone(),
            length: target.length,
            hashes: Hashes::sha256(target.digest),
            custom: None,
            role: target.role.clone(),
        };
        self.fetch_file(&Verified::new(file)).await
    }

    /// The same for a target that may be listed without a SHA-256.
    pub async fn fetch_file(
        &mut self,
        target: &Verified<TargetFile>,
    ) -> Result<Verified<Vec<u8>>, Error> {
        let digest = if self.roots.consistent_snapshot() { target.hashes.prefix() } else { None };
        let file = FileName::Target { path: target.path.clone(), digest };
        let bytes = self.fetch_promised(&file, target.length).await?;
        check(&file, target, &bytes)?;
        Ok(Verified::new(bytes))
    }
}
