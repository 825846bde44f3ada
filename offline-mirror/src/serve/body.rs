//! Moves bodies between connections and the store's blocking threads, piece by piece.

use std::io;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::web;
use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt as _, stream};
use tokio::time::timeout;

use super::error::Refusal;
use super::metrics::Metrics;
use crate::store::{BlobReader, StoreError, Upload};

/// Bytes of a push that are hashed and written at once: a thread hop per 32 KiB of socket would cost
/// more than the writing.
const WRITE_BYTES: usize = 512 * 1024;
/// A sender that sends nothing for this long is gone; slow ones send something.
const IDLE: Duration = Duration::from_mins(1);
/// What is read and thrown away of the body of a refused request, so that the client gets to the
/// answer instead of a reset.
const DRAIN_BYTES: usize = 8 * 1024 * 1024;
/// And for how long.
const DRAIN_TIME: Duration = Duration::from_secs(5);

/// Runs store work on a thread that may block.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, Refusal> {
    match web::block(work).await {
        Ok(done) => done.map_err(Refusal::from),
        Err(error) => Err(Refusal::internal(&error)),
    }
}

/// The bytes of a blob as a response body. The next piece is read while the last one is sent.
pub(super) fn sent(
    reader: BlobReader,
    metrics: web::Data<Metrics>,
) -> impl Stream<Item = Result<Bytes, io::Error>> {
    // Not an async block: the read begins at once, not when somebody asks for it.
    let next = |mut reader: BlobReader| {
        web::block(move || reader.next_piece().map(|piece| (piece, reader)))
    };
    stream::unfold(Some(next(reader)), move |reading| {
        let metrics = metrics.clone();
        async move {
            match reading?.await {
                Ok(Ok((None, _))) => None,
                Ok(Ok((Some(piece), reader))) => {
                    metrics.sent(piece.len());
                    let rest = (reader.remaining() > 0).then(|| next(reader));
                    Some((Ok(piece), rest))
                }
                Ok(Err(error)) => {
                    // The length is out already: all that is left is to break off.
                    let refusal = Refusal::internal(&error);
                    Some((Err(io::Error::other(refusal.message)), None))
                }
                Err(error) => Some((Err(io::Error::other(error)), None)),
            }
        }
    })
}

/// Appends a request's body to a push; `length` is what the request says it is. What arrived before
/// an error stays, so that the client can go on from there.
pub(super) async fn received(
    mut payload: web::Payload,
    mut upload: Upload,
    length: Option<u64>,
    metrics: &Metrics,
) -> Result<Upload, Refusal> {
    let mut buffer = BytesMut::with_capacity(0);
    let mut total = 0_u64;
    loop {
        let chunk = match timeout(IDLE, payload.next()).await {
            Ok(Some(Ok(chunk))) => chunk,
            Ok(None) => break,
            Ok(Some(Err(error))) => {
                appended(upload, &mut buffer).await?;
                return Err(broken(StatusCode::BAD_REQUEST, &error.to_string()));
            }
            Err(_) => {
                appended(upload, &mut buffer).await?;
                return Err(broken(StatusCode::REQUEST_TIMEOUT, "no bytes came"));
            }
        };
        total = total.saturating_add(u64::try_from(chunk.len()).unwrap_or(u64::MAX));
        if length.is_some_and(|length| total > length) {
            return Err(size_invalid(length, total));
        }
        metrics.received(chunk.len());
        buffer.extend_from_slice(&chunk);
        if buffer.len() >= WRITE_BYTES {
            upload = appended(upload, &mut buffer).await?;
        }
    }
    upload = appended(upload, &mut buffer).await?;
    if length.is_some_and(|length| total != length) {
        return Err(size_invalid(length, total));
    }
    Ok(upload)
}

async fn appended(upload: Upload, buffer: &mut BytesMut) -> Result<Upload, Refusal> {
    if buffer.is_empty() {
        return Ok(upload);
    }
    let bytes = buffer.split().freeze();
    blocking(move || upload.append(&bytes).map(|()| upload)).await
}

fn broken(status: StatusCode, why: &str) -> Refusal {
    Refusal::new(status, "BLOB_UPLOAD_INVALID", format!("the body broke off: {why}"))
}

fn size_invalid(expected: Option<u64>, found: u64) -> Refusal {
    let expected = expected.unwrap_or_default();
    let message = format!("the request says {expected} bytes, {found} or more came");
    Refusal::new(StatusCode::BAD_REQUEST, "SIZE_INVALID", message)
}

/// A whole small body.
pub(super) async fn whole(
    mut payload: web::Payload,
    limit: usize,
    too_large: fn() -> Refusal,
) -> Result<Vec<u8>, Refusal> {
    let mut bytes = Vec::new();
    loop {
        match timeout(IDLE, payload.next()).await {
            Ok(Some(Ok(chunk))) if bytes.len().saturating_add(chunk.len()) > limit => {
                drained(payload).await;
                return Err(too_large());
            }
            Ok(Some(Ok(chunk))) => bytes.extend_from_slice(&chunk),
            Ok(None) => return Ok(bytes),
            Ok(Some(Err(error))) => {
                return Err(broken(StatusCode::BAD_REQUEST, &error.to_string()));
            }
            Err(_) => {
                return Err(broken(StatusCode::REQUEST_TIMEOUT, "no bytes came"));
            }
        }
    }
}

/// Throws a refused request's body away, within bounds.
pub(super) async fn drained(mut payload: web::Payload) {
    let drain = async {
        let mut total = 0_usize;
        while let Some(Ok(chunk)) = payload.next().await {
            total = total.saturating_add(chunk.len());
            if total > DRAIN_BYTES {
                break;
            }
        }
    };
    // Whoever sends too slowly gets a reset.
    drop(timeout(DRAIN_TIME, drain).await);
}
