//! `/api/v1/status-export` and `/api/v1/status-imports`: the state of a dark site, as a signed file.
//!
//! The export tells what leaves the site and is for operators; it is on record before it is made.
//! The import believes the site's registered key and nothing else.

use std::collections::BTreeSet;
use std::time::Duration;

use actix_web::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION};
use actix_web::web::{self, Payload};
use actix_web::{HttpRequest, HttpResponse};
use channels::names::SiteName;
use channels::wire::{
    BundleReceipt, ClusterRow, Redaction, SiteChannel, SiteKey, SiteStatus, StatusImportReply,
    media_type,
};
use serde::Deserialize;
use signing::{Attack, SecretKey, Statement};

use super::super::problem::{ApiError, Code};
use super::{Guarded, HubState, Operator, body};
use crate::fleet::{ClusterFilter, MAX_PAGE};
use crate::site::{
    AcceptError, DEFAULT_INTERVAL_S, ExportError, Facts, MAX_INTERVAL_S, MIN_INTERVAL_S,
    Pseudonyms, accept, build, claimed_site, load_or_create, seal,
};
use crate::store::{NewStatus, StatusRequest};

/// A whole status over a slow line.
const READ_TIMEOUT: Duration = Duration::from_mins(2);

/// Parameters of the export.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ExportQuery {
    /// What to leave out, separated by commas.
    redact: Option<String>,
    /// Sequence of the newest bundle that the site has imported; the hub itself sees no bundles.
    newest_bundle: Option<u64>,
    /// A [`BundleReceipt`] as JSON: what the site's mirror signed when that bundle was in.
    receipt: Option<String>,
    /// Seconds until the next status is meant to be sent.
    good_for_s: Option<u64>,
}

impl ExportQuery {
    fn redact(&self) -> Result<BTreeSet<Redaction>, ApiError> {
        let words = self.redact.iter().flat_map(|list| list.split(','));
        words
            .map(str::trim)
            .filter(|word| !word.is_empty())
            .map(|word| {
                word.parse().map_err(|error: channels::wire::NotARedaction| {
                    ApiError::new(Code::InvalidRequest, format!("redact: {error}"))
                })
            })
            .collect()
    }

    fn receipt(&self) -> Result<Option<BundleReceipt>, ApiError> {
        let wrong = |why: String| ApiError::new(Code::InvalidRequest, format!("receipt: {why}"));
        let Some(text) = &self.receipt else { return Ok(None) };
        let receipt: BundleReceipt =
            serde_json::from_str(text).map_err(|error| wrong(error.to_string()))?;
        receipt.check().map_err(|error| wrong(error.to_string()))?;
        if self.newest_bundle.is_some_and(|newest| newest != receipt.sequence) {
            return Err(wrong("it is of another bundle than newest_bundle".to_owned()));
        }
        Ok(Some(receipt))
    }

    fn good_for_s(&self) -> Result<u64, ApiError> {
        let seconds = self.good_for_s.unwrap_or(DEFAULT_INTERVAL_S);
        if (MIN_INTERVAL_S..=MAX_INTERVAL_S).contains(&seconds) {
            return Ok(seconds);
        }
        let detail = format!("good_for_s must be between {MIN_INTERVAL_S} and {MAX_INTERVAL_S}");
        Err(ApiError::new(Code::InvalidRequest, detail))
    }
}

fn own_site(state: &HubState) -> Result<SiteName, ApiError> {
    state.settings.site.clone().ok_or_else(|| {
        let detail = "this hub does not know which site it serves: start it with --site NAME \
                      (FAIRWAY_SITE, or `site` in its configuration)";
        ApiError::new(Code::Conflict, detail)
    })
}

async fn site_key(state: &web::Data<HubState>) -> Result<SecretKey, ApiError> {
    let holder = state.clone();
    web::block(move || {
        let data_dir = &holder.settings.data_dir;
        let key = load_or_create(data_dir)
            .map_err(|error| ApiError::internal("read the site's key", &error))?;
        holder.publisher.require_hubs_key("site", key.public(), data_dir)?;
        Ok(key)
    })
    .await
    .map_err(|error| ApiError::internal("read the site's key", &error))?
}

/// `GET /api/v1/status-export/key`
pub(super) async fn key(
    _: Guarded<Operator>,
    state: web::Data<HubState>,
) -> Result<web::Json<SiteKey>, ApiError> {
    let site = own_site(&state)?;
    let key = site_key(&state).await?;
    let public = key.public();
    let key_id = public.key_id().as_str().to_owned();
    Ok(web::Json(SiteKey { site, public_key: public.to_spki_pem(), key_id }))
}

/// `GET /api/v1/status-export`
pub(super) async fn export(
    by: Guarded<Operator>,
    state: web::Data<HubState>,
    query: web::Query<ExportQuery>,
) -> Result<HttpResponse, ApiError> {
    let site = own_site(&state)?;
    let (redact, good_for_s, receipt) = (query.redact()?, query.good_for_s()?, query.receipt()?);
    let key = site_key(&state).await?;
    let now = state.now();
    let request = StatusRequest {
        site: site.clone(),
        redact: redact.iter().copied().collect(),
        by: by.actor.clone(),
        now,
    };
    let sequence = state.store.next_status(request).await?;
    let newest_bundle =
        query.newest_bundle.or_else(|| receipt.as_ref().map(|receipt| receipt.sequence));
    let facts = Facts { site, sequence, now, good_for_s, newest_bundle, receipt, redact };
    tracing::info!(site = %facts.site, sequence, by = by.actor, "status exported");
    let disposition = format!("attachment; filename=\"{}.status.json\"", facts.site);
    let maker = state.clone();
    let bytes = web::block(move || {
        let (rows, channels) = (all_rows(&maker), channels(&maker));
        let status = build(facts, &rows, channels, &Pseudonyms::of(&key))?;
        seal(&status, &key)
    })
    .await
    .map_err(|error| ApiError::internal("make the status", &error))?
    .map_err(|error| match &error {
        ExportError::TooManyClusters { .. } | ExportError::TooLarge { .. } => {
            ApiError::new(Code::Unprocessable, error.to_string())
        }
        ExportError::Sign(_) | ExportError::Write(_) => {
            ApiError::internal("make the status", &error)
        }
    })?;
    Ok(HttpResponse::Ok()
        .content_type(media_type::SITE_STATUS)
        .insert_header((CACHE_CONTROL, "no-store"))
        .insert_header((CONTENT_DISPOSITION, disposition))
        .body(bytes))
}

/// Every cluster in force, page by page: the writer need not wait for all of them. One more than a
/// status holds is enough to refuse.
fn all_rows(state: &HubState) -> Vec<ClusterRow> {
    let everyone = ClusterFilter::default();
    let (mut rows, mut after) = (Vec::new(), None);
    loop {
        let (page, next) =
            state.with_fleet(|fleet, view| fleet.page(&everyone, after, MAX_PAGE, view));
        rows.extend(page);
        after = next;
        if after.is_none() || rows.len() > SiteStatus::MAX_CLUSTERS {
            return rows;
        }
    }
}

fn channels(state: &HubState) -> Vec<SiteChannel> {
    let graphs = state.catalog.graphs();
    graphs
        .filter_map(|key| {
            let entry = state.catalog.graph(&key.product, &key.channel, &key.arch)?;
            Some(SiteChannel {
                head: entry.graph.head().cloned(),
                graph_digest: entry.digest,
                product: key.product,
                channel: key.channel,
                arch: key.arch,
            })
        })
        .take(SiteStatus::MAX_CHANNELS)
        .collect()
}

/// Parameters of the import.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ImportQuery {
    /// The site that the file must be of.
    site: Option<SiteName>,
}

/// `POST /api/v1/status-imports`
pub(super) async fn import(
    by: Guarded<Operator>,
    state: web::Data<HubState>,
    request: HttpRequest,
    query: web::Query<ImportQuery>,
    payload: Payload,
) -> Result<web::Json<StatusImportReply>, ApiError> {
    body::check_type(&request, media_type::SITE_STATUS)?;
    let bytes = body::read_within(&request, payload, SiteStatus::MAX_BYTES, READ_TIMEOUT).await?;
    let (reader, expected) = (state.clone(), query.into_inner().site);
    let actor = by.actor.clone();
    let new = web::block(move || check(&reader, bytes, expected.as_ref(), actor))
        .await
        .map_err(|error| ApiError::internal("read the status", &error))?;
    let taken = match new {
        Ok(new) => state.store.import_status(new).await.map_err(ApiError::from),
        Err(error) => Err(ApiError::from(error)),
    };
    match &taken {
        Ok(reply) => tracing::info!(
            site = %reply.site, sequence = reply.sequence, clusters = reply.clusters,
            changed = reply.changed, by = by.actor, "status imported"
        ),
        Err(error) => tracing::warn!(
            by = by.actor,
            reason = error.code().slug(),
            detail = error.detail(),
            "status refused"
        ),
    }
    Ok(web::Json(taken?))
}

fn check(
    state: &HubState,
    bytes: web::Bytes,
    expected: Option<&SiteName>,
    by: String,
) -> Result<NewStatus, AcceptError> {
    let statement = Statement::parse(SiteStatus::KIND, &bytes).map_err(AcceptError::Statement)?;
    let name = claimed_site(&statement, expected)?;
    let sites = state.store.committed().sites();
    let site = sites.get(&name).ok_or(AcceptError::UnknownSite { site: name })?;
    let now = state.now();
    let status = accept(site, &statement, now)?;
    let (digest, verified_with) = (statement.digest(), site.key.clone());
    Ok(NewStatus { status, bytes: bytes.into(), digest, verified_with, by, now })
}

impl From<AcceptError> for ApiError {
    fn from(error: AcceptError) -> Self {
        let code = match &error {
            AcceptError::Statement(_) | AcceptError::OtherSite { .. } => Code::StatusUnverified,
            AcceptError::UnknownSite { .. } => Code::UnknownSite,
            AcceptError::Status(_) => Code::Unprocessable,
            AcceptError::Rollback { .. } => Code::StatusRollback,
            AcceptError::FromFuture { .. } => Code::StatusFromFuture,
        };
        let attack = error.attack().map(|attack: Attack| attack.to_string());
        Self::new(code, error.to_string()).with_attack(attack)
    }
}
