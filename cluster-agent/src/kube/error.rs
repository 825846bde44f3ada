//! Why the API server could not be asked, or what it said instead of yes.

use std::path::PathBuf;

use ::kube::config::{InClusterError, KubeconfigError};
use ::kube::core::Status;
use signing::causes;

/// A refusal of the API server: an answer, and one that is often waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// HTTP status.
    pub code: u16,
    /// Machine-readable reason (`NotFound`, `TooManyRequests`, …); may be empty.
    pub reason: String,
    /// Its sentence.
    pub message: String,
    /// Reason and message of each cause it names.
    pub causes: Vec<(String, String)>,
}

impl Refusal {
    /// Whether one of its causes has this reason.
    pub fn has_cause(&self, reason: &str) -> bool {
        self.causes.iter().any(|(cause, _)| cause == reason)
    }
}

impl From<&Status> for Refusal {
    fn from(status: &Status) -> Self {
        let causes = status.details.as_ref().map(|details| {
            details.causes.iter().map(|c| (c.reason.clone(), c.message.clone())).collect()
        });
        Self {
            code: status.code,
            reason: status.reason.clone(),
            message: status.message.clone(),
            causes: causes.unwrap_or_default(),
        }
    }
}

/// Why a request to the API server did not do what it was for.
#[derive(Debug, thiserror::Error)]
pub enum KubeError {
    /// The kubeconfig cannot be used.
    #[error("the kubeconfig {} cannot be used", path.display())]
    Kubeconfig {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: Box<KubeconfigError>,
    },
    /// No kubeconfig is configured, and this process has no service account.
    #[error("no kubernetes.kubeconfig is set, and this is no pod with a service account")]
    InCluster {
        /// What is missing.
        source: Box<InClusterError>,
    },
    /// The client cannot be made.
    #[error("no client can be made for {url}")]
    Client {
        /// The API server.
        url: String,
        /// What the library said.
        source: Box<::kube::Error>,
    },
    /// The API server said no.
    #[error("cannot {what}: {} {}: {}", refusal.code, refusal.reason, refusal.message)]
    Refused {
        /// The verb and the object.
        what: String,
        /// What it said.
        refusal: Refusal,
    },
    /// The API server did not answer, or not with what was asked for.
    #[error("cannot {what}: the API server does not answer as it should")]
    Unanswered {
        /// The verb and the object.
        what: String,
        /// What the library said.
        source: Box<::kube::Error>,
    },
    /// No answer in time.
    #[error("cannot {what}: no answer within {limit_ms} ms")]
    Timeout {
        /// The verb and the object.
        what: String,
        /// The bound.
        limit_ms: u64,
    },
    /// A request that cannot be put into words.
    #[error("cannot {what}: the request cannot be made")]
    Request {
        /// The verb and the object.
        what: String,
        /// What the library said.
        source: Box<::kube::core::request::Error>,
    },
    /// An object that must be there is not.
    #[error("there is no {what}")]
    Missing {
        /// The kind and the name.
        what: String,
    },
    /// An object that others change faster than it can be written.
    #[error("{what} changes faster than it can be written")]
    Contended {
        /// The kind and the name.
        what: String,
    },
    /// An object that is not what its kind is expected to be.
    #[error("{what} cannot be read")]
    Damaged {
        /// The kind and the name.
        what: String,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// An object that must not be changed as it is.
    #[error("{why}")]
    NotFit {
        /// What stands against it.
        why: String,
    },
    /// A list with more pages than one agent reads.
    #[error("cannot {what}: it has more than {limit} items")]
    TooMany {
        /// The verb and the objects.
        what: String,
        /// The bound.
        limit: usize,
    },
}

impl KubeError {
    /// A failed call of the library: a refusal if the server said no.
    pub fn of(what: &str, error: ::kube::Error) -> Self {
        let what = what.to_owned();
        if let ::kube::Error::Api(status) = &error {
            return Self::Refused { what, refusal: Refusal::from(&**status) };
        }
        Self::Unanswered { what, source: Box::new(error) }
    }

    /// What the server said, if it said no.
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Refused { refusal, .. } => Some(refusal),
            Self::Kubeconfig { .. }
            | Self::InCluster { .. }
            | Self::Client { .. }
            | Self::Unanswered { .. }
            | Self::Timeout { .. }
            | Self::Request { .. }
            | Self::Missing { .. }
            | Self::Contended { .. }
            | Self::Damaged { .. }
            | Self::NotFit { .. }
            | Self::TooMany { .. } => None,
        }
    }

    /// Whether the server said that there is no such object (or no such kind of objects).
    pub fn is_not_found(&self) -> bool {
        self.refusal().is_some_and(|refusal| refusal.code == 404)
    }

    /// Whether the object was changed by somebody else in between, or is there already.
    pub fn is_conflict(&self) -> bool {
        self.refusal().is_some_and(|refusal| refusal.code == 409)
    }

    /// Whether the agent's account may not do it.
    pub fn is_forbidden(&self) -> bool {
        self.refusal().is_some_and(|refusal| refusal.code == 403)
    }

    /// The error and its causes, on one line.
    pub fn chain(&self) -> String {
        causes::chain(self)
    }
}
