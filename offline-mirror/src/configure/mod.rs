//! Configuration that points a site's container runtimes at its registry.
//!
//! What is generated is a pure function of the site's registry and of the images it took in; only
//! `write` touches a disk. Nothing is installed: people or their tools put the files in place.

mod containerd;
mod containers;
mod openshift;
mod write;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use channels::names::SiteName;

use crate::bundle::CarriedImage;
use crate::oci::{Host, Repository};

pub use write::{ConfigureError, Written, write};

/// The site's registry, as its nodes see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mirror {
    /// Host and port.
    pub host: Host,
    /// Path in front of every repository.
    pub prefix: Option<Repository>,
    /// Whether it speaks HTTP without TLS.
    pub plain_http: bool,
    /// File with its certificate authority, as it will be called on the nodes.
    pub ca_file: Option<PathBuf>,
}

impl Mirror {
    fn repository(&self, repository: &Repository) -> String {
        match &self.prefix {
            Some(prefix) => format!("{}/{prefix}/{repository}", self.host),
            None => format!("{}/{repository}", self.host),
        }
    }

    fn url(&self) -> String {
        let scheme = if self.plain_http { "http" } else { "https" };
        format!("{scheme}://{}", self.host)
    }
}

/// A sigstore key that images must be signed with.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SignedBy {
    /// `host/path` of the images, as their makers call them.
    pub scope: String,
    /// File with the public key, as it will be called on the nodes.
    pub key_file: PathBuf,
}

/// Where images came from, by their makers' registry and repository; whether any has a tag.
pub(crate) type Sources = BTreeMap<Host, BTreeMap<Repository, bool>>;

/// The sources of these images.
pub(crate) fn sources(images: &[CarriedImage]) -> Sources {
    let mut sources = Sources::new();
    for image in images {
        let repositories = sources.entry(image.source.clone()).or_default();
        let has_tag = repositories.entry(image.repository.clone()).or_default();
        *has_tag |= !image.tags.is_empty();
    }
    sources
}

/// The files by their path below the output directory, with their contents.
pub fn generate(
    site: &SiteName,
    mirror: &Mirror,
    images: &[CarriedImage],
    signed_by: &BTreeSet<SignedBy>,
) -> BTreeMap<String, String> {
    let sources = sources(images);
    let mut files = containerd::hosts(mirror, &sources);
    files.extend(containers::registries(site, mirror, &sources));
    files.extend(containers::policy(site, mirror, &sources, signed_by));
    files.extend(openshift::mirror_sets(site, mirror, &sources));
    files
}

/// First line of every file that may have one.
fn marker(site: &SiteName) -> String {
    format!(
        "# Written by offline-mirror configure for the site {site}; it will be written again.\n"
    )
}

/// Text as a TOML or JSON string; both escape alike as far as names and paths go.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests;
