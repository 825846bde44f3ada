//! Why a bundle is not taken in, each with what, where and what to do.

use std::path::PathBuf;

use channels::names::SiteName;
use signing::{Attack, Sha256Digest, StatementError};

use super::evidence::Publication;
use crate::bundle::{BundleError, BundleName, Missing};
use crate::oci::{Digest, TreeError};
use crate::registry::RegistryError;
use crate::site::SiteError;
use crate::store::StoreError;

/// Failure of a verification or an import.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// The bundle's files.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// The site directory.
    #[error(transparent)]
    Site(#[from] SiteError),
    /// The carried metadata, or the update server that it goes to.
    #[error(transparent)]
    Metadata(#[from] crate::Error),
    /// The registry.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The own store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The manifest is not signed by the view that its metadata belongs to.
    #[error("the manifest of {name} is not signed by the view's snapshot key")]
    Signature {
        /// The bundle.
        name: BundleName,
        /// What the signatures are.
        #[source]
        source: StatementError,
    },
    /// Older than what was taken in.
    #[error("{name} has sequence {sequence}; {newest} was taken in already")]
    Rollback {
        /// The bundle.
        name: BundleName,
        /// Its sequence.
        sequence: u64,
        /// The newest.
        newest: u64,
    },
    /// Another bundle with a number that was taken in.
    #[error(
        "{name}: another bundle with sequence {sequence} was taken in: {known}, this is {found}"
    )]
    OtherBundle {
        /// The bundle.
        name: BundleName,
        /// The sequence of both.
        sequence: u64,
        /// Digest of the manifest that was taken in.
        known: Sha256Digest,
        /// Digest of this one's.
        found: Sha256Digest,
    },
    /// Two bundles with one number were given.
    #[error("two bundles with sequence {sequence} were given")]
    Twice {
        /// Their sequence.
        sequence: u64,
    },
    /// Meant for other sites.
    #[error("{name} is for {}, this is {site}", list(sites))]
    ForeignSite {
        /// The bundle.
        name: BundleName,
        /// Whom it is for.
        sites: Vec<SiteName>,
        /// This site.
        site: SiteName,
    },
    /// The bundle says of itself that it is not all that was asked for.
    #[error("{name} is incomplete: {}", told(missing))]
    Incomplete {
        /// The bundle.
        name: BundleName,
        /// What it lacks.
        missing: Vec<Missing>,
    },
    /// Images that nobody at this site asked for.
    #[error("{name} carries images that site.toml does not allow: {}{}", list(images), more_than(*more))]
    NotAllowed {
        /// The bundle.
        name: BundleName,
        /// The first of them.
        images: Vec<String>,
        /// How many more there are.
        more: usize,
    },
    /// A tag that must not be set.
    #[error("{name} would set the tag {tag}: {why}")]
    Tag {
        /// The bundle.
        name: BundleName,
        /// Repository and tag.
        tag: String,
        /// What is wrong with it.
        why: String,
    },
    /// A release is not carried as its signed document says.
    #[error("{release}: {why}")]
    Release {
        /// Product and version.
        release: String,
        /// What is wrong.
        why: String,
    },
    /// An image passes for a release's and is none.
    #[error("{name} carries {image} as part of a release, and no release document names it")]
    NotReleased {
        /// The bundle.
        name: BundleName,
        /// Repository and digest.
        image: String,
    },
    /// An artifact about an image that is neither carried nor at the site, or about none at all.
    #[error("{name} carries {image}, which is about nothing that is carried or at the site")]
    Stray {
        /// The bundle.
        name: BundleName,
        /// Repository and digest.
        image: String,
    },
    /// An image needs something that is neither carried nor named as required.
    #[error("{name}: {image} needs {digest}, which is neither carried nor said to be at the site")]
    NotCarried {
        /// The bundle.
        name: BundleName,
        /// The image.
        image: String,
        /// What it needs.
        digest: Digest,
    },
    /// A manifest cannot be followed.
    #[error("the image {image} cannot be followed")]
    Tree {
        /// The image.
        image: String,
        /// Where it ends.
        #[source]
        source: Box<TreeError>,
    },
    /// A blob is not as long as the manifest above it says.
    #[error("{image} says that {blob} has {expected} bytes, it has {found}")]
    BlobSize {
        /// The image.
        image: String,
        /// The blob.
        blob: Digest,
        /// From its manifest.
        expected: u64,
        /// From the bundle.
        found: u64,
    },
    /// More manifests than are held in memory.
    #[error("the bundles have more than {limit} bytes of manifests")]
    TooManyManifests {
        /// The most that is held.
        limit: usize,
    },
    /// The target lacks what the bundle presumes.
    #[error(
        "{name} presumes {count} manifests and blobs ({bytes} bytes) that {target} does not have, \
         the first is {first}"
    )]
    MissingBase {
        /// The bundle.
        name: BundleName,
        /// How many are missing.
        count: usize,
        /// Their bytes.
        bytes: u64,
        /// The first, in the order of digests.
        first: Digest,
        /// Where they are missing.
        target: String,
        /// Where the list of them was written.
        list: Option<PathBuf>,
    },
    /// The target lost something between two looks, or refuses to give it to another repository.
    #[error("{target} does not have {digest} where {repository} needs it")]
    Vanished {
        /// The registry or store.
        target: String,
        /// The blob or manifest.
        digest: Digest,
        /// The repository.
        repository: String,
    },
    /// A segment was copied, and the copy has other bytes.
    #[error("{}: {path}, from byte {offset}, is not what was verified", file.display())]
    BadCopy {
        /// The copy.
        file: PathBuf,
        /// Where the entry begins.
        offset: u64,
        /// The entry.
        path: String,
    },
    /// Not enough room.
    #[error("{} has {free} bytes free, the import needs {needed}", dir.display())]
    NoSpace {
        /// On the file system of this directory.
        dir: PathBuf,
        /// Bytes needed.
        needed: u64,
        /// Bytes free.
        free: u64,
    },
    /// A thread that read or hashed ended early.
    #[error("a thread that worked on {what} ended early")]
    Thread {
        /// What it did.
        what: &'static str,
    },
    /// The images are in place, and the update server did not take every vendor's files.
    #[error("not published: {}", refused.join("; "))]
    NotPublished {
        /// What it said, vendor by vendor.
        refused: Vec<String>,
        /// The first attack that it named.
        attack: Option<Attack>,
        /// Whether it looked at any of them and refused, rather than not being got at.
        is_refusal: bool,
    },
    /// Neither a registry nor a store was named.
    #[error("no target: neither --registry nor --store is given, and site.toml names none")]
    NoTarget,
}

/// What to do about a bundle that contradicts itself.
const COPY_AGAIN: &str = "copy the bundle again from where it was made; do not use this copy";

/// What to do where the list of what is missing was written.
fn repair(list: &std::path::Path) -> String {
    let list = list.display();
    format!(
        "was a bundle lost on the way? Import that one first, or carry {list} back and make what is \
         missing: offline-mirror create --repair {list}; then import both together"
    )
}

fn list<T: std::fmt::Display>(items: &[T]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn more_than(more: usize) -> String {
    if more == 0 { String::new() } else { format!(" and {more} more") }
}

/// The first of what is missing, for a line on a terminal.
fn told(missing: &[Missing]) -> String {
    match missing {
        [] => "it does not say what is missing".to_owned(),
        [one] => format!("{} ({})", one.what, one.why),
        [first, rest @ ..] => {
            format!("{} ({}){}", first.what, first.why, more_than(rest.len()))
        }
    }
}

impl ImportError {
    /// What an import that did everything else ends with; none where every vendor was taken.
    pub fn not_published(publications: &[Publication]) -> Option<Self> {
        let refused: Vec<&Publication> =
            publications.iter().filter(|publication| publication.refused.is_some()).collect();
        let told = |publication: &&Publication| {
            let why = publication.refused.as_deref()?;
            Some(format!("{}: {why}", publication.vendor))
        };
        (!refused.is_empty()).then(|| Self::NotPublished {
            refused: refused.iter().filter_map(told).collect(),
            attack: refused.iter().find_map(|publication| publication.attack),
            is_refusal: refused.iter().any(|publication| publication.is_refusal),
        })
    }

    /// The attack this failure would be, if it is one.
    pub fn attack(&self) -> Option<Attack> {
        match self {
            Self::Bundle(error) => error.attack(),
            Self::Site(error) => error.attack(),
            Self::Metadata(error) => error.attack(),
            Self::Registry(error) => error.attack(),
            Self::Signature { source, .. } => source.attack(),
            Self::Rollback { .. } => Some(Attack::Rollback),
            Self::OtherBundle { .. } | Self::Twice { .. } => Some(Attack::MixAndMatch),
            Self::ForeignSite { .. }
            | Self::NotReleased { .. }
            | Self::Release { .. }
            | Self::Stray { .. }
            | Self::Tag { .. }
            | Self::BlobSize { .. } => Some(Attack::WrongSoftware),
            Self::NotAllowed { .. } | Self::BadCopy { .. } => Some(Attack::ArbitrarySoftware),
            Self::TooManyManifests { .. } => Some(Attack::EndlessData),
            Self::NotPublished { attack, .. } => *attack,
            Self::Store(_)
            | Self::Incomplete { .. }
            | Self::NotCarried { .. }
            | Self::Tree { .. }
            | Self::MissingBase { .. }
            | Self::Vanished { .. }
            | Self::NoSpace { .. }
            | Self::Thread { .. }
            | Self::NoTarget => None,
        }
    }

    /// Whether something was looked at and refused, rather than not got at.
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::Bundle(error) => error.is_refusal(),
            Self::Site(error) => error.is_refusal(),
            Self::Metadata(error) => error.is_refusal(),
            Self::Registry(error) => error.is_refusal(),
            Self::NotPublished { is_refusal, .. } => *is_refusal,
            Self::Store(_)
            | Self::Vanished { .. }
            | Self::NoSpace { .. }
            | Self::Thread { .. }
            | Self::NoTarget => false,
            Self::Signature { .. }
            | Self::Rollback { .. }
            | Self::OtherBundle { .. }
            | Self::Twice { .. }
            | Self::ForeignSite { .. }
            | Self::Incomplete { .. }
            | Self::NotAllowed { .. }
            | Self::Tag { .. }
            | Self::Release { .. }
            | Self::NotReleased { .. }
            | Self::Stray { .. }
            | Self::NotCarried { .. }
            | Self::Tree { .. }
            | Self::BlobSize { .. }
            | Self::TooManyManifests { .. }
            | Self::BadCopy { .. }
            | Self::MissingBase { .. } => true,
        }
    }

    /// What a person can do.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Bundle(error) => return error.hint().or_else(|| Some(COPY_AGAIN.to_owned())),
            Self::Site(error) => return error.hint(),
            Self::Metadata(error) => return Some(error.hint().to_owned()),
            Self::Registry(error) => return error.hint(),
            Self::Store(error) => return error.hint(),
            Self::MissingBase { list: Some(list), .. } => return Some(repair(list)),
            Self::MissingBase { list: None, .. } => {
                "was a bundle lost on the way? Import that one first, or run this again with \
                 --missing-out FILE and carry FILE back: offline-mirror create --repair FILE; then \
                 import both together"
            }
            Self::Signature { .. } => {
                "the bundle was made under another view, or changed: pin the root of its view, or \
                 have it made under yours; do not use this copy"
            }
            Self::Rollback { .. } => {
                "nothing is lost: the newer bundle is in place; have the next one made against this \
                 site's newest inventory"
            }
            Self::OtherBundle { .. } | Self::Twice { .. } => {
                "a view never gives a sequence out twice: tell whoever makes the bundles, it may \
                 have been brought back from a backup"
            }
            Self::ForeignSite { .. } => {
                "take the bundle to its site, or have one made for this one: offline-mirror create \
                 --for SITE"
            }
            Self::Incomplete { .. } => {
                "have the bundle made again once what is missing can be had, or take what is there \
                 with --accept-incomplete"
            }
            Self::NotAllowed { .. } => {
                "if the site wants them, add them to images in site.toml; otherwise ask who put \
                 them in"
            }
            Self::Tag { .. }
            | Self::Release { .. }
            | Self::NotReleased { .. }
            | Self::Stray { .. }
            | Self::NotCarried { .. }
            | Self::Tree { .. }
            | Self::BlobSize { .. } => {
                "nothing was taken in; tell whoever makes the bundles, this one contradicts itself"
            }
            Self::BadCopy { .. } => {
                "the disk or the medium reads wrong: check both, then run the import again"
            }
            Self::TooManyManifests { .. } => "have it made as several bundles",
            Self::Vanished { .. } => {
                "did somebody remove it meanwhile? Run the import again; if it stays so, have a \
                 repair bundle made with --missing-out"
            }
            Self::NoSpace { .. } => {
                "free that much, or keep the bundle on the store's file system, where nothing is \
                 copied"
            }
            Self::Thread { .. } => "run the import again; it goes on where this run stopped",
            Self::NotPublished { is_refusal: false, .. } => {
                "the images are in place; check --server and the token, then run the same import \
                 again"
            }
            Self::NotPublished { .. } => {
                "the images are in place; settle what the server says, then run the import again"
            }
            Self::NoTarget => "give --registry HOST or --store DIR, or set one in site.toml",
        };
        Some(hint.to_owned())
    }
}
