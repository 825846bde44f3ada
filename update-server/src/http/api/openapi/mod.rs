//! `/openapi.json`: what this server answers, as `OpenAPI` 3.1.
//!
//! Kept by hand, one short line per operation in [`paths`], because a reader wants sentences and no
//! derive writes them; kept true by tests: every registered path and method is in it and no other,
//! every status that a test of the API sees is declared, and the shapes of documents are read off
//! their golden files, which the wire types' own tests hold to the types. To add a path, add its line.

mod operation;
mod paths;
mod schema;

use std::sync::OnceLock;

use actix_web::http::header::CACHE_CONTROL;
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse};
use serde_json::{Map, Value, json};

use super::super::negotiate::if_none_match;
use signing::Sha256Digest;

/// `GET /openapi.json`
pub(super) async fn get(request: HttpRequest) -> HttpResponse {
    static BODY: OnceLock<(Bytes, String)> = OnceLock::new();
    let (body, etag) = BODY.get_or_init(|| {
        // A document of our own making: always serialises.
        let body = serde_json::to_vec(&document()).unwrap_or_default();
        let etag = format!("\"{}\"", Sha256Digest::of(&body).hex());
        (Bytes::from(body), etag)
    });
    let mut response = if if_none_match(request.headers(), etag) {
        HttpResponse::NotModified()
    } else {
        HttpResponse::Ok()
    };
    response.insert_header(("etag", etag.as_str())).insert_header((CACHE_CONTROL, "no-cache"));
    if if_none_match(request.headers(), etag) {
        return response.finish();
    }
    response.content_type("application/json").body(body.clone())
}

/// The whole document.
pub(super) fn document() -> Value {
    let mut found: Map<String, Value> = Map::new();
    for operation in paths::all() {
        let entry = found.entry(operation.path()).or_insert_with(|| json!({}));
        if let Value::Object(methods) = entry {
            methods.insert(operation.method().to_lowercase(), operation.render());
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Fairway hub",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "Signed release graphs out, fleet reports in, rollouts and drift between.",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": "/" }],
        "paths": found,
        "components": {
            "schemas": schema::components(),
            "securitySchemes": {
                "token": {
                    "type": "http", "scheme": "bearer",
                    "description": "An API token, `fw_…`; or HTTP Basic with it as the password.",
                },
                "agent": {
                    "type": "http", "scheme": "signature",
                    "description": "An HTTP message signature (RFC 9421) with the cluster's \
                                    ed25519 key: label `fairway`, tag `fairway-v1`.",
                },
            },
        },
    })
}
