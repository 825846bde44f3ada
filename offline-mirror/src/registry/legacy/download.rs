//! Downloads of manifests and blobs: bounded, hashed while they arrive, resumed where they broke.

use std::path::Path;
use std::time::Duration;

use oci_distribution::RegistryOperation;
use reqwest::{Response, StatusCode, header};
use signing::{Sha256Digest, Sha256Hasher};
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};
use tokio::time::Instant;

use super::Registry;
use crate::error::Error;
use crate::image::Wanted;
use crate::manifest::{Descriptor, IMAGE_TYPES, INDEX_TYPES, MANIFEST_BYTES_MAX};

/// A fresh connection may crawl for this long before its rate counts.
const RATE_GRACE: Duration = Duration::from_secs(30);
/// Slower than this on average, a layer takes days: someone holds us rather than serves us.
const BYTES_PER_SECOND_MIN: u64 = 4 * 1024;
/// Read size when the start of a broken download is hashed again.
const REREAD_BYTES: usize = 1024 * 1024;

/// A file being filled, with the hash of what it holds.
struct Part {
    file: tokio::fs::File,
    hasher: Sha256Hasher,
    length: u64,
}

impl Part {
    /// Opens what an earlier run left, or starts anew.
    async fn resume(path: &Path, size: u64) -> Result<Self, Error> {
        let io = |operation| Error::io(operation, path);
        let mut options = tokio::fs::OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false).open(path);
        let mut part =
            Self { file: file.await.map_err(io("open"))?, hasher: Sha256Hasher::new(), length: 0 };
        let left_over = part.file.metadata().await.map_err(io("read"))?.len();
        if left_over > size {
            part.restart(path).await?;
            return Ok(part);
        }
        let mut piece = vec![0; REREAD_BYTES];
        loop {
            let read = part.file.read(&mut piece).await.map_err(io("read"))?;
            let Some(bytes) = piece.get(..read).filter(|b| !b.is_empty()) else { return Ok(part) };
            part.hasher.update(bytes);
            part.length = part.length.saturating_add(u64::try_from(read).unwrap_or(u64::MAX));
        }
    }

    async fn restart(&mut self, path: &Path) -> Result<(), Error> {
        self.file.set_len(0).await.map_err(Error::io("truncate", path))?;
        self.file.rewind().await.map_err(Error::io("truncate", path))?;
        self.hasher = Sha256Hasher::new();
        self.length = 0;
        Ok(())
    }

    async fn append(&mut self, path: &Path, bytes: &[u8]) -> Result<(), Error> {
        self.file.write_all(bytes).await.map_err(Error::io("write", path))?;
        self.hasher.update(bytes);
        self.length = self.length.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        Ok(())
    }
}

impl Registry {
    /// Fetches a manifest by digest and checks that digest over the raw bytes.
    pub(crate) async fn pull_manifest(
        &self,
        repository: &str,
        wanted: Wanted,
    ) -> Result<Vec<u8>, Error> {
        let what = self.describe("manifest", repository, &wanted.digest);
        let kind = format!("manifests/{}", wanted.digest);
        let mut response = self.get(repository, &kind, None, &what).await?;
        let most = u64::try_from(MANIFEST_BYTES_MAX).unwrap_or(u64::MAX);
        let limit = wanted.size.map_or(most, |size| size.min(most));
        let mut bytes = Vec::new();
        let mut rate = Rate::begin();
        while let Some(piece) = next_piece(&mut response, &what).await? {
            rate.received(piece.len(), &what)?;
            if rate.bytes > limit {
                return Err(Error::Endless { what, limit });
            }
            bytes.extend_from_slice(&piece);
        }
        let found = Sha256Digest::of(&bytes);
        if found == wanted.digest {
            Ok(bytes)
        } else {
            Err(Error::Digest { what, expected: wanted.digest, found })
        }
    }

    /// Fetches a blob into `path` and checks length and digest. A download that breaks off leaves
    /// what it got, and the next one goes on from there; anything else wrong leaves nothing.
    pub(crate) async fn pull_blob(
        &self,
        repository: &str,
        blob: &Descriptor,
        path: &Path,
    ) -> Result<(), Error> {
        let mut part = Part::resume(path, blob.size).await?;
        let resumed = part.length > 0;
        let mut fetched = self.fill(repository, blob, path, &mut part).await;
        if resumed && matches!(fetched, Err(Error::Digest { .. } | Error::Status { .. })) {
            // The left-over start may be what is bad; the registry gets one chance without it.
            part.restart(path).await?;
            fetched = self.fill(repository, blob, path, &mut part).await;
        }
        let keep = matches!(fetched, Ok(()) | Err(Error::Download { .. } | Error::Slow { .. }));
        if keep {
            part.file.sync_all().await.map_err(Error::io("sync", path))?;
        } else {
            drop(tokio::fs::remove_file(path).await);
        }
        fetched
    }

    /// Completes `part` and checks it.
    async fn fill(
        &self,
        repository: &str,
        blob: &Descriptor,
        path: &Path,
        part: &mut Part,
    ) -> Result<(), Error> {
        let what = self.describe("blob", repository, &blob.digest);
        // A range that begins at the end is refused by registries; an empty blob needs no request.
        if part.length < blob.size {
            let kind = format!("blobs/{}", blob.digest);
            let from = (part.length > 0).then_some(part.length);
            let mut response = self.get(repository, &kind, from, &what).await?;
            if response.status() != StatusCode::PARTIAL_CONTENT {
                part.restart(path).await?;
            }
            let mut rate = Rate::begin();
            while let Some(piece) = next_piece(&mut response, &what).await? {
                rate.received(piece.len(), &what)?;
                let length = u64::try_from(piece.len()).unwrap_or(u64::MAX);
                if part.length.saturating_add(length) > blob.size {
                    return Err(Error::Endless { what, limit: blob.size });
                }
                part.append(path, &piece).await?;
            }
            part.file.flush().await.map_err(Error::io("write", path))?;
        }
        if part.length != blob.size {
            return Err(Error::Size { what, expected: blob.size, found: part.length });
        }
        let found = part.hasher.clone().finish();
        if found == blob.digest {
            Ok(())
        } else {
            Err(Error::Digest { what, expected: blob.digest, found })
        }
    }

    fn describe(&self, kind: &str, repository: &str, digest: &Sha256Digest) -> String {
        format!("{kind} {}/{repository}@{digest}", self.access.host)
    }

    /// One GET, signed in; once more with a new token where the old one is refused.
    async fn get(
        &self,
        repository: &str,
        kind: &str,
        from: Option<u64>,
        what: &str,
    ) -> Result<Response, Error> {
        let scheme = if self.access.plain_http { "http" } else { "https" };
        let path = self.path(repository)?;
        let url = format!("{scheme}://{}/v2/{path}/{kind}", self.access.host);
        let mut renew = false;
        loop {
            let mut request = self.downloads.get(&url);
            if kind.starts_with("manifests/") {
                let accepted = [IMAGE_TYPES, INDEX_TYPES].concat().join(", ");
                request = request.header(header::ACCEPT, accepted);
            }
            if let Some(from) = from {
                request = request.header(header::RANGE, format!("bytes={from}-"));
            }
            request = match (self.token(&path, renew).await?, &self.access.credentials) {
                (Some(token), _) => request.bearer_auth(token),
                (None, Some((user, password))) => request.basic_auth(user, Some(password)),
                (None, None) => request,
            };
            let sent = request.send().await;
            let response =
                sent.map_err(|source| Error::Download { what: what.to_owned(), source })?;
            let status = response.status();
            if status == StatusCode::UNAUTHORIZED && !renew {
                renew = true;
                continue;
            }
            if status.is_success() {
                return Ok(response);
            }
            return Err(Error::Status { what: what.to_owned(), status: status.as_u16() });
        }
    }

    /// The token for reading from the repository at `path`; asked for once, and when refused.
    async fn token(&self, path: &str, renew: bool) -> Result<Option<String>, Error> {
        let mut tokens = self.tokens.lock().await;
        if let Some(token) = tokens.get(path).filter(|_| !renew) {
            return Ok(token.clone());
        }
        let host = self.access.host.clone();
        let reference =
            oci_distribution::Reference::with_tag(host, path.to_owned(), "latest".to_owned());
        let token = self.sign_in(&reference, RegistryOperation::Pull).await?;
        tokens.insert(path.to_owned(), token.clone());
        Ok(token)
    }
}

async fn next_piece(response: &mut Response, what: &str) -> Result<Option<Vec<u8>>, Error> {
    match response.chunk().await {
        Ok(piece) => Ok(piece.map(Into::into)),
        Err(source) => Err(Error::Download { what: what.to_owned(), source }),
    }
}

/// How fast an answer comes.
struct Rate {
    began: Instant,
    bytes: u64,
}

impl Rate {
    fn begin() -> Self {
        Self { began: Instant::now(), bytes: 0 }
    }

    fn received(&mut self, bytes: usize, what: &str) -> Result<(), Error> {
        self.bytes = self.bytes.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
        let elapsed = self.began.elapsed();
        if !too_slow(self.bytes, elapsed) {
            return Ok(());
        }
        let elapsed_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        Err(Error::Slow { what: what.to_owned(), received: self.bytes, elapsed_ms })
    }
}

/// Whether so few bytes in that time count as `slow_retrieval`.
fn too_slow(received: u64, elapsed: Duration) -> bool {
    elapsed > RATE_GRACE && received < elapsed.as_secs().saturating_mul(BYTES_PER_SECOND_MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trickle_is_slow_retrieval_but_a_slow_start_is_not() {
        assert!(!too_slow(1, RATE_GRACE));
        assert!(too_slow(1, RATE_GRACE + Duration::from_secs(1)));
        assert!(!too_slow(BYTES_PER_SECOND_MIN * 40, Duration::from_secs(40)));
        let slow = Error::Slow { what: String::new(), received: 1, elapsed_ms: 31_000 };
        assert_eq!(slow.attack(), Some(signing::Attack::SlowRetrieval));
    }
}
