//! `/api/v1/webhooks`: where events are sent.

use actix_web::{HttpRequest, HttpResponse, web};
use channels::wire::{NewWebhook, Page, Webhook, WebhookAttempt, WebhookRequest};

use super::super::problem::{ApiError, Code};
use super::body::Json;
use super::state::from_disk;
use super::{Admin, Guarded, HubState, paging};
use crate::store::{NewWebhookRow, Retried, WebhookRecord};
use crate::webhooks::{
    Client, Deliveries, DeliveryError, MAX_KINDS, check_url, is_kind, new_secret,
};

fn shown(record: &WebhookRecord, deliveries: &Deliveries) -> Webhook {
    let trouble = deliveries.trouble(record.id);
    Webhook {
        id: record.id,
        url: record.url.clone(),
        kinds: record.kinds.clone(),
        created_at: record.created_at,
        created_by: record.created_by.clone(),
        behind: record.newest.saturating_sub(record.after),
        dead: record.dead,
        failures: trouble.as_ref().map_or(0, |trouble| trouble.failures),
        retry_at: trouble.as_ref().map(|trouble| trouble.retry_at),
        last_error: trouble.map(|trouble| trouble.error),
    }
}

/// `GET /api/v1/webhooks`
pub(super) async fn list(
    _: Guarded<Admin>,
    state: web::Data<HubState>,
) -> Result<web::Json<Page<Webhook>>, ApiError> {
    let records = from_disk(&state, crate::store::Reader::webhooks).await?;
    let items = records.iter().map(|record| shown(record, &state.deliveries)).collect();
    Ok(web::Json(Page { items, next: None }))
}

/// `POST /api/v1/webhooks`
pub(super) async fn create(
    by: Guarded<Admin>,
    state: web::Data<HubState>,
    request: Json<WebhookRequest>,
) -> Result<HttpResponse, ApiError> {
    let WebhookRequest { url, mut kinds } = request.into_inner();
    let refuse = |detail: String| ApiError::new(Code::Unprocessable, detail);
    check_url(&url, state.settings.webhooks_to_local_addresses)
        .map_err(|error| refuse(error.to_string()))?;
    kinds.sort();
    kinds.dedup();
    if kinds.is_empty() || kinds.len() > MAX_KINDS || !kinds.iter().all(|kind| is_kind(kind)) {
        return Err(refuse(format!(
            "kinds must name 1 to {MAX_KINDS} kinds of a-z, 0-9, _ and dots, such as hold or rollout.*"
        )));
    }
    let secret = new_secret().map_err(|error| ApiError::internal("make a secret", &error))?;
    let new = NewWebhookRow { url, kinds, secret, by: by.actor, now: state.now() };
    let record = state.store.create_webhook(new).await?;
    tracing::info!(webhook = record.id, by = record.created_by, "webhook made");
    let webhook = shown(&record, &state.deliveries);
    Ok(HttpResponse::Created().json(NewWebhook { webhook, secret: record.secret }))
}

/// `DELETE /api/v1/webhooks/{id}`
pub(super) async fn delete(
    by: Guarded<Admin>,
    state: web::Data<HubState>,
    path: web::Path<u64>,
) -> Result<HttpResponse, ApiError> {
    state.store.delete_webhook(*path, by.actor.clone(), state.now()).await?;
    tracing::info!(webhook = *path, by = by.actor, "webhook removed");
    Ok(HttpResponse::NoContent().finish())
}

/// `GET /api/v1/webhooks/{id}/dead`, newest first
pub(super) async fn dead(
    _: Guarded<Admin>,
    state: web::Data<HubState>,
    request: HttpRequest,
    path: web::Path<u64>,
    query: web::Query<paging::PageQuery>,
) -> Result<HttpResponse, ApiError> {
    const LIST: &str = "dead";
    let (id, (before, limit)) = (*path, query.read(LIST)?);
    let found = from_disk(&state, move |reader| {
        let known = reader.webhooks()?.iter().any(|webhook| webhook.id == id);
        let rows = reader.dead_deliveries(id, before, limit)?;
        Ok(known.then_some(rows))
    })
    .await?;
    let items = found.ok_or_else(|| ApiError::new(Code::NotFound, format!("no webhook {id}")))?;
    let page = paging::newest_first(LIST, items, limit, |row| row.id);
    Ok(paging::respond(&request, &page))
}

/// The webhook of a number.
async fn one(state: &web::Data<HubState>, id: u64) -> Result<WebhookRecord, ApiError> {
    let records = from_disk(state, crate::store::Reader::webhooks).await?;
    records
        .into_iter()
        .find(|record| record.id == id)
        .ok_or_else(|| ApiError::new(Code::NotFound, format!("no webhook {id}")))
}

/// For one attempt that a person waits for; workers have their own.
fn client(state: &HubState) -> Result<Client, ApiError> {
    Client::new(state.settings.webhooks_to_local_addresses)
        .map_err(|error| ApiError::internal("make the client of webhooks", &error))
}

fn attempt(outcome: Result<(), DeliveryError>) -> WebhookAttempt {
    let error = outcome.err().map(|error| error.to_string());
    WebhookAttempt { delivered: error.is_none(), error }
}

/// `POST /api/v1/webhooks/{id}/test`: one attempt with an event that is none
pub(super) async fn test(
    by: Guarded<Admin>,
    state: web::Data<HubState>,
    path: web::Path<u64>,
) -> Result<web::Json<WebhookAttempt>, ApiError> {
    let webhook = one(&state, *path).await?;
    let outcome = client(&state)?.send_test(&webhook, &by.actor, state.now()).await;
    tracing::info!(webhook = webhook.id, by = by.actor, ?outcome, "webhook tried");
    Ok(web::Json(attempt(outcome)))
}

/// `POST /api/v1/webhooks/{id}/dead/{dead}/retry`: one attempt at an event that was given up on; it
/// leaves the list if it is taken
pub(super) async fn retry(
    by: Guarded<Admin>,
    state: web::Data<HubState>,
    path: web::Path<(u64, u64)>,
) -> Result<web::Json<WebhookAttempt>, ApiError> {
    let (id, dead) = *path;
    let webhook = one(&state, id).await?;
    let found = from_disk(&state, move |reader| {
        let rows = reader.dead_deliveries(id, dead.checked_add(1), 1)?;
        let Some(given_up) = rows.into_iter().find(|row| row.id == dead) else { return Ok(None) };
        let before = given_up.audit.saturating_sub(1);
        Ok(reader.audit_after(before, 1)?.into_iter().find(|row| row.id == given_up.audit))
    })
    .await?;
    let row = found.ok_or_else(|| {
        let detail = format!("webhook {id} has given up on no event {dead}");
        ApiError::new(Code::NotFound, detail)
    })?;
    let outcome = client(&state)?.send_row(&webhook, &row, state.now()).await;
    tracing::info!(webhook = id, audit = row.id, by = by.actor, ?outcome, "delivery retried");
    let attempt = attempt(outcome);
    let (audit, error) = (row.id, attempt.error.clone());
    let (by, now) = (by.actor, state.now());
    state.store.webhook_retried(Retried { webhook: id, dead, audit, error, by, now }).await?;
    Ok(web::Json(attempt))
}
