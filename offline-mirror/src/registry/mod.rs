//! A registry as the mirror uses it (OCI distribution spec 1.1, Docker registry HTTP API v2). The
//! only module that talks to one.
//!
//! From `oci-client` come the grammar of image names (`Reference`, behind [`ImageName`]) and the
//! error documents of registries. Requests are ours, because a mirror needs what that client does
//! not do: resuming in both directions, waiting as asked, new tokens in mid-run, one hash per byte,
//! a bound on every answer, credentials that never leave for another host, client
//! certificates and credential files.
//!
//! Layers, lowest first: pure parsers and counters (`headers`, `challenge`, `retry`, `gate`, `pace`);
//! `auth` over `credentials`; `request`, the one way out; on top of it `pull`, `push` (with `upload`,
//! its body), `manifests` and `referrers`. Nothing here decides what to move.

mod access;
mod args;
mod auth;
mod body;
mod challenge;
mod credentials;
mod error;
mod gate;
mod headers;
mod image_name;
mod manifests;
mod pace;
mod pull;
mod push;
mod referrers;
mod request;
mod retry;
mod sink;
mod upload;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use reqwest::header::{ACCEPT, HeaderMap, HeaderValue};
use reqwest::{Client, Method, Url};

pub use access::RegistryAccess;
pub use args::{AccessArgs, parse_rate};
pub use error::RegistryError;
pub use image_name::{ImageName, ImageNameError, Reference};
pub use manifests::Fetched;
pub use pace::{TokenBucket, Traffic};
pub use push::{BlobSource, Pieces, Pushed};
pub use referrers::referrers_tag;
pub use retry::Jitter;
pub use sink::{BlobSink, HashSink, MemorySink};

use crate::oci::{Digest, INDEX_TYPES, MANIFEST_TYPES, Repository};
use auth::{Action, Auth, Scope};
use gate::Gate;
use request::Call;

/// A connection to one registry. Clones share everything: connections, tokens, limits.
#[derive(Clone)]
pub struct Registry {
    inner: Arc<Inner>,
}

struct Inner {
    access: RegistryAccess,
    base: Url,
    http: Client,
    auth: Auth,
    gate: Arc<Gate>,
    traffic: Arc<Traffic>,
    jitter: Jitter,
    requests: AtomicU64,
    /// Whether it ever answered.
    answered: AtomicBool,
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registry").field("access", &self.inner.access).finish_non_exhaustive()
    }
}

impl Registry {
    /// Prepares the client; nothing is sent yet.
    ///
    /// # Errors
    /// When the configuration or a file it names cannot be used.
    pub fn new(access: RegistryAccess) -> Result<Self, RegistryError> {
        Self::with(access, Arc::new(Traffic::unlimited()), Jitter::default())
    }

    /// The same within a byte rate that several registries share, and with chance handed in.
    ///
    /// # Errors
    /// When the configuration or a file it names cannot be used.
    pub fn with(
        access: RegistryAccess,
        traffic: Arc<Traffic>,
        jitter: Jitter,
    ) -> Result<Self, RegistryError> {
        let (base, http) = (access.base()?, access.client()?);
        // A wrong configuration is told at once and not at the first refusal.
        access.password()?;
        let auth = Auth::new(access.clone(), base.clone(), http.clone(), jitter.clone());
        let most = access.requests_at_once.map_or(gate::MOST_DEFAULT, NonZeroU32::get);
        let (gate, requests) = (Gate::new(most), AtomicU64::new(0));
        let answered = AtomicBool::new(false);
        let inner = Inner { access, base, http, auth, gate, traffic, jitter, requests, answered };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The configuration it was made from.
    pub fn access(&self) -> &RegistryAccess {
        &self.inner.access
    }

    /// Requests sent until now, retries and redirects included, sign-ins not.
    pub fn requests(&self) -> u64 {
        self.inner.requests.load(Ordering::Relaxed)
    }

    /// Requests at once that the registry copes with, as of now; more than so many transfers at
    /// once only wait for each other.
    pub fn requests_at_once(&self) -> u32 {
        self.inner.gate.limit()
    }

    /// Does work of our own that keeps transfers waiting, and counts its time against no registry that
    /// shares this one's [`Traffic`].
    pub(crate) fn apart<T>(&self, work: impl FnOnce() -> T) -> T {
        self.inner.traffic.apart(work)
    }

    fn count(&self) {
        self.inner.requests.fetch_add(1, Ordering::Relaxed);
    }

    /// The repository's path at this registry.
    fn path(&self, repository: &Repository) -> String {
        match &self.inner.access.prefix {
            Some(prefix) => format!("{prefix}/{repository}"),
            None => repository.to_string(),
        }
    }

    /// A request below `/v2/<repository>/`. Names hold nothing that a URL would need escaped.
    fn call(
        &self,
        method: Method,
        action: Action,
        repository: &Repository,
        rest: &str,
        what: String,
    ) -> Call {
        let path = self.path(repository);
        let mut url = self.inner.base.clone();
        url.set_path(&format!("v2/{path}/{rest}"));
        let (scope, headers, body) = (Scope::new(path, action), HeaderMap::new(), Bytes::new());
        Call { method, url, scope, headers, body, what, patience: body::SILENCE_MAX }
    }

    /// How errors call something in a repository.
    fn describe(
        &self,
        kind: &str,
        repository: &Repository,
        name: impl std::fmt::Display,
    ) -> String {
        let host = &self.inner.access.host;
        format!("{kind} {host}/{}@{name}", self.path(repository))
    }

    /// Whether the registry holds a blob in that repository.
    ///
    /// # Errors
    /// When it cannot be asked.
    pub async fn has_blob(
        &self,
        repository: &Repository,
        digest: &Digest,
    ) -> Result<bool, RegistryError> {
        self.has(repository, "blob", "blobs", &digest.to_string()).await
    }

    /// Whether the registry holds a manifest or index in that repository.
    ///
    /// # Errors
    /// When it cannot be asked.
    pub async fn has_manifest(
        &self,
        repository: &Repository,
        reference: &Reference,
    ) -> Result<bool, RegistryError> {
        self.has(repository, "manifest", "manifests", &reference.to_string()).await
    }

    /// Which of many manifests the registry holds, one request each and several at once; in the
    /// order asked for. Whoever holds a manifest holds what is below it, so this is all that a run
    /// with nothing to do needs to ask.
    ///
    /// # Errors
    /// When one cannot be asked for.
    pub async fn has_manifests(
        &self,
        wanted: &[(Repository, Reference)],
    ) -> Result<Vec<bool>, RegistryError> {
        let at_once = usize::try_from(gate::MOST_DEFAULT).unwrap_or(1);
        let each = |(repository, name): (Repository, Reference)| {
            let registry = self.clone();
            async move { registry.has_manifest(&repository, &name).await }
        };
        stream::iter(wanted.to_vec()).map(each).buffered(at_once).try_collect().await
    }

    async fn has(
        &self,
        repository: &Repository,
        kind: &str,
        folder: &str,
        name: &str,
    ) -> Result<bool, RegistryError> {
        let what = self.describe(kind, repository, name);
        let rest = format!("{folder}/{name}");
        let mut call = self.call(Method::HEAD, Action::Pull, repository, &rest, what);
        if folder == "manifests" {
            call.headers.insert(ACCEPT, accepted());
        }
        let answer = self.send(&call).await?;
        match answer.status().as_u16() {
            200..=299 => Ok(true),
            404 => Ok(false),
            _ => Err(self.refused(&call, answer).await),
        }
    }
}

/// Every form of manifest we follow, then anything: what comes is judged here, not there.
fn accepted() -> HeaderValue {
    let types = [MANIFEST_TYPES, INDEX_TYPES].concat().join(", ");
    HeaderValue::try_from(format!("{types}, */*;q=0.1")).unwrap_or(HeaderValue::from_static("*/*"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::Descriptor;

    fn sent<T: Send>(_: &T) {}

    /// Callers run transfers as tasks of their own.
    #[test]
    fn everything_asked_of_a_registry_may_move_between_threads() {
        let registry = Registry::new(RegistryAccess::new("r.example".parse().unwrap())).unwrap();
        let repository: Repository = "a".parse().unwrap();
        let digest = Digest::of(b"x");
        let name = Reference::Digest(digest);
        let blob = Descriptor::new("a/b", digest, 1);
        let mut sink = HashSink::new(digest.algorithm());
        let source = |_: u64| -> Pieces { stream::empty().boxed() };
        sent(&registry.pull(&repository, &blob, &mut sink));
        sent(&registry.push_blob(&repository, &blob, None, &source));
        sent(&registry.push_manifest(&repository, &name, "a/b", Vec::new()));
        sent(&registry.manifest(&repository, &name));
        sent(&registry.has_manifests(&[]));
        sent(&registry.referrers(&repository, &digest));
        assert_eq!(registry.requests(), 0);
    }
}
