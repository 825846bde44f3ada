//! `/api/v1/clusters`: one row per cluster in force, those of dark sites after the others.

use actix_web::{HttpRequest, HttpResponse, web};
use channels::names::{ChannelName, ClusterId, ProductRef, SiteName};
use channels::rollout::{Selector, labels};
use channels::version::ReleaseVersion;
use channels::wire::{
    AuditRow, ClusterRow, DriftState, Freshness, HealthVerdict, LabelsRequest, Page, Phase,
    RevokeRequest, SettingsRequest, TrustRequest,
};
use serde::Deserialize;

use super::super::negotiate::Listing;
use super::super::problem::{ApiError, Code};
use super::body::Json;
use super::holds::text;
use super::state::from_disk;
use super::{Guarded, HubState, Needs, Operator, Scoped, Viewer, export, paging, risks, rollouts};
use crate::auth::Scope;
use crate::catalog::Catalog;
use crate::fleet::{Activity, Between, ClusterFilter, Distance, MAX_PAGE, Slot};
use crate::site::After;
use crate::store::{HistoryRow, Revoke, SetLabels, SetSettings, Trust};
use crate::telemetry::{Position, merge};

pub(in crate::http) const PHASES: [Phase; 10] = [
    Phase::Idle,
    Phase::Waiting,
    Phase::Preflight,
    Phase::Quiesce,
    Phase::Mutate,
    Phase::AwaitReturn,
    Phase::AwaitHealth,
    Phase::Soak,
    Phase::Paused,
    Phase::Unknown,
];
pub(in crate::http) const VERDICTS: [HealthVerdict; 3] =
    [HealthVerdict::Healthy, HealthVerdict::Unhealthy, HealthVerdict::Unknown];
/// Classes of reports that a cluster of the fleet can be in, and the one of dark sites.
pub(in crate::http) const FRESHNESS: [Freshness; 6] = [
    Freshness::Fresh,
    Freshness::Late,
    Freshness::Silent,
    Freshness::Gone,
    Freshness::Never,
    Freshness::Carried,
];
pub(in crate::http) const DRIFT_STATES: [DriftState; 5] = [
    DriftState::Current,
    DriftState::Behind,
    DriftState::Stranded,
    DriftState::OffGraph,
    DriftState::NoGraph,
];

/// Parameters of the list. Phases, verdicts and classes are text here: the wire types read an unknown
/// name as "unknown", which in a question would be a wrong answer.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct ListQuery {
    product: Option<ProductRef>,
    channel: Option<ChannelName>,
    version: Option<ReleaseVersion>,
    phase: Option<String>,
    health: Option<String>,
    freshness: Option<String>,
    activity: Option<String>,
    drift: Option<String>,
    hops_min: Option<u32>,
    hops_max: Option<u32>,
    age_min_days: Option<u64>,
    age_max_days: Option<u64>,
    name: Option<String>,
    selector: Option<String>,
    /// Stands before an edge with a risk of this name.
    risk: Option<String>,
    site: Option<SiteName>,
    cursor: Option<String>,
    limit: Option<usize>,
    /// `json` (a page), `ndjson` or `csv` (all rows; `cursor` and `limit` mean nothing then).
    format: Option<String>,
}

impl ListQuery {
    /// The filter, for somebody of this scope.
    pub(in crate::http) fn filter(
        &self,
        catalog: &Catalog,
        scope: &Scope,
    ) -> Result<ClusterFilter, ApiError> {
        let distance = Distance {
            state: one_of("drift", self.drift.as_deref(), &DRIFT_STATES, DriftState::as_str)?,
            hops: Between { least: self.hops_min, most: self.hops_max },
            age_days: Between { least: self.age_min_days, most: self.age_max_days },
        };
        let (activity, freshness) = (self.activity.as_deref(), self.freshness.as_deref());
        Ok(ClusterFilter {
            phase: one_of("phase", self.phase.as_deref(), &PHASES, Phase::as_str)?,
            health: one_of("health", self.health.as_deref(), &VERDICTS, HealthVerdict::as_str)?,
            product: self.product.clone(),
            channel: self.channel.clone(),
            version: self.version.clone(),
            freshness: one_of("freshness", freshness, &FRESHNESS, Freshness::as_str)?,
            activity: one_of("activity", activity, &Activity::ALL, Activity::as_str)?,
            distance,
            name_prefix: self.name.clone(),
            selector: self.selector.as_deref().map(selector).transpose()?,
            scope: scope.clone(),
            exposed: self.risk.as_ref().map(|risk| risks::exposed_to(catalog, risk)),
            site: self.site.clone(),
        })
    }

    /// One page of what it asks for.
    pub(in crate::http) fn page(
        &self,
        state: &HubState,
        filter: &ClusterFilter,
        limit: usize,
    ) -> Result<Page<ClusterRow>, ApiError> {
        Ok(explained_page(state, filter, begin(self.cursor.as_deref())?, limit))
    }
}

/// The value of this name among `all`.
pub(super) fn one_of<T: Copy>(
    name: &'static str,
    value: Option<&str>,
    all: &[T],
    text: fn(T) -> &'static str,
) -> Result<Option<T>, ApiError> {
    let Some(value) = value else { return Ok(None) };
    if let Some(found) = all.iter().copied().find(|known| text(*known) == value) {
        return Ok(Some(found));
    }
    let known: Vec<&str> = all.iter().copied().map(text).collect();
    let detail = format!("{name} must be one of {}", known.join(", "));
    Err(ApiError::new(Code::InvalidRequest, detail))
}

/// Reads a label selector of a query or body.
pub(super) fn selector(text: &str) -> Result<Selector, ApiError> {
    let wrong = |error| ApiError::new(Code::InvalidRequest, format!("selector: {error}"));
    text.parse().map_err(wrong)
}

/// `GET /api/v1/clusters`
pub(super) async fn list(
    by: Guarded<Scoped<Viewer>>,
    state: web::Data<HubState>,
    request: HttpRequest,
    query: web::Query<ListQuery>,
) -> Result<HttpResponse, ApiError> {
    let query = query.into_inner();
    let listing = export::listing(&request, query.format.as_deref())?;
    let limit = paging::limit(query.limit)?;
    let begin = begin(query.cursor.as_deref())?;
    let filter = query.filter(&state.catalog, by.scope())?;
    if listing != Listing::Json {
        return Ok(export::stream("clusters", listing, move |cursor| {
            let page = self::begin(cursor.as_deref())
                .map(|begin| explained_page(&state, &filter, begin, MAX_PAGE));
            std::future::ready(page)
        }));
    }
    let version = paging::Version::of(&state);
    if let Some(known) = version.known_to(&request) {
        return Ok(known);
    }
    let page = explained_page(&state, &filter, begin, limit);
    Ok(version.on(paging::respond(&request, &page)))
}

/// List whose cursors name a row of the fleet.
const LIVE: &str = "clusters";
/// List whose cursors name a cluster of a dark site.
const DARK: &str = "dark-clusters";

/// Where a page begins: in the fleet after a row, or among dark sites after a cluster.
enum Begin {
    Live(Option<Slot>),
    Dark(After),
}

fn begin(cursor: Option<&str>) -> Result<Begin, ApiError> {
    let dark = cursor.and_then(|cursor| paging::last_of(DARK, cursor)).and_then(|last| {
        let (site, id) = last.split_once('/')?;
        Some(Begin::Dark((site.parse().ok()?, id.parse().ok()?)))
    });
    if let Some(begin) = dark {
        return Ok(begin);
    }
    let row: Option<u64> = paging::after(LIVE, cursor)?;
    Ok(Begin::Live(row.map(|last| u32::try_from(last).map_or(Slot(u32::MAX), Slot))))
}

/// The same with what rollouts say of every row.
fn explained_page(
    state: &HubState,
    filter: &ClusterFilter,
    begin: Begin,
    limit: usize,
) -> Page<ClusterRow> {
    let mut page = page(state, filter, begin, limit);
    rollouts::explain(state, &mut page.items);
    page
}

/// The fleet first, then dark sites; a page may hold the end of one and the beginning of the other.
fn page(state: &HubState, filter: &ClusterFilter, begin: Begin, limit: usize) -> Page<ClusterRow> {
    let sites = state.store.committed().sites();
    state.with_fleet(|fleet, view| {
        let (mut items, after) = match begin {
            Begin::Live(after) => {
                let (items, next) = fleet.page(filter, after, limit, view);
                if let Some(slot) = next {
                    return Page { items, next: Some(paging::cursor(LIVE, slot.0)) };
                }
                (items, None)
            }
            Begin::Dark(after) => (Vec::new(), Some(after)),
        };
        let room = limit.saturating_sub(items.len());
        let (dark, next) = sites.page(filter, after.as_ref(), room, view);
        // A page that ends exactly with the fleet leads on if anything is to come.
        let next = match next {
            Some((site, id)) => Some(paging::cursor(DARK, format!("{site}/{id}"))),
            None if room == 0 && sites.any(filter, view) => Some(paging::cursor(LIVE, u32::MAX)),
            None => None,
        };
        items.extend(dark);
        Page { items, next }
    })
}

/// A cluster that reports to this hub, by id or, for people, by name.
pub(super) fn find(state: &HubState, text: &str) -> Result<(ClusterRow, Slot), ApiError> {
    let found = state.with_fleet(|fleet, view| {
        let slot = match text.parse::<ClusterId>() {
            Ok(id) => fleet.slot(id)?,
            Err(_) => fleet.slot_of_name(text)?,
        };
        let id = fleet.record(slot)?.id;
        Some((fleet.cluster(id, view)?, slot))
    });
    found.ok_or_else(|| match find_dark(state, text).as_deref() {
        Some([row]) => {
            let site = row.site.as_ref().map_or("", SiteName::as_str);
            let detail = format!(
                "cluster {text:?} belongs to the dark site {site}: only its own hub can do that"
            );
            ApiError::new(Code::NotFound, detail)
        }
        Some(_) => {
            let detail = format!("several dark sites have a cluster {text:?}: ask by its id");
            ApiError::new(Code::NotFound, detail)
        }
        None => ApiError::new(Code::NotFound, format!("no cluster {text:?} in force")),
    })
}

/// A cluster that somebody of this scope may see. What lies outside is not there.
pub(in crate::http) fn find_seen(
    state: &HubState,
    scope: &Scope,
    text: &str,
) -> Result<(ClusterRow, Slot), ApiError> {
    let found = find(state, text);
    let is_seen =
        scope.is_whole() || found.as_ref().is_ok_and(|(row, _)| scope.contains(&row.labels));
    if is_seen {
        return found;
    }
    Err(ApiError::new(Code::NotFound, format!("no cluster {text:?} in force")))
}

/// A cluster that the caller may change.
pub(super) fn find_to_change<A: Needs>(
    state: &HubState,
    by: &Guarded<A>,
    text: &str,
) -> Result<(ClusterRow, Slot), ApiError> {
    let found = find(state, text);
    by.may_change(text, found.as_ref().ok().map(|(row, _)| &row.labels))?;
    found
}

/// Clusters of dark sites of this id or name; `None` if there are none.
fn find_dark(state: &HubState, text: &str) -> Option<Vec<ClusterRow>> {
    let sites = state.store.committed().sites();
    let found = state.with_fleet(|_, view| sites.find(text, view));
    (!found.is_empty()).then_some(found)
}

/// `GET /api/v1/clusters/{id or name}`
pub(super) async fn one(
    by: Guarded<Scoped<Viewer>>,
    state: web::Data<HubState>,
    path: web::Path<String>,
) -> Result<web::Json<ClusterRow>, ApiError> {
    whole(&state, by.scope(), &path).await.map(|(row, _)| web::Json(row))
}

/// One cluster that somebody of this scope may see, with its units; those of dark sites have no row
/// here.
pub(in crate::http) async fn whole(
    state: &web::Data<HubState>,
    scope: &Scope,
    path: &str,
) -> Result<(ClusterRow, Option<Slot>), ApiError> {
    let (mut row, slot) = match find_seen(state, scope, path) {
        Ok(found) => found,
        Err(error) if !scope.is_whole() => return Err(error),
        Err(error) => match find_dark(state, path).as_deref() {
            Some([row]) => return Ok((row.clone(), None)),
            _ => return Err(error),
        },
    };
    rollouts::explain(state, std::slice::from_mut(&mut row));
    let products: Vec<ProductRef> = row.products.iter().map(|p| p.product.clone()).collect();
    let units = from_disk(state, move |reader| {
        products.iter().map(|product| reader.units(slot, product)).collect::<Result<Vec<_>, _>>()
    })
    .await?;
    for (product, units) in row.products.iter_mut().zip(units) {
        product.units = units;
    }
    Ok((row, Some(slot)))
}

/// Parameters of a cluster's history.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HistoryQuery {
    limit: Option<usize>,
}

/// `GET /api/v1/clusters/{id or name}/history`
pub(super) async fn history(
    by: Guarded<Scoped<Viewer>>,
    state: web::Data<HubState>,
    path: web::Path<String>,
    query: web::Query<HistoryQuery>,
) -> Result<web::Json<Page<HistoryRow>>, ApiError> {
    let limit = paging::limit(query.limit)?;
    let (_, slot) = find_seen(&state, by.scope(), &path)?;
    let items = changes(&state, slot, limit).await?;
    Ok(web::Json(Page { items, next: None }))
}

/// The newest changes of a cluster, newest first.
pub(in crate::http) async fn changes(
    state: &web::Data<HubState>,
    slot: Slot,
    limit: usize,
) -> Result<Vec<HistoryRow>, ApiError> {
    from_disk(state, move |reader| reader.history(slot, limit)).await
}

/// What was done to a cluster, newest first.
pub(in crate::http) async fn actions_on(
    state: &web::Data<HubState>,
    id: ClusterId,
    limit: usize,
) -> Result<Vec<AuditRow>, ApiError> {
    from_disk(state, move |reader| reader.audit_of(&id.to_string(), None, limit)).await
}

/// `GET /api/v1/clusters/{id or name}/timeline`, newest first: what it reported, and for those who may
/// read the audit log what was done to it.
pub(super) async fn timeline(
    by: Guarded<Scoped<Viewer>>,
    names: Option<Guarded<Scoped<Operator>>>,
    state: web::Data<HubState>,
    path: web::Path<String>,
    request: HttpRequest,
    query: web::Query<paging::PageQuery>,
) -> Result<HttpResponse, ApiError> {
    const LIST: &str = "timeline";
    let (from, limit) = query.read_as::<Position>(LIST)?;
    let from = from.unwrap_or_default();
    let (row, slot) = find_seen(&state, by.scope(), &path)?;
    let (id, begin) = (row.id.to_string(), from.clone());
    let (changes, actions) = from_disk(&state, move |reader| {
        let changes = reader.history_before(slot, begin.history, limit)?;
        let actions = match names {
            Some(_) => reader.audit_of(&id, begin.audit, limit)?,
            None => Vec::new(),
        };
        Ok((changes, actions))
    })
    .await?;
    let (items, end) = merge(changes, actions, from, limit);
    let next = end.map(|end| paging::cursor(LIST, end));
    Ok(paging::respond(&request, &Page { items, next }))
}

/// `DELETE /api/v1/clusters/{id or name}`
pub(super) async fn retire(
    by: Guarded<Scoped<Operator>>,
    state: web::Data<HubState>,
    path: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    retired(&state, &by, &path).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Takes a cluster out of the fleet.
pub(in crate::http) async fn retired(
    state: &HubState,
    by: &Guarded<Scoped<Operator>>,
    named: &str,
) -> Result<(), ApiError> {
    let (row, _) = find_to_change(state, by, named)?;
    state.store.retire(row.id, by.actor.clone(), state.now()).await?;
    tracing::info!(cluster.id = %row.id, cluster.name = row.name, by = by.actor, "cluster retired");
    Ok(())
}

/// `PUT /api/v1/clusters/{id or name}/labels`
pub(super) async fn label(
    by: Guarded<Operator>,
    state: web::Data<HubState>,
    path: web::Path<String>,
    request: Json<LabelsRequest>,
) -> Result<web::Json<ClusterRow>, ApiError> {
    let patch = request.into_inner().labels;
    if let Err(error) = labels::check_patch(&patch) {
        return Err(ApiError::new(Code::Unprocessable, error.to_string()));
    }
    let (row, _) = find(&state, &path)?;
    let change = SetLabels { id: row.id, patch, by: by.actor.clone(), now: state.now() };
    state.store.set_labels(change).await?;
    tracing::info!(cluster.id = %row.id, cluster.name = row.name, by = by.actor, "labels set");
    Ok(web::Json(find(&state, &row.id.to_string())?.0))
}

/// `PUT /api/v1/clusters/{id or name}/settings`
pub(super) async fn set(
    by: Guarded<Operator>,
    state: web::Data<HubState>,
    path: web::Path<String>,
    request: Json<SettingsRequest>,
) -> Result<web::Json<ClusterRow>, ApiError> {
    settled(&state, &by, &path, request.into_inner()).await.map(web::Json)
}

/// Sets what the hub wants of one product of a cluster.
pub(in crate::http) async fn settled(
    state: &HubState,
    by: &Guarded<Operator>,
    named: &str,
    request: SettingsRequest,
) -> Result<ClusterRow, ApiError> {
    let SettingsRequest { product, change } = request;
    let (row, _) = find(state, named)?;
    let (id, now) = (row.id, state.now());
    let change = SetSettings { id, product, patch: change, by: by.actor.clone(), now };
    state.store.set_settings(change).await?;
    tracing::info!(cluster.id = %id, cluster.name = row.name, by = by.actor, "settings set");
    Ok(find(state, &id.to_string())?.0)
}

/// `POST /api/v1/clusters/{id or name}/revoke`
pub(super) async fn revoke(
    by: Guarded<Scoped<Operator>>,
    state: web::Data<HubState>,
    path: web::Path<String>,
    request: Json<RevokeRequest>,
) -> Result<web::Json<ClusterRow>, ApiError> {
    let reason = text("reason", &request.into_inner().reason)?;
    let (row, _) = find_to_change(&state, &by, &path)?;
    let revoke = Revoke { id: row.id, reason, by: by.actor.clone(), now: state.now() };
    state.store.revoke(revoke).await?;
    tracing::info!(cluster.id = %row.id, cluster.name = row.name, by = by.actor, "key revoked");
    Ok(web::Json(find(&state, &row.id.to_string())?.0))
}

/// `POST /api/v1/clusters/{id or name}/trust`
pub(super) async fn trust(
    by: Guarded<Scoped<Operator>>,
    state: web::Data<HubState>,
    path: web::Path<String>,
    request: Json<TrustRequest>,
) -> Result<web::Json<ClusterRow>, ApiError> {
    let acknowledge = text("acknowledge", &request.into_inner().acknowledge)?;
    let (row, _) = find_to_change(&state, &by, &path)?;
    let trust = Trust { id: row.id, acknowledge, by: by.actor.clone(), now: state.now() };
    state.store.trust(trust).await?;
    tracing::info!(
        cluster.id = %row.id, cluster.name = row.name, by = by.actor, "identity conflict ended"
    );
    Ok(web::Json(find(&state, &row.id.to_string())?.0))
}
