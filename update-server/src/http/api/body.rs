//! Bodies of requests: bounded while reading, in size and in time.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use actix_web::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use actix_web::web::{Bytes, BytesMut, Payload};
use actix_web::{FromRequest, HttpRequest, dev};
use futures_util::StreamExt as _;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use super::super::problem::{ApiError, Code};
use super::encoding::Encoding;

/// 64 KiB arrive in this time over any link an agent lives on; slower is a stalled peer.
const READ_TIMEOUT: Duration = Duration::from_secs(10);
/// What a larger body must go on with: a publication over the worst line that anybody publishes from.
const MIN_BYTES_PER_S: u64 = 16 * 1024;
/// Largest JSON body of a person's request where its path names no other: a reason and a name.
const MAX_JSON_BYTES: usize = 64 * 1024;

/// Data of a resource: the most bytes that [`Json`] reads there.
#[derive(Debug, Clone, Copy)]
pub(super) struct MaxBytes(pub(super) usize);

/// The JSON document of a person's request. It is not read for whom an extractor before it refuses.
#[derive(Debug)]
pub(super) struct Json<T>(T);

impl<T> Json<T> {
    /// The document.
    pub(super) fn into_inner(self) -> T {
        self.0
    }
}

impl<T: DeserializeOwned> FromRequest for Json<T> {
    type Error = ApiError;
    type Future = Pin<Box<dyn Future<Output = Result<Self, ApiError>>>>;

    fn from_request(request: &HttpRequest, payload: &mut dev::Payload) -> Self::Future {
        let limit = request.app_data().map_or(MAX_JSON_BYTES, |MaxBytes(most)| *most);
        let (request, payload) = (request.clone(), Payload::from_request(request, payload));
        Box::pin(async move {
            check_json(&request)?;
            let payload = payload.await.map_err(|error| broken_off(&error))?;
            let body = read(&request, payload, limit).await?;
            let document = serde_json::from_slice(&body);
            let wrong = |error| ApiError::new(Code::InvalidJson, format!("{error}"));
            Ok(Self(document.map_err(|error: serde_json::Error| wrong(error))?))
        })
    }
}

/// Checks that a body is plain JSON: `application/json`, or a document of a name of its own.
fn check_json(request: &HttpRequest) -> Result<(), ApiError> {
    let found = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = found.and_then(|text| text.split(';').next()).unwrap_or_default().trim();
    let own = essence.len() > "+json".len() && essence.to_ascii_lowercase().ends_with("+json");
    check_type(request, if own { essence } else { "application/json" })
}

/// Checks that a body is plain JSON, ours by name or not.
pub(in crate::http) fn check_type(request: &HttpRequest, ours: &str) -> Result<(), ApiError> {
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
pub(in crate::http) async fn read(
    request: &HttpRequest,
    payload: Payload,
    limit: usize,
) -> Result<Bytes, ApiError> {
    read_within(request, payload, limit, READ_TIMEOUT).await
}

/// Reads at most `limit` bytes, of which the first may take this time and all others must keep a
/// pace.
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
    collect(payload, room, limit, within).await
}

/// A body that arrives in one piece, as most do, is not copied.
async fn collect(
    mut payload: Payload,
    room: usize,
    limit: usize,
    within: Duration,
) -> Result<Bytes, ApiError> {
    let begun = Instant::now();
    let mut first = Bytes::new();
    let mut body = BytesMut::new();
    loop {
        let paced = u64::try_from(first.len() + body.len()).unwrap_or(u64::MAX) / MIN_BYTES_PER_S;
        let allowed = within.saturating_add(Duration::from_secs(paced));
        let left = allowed.saturating_sub(begun.elapsed());
        let Ok(next) = tokio::time::timeout(left, payload.next()).await else {
            let detail = format!("the body did not arrive in {} s", allowed.as_secs());
            return Err(ApiError::new(Code::InvalidRequest, detail));
        };
        let Some(chunk) = next else { break };
        let chunk = chunk.map_err(|error| broken_off(&error))?;
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

fn broken_off(error: &dyn std::fmt::Display) -> ApiError {
    ApiError::new(Code::InvalidRequest, format!("the body broke off: {error}"))
}

fn too_large(limit: usize) -> ApiError {
    ApiError::new(Code::BodyTooLarge, format!("at most {limit} bytes are read"))
}

#[cfg(test)]
mod tests {
    use actix_web::{App, HttpResponse, ResponseError as _, test, web};
    use channels::wire::{Problem, media_type};

    use super::*;

    async fn echo(body: Json<Problem>) -> HttpResponse {
        HttpResponse::Ok().json(body.into_inner())
    }

    #[actix_web::test]
    async fn bad_bodies_answer_with_their_own_problem() {
        let echo = web::resource("/").app_data(MaxBytes(200)).route(web::post().to(echo));
        let app = test::init_service(App::new().service(echo)).await;
        let big = format!("\"{}\"", "x".repeat(500));
        let cases = [
            ("{", "application/json", "identity", Code::InvalidJson),
            ("{}", "application/json", "identity", Code::InvalidJson),
            ("{}", "application/vnd.x.v1+json; a=b", "identity", Code::InvalidJson),
            (big.as_str(), "application/json", "identity", Code::BodyTooLarge),
            ("{}", "text/plain", "identity", Code::UnsupportedMediaType),
            ("{}", "+json", "identity", Code::UnsupportedMediaType),
            ("{}", "application/json", "gzip", Code::UnsupportedMediaType),
        ];
        for (body, content_type, encoding, expected) in cases {
            let request = test::TestRequest::post()
                .insert_header(("content-type", content_type))
                .insert_header(("content-encoding", encoding))
                .set_payload(body.to_owned())
                .to_request();
            let response = test::call_service(&app, request).await;
            assert_eq!(response.status(), expected.status(), "{body} {content_type} {encoding}");
            assert_eq!(response.headers().get("content-type").unwrap(), media_type::PROBLEM);
            let problem: Problem = test::read_body_json(response).await;
            assert_eq!(problem.kind, format!("/problems/{}", expected.slug()));
        }
    }

    /// A body that begins and never goes on.
    fn stalled() -> dev::Payload {
        let first = futures_util::stream::iter([Ok(web::Bytes::from_static(b"{"))]);
        dev::Payload::Stream { payload: Box::pin(first.chain(futures_util::stream::pending())) }
    }

    #[actix_web::test]
    async fn a_body_that_does_not_go_on_is_given_up() {
        tokio::time::pause();
        let request = test::TestRequest::post()
            .insert_header(("content-type", "application/json"))
            .to_http_request();
        let mut payload = stalled();
        let refused = Json::<Problem>::from_request(&request, &mut payload).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidRequest);
        assert!(refused.detail().contains("did not arrive"), "{}", refused.detail());
        assert_eq!(refused.status_code().as_u16(), 400);
    }
}
