//! Pulling blobs and manifests.

use actix_web::body::SizedStream;
use actix_web::http::{Method, StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder, web};
use futures_util::stream;

use super::answer::{self, CONTENT_DIGEST, State};
use super::body::{blocking, sent};
use super::error::Refusal;
use super::range::{self, Asked};
use crate::oci::{Digest, Repository};
use crate::store::Reference;

/// Bytes under a digest never change.
const FOREVER: (header::HeaderName, &str) = (header::CACHE_CONTROL, "max-age=31536000, immutable");

/// `GET` and `HEAD` of a blob, whole or a range.
pub(super) async fn blob(
    state: &web::Data<State>,
    request: &HttpRequest,
    repository: Repository,
    digest: Digest,
) -> Result<HttpResponse, Refusal> {
    let is_head = request.method() == Method::HEAD;
    // Whoever pushes asks this way, and does not push what is there.
    let promised_at = (is_head && state.allowed.push).then(|| state.now());
    let (store, name) = (state.store.clone(), repository.clone());
    let size = blocking(move || match promised_at {
        Some(now) => store.promise(&name, &digest, now),
        None => store.stat_in(&name, &digest),
    })
    .await?;
    if is_known(request, &digest) {
        return Ok(not_modified(&digest));
    }
    let etag = quoted(&digest);
    // Another version than the client has the beginning of: there is none, but it may ask.
    let is_whole = answer::header(request, "if-range").is_some_and(|known| known != etag);
    let asked = answer::header(request, "range").filter(|_| !is_whole);
    let (status, range) = match range::asked(asked, size) {
        Asked::All => (StatusCode::OK, 0..size),
        Asked::Part(range) => (StatusCode::PARTIAL_CONTENT, range),
        Asked::Unsatisfiable => return Ok(unsatisfiable(size)),
    };
    let mut response = HttpResponse::build(status);
    describe(&mut response, &digest, "application/octet-stream");
    response.insert_header((header::ACCEPT_RANGES, "bytes")).insert_header(FOREVER);
    if status == StatusCode::PARTIAL_CONTENT {
        let last = range.end.saturating_sub(1);
        response
            .insert_header((header::CONTENT_RANGE, format!("bytes {}-{last}/{size}", range.start)));
    }
    let length = range.end.saturating_sub(range.start);
    if is_head {
        return Ok(empty(response, length));
    }
    let store = state.store.clone();
    let reader = blocking(move || store.reader_in(&repository, &digest, Some(range))).await?;
    Ok(response.body(SizedStream::new(length, sent(reader, state.metrics.clone()))))
}

/// `GET` and `HEAD` of a manifest. It is served as it was pushed, whatever the client would rather
/// have: its digest is of those bytes.
pub(super) async fn manifest(
    state: &web::Data<State>,
    request: &HttpRequest,
    repository: Repository,
    reference: Reference,
) -> Result<HttpResponse, Refusal> {
    let store = state.store.clone();
    let is_head = request.method() == Method::HEAD;
    let (stored, bytes) = blocking(move || {
        if is_head {
            return store.manifest(&repository, &reference).map(|stored| (stored, Vec::new()));
        }
        store.manifest_bytes(&repository, &reference)
    })
    .await?;
    if is_known(request, &stored.digest) {
        return Ok(not_modified(&stored.digest));
    }
    let mut response = HttpResponse::Ok();
    describe(&mut response, &stored.digest, &stored.media_type);
    Ok(if is_head { empty(response, stored.size) } else { response.body(bytes) })
}

/// An answer with a length and without the bytes.
fn empty(mut response: HttpResponseBuilder, length: u64) -> HttpResponse {
    response.body(SizedStream::new(length, stream::empty::<Result<_, std::io::Error>>()))
}

fn describe(response: &mut HttpResponseBuilder, digest: &Digest, media_type: &str) {
    response
        .content_type(media_type)
        .insert_header((CONTENT_DIGEST, digest.to_string()))
        .insert_header((header::ETAG, quoted(digest)));
}

fn quoted(digest: &Digest) -> String {
    format!("\"{digest}\"")
}

/// Whether the client says that it has these bytes.
fn is_known(request: &HttpRequest, digest: &Digest) -> bool {
    let etag = quoted(digest);
    answer::header(request, "if-none-match").is_some_and(|known| {
        known.split(',').any(|one| one.trim().trim_start_matches("W/") == etag)
    })
}

fn not_modified(digest: &Digest) -> HttpResponse {
    HttpResponse::NotModified()
        .insert_header((CONTENT_DIGEST, digest.to_string()))
        .insert_header((header::ETAG, quoted(digest)))
        .finish()
}

fn unsatisfiable(size: u64) -> HttpResponse {
    let message = format!("the blob has {size} bytes");
    let refusal = Refusal::new(StatusCode::RANGE_NOT_SATISFIABLE, "SIZE_INVALID", message);
    let mut response = refusal.response();
    if let Ok(value) = header::HeaderValue::try_from(format!("bytes */{size}")) {
        response.headers_mut().insert(header::CONTENT_RANGE, value);
    }
    response
}
