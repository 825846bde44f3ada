//! From verified targets to what the catalog serves: every graph and release document is parsed,
//! compared with its path, and taken over from the last publication where it did not change.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use actix_web::web::Bytes;
use channels::cincinnati::{self, TargetKind};
use channels::names::ProductRef;
use channels::version::ReleaseVersion;
use channels::wire::{Critical, ReleaseDocument};
use signing::repository::StagedTarget;
use signing::{RoleName, Sha256Digest, Target, TargetPath};

use super::error::PublishError;
use super::listing::Listing;
use super::offline::{Expiry, Offline, vendor_of_path};
use crate::catalog::{Body, ByGraph, GraphEntry, GraphKey, Published, ReleaseEntry};

/// Release documents by product and version.
pub(super) type Releases = BTreeMap<ProductRef, BTreeMap<ReleaseVersion, Arc<ReleaseEntry>>>;

/// The bytes of a target and their digest.
type Stored = (Sha256Digest, Arc<[u8]>);

/// The parsed content of a publication.
#[derive(Debug, Default)]
pub(super) struct Content {
    pub(super) graphs: ByGraph<Arc<GraphEntry>>,
    pub(super) releases: Releases,
    /// Bytes of everything that is listed, and of what vendors list whose metadata must be signed
    /// anew; of nothing else.
    pub(super) targets: BTreeMap<TargetPath, Stored>,
}

/// What extraction looks at besides the listed targets.
pub(super) struct Extraction<'a> {
    /// Bytes, the publication's on top of the served ones.
    pub(super) offline: &'a Offline,
    /// What was served before, targets included.
    pub(super) before: &'a Offline,
    /// What was served before, parsed.
    pub(super) served: Option<&'a Published>,
    /// Expiry by role.
    pub(super) expiries: &'a BTreeMap<RoleName, Expiry>,
    /// Vendors of which the publication has anything.
    pub(super) publishing: &'a BTreeSet<String>,
    /// Release documents that those vendors have ever listed, as far as their newest metadata says.
    pub(super) known: &'a BTreeMap<String, Sha256Digest>,
}

fn missing(target: &Target) -> PublishError {
    PublishError::Missing { path: target.path.clone(), role: target.role.clone() }
}

impl Extraction<'_> {
    /// Parses all listed targets.
    pub(super) fn run(&self, listing: &Listing) -> Result<Content, PublishError> {
        let mut content = Content::default();
        let mut absent = Vec::new();
        for StagedTarget { target, .. } in &listing.targets {
            let Some((digest, bytes)) = self.bytes(target)? else {
                absent.push(&**target);
                continue;
            };
            match cincinnati::parse_target_path(target.path.as_str()) {
                Some(TargetKind::Release { product, version }) => {
                    let entry = self.release(target, bytes, &product, &version)?;
                    content.releases.entry(product).or_default().insert(version, entry);
                }
                Some(TargetKind::Graph { product, channel, arch }) => {
                    let key = GraphKey { product, channel, arch };
                    let entry = self.graph(target, bytes, key.clone())?;
                    let channels = content.graphs.entry(key.product).or_default();
                    channels.entry(key.channel).or_default().insert(key.arch, entry);
                }
                None => {
                    return Err(PublishError::UnknownTarget { path: target.path.clone() });
                }
            }
            content.targets.insert(target.path.clone(), (*digest, bytes.clone()));
        }
        self.refuse_lost(&content, &absent)?;
        self.keep_unsigned(&mut content, listing)?;
        self.refuse_removed(&content)?;
        self.refuse_dropped()?;
        Ok(content)
    }

    /// What a start does not find is lost, unless it is all that a vendor has: that vendor has still
    /// to send its files.
    fn refuse_lost(&self, content: &Content, absent: &[&Target]) -> Result<(), PublishError> {
        if !self.before.roots.is_empty() {
            return Ok(());
        }
        let found: BTreeSet<&str> = content.targets.keys().map(vendor_of_path).collect();
        let is_lost =
            |target: &&&Target| found.is_empty() || found.contains(vendor_of_path(&target.path));
        match absent.iter().find(is_lost) {
            Some(target) => Err(missing(target)),
            None => Ok(()),
        }
    }

    /// The bytes of a vendor whose metadata must be signed anew, which need not be sent again then.
    /// Nobody is offered them: the catalog has no graph of theirs.
    fn keep_unsigned(&self, content: &mut Content, listing: &Listing) -> Result<(), PublishError> {
        let delegations = self.offline.delegations()?;
        for (path, stored) in &self.offline.targets {
            let delegated = || delegations.iter().any(|delegate| delegate.covers(path));
            if listing.broken.contains(vendor_of_path(path)) && delegated() {
                content.targets.entry(path.clone()).or_insert_with(|| stored.clone());
            }
        }
        Ok(())
    }

    /// A release that vanished could come back with other bytes, so it may vanish only with the
    /// whole delegation it came by: that is top-level targets' decision, not the vendor's.
    fn refuse_removed(&self, content: &Content) -> Result<(), PublishError> {
        let delegated = [self.before.delegations()?, self.offline.delegations()?];
        for path in self.before.targets.keys() {
            let kind = cincinnati::parse_target_path(path.as_str());
            if content.targets.contains_key(path)
                || !matches!(kind, Some(TargetKind::Release { .. }))
            {
                continue;
            }
            let [before, now] =
                delegated.each_ref().map(|all| all.iter().any(|delegate| delegate.covers(path)));
            if !before || now {
                return Err(PublishError::ReleaseRemoved { path: path.to_string() });
            }
        }
        Ok(())
    }

    /// The digests that releases must keep are in the newest metadata of their vendor's roles: a
    /// version that lists one no more would let the version after it list other bytes. That holds
    /// whether or not anybody delegated to the role that listed it.
    fn refuse_dropped(&self) -> Result<(), PublishError> {
        let listed = self.offline.listed_releases(self.publishing)?;
        match self.known.keys().find(|path| !listed.contains_key(*path)) {
            Some(path) => Err(PublishError::ReleaseRemoved { path: path.clone() }),
            None => Ok(()),
        }
    }

    /// The bytes of a listed target; the client has checked length and hash of those that are here.
    /// A vendor that is delegated to again with its old metadata has not sent its files yet: it
    /// must when it publishes, and others need not wait for it.
    fn bytes(&self, target: &Target) -> Result<Option<&Stored>, PublishError> {
        let (path, role) = (&target.path, &target.role);
        match self.offline.targets.get(path) {
            Some(stored) if stored.0 == target.digest => Ok(Some(stored)),
            Some(_) | None if self.publishing.contains(vendor_of_path(path)) => {
                Err(missing(target))
            }
            Some(_) | None => {
                tracing::warn!(%path, %role, "listed, but its vendor has not sent it; not served");
                Ok(None)
            }
        }
    }

    fn release(
        &self,
        target: &Target,
        bytes: &[u8],
        product: &ProductRef,
        version: &ReleaseVersion,
    ) -> Result<Arc<ReleaseEntry>, PublishError> {
        let path = || target.path.clone();
        let stored = self.before.targets.get(&target.path).map(|(digest, _)| digest);
        let known = stored.or_else(|| self.known.get(target.path.as_str()));
        if known.is_some_and(|digest| *digest != target.digest) {
            return Err(PublishError::Immutable { path: path() });
        }
        let served = self.served.and_then(|served| served.releases.get(product)?.get(version));
        if let Some(entry) = served.filter(|entry| entry.digest == target.digest) {
            return Ok(entry.clone());
        }
        let document: ReleaseDocument = serde_json::from_slice(bytes)
            .map_err(|source| PublishError::Release { path: path(), source })?;
        document
            .check_critical()
            .map_err(|source| PublishError::Critical { path: path(), source })?;
        if document.product_ref() != *product || document.version != *version {
            let found = format!("{} {}", document.product_ref(), document.version);
            return Err(PublishError::WrongSoftware { path: path(), found });
        }
        Ok(Arc::new(ReleaseEntry { document, digest: target.digest }))
    }

    fn graph(
        &self,
        target: &Target,
        bytes: &Arc<[u8]>,
        key: GraphKey,
    ) -> Result<Arc<GraphEntry>, PublishError> {
        let path = || target.path.clone();
        let role = target.role.to_string();
        let expiry = self.expiries.get(&target.role).ok_or_else(|| PublishError::Damaged {
            what: format!("{role} lists targets, but no delegation leads to it"),
        })?;
        let offline_expires = expiry.earliest;
        let served = self.served.and_then(|served| served.graph(&key));
        let served = served.filter(|entry| entry.digest == target.digest);
        let (graph, body) = if let Some(entry) = served {
            if entry.role == role && entry.offline_expires == offline_expires {
                return Ok(entry.clone());
            }
            (entry.graph.clone(), entry.body.clone())
        } else {
            let graph = cincinnati::from_json(bytes)
                .map_err(|source| PublishError::Graph { path: path(), source: Box::new(source) })?;
            if let Some(origin) = graph.origin()
                && (&origin.product, &origin.channel, &origin.arch)
                    != (&key.product, &key.channel, &key.arch)
            {
                let found = format!("{} {} {}", origin.product, origin.channel, origin.arch);
                return Err(PublishError::WrongSoftware { path: path(), found });
            }
            let bytes = Bytes::from_owner(bytes.clone());
            (Arc::new(graph), Arc::new(Body::new(bytes, target.digest)))
        };
        let digest = target.digest;
        Ok(Arc::new(GraphEntry { key, graph, digest, role, offline_expires, body }))
    }
}
