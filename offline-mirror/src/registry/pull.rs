//! Pulls blobs into sinks, resuming where an answer or an earlier run broke off.

use reqwest::header::{CONTENT_RANGE, HeaderValue, RANGE};
use reqwest::{Method, StatusCode};

use super::auth::Action;
use super::pace::Pace;
use super::request::{Answer, Call};
use super::retry::Retry;
use super::sink::BlobSink;
use super::{Registry, RegistryError, body, headers};
use crate::oci::{Descriptor, Repository};

/// New bytes that make a try a success though it broke off: a poor link gets there as long as each
/// try brings this much, and one byte per try does not go on for ever.
const PROGRESS_BYTES: u64 = 256 * 1024;

/// How an answer to one try went.
enum Ended {
    /// The connection or the bytes ended early, or all came.
    Stopped(Option<RegistryError>),
    /// The registry's ranges cannot be used: from now on everything is asked for, and what is there
    /// already is skipped.
    NoRanges(RegistryError),
}

impl Registry {
    /// Fetches a blob into `sink` and checks length and digest. What breaks off is resumed, by a
    /// `Range` from the sink's offset; a sink that an earlier run filled in part is gone on with.
    ///
    /// # Errors
    /// By name; after a passing one the sink holds what came, and the same pull goes on from there.
    pub async fn pull(
        &self,
        repository: &Repository,
        blob: &Descriptor,
        sink: &mut dyn BlobSink,
    ) -> Result<(), RegistryError> {
        let what = self.describe("blob", repository, blob.digest);
        let rest = format!("blobs/{}", blob.digest);
        let call = self.call(Method::GET, Action::Pull, repository, &rest, what);
        let kept = |source| RegistryError::Sink { what: call.what.clone(), source };
        // More than all of it cannot be a beginning of it; what cannot forget is refused below.
        if sink.offset() > blob.size {
            sink.restart().map_err(kept)?;
        }
        let was_resumed = sink.offset() > 0;
        self.fill(&call, blob.size, sink).await?;
        let traffic = &self.inner.traffic;
        let checked = traffic.apart(|| check(&call, blob, sink));
        let is_other = matches!(checked, Err(RegistryError::Digest { .. }));
        if was_resumed && is_other && traffic.apart(|| sink.restart()).map_err(kept)? {
            self.fill(&call, blob.size, sink).await?;
            return traffic.apart(|| check(&call, blob, sink));
        }
        checked
    }

    /// Completes the sink.
    async fn fill(
        &self,
        call: &Call,
        size: u64,
        sink: &mut dyn BlobSink,
    ) -> Result<(), RegistryError> {
        let mut retry = Retry::new(self.inner.jitter.clone());
        let mut ranges = true;
        while sink.offset() < size {
            let before = sink.offset();
            let error = match self.stretch(call, size, ranges, sink).await? {
                Ended::Stopped(error) => error,
                Ended::NoRanges(error) if ranges => {
                    ranges = false;
                    tracing::debug!(what = %call.what, %error, "going on without ranges");
                    continue;
                }
                Ended::NoRanges(error) => return Err(error),
            };
            let (received, expected) = (sink.offset(), size);
            if received >= size {
                break;
            }
            if received.saturating_sub(before) >= PROGRESS_BYTES {
                retry.reset();
            }
            let what = || call.what.clone();
            let error =
                error.unwrap_or_else(|| RegistryError::Short { what: what(), expected, received });
            let Some(wait) = retry.wait(None) else { return Err(error) };
            tracing::debug!(what = %call.what, received, ?wait, %error, "resuming");
            tokio::time::sleep(wait).await;
        }
        if sink.offset() == size {
            return Ok(());
        }
        let (what, found) = (call.what.clone(), sink.offset());
        Err(RegistryError::Size { what, expected: size, found })
    }

    /// One answer, as far as it comes.
    async fn stretch(
        &self,
        call: &Call,
        size: u64,
        ranges: bool,
        sink: &mut dyn BlobSink,
    ) -> Result<Ended, RegistryError> {
        let from = sink.offset();
        let mut call = call.clone();
        if ranges && from > 0 {
            // Digits and dashes are always a header.
            let range = HeaderValue::try_from(format!("bytes={from}-"));
            call.headers.extend(range.ok().map(|range| (RANGE, range)));
        }
        let answer = self.send(&call).await?;
        let skip = match answer.status() {
            StatusCode::OK => {
                whole(&call, size, &answer)?;
                from
            }
            StatusCode::PARTIAL_CONTENT => {
                let text = answer.header(CONTENT_RANGE).unwrap_or_default();
                let range = headers::content_range(text);
                let fits = range.is_some_and(|range| {
                    range.first == from && range.total.is_none_or(|total| total == size)
                });
                if !fits {
                    let why = format!("asked for bytes from {from} of {size}, got {text:?}");
                    let what = call.what.clone();
                    return Ok(Ended::NoRanges(RegistryError::Protocol { what, why }));
                }
                0
            }
            StatusCode::RANGE_NOT_SATISFIABLE => {
                return Ok(Ended::NoRanges(self.refused(&call, answer).await));
            }
            _ => return Err(self.refused(&call, answer).await),
        };
        self.receive(&call, answer, skip, size, sink).await.map(Ended::Stopped)
    }

    /// Moves the body into the sink. Answers what broke it off, if something did that resuming
    /// mends.
    async fn receive(
        &self,
        call: &Call,
        mut answer: Answer,
        mut skip: u64,
        size: u64,
        sink: &mut dyn BlobSink,
    ) -> Result<Option<RegistryError>, RegistryError> {
        let what = || call.what.clone();
        let mut pace = Pace::default();
        loop {
            let traffic = &self.inner.traffic;
            let next = body::next(&mut answer.response, &mut pace, traffic, &call.what);
            let piece = match next.await {
                Ok(Some(piece)) => piece,
                Ok(None) => return Ok(None),
                // Slow is not broken: the next answer would come from the same place.
                Err(error @ RegistryError::Slow { .. }) => return Err(error),
                Err(error) => return Ok(Some(error)),
            };
            let length = u64::try_from(piece.len()).unwrap_or(u64::MAX);
            traffic.moved(piece.len()).await;
            let already = skip.min(length);
            skip -= already;
            let new = usize::try_from(already).ok().and_then(|already| piece.get(already..));
            let new = new.unwrap_or_default();
            let room = size.saturating_sub(sink.offset());
            if u64::try_from(new.len()).unwrap_or(u64::MAX) > room {
                return Err(RegistryError::Endless { what: what(), limit: size, unit: "bytes" });
            }
            if !new.is_empty() {
                let kept = traffic.apart(|| sink.write(new));
                kept.map_err(|source| RegistryError::Sink { what: what(), source })?;
            }
        }
    }
}

/// Refuses an answer that announces another length than the descriptor does.
fn whole(call: &Call, size: u64, answer: &Answer) -> Result<(), RegistryError> {
    let what = || call.what.clone();
    match answer.response.content_length() {
        Some(found) if found > size => {
            Err(RegistryError::Endless { what: what(), limit: size, unit: "bytes" })
        }
        Some(found) if found < size => {
            Err(RegistryError::Size { what: what(), expected: size, found })
        }
        Some(_) | None => Ok(()),
    }
}

fn check(call: &Call, blob: &Descriptor, sink: &mut dyn BlobSink) -> Result<(), RegistryError> {
    let what = call.what.clone();
    match sink.digest() {
        Ok(found) if found == blob.digest => Ok(()),
        Ok(found) => Err(RegistryError::Digest { what, expected: blob.digest, found }),
        Err(source) => Err(RegistryError::Sink { what, source }),
    }
}
