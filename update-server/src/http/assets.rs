//! Files of the dashboard, compiled in: no network, no build step.

use std::future::{Ready, ready};
use std::sync::LazyLock;

use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_ENCODING, ETAG, HeaderName, HeaderValue, VARY, X_CONTENT_TYPE_OPTIONS,
};
use actix_web::web::{self, Bytes, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use signing::Sha256Digest;

use super::negotiate::{self, Encoding};
use super::public::method_not_allowed;
use crate::catalog::Body;

/// Name, media type and content of every asset.
const ASSETS: [(&str, &str, &str); 9] = [
    ("app.css", CSS, include_str!("../../assets/app.css")),
    ("channels.css", CSS, include_str!("../../assets/channels.css")),
    ("cluster.css", CSS, include_str!("../../assets/cluster.css")),
    ("records.css", CSS, include_str!("../../assets/records.css")),
    ("favicon.svg", "image/svg+xml", include_str!("../../assets/favicon.svg")),
    ("fleet.css", CSS, include_str!("../../assets/fleet.css")),
    ("htmx.min.js", SCRIPT, include_str!("../../assets/htmx.min.js")),
    ("rollouts.css", CSS, include_str!("../../assets/rollouts.css")),
    ("live.js", SCRIPT, include_str!("../../assets/live.js")),
];

const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// Every asset in every coding, made once per process.
static BODIES: LazyLock<Vec<(&str, &str, Body)>> = LazyLock::new(|| {
    let body = |content: &'static str| {
        Body::new(Bytes::from_static(content.as_bytes()), Sha256Digest::of(content.as_bytes()))
    };
    ASSETS.map(|(name, media_type, content)| (name, media_type, body(content))).to_vec()
});

/// Nothing may be loaded but our own files, nothing written in a page runs or paints, and nothing may
/// frame it.
const CSP: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
                   connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Headers of every page and asset.
pub(super) fn security_headers() -> [(HeaderName, HeaderValue); 3] {
    [
        (HeaderName::from_static("content-security-policy"), HeaderValue::from_static(CSP)),
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        // With `no-referrer` browsers hide the `Origin` of a form, by which the hub knows its own.
        (HeaderName::from_static("referrer-policy"), HeaderValue::from_static("same-origin")),
    ]
}

pub(super) fn routes(config: &mut ServiceConfig) {
    for (name, media_type, body) in BODIES.iter() {
        let handler = move |request: HttpRequest| -> Ready<HttpResponse> {
            ready(answer(&request, media_type, body))
        };
        config.service(
            web::resource(format!("/assets/{name}"))
                .route(web::get().to(handler))
                .route(web::head().to(handler))
                .default_service(web::to(|| {
                    ready(method_not_allowed("text/plain", "method not allowed\n".to_owned()))
                })),
        );
    }
}

fn answer(request: &HttpRequest, media_type: &'static str, body: &'static Body) -> HttpResponse {
    let headers = request.headers();
    let chosen = negotiate::encoding(headers, body.ready()).unwrap_or(Encoding::Identity);
    let Some(variant) = body.variant(chosen) else {
        return HttpResponse::NotAcceptable().finish();
    };
    let unchanged = negotiate::if_none_match(headers, &variant.etag);
    let mut response = if unchanged { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    for header in security_headers() {
        response.insert_header(header);
    }
    // Asked for again at every load, so that a new server never shows with an old style.
    response
        .insert_header((ETAG, variant.etag.clone()))
        .insert_header((VARY, "Accept-Encoding"))
        .insert_header((CACHE_CONTROL, "no-cache"));
    if unchanged {
        return response.finish();
    }
    if variant.encoding != Encoding::Identity {
        response.insert_header((CONTENT_ENCODING, variant.encoding.as_str()));
    }
    response.content_type(media_type).body(variant.bytes.clone())
}
