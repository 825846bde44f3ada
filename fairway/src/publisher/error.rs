//! Why a signed set could not be made.

use signing::{BuildError, RoleName, TargetPath};

use super::keyring::KeyringError;

/// The set cannot be published as it is.
#[derive(Debug, thiserror::Error)]
pub enum PublisherError {
    /// There is no root to publish under.
    #[error("there is no root metadata to publish under")]
    NoRoot,
    /// A published root was edited, or one between the others is missing.
    #[error("the published roots are not signed from the first to the last")]
    RootChain {
        /// The first that is wrong.
        #[source]
        source: Box<signing::Error>,
    },
    /// The root that agents pin cannot be read.
    #[error("failed to read the root that agents pin")]
    PinnedRoot {
        /// Why.
        #[source]
        source: Box<signing::Error>,
    },
    /// The published roots do not contain the pinned one.
    #[error("root {version} as published is not the root that agents pin")]
    OtherRoot {
        /// Version of the pinned root.
        version: u64,
    },
    /// The newest root says that others sign root.
    #[error("root {version} and the root keys that are configured differ: {difference}")]
    RootKeys {
        /// Version of the newest root.
        version: u64,
        /// What only one of them has.
        difference: String,
    },
    /// Published metadata was edited, or its delegator was.
    #[error(
        "the published metadata of role {role} is not signed by the keys that {delegator} lists"
    )]
    Unverified {
        /// The role.
        role: RoleName,
        /// Who says which keys sign it.
        delegator: RoleName,
        /// Why.
        #[source]
        source: Box<signing::Error>,
    },
    /// Published metadata of a role that nobody listed.
    #[error("there is published metadata of role {role}, which {delegator} does not list")]
    Undelegated {
        /// The role.
        role: RoleName,
        /// Who should say which keys sign it.
        delegator: RoleName,
    },
    /// A request to sign a role is not what can be published.
    #[error("the signing request for role {role} cannot be used")]
    Request {
        /// The role.
        role: RoleName,
        /// Why.
        #[source]
        source: Box<signing::repository::RequestError>,
    },
    /// A request came back for something else than what would be published now.
    #[error("what was signed as {role} {version} is not what would be published now")]
    OtherDraft {
        /// The role.
        role: RoleName,
        /// The draft's version.
        version: u64,
    },
    /// A new root cannot be drafted.
    #[error("failed to draft a root")]
    Draft {
        /// Why.
        #[source]
        source: Box<super::draft::DraftError>,
    },
    /// The root says that other keys sign `targets`.
    #[error("root {version} does not name the targets keys that are configured")]
    TargetsKeys {
        /// Version of the newest root.
        version: u64,
    },
    /// Targets that would be signed again delegate otherwise than is configured.
    #[error("targets {version} as published delegates otherwise than is configured")]
    Delegations {
        /// Version of the published targets.
        version: u64,
        /// What signing the configured delegations would change.
        changes: Vec<super::TrustChange>,
    },
    /// A version far beyond what the role's keys signed.
    #[error(
        "role {role} would have to go above version {found}: its keys are known to have signed \
         {newest}, and honest publications leave no such gap"
    )]
    VersionJump {
        /// The role.
        role: RoleName,
        /// Newest version that is believed; 0 for none.
        newest: u64,
        /// What the hub says is published.
        found: u64,
    },
    /// A version that no honest publication reaches.
    #[error("role {role} is at version {version}, which no honest publication reaches")]
    VersionLimit {
        /// The role.
        role: RoleName,
        /// Its newest version.
        version: u64,
    },
    /// A product of a vendor nobody delegated to.
    #[error("{path} belongs to vendor {vendor}, for which no keys are configured")]
    StrangeVendor {
        /// The vendor.
        vendor: String,
        /// The first of its targets.
        path: TargetPath,
    },
    /// A released version was changed.
    #[error("{path} was published with other content; a release is immutable")]
    ReleaseChanged {
        /// The release document.
        path: TargetPath,
    },
    /// A released version is gone.
    #[error("{path} was published and is gone from the channel repository")]
    ReleaseRemoved {
        /// The release document.
        path: TargetPath,
    },
    /// A key could not be made, or the hub's keys cannot be read.
    #[error("a key cannot be used")]
    Key {
        /// Why.
        #[source]
        source: signing::KeyError,
    },
    /// The private keys of a role cannot be used.
    #[error("failed to open the keys of role {role}")]
    Keys {
        /// The role.
        role: RoleName,
        /// Why.
        #[source]
        source: KeyringError,
    },
    /// Too few private keys of a role were opened, or keys of something else.
    #[error("role {role} needs {threshold} signatures and got {valid}")]
    Signatures {
        /// The role.
        role: RoleName,
        /// Good signatures.
        valid: u64,
        /// Signatures needed.
        threshold: u64,
    },
    /// Metadata could not be built.
    #[error("failed to build the metadata of role {role}")]
    Build {
        /// The role.
        role: RoleName,
        /// Why.
        #[source]
        source: Box<BuildError>,
    },
    /// Metadata that was published before cannot be read.
    #[error("failed to read the published metadata of role {role}")]
    Previous {
        /// The role.
        role: RoleName,
        /// Why.
        #[source]
        source: Box<signing::Error>,
    },
    /// A date beyond what can be written.
    #[error("the expiry of role {role} is out of range")]
    Expiry {
        /// The role.
        role: RoleName,
    },
    /// More than a hub takes in one publication.
    #[error("the publication has {found} {what}, more than the {limit} a hub takes")]
    TooLarge {
        /// `files` or `bytes`.
        what: &'static str,
        /// How many there are.
        found: usize,
        /// How many there may be.
        limit: usize,
    },
}

/// `map_err` argument for a failed build of `role`.
pub(super) fn build(role: &RoleName) -> impl Fn(BuildError) -> PublisherError {
    |source| PublisherError::Build { role: role.clone(), source: Box::new(source) }
}

/// `map_err` argument for published metadata of `role` that cannot be read.
pub(super) fn previous(role: &RoleName) -> impl Fn(signing::Error) -> PublisherError {
    |source| PublisherError::Previous { role: role.clone(), source: Box::new(source) }
}

/// `map_err` argument for published metadata of `role` with signatures of others.
pub(super) fn unverified(
    role: &RoleName,
    delegator: &RoleName,
) -> impl Fn(signing::Error) -> PublisherError {
    |source| PublisherError::Unverified {
        role: role.clone(),
        delegator: delegator.clone(),
        source: Box::new(source),
    }
}
