//! `POST /api/v1/bulk`: one change to many clusters, shown first and done only as it was shown.

use std::time::Duration;

use actix_web::web;
use channels::names::ClusterId;
use channels::rollout::labels;
use channels::wire::{
    BulkAction, BulkFilter, BulkItem, BulkReply, BulkRequest, Freshness, HealthVerdict, Phase,
};
use jiff::Timestamp;

use super::super::problem::{ApiError, Code};
use super::body::Json;
use super::clusters::{FRESHNESS, PHASES, VERDICTS, one_of, selector};
use super::holds::text;
use super::join_tokens::{self, Minted};
use super::{Guarded, HubState, Operator};
use crate::bulk::{self, MAX_CLUSTERS, MAX_LISTED, MAX_REINVITED, PIECE, Piece, Planned};
use crate::fleet::ClusterFilter;
use crate::store::{BulkDone, BulkWork, Refusal};

/// A full queue of writes drains in seconds: waits of this length, at most so many in a row.
const BUSY_WAIT: Duration = Duration::from_millis(250);
const BUSY_WAITS_MAX: u32 = 40;

/// The handler.
pub(super) async fn post(
    by: Guarded<Operator>,
    state: web::Data<HubState>,
    request: Json<BulkRequest>,
) -> Result<web::Json<BulkReply>, ApiError> {
    let BulkRequest { filter, action, expect } = request.into_inner();
    check(&action)?;
    let planned = plan(&state, read(filter)?, action.clone()).await?;
    let Some(agreed) = expect else {
        let Planned { mut items, unchanged, expect } = planned;
        items.truncate(MAX_LISTED);
        return Ok(web::Json(BulkReply { expect, unchanged, done: 0, next: None, items }));
    };
    if agreed != planned.expect {
        let detail = format!(
            "{} clusters would change by now, and not as they were shown; nothing was done: look \
             at a new preview",
            planned.expect.clusters
        );
        return Err(ApiError::new(Code::SelectionChanged, detail));
    }
    let reply = run(&state, &by.actor, &action, planned).await?;
    tracing::info!(
        by = by.actor,
        clusters = reply.done,
        left = reply.next.map_or(0, |next| next.clusters),
        action = name(&action),
        "bulk change done"
    );
    Ok(web::Json(reply))
}

fn name(action: &BulkAction) -> &'static str {
    match action {
        BulkAction::Label { .. } => "label",
        BulkAction::Set { .. } => "set",
        BulkAction::Retire => "retire",
        BulkAction::Revoke { .. } => "revoke",
        BulkAction::Reinvite { .. } => "reinvite",
    }
}

/// What no cluster's state can make right.
fn check(action: &BulkAction) -> Result<(), ApiError> {
    let refuse = |detail: String| Err(ApiError::new(Code::Unprocessable, detail));
    match action {
        BulkAction::Label { labels: patch } if patch.is_empty() => {
            refuse("labels: nothing would change".to_owned())
        }
        BulkAction::Label { labels: patch } => {
            labels::check_patch(patch).or_else(|error| refuse(error.to_string()))
        }
        BulkAction::Set { change, .. } if change.is_empty() => {
            refuse("change: nothing would change".to_owned())
        }
        BulkAction::Reinvite { expires_in_s, note } => {
            join_tokens::check_reinvite(*expires_in_s, note)
        }
        BulkAction::Revoke { reason } => text("reason", reason).map(drop),
        BulkAction::Set { .. } | BulkAction::Retire => Ok(()),
    }
}

fn read(filter: BulkFilter) -> Result<ClusterFilter, ApiError> {
    // A prefix that every name has says nothing.
    let said = BulkFilter { name: filter.name.clone().filter(|n| !n.is_empty()), ..filter.clone() };
    if said == BulkFilter::default() {
        let detail = "filter: say which clusters, or `all` for the whole fleet";
        return Err(ApiError::new(Code::Unprocessable, detail));
    }
    let freshness = filter.freshness.as_deref();
    Ok(ClusterFilter {
        // Callers who are confined to some clusters are refused before.
        scope: crate::auth::Scope::whole(),
        phase: one_of("phase", filter.phase.as_deref(), &PHASES, Phase::as_str)?,
        health: one_of("health", filter.health.as_deref(), &VERDICTS, HealthVerdict::as_str)?,
        product: filter.product,
        channel: filter.channel,
        version: filter.version,
        freshness: one_of("freshness", freshness, &FRESHNESS, Freshness::as_str)?,
        name_prefix: filter.name,
        selector: filter.selector.as_deref().map(selector).transpose()?,
        ..ClusterFilter::default()
    })
}

/// Plans on a thread that may take its time: a digest over a hundred thousand clusters.
async fn plan(
    state: &web::Data<HubState>,
    filter: ClusterFilter,
    action: BulkAction,
) -> Result<Planned, ApiError> {
    let max = match action {
        BulkAction::Reinvite { .. } => MAX_REINVITED,
        BulkAction::Label { .. }
        | BulkAction::Set { .. }
        | BulkAction::Retire
        | BulkAction::Revoke { .. } => MAX_CLUSTERS,
    };
    let state = state.clone();
    let work = move || {
        let selected = state.store.committed().fleet().select(&filter, state.now(), max)?;
        Some(bulk::plan(selected, &action))
    };
    let planned =
        web::block(work).await.map_err(|error| ApiError::internal("plan a bulk change", &error))?;
    planned.ok_or_else(|| {
        let detail = format!("more than {max} clusters match; narrow the filter");
        ApiError::new(Code::Unprocessable, detail)
    })
}

/// Does the first piece of what was agreed to, all of it or nothing.
async fn run(
    state: &HubState,
    by: &str,
    action: &BulkAction,
    planned: Planned,
) -> Result<BulkReply, ApiError> {
    let Planned { items, unchanged, expect } = planned;
    let Piece { items: piece, next } = bulk::piece(items, PIECE, action);
    let ids = piece.iter().filter(|item| item.refused.is_none()).map(|item| item.id).collect();
    let (work, minted) = work(action, ids, by, state.now())?;
    let done = submit(state, work).await?;
    let mut reply = BulkReply { expect, unchanged, done: done.done, next, items: Vec::new() };
    tell(&mut reply.items, &piece, &done, minted);
    Ok(reply)
}

/// The piece as the store takes it, and the tokens that are made with it.
fn work(
    action: &BulkAction,
    ids: Vec<ClusterId>,
    by: &str,
    now: Timestamp,
) -> Result<(BulkWork, Vec<Minted>), ApiError> {
    let by = by.to_owned();
    Ok(match action {
        BulkAction::Label { labels } => {
            (BulkWork::Label { ids, patch: labels.clone(), by, now }, Vec::new())
        }
        BulkAction::Set { product, change } => {
            let (product, patch) = (product.clone(), change.clone());
            (BulkWork::Set { ids, product, patch, by, now }, Vec::new())
        }
        BulkAction::Retire => (BulkWork::Retire { ids, by, now }, Vec::new()),
        BulkAction::Revoke { reason } => {
            let reason = text("reason", reason)?;
            (BulkWork::Revoke { ids, reason, by, now }, Vec::new())
        }
        BulkAction::Reinvite { expires_in_s, note } => {
            let mint = |id| join_tokens::mint_for(id, *expires_in_s, note, &by, now);
            let minted = ids.into_iter().map(mint).collect::<Result<Vec<_>, _>>()?;
            let new = minted.iter().map(|minted| minted.new.clone()).collect();
            (BulkWork::Reinvite { new }, minted)
        }
    })
}

/// Hands the piece to the writer; agents' reports go before while the queue is full.
async fn submit(state: &HubState, work: BulkWork) -> Result<BulkDone, Refusal> {
    for _ in 0..BUSY_WAITS_MAX {
        match state.store.bulk(work.clone()).await {
            Err(Refusal::Busy) => tokio::time::sleep(BUSY_WAIT).await,
            answer => return answer,
        }
    }
    state.store.bulk(work).await
}

/// The first clusters, every one that was refused, and every token.
fn tell(items: &mut Vec<BulkItem>, piece: &[BulkItem], done: &BulkDone, minted: Vec<Minted>) {
    let mut tokens = minted.into_iter();
    for item in piece {
        let mut item = item.clone();
        let token = if item.refused.is_none() { tokens.next() } else { None };
        if let Some((_, why)) = done.refused.iter().find(|(id, _)| *id == item.id) {
            item.refused = Some(why.clone());
            item.changes.clear();
        }
        item.token = token.filter(|_| item.refused.is_none()).map(|minted| minted.token);
        if items.len() < MAX_LISTED || item.refused.is_some() || item.token.is_some() {
            items.push(item);
        }
    }
}
