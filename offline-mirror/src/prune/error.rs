//! Why nothing is pruned.

use std::path::PathBuf;

use channels::names::SiteName;
use signing::Attack;

use crate::import::ImportError;
use crate::oci::Digest;
use crate::registry::RegistryError;
use crate::site::SiteError;
use crate::store::StoreError;

/// Failure of a prune.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PruneError {
    /// The site directory or the plan's file.
    #[error(transparent)]
    Site(#[from] SiteError),
    /// The target, or the metadata of the newest bundle.
    #[error(transparent)]
    Import(#[from] ImportError),
    /// The registry.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The own store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No bundle was taken in.
    #[error("{site} has taken no bundle in: there is nothing of ours to prune")]
    Nothing {
        /// The site.
        site: SiteName,
    },
    /// The plan is for another site or another target.
    #[error("{}: planned for {found}, this is {expected}", path.display())]
    OtherPlan {
        /// The plan's file.
        path: PathBuf,
        /// What it says.
        found: String,
        /// What is here.
        expected: String,
    },
    /// The site's hub cannot be asked.
    #[error("GET {url} failed")]
    Unreachable {
        /// The address.
        url: String,
        /// What the HTTP client said.
        #[source]
        source: reqwest::Error,
    },
    /// The site's hub does not say what its clusters run.
    #[error("GET {url}: {why}")]
    Hub {
        /// The address.
        url: String,
        /// Its answer, or what is wrong with it.
        why: String,
    },
    /// The registry does not delete.
    #[error("{target} does not delete manifests; {left} were to go, the first is {first}")]
    NoDelete {
        /// The registry.
        target: String,
        /// How many are left.
        left: usize,
        /// The first of them.
        first: Digest,
    },
}

impl PruneError {
    /// The attack this failure would be, if it is one.
    pub fn attack(&self) -> Option<Attack> {
        match self {
            Self::Site(error) => error.attack(),
            Self::Import(error) => error.attack(),
            Self::Registry(error) => error.attack(),
            Self::Store(_)
            | Self::Nothing { .. }
            | Self::OtherPlan { .. }
            | Self::Unreachable { .. }
            | Self::Hub { .. }
            | Self::NoDelete { .. } => None,
        }
    }

    /// Whether something was looked at and refused, rather than not got at.
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::Site(error) => error.is_refusal(),
            Self::Import(error) => error.is_refusal(),
            Self::OtherPlan { .. } | Self::Nothing { .. } => true,
            Self::Registry(_)
            | Self::Store(_)
            | Self::Unreachable { .. }
            | Self::Hub { .. }
            | Self::NoDelete { .. } => false,
        }
    }

    /// What a person can do.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Site(error) => return error.hint(),
            Self::Import(error) => return error.hint(),
            Self::Registry(error) => return error.hint(),
            Self::Store(error) => return error.hint(),
            Self::Nothing { .. } => "import a bundle first",
            Self::OtherPlan { .. } => "make a plan here: offline-mirror prune plan",
            Self::Unreachable { .. } => "check --server; nothing was removed",
            Self::Hub { .. } => "the token needs the role viewer; nothing was removed",
            Self::NoDelete { .. } => {
                "allow deleting there (docker-registry: REGISTRY_STORAGE_DELETE_ENABLED=true), or \
                 use a store of our own"
            }
        };
        Some(hint.to_owned())
    }
}
