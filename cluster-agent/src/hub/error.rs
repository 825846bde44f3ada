//! Why the hub could not be spoken to.

use std::path::PathBuf;

use channels::wire::Problem;
use signing::keyfile::KeyFileError;
use signing::message::MessageError;

/// Problems that say that the hub does not take a cluster's key.
const KEY_REFUSALS: [&str; 5] =
    ["cluster_retired", "identity_conflict", "key_replaced", "key_revoked", "unknown_cluster"];

/// Those that a person at the hub said, and that no waiting ends: only another key does.
const REFUSED_FOR_GOOD: [&str; 2] = ["cluster_retired", "key_revoked"];

/// A failed exchange with the hub. None of these lets anything move, and none stops a unit that is
/// out from coming back.
#[derive(Debug, thiserror::Error)]
pub enum HubError {
    /// The key file.
    #[error("cannot use the cluster's key {}", path.display())]
    KeyFile {
        /// Where it is.
        path: PathBuf,
        /// What is wrong with it.
        source: KeyFileError,
    },
    /// No randomness for a new key.
    #[error("cannot make a key for this cluster")]
    MakeKey {
        /// What the system said.
        source: signing::KeyError,
    },
    /// The configured address.
    #[error("{url:?} is not the address of a hub: it must be an http or https URL")]
    Address {
        /// What was configured.
        url: String,
    },
    /// A key file could not be put in its place.
    #[error("cannot {action} {}", path.display())]
    KeyPlace {
        /// The verb.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The hub confirms another key than the one it was asked for.
    #[error("the hub was asked for key {asked} and answers with {found}")]
    OtherKey {
        /// Key id asked for.
        asked: String,
        /// Key id in the answer.
        found: String,
    },
    /// Proxy or certificates.
    #[error("the network to the hub is not usable")]
    Network {
        /// Why.
        source: super::NetworkError,
    },
    /// The HTTP client could not be built.
    #[error("cannot set up HTTP")]
    Client {
        /// What the library said.
        source: reqwest::Error,
    },
    /// The document is larger than the hub reads.
    #[error("the {document} has {bytes} bytes, the hub reads at most {limit}")]
    TooLargeToSend {
        /// Which document.
        document: &'static str,
        /// Its size.
        bytes: usize,
        /// The bound.
        limit: usize,
    },
    /// The document could not be written as JSON.
    #[error("cannot write the {document}")]
    Encode {
        /// Which document.
        document: &'static str,
        /// What the library said.
        source: serde_json::Error,
    },
    /// The request could not be signed.
    #[error("cannot sign the {document}")]
    Sign {
        /// Which document.
        document: &'static str,
        /// Why not.
        source: MessageError,
    },
    /// The hub cannot be reached, or did not answer in time.
    #[error("the hub does not answer at {url}")]
    Unreachable {
        /// What was asked.
        url: String,
        /// What the client said.
        source: reqwest::Error,
    },
    /// The answer is larger than any answer of a hub.
    #[error("the hub's answer to the {document} has more than {limit} bytes")]
    TooLargeToRead {
        /// The document it answers.
        document: &'static str,
        /// The bound.
        limit: usize,
    },
    /// The hub is busy (503), or was spoken to too often (429), and says when to come back.
    #[error("the hub is busy; it asks to come back in {retry_after_s} s")]
    Busy {
        /// Seconds.
        retry_after_s: u64,
    },
    /// The hub refused, and says why.
    #[error("the hub refused the {document}: {} ({})", problem.detail, problem.kind)]
    Refused {
        /// The document.
        document: &'static str,
        /// Its reasons.
        problem: Box<Problem>,
    },
    /// An error without a reason we can read; perhaps of something in between.
    #[error("HTTP status {status} in answer to the {document}: {body}")]
    Status {
        /// The document.
        document: &'static str,
        /// The status.
        status: u16,
        /// Start of the body.
        body: String,
    },
    /// The answer is not what a hub answers.
    #[error("cannot read the hub's answer to the {document}")]
    Decode {
        /// The document.
        document: &'static str,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

impl HubError {
    /// Stable, `snake_case` kind for `wire::Failure` and as a metric label.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::KeyFile { .. } | Self::MakeKey { .. } | Self::KeyPlace { .. } => "cluster_key",
            Self::Address { .. } | Self::Network { .. } | Self::Client { .. } => "hub_address",
            Self::TooLargeToSend { .. } | Self::Encode { .. } | Self::Sign { .. } => "hub_request",
            Self::Unreachable { .. } => "hub_unreachable",
            Self::Busy { .. } => "hub_busy",
            Self::Refused { .. } => "hub_refused",
            Self::TooLargeToRead { .. }
            | Self::Status { .. }
            | Self::OtherKey { .. }
            | Self::Decode { .. } => "hub_answer",
        }
    }

    /// Seconds after which a busy hub asks to be spoken to again.
    pub fn retry_after_s(&self) -> Option<u64> {
        if let Self::Busy { retry_after_s } = self { Some(*retry_after_s) } else { None }
    }

    /// Slug of a refusal of the cluster's key itself: nothing the hub granted counts any more, and
    /// no later request will do better until a person acts.
    pub fn key_refused(&self) -> Option<&'static str> {
        let slug = self.slug()?;
        KEY_REFUSALS.into_iter().find(|known| *known == slug)
    }

    /// Whether a person at the hub has ended the key, or the cluster with it.
    pub fn key_refused_for_good(&self) -> bool {
        self.slug().is_some_and(|slug| REFUSED_FOR_GOOD.contains(&slug))
    }

    /// Whether the hub refuses a *new* key because it has, or had, that very key: another one must
    /// be made.
    pub fn needs_another_key(&self) -> bool {
        matches!(self.slug(), Some("key_in_use" | "key_replaced" | "key_revoked"))
    }

    /// Whether the hub, and nothing in between, has refused a next key for good. An identity
    /// conflict ends one day, and a number that is too low or too high is mended by the next
    /// report.
    pub fn refuses_next_key(&self) -> bool {
        let Self::Refused { problem, .. } = self else { return false };
        matches!(problem.status, 409 | 422)
            && problem.last_seq.is_none()
            && self.slug() != Some("identity_conflict")
    }

    fn slug(&self) -> Option<&str> {
        let Self::Refused { problem, .. } = self else { return None };
        problem.kind.strip_prefix("/problems/")
    }

    /// The last number the hub has committed, where it refused a report because its own is not
    /// above.
    pub fn last_seq(&self) -> Option<u64> {
        if let Self::Refused { problem, .. } = self { problem.last_seq } else { None }
    }

    /// Whether the same request may succeed later without anybody changing anything.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Busy { .. } => true,
            Self::Status { status, .. } => *status >= 500 || *status == 429,
            Self::Refused { problem, .. } => problem.status >= 500 || problem.status == 429,
            Self::KeyFile { .. }
            | Self::MakeKey { .. }
            | Self::KeyPlace { .. }
            | Self::OtherKey { .. }
            | Self::Address { .. }
            | Self::Network { .. }
            | Self::Client { .. }
            | Self::TooLargeToSend { .. }
            | Self::Encode { .. }
            | Self::Sign { .. }
            | Self::TooLargeToRead { .. }
            | Self::Decode { .. } => false,
        }
    }
}
