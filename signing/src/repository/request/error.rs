//! Why a signing request is refused.

use super::review::Finding;
use crate::error::Error;
use crate::key::KeyId;
use crate::names::RoleName;
use crate::repository::BuildError;

/// A signing request that must not be signed, merged or published.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// Not a request at all.
    #[error("not a signing request: {reason}")]
    Malformed {
        /// What is wrong.
        reason: String,
    },
    /// Written by a newer program.
    #[error("the signing request has format {found}; this program reads format {known}")]
    Format {
        /// Its format.
        found: u64,
        /// The one format there is.
        known: u64,
    },
    /// `snapshot` and `timestamp` are signed by the hub, without people.
    #[error("{role} is signed online and never by request")]
    OnlineRole {
        /// The role.
        role: RoleName,
    },
    /// Of roots only version 1 follows nothing.
    #[error("{role} {version} does not say which {role} it follows")]
    NoPrevious {
        /// The role.
        role: RoleName,
        /// The draft's version.
        version: u64,
    },
    /// The file that the draft follows is not what its own keys signed.
    #[error("the {role} that the draft follows is not signed by its own keys")]
    PreviousUnverified {
        /// The role.
        role: RoleName,
        /// What a client would say.
        #[source]
        source: Box<Error>,
    },
    /// Not the next version of root, or none above the one that is followed.
    #[error("the draft is {role} {found}, but {expected} is next")]
    Version {
        /// The role.
        role: RoleName,
        /// The draft's version.
        found: u64,
        /// The version it must have.
        expected: u64,
    },
    /// A signature that does not fit the draft.
    #[error("the draft of {role} was altered after key {key_id} signed it")]
    Altered {
        /// The role.
        role: RoleName,
        /// Whose signature no longer fits.
        key_id: KeyId,
    },
    /// A signature of somebody who may not sign.
    #[error("the draft of {role} carries a signature of the strange key {key_id}")]
    Stranger {
        /// The role.
        role: RoleName,
        /// The key that claims to have signed.
        key_id: KeyId,
    },
    /// The list of signers in the file is not the one that previous file and draft give.
    #[error("the request for {role} names other signers than the metadata in it")]
    KeySets {
        /// The role.
        role: RoleName,
    },
    /// The key is not one of those that may sign.
    #[error("key {key_id} may not sign {role} {version}")]
    MayNotSign {
        /// The role.
        role: RoleName,
        /// The draft's version.
        version: u64,
        /// The key.
        key_id: KeyId,
    },
    /// Copies of different drafts.
    #[error("the requests are for different drafts of {role}")]
    Different {
        /// The role of the first.
        role: RoleName,
    },
    /// Signing would harm: see the finding.
    #[error("{role} {version} must not be signed")]
    Refused {
        /// The role.
        role: RoleName,
        /// The draft's version.
        version: u64,
        /// Why.
        #[source]
        finding: Finding,
    },
    /// Not enough people have signed.
    #[error("{role} {version} still needs signatures: {missing} at least")]
    Incomplete {
        /// The role.
        role: RoleName,
        /// The draft's version.
        version: u64,
        /// Signatures that the largest gap needs.
        missing: u64,
    },
    /// The draft or the file it follows is not metadata.
    #[error("the metadata in the request is not usable")]
    Metadata(#[from] Error),
    /// The draft cannot be built, or its signer failed.
    #[error("the draft cannot be made")]
    Build(#[from] BuildError),
}
