//! `POST /api/v1/reports`: a cluster tells, the hub answers what it may do.

use actix_web::http::header::{CONTENT_TYPE, HeaderValue};
use actix_web::web::{self, Payload};
use actix_web::{HttpRequest, HttpResponse};
use channels::names::ClusterId;
use channels::wire::{ProductState, Report, ReportReply, media_type};
use jiff::Timestamp;
use tokio::time::Instant;

use super::super::problem::{ApiError, Code};
use super::{HubState, body, signature};
use crate::store::AcceptedReport;

/// Longest agent version kept.
pub(super) const MAX_AGENT_VERSION_BYTES: usize = 64;
/// A reply about two products that asked for nothing.
const USUAL_REPLY_BYTES: usize = 512;
const REPLY_TYPE: HeaderValue = HeaderValue::from_static(media_type::REPORT_REPLY);

/// The handler: receives, and counts and logs how it went.
pub(super) async fn post(
    state: web::Data<HubState>,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, ApiError> {
    let started = Instant::now();
    let mut cluster = None;
    let result = receive(&state, &request, payload, &mut cluster).await;
    let metrics = &state.metrics;
    let cluster = cluster.map(tracing::field::display);
    match result {
        Ok(reply) => {
            metrics.count_report_ok();
            metrics.observe_ack(started.elapsed());
            tracing::debug!(cluster.id = cluster, report.seq = reply.seq, "report committed");
            let mut json = Vec::with_capacity(USUAL_REPLY_BYTES);
            serde_json::to_writer(&mut json, &reply)
                .map_err(|error| ApiError::internal("write a reply", &error))?;
            Ok(HttpResponse::Ok().insert_header((CONTENT_TYPE, REPLY_TYPE)).body(json))
        }
        Err(error) => {
            let reason = error.code().slug();
            metrics.count_report(reason);
            tracing::warn!(cluster.id = cluster, reason, detail = error.detail(), "report refused");
            Err(error)
        }
    }
}

async fn receive(
    state: &web::Data<HubState>,
    request: &HttpRequest,
    payload: Payload,
    cluster: &mut Option<ClusterId>,
) -> Result<ReportReply, ApiError> {
    let encoding = body::check_packed(request, media_type::REPORT)?;
    let body = body::read(request, payload, Report::MAX_BYTES).await?;
    let now = state.now();
    let signed = signature::identify_in_crowd(state, request, &body, now).await?;
    let (signer, body_digest) = (signed.cluster, signed.body);
    *cluster = Some(signer.id);
    let body = encoding.unpack(body, Report::MAX_BYTES)?;
    let report: Report = serde_json::from_slice(&body)
        .map_err(|error| ApiError::new(Code::InvalidJson, format!("not a report: {error}")))?;
    if report.cluster.id != signer.id {
        let detail = format!("cluster {} signed for cluster {}", signer.id, report.cluster.id);
        return Err(ApiError::new(Code::Forbidden, detail));
    }
    check(&report).map_err(|detail| ApiError::new(Code::Unprocessable, detail))?;
    let floor_s = state.settings.limits.report_floor_s;
    let hurries = state.store.committed().fleet().hurries(signer.slot, &report, floor_s, now);
    if let Some(wait_s) = hurries {
        let detail = format!("less than {floor_s} s after the report before, and nothing new");
        return Err(ApiError::new(Code::RateLimited, detail).with_retry_after(wait_s));
    }
    observe_skew(state, report.cluster.sent_at, now);
    let accepted = AcceptedReport {
        slot: signer.slot,
        key: signer.key.id,
        report,
        body_digest,
        received_at: now,
    };
    Ok(state.store.report(accepted).await?)
}

/// The limits a report keeps to.
fn check(report: &Report) -> Result<(), String> {
    let header = &report.cluster;
    // SQLite's integers; no agent counts that far.
    if i64::try_from(header.seq).is_err() {
        return Err(format!("seq {} is out of range", header.seq));
    }
    if header.agent_version.len() > MAX_AGENT_VERSION_BYTES {
        return Err(format!("agent_version has more than {MAX_AGENT_VERSION_BYTES} bytes"));
    }
    let products = &report.products;
    if products.len() > Report::MAX_PRODUCTS {
        return Err(format!("{} products, at most {}", products.len(), Report::MAX_PRODUCTS));
    }
    if products.is_empty() && report.full {
        return Err("a full report lists at least one product".to_owned());
    }
    let twice = |(n, state): (usize, &ProductState)| {
        products.iter().take(n).any(|before| before.product == state.product)
    };
    if products.iter().enumerate().any(twice) {
        return Err("a product is listed twice".to_owned());
    }
    for state in products {
        let (units, reasons) = (state.units.len(), state.waiting_on.len());
        if units > Report::MAX_UNITS {
            return Err(format!("{}: {units} units, at most {}", state.product, Report::MAX_UNITS));
        }
        if reasons > Report::MAX_REASONS {
            let max = Report::MAX_REASONS;
            return Err(format!("{}: {reasons} reasons, at most {max}", state.product));
        }
        let (accepted, max) = (state.accepted_risks.len(), Report::MAX_ACCEPTED_RISKS);
        if accepted > max {
            return Err(format!("{}: {accepted} accepted risks, at most {max}", state.product));
        }
    }
    Ok(())
}

fn observe_skew(state: &HubState, sent_at: Timestamp, now: Timestamp) {
    let skew = now.duration_since(sent_at).abs();
    state.metrics.agent_clock_skew_seconds.observe(skew.as_secs_f64());
}
