//! Bodies of agents' requests and of status files: bounded while reading, in size and in time.

use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use actix_web::web::{Bytes, BytesMut, Payload};
use futures_util::StreamExt as _;

use super::super::problem::{ApiError, Code};
use super::encoding::Encoding;

/// 64 KiB arrive in this time over any link an agent lives on; slower is a stalled peer.
const READ_TIMEOUT: Duration = Duration::from_secs(10);

/// Checks that a body is plain JSON, ours by name or not.
pub(super) fn check_type(request: &HttpRequest, ours: &str) -> Result<(), ApiError> {
    match check_packed(request, ours)? {
        Encoding::Identity => Ok(()),
        Encoding::Gzip | Encoding::Zstd => {
            let detail = "send the body without Content-Encoding";
            Err(ApiError::new(Code::UnsupportedMediaType, detail))
        }
    }
}

/// Checks that a body is JSON, ours by name or not, packed in one of the ways that this server reads.
pub(super) fn check_packed(request: &HttpRequest, ours: &str) -> Result<Encoding, ApiError> {
    let encoding = Encoding::of(request)?;
    let found = request.headers().get(CONTENT_TYPE).and_then(|v| v.to_str().ok());
    let found = found.unwrap_or_default();
    let essence = found.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case(ours) || essence.eq_ignore_ascii_case("application/json") {
        return Ok(encoding);
    }
    let detail = format!("send Content-Type {ours} or application/json, not {found:?}");
    Err(ApiError::new(Code::UnsupportedMediaType, detail))
}

/// Reads at most `limit` bytes.
pub(super) async fn read(
    request: &HttpRequest,
    payload: Payload,
    limit: usize,
) -> Result<Bytes, ApiError> {
    read_within(request, payload, limit, READ_TIMEOUT).await
}

/// Reads at most `limit` bytes that arrive in this time.
pub(super) async fn read_within(
    request: &HttpRequest,
    payload: Payload,
    limit: usize,
    within: Duration,
) -> Result<Bytes, ApiError> {
    let announced =
        request.headers().get(CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
    let bound = u64::try_from(limit).unwrap_or(u64::MAX);
    if announced.is_some_and(|length| length > bound) {
        return Err(too_large(limit));
    }
    // No more is set aside than was announced, nor than may come.
    let room = announced.and_then(|length| usize::try_from(length).ok()).unwrap_or_default();
    tokio::time::timeout(within, collect(payload, room, limit)).await.unwrap_or_else(|_| {
        let detail = format!("the body did not arrive in {} s", within.as_secs());
        Err(ApiError::new(Code::InvalidRequest, detail))
    })
}

/// A body that arrives in one piece, as most do, is not copied.
async fn collect(mut payload: Payload, room: usize, limit: usize) -> Result<Bytes, ApiError> {
    let mut first = Bytes::new();
    let mut body = BytesMut::new();
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|error| {
            ApiError::new(Code::InvalidRequest, format!("the body broke off: {error}"))
        })?;
        if first.len() + body.len() + chunk.len() > limit {
            return Err(too_large(limit));
        }
        if first.is_empty() && body.is_empty() {
            first = chunk;
            continue;
        }
        if body.is_empty() {
            body.reserve(room.max(first.len() + chunk.len()));
            body.extend_from_slice(&std::mem::take(&mut first));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(if body.is_empty() { first } else { body.freeze() })
}

fn too_large(limit: usize) -> ApiError {
    ApiError::new(Code::BodyTooLarge, format!("at most {limit} bytes are read"))
}
