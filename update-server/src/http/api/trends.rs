//! `/api/v1/trends`: how the fleet was, by product and channel.

use actix_web::{HttpRequest, HttpResponse, web};
use channels::names::{ChannelName, ProductRef};
use channels::wire::{TrendLag, TrendPoint, TrendsAnswer};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::super::negotiate::Listing;
use super::super::problem::{ApiError, Code};
use super::export::Export;
use super::paging::Version;
use super::state::from_disk;
use super::{Guarded, HubState, Viewer, export};
use crate::store::TrendQuestion;
use crate::telemetry::{MAX_POINTS, MAX_STEPS, NOTE_EVERY_S, USUAL_STEPS, step_of};

/// What is told unless `from` says otherwise.
const USUAL_SPAN: SignedDuration = SignedDuration::from_hours(24);
/// Longest step: the longest time that notes are kept.
const MAX_STEP_S: i64 = 3_650 * 86_400;

/// Parameters of the answer.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TrendsQuery {
    product: Option<ProductRef>,
    channel: Option<ChannelName>,
    /// A day before `to` if not given.
    from: Option<Timestamp>,
    /// Now if not given.
    to: Option<Timestamp>,
    /// `5m`, `1h`: a multiple of five minutes; the shortest one with at most 288 steps if not given.
    step: Option<SignedDuration>,
    /// `json`, `ndjson` or `csv`.
    format: Option<String>,
}

impl TrendsQuery {
    /// What to read, in whole steps.
    fn question(&self, now: Timestamp) -> Result<TrendQuestion, ApiError> {
        let refuse = |detail: String| ApiError::new(Code::InvalidRequest, detail);
        let to = self.to.unwrap_or(now);
        let before = || to.checked_sub(USUAL_SPAN).unwrap_or(Timestamp::MIN);
        let from = self.from.unwrap_or_else(before);
        let span_s = to.duration_since(from).as_secs();
        if span_s <= 0 {
            return Err(refuse(format!("from ({from}) must be before to ({to})")));
        }
        let step_s = match self.step {
            Some(step) => step.as_secs(),
            None => (span_s / USUAL_STEPS)
                .div_euclid(NOTE_EVERY_S)
                .saturating_add(1)
                .saturating_mul(NOTE_EVERY_S),
        };
        // A span that is so many steps to the second needs none more.
        let step_s = if self.step.is_none() && (step_s - NOTE_EVERY_S) * USUAL_STEPS >= span_s {
            step_s - NOTE_EVERY_S
        } else {
            step_s
        };
        if !(NOTE_EVERY_S..=MAX_STEP_S).contains(&step_s) || step_s % NOTE_EVERY_S != 0 {
            return Err(refuse(
                "step must be a multiple of five minutes, up to ten years".to_owned(),
            ));
        }
        let end = |at: Timestamp| {
            let begin = step_of(at, step_s);
            let next = begin.checked_add(SignedDuration::from_secs(step_s)).unwrap_or(begin);
            if begin == at { at } else { next }
        };
        let (from, to) = (step_of(from, step_s), end(to));
        let steps = to.duration_since(from).as_secs() / step_s;
        if steps > MAX_STEPS {
            return Err(refuse(format!(
                "{steps} steps are more than {MAX_STEPS}: ask for longer steps or less time"
            )));
        }
        let (product, channel) = (self.product.clone(), self.channel.clone());
        Ok(TrendQuestion { product, channel, from, to, step_s })
    }
}

/// `GET /api/v1/trends`. The notes are of the whole fleet, so not for callers confined to a part of it.
pub(super) async fn trends(
    _: Guarded<Viewer>,
    state: web::Data<HubState>,
    request: HttpRequest,
    query: web::Query<TrendsQuery>,
) -> Result<HttpResponse, ApiError> {
    let now = state.now();
    let listing = export::listing(&request, query.format.as_deref())?;
    let question = query.question(now)?;
    let noted = state.store.committed().last_trend_note();
    let version = Version::of_notes(&state, noted, question.to);
    if let Some(known) = version.known_to(&request).filter(|_| listing == Listing::Json) {
        return Ok(known);
    }
    let (from, to) = (question.from, question.to);
    let step_s = u64::try_from(question.step_s).unwrap_or(0);
    let series = from_disk(&state, move |reader| reader.trends(&question)).await?;
    let Some(series) = series else {
        let detail = format!(
            "more than {MAX_POINTS} points: name a product or a channel, or ask for longer steps"
        );
        return Err(ApiError::new(Code::InvalidRequest, detail));
    };
    if listing == Listing::Json {
        let answer = TrendsAnswer { at: now, from, to, step_s, series };
        return Ok(version.on(HttpResponse::Ok().json(answer)));
    }
    let lines = series.into_iter().flat_map(|series| {
        let (product, channel) = (series.product, series.channel);
        series.points.into_iter().map(move |point| TrendLine {
            product: product.clone(),
            channel: channel.clone(),
            point,
        })
    });
    Ok(export::whole("trends", listing, lines.collect()))
}

/// A point with the names of its series.
#[derive(Debug, Clone, Serialize)]
struct TrendLine {
    #[serde(skip_serializing_if = "Option::is_none")]
    product: Option<ProductRef>,
    #[serde(skip_serializing_if = "Option::is_none")]
    channel: Option<ChannelName>,
    point: TrendPoint,
}

impl Export for TrendLine {
    const COLUMNS: &'static [&'static str] = &[
        "product",
        "channel",
        "at",
        "notes",
        "fresh",
        "late",
        "silent",
        "gone",
        "healthy",
        "unhealthy",
        "unknown",
        "quorum_lag_known",
        "quorum_lag_p50_ms",
        "quorum_lag_p95_ms",
        "quorum_lag_worst_ms",
        "pleg_lag_known",
        "pleg_lag_p50_ms",
        "pleg_lag_p95_ms",
        "pleg_lag_worst_ms",
        "phases",
        "versions",
    ];

    fn cells(&self) -> Vec<Vec<String>> {
        let TrendPoint { at, notes, figures } = &self.point;
        let name = |name: Option<String>| name.unwrap_or_else(|| "other".to_owned());
        let phases: Vec<String> =
            figures.phases.iter().map(|n| format!("{}: {}", n.phase, n.clusters)).collect();
        let versions: Vec<String> = figures
            .versions
            .iter()
            .map(|n| {
                let version = name(n.version.as_ref().map(ToString::to_string));
                format!("{version}: {}", n.clusters)
            })
            .collect();
        let mut line = vec![
            name(self.product.as_ref().map(ToString::to_string)),
            name(self.channel.as_ref().map(ToString::to_string)),
            at.to_string(),
            notes.to_string(),
        ];
        let counts = [
            figures.fresh,
            figures.late,
            figures.silent,
            figures.gone,
            figures.healthy,
            figures.unhealthy,
            figures.unknown,
        ];
        line.extend(counts.iter().map(ToString::to_string));
        line.extend(lag(figures.quorum_lag));
        line.extend(lag(figures.pleg_lag));
        line.extend([phases.join("; "), versions.join("; ")]);
        vec![line]
    }
}

fn lag(lag: TrendLag) -> [String; 4] {
    let cell = |ms: Option<u64>| ms.map_or_else(String::new, |ms| ms.to_string());
    [lag.known.to_string(), cell(lag.p50_ms), cell(lag.p95_ms), cell(lag.worst_ms)]
}
