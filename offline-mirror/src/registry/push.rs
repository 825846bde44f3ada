//! Pushes blobs: looked up first, mounted where another repository has them, sent in one request,
//! resumed where that broke off.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::BoxStream;
use reqwest::header::{
    CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LOCATION,
    RANGE,
};
use reqwest::{Method, Url};

use super::auth::Action;
use super::request::{Answer, Call};
use super::retry::Retry;
use super::upload::{COMMIT_MAX, Upload};
use super::{Registry, RegistryError, headers};
use crate::oci::{Algorithm, Descriptor, Digest, Repository};

/// The bytes of a blob in order, in pieces of any length.
pub type Pieces = BoxStream<'static, io::Result<Bytes>>;

/// Where a pushed blob comes from: may be asked for its bytes more than once.
pub trait BlobSource: Sync {
    /// The bytes from `offset` to the end.
    fn pieces(&self, offset: u64) -> Pieces;
}

impl<F: Fn(u64) -> Pieces + Sync> BlobSource for F {
    fn pieces(&self, offset: u64) -> Pieces {
        self(offset)
    }
}

/// How a blob came to be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pushed {
    /// It was there already.
    Present,
    /// The registry took it over from another of its repositories.
    Mounted,
    /// Its bytes were sent.
    Sent,
}

/// How far one try of an upload came.
enum Tried {
    Done,
    /// Broken off or refused; what is left of the upload is to be looked at.
    Broke(RegistryError),
}

/// New bytes at the registry that make a try a success though it broke off.
const PROGRESS_BYTES: u64 = 1024 * 1024;
/// Times an upload is begun anew because the registry lost it or refuses to go on with it. Each
/// sends everything again, and a registry that loses three will lose the fourth.
const BEGINNINGS_MAX: u32 = 4;

impl Registry {
    /// Pushes a blob whose digest the caller checked. Where `from` is another repository of the same
    /// registry that has it, it is mounted instead.
    ///
    /// # Errors
    /// By name; the registry keeps nothing of a push that failed that anyone could pull.
    pub async fn push_blob(
        &self,
        repository: &Repository,
        blob: &Descriptor,
        from: Option<&Repository>,
        source: &dyn BlobSource,
    ) -> Result<Pushed, RegistryError> {
        if self.has_blob(repository, &blob.digest).await? {
            return Ok(Pushed::Present);
        }
        let begun = match self.begin(repository, &blob.digest, from).await {
            // Who may write here may still not read there.
            Err(error) if from.is_some() && !error.is_passing() => {
                tracing::debug!(digest = %blob.digest, %error, "not mounted");
                self.begin(repository, &blob.digest, None).await?
            }
            begun => begun?,
        };
        let mut begun = match begun {
            Begun::Mounted => return Ok(Pushed::Mounted),
            Begun::Upload(url) => url,
        };
        for beginning in 1..=BEGINNINGS_MAX {
            match self.upload(repository, blob, begun, source).await? {
                Tried::Done => return Ok(Pushed::Sent),
                // The answer to a push that worked may be what got lost.
                Tried::Broke(_) if self.has_blob(repository, &blob.digest).await? => {
                    return Ok(Pushed::Sent);
                }
                Tried::Broke(error) if beginning == BEGINNINGS_MAX => return Err(error),
                Tried::Broke(error) => {
                    let what = self.describe("blob", repository, blob.digest);
                    tracing::debug!(%what, %error, "beginning the upload anew");
                }
            }
            begun = match self.begin(repository, &blob.digest, None).await? {
                Begun::Mounted => return Ok(Pushed::Mounted),
                Begun::Upload(url) => url,
            };
        }
        Err(RegistryError::Protocol {
            what: self.describe("blob", repository, blob.digest),
            why: "every upload was lost".to_owned(),
        })
    }

    /// Takes a blob over from another repository of the same registry. Answers whether the registry
    /// did; some never do.
    ///
    /// # Errors
    /// When it cannot be asked.
    pub async fn mount(
        &self,
        repository: &Repository,
        digest: &Digest,
        from: &Repository,
    ) -> Result<bool, RegistryError> {
        match self.begin(repository, digest, Some(from)).await? {
            Begun::Mounted => Ok(true),
            Begun::Upload(url) => {
                // An upload nobody wants is the registry's to forget; ours to say so.
                let mut call = self.upload_call(Method::DELETE, repository, digest);
                call.url = url;
                let is_own = self.is_own(&call.url);
                drop(self.once(&call, &call.url, is_own, None, None).await);
                Ok(false)
            }
        }
    }

    async fn begin(
        &self,
        repository: &Repository,
        digest: &Digest,
        from: Option<&Repository>,
    ) -> Result<Begun, RegistryError> {
        let mut call = self.upload_call(Method::POST, repository, digest);
        call.headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        if let Some(from) = from {
            let from = self.path(from);
            let mut query = call.url.query_pairs_mut();
            query.append_pair("mount", &digest.to_string()).append_pair("from", &from);
            drop(query);
            call.scope.from = Some(from);
        } else if digest.algorithm() != Algorithm::Sha256 {
            // Registries hash while they receive; this says how.
            let algorithm = digest.algorithm().as_str();
            call.url.query_pairs_mut().append_pair("digest-algorithm", algorithm);
        }
        let answer = self.send(&call).await?;
        match answer.status().as_u16() {
            201 if from.is_some() => Ok(Begun::Mounted),
            202 => {
                let url = Self::target(&call, &call.url, answer.header(LOCATION))?;
                Ok(Begun::Upload(url))
            }
            _ => Err(self.refused(&call, answer).await),
        }
    }

    /// Sends the bytes into one upload, going on where a try broke off for as long as the registry
    /// remembers the upload.
    async fn upload(
        &self,
        repository: &Repository,
        blob: &Descriptor,
        begun: Url,
        source: &dyn BlobSource,
    ) -> Result<Tried, RegistryError> {
        let mut retry = Retry::new(self.inner.jitter.clone());
        let (mut at, mut has) = (begun, 0);
        loop {
            let tried = if has == 0 {
                self.put_all(repository, blob, &at, source).await?
            } else {
                self.patch_rest(repository, blob, &mut at, has, source).await?
            };
            let Tried::Broke(error) = tried else { return Ok(Tried::Done) };
            if !error.is_passing() {
                // A whole blob that was refused as it is would be refused again.
                let is_lost = has > 0 || matches!(error, RegistryError::NotFound { .. });
                return if is_lost { Ok(Tried::Broke(error)) } else { Err(error) };
            }
            let Some(wait) = retry.wait(None) else { return Ok(Tried::Broke(error)) };
            tracing::debug!(digest = %blob.digest, ?wait, %error, "resuming an upload");
            tokio::time::sleep(wait).await;
            let Some(now_has) = self.progress(repository, blob, &mut at).await? else {
                return Ok(Tried::Broke(error));
            };
            if now_has.saturating_sub(has) >= PROGRESS_BYTES {
                retry.reset();
            }
            has = now_has;
        }
    }

    /// The whole blob in one request.
    async fn put_all(
        &self,
        repository: &Repository,
        blob: &Descriptor,
        at: &Url,
        source: &dyn BlobSource,
    ) -> Result<Tried, RegistryError> {
        let mut call = self.upload_call(Method::PUT, repository, &blob.digest);
        call.url = closing(at, &blob.digest);
        match self.send_pieces(&mut call, blob.size, &|| source.pieces(0)).await? {
            Ok(answer) => self.closed(&call, answer, &blob.digest).await,
            Err(error) => Ok(Tried::Broke(error)),
        }
    }

    /// What the registry does not have yet, and then the end of the upload.
    async fn patch_rest(
        &self,
        repository: &Repository,
        blob: &Descriptor,
        at: &mut Url,
        has: u64,
        source: &dyn BlobSource,
    ) -> Result<Tried, RegistryError> {
        if has < blob.size {
            let mut call = self.upload_call(Method::PATCH, repository, &blob.digest);
            call.url = at.clone();
            let range = format!("{has}-{}", blob.size.saturating_sub(1));
            put(&mut call.headers, CONTENT_RANGE, &range);
            let left = blob.size.saturating_sub(has);
            let answer = match self.send_pieces(&mut call, left, &|| source.pieces(has)).await? {
                Ok(answer) => answer,
                Err(error) => return Ok(Tried::Broke(error)),
            };
            if !answer.status().is_success() {
                return Ok(Tried::Broke(self.refused(&call, answer).await));
            }
            *at = Self::target(&call, at, answer.header(LOCATION))?;
        }
        let mut call = self.upload_call(Method::PUT, repository, &blob.digest);
        call.url = closing(at, &blob.digest);
        call.headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        call.patience = COMMIT_MAX;
        let answer = self.send(&call).await?;
        self.closed(&call, answer, &blob.digest).await
    }

    /// How many bytes of an upload the registry has, and where it goes on; none when it does not
    /// know.
    async fn progress(
        &self,
        repository: &Repository,
        blob: &Descriptor,
        at: &mut Url,
    ) -> Result<Option<u64>, RegistryError> {
        let mut call = self.upload_call(Method::GET, repository, &blob.digest);
        call.url = at.clone();
        let answer = self.send(&call).await?;
        if !answer.status().is_success() {
            return Ok(None);
        }
        let has = answer.header(RANGE).and_then(headers::upload_range);
        if answer.header(LOCATION).is_some() {
            *at = Self::target(&call, at, answer.header(LOCATION))?;
        }
        Ok(has.filter(|has| *has <= blob.size))
    }

    /// One request with a streamed body; a second one where the first was refused for its token,
    /// which registries do before they read the body. The inner error is one that resuming may mend.
    async fn send_pieces(
        &self,
        call: &mut Call,
        length: u64,
        pieces: &(dyn Fn() -> Pieces + Sync),
    ) -> Result<Result<Answer, RegistryError>, RegistryError> {
        put(&mut call.headers, CONTENT_LENGTH, &length.to_string());
        put(&mut call.headers, CONTENT_TYPE, "application/octet-stream");
        let is_own = self.is_own(&call.url);
        for is_last in [false, true] {
            let upload = Upload::default();
            let body = upload.body(pieces(), Arc::clone(&self.inner.traffic));
            let sent = self.once(call, &call.url, is_own, Some(body), Some(&upload)).await;
            if let Some(source) = upload.failed() {
                return Err(RegistryError::Source { what: call.what.clone(), source });
            }
            match sent {
                Ok(answer) if answer.status().as_u16() == 401 && is_own && !is_last => {
                    drop(self.renew(call, answer).await?);
                }
                Ok(answer) => return Ok(Ok(answer)),
                Err(error) if error.is_passing() => return Ok(Err(error)),
                Err(error) => return Err(error),
            }
        }
        Err(self.unauthorised(call).await)
    }

    /// Judges the answer to the end of an upload.
    async fn closed(
        &self,
        call: &Call,
        answer: Answer,
        digest: &Digest,
    ) -> Result<Tried, RegistryError> {
        if !answer.status().is_success() {
            return Ok(Tried::Broke(self.refused(call, answer).await));
        }
        let claimed = answer.header("docker-content-digest").and_then(|text| text.parse().ok());
        match claimed {
            Some(found) if found != *digest => {
                let (what, expected) = (call.what.clone(), *digest);
                Err(RegistryError::Digest { what, expected, found })
            }
            Some(_) | None => Ok(Tried::Done),
        }
    }

    fn upload_call(&self, method: Method, repository: &Repository, digest: &Digest) -> Call {
        let what = self.describe("blob", repository, digest);
        self.call(method, Action::Push, repository, "blobs/uploads/", what)
    }
}

enum Begun {
    Mounted,
    Upload(Url),
}

/// Where an upload is ended: its location, with the digest that it must have.
fn closing(at: &Url, digest: &Digest) -> Url {
    let mut url = at.clone();
    url.query_pairs_mut().append_pair("digest", &digest.to_string());
    url
}

fn put(headers: &mut HeaderMap, name: HeaderName, text: &str) {
    // Digits and dashes are always a header.
    headers.extend(HeaderValue::try_from(text).ok().map(|value| (name, value)));
}
