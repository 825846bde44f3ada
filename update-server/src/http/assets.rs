//! Files of the dashboard, compiled in: no network, no build step, no script.

use std::future::{Ready, ready};

use actix_web::http::header::{
    CACHE_CONTROL, ETAG, HeaderName, HeaderValue, X_CONTENT_TYPE_OPTIONS,
};
use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use signing::Sha256Digest;

use super::negotiate;
use super::public::method_not_allowed;

/// Name, media type and content of every asset.
const ASSETS: [(&str, &str, &str); 2] = [
    ("app.css", "text/css; charset=utf-8", include_str!("../../assets/app.css")),
    ("favicon.svg", "image/svg+xml", include_str!("../../assets/favicon.svg")),
];

/// Nothing may be loaded but our own style sheet and icon; nothing may frame the page.
const CSP: &str = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; \
                   base-uri 'none'; frame-ancestors 'none'";

/// Headers of every page and asset.
pub(super) fn security_headers() -> [(HeaderName, HeaderValue); 3] {
    [
        (HeaderName::from_static("content-security-policy"), HeaderValue::from_static(CSP)),
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (HeaderName::from_static("referrer-policy"), HeaderValue::from_static("no-referrer")),
    ]
}

pub(super) fn routes(config: &mut ServiceConfig) {
    for (name, content_type, content) in ASSETS {
        let etag = format!("\"{}\"", Sha256Digest::of(content.as_bytes()).hex());
        let handler = move |request: HttpRequest| -> Ready<HttpResponse> {
            ready(answer(&request, content_type, content, &etag))
        };
        config.service(
            web::resource(format!("/assets/{name}"))
                .route(web::get().to(handler.clone()))
                .route(web::head().to(handler))
                .default_service(web::to(|| {
                    ready(method_not_allowed("text/plain", "method not allowed\n".to_owned()))
                })),
        );
    }
}

fn answer(
    request: &HttpRequest,
    content_type: &'static str,
    content: &'static str,
    etag: &str,
) -> HttpResponse {
    let unchanged = negotiate::if_none_match(request.headers(), etag);
    let mut response = if unchanged { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    for header in security_headers() {
        response.insert_header(header);
    }
    // Asked for again at every load, so that a new server never shows with an old style.
    response.insert_header((ETAG, etag)).insert_header((CACHE_CONTROL, "no-cache"));
    if unchanged { response.finish() } else { response.content_type(content_type).body(content) }
}
