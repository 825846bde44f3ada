//! Graphs and releases that may be believed (design §4).
//!
//! A document gets out of here only if the TUF client verified it, the role of its own kind signed
//! it (`<vendor>.releases` or `<vendor>.channels`), it says itself what its path says, and it
//! relies on nothing this version does not know. One rule covers a hub that is away: what was
//! verified last may be used until its metadata expires, and no longer.

mod cache;
mod check;
mod error;

use std::path::Path;
use std::sync::Arc;

use channels::cincinnati;
use channels::graph::Graph;
use channels::names::{Arch, ChannelName, ProductRef};
use channels::version::ReleaseVersion;
use channels::wire::ReleaseDocument;
use jiff::{SignedDuration, Timestamp};
use signing::source::{Mirrors, Source};
use signing::{
    Client, DirStore, FromMirror, MirrorsFailed, Refreshed, RoleName, Sha256Digest, Store, Target,
    TargetPath, Verified,
};

use super::{Address, HubSource, Network, upstream};

use cache::Cache;
pub use error::TrustError;

/// Largest target read. A release document has a few kilobytes; the largest real graph (all of
/// OpenShift) has 12 MB.
const TARGET_MAX_BYTES: u64 = 32 * 1024 * 1024;

/// For how long the hub's word that nothing changed replaces a look of our own.
const HINT_TRUST: SignedDuration = SignedDuration::from_hours(1);

/// A verified release document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedRelease {
    document: ReleaseDocument,
    digest: Sha256Digest,
}

impl VerifiedRelease {
    /// The document.
    pub fn document(&self) -> &ReleaseDocument {
        &self.document
    }

    /// SHA-256 of the document as it was signed; grants name it.
    pub fn digest(&self) -> Sha256Digest {
        self.digest
    }
}

/// A verified graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedGraph {
    product: ProductRef,
    graph: Graph,
    digest: Sha256Digest,
}

impl VerifiedGraph {
    /// The product it is of.
    pub fn product(&self) -> &ProductRef {
        &self.product
    }

    /// The graph.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// SHA-256 of the graph as it was signed.
    pub fn digest(&self) -> Sha256Digest {
        self.digest
    }

    /// Checks that the release is the one the graph means, where the graph says so.
    pub fn check_release(&self, release: &VerifiedRelease) -> Result<(), TrustError> {
        check::pinned(self, release)
    }

    /// Checks that the graph offers the edge *and* that the release lets `from` move to it.
    /// Whether the risks on the edge are accepted is the planner's to say.
    pub fn check_edge(
        &self,
        from: &ReleaseVersion,
        release: &VerifiedRelease,
    ) -> Result<(), TrustError> {
        check::edge(self, from, release)
    }
}

/// A hub's repository, from wherever its copies are, remembered in the state directory.
pub type HubReleases = TrustedReleases<HubSource, DirStore>;

/// What the last look at the repository found, and the hint that speaks of just that.
#[derive(Debug, Clone)]
struct Looked {
    hint: Option<String>,
    at: Timestamp,
    found: Refreshed,
}

/// A TUF client that hands out releases and graphs.
#[derive(Debug)]
pub struct TrustedReleases<S: Source, T: Store> {
    client: Client<Mirrors<S>, T>,
    cache: Cache<T>,
    looked: Option<Looked>,
    /// The mirror that served last; a change is worth a line in the log.
    served_by: Option<String>,
}

impl HubReleases {
    /// Opens the repository that lies at `addresses`, the preferred one first, trusting
    /// `pinned_root` and keeping what was verified in `<state_dir>/tuf` and
    /// `<state_dir>/documents`.
    pub fn open(
        pinned_root: &[u8],
        addresses: &[Address],
        network: &Network,
        state_dir: &Path,
    ) -> Result<Self, TrustError> {
        let mirrors = upstream::open_all(addresses, network)
            .map_err(|source| TrustError::Upstream { source })?;
        let store = |name: &'static str| {
            DirStore::open(state_dir.join(name))
                .map_err(|source| TrustError::Store { name, source })
        };
        Self::new(pinned_root, mirrors, store("tuf")?, store("documents")?)
    }
}

impl<S: Source, T: Store> TrustedReleases<S, T> {
    /// Trusts `pinned_root`, fetches from `mirrors`, keeps metadata in `store` and documents in
    /// `documents` (two different places).
    pub fn new(
        pinned_root: &[u8],
        mirrors: Mirrors<S>,
        store: T,
        documents: T,
    ) -> Result<Self, TrustError> {
        let client = Client::open(pinned_root, mirrors, store)
            .map_err(|source| TrustError::Metadata { source })?;
        Ok(Self { client, cache: Cache::new(documents), looked: None, served_by: None })
    }

    /// Brings the metadata up to date. `etag_hint` is what the last report's reply said about
    /// `timestamp.json`: while that is what is held, the request is saved, for an hour at most and
    /// never past an expiry.
    ///
    /// After an error everything verified before can still be asked for, until it expires.
    pub async fn refresh(
        &mut self,
        now: Timestamp,
        etag_hint: Option<&str>,
    ) -> Result<Refreshed, TrustError> {
        if let Some(looked) = &self.looked
            && etag_hint.is_some()
            && looked.hint.as_deref() == etag_hint
            && now.duration_since(looked.at) < HINT_TRUST
            && now >= looked.at
            && now < looked.found.expires
        {
            return Ok(Refreshed { changed: false, ..looked.found });
        }
        self.looked = None;
        let found = self.client.refresh_any(now).await.map_err(failed)?;
        let found = self.served(found);
        // Another replica, or a mirror, may not have yet what the hub speaks of.
        let served = self.client.hub_etag();
        let hint = etag_hint.filter(|hint| served.as_deref() == Some(*hint)).map(str::to_owned);
        self.looked = Some(Looked { hint, at: now, found });
        Ok(found)
    }

    /// The graph of a channel.
    pub async fn graph(
        &mut self,
        product: &ProductRef,
        channel: &ChannelName,
        arch: &Arch,
        now: Timestamp,
    ) -> Result<Arc<VerifiedGraph>, TrustError> {
        let path = path(cincinnati::target_path(product, channel, arch))?;
        let target = self.find(&path, &format!("{}.channels", product.vendor), now).await?;
        if let Some(known) = self.cache.graph(&path, target.digest) {
            return Ok(known);
        }
        let bytes = self.bytes(&target).await?;
        let graph = check::graph(&path, &bytes, product, channel, arch)?;
        let digest = target.digest;
        let graph = Arc::new(VerifiedGraph { product: product.clone(), graph, digest });
        self.cache.keep_graph(&path, &graph);
        Ok(graph)
    }

    /// A release of a product.
    pub async fn release(
        &mut self,
        product: &ProductRef,
        version: &ReleaseVersion,
        now: Timestamp,
    ) -> Result<Arc<VerifiedRelease>, TrustError> {
        let path = path(ReleaseDocument::target_path(product, version))?;
        let target = self.find(&path, &format!("{}.releases", product.vendor), now).await?;
        if let Some(known) = self.cache.release(&path, target.digest) {
            return Ok(known);
        }
        let bytes = self.bytes(&target).await?;
        let document = check::release(&path, &bytes, product, version)?;
        let release = Arc::new(VerifiedRelease { document, digest: target.digest });
        self.cache.keep_release(&path, &release);
        Ok(release)
    }

    /// The listed target, if the role of its kind signed it.
    async fn find(
        &mut self,
        path: &TargetPath,
        signer: &str,
        now: Timestamp,
    ) -> Result<Verified<Target>, TrustError> {
        let found = self.client.target_any(path, now).await.map_err(failed)?;
        let target =
            self.served(found).ok_or_else(|| TrustError::NotListed { path: path.clone() })?;
        check::signer(path, &target.role, signer)?;
        if target.length > TARGET_MAX_BYTES {
            let (bytes, limit) = (target.length, TARGET_MAX_BYTES);
            return Err(TrustError::TooLarge { path: path.clone(), bytes, limit });
        }
        Ok(target)
    }

    /// The answer; says when another mirror than the last one gave it.
    fn served<R>(&mut self, answer: FromMirror<R>) -> R {
        let FromMirror { value, mirror, failures } = answer;
        if self.served_by.as_ref() != Some(&mirror) {
            for failure in &failures {
                let (error, attack) = (&failure.error, failure.error.attack());
                tracing::warn!(
                    mirror = failure.mirror, %error, attack = attack.map(tracing::field::display),
                    "mirror passed over"
                );
            }
            tracing::debug!(mirror, "metadata served");
            self.served_by = Some(mirror);
        }
        value
    }

    /// The target's bytes: the kept copy if it is the listed one, otherwise the source's.
    async fn bytes(&mut self, target: &Verified<Target>) -> Result<Vec<u8>, TrustError> {
        if let Some(bytes) = self.cache.bytes(&target.path, target.digest) {
            return Ok(bytes);
        }
        let fetched = self.client.fetch_target_any(target).await.map_err(failed)?;
        let bytes = self.served(fetched).into_inner();
        self.cache.keep_bytes(&target.path, &bytes)?;
        Ok(bytes)
    }
}

/// A single source speaks for itself.
fn failed(mut failed: MirrorsFailed) -> TrustError {
    match failed.failures.pop() {
        Some(last) if failed.failures.is_empty() => TrustError::Metadata { source: last.error },
        last => {
            failed.failures.extend(last);
            TrustError::Mirrors { source: failed }
        }
    }
}

fn path(text: String) -> Result<TargetPath, TrustError> {
    TargetPath::new(text).map_err(|source| TrustError::Path { source })
}

/// The role that must have signed, as a name.
fn role(name: &str) -> Option<RoleName> {
    RoleName::new(name).ok()
}

#[cfg(test)]
mod tests;
