//! What can go wrong while verifying a repository. Transport failures and verification failures
//! are different variants: after the former the next mirror may help, after the latter someone
//! served something that must not be trusted.

use crate::attack::Attack;
use crate::key::KeyId;
use crate::names::{FileName, NameError, RoleName, TargetPath};
use crate::source::SourceError;
use crate::store::StoreError;
use jiff::Timestamp;

/// A failed step of the client workflow, with what was found and what was expected.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The source gave no usable answer.
    #[error("cannot fetch {file}")]
    Fetch {
        /// What was asked for.
        file: FileName,
        /// Why not.
        #[source]
        source: SourceError,
    },
    /// A file that signed metadata promises is not there.
    #[error("{file} is promised by signed metadata but missing")]
    Missing {
        /// What was asked for.
        file: FileName,
    },
    /// The local store failed.
    #[error("local store failed")]
    Store(#[source] StoreError),
    /// Not TUF metadata: broken JSON, missing members, wrong types.
    #[error("metadata of {role} is malformed: {reason}")]
    Malformed {
        /// Whose metadata was expected.
        role: RoleName,
        /// What is wrong.
        reason: String,
    },
    /// Another kind of metadata than expected.
    #[error("metadata of {role} has type {found:?}, expected {expected:?}")]
    WrongType {
        /// Whose metadata was expected.
        role: RoleName,
        /// Its `_type`.
        found: String,
        /// The `_type` it should have.
        expected: &'static str,
    },
    /// A specification version we do not implement.
    #[error("metadata of {role} follows specification {found:?}; this client implements 1.x")]
    SpecVersion {
        /// Whose metadata.
        role: RoleName,
        /// Its `spec_version`.
        found: String,
    },
    /// Two signatures claim the same key.
    #[error("metadata of {role} carries two signatures for key {key_id}")]
    DuplicateSignature {
        /// Whose metadata.
        role: RoleName,
        /// The key that appears twice.
        key_id: KeyId,
    },
    /// Too few good signatures of distinct keys.
    #[error("{role} has {valid} valid signatures of distinct keys, needs {threshold}")]
    Signatures {
        /// Whose metadata.
        role: RoleName,
        /// Distinct keys that signed.
        valid: u64,
        /// Keys that must sign.
        threshold: u64,
    },
    /// A role that would need no signatures.
    #[error("{role} has threshold 0")]
    ZeroThreshold {
        /// The role.
        role: RoleName,
    },
    /// Longer lists in metadata than any honest signer writes: each entry is work for the client.
    #[error("metadata of {role} has {found} {what}, at most {limit} are read")]
    TooMany {
        /// Whose metadata.
        role: RoleName,
        /// What there is too much of.
        what: &'static str,
        /// How many.
        found: usize,
        /// The bound.
        limit: usize,
    },
    /// A delegation to a role named like a top-level role.
    #[error("{delegator} delegates to a role with the reserved name {role}")]
    ReservedRole {
        /// The delegator.
        delegator: RoleName,
        /// The reserved name.
        role: RoleName,
    },
    /// Metadata past its expiry.
    #[error("{role} expired at {expires}, it is {now}")]
    Expired {
        /// Whose metadata.
        role: RoleName,
        /// When it expired.
        expires: Timestamp,
        /// The time it was checked against.
        now: Timestamp,
    },
    /// An older version than one already trusted.
    #[error("{role} went back to version {found}, version {floor} was trusted before")]
    Rollback {
        /// Whose metadata.
        role: RoleName,
        /// Version offered.
        found: u64,
        /// Lowest version accepted.
        floor: u64,
    },
    /// A role that a trusted snapshot listed is gone from the new one.
    #[error("snapshot no longer lists {role}")]
    RoleRemoved {
        /// The role that vanished.
        role: RoleName,
    },
    /// Another version than the file name or the pin says.
    #[error("{role} is version {found}, expected {expected}")]
    Version {
        /// Whose metadata.
        role: RoleName,
        /// Version found.
        found: u64,
        /// Version promised.
        expected: u64,
    },
    /// Another length than the signed one.
    #[error("{file} has {found} bytes, expected {expected}")]
    Length {
        /// Which file.
        file: FileName,
        /// Bytes found.
        found: u64,
        /// Bytes promised.
        expected: u64,
    },
    /// Another hash than the signed one.
    #[error("{file} has {algorithm} {found}, expected {expected}")]
    Hash {
        /// Which file.
        file: FileName,
        /// Hash algorithm.
        algorithm: &'static str,
        /// Hash found, hex.
        found: String,
        /// Hash promised, hex.
        expected: String,
    },
    /// Signed metadata names hashes, but none we can compute.
    #[error("{file} is pinned by hashes of unknown kinds only: {found}")]
    UnknownHash {
        /// Which file.
        file: FileName,
        /// The algorithms named.
        found: String,
    },
    /// A target that is not listed with SHA-256, the one hash Fairway names things by.
    #[error("target {path} is listed without a SHA-256")]
    NoSha256 {
        /// The target.
        path: TargetPath,
    },
    /// A role lists a target it was not delegated, or that an earlier role already decides.
    #[error("{role} lists {path}, which is not its to give")]
    ForeignTarget {
        /// The role that lists it.
        role: RoleName,
        /// What it lists.
        path: String,
    },
    /// More roots in one go than anyone rotates.
    #[error("more than {limit} root rotations in one refresh")]
    TooManyRotations {
        /// The bound.
        limit: u64,
    },
    /// More delegated roles on the way to one target than allowed.
    #[error("more than {limit} delegated roles visited")]
    TooManyRoles {
        /// The bound.
        limit: usize,
    },
    /// The timestamp claims to be signed far in the future: the local clock is wrong, or the
    /// timestamp key is misused.
    #[error("timestamp says it was signed at {signed_at}, but the local clock says {now}")]
    SignedInFuture {
        /// The signed time.
        signed_at: Timestamp,
        /// The local clock.
        now: Timestamp,
    },
    /// [`crate::Client::refresh`] has not succeeded yet.
    #[error("no trusted metadata: refresh first")]
    NotRefreshed,
    /// Nobody on any verified delegation path delegates to this role.
    #[error("nobody delegates to a role named {role}")]
    UnknownRole {
        /// The role asked for.
        role: RoleName,
    },
    /// A name in signed metadata that cannot be used.
    #[error("metadata of {role} holds an unusable name")]
    Name {
        /// Whose metadata.
        role: RoleName,
        /// What is wrong with it.
        #[source]
        source: NameError,
    },
}

impl Error {
    /// The attack this failure would be, if it is one. Broken transport, a broken disk, a wrong
    /// clock and plain garbage are not.
    pub fn attack(&self) -> Option<Attack> {
        match self {
            Self::Fetch { source, .. } => source.attack(),
            Self::Signatures { .. }
            | Self::DuplicateSignature { .. }
            | Self::ZeroThreshold { .. }
            | Self::ReservedRole { .. }
            | Self::UnknownHash { .. }
            | Self::ForeignTarget { .. } => Some(Attack::ArbitrarySoftware),
            Self::Expired { .. } => Some(Attack::Freeze),
            Self::Rollback { .. } | Self::RoleRemoved { .. } => Some(Attack::Rollback),
            Self::Version { .. } | Self::WrongType { .. } => Some(Attack::MixAndMatch),
            Self::Length { file, found, expected } => Some(match file {
                FileName::Metadata { .. } if found < expected => Attack::MixAndMatch,
                FileName::Target { .. } if found < expected => Attack::ArbitrarySoftware,
                FileName::Metadata { .. } | FileName::Target { .. } => Attack::EndlessData,
            }),
            Self::Hash { file, .. } => Some(match file {
                FileName::Metadata { .. } => Attack::MixAndMatch,
                FileName::Target { .. } => Attack::ArbitrarySoftware,
            }),
            Self::TooMany { .. } | Self::TooManyRotations { .. } | Self::TooManyRoles { .. } => {
                Some(Attack::EndlessData)
            }
            Self::Missing { .. }
            | Self::Store(_)
            | Self::Malformed { .. }
            | Self::SpecVersion { .. }
            | Self::NoSha256 { .. }
            | Self::SignedInFuture { .. }
            | Self::NotRefreshed
            | Self::UnknownRole { .. }
            | Self::Name { .. } => None,
        }
    }

    /// Whether another source might still give a good answer where this one gave none.
    pub fn is_transport(&self) -> bool {
        matches!(self, Self::Fetch { .. } | Self::Missing { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_long_is_endless_data_and_too_short_is_what_the_file_was_for() {
        let target = FileName::Target { path: TargetPath::new("a").unwrap(), digest: None };
        for (file, found, attack) in [
            (FileName::timestamp(), 5, Attack::EndlessData),
            (FileName::timestamp(), 3, Attack::MixAndMatch),
            (target.clone(), 5, Attack::EndlessData),
            (target, 3, Attack::ArbitrarySoftware),
        ] {
            assert_eq!(Error::Length { file, found, expected: 4 }.attack(), Some(attack));
        }
    }

    #[test]
    fn only_a_source_that_gave_nothing_is_a_matter_of_transport() {
        let file = FileName::timestamp;
        let status = SourceError::Status { code: 500 };
        assert!(Error::Fetch { file: file(), source: status }.is_transport());
        assert!(Error::Missing { file: file() }.is_transport());
        assert!(!Error::NotRefreshed.is_transport());
        assert!(!Error::Length { file: file(), found: 1, expected: 2 }.is_transport());
    }
}
