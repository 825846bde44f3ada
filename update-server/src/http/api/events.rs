//! `/api/v1/events`: server-sent events with resume.
//!
//! A stream begins with the fleet's counters, then tells events as they are committed. `Last-Event-ID`
//! goes on after that event; where it cannot, or where a reader is so slow that events it has not read
//! are gone, the stream says `resync` first: whoever draws from it loads its resources anew.

use std::collections::BTreeSet;
use std::sync::Arc;

use actix_web::http::header::{CACHE_CONTROL, HeaderName, HeaderValue};
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse, web};
use channels::wire::{FleetCounters, HubEvent};
use futures_util::stream;
use serde::Deserialize;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::{Duration, Instant, timeout};

use super::super::problem::{ApiError, Code};
use super::{Guarded, HubState, Operator, Viewer};
use crate::events::{Bus, Since, fleet_counters, is_for_viewers};

/// Proxies close what is silent for longer; half a minute is the shortest of their usual limits.
const COMMENT_EVERY: Duration = Duration::from_secs(15);
/// Counters are looked at this often.
const COUNTERS_EVERY: Duration = Duration::from_secs(1);
/// Events in one piece of the answer: what waits in memory for one reader.
const MAX_PIECE: usize = 64;
/// A stream ends after this long and its reader comes back: revoked tokens lose it too.
const MAX_STREAM: Duration = Duration::from_hours(1);
/// Kinds in one question.
const MAX_KINDS: usize = 50;
/// When to try again while all places are taken, in seconds.
const PLACES_RETRY_S: u64 = 30;
/// A reader that lost its stream comes back after three seconds.
const RETRY: &str = "retry: 3000\n\n";

/// Parameters of the stream.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EventsQuery {
    /// Only these kinds, separated by commas; `fleet` for the counters.
    kinds: Option<String>,
}

/// `GET /api/v1/events`
pub(super) async fn stream(
    _: Guarded<Viewer>,
    names: Option<Guarded<Operator>>,
    state: web::Data<HubState>,
    request: HttpRequest,
    query: web::Query<EventsQuery>,
) -> Result<HttpResponse, ApiError> {
    let kinds = kinds(query.kinds.as_deref())?;
    let bus = state.store.committed().events().clone();
    let place = bus.place().ok_or_else(|| {
        ApiError::new(Code::RateLimited, "as many listeners as there may be")
            .with_retry_after(PLACES_RETRY_S)
    })?;
    let last = request.headers().get("last-event-id").and_then(|id| id.to_str().ok());
    let resumed = last.and_then(|id| bus.position(id));
    let listener = Listener {
        position: resumed.unwrap_or_else(|| bus.newest()),
        told: bus.listen(),
        closed: bus.closed(),
        bus,
        state,
        kinds,
        sees_all: names.is_some(),
        counters: None,
        begun: Instant::now(),
        quiet_since: Instant::now(),
        stage: Stage::New { lost: last.is_some() && resumed.is_none() },
        _place: place,
    };
    Ok(HttpResponse::Ok()
        .content_type("text/event-stream")
        .insert_header((CACHE_CONTROL, "no-store"))
        // nginx would collect the stream otherwise.
        .insert_header((
            HeaderName::from_static("x-accel-buffering"),
            HeaderValue::from_static("no"),
        ))
        .streaming(stream::unfold(listener, |mut listener| async move {
            let piece = listener.next().await?;
            Some((Ok::<_, std::convert::Infallible>(Bytes::from(piece)), listener))
        })))
}

fn kinds(text: Option<&str>) -> Result<Option<BTreeSet<String>>, ApiError> {
    let Some(text) = text else { return Ok(None) };
    let kinds: BTreeSet<String> =
        text.split(',').map(str::trim).filter(|kind| !kind.is_empty()).map(str::to_owned).collect();
    if kinds.is_empty() || kinds.len() > MAX_KINDS {
        let detail = format!("kinds must name 1 to {MAX_KINDS} kinds, separated by commas");
        return Err(ApiError::new(Code::InvalidRequest, detail));
    }
    Ok(Some(kinds))
}

/// How far a stream has come.
enum Stage {
    /// Nothing was said; `lost` if the reader named a position that is not known here.
    New {
        /// It has to load everything anew.
        lost: bool,
    },
    /// It reads.
    Reading,
    /// Told to come back.
    Over,
}

/// One reader's stream.
struct Listener {
    bus: Bus,
    state: web::Data<HubState>,
    kinds: Option<BTreeSet<String>>,
    /// Whether it may read the audit log too.
    sees_all: bool,
    position: u64,
    told: watch::Receiver<u64>,
    closed: watch::Receiver<bool>,
    counters: Option<Arc<FleetCounters>>,
    begun: Instant,
    quiet_since: Instant,
    stage: Stage,
    _place: OwnedSemaphorePermit,
}

impl Listener {
    /// The next piece of the stream; `None` ends it.
    async fn next(&mut self) -> Option<String> {
        let mut piece = String::new();
        match std::mem::replace(&mut self.stage, Stage::Reading) {
            Stage::New { lost } => {
                piece.push_str(RETRY);
                if lost {
                    piece.push_str(&resync(&self.bus.id(self.position)));
                }
            }
            Stage::Over => return None,
            Stage::Reading => {}
        }
        loop {
            if *self.closed.borrow() || self.begun.elapsed() > MAX_STREAM {
                return None;
            }
            self.told.mark_unchanged();
            self.events(&mut piece);
            self.counted(&mut piece);
            if piece.is_empty() && self.quiet_since.elapsed() >= COMMENT_EVERY {
                piece.push_str(": still here\n\n");
            }
            if !piece.is_empty() {
                self.quiet_since = Instant::now();
                return Some(piece);
            }
            tokio::select! {
                // Both senders live as long as the bus, which this holds.
                _ = timeout(COUNTERS_EVERY, self.told.changed()) => {}
                _ = self.closed.changed() => {}
            }
        }
    }

    fn events(&mut self, piece: &mut String) {
        match self.bus.since(self.position, MAX_PIECE) {
            Since::Events(events) => {
                for told in &events {
                    self.position = told.number;
                    if let Some(event) = self.shown(&told.event) {
                        piece.push_str(&frame(Some(&event.id), &event.kind, &event));
                    }
                }
            }
            Since::Overrun => {
                // It reads more slowly than things happen; the ring keeps nothing for it.
                self.stage = Stage::Over;
                piece.push_str(&resync(&self.bus.id(self.bus.newest())));
            }
        }
    }

    fn shown(&self, event: &HubEvent) -> Option<HubEvent> {
        let asked = self.kinds.as_ref().is_none_or(|kinds| kinds.contains(&event.kind));
        if !asked || !(self.sees_all || is_for_viewers(&event.kind)) {
            return None;
        }
        let actor = event.actor.clone().filter(|_| self.sees_all);
        Some(HubEvent { actor, ..event.clone() })
    }

    fn counted(&mut self, piece: &mut String) {
        if self.kinds.as_ref().is_some_and(|kinds| !kinds.contains("fleet")) {
            return;
        }
        let counters = self.bus.counters(|| self.state.with_fleet(fleet_counters));
        let changed = self.counters.as_ref().is_none_or(|last| {
            FleetCounters { at: counters.at, ..last.as_ref().clone() } != *counters
        });
        if changed {
            piece.push_str(&frame(None, "fleet", &*counters));
            self.counters = Some(counters);
        }
    }
}

/// Tells a reader to load everything anew, and to go on from here.
fn resync(id: &str) -> String {
    format!("id: {id}\nevent: resync\ndata: {{}}\n\n")
}

/// One event. JSON has no line ends of its own, so one `data` line holds it.
fn frame(id: Option<&str>, kind: &str, data: &impl serde::Serialize) -> String {
    let id = id.map(|id| format!("id: {id}\n")).unwrap_or_default();
    // Strings, numbers and maps by string: always serialises.
    let data = serde_json::to_string(data).unwrap_or_default();
    format!("{id}event: {kind}\ndata: {data}\n\n")
}
