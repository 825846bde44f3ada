//! What is asked for, once file and command line are put together.

use std::path::PathBuf;

use channels::names::SiteName;
use serde::Serialize;
use signing::{PublicKey, Sha256Digest};

use super::config::ProductRequest;

use super::routes::Routes;
use super::select::Selection;
use crate::bundle::{BundleName, SegmentSize};
use crate::registry::ImageName;
use crate::site::MissingList;

/// Most blobs downloaded at once unless somebody says otherwise: enough to keep a connection busy
/// over small layers, few enough for any registry.
pub const CONCURRENCY: u16 = 8;
/// Most blobs downloaded at once that can be asked for; each holds buffers and a connection.
pub const CONCURRENCY_MAX: u16 = 64;

/// A bundle as it is asked for.
#[derive(Debug, Clone)]
pub struct Request {
    /// Name in front of its files.
    pub name: BundleName,
    /// The hub's root, as its agents pin it.
    pub root: Vec<u8>,
    /// The view it is made under; a plan can do without.
    pub view: Option<PathBuf>,
    /// Where images are read.
    pub routes: Routes,
    /// Releases.
    pub products: Vec<ProductRequest>,
    /// Images that no release names.
    pub images: Vec<ImageName>,
    /// Sites it is for; empty = any.
    pub sites: Vec<SiteName>,
    /// What may be left out.
    pub base: Presumed,
    /// Largest length of a segment file.
    pub segment_size: SegmentSize,
    /// Most blobs and manifests fetched at once.
    pub concurrency: u16,
    /// Whether images that cannot be read are left out, and listed as missing.
    pub keep_going: bool,
}

/// What the sites are known, or presumed, to have.
#[derive(Debug, Clone)]
pub enum Presumed {
    /// Nothing: a full bundle.
    Nothing,
    /// What they signed.
    Inventories(Vec<SignedInventory>),
    /// Everything in the bundles up to a sequence, because a person says that they arrived.
    Assumed {
        /// The newest of them.
        sequence: u64,
    },
    /// The bundle repairs a refused one: it carries what that presumed and a site does not have.
    Repair(MissingList),
}

/// An inventory as it came back over the gap, with the key that the site is known by.
#[derive(Debug, Clone)]
pub struct SignedInventory {
    /// File it was read from, for messages.
    pub file: PathBuf,
    /// The signed bytes.
    pub bytes: Vec<u8>,
    /// The site's key.
    pub key: PublicKey,
}

/// The part of a request that decides which bytes come out. A run that goes on with earlier work
/// must ask for the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Asked {
    /// Name of the bundle.
    pub name: BundleName,
    /// Digest of the hub's pinned root.
    pub root: Sha256Digest,
    /// Hosts of the registries, in order.
    pub registries: Vec<String>,
    /// Releases.
    pub products: Vec<ProductRequest>,
    /// Extra images.
    pub images: Vec<ImageName>,
    /// Sites.
    pub sites: Vec<SiteName>,
    /// Digests of the signed inventories.
    pub inventories: Vec<Sha256Digest>,
    /// Sequence that is assumed.
    pub assume: Option<u64>,
    /// Digest of the list that is repaired.
    pub repair: Option<Sha256Digest>,
    /// Bytes of a segment.
    pub segment_size: u64,
}

impl Request {
    /// Whether the same is meant whenever it is asked for: releases and images by name, no channel's
    /// head or range, no tag.
    pub(crate) fn is_settled(&self) -> bool {
        self.products.iter().all(|product| !product.releases.is_empty())
            && self.images.iter().all(|image| image.digest.is_some())
    }

    /// What decides the bytes.
    pub fn asked(&self) -> Asked {
        let (mut inventories, mut assume, mut repair) = (Vec::new(), None, None);
        match &self.base {
            Presumed::Nothing => {}
            Presumed::Inventories(all) => {
                inventories.extend(all.iter().map(|signed| Sha256Digest::of(&signed.bytes)));
            }
            Presumed::Assumed { sequence } => assume = Some(*sequence),
            Presumed::Repair(list) => {
                // Its members are all of plain types; an empty text would only forget a difference.
                let text = serde_json::to_vec(list).unwrap_or_default();
                repair = Some(Sha256Digest::of(&text));
            }
        }
        let accesses = self.routes.accesses().iter();
        Asked {
            name: self.name.clone(),
            root: Sha256Digest::of(&self.root),
            registries: accesses.map(|access| access.host.to_string()).collect(),
            products: self.products.clone(),
            images: self.images.clone(),
            sites: self.sites.clone(),
            inventories,
            assume,
            repair,
            segment_size: self.segment_size.bytes(),
        }
    }
}

/// What a product request means; a request that says two things at once is refused.
///
/// # Errors
/// With what is wrong, for people.
pub(super) fn selection(request: &ProductRequest) -> Result<Selection, &'static str> {
    let ProductRequest { channel, versions, releases, from, to, .. } = request;
    let ways = [versions.is_some(), !releases.is_empty(), from.is_some()];
    if ways.iter().filter(|is_used| **is_used).count() > 1 {
        return Err("versions, releases and from exclude one another");
    }
    if to.is_some() && from.is_none() {
        return Err("to needs from");
    }
    if channel.is_none() && releases.is_empty() {
        return Err("it needs a channel, or releases by name");
    }
    Ok(match (versions, from) {
        (Some(versions), _) => Selection::Range { versions: versions.clone() },
        (None, Some(from)) => Selection::Way { from: from.clone(), to: to.clone() },
        (None, None) if !releases.is_empty() => Selection::Listed { releases: releases.clone() },
        (None, None) => Selection::Head,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meant(more: &str) -> Result<Selection, &'static str> {
        selection(&toml::from_str(&format!("product = \"acme/app\"\n{more}")).unwrap())
    }

    #[test]
    fn one_product_is_selected_in_one_way() {
        assert_eq!(meant("channel = \"s\"").unwrap(), Selection::Head);
        let listed = meant("releases = [\"1.0.0\"]").unwrap();
        assert!(matches!(listed, Selection::Listed { .. }), "even without a channel");
        let way = meant("channel = \"s\"\nfrom = \"1.0.0\"").unwrap();
        assert!(matches!(way, Selection::Way { to: None, .. }));
        for bad in [
            "",
            "versions = \"1\"",
            "channel = \"s\"\nto = \"1.0.0\"",
            "channel = \"s\"\nversions = \"1\"\nfrom = \"1.0.0\"",
            "channel = \"s\"\nversions = \"1\"\nreleases = [\"1.0.0\"]",
        ] {
            assert!(meant(bad).is_err(), "{bad}");
        }
    }
}
