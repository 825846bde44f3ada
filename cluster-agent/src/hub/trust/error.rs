//! Why a document was not believed.

use channels::graph::GraphError;
use channels::names::ProductRef;
use channels::version::ReleaseVersion;
use channels::wire::{Failure, UnknownCritical};
use jiff::Timestamp;
use signing::causes::chain;
use signing::{Attack, MirrorsFailed, RoleName, StoreError, TargetPath};

use crate::hub::UpstreamError;

/// A document that must not be used, or cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// The TUF client refused, or could not fetch.
    #[error("the hub's signed metadata cannot be used")]
    Metadata {
        /// What it found.
        source: signing::Error,
    },
    /// None of several mirrors served what verifies.
    #[error("the signed metadata of no mirror can be used")]
    Mirrors {
        /// What each of them did.
        source: MirrorsFailed,
    },
    /// What was configured about the repository's copies.
    #[error("the repository cannot be reached as configured")]
    Upstream {
        /// Why not.
        source: UpstreamError,
    },
    /// The state directory.
    #[error("cannot use directory {name:?} of the state directory")]
    Store {
        /// Which one.
        name: &'static str,
        /// What the system said.
        source: StoreError,
    },
    /// A name too long for a target path.
    #[error("the document has no usable path")]
    Path {
        /// What is wrong with it.
        source: signing::NameError,
    },
    /// Nobody who may lists it: not published, or withheld.
    #[error("no signed metadata lists {path}")]
    NotListed {
        /// The path asked for.
        path: TargetPath,
    },
    /// Signed by a role that may not sign documents of this kind.
    #[error("{path} is signed by role {found}, only {expected} may sign it")]
    WrongSigner {
        /// The document.
        path: TargetPath,
        /// Who signed.
        found: RoleName,
        /// Who must.
        expected: String,
    },
    /// A document of something else.
    #[error("{path} holds a document of {found}")]
    WrongSoftware {
        /// The path asked for.
        path: TargetPath,
        /// What the document says of itself.
        found: String,
    },
    /// The document relies on something this version does not know.
    #[error("{path} needs a newer version of fairway")]
    Critical {
        /// The document.
        path: TargetPath,
        /// What is not known.
        source: UnknownCritical,
    },
    /// Larger than any document of its kind.
    #[error("{path} has {bytes} bytes, at most {limit} are read")]
    TooLarge {
        /// The document.
        path: TargetPath,
        /// Its signed length.
        bytes: u64,
        /// The bound.
        limit: u64,
    },
    /// Not a release document.
    #[error("{path} cannot be read as a release document")]
    Malformed {
        /// The document.
        path: TargetPath,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// Not a graph.
    #[error("{path} cannot be read as a graph")]
    Graph {
        /// The document.
        path: TargetPath,
        /// What is wrong with it.
        source: GraphError,
    },
    /// Graph and release are not of one product.
    #[error("a release of {release} was held against a graph of {graph}")]
    OtherProduct {
        /// Product of the release.
        release: ProductRef,
        /// Product of the graph.
        graph: ProductRef,
    },
    /// The vendor's releases role lists another document than the graph names.
    #[error("release {version} is {found}, but the channel names {expected}")]
    OtherRelease {
        /// The release.
        version: ReleaseVersion,
        /// Digest of the document found.
        found: String,
        /// Digest in the graph.
        expected: String,
    },
    /// The channel does not offer the edge.
    #[error("the channel offers no update from {from} to {to}")]
    NotOffered {
        /// Version the cluster runs.
        from: ReleaseVersion,
        /// Version it would move to.
        to: ReleaseVersion,
    },
    /// The channel offers the edge and the release forbids it.
    #[error("release {to} does not allow an update from {from}")]
    NotInUpgradeFrom {
        /// Version the cluster runs.
        from: ReleaseVersion,
        /// Version it would move to.
        to: ReleaseVersion,
    },
}

impl TrustError {
    /// The attack this may be.
    pub fn attack(&self) -> Option<Attack> {
        match self {
            Self::Metadata { source } => source.attack(),
            Self::Mirrors { source } => source.attack(),
            Self::WrongSigner { .. } | Self::NotInUpgradeFrom { .. } => {
                Some(Attack::ArbitrarySoftware)
            }
            Self::WrongSoftware { .. } | Self::OtherProduct { .. } => Some(Attack::WrongSoftware),
            Self::OtherRelease { .. } => Some(Attack::MixAndMatch),
            Self::TooLarge { .. } => Some(Attack::EndlessData),
            Self::Upstream { .. }
            | Self::Store { .. }
            | Self::Path { .. }
            | Self::NotListed { .. }
            | Self::Critical { .. }
            | Self::Malformed { .. }
            | Self::Graph { .. }
            | Self::NotOffered { .. } => None,
        }
    }

    /// Whether only the transport failed: nothing is known about what the hub holds, and what was
    /// verified before stands until it expires.
    pub fn is_transport(&self) -> bool {
        let fetch = |error: &signing::Error| matches!(error, signing::Error::Fetch { .. });
        let only = if let Self::Mirrors { source } = self {
            source.failures.iter().all(|failed| fetch(&failed.error))
        } else {
            matches!(self, Self::Metadata { source } if fetch(source))
        };
        only && self.attack().is_none()
    }

    /// Stable, `snake_case` kind: the attack's name where there is one.
    pub fn kind(&self) -> &'static str {
        if let Some(attack) = self.attack() {
            return attack.as_str();
        }
        match self {
            Self::Metadata { .. } | Self::Mirrors { .. } if self.is_transport() => {
                "hub_unreachable"
            }
            Self::Metadata { .. } | Self::Mirrors { .. } => "metadata_unusable",
            Self::Upstream { .. } => "hub_address",
            Self::Store { .. } => "state_dir",
            Self::NotListed { .. } => "not_published",
            Self::Critical { .. } => "agent_too_old",
            Self::NotOffered { .. } => "edge_not_offered",
            Self::Path { .. } | Self::Malformed { .. } | Self::Graph { .. } => "document_unusable",
            Self::WrongSigner { .. }
            | Self::WrongSoftware { .. }
            | Self::TooLarge { .. }
            | Self::OtherRelease { .. }
            | Self::OtherProduct { .. }
            | Self::NotInUpgradeFrom { .. } => "document_refused",
        }
    }

    /// The same for a report, with all its causes in one line.
    pub fn to_failure(&self, now: Timestamp) -> Failure {
        Failure { kind: self.kind().to_owned(), message: chain(self), at: now }
    }
}
