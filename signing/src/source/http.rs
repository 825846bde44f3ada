//! A repository over HTTP. TUF needs nothing from the transport, so `http` is as good as `https`;
//! what matters here is that a server can neither flood nor stall us.

use super::{Fetched, Source, SourceError};
use crate::causes::chain;
use crate::names::FileName;
use reqwest::header::{
    ACCEPT_ENCODING, CONTENT_ENCODING, ETAG, HeaderMap, HeaderValue, IF_NONE_MATCH,
};
use reqwest::{Client, ClientBuilder, Response, StatusCode, Url, redirect};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// How patient a source is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HttpLimits {
    /// For the connection, TLS included.
    pub connect: Duration,
    /// For the whole answer.
    pub overall: Duration,
    /// Time before the minimum rate counts: headers, slow start.
    pub grace: Duration,
    /// Slowest average rate after `grace`, in bytes per second. An idle time-out alone would let
    /// a server hold us with one byte every other second.
    pub min_bytes_per_s: u32,
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            overall: Duration::from_mins(2),
            grace: Duration::from_secs(10),
            min_bytes_per_s: 1024,
        }
    }
}

/// Redirects followed. A mirror may send us on once or twice.
const MAX_REDIRECTS: usize = 3;
/// Longest `ETag` kept; ours has about 80 bytes.
const MAX_ETAG_BYTES: usize = 256;

/// Makes ring the process's TLS provider, unless another one was chosen already. Needed before
/// the first `https` client of this build of reqwest; calling it again changes nothing.
pub fn install_tls_provider() {
    // The error says that there is one already, which is what we want.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// Fetches over HTTP with bounds on size, time and rate.
#[derive(Debug, Clone)]
pub struct HttpSource {
    client: Client,
    metadata: Url,
    targets: Url,
    limits: HttpLimits,
}

impl HttpSource {
    /// A repository below one URL, which holds `metadata/` and `targets/`: `https://hub/tuf/`.
    pub fn new(base: &str, limits: HttpLimits) -> Result<Self, SourceError> {
        let base = base.trim_end_matches('/');
        Self::with_urls(&format!("{base}/metadata/"), &format!("{base}/targets/"), limits)
    }

    /// A repository whose metadata and targets lie in different places.
    pub fn with_urls(
        metadata: &str,
        targets: &str,
        limits: HttpLimits,
    ) -> Result<Self, SourceError> {
        Self::built(parse(metadata)?, parse(targets)?, limits, |builder| builder)
    }

    /// As [`Self::new`], over a client that `reached` completed: proxies and certificates are the
    /// caller's to say. Every bound stays this source's own.
    pub fn reached_by(
        base: &str,
        limits: HttpLimits,
        reached: impl FnOnce(ClientBuilder) -> ClientBuilder,
    ) -> Result<Self, SourceError> {
        let base = base.trim_end_matches('/');
        let place = |name: &str| parse(&format!("{base}/{name}/"));
        Self::built(place("metadata")?, place("targets")?, limits, reached)
    }

    fn built(
        metadata: Url,
        targets: Url,
        limits: HttpLimits,
        reached: impl FnOnce(ClientBuilder) -> ClientBuilder,
    ) -> Result<Self, SourceError> {
        let client = reached(client(&[&metadata, &targets], limits)).build();
        let client = client.map_err(|e| transport(&e))?;
        Ok(Self { client, metadata, targets, limits })
    }

    fn url(&self, file: &FileName) -> Result<Url, SourceError> {
        let path = file.url_path();
        let (base, rest) = match path.split_once('/') {
            Some(("targets", rest)) => (&self.targets, rest),
            Some((_, rest)) => (&self.metadata, rest),
            None => (&self.metadata, path.as_str()),
        };
        // Appended as text: joining would resolve `..` and take `x:` for a scheme.
        parse(&format!("{}/{rest}", base.as_str().trim_end_matches('/')))
    }

    async fn answer(
        &self,
        file: &FileName,
        max_bytes: u64,
        if_none_match: Option<&str>,
    ) -> Result<Fetched, SourceError> {
        let clock = Clock { start: Instant::now(), limits: self.limits };
        let mut request = self.client.get(self.url(file)?);
        if let Some(etag) = if_none_match {
            request = request.header(IF_NONE_MATCH, etag);
        }
        let response = clock.within(0, request.send()).await?;
        match response.status() {
            StatusCode::OK => {}
            StatusCode::NOT_MODIFIED => return Ok(Fetched::NotModified),
            // Object stores answer 403 for what is not there. Nothing else means "not found":
            // an attacker who can break a server must not be able to hide a root.
            StatusCode::NOT_FOUND | StatusCode::FORBIDDEN => return Ok(Fetched::NotFound),
            other => return Err(SourceError::Status { code: other.as_u16() }),
        }
        not_encoded(response.headers())?;
        let etag = etag(response.headers());
        let bytes = body(response, max_bytes, &clock).await?;
        Ok(Fetched::Body { bytes, etag })
    }
}

impl Source for HttpSource {
    async fn fetch(
        &self,
        file: &FileName,
        max_bytes: u64,
        if_none_match: Option<&str>,
    ) -> Result<Fetched, SourceError> {
        self.answer(file, max_bytes, if_none_match).await
    }
}

fn parse(url: &str) -> Result<Url, SourceError> {
    let parsed = Url::parse(url).ok();
    parsed
        .filter(|url| matches!(url.scheme(), "http" | "https"))
        .ok_or_else(|| SourceError::Url { url: url.to_owned() })
}

/// Whether no certificate will ever be looked at.
pub(super) fn all_plain(urls: &[&Url]) -> bool {
    urls.iter().all(|url| url.scheme() == "http")
}

fn client(urls: &[&Url], limits: HttpLimits) -> ClientBuilder {
    install_tls_provider();
    // Files are small or compressed already, and a limit on decoded bytes is simplest where
    // nothing is decoded.
    let headers = HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static("identity"))]);
    let mut builder = Client::builder()
        .connect_timeout(limits.connect)
        .redirect(redirect::Policy::limited(MAX_REDIRECTS))
        .default_headers(headers)
        // Another crate of the same program may have compiled the decoders in.
        .no_gzip()
        .no_brotli()
        .no_zstd()
        .no_deflate()
        .user_agent(concat!("fairway/", env!("CARGO_PKG_VERSION")));
    if all_plain(urls) {
        // Images without CA certificates can still use plain HTTP.
        builder = builder.tls_certs_only([]);
    }
    builder
}

/// Refuses an answer that would have to be unpacked: `identity` was asked for, and a limit on what
/// is received says nothing about what comes out.
fn not_encoded(headers: &HeaderMap) -> Result<(), SourceError> {
    match headers.get(CONTENT_ENCODING) {
        Some(encoding) if encoding != "identity" => Err(SourceError::Encoded {
            encoding: encoding.to_str().unwrap_or("not text").to_owned(),
        }),
        _ => Ok(()),
    }
}

fn etag(headers: &HeaderMap) -> Option<String> {
    let etag = headers.get(ETAG)?.to_str().ok()?;
    (etag.len() <= MAX_ETAG_BYTES).then(|| etag.to_owned())
}

/// Collects the body, giving up at the first byte too many or the first moment too late.
async fn body(
    mut response: Response,
    max_bytes: u64,
    clock: &Clock,
) -> Result<Vec<u8>, SourceError> {
    let mut bytes = Vec::new();
    loop {
        let received = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let Some(chunk) = clock.within(received, response.chunk()).await? else {
            return Ok(bytes);
        };
        let total = bytes.len().checked_add(chunk.len());
        if total.and_then(|total| u64::try_from(total).ok()).is_none_or(|t| t > max_bytes) {
            return Err(SourceError::TooLarge { limit: max_bytes });
        }
        bytes.extend_from_slice(&chunk);
    }
}

/// When an answer becomes too slow.
struct Clock {
    start: Instant,
    limits: HttpLimits,
}

impl Clock {
    /// Waits for `step` until the overall deadline, or until the moment at which `received`
    /// bytes would be fewer than the minimum rate, whichever is earlier.
    async fn within<T>(
        &self,
        received: u64,
        step: impl Future<Output = Result<T, reqwest::Error>>,
    ) -> Result<T, SourceError> {
        let earned_s = received / u64::from(self.limits.min_bytes_per_s.max(1));
        let by_rate = self.limits.grace.saturating_add(Duration::from_secs(earned_s));
        let deadline = self.start.checked_add(by_rate.min(self.limits.overall));
        let too_slow = || SourceError::TooSlow {
            received,
            elapsed_ms: u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX),
        };
        let answer = timeout_at(deadline.unwrap_or(self.start), step).await;
        answer.map_err(|_| too_slow())?.map_err(|e| transport(&e))
    }
}

fn transport(error: &reqwest::Error) -> SourceError {
    // reqwest's own text stops before the cause.
    SourceError::Transport { reason: chain(error) }
}
