//! The process: what is started in which order, what runs beside the handlers, how it ends.
//!
//! Start: data directory and its lock, the other replicas, online keys, repository, database, first
//! admin token, socket, address file. End: no new requests, open ones answered, queued writes committed, lock
//! released.

mod data_dir;
mod error;
mod first_start;
mod leader;
mod tasks;
#[cfg(test)]
mod tests;
mod tls;

use std::future::Future;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix_web::dev::{Server, ServerHandle};
use actix_web::{App, HttpServer, ResponseError as _, web};
use jiff::Timestamp;
use tokio::task::JoinHandle;

use crate::catalog::Catalog;
use crate::clock;
use crate::config::Settings;
use crate::fcos::Fcos;
use crate::http::access::Access;
use crate::http::api::{self, HubState};
use crate::http::dashboard::{self, PageCache};
use crate::http::lookout::Lookout;
use crate::http::problem::{ApiError, Code};
use crate::http::public::{self, Clock, PublicState};
use crate::http::unread;
use crate::metrics::Metrics;
use crate::publish::{OnlineKeys, PublishError, Publisher};
use crate::remote_write;
use crate::store::{
    self, Database, LeaderThread, Reader, SharedRepository, Store, StoreSettings, WriterThread,
};
use crate::webhooks::{Client, Deliveries};
pub use data_dir::DataDir;
pub use error::RunError;
use leader::Fitness;
pub use leader::Leadership;
use tls::Tls;
pub use tls::{TlsError, certificate_ends};

/// An agent's next report in the same minute reuses its connection; an idle one costs a few KB.
const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// A peer that takes nothing of what is sent to it for so long, or answers no probe, is gone: what
/// waits for it is let go.
const STALLED_READER: Duration = Duration::from_secs(30);
/// Headers of a request arrive at once or the peer is stalled.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// A hub that is listening.
pub struct Running {
    /// The address it really listens on.
    pub address: SocketAddr,
    data_dir: DataDir,
    store: Store,
    writer: WriterThread,
    /// Only among replicas.
    leader: Option<LeaderThread>,
    handle: ServerHandle,
    server: JoinHandle<std::io::Result<()>>,
    tasks: Vec<JoinHandle<()>>,
}

impl std::fmt::Debug for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Running").field("address", &self.address).finish_non_exhaustive()
    }
}

/// Starts a hub and serves until `shutdown` is ready, then ends gracefully.
pub async fn run(
    settings: Settings,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), RunError> {
    let mut running = Running::start(settings).await?;
    tokio::select! {
        () = shutdown => running.stop().await,
        result = &mut running.server => {
            let error = match result {
                Ok(Ok(())) => std::io::Error::other("the server ended by itself"),
                Ok(Err(error)) => error,
                Err(panic) => std::io::Error::other(panic),
            };
            running.stop().await?;
            Err(RunError::Server(error))
        }
    }
}

impl Running {
    /// Starts a hub; it serves in the background until [`Running::stop`].
    pub async fn start(settings: Settings) -> Result<Self, RunError> {
        let now = clock::now();
        let data_dir = DataDir::open(&settings.data_dir)?;
        let tls = settings.tls.as_ref().map(Tls::open).transpose()?;
        let (leadership, leader) = join(&settings)?;
        let (publisher, catalog) = open_repository(&settings, now)?;
        let metrics = Metrics::new(env!("CARGO_PKG_VERSION"));
        let (store, writer) = open_store(&settings, &catalog, &metrics)?;
        let reader = Reader::open(&settings.database)?;
        first_start::ensure_admin(&data_dir, &store, now).await?;
        let state = web::Data::new(HubState {
            store: store.clone(),
            reader,
            catalog,
            publisher,
            leadership,
            metrics,
            clock: Clock::new(clock::now),
            access: Access::open(&settings)?,
            settings: settings.clone(),
            deliveries: Deliveries::default(),
            caught_up: Mutex::default(),
            holds_shown: Mutex::default(),
            pages: PageCache::default(),
        });
        state.metrics.set_certificate_expiry(tls.as_ref().and_then(Tls::expires));
        state.show_holds();
        let webhooks = Client::new(settings.webhooks_to_local_addresses)?;
        let forwarder = remote_write::spawn(&state).map_err(RunError::RemoteWrite)?;
        let listener = TcpListener::bind(settings.listen)
            .map_err(|source| RunError::Bind { listen: settings.listen, source })?;
        end_stalled_readers(&listener).map_err(RunError::Server)?;
        let address = listener.local_addr().map_err(RunError::Server)?;
        let server = serve(listener, &settings, &state, tls.as_ref())?;
        let handle = server.handle();
        let server = tokio::spawn(server);
        data_dir.write_address(address)?;
        let committed = store.committed();
        tracing::info!(
            address = %address,
            data_dir = %data_dir.path().display(),
            clusters = committed.fleet().in_force(),
            holds = committed.holds().len(),
            root.version = state.catalog.status(now).root_version,
            tls = tls.is_some(),
            tls.clients = tls.as_ref().map_or("not asked", Tls::clients),
            version = env!("CARGO_PKG_VERSION"),
            "listening"
        );
        let mut tasks = tasks::spawn(&state, tls, webhooks);
        tasks.extend(forwarder);
        Ok(Self { address, data_dir, store, writer, leader, handle, server, tasks })
    }

    /// Answers what is open, commits what is queued, and lets the data directory go.
    pub async fn stop(self) -> Result<(), RunError> {
        tracing::info!("shutting down");
        // Streams have no end of their own, which a graceful stop would wait for.
        self.store.committed().events().close();
        self.handle.stop(true).await;
        for task in &self.tasks {
            task.abort();
        }
        let (store, writer, leader) = (self.store, self.writer, self.leader);
        tokio::task::spawn_blocking(move || {
            if let Some(leader) = leader {
                leader.stop();
            }
            store.stop();
            writer.join();
        })
        .await
        .map_err(|panic| RunError::Server(std::io::Error::other(panic)))?;
        self.data_dir.close();
        tracing::info!("stopped");
        Ok(())
    }
}

/// Says to other replicas that this one is there, where there may be any, and brings the schema of
/// their database up to date. Blocks.
fn join(settings: &Settings) -> Result<(Leadership, Option<LeaderThread>), RunError> {
    let Database::Server(server) = &settings.database else {
        return Ok((Leadership::alone(), None));
    };
    let fit = Fitness::default();
    let asked = fit.clone();
    let (leader, told) = LeaderThread::start(server.clone(), move || asked.is_fit())?;
    store::prepare(&settings.database)?;
    Ok((Leadership::among(told, fit), Some(leader)))
}

/// The repository of this machine, or of all replicas. Blocks.
fn open_repository(
    settings: &Settings,
    now: Timestamp,
) -> Result<(Publisher, Catalog), PublishError> {
    let (data_dir, product) = (&settings.data_dir, settings.default_product.clone());
    match &settings.database {
        Database::Directory(_) => {
            let keys = OnlineKeys::load_or_create(data_dir)?;
            Publisher::open(data_dir, keys, product, now)
        }
        Database::Server(server) => {
            let shared = SharedRepository::new(server.clone());
            Publisher::open_shared(data_dir, shared, product, now)
        }
    }
}

/// Every connection takes this over from the socket that listens.
fn end_stalled_readers(listener: &TcpListener) -> std::io::Result<()> {
    let milliseconds = u32::try_from(STALLED_READER.as_millis()).unwrap_or(u32::MAX);
    rustix::net::sockopt::set_socket_keepalive(listener, true)?;
    rustix::net::sockopt::set_tcp_user_timeout(listener, milliseconds)?;
    Ok(())
}

fn open_store(
    settings: &Settings,
    catalog: &Catalog,
    metrics: &Metrics,
) -> Result<(Store, WriterThread), RunError> {
    let store_settings = StoreSettings {
        report_interval_s: settings.report_interval_s,
        grant_ttl_s: settings.grant_ttl_s,
        queue_capacity: settings.queue_capacity,
        history_days: settings.history_days,
    };
    let metrics = metrics.clone();
    let observer = Box::new(move |jobs: usize, took: Duration| {
        metrics.observe_commit(u32::try_from(jobs).unwrap_or(u32::MAX), took, clock::now());
    });
    let served = Arc::new(catalog.clone());
    Ok(Store::open(&settings.database, store_settings, served, observer, clock::now())?)
}

/// Without replicas nobody else publishes, and nobody looks.
fn lookout(state: &web::Data<HubState>) -> Lookout {
    if !state.publisher.is_shared() {
        return Lookout::default();
    }
    let state = state.clone();
    Lookout::new(move || match state.publisher.catch_up(state.now()) {
        Ok(false) => {}
        Ok(true) => tracing::info!("took over what another replica published"),
        // The look of every second says so once, and the probe all the time.
        Err(error) => tracing::debug!(error = error.chain(), "no look at what others published"),
    })
}

fn serve(
    listener: TcpListener,
    settings: &Settings,
    state: &web::Data<HubState>,
    tls: Option<&Tls>,
) -> Result<Server, RunError> {
    let public = PublicState {
        catalog: state.catalog.clone(),
        metrics: state.metrics.clone(),
        clock: state.clock.clone(),
        fcos: Fcos::new(state.store.committed().clone()),
        lookout: lookout(state),
    };
    let state = state.clone();
    let mut server = HttpServer::new(move || {
        App::new()
            .wrap_fn(unread::close)
            .wrap_fn(dashboard::refuse_with_pages)
            .configure(api::agents)
            .configure(public::routes(public.clone()))
            .configure(api::routes(state.clone()))
            .default_service(web::to(async || {
                ApiError::new(Code::NotFound, "no such path").error_response()
            }))
    })
    .disable_signals()
    .keep_alive(KEEP_ALIVE)
    .client_request_timeout(HEADER_TIMEOUT)
    .shutdown_timeout(settings.shutdown_timeout_s);
    if let Some(workers) = settings.workers {
        server = server.workers(workers);
    }
    let server = match tls {
        Some(tls) => server.listen_rustls_0_23(listener, tls.server_config()?),
        None => server.listen(listener),
    };
    Ok(server.map_err(RunError::Server)?.run())
}
