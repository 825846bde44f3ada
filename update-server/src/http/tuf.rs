//! The TUF repository (`/tuf/metadata/…`, `/tuf/targets/…`) as plain files.
//!
//! Looked up in memory by name, so no path can lead anywhere else. Bodies are the signed bytes
//! without content coding: clients bound what they read by the signed length.

use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
pub(crate) use signing::names::percent_decode;

use super::negotiate;
use super::public::{PublicState, method_not_allowed};

/// Where the repository begins.
const PREFIX: &str = "/tuf/";

/// The one file that is newer at one replica and older at another, under one name.
const TIMESTAMP: &str = "/tuf/metadata/timestamp.json";

/// A name pins the content for good.
const IMMUTABLE: &str = "public, max-age=31536000, immutable";

/// `timestamp.json` is asked for at every poll; a tag makes that cheap.
const REVALIDATE: &str = "no-cache";

/// Polls ask for the next root all the time; a minute's delay of a new root harms nobody.
const MISSING_ROOT: &str = "public, max-age=60";

/// Prefixes and no patterns, see `cincinnati`: an agent asks for `timestamp.json` as often as it
/// reports.
pub(super) fn routes(config: &mut ServiceConfig) {
    for directory in ["/tuf/metadata", "/tuf/targets"] {
        config.service(web::scope(directory).default_service(web::to(file)));
    }
}

async fn file(request: HttpRequest, state: web::Data<PublicState>) -> HttpResponse {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return other_method(&state);
    }
    let mut response = answer(&request, &state);
    if may_be_behind(&request, &response) && state.lookout.look().await {
        response = answer(&request, &state);
    }
    state.metrics.count_tuf(response.status().as_u16());
    response
}

/// Whether the client may know a newer set from another replica: it has another timestamp than the
/// one that is served here, or wants what is not here. One that has the very same is behind with us
/// at worst.
fn may_be_behind(request: &HttpRequest, response: &HttpResponse) -> bool {
    match response.status() {
        StatusCode::OK => request.uri().path() == TIMESTAMP,
        status => status == StatusCode::NOT_FOUND,
    }
}

fn other_method(state: &PublicState) -> HttpResponse {
    let response = method_not_allowed("text/plain", "use GET or HEAD\n".to_owned());
    state.metrics.count_tuf(response.status().as_u16());
    response
}

fn answer(request: &HttpRequest, state: &PublicState) -> HttpResponse {
    // The path as sent, decoded once and here: the router's own decoding keeps some escapes.
    let path = request.uri().path().strip_prefix(PREFIX).and_then(percent_decode);
    let Some(file) = path.as_deref().and_then(|path| state.catalog.tuf_file(path)) else {
        return not_found(path.as_deref());
    };
    let unchanged = negotiate::if_none_match(request.headers(), &file.etag);
    let mut response = if unchanged { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    let cache = HeaderValue::from_static(if file.immutable { IMMUTABLE } else { REVALIDATE });
    response.insert_header((ETAG, file.etag)).insert_header((CACHE_CONTROL, cache));
    if unchanged {
        return response.finish();
    }
    let json = HeaderValue::from_static("application/json");
    response.insert_header((CONTENT_TYPE, json)).body(file.bytes)
}

fn not_found(path: Option<&str>) -> HttpResponse {
    let root = path.is_some_and(|path| path.ends_with(".root.json"));
    HttpResponse::NotFound()
        .insert_header((CACHE_CONTROL, if root { MISSING_ROOT } else { "no-store" }))
        .content_type("text/plain")
        .body("no such file in this repository\n")
}

#[cfg(test)]
mod tests {
    use super::percent_decode;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_signing_encodes_is_decoded_to_its_file_name(name in "[ -~é]{1,40}") {
            let role = signing::RoleName::new(name).unwrap();
            let file = signing::FileName::Metadata { role: role.clone(), version: Some(3) };
            let decoded = percent_decode(&file.url_path());
            prop_assert_eq!(decoded, Some(format!("metadata/3.{role}.json")));
        }
    }
}
