//! A registry as export and import of directories use it; `registry` is the engine of bundles.
//!
//! Sign-in and pushes are `oci-client`'s. Downloads are our own (`download`): they are bounded,
//! hashed once, resumed, and refused by name.

mod download;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use oci_distribution::client::{Client, ClientConfig, ClientProtocol};
use oci_distribution::errors::OciDistributionError;
use oci_distribution::secrets::RegistryAuth;
use oci_distribution::{Reference, RegistryOperation};
use signing::Sha256Digest;
use tokio::io::AsyncReadExt;
use tokio::sync::Mutex;

use crate::error::Error;
use crate::manifest::Descriptor;

/// A registry that accepts no connection for this long is down, not slow.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Silence inside one response after which it counts as broken; large blobs may take any time.
const READ_TIMEOUT: Duration = Duration::from_mins(1);
/// Piece handed to the HTTP client while pushing; bounds memory per blob.
const PUSH_PIECE_BYTES: usize = 1024 * 1024;
/// Longest repository name; the distribution spec lets registries cap host and name at 255.
const REPOSITORY_BYTES_MAX: usize = 200;
const USER_AGENT: &str = concat!("fairway-mirror/", env!("CARGO_PKG_VERSION"));

/// Where a registry is and how to enter it.
#[derive(Clone)]
pub struct RegistryAccess {
    /// `host[:port]`, from local configuration, never from a document.
    pub host: String,
    /// Path in front of every repository, for registries shared with others.
    pub prefix: Option<String>,
    /// HTTP without TLS; only when a person asked for it.
    pub plain_http: bool,
    /// User and password, if the registry wants them.
    pub credentials: Option<(String, String)>,
}

impl std::fmt::Debug for RegistryAccess {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RegistryAccess")
            .field("host", &self.host)
            .field("prefix", &self.prefix)
            .field("plain_http", &self.plain_http)
            .field("credentials", &self.credentials.as_ref().map(|(user, _)| user))
            .finish()
    }
}

/// A connection to one registry.
pub struct Registry {
    access: RegistryAccess,
    client: Client,
    auth: RegistryAuth,
    downloads: reqwest::Client,
    /// Bearer tokens for downloads by repository; none where the registry wants none.
    tokens: Mutex<BTreeMap<String, Option<String>>>,
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registry").field("access", &self.access).finish_non_exhaustive()
    }
}

impl Registry {
    /// Prepares the clients; nothing is sent yet.
    ///
    /// # Errors
    /// When host or prefix cannot be used, or TLS cannot be set up.
    pub fn new(access: RegistryAccess) -> Result<Self, Error> {
        check_host(&access.host)?;
        if let Some(prefix) = &access.prefix {
            check_repository(prefix)?;
        }
        signing::source::install_tls_provider();
        let protocol = if access.plain_http { ClientProtocol::Http } else { ClientProtocol::Https };
        // Not `Client::new`, which falls back to a client without any of these bounds.
        let client = Client::try_from(ClientConfig {
            protocol,
            // One PUT per blob: half the requests of a chunked push.
            use_monolithic_push: true,
            connect_timeout: Some(CONNECT_TIMEOUT),
            read_timeout: Some(READ_TIMEOUT),
            user_agent: USER_AGENT,
            ..ClientConfig::default()
        })
        .map_err(|source| Error::Registry {
            registry: access.host.clone(),
            operation: "setting up HTTP".to_owned(),
            source: Box::new(source),
        })?;
        let downloads = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(READ_TIMEOUT)
            .user_agent(USER_AGENT)
            .build()
            .map_err(|source| Error::Http { source })?;
        let auth = match &access.credentials {
            Some((user, password)) => RegistryAuth::Basic(user.clone(), password.clone()),
            None => RegistryAuth::Anonymous,
        };
        Ok(Self { access, client, auth, downloads, tokens: Mutex::default() })
    }

    /// The repository's path at this registry, checked: it becomes part of a URL.
    fn path(&self, repository: &str) -> Result<String, Error> {
        check_repository(repository)?;
        Ok(match &self.access.prefix {
            Some(prefix) => format!("{prefix}/{repository}"),
            None => repository.to_owned(),
        })
    }

    fn reference(&self, repository: &str, digest: &Sha256Digest) -> Result<Reference, Error> {
        let path = self.path(repository)?;
        Ok(Reference::with_digest(self.access.host.clone(), path, digest.to_string()))
    }

    fn failed(&self, operation: String) -> impl FnOnce(OciDistributionError) -> Error + use<> {
        let registry = self.access.host.clone();
        move |source| Error::Registry { registry, operation, source: Box::new(source) }
    }

    /// The token that `operation` needs, which `oci-client` keeps for itself as well.
    async fn sign_in(
        &self,
        reference: &Reference,
        operation: RegistryOperation,
    ) -> Result<Option<String>, Error> {
        self.client
            .auth(reference, &self.auth, operation)
            .await
            .map_err(self.failed(format!("sign-in for {}", reference.repository())))
    }

    /// Whether the registry holds the blob in that repository.
    pub(crate) async fn has_blob(
        &self,
        repository: &str,
        digest: &Sha256Digest,
    ) -> Result<bool, Error> {
        let reference = self.reference(repository, digest)?;
        self.client.store_auth_if_needed(&self.access.host, &self.auth).await;
        self.client
            .blob_exists(&reference, &digest.to_string())
            .await
            .map_err(self.failed(format!("look-up of blob {reference}")))
    }

    /// Pushes a blob from a file that was verified before.
    pub(crate) async fn push_blob(
        &self,
        repository: &str,
        blob: &Descriptor,
        path: &Path,
    ) -> Result<(), Error> {
        let reference = self.reference(repository, &blob.digest)?;
        self.client.store_auth_if_needed(&self.access.host, &self.auth).await;
        let file = tokio::fs::File::open(path).await.map_err(Error::io("open", path))?;
        let pieces = futures_util::stream::try_unfold(file, |mut file| async move {
            let mut piece = vec![0; PUSH_PIECE_BYTES];
            let read = file.read(&mut piece).await.map_err(OciDistributionError::from)?;
            piece.truncate(read);
            Ok((read > 0).then(|| (piece.into(), file)))
        });
        self.client
            .push_blob_stream(&reference, pieces, &blob.digest.to_string(), Some(blob.size))
            .await
            .map_err(self.failed(format!("push of blob {reference}")))?;
        Ok(())
    }

    /// Pushes a manifest under its digest.
    pub(crate) async fn push_manifest(
        &self,
        repository: &str,
        manifest: &Descriptor,
        bytes: Vec<u8>,
    ) -> Result<(), Error> {
        let reference = self.reference(repository, &manifest.digest)?;
        self.client.store_auth_if_needed(&self.access.host, &self.auth).await;
        let media_type = manifest.media_type.parse().map_err(|_| Error::Manifest {
            digest: manifest.digest.to_string(),
            why: format!("media type {:?} cannot be a header", manifest.media_type),
        })?;
        self.client
            .push_manifest_raw(&reference, bytes, media_type)
            .await
            .map_err(self.failed(format!("push of manifest {reference}")))?;
        Ok(())
    }
}

/// `host[:port]`, nothing that could turn into a path, a user or another host.
fn check_host(host: &str) -> Result<(), Error> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b".-:[]".contains(&b);
    if !host.is_empty() && host.bytes().all(plain) {
        return Ok(());
    }
    let why = "it must be host or host:port, without scheme or path";
    Err(Error::Name { what: "registry", value: host.to_owned(), why })
}

/// The distribution spec's pattern for repository names.
pub(crate) fn check_repository(name: &str) -> Result<(), Error> {
    let refuse = |why| Err(Error::Name { what: "repository", value: name.to_owned(), why });
    if name.len() > REPOSITORY_BYTES_MAX {
        return refuse("it is too long");
    }
    let alphanumeric =
        |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    let is_segment = |segment: &str| {
        let bytes = segment.as_bytes();
        let allowed = |b: &u8| alphanumeric(Some(b)) || b"._-".contains(b);
        alphanumeric(bytes.first())
            && alphanumeric(bytes.last())
            && bytes.iter().all(allowed)
            && !segment.contains("..")
    };
    if name.split('/').all(is_segment) { Ok(()) } else { refuse("it is not a repository name") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_would_leave_the_registry_are_refused() {
        for bad in ["", "/a", "a/", "a//b", "../a", "a/../b", "A", "a?x", "a b", "a/.b", "a%2e"] {
            assert!(check_repository(bad).is_err(), "{bad}");
        }
        for good in ["a", "acme/kafka", "a/b/c-d_e.f"] {
            check_repository(good).unwrap();
        }
        for bad in ["", "http://a", "a/b", "user@a", "a?b", "a#b"] {
            assert!(check_host(bad).is_err(), "{bad}");
        }
        for good in ["localhost:5000", "registry.example", "[::1]:5000"] {
            check_host(good).unwrap();
        }
    }
}
