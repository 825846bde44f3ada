//! An OCI registry as export and import use it. The only module that talks to one.

use std::path::Path;
use std::time::Duration;

use oci_distribution::Reference;
use oci_distribution::client::{Client, ClientConfig, ClientProtocol};
use oci_distribution::errors::OciDistributionError;
use oci_distribution::manifest::OciDescriptor;
use oci_distribution::secrets::RegistryAuth;
use signing::Sha256Digest;
use tokio::io::AsyncReadExt;

use crate::error::Error;
use crate::manifest::{ACCEPTED, Descriptor};

/// A registry that accepts no connection for this long is down, not slow.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Silence inside one response after which it counts as broken; large blobs may take any time.
const READ_TIMEOUT: Duration = Duration::from_mins(1);
/// Piece handed to the HTTP client while pushing; bounds memory per blob.
const PUSH_PIECE_BYTES: usize = 1024 * 1024;

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
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registry").field("access", &self.access).finish_non_exhaustive()
    }
}

impl Registry {
    /// Prepares a client; nothing is sent yet.
    pub fn new(access: RegistryAccess) -> Self {
        let protocol = if access.plain_http { ClientProtocol::Http } else { ClientProtocol::Https };
        let client = Client::new(ClientConfig {
            protocol,
            // One PUT per blob: half the requests of a chunked push (reference: mirror.md §5).
            use_monolithic_push: true,
            connect_timeout: Some(CONNECT_TIMEOUT),
            read_timeout: Some(READ_TIMEOUT),
            user_agent: concat!("fairway-mirror/", env!("CARGO_PKG_VERSION")),
            ..ClientConfig::default()
        });
        let auth = match &access.credentials {
            Some((user, password)) => RegistryAuth::Basic(user.clone(), password.clone()),
            None => RegistryAuth::Anonymous,
        };
        Self { access, client, auth }
    }

    fn reference(&self, repository: &str, digest: &Sha256Digest) -> Reference {
        let path = match &self.access.prefix {
            Some(prefix) => format!("{}/{repository}", prefix.trim_matches('/')),
            None => repository.to_owned(),
        };
        Reference::with_digest(self.access.host.clone(), path, digest.to_string())
    }

    fn failed(&self, operation: String) -> impl FnOnce(OciDistributionError) -> Error + use<> {
        let registry = self.access.host.clone();
        move |source| Error::Registry { registry, operation, source: Box::new(source) }
    }

    /// Fetches a manifest by digest and checks that digest over the raw bytes.
    pub(crate) async fn pull_manifest(
        &self,
        repository: &str,
        digest: &Sha256Digest,
    ) -> Result<Vec<u8>, Error> {
        let reference = self.reference(repository, digest);
        let (bytes, _) = self
            .client
            .pull_manifest_raw(&reference, &self.auth, &ACCEPTED)
            .await
            .map_err(self.failed(format!("pull of manifest {reference}")))?;
        let found = Sha256Digest::of(&bytes);
        if found == *digest {
            Ok(bytes.to_vec())
        } else {
            Err(Error::Digest { what: format!("manifest {reference}"), expected: *digest, found })
        }
    }

    /// Streams a blob into `path`; the caller checks length and digest before using it.
    pub(crate) async fn pull_blob(
        &self,
        repository: &str,
        blob: &Descriptor,
        path: &Path,
    ) -> Result<(), Error> {
        let reference = self.reference(repository, &blob.digest);
        self.client.store_auth_if_needed(&self.access.host, &self.auth).await;
        let file = tokio::fs::File::create(path).await.map_err(Error::io("create", path))?;
        let mut out = tokio::io::BufWriter::new(BoundedFile::new(file, blob.size));
        self.client
            .pull_blob(&reference, &descriptor(blob), &mut out)
            .await
            .map_err(self.failed(format!("pull of blob {reference}")))
    }

    /// Whether the registry holds the blob in that repository.
    pub(crate) async fn has_blob(
        &self,
        repository: &str,
        digest: &Sha256Digest,
    ) -> Result<bool, Error> {
        let reference = self.reference(repository, digest);
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
        let reference = self.reference(repository, &blob.digest);
        self.client
            .auth(&reference, &self.auth, oci_distribution::RegistryOperation::Push)
            .await
            .map_err(self.failed(format!("sign-in for {reference}")))?;
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
        digest: &Sha256Digest,
        media_type: &str,
        bytes: Vec<u8>,
    ) -> Result<(), Error> {
        let reference = self.reference(repository, digest);
        self.client
            .auth(&reference, &self.auth, oci_distribution::RegistryOperation::Push)
            .await
            .map_err(self.failed(format!("sign-in for {reference}")))?;
        let media_type = media_type.parse().map_err(|_| Error::Manifest {
            digest: digest.to_string(),
            why: format!("media type {media_type:?} cannot be a header"),
        })?;
        self.client
            .push_manifest_raw(&reference, bytes, media_type)
            .await
            .map_err(self.failed(format!("push of manifest {reference}")))?;
        Ok(())
    }
}

fn descriptor(blob: &Descriptor) -> OciDescriptor {
    OciDescriptor {
        media_type: blob.media_type.clone(),
        digest: blob.digest.to_string(),
        size: i64::try_from(blob.size).unwrap_or(i64::MAX),
        ..OciDescriptor::default()
    }
}

/// Refuses more bytes than a blob's descriptor declares, so that an endless body cannot fill the
/// disk before its digest is looked at.
struct BoundedFile {
    file: tokio::fs::File,
    left: u64,
}

impl BoundedFile {
    fn new(file: tokio::fs::File, size: u64) -> Self {
        Self { file, left: size }
    }
}

impl tokio::io::AsyncWrite for BoundedFile {
    fn poll_write(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        bytes: &[u8],
    ) -> std::task::Poll<std::io::Result<usize>> {
        let wanted = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if wanted > self.left {
            return std::task::Poll::Ready(Err(std::io::Error::other(
                "the registry sends more bytes than the blob's descriptor declares",
            )));
        }
        let written = std::pin::Pin::new(&mut self.file).poll_write(cx, bytes);
        if let std::task::Poll::Ready(Ok(n)) = written {
            self.left = self.left.saturating_sub(u64::try_from(n).unwrap_or(u64::MAX));
        }
        written
    }

    fn poll_flush(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::pin::Pin::new(&mut self.file).poll_flush(cx)
    }

    fn poll_shutdown(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::pin::Pin::new(&mut self.file).poll_shutdown(cx)
    }
}
