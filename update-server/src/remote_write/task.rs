//! The rounds and the sender, each a task of its own: a receiver that hangs delays no round, and a
//! large fleet delays no sending.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use actix_web::web;
use bytes::Bytes;
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER};
use reqwest::{Client, redirect};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until};

use super::answer::{Next, after_status, wait};
use super::buffer::{Buffer, Request};
use super::config::RemoteWriteSettings;
use super::round::{Round, Said};
use super::write::{self, Sample};
use crate::fleet::Slot;
use crate::http::api::{self, HubState};
use crate::metrics::Metrics;

/// Samples in one request: what Prometheus itself sends at most.
const REQUEST_SAMPLES: usize = 2_000;
/// Rows read while the fleet is locked for reading: a tenth of a millisecond or so.
const CHUNK_ROWS: u32 = 250;
/// A receiver answers within a network's round trip or is away.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A look at whether the buffer has room again.
const ROOM_CHECK: Duration = Duration::from_millis(200);
/// A token is a line of text.
const MAX_TOKEN_BYTES: u64 = 16 * 1024;

const RESULT_SENT: &str = "sent";
const RESULT_FAILED: &str = "failed";
const RESULT_DROPPED: &str = "dropped";

/// What both tasks share.
struct Shared {
    settings: RemoteWriteSettings,
    buffer: Mutex<Buffer>,
    filled: Notify,
    metrics: Metrics,
}

impl Shared {
    fn buffer(&self) -> MutexGuard<'_, Buffer> {
        self.buffer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, result: &'static str, samples: usize) {
        self.metrics.count_remote_write(result, u64::try_from(samples).unwrap_or(u64::MAX));
    }

    fn show_waiting(&self, samples: usize) {
        let samples = i64::try_from(samples).unwrap_or(i64::MAX);
        self.metrics.remote_write_waiting_samples.set(samples);
    }

    /// Compresses samples and puts them into the buffer.
    fn push(&self, samples: Vec<Sample>) {
        let count = samples.len();
        let Some(body) = write::request(samples) else {
            return self.count(RESULT_FAILED, count);
        };
        let (dropped, waiting) = {
            let mut buffer = self.buffer();
            let request = Request { body: Bytes::from(body), samples: count };
            (buffer.push(request), buffer.samples())
        };
        self.show_waiting(waiting);
        if dropped > 0 {
            self.count(RESULT_DROPPED, dropped);
        }
        self.filled.notify_one();
    }
}

/// Starts forwarding, if it is set; the tasks end when they are aborted.
///
/// # Errors
/// The TLS of this machine cannot be used.
pub(crate) fn spawn(state: &web::Data<HubState>) -> Result<Vec<JoinHandle<()>>, reqwest::Error> {
    let Some(settings) = state.settings.remote_write.clone() else { return Ok(Vec::new()) };
    signing::source::install_tls_provider();
    let client = Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(Duration::from_secs(settings.timeout_s))
        // What it is told is meant for this receiver alone.
        .redirect(redirect::Policy::none())
        .user_agent(concat!("fairway/", env!("CARGO_PKG_VERSION")))
        .build()?;
    tracing::info!(
        url = %settings.url,
        interval_s = settings.interval_s,
        buffer_samples = settings.buffer_samples,
        "remote-write is on"
    );
    let shared = Arc::new(Shared {
        buffer: Mutex::new(Buffer::new(settings.buffer_samples)),
        filled: Notify::new(),
        metrics: state.metrics.clone(),
        settings,
    });
    Ok(vec![
        tokio::spawn(collect(state.clone(), Arc::clone(&shared))),
        tokio::spawn(forward(client, shared)),
    ])
}

async fn collect(state: web::Data<HubState>, shared: Arc<Shared>) {
    let period = Duration::from_secs(shared.settings.interval_s);
    let mut timer = interval(period);
    timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut said = Said::default();
    loop {
        timer.tick().await;
        // Replicas all know the same.
        if !state.leadership.is_leader() {
            continue;
        }
        round(&state, &shared, &mut said, Instant::now() + period).await;
    }
}

/// One round: the page, then every cluster. Waits for room in the buffer until the next round is due;
/// from then on the oldest samples go.
async fn round(state: &HubState, shared: &Shared, said: &mut Said, next: Instant) {
    let settings = &shared.settings;
    let report_interval_s = state.settings.report_interval_s;
    let round = Round { settings, report_interval_s, now: state.now() };
    let mut samples = said.page(&round, &api::metrics_page(state));
    let mut first = 0;
    loop {
        let rows = chunk(state, &round, said, first, &mut samples);
        while samples.len() >= REQUEST_SAMPLES {
            let rest = samples.split_off(REQUEST_SAMPLES);
            wait_for_room(shared, next).await;
            shared.push(std::mem::replace(&mut samples, rest));
        }
        first += CHUNK_ROWS;
        if first >= rows {
            break;
        }
        // A large fleet must not keep a worker from reports.
        tokio::task::yield_now().await;
    }
    if !samples.is_empty() {
        wait_for_room(shared, next).await;
        shared.push(samples);
    }
    said.sweep();
}

/// Adds the samples of some rows; returns how many rows there are.
fn chunk(
    state: &HubState,
    round: &Round<'_>,
    said: &mut Said,
    first: u32,
    samples: &mut Vec<Sample>,
) -> u32 {
    let committed = state.store.committed();
    let fleet = committed.fleet();
    for row in first..first.saturating_add(CHUNK_ROWS).min(fleet.rows()) {
        let slot = Slot(row);
        samples.extend(said.cluster(round, slot, fleet.record(slot).as_ref()));
    }
    fleet.rows()
}

async fn wait_for_room(shared: &Shared, until: Instant) {
    while !shared.buffer().has_room(REQUEST_SAMPLES) && Instant::now() < until {
        sleep_until(until.min(Instant::now() + ROOM_CHECK)).await;
    }
}

/// Sends one request after the other, in order: a receiver refuses samples that go back in time.
async fn forward(client: Client, shared: Arc<Shared>) {
    loop {
        let (request, waiting) = {
            let mut buffer = shared.buffer();
            (buffer.pop(), buffer.samples())
        };
        shared.show_waiting(waiting);
        match request {
            Some(request) => deliver(&client, &shared, &request).await,
            None => shared.filled.notified().await,
        }
    }
}

async fn deliver(client: &Client, shared: &Shared, request: &Request) {
    let mut failures = 0;
    loop {
        let (next, why) = attempt(client, &shared.settings, &request.body, failures).await;
        match next {
            Next::Sent => return shared.count(RESULT_SENT, request.samples),
            Next::GiveUp => {
                tracing::warn!(reason = why, samples = request.samples, "remote-write refused");
                return shared.count(RESULT_FAILED, request.samples);
            }
            Next::Retry(pause) => {
                if failures == 0 {
                    tracing::warn!(reason = why, "remote-write failed, trying on");
                }
                failures += 1;
                sleep(pause).await;
            }
        }
    }
}

async fn attempt(
    client: &Client,
    settings: &RemoteWriteSettings,
    body: &Bytes,
    failures: u32,
) -> (Next, String) {
    let mut post = client
        .post(settings.url.clone())
        .header(CONTENT_ENCODING, "snappy")
        .header(CONTENT_TYPE, "application/x-protobuf")
        .header("x-prometheus-remote-write-version", "0.1.0");
    if let Some((name, value)) = &settings.tenant {
        post = post.header(name, value);
    }
    if let Some(path) = &settings.bearer_token_file {
        match token(path).await {
            Ok(token) => post = post.bearer_auth(token),
            Err(error) => {
                let why = format!("{} cannot be read: {error}", path.display());
                return (Next::Retry(wait(failures)), why);
            }
        }
    }
    match post.body(body.clone()).send().await {
        Ok(answer) => {
            let status = answer.status().as_u16();
            let asked = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
            (after_status(status, asked, failures), format!("status {status}"))
        }
        Err(error) => (Next::Retry(wait(failures)), chain(&error.without_url())),
    }
}

/// An error with all that is behind it.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut behind = error.source();
    while let Some(error) = behind {
        text = format!("{text}: {error}");
        behind = error.source();
    }
    text
}

async fn token(path: &std::path::Path) -> std::io::Result<String> {
    let size = tokio::fs::metadata(path).await?.len();
    if size > MAX_TOKEN_BYTES {
        return Err(std::io::Error::other("it is too large for a token"));
    }
    Ok(tokio::fs::read_to_string(path).await?.trim().to_owned())
}
