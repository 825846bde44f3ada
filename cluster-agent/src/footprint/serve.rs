//! `/metrics`, `/healthz` and `/readyz` over plain HTTP, on an address of the operator's.
//!
//! The loop writes into a place of its own and never waits for a reader.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::{App, HttpResponse, HttpServer, web};

use super::figures::render;
use super::process::Process;
use super::pulse::Pulse;
use super::snapshot::Snapshot;

/// Media type of Prometheus's text form.
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Connections at once: a few scrapers and probes.
const CONNECTIONS_MAX: usize = 32;

/// How long a client may take to say what it wants.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// Blocking work of the server: none.
const BLOCKING_THREADS: usize = 1;

/// The agent's own metrics cannot be served.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} for metrics and health")]
pub struct ListenError {
    /// The address.
    pub address: SocketAddr,
    /// What the system said.
    pub source: std::io::Error,
}

#[derive(Debug)]
struct Shared {
    pulse: Pulse,
    shown: Mutex<Option<Snapshot>>,
}

/// A running server of one agent's figures.
#[derive(Debug)]
pub struct Footprint {
    address: SocketAddr,
    shared: Arc<Shared>,
    handle: ServerHandle,
}

impl Footprint {
    /// Listens. The agent counts as alive as long as its loop turns within `turn_within`. Must be
    /// called inside a tokio runtime.
    pub fn start(address: SocketAddr, turn_within: Duration) -> Result<Self, ListenError> {
        let shared = Arc::new(Shared { pulse: Pulse::new(turn_within), shown: Mutex::new(None) });
        let data = web::Data::from(Arc::clone(&shared));
        let server = HttpServer::new(move || {
            App::new()
                .app_data(data.clone())
                .route("/metrics", web::get().to(metrics))
                .route("/healthz", web::get().to(healthz))
                .route("/readyz", web::get().to(readyz))
        })
        .workers(1)
        .worker_max_blocking_threads(BLOCKING_THREADS)
        .max_connections(CONNECTIONS_MAX)
        .client_request_timeout(REQUEST_TIMEOUT)
        .disable_signals()
        .shutdown_timeout(1)
        .bind(address)
        .map_err(|source| ListenError { address, source })?;
        let address = server.addrs().first().copied().unwrap_or(address);
        let server = server.run();
        let handle = server.handle();
        tokio::spawn(server);
        Ok(Self { address, shared, handle })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The loop turned.
    pub fn turned(&self) {
        self.shared.pulse.beat();
    }

    /// What is shown from now on.
    pub fn show(&self, shown: Snapshot) {
        *self.shared.shown.lock().unwrap_or_else(PoisonError::into_inner) = Some(shown);
    }

    /// Stops listening at once.
    pub async fn stop(self) {
        self.handle.stop(false).await;
    }
}

async fn metrics(shared: web::Data<Shared>) -> HttpResponse {
    let shown = shared.shown.lock().unwrap_or_else(PoisonError::into_inner);
    HttpResponse::Ok().content_type(TEXT).body(render(shown.as_ref(), Process::own()))
}

async fn healthz(shared: web::Data<Shared>) -> HttpResponse {
    let pulse = &shared.pulse;
    if pulse.is_alive() {
        return HttpResponse::Ok().body("ok\n");
    }
    HttpResponse::ServiceUnavailable().body(format!(
        "the agent's loop last turned {} s ago; it must turn within {} s\n",
        pulse.age().as_secs(),
        pulse.within().as_secs()
    ))
}

async fn readyz(shared: web::Data<Shared>) -> HttpResponse {
    let shown = shared.shown.lock().unwrap_or_else(PoisonError::into_inner);
    let missing = shown.as_ref().map_or_else(|| vec!["the agent is starting"], Snapshot::unready);
    if missing.is_empty() {
        HttpResponse::Ok().body("ready\n")
    } else {
        HttpResponse::ServiceUnavailable().body(missing.join("\n") + "\n")
    }
}
