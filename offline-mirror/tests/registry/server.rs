//! A registry that misbehaves as told: raw HTTP/1.1 in the test's own runtime, so that a paused
//! clock is paused for both sides.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{
    AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _,
};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// A request as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) method: String,
    /// Path and query.
    pub(crate) path: String,
    /// By lower-case name.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Asked {
    pub(crate) fn is(&self, method: &str, path: &str) -> bool {
        self.method == method && self.path == path
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }
}

/// One thing that an answer does after its head.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    Send(Vec<u8>),
    Wait(Duration),
    /// The connection is reset, what was sent but not read is lost.
    Reset,
    /// The connection is closed in order.
    Close,
    /// Sends the same for as long as anybody reads.
    Forever(Vec<u8>),
}

/// An answer.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) steps: Vec<Step>,
    /// Bytes of the request's body that are read before its connection is reset.
    pub(crate) reset_after: Option<usize>,
    /// Time before the request's body is read at all.
    pub(crate) before: Duration,
}

impl Reply {
    /// A whole body with its length.
    pub(crate) fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        let body = body.into();
        let length = body.len().to_string();
        Self::steps(status, vec![Step::Send(body)]).with("content-length", &length)
    }

    /// Whatever the steps do; the connection is closed behind them.
    pub(crate) fn steps(status: u16, steps: Vec<Step>) -> Self {
        Self { status, headers: Vec::new(), steps, reset_after: None, before: Duration::ZERO }
    }

    /// The connection is reset in the middle of the request.
    pub(crate) fn reset_after(bytes: usize) -> Self {
        Self { reset_after: Some(bytes), ..Self::new(500, "") }
    }

    /// The body of the request is left unread for so long.
    pub(crate) fn before(self, time: Duration) -> Self {
        Self { before: time, ..self }
    }

    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }
}

thread_local! {
    /// Whether the clock of this thread's test is driven.
    static DRIVEN: Cell<bool> = const { Cell::new(false) };
}

/// A paused clock that runs a hundred times as fast as the real one. Left to itself a paused clock
/// jumps to the next timer whenever the runtime waits for a socket, so every answer would be late.
struct Clock {
    /// Its end ends the blocking task below, which keeps the clock from jumping.
    _hold: std::sync::mpsc::Sender<()>,
}

impl Clock {
    /// Once per test, however many servers it has.
    fn start() -> Option<Self> {
        if DRIVEN.replace(true) {
            return None;
        }
        let (hold, held) = std::sync::mpsc::channel::<()>();
        tokio::task::spawn_blocking(move || held.recv());
        let (tick, mut ticks) = tokio::sync::mpsc::channel(1);
        std::thread::spawn(move || {
            while tick.blocking_send(()).is_ok() {
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        tokio::spawn(async move {
            while ticks.recv().await.is_some() {
                tokio::time::advance(Duration::from_millis(100)).await;
            }
        });
        Some(Self { _hold: hold })
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        DRIVEN.set(false);
    }
}

type Handler = Arc<Mutex<dyn FnMut(&Asked) -> Reply + Send>>;

/// The server; it ends with the test's runtime.
pub(crate) struct Server {
    /// `127.0.0.1:port`.
    pub(crate) host: String,
    log: Arc<Mutex<Vec<Asked>>>,
    _clock: Option<Clock>,
}

/// What was made for these tests, see the README beside it.
pub(crate) fn certificate(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/registry/certificates").join(name)
}

impl Server {
    /// Answers every request as `handler` says: from its head, before the body is read.
    pub(crate) async fn start(handler: impl FnMut(&Asked) -> Reply + Send + 'static) -> Self {
        Self::listen(None, false, handler).await
    }

    /// Answers every request from its head and its body.
    pub(crate) async fn start_whole(handler: impl FnMut(&Asked) -> Reply + Send + 'static) -> Self {
        Self::listen(None, true, handler).await
    }

    /// As [`Self::start`] over TLS; only to clients with a certificate when `wants_client`.
    pub(crate) async fn start_tls(
        wants_client: bool,
        handler: impl FnMut(&Asked) -> Reply + Send + 'static,
    ) -> Self {
        Self::listen(Some(acceptor(wants_client)), false, handler).await
    }

    async fn listen(
        tls: Option<TlsAcceptor>,
        wants_body: bool,
        handler: impl FnMut(&Asked) -> Reply + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let log: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let handler: Handler = Arc::new(Mutex::new(handler));
        let seen = Arc::clone(&log);
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                socket.set_nodelay(true).unwrap();
                let (handler, seen, tls) = (Arc::clone(&handler), Arc::clone(&seen), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => converse(Plain(socket), wants_body, &handler, &seen).await,
                        Some(tls) => {
                            let Ok(stream) = tls.accept(socket).await else { return };
                            converse(Secured(Box::new(stream)), wants_body, &handler, &seen).await;
                        }
                    }
                });
            }
        });
        Self { host, log, _clock: Clock::start() }
    }

    /// Requests until now, in order.
    pub(crate) fn log(&self) -> Vec<Asked> {
        self.log.lock().unwrap().clone()
    }

    /// `GET /v2/…` of each, in order.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.log().iter().map(|asked| format!("{} {}", asked.method, asked.path)).collect()
    }
}

fn acceptor(wants_client: bool) -> TlsAcceptor {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let chain = CertificateDer::from_pem_file(certificate("server.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(certificate("server.key.pem")).unwrap();
    let builder = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap();
    let builder = if wants_client {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(certificate("ca.pem")).unwrap()).unwrap();
        let verifier =
            rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        builder.with_client_cert_verifier(verifier.build().unwrap())
    } else {
        builder.with_no_client_auth()
    };
    TlsAcceptor::from(Arc::new(builder.with_single_cert(vec![chain], key).unwrap()))
}

/// A connection that can be reset.
trait Stream: AsyncRead + AsyncWrite + Unpin {
    fn reset(self);
}

struct Plain(TcpStream);
struct Secured(Box<tokio_rustls::server::TlsStream<TcpStream>>);

macro_rules! delegate {
    ($type:ty) => {
        impl AsyncRead for $type {
            fn poll_read(
                mut self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
                buf: &mut tokio::io::ReadBuf<'_>,
            ) -> std::task::Poll<std::io::Result<()>> {
                std::pin::Pin::new(&mut self.0).poll_read(cx, buf)
            }
        }

        impl AsyncWrite for $type {
            fn poll_write(
                mut self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
                buf: &[u8],
            ) -> std::task::Poll<std::io::Result<usize>> {
                std::pin::Pin::new(&mut self.0).poll_write(cx, buf)
            }

            fn poll_flush(
                mut self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
            ) -> std::task::Poll<std::io::Result<()>> {
                std::pin::Pin::new(&mut self.0).poll_flush(cx)
            }

            fn poll_shutdown(
                mut self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
            ) -> std::task::Poll<std::io::Result<()>> {
                std::pin::Pin::new(&mut self.0).poll_shutdown(cx)
            }
        }
    };
}
delegate!(Plain);
delegate!(Secured);

impl Stream for Plain {
    fn reset(self) {
        self.0.set_zero_linger().unwrap();
    }
}

impl Stream for Secured {
    fn reset(self) {
        self.0.get_ref().0.set_zero_linger().unwrap();
    }
}

/// Requests of one connection, until it ends or an answer ends it.
async fn converse<S: Stream>(
    stream: S,
    wants_body: bool,
    handler: &Handler,
    log: &Mutex<Vec<Asked>>,
) {
    let mut stream = tokio::io::BufReader::new(stream);
    loop {
        let Some(mut asked) = head(&mut stream).await else { return };
        let length = asked.header("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
        let early = (!wants_body).then(|| (handler.lock().unwrap())(&asked));
        let most = early.as_ref().and_then(|reply| reply.reset_after).unwrap_or(usize::MAX);
        if let Some(reply) = early.as_ref().filter(|reply| !reply.before.is_zero()) {
            tokio::time::sleep(reply.before).await;
        }
        asked.body.resize(length.min(most), 0);
        if stream.read_exact(&mut asked.body).await.is_err() {
            return;
        }
        let reply = early.unwrap_or_else(|| (handler.lock().unwrap())(&asked));
        assert!(asked.header("transfer-encoding").is_none(), "bodies are sent with a length");
        let is_head = asked.method == "HEAD";
        log.lock().unwrap().push(asked);
        if reply.reset_after.is_some() {
            stream.into_inner().reset();
            return;
        }
        let mut text = format!("HTTP/1.1 {} x\r\n", reply.status);
        for (name, value) in &reply.headers {
            write!(text, "{name}: {value}\r\n").unwrap();
        }
        text.push_str("\r\n");
        let has_length = reply.headers.iter().any(|(name, _)| name == "content-length");
        if stream.get_mut().write_all(text.as_bytes()).await.is_err() {
            return;
        }
        for step in reply.steps {
            match step {
                Step::Send(_) if is_head => {}
                Step::Send(bytes) => {
                    if stream.get_mut().write_all(&bytes).await.is_err() {
                        return;
                    }
                }
                Step::Forever(bytes) => {
                    while stream.get_mut().write_all(&bytes).await.is_ok() {}
                    return;
                }
                Step::Wait(time) => tokio::time::sleep(time).await,
                Step::Reset => return stream.into_inner().reset(),
                Step::Close => return drop(stream.get_mut().shutdown().await),
            }
        }
        if !has_length {
            return drop(stream.get_mut().shutdown().await);
        }
    }
}

async fn head<S: Stream>(stream: &mut tokio::io::BufReader<S>) -> Option<Asked> {
    let mut line = String::new();
    stream.read_line(&mut line).await.ok().filter(|read| *read > 0)?;
    let mut words = line.split_whitespace().map(str::to_owned);
    let (method, path) = (words.next()?, words.next()?);
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.ok().filter(|read| *read > 0)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    Some(Asked { method, path, headers, body: Vec::new() })
}
