//! What one publication holds, once it is verified: graphs, release documents, TUF files.

use std::collections::BTreeMap;
use std::sync::Arc;

use actix_web::http::header::HeaderValue;
use actix_web::web::Bytes;
use channels::graph::Graph;
use channels::names::{Arch, ChannelName, ProductRef};
use channels::version::ReleaseVersion;
use channels::wire;
use jiff::Timestamp;
use signing::Sha256Digest;

use super::body::{Body, entity_tag};

/// Values by product, channel and architecture; nested, so that a lookup needs no owned key.
pub(crate) type ByGraph<T> = BTreeMap<ProductRef, BTreeMap<ChannelName, BTreeMap<Arch, T>>>;

/// Names one graph.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct GraphKey {
    /// The product.
    pub product: ProductRef,
    /// The channel.
    pub channel: ChannelName,
    /// The architecture.
    pub arch: Arch,
}

/// One signed graph.
#[derive(Debug)]
pub struct GraphEntry {
    /// What it is for.
    pub key: GraphKey,
    /// The graph, parsed from the signed bytes.
    pub graph: Arc<Graph>,
    /// SHA-256 of the signed bytes.
    pub digest: Sha256Digest,
    /// The role that signed it.
    pub role: String,
    /// When the first of root, targets and the roles that delegate to it expires; snapshot and
    /// timestamp are not counted, because the hub renews them by itself.
    pub offline_expires: Timestamp,
    /// The signed bytes, ready to send.
    pub(crate) body: Arc<Body>,
}

/// One signed release document.
#[derive(Debug)]
pub struct ReleaseEntry {
    /// The document.
    pub document: wire::ReleaseDocument,
    /// SHA-256 of its signed bytes: what a grant names.
    pub digest: Sha256Digest,
}

/// One file of the TUF repository.
#[derive(Debug, Clone)]
pub struct TufFile {
    /// The bytes.
    pub bytes: Bytes,
    /// Strong entity tag with its quotes.
    pub etag: HeaderValue,
    /// Whether the name pins the content: everything but `timestamp.json`.
    pub immutable: bool,
}

impl TufFile {
    /// A file whose name pins its content.
    pub fn versioned(bytes: Bytes) -> Self {
        let etag = entity_tag(&Sha256Digest::of(&bytes).hex());
        Self { bytes, etag, immutable: true }
    }

    /// `timestamp.json`: its tag covers root's version too, so that one conditional request tells a
    /// client that neither changed.
    pub fn timestamp(bytes: Bytes, root_version: u64) -> Self {
        let etag = entity_tag(&format!("{root_version}-{}", Sha256Digest::of(&bytes).hex()));
        Self { bytes, etag, immutable: false }
    }
}

/// Versions and expiry of what is served.
#[derive(Debug, Clone)]
pub(crate) struct Versions {
    /// Version of root.
    pub(crate) root: u64,
    /// When the timestamp was signed.
    pub(crate) signed_at: Timestamp,
    /// Expiry by role name, top-level and delegated.
    pub(crate) expires: BTreeMap<String, Timestamp>,
}

/// Top-level roles: when one of them has expired, nothing verifies any more.
pub(crate) const TOP_ROLES: [&str; 4] = ["root", "snapshot", "targets", "timestamp"];

impl Versions {
    /// The first of `roles` to expire.
    pub(crate) fn first_of<'r>(&self, roles: &[&'r str]) -> Option<(&'r str, Timestamp)> {
        roles
            .iter()
            .filter_map(|role| Some((*role, *self.expires.get(*role)?)))
            .min_by_key(|(_, expires)| *expires)
    }
}

/// A verified publication; immutable.
#[derive(Debug)]
pub(crate) struct Published {
    pub(crate) versions: Versions,
    pub(crate) graphs: ByGraph<Arc<GraphEntry>>,
    pub(crate) releases: BTreeMap<ProductRef, BTreeMap<ReleaseVersion, Arc<ReleaseEntry>>>,
    /// By path below `/tuf/`, percent-decoded.
    pub(crate) files: BTreeMap<String, TufFile>,
}

/// The one file that is polled.
pub(crate) const TIMESTAMP_FILE: &str = "metadata/timestamp.json";

impl Published {
    pub(crate) fn graph(&self, key: &GraphKey) -> Option<&Arc<GraphEntry>> {
        self.graphs.get(&key.product)?.get(&key.channel)?.get(&key.arch)
    }

    /// All graphs, in order of their keys.
    pub(crate) fn all_graphs(&self) -> impl Iterator<Item = &Arc<GraphEntry>> {
        self.graphs.values().flat_map(BTreeMap::values).flat_map(BTreeMap::values)
    }
}
