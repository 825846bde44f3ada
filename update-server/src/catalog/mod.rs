//! What the hub serves right now.
//!
//! One immutable value behind an atomic pointer: requests read it without locks, a publication, a
//! re-signing or a hold replaces it as a whole. Bodies and entity tags are made at the swap. The
//! catalog verifies nothing; only [`crate::publish`] puts content here, and only verified content.

mod body;
mod content;
mod holds;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use actix_web::web::Bytes;
use arc_swap::ArcSwap;
use channels::graph::GraphBuilder;
use channels::names::{Arch, ChannelName, ProductRef};
use channels::version::ReleaseVersion;
use channels::wire::Hold;
use jiff::Timestamp;
use signing::Sha256Digest;

pub use body::{Body, Variant};
pub(crate) use content::{ByGraph, Published, TIMESTAMP_FILE, TOP_ROLES, Versions};
pub use content::{GraphEntry, GraphKey, ReleaseEntry, TufFile};
pub(crate) use holds::Held;
pub use holds::{HOLD_RISK, ReleaseStop};

/// What is served now. Cheap to clone; all clones see the same.
#[derive(Debug, Clone)]
pub struct Catalog {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    served: ArcSwap<Served>,
    default_product: Option<ProductRef>,
    /// The holds in force; locked while a new value is made, so that two writers cannot undo each
    /// other. Readers never take it.
    holds: Mutex<InForce>,
}

/// One immutable state of the catalog.
#[derive(Debug)]
pub(crate) struct Served {
    pub(crate) published: Option<Arc<Published>>,
    /// Graphs as the Cincinnati endpoint shows them, holds included.
    pub(crate) shown: ByGraph<Shown>,
    /// The answer to a channel nobody published.
    pub(crate) empty: Arc<Body>,
    generation: u64,
}

/// What stops moves.
#[derive(Debug, Default, PartialEq, Eq)]
struct InForce {
    holds: Vec<Hold>,
    stops: Vec<ReleaseStop>,
}

/// One graph as the Cincinnati endpoint shows it.
#[derive(Debug)]
pub(crate) struct Shown {
    pub(crate) entry: Arc<GraphEntry>,
    held: Held,
    pub(crate) body: Arc<Body>,
}

/// What the hub can say about its repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CatalogStatus {
    /// Version of root; `None` before the first publication.
    pub root_version: Option<u64>,
    /// When the earliest of the served metadata expires, delegated roles included.
    pub expires: Option<Timestamp>,
    /// Why nothing verifies any more: the top-level role that has expired.
    pub stale: Option<String>,
    /// Delegated roles that have expired; only their own targets stop verifying.
    pub expired_roles: Vec<String>,
    /// Products with at least one graph.
    pub products: Vec<ProductRef>,
}

impl Catalog {
    /// A catalog before the first publication.
    pub fn new(default_product: Option<ProductRef>) -> Self {
        // An empty graph has nothing that could be refused.
        let empty = GraphBuilder::new(None).build();
        let empty = empty.map(|graph| channels::cincinnati::to_json(&graph)).unwrap_or_default();
        let served = Served {
            published: None,
            shown: ByGraph::new(),
            empty: Arc::new(body(empty)),
            generation: 0,
        };
        let inner = Inner {
            served: ArcSwap::from_pointee(served),
            default_product,
            holds: Mutex::default(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// The product answered on the path without vendor and product.
    pub fn default_product(&self) -> Option<&ProductRef> {
        self.inner.default_product.as_ref()
    }

    /// The state of this moment.
    pub(crate) fn served(&self) -> arc_swap::Guard<Arc<Served>> {
        self.inner.served.load()
    }

    /// The graph as signed (without holds).
    pub fn graph(
        &self,
        product: &ProductRef,
        channel: &ChannelName,
        arch: &Arch,
    ) -> Option<Arc<GraphEntry>> {
        let served = self.served();
        let graphs = &served.published.as_ref()?.graphs;
        graphs.get(product)?.get(channel)?.get(arch).cloned()
    }

    /// The graphs of the same product and architecture in other channels, by channel.
    pub fn siblings(&self, key: &GraphKey) -> Vec<Arc<GraphEntry>> {
        let served = self.served();
        let channels = served.published.as_ref().and_then(|p| p.graphs.get(&key.product));
        let others = channels.into_iter().flatten().filter(|(name, _)| **name != key.channel);
        others.filter_map(|(_, arches)| arches.get(&key.arch).cloned()).collect()
    }

    /// What stops moves in a graph, as plain clients are told.
    pub(crate) fn held(&self, product: &ProductRef, channel: &ChannelName, arch: &Arch) -> Held {
        let served = self.served();
        let channels = served.shown.get(product);
        let shown = channels.and_then(|channels| channels.get(channel)?.get(arch));
        shown.map(|shown| shown.held.clone()).unwrap_or_default()
    }

    /// Keys of all graphs, in order.
    pub fn graphs(&self) -> impl Iterator<Item = GraphKey> + use<> {
        let published = self.served().published.clone();
        let keys: Vec<GraphKey> =
            published.iter().flat_map(|p| p.all_graphs()).map(|entry| entry.key.clone()).collect();
        keys.into_iter()
    }

    /// A release document.
    pub fn release(
        &self,
        product: &ProductRef,
        version: &ReleaseVersion,
    ) -> Option<Arc<ReleaseEntry>> {
        self.served().published.as_ref()?.releases.get(product)?.get(version).cloned()
    }

    /// All release documents of a product, oldest version first.
    pub fn releases(&self, product: &ProductRef) -> Vec<Arc<ReleaseEntry>> {
        let served = self.served();
        let releases = served.published.as_ref().and_then(|p| p.releases.get(product));
        releases.into_iter().flat_map(BTreeMap::values).cloned().collect()
    }

    /// The entity tag of `timestamp.json` with its quotes, exactly as the `ETag` header has it.
    pub fn timestamp_etag(&self) -> Option<String> {
        let served = self.served();
        let etag = &served.published.as_ref()?.files.get(TIMESTAMP_FILE)?.etag;
        etag.to_str().ok().map(str::to_owned)
    }

    /// A file of the TUF repository by its path below `/tuf/`, percent-decoded.
    pub fn tuf_file(&self, path: &str) -> Option<TufFile> {
        self.served().published.as_ref()?.files.get(path).cloned()
    }

    /// Grows whenever a publication changes graphs or release documents. Holds and re-signing
    /// change neither.
    pub fn generation(&self) -> u64 {
        self.served().generation
    }

    /// What can be said about the repository at `now`.
    pub fn status(&self, now: Timestamp) -> CatalogStatus {
        let served = self.served();
        let Some(published) = &served.published else {
            return CatalogStatus {
                root_version: None,
                expires: None,
                stale: None,
                expired_roles: Vec::new(),
                products: Vec::new(),
            };
        };
        let versions = &published.versions;
        let expired = |(_, expires): &(&str, Timestamp)| *expires <= now;
        let delegated = versions.expires.iter().map(|(role, expires)| (role.as_str(), *expires));
        CatalogStatus {
            root_version: Some(versions.root),
            expires: versions.expires.values().min().copied(),
            stale: versions.first_of(&TOP_ROLES).filter(expired).map(expiry_reason),
            expired_roles: delegated
                .filter(|(role, _)| !TOP_ROLES.contains(role))
                .filter(expired)
                .map(|(role, _)| role.to_owned())
                .collect(),
            products: published.graphs.keys().cloned().collect(),
        }
    }

    /// Shows `holds` and stopped rollouts to plain Cincinnati clients from now on. Compresses every
    /// graph whose holds changed, so call it from a thread that may block.
    pub fn set_holds(&self, holds: &[Hold], stops: &[ReleaseStop]) {
        let mut current = self.lock_holds();
        let wanted = InForce { holds: holds.to_vec(), stops: stops.to_vec() };
        if *current == wanted {
            return;
        }
        *current = wanted;
        let before = self.inner.served.load_full();
        let shown = show(before.published.as_deref(), &current, &before);
        self.store(before.published.clone(), shown, before.generation);
    }

    /// Swaps a verified publication in.
    pub(crate) fn swap(&self, published: Published) {
        let holds = self.lock_holds();
        let before = self.inner.served.load_full();
        let shown = show(Some(&published), &holds, &before);
        let generation = before.generation + u64::from(content_changed(&before, &published));
        self.store(Some(Arc::new(published)), shown, generation);
    }

    fn store(&self, published: Option<Arc<Published>>, shown: ByGraph<Shown>, generation: u64) {
        let empty = self.inner.served.load().empty.clone();
        self.inner.served.store(Arc::new(Served { published, shown, empty, generation }));
    }

    fn lock_holds(&self) -> std::sync::MutexGuard<'_, InForce> {
        // A list that is only ever replaced as a whole is never half written.
        self.inner.holds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `(role, time)` as the reason shown to people and in `x-fairway-stale`.
pub(crate) fn expiry_reason((role, expires): (&str, Timestamp)) -> String {
    format!("{role} expired at {expires}")
}

fn body(bytes: Vec<u8>) -> Body {
    let digest = Sha256Digest::of(&bytes);
    Body::new(Bytes::from(bytes), digest)
}

/// Bodies of all graphs under `holds`; those that did not change are taken from `before`.
fn show(published: Option<&Published>, in_force: &InForce, before: &Served) -> ByGraph<Shown> {
    let mut shown = ByGraph::new();
    for entry in published.iter().flat_map(|p| p.all_graphs()) {
        let key = &entry.key;
        let held = Held::on(key, &in_force.holds, &in_force.stops);
        let body = held_body(entry, &held, before);
        shown
            .entry(key.product.clone())
            .or_default()
            .entry(key.channel.clone())
            .or_default()
            .insert(key.arch.clone(), Shown { entry: entry.clone(), held, body });
    }
    shown
}

fn held_body(entry: &Arc<GraphEntry>, held: &Held, before: &Served) -> Arc<Body> {
    if held.is_empty() {
        return entry.body.clone();
    }
    let key = &entry.key;
    let last = before
        .shown
        .get(&key.product)
        .and_then(|channels| channels.get(&key.channel)?.get(&key.arch))
        .filter(|last| last.entry.digest == entry.digest && last.held == *held);
    if let Some(last) = last {
        return last.body.clone();
    }
    match held.apply(&entry.graph) {
        Ok(graph) => Arc::new(body(channels::cincinnati::to_json(&graph))),
        Err(error) => {
            // A held graph must not offer its edges: no edges at all is the safe answer.
            tracing::error!(graph = ?key, %error, "hold cannot be shown, edges are withdrawn");
            before.empty.clone()
        }
    }
}

/// Whether graphs or release documents differ from those served before.
fn content_changed(before: &Served, published: &Published) -> bool {
    let Some(last) = &before.published else { return true };
    let digests = |p: &Published| -> Vec<(GraphKey, Sha256Digest)> {
        p.all_graphs().map(|entry| (entry.key.clone(), entry.digest)).collect()
    };
    let releases = |p: &Published| -> Vec<Sha256Digest> {
        p.releases.values().flat_map(BTreeMap::values).map(|entry| entry.digest).collect()
    };
    digests(last) != digests(published) || releases(last) != releases(published)
}
