//! The graph as Cincinnati clients ask for it (reference: OpenShift's `policy-engine`).
//!
//! Same paths, parameters, media types and errors; beyond it entity tags, 304, HEAD, weights and
//! lists in `Accept`, ready-made gzip and zstd, and a mark on stale answers. Never an empty 200
//! before the first publication.

use std::future::ready;

use actix_web::http::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, AGE, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG,
    HeaderName, HeaderValue, RETRY_AFTER, VARY,
};
use actix_web::http::{Method, StatusCode};
use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse, ResponseError as _};
use channels::names::{Arch, ChannelName, ProductRef};
use jiff::Timestamp;

use super::negotiate::{self, Encoding, MediaType};
use super::problem::{ApiError, Code};
use super::public::{PublicState, method_not_allowed};
use crate::catalog::{Body, GraphEntry, Published, Served, expiry_reason};

/// Why the answer is an empty graph: `channel` or `arch`.
const UNKNOWN: HeaderName = HeaderName::from_static("x-fairway-unknown");

/// Why the answer should not be trusted: which role expired, and when.
const STALE: HeaderName = HeaderName::from_static("x-fairway-stale");

/// Caches may answer for half a minute; agents do not come here, they follow `/tuf/`.
const CACHE: &str = "public, max-age=30, stale-while-revalidate=30";

/// What a plain client asks for when it does not say, by the Cincinnati API.
const DEFAULT_ARCH: &str = "amd64";

/// A first publication follows within minutes of the first start, if at all.
const RETRY_AFTER_S: u64 = 15;

/// What every path begins with.
const PREFIX: &str = "/api/upgrades_info";
/// The product's own path ends like this.
const SUFFIX: &str = "/v1/graph";

/// An error in Cincinnati's form.
#[derive(Debug)]
pub(super) struct Refused {
    status: StatusCode,
    kind: &'static str,
    value: String,
}

impl Refused {
    pub(super) fn new(status: StatusCode, kind: &'static str, value: impl Into<String>) -> Self {
        Self { status, kind, value: value.into() }
    }

    fn json(&self) -> String {
        serde_json::json!({ "kind": self.kind, "value": self.value }).to_string()
    }

    pub(super) fn respond(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status);
        response
            .insert_header((CONTENT_TYPE, "application/json"))
            .insert_header((CACHE_CONTROL, "no-store"))
            .insert_header((ACCESS_CONTROL_ALLOW_ORIGIN, "*"))
            .insert_header((VARY, "Accept, Accept-Encoding"));
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            response.insert_header((RETRY_AFTER, RETRY_AFTER_S.to_string()));
        }
        response.body(self.json())
    }
}

/// What the query asks for.
#[derive(Debug)]
pub(super) struct Query {
    pub(super) channel: ChannelName,
    pub(super) arch: Arch,
}

/// What was found for it.
pub(super) struct Found<'s> {
    pub(super) body: &'s Body,
    /// The graph it shows; none where nobody published one.
    pub(super) entry: Option<&'s GraphEntry>,
    pub(super) unknown: Option<&'static str>,
    pub(super) stale: Option<String>,
}

/// Which graph a path is about.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Place<'p> {
    /// Of the configured product.
    Default,
    /// Of `vendor/product`.
    Product(&'p str),
}

impl<'p> Place<'p> {
    /// `/api/upgrades_info/graph`, `…/v1/graph`, `…/{vendor}/{product}/v1/graph`.
    fn of(path: &'p str) -> Option<Self> {
        let rest = path.strip_prefix(PREFIX)?;
        if rest == "/graph" || rest == SUFFIX {
            return Some(Self::Default);
        }
        let name = rest.strip_prefix('/')?.strip_suffix(SUFFIX)?;
        let (vendor, product) = name.split_once('/')?;
        let whole = !vendor.is_empty() && !product.is_empty() && !product.contains('/');
        whole.then_some(Self::Product(name))
    }
}

/// A prefix and no patterns: matching one costs as much as everything else that an answer takes.
pub(super) fn routes(config: &mut ServiceConfig) {
    let any = |request: HttpRequest, state: web::Data<PublicState>| ready(any(&request, &state));
    config.service(web::scope(PREFIX).default_service(web::to(any)));
}

fn any(request: &HttpRequest, state: &PublicState) -> HttpResponse {
    let Some(place) = Place::of(request.path()) else {
        return ApiError::new(Code::NotFound, "no such path").error_response();
    };
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return other_method(state);
    }
    let response = answer(request, &place, state).unwrap_or_else(|refused| refused.respond());
    state.metrics.count_graph(response.status().as_u16());
    response
}

pub(super) fn other_method(state: &PublicState) -> HttpResponse {
    let status = StatusCode::METHOD_NOT_ALLOWED;
    state.metrics.count_graph(status.as_u16());
    let refused = Refused::new(status, "method_not_allowed", "use GET or HEAD");
    method_not_allowed("application/json", refused.json())
}

fn answer(
    request: &HttpRequest,
    place: &Place<'_>,
    state: &PublicState,
) -> Result<HttpResponse, Refused> {
    let media = negotiate::media_type(request.headers()).ok_or_else(|| {
        let offered = format!("{} or {}", MediaType::Json.as_str(), MediaType::Cincinnati.as_str());
        Refused::new(StatusCode::NOT_ACCEPTABLE, "invalid_content_type", offered)
    })?;
    let query = Query::parse(request.query_string())?;
    let served = state.catalog.served();
    let (product, now) = (product(place, state)?, state.clock.now());
    let found = find(&served, product.as_ref(), &query, now)?;
    deliver(request, &served, &found, media, now)
}

/// Sends what was found in the coding the client likes best, or says that it has it already.
pub(super) fn deliver(
    request: &HttpRequest,
    served: &Served,
    found: &Found<'_>,
    media: MediaType,
    now: Timestamp,
) -> Result<HttpResponse, Refused> {
    let headers = request.headers();
    let encoding = negotiate::encoding(headers, found.body.ready());
    let variant = encoding.and_then(|coding| found.body.variant(coding)).ok_or_else(|| {
        let kind = "invalid_content_encoding";
        Refused::new(StatusCode::NOT_ACCEPTABLE, kind, "identity, gzip or zstd")
    })?;
    let unchanged = negotiate::if_none_match(headers, &variant.etag);
    let mut response = if unchanged { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    response
        .insert_header((ETAG, variant.etag.clone()))
        .insert_header((VARY, HeaderValue::from_static("Accept, Accept-Encoding")))
        .insert_header((CACHE_CONTROL, HeaderValue::from_static(CACHE)))
        .insert_header((ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*")));
    if let Some(what) = found.unknown {
        response.insert_header((UNKNOWN, what));
    }
    if let Some(reason) = &found.stale {
        let age = served.published.as_ref().map_or(0, |p| age_s(p, now));
        // A role may be called anything; a header takes ASCII.
        let reason = reason.escape_default().to_string();
        response.insert_header((STALE, reason)).insert_header((AGE, age.to_string()));
    }
    if unchanged {
        return Ok(response.finish());
    }
    if variant.encoding != Encoding::Identity {
        let coding = HeaderValue::from_static(variant.encoding.as_str());
        response.insert_header((CONTENT_ENCODING, coding));
    }
    let media = HeaderValue::from_static(media.as_str());
    Ok(response.insert_header((CONTENT_TYPE, media)).body(variant.bytes.clone()))
}

impl Query {
    /// `channel` is needed, `arch` is `amd64` unless given, `version` and `id` are taken and not
    /// used, anything else is ignored; of a repeated parameter the last counts.
    fn parse(query: &str) -> Result<Self, Refused> {
        let invalid =
            |value: String| Refused::new(StatusCode::BAD_REQUEST, "invalid_params", value);
        let (mut channel, mut arch) = (None, None);
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "channel" => channel = Some(value),
                "arch" => arch = Some(value),
                _ => {}
            }
        }
        let Some(channel) = channel else {
            let value = "mandatory client parameters missing: channel";
            return Err(Refused::new(StatusCode::BAD_REQUEST, "missing_params", value));
        };
        Ok(Self {
            channel: channel.parse().map_err(|error| invalid(format!("channel: {error}")))?,
            arch: (arch.as_deref().unwrap_or(DEFAULT_ARCH))
                .parse()
                .map_err(|error| invalid(format!("arch: {error}")))?,
        })
    }
}

/// The product in the path, else the configured one.
pub(super) fn product(
    place: &Place<'_>,
    state: &PublicState,
) -> Result<Option<ProductRef>, Refused> {
    match place {
        Place::Default => Ok(state.catalog.default_product().cloned()),
        Place::Product(name) => name
            .parse()
            .map(Some)
            .map_err(|error: channels::names::NameError| not_found(error.to_string())),
    }
}

fn not_found(value: impl Into<String>) -> Refused {
    Refused::new(StatusCode::NOT_FOUND, "does_not_exist", value)
}

pub(super) fn find<'s>(
    served: &'s Served,
    product: Option<&ProductRef>,
    query: &Query,
    now: Timestamp,
) -> Result<Found<'s>, Refused> {
    let Some(published) = &served.published else {
        let value = "nothing has been published on this server";
        return Err(Refused::new(StatusCode::SERVICE_UNAVAILABLE, "not_ready", value));
    };
    let Some(product) = product else {
        let value = "no default product is configured; \
                     use /api/upgrades_info/{vendor}/{product}/v1/graph";
        return Err(not_found(value));
    };
    let Some(channels) = served.shown.get(product) else {
        return Err(not_found(format!("no product {product} is published here")));
    };
    let empty =
        |what, stale| Found { body: &served.empty, entry: None, unknown: Some(what), stale };
    let online = staleness(published, None, now);
    Ok(match channels.get(&query.channel).map(|arches| arches.get(&query.arch)) {
        None => empty("channel", online),
        Some(None) => empty("arch", online),
        Some(Some(shown)) => {
            let role = (shown.entry.role.as_str(), shown.entry.offline_expires);
            let stale = staleness(published, Some(role), now);
            Found { body: &shown.body, entry: Some(&shown.entry), unknown: None, stale }
        }
    })
}

/// The role that has expired first, if one has: a top-level one, or `role`, which signed the graph.
fn staleness(
    published: &Published,
    role: Option<(&str, Timestamp)>,
    now: Timestamp,
) -> Option<String> {
    let top = published.versions.first_of(&crate::catalog::TOP_ROLES);
    let first = top.into_iter().chain(role).min_by_key(|(_, expires)| *expires)?;
    (first.1 <= now).then(|| expiry_reason(first))
}

/// Seconds since the repository was last signed as a whole.
fn age_s(published: &Published, now: Timestamp) -> i64 {
    now.as_second().saturating_sub(published.versions.signed_at.as_second()).max(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_a_product_or_none_and_nothing_else_is_a_graph() {
        let of = |rest: &str| match Place::of(&format!("{PREFIX}{rest}")) {
            Some(Place::Product(name)) => Some(name.to_owned()),
            Some(Place::Default) => Some("the default".to_owned()),
            None => None,
        };
        for rest in ["/graph", "/v1/graph"] {
            assert_eq!(of(rest).as_deref(), Some("the default"), "{rest}");
        }
        assert_eq!(of("/acme/kafka/v1/graph").as_deref(), Some("acme/kafka"));
        for rest in
            ["", "/", "/graph/", "/acme/v1/graph", "//kafka/v1/graph", "/a/b/c/v1/graph", "s/graph"]
        {
            assert_eq!(of(rest), None, "{rest}");
        }
    }
}
