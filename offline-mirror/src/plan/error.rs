//! What can go wrong before anything is fetched, each with what, where and what to do.

use std::path::PathBuf;

use channels::names::{ProductRef, SiteName};
use channels::version::ReleaseVersion;
use signing::Attack;

use super::contents::Contradiction;
use super::routes::RouteError;
use super::select::SelectError;
use crate::bundle::BundleError;
use crate::error::Error;
use crate::oci::{Repository, Tag, TreeError};
use crate::registry::RegistryError;
use crate::site::SiteError;

/// Failure of a plan.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// The configuration file cannot be used.
    #[error("{}: {why}", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// What is wrong, with its place.
        why: String,
    },
    /// What is asked for does not go together.
    #[error("{why}")]
    Usage {
        /// What is wrong.
        why: String,
    },
    /// The hub or the view does not verify, or a file cannot be got at.
    #[error(transparent)]
    Mirror(#[from] Error),
    /// A graph does not have what is asked for.
    #[error(transparent)]
    Select(#[from] SelectError),
    /// The hub has no such channel.
    #[error("{product} has no channel {channel}{}", of_arch(arch.as_ref()))]
    NoChannel {
        /// The product.
        product: ProductRef,
        /// The channel.
        channel: String,
        /// The architecture, where one was asked for.
        arch: Option<String>,
    },
    /// The graph has an edge that the release it leads to does not allow.
    #[error("{product}: the release {to} does not allow an upgrade from {from}")]
    NotAllowed {
        /// The product.
        product: ProductRef,
        /// Before the step.
        from: ReleaseVersion,
        /// After it.
        to: ReleaseVersion,
    },
    /// No configured registry holds it.
    #[error(transparent)]
    Route(#[from] RouteError),
    /// A registry does not answer as it must.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// What an image consists of cannot be followed.
    #[error("image {image}")]
    Tree {
        /// Repository and digest.
        image: String,
        /// Why not.
        #[source]
        source: TreeError,
    },
    /// More referrers than anybody publishes.
    #[error("image {image}: more than {limit} referrers of referrers, or of one bundle")]
    Referrers {
        /// Repository and digest.
        image: String,
        /// The bound.
        limit: usize,
    },
    /// More manifests than are held in memory.
    #[error("the manifests of all images have more than {limit} bytes")]
    Manifests {
        /// The bound, in bytes.
        limit: usize,
    },
    /// Two images say different things of one blob.
    #[error(transparent)]
    Contradiction(#[from] Contradiction),
    /// Two extra images would have one name at the site.
    #[error("two extra images would be {repository}:{tag} at the site")]
    SameTag {
        /// The repository.
        repository: Repository,
        /// The tag.
        tag: Tag,
    },
    /// An inventory or a list of missing digests is not what a known site signed.
    #[error("{}", file.display())]
    Site {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        #[source]
        source: SiteError,
    },
    /// An inventory of a site that has no key here.
    #[error("{}: the inventory is of site {site:?}, which is not configured", file.display())]
    UnknownSite {
        /// The file.
        file: PathBuf,
        /// What it says.
        site: String,
    },
    /// An inventory of a site that follows another view.
    #[error("{}: site {site} follows another view", file.display())]
    OtherView {
        /// The file.
        file: PathBuf,
        /// The site.
        site: SiteName,
    },
    /// An older inventory than one that was used before.
    #[error(
        "{}: inventory {counter} of site {site} is older than inventory {seen}, which was seen",
        file.display()
    )]
    OlderInventory {
        /// The file.
        file: PathBuf,
        /// The site.
        site: SiteName,
        /// Its number.
        counter: u64,
        /// The newest that was seen.
        seen: u64,
    },
    /// A bundle for several sites needs an inventory of each.
    #[error("there is no inventory of site {site}")]
    NoInventory {
        /// The site.
        site: SiteName,
    },
    /// What is to be assumed was never made.
    #[error("no bundle with sequence {sequence} was finished under this view for these sites")]
    NoRecord {
        /// What was asked for.
        sequence: u64,
    },
    /// The bundle cannot be laid out or written.
    #[error(transparent)]
    Bundle(#[from] BundleError),
}

fn of_arch(arch: Option<&String>) -> String {
    arch.map(|arch| format!(" for {arch}")).unwrap_or_default()
}

impl PlanError {
    /// The attack this failure would be, if it is one.
    pub fn attack(&self) -> Option<Attack> {
        match self {
            Self::Mirror(error) => error.attack(),
            Self::Registry(error) => error.attack(),
            Self::Bundle(error) => error.attack(),
            Self::Site { source, .. } => source.attack(),
            Self::OlderInventory { .. } => Some(Attack::Rollback),
            Self::OtherView { .. } => Some(Attack::WrongSoftware),
            Self::Config { .. }
            | Self::Usage { .. }
            | Self::Select(_)
            | Self::NoChannel { .. }
            | Self::NotAllowed { .. }
            | Self::Route(_)
            | Self::Tree { .. }
            | Self::Referrers { .. }
            | Self::Manifests { .. }
            | Self::Contradiction(_)
            | Self::SameTag { .. }
            | Self::UnknownSite { .. }
            | Self::NoInventory { .. }
            | Self::NoRecord { .. } => None,
        }
    }

    /// Whether something was looked at and refused (exit 1), rather than not got at (exit 2).
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::Mirror(error) => error.is_refusal(),
            Self::Registry(error) => error.is_refusal(),
            Self::Bundle(error) => error.is_refusal(),
            Self::Site { source, .. } => source.is_refusal(),
            Self::Select(_)
            | Self::NoChannel { .. }
            | Self::NotAllowed { .. }
            | Self::Tree { .. }
            | Self::Referrers { .. }
            | Self::Manifests { .. }
            | Self::Contradiction(_)
            | Self::UnknownSite { .. }
            | Self::OtherView { .. }
            | Self::OlderInventory { .. }
            | Self::NoInventory { .. }
            | Self::NoRecord { .. } => true,
            Self::Config { .. } | Self::Usage { .. } | Self::Route(_) | Self::SameTag { .. } => {
                false
            }
        }
    }

    /// What a person can do about it, in one line.
    pub fn hint(&self) -> Option<String> {
        let text = match self {
            Self::Mirror(error) => error.hint(),
            Self::Registry(error) => return error.hint(),
            Self::Bundle(error) => return error.hint(),
            Self::Site { source, .. } => return source.hint(),
            Self::Select(error) => error.hint(),
            Self::Config { .. } => "every option is shown in offline-mirror/example.toml",
            Self::Usage { .. } => "see --help, and offline-mirror/example.toml",
            Self::NoChannel { .. } => "check the name, and that it was published",
            Self::NotAllowed { .. } => {
                "agents would refuse the step; the vendor has to correct graph or release"
            }
            Self::Route(RouteError::Repository { .. }) => {
                "name its registry: [registries.default], or --registry"
            }
            Self::Route(_) => "name its registry below [[registries.others]], or with --registry",
            Self::Tree { .. } | Self::Referrers { .. } | Self::Contradiction(_) => {
                "whoever published the image has to correct it"
            }
            Self::Manifests { .. } => "carry the products in several bundles",
            Self::SameTag { .. } => "leave one out, or name it by digest alone",
            Self::UnknownSite { .. } => "add the site's key below [[sites]], or with --site-key",
            Self::OtherView { .. } => "use the view whose root that site pinned",
            Self::OlderInventory { .. } => {
                "what it lists may be gone since; have the site write a new one: offline-mirror \
                 inventory"
            }
            Self::NoInventory { .. } => "give the inventory of every site, or of none",
            Self::NoRecord { .. } => "look into the folder `bundles` of the view",
        };
        Some(text.to_owned())
    }
}
