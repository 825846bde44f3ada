//! The process: what is started, what runs beside the requests, how it ends.

use std::future::Future;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::time::Duration;

use actix_web::dev::{Server, ServerHandle};
use actix_web::{App, HttpServer, web};
use jiff::{SignedDuration, Timestamp};
use rustix::net::sockopt::set_tcp_user_timeout;
use tokio::task::JoinHandle;

use super::access::{Anonymous, Tokens};
use super::answer::{State, answer};
use super::error::ServeError;
use super::metrics::Metrics;
use super::tls;
use crate::store::{Gc, Store, StoreError};

/// Clients make their next request over the connection they have.
const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// Headers arrive at once or the peer is stalled.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// Connections of all workers together. Each that downloads holds up to two pieces of half a megabyte,
/// which stays within the memory of a small machine.
const CONNECTIONS_MAX: usize = 512;
/// A peer that takes nothing of what is sent for this long is gone; slow ones take something, and
/// clients that unpack what they get go on within seconds.
const UNTAKEN_MAX: Duration = Duration::from_mins(5);
/// Requests that are open when the process is asked to end get this long.
const SHUTDOWN_SECS: u64 = 30;
/// Threads that answer. Work with the disk happens on other threads.
const WORKERS_MAX: usize = 4;
/// How often pushes that nobody ended are looked for.
const UPLOADS_EVERY: Duration = Duration::from_hours(1);

/// What the registry does beyond reading.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Allowed {
    /// Take pushes, and move tags.
    pub push: bool,
    /// Delete manifests, tags, and holds on blobs.
    pub delete: bool,
}

/// How to serve.
#[derive(Debug)]
pub struct ServeSettings {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// What it does beyond reading.
    pub allowed: Allowed,
    /// Who has which token.
    pub tokens: Tokens,
    /// What people without a token may do.
    pub anonymous: Anonymous,
    /// Certificate chain and key, PEM; plain HTTP without.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// How often to free space; never when left out.
    pub gc_every: Option<Duration>,
    /// The clock.
    pub clock: fn() -> Timestamp,
}

/// A registry that is listening.
#[derive(Debug)]
pub struct Running {
    /// The address it really listens on.
    pub address: SocketAddr,
    handle: ServerHandle,
    server: JoinHandle<std::io::Result<()>>,
    chores: Vec<JoinHandle<()>>,
}

impl Running {
    /// Starts to listen; serves in the background until [`Running::stop`].
    ///
    /// # Errors
    /// When the address, the certificate or the key cannot be used.
    pub fn start(store: Store, settings: ServeSettings) -> Result<Self, ServeError> {
        let ServeSettings { listen, allowed, tokens, anonymous, tls, gc_every, clock } = settings;
        let tls = tls.map(|(cert, key)| tls::config(&cert, &key)).transpose()?;
        let chores = chores(&store, allowed, gc_every, clock);
        let metrics = web::Data::new(Metrics::new());
        let state = web::Data::new(State { store, allowed, anonymous, tokens, clock, metrics });
        let listener =
            TcpListener::bind(listen).map_err(|source| ServeError::Bind { listen, source })?;
        let address = listener.local_addr().map_err(ServeError::Server)?;
        let server = server(listener, state, tls)?;
        let handle = server.handle();
        let server = tokio::spawn(server);
        Ok(Self { address, handle, server, chores })
    }

    /// Serves until `shutdown` is ready, then answers what is open and ends.
    ///
    /// # Errors
    /// When the server ends by itself.
    pub async fn until(mut self, shutdown: impl Future<Output = ()>) -> Result<(), ServeError> {
        tokio::select! {
            () = shutdown => {
                self.stop().await;
                Ok(())
            }
            result = &mut self.server => Err(ServeError::Server(match result {
                Ok(Ok(())) => std::io::Error::other("it ended by itself"),
                Ok(Err(error)) => error,
                Err(panic) => std::io::Error::other(panic),
            })),
        }
    }

    /// Answers what is open and ends.
    pub async fn stop(self) {
        for chore in &self.chores {
            chore.abort();
        }
        self.handle.stop(true).await;
    }
}

fn server(
    listener: TcpListener,
    state: web::Data<State>,
    tls: Option<rustls::ServerConfig>,
) -> Result<Server, ServeError> {
    let workers = std::thread::available_parallelism().map_or(1, usize::from).min(WORKERS_MAX);
    limit_stalls(&listener).map_err(ServeError::Server)?;
    let server = HttpServer::new(move || {
        App::new().app_data(state.clone()).default_service(web::to(answer))
    })
    .workers(workers)
    .max_connections(CONNECTIONS_MAX.div_ceil(workers))
    .keep_alive(KEEP_ALIVE)
    .client_request_timeout(HEADER_TIMEOUT)
    .shutdown_timeout(SHUTDOWN_SECS)
    .disable_signals();
    let server = match tls {
        Some(config) => server.listen_rustls_0_23(listener, config),
        None => server.listen(listener),
    };
    Ok(server.map_err(ServeError::Server)?.run())
}

/// Makes the kernel end connections whose peer takes nothing. Connections have this from the socket
/// that they were accepted on.
fn limit_stalls(listener: &TcpListener) -> std::io::Result<()> {
    let limit_ms = u32::try_from(UNTAKEN_MAX.as_millis()).unwrap_or(u32::MAX);
    Ok(set_tcp_user_timeout(listener, limit_ms)?)
}

fn chores(
    store: &Store,
    allowed: Allowed,
    gc_every: Option<Duration>,
    clock: fn() -> Timestamp,
) -> Vec<JoinHandle<()>> {
    let mut chores = Vec::new();
    if allowed.push {
        chores.push(repeated(store, UPLOADS_EVERY, "forget uploads", move |store| {
            store.forget_abandoned_uploads(clock()).map(|_| ())
        }));
    }
    if let Some(every) = gc_every {
        chores.push(repeated(store, every, "free space", move |store| collect(store, clock())));
    }
    chores
}

/// A collection; one that finds an import under way leaves it to the next time.
fn collect(store: &Store, now: Timestamp) -> Result<(), StoreError> {
    let turn = match store.exclusive() {
        Err(StoreError::Busy { .. }) => return Ok(()),
        turn => turn?,
    };
    let grace: SignedDuration = Gc::GRACE;
    let report = store.gc(&turn, Gc { grace }, now)?;
    tracing::info!(bytes_freed = report.bytes_freed, blobs = report.blobs_removed, "freed space");
    Ok(())
}

fn repeated(
    store: &Store,
    every: Duration,
    what: &'static str,
    chore: impl Fn(&Store) -> Result<(), StoreError> + Clone + Send + 'static,
) -> JoinHandle<()> {
    let store = store.clone();
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(every).await;
            let (store, chore) = (store.clone(), chore.clone());
            match tokio::task::spawn_blocking(move || chore(&store)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::error!(%error, "cannot {what}"),
                Err(error) => tracing::error!(%error, "cannot {what}"),
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use std::io::{ErrorKind, Write as _};
    use std::net::TcpStream;

    use rustix::net::sockopt::tcp_user_timeout;

    use super::*;

    #[test]
    fn connections_have_the_limit_of_the_socket_that_they_came_by() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        limit_stalls(&listener).unwrap();
        let _peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (accepted, _) = listener.accept().unwrap();
        assert_eq!(tcp_user_timeout(&accepted).unwrap(), 5 * 60 * 1000);
    }

    #[test]
    fn a_peer_that_takes_nothing_is_given_up() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        set_tcp_user_timeout(&listener, 300).unwrap();
        let peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut accepted, _) = listener.accept().unwrap();
        let piece = vec![0; 1 << 20];
        let ended = loop {
            if let Err(error) = accepted.write_all(&piece) {
                break error;
            }
        };
        assert_eq!(ended.kind(), ErrorKind::TimedOut);
        drop(peer);
    }
}
