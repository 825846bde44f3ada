//! Fetches metrics pages with bounds on time, bytes and parallelism.
//!
//! Never judges content: a page is handed on with the times and the `Date` header that came with
//! it. The clock is the caller's.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::header::DATE;
use hyper::{Response, StatusCode};
use jiff::Timestamp;

use super::fetcher::{Fetcher, broken};
use super::filter::BODY_MAX_BYTES;
use super::kubelet::{KubeletAccess, Kubelets};
use super::page::{Page, PageError};
use super::sieve::Sieve;
use super::wanted::Wanted;
use crate::observation::UnitKey;

/// Pages in flight at once: enough for every voter of a quorum at the same moment, few enough that
/// a hundred kubelets do not answer together.
pub(crate) const PROBES_AT_ONCE: usize = 8;

/// Bounds of one fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScrapeLimits {
    /// Time to connect, milliseconds. Default 500.
    pub connect_timeout_ms: u64,
    /// Time for the whole fetch, milliseconds. Default 1000: the window in which leader and
    /// followers must be seen together (rolling.md §1.4).
    pub total_timeout_ms: u64,
    /// Largest body, bytes. Default and most: 8 MiB.
    pub max_bytes: usize,
}

impl Default for ScrapeLimits {
    fn default() -> Self {
        Self { connect_timeout_ms: 500, total_timeout_ms: 1000, max_bytes: BODY_MAX_BYTES }
    }
}

impl ScrapeLimits {
    fn connect_timeout(&self) -> Duration {
        Duration::from_millis(self.connect_timeout_ms)
    }
}

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
pub enum ScrapeError {
    /// TLS cannot be set up, mostly because the system has no list of authorities.
    #[error("TLS for metrics pages cannot be set up: {why}")]
    Tls {
        /// What is missing.
        why: String,
    },
    /// The address is none that can be asked.
    #[error("the address of the page cannot be used: {why}")]
    Address {
        /// What is wrong with it.
        why: String,
    },
    /// A token or certificate for the fetch cannot be read.
    #[error("{} cannot be used: {why}", path.display())]
    Credentials {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// No answer in time.
    #[error("no answer within {limit_ms} ms")]
    Timeout {
        /// The bound.
        limit_ms: u64,
    },
    /// No connection, or it broke.
    #[error("the request failed: {why}")]
    Transport {
        /// The innermost cause, for people.
        why: String,
    },
    /// An answer, but not a page.
    #[error("the answer has status {status}")]
    Status {
        /// HTTP status code.
        status: u16,
    },
    /// A page beyond the bound.
    #[error("the page is larger than {limit_bytes} bytes")]
    TooLarge {
        /// The bound.
        limit_bytes: usize,
    },
}

/// One page as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scraped {
    /// The body.
    pub body: Vec<u8>,
    /// The target's clock, whole seconds, from the `Date` header.
    pub date: Option<Timestamp>,
    /// When it was asked for (agent's clock).
    pub requested_at: Timestamp,
    /// When its last byte was there (agent's clock).
    pub received_at: Timestamp,
    /// How long it took, by a monotonic clock.
    pub took_ms: u64,
}

/// When a page came.
struct Arrival {
    date: Option<Timestamp>,
    requested_at: Timestamp,
    received_at: Timestamp,
    took_ms: u64,
}

/// One page read for the families wanted of its target; the body is gone.
#[derive(Debug, Clone, PartialEq)]
pub struct Probe {
    /// What it says.
    pub page: Result<Page, PageError>,
    /// See [`Scraped::date`].
    pub date: Option<Timestamp>,
    /// See [`Scraped::requested_at`].
    pub requested_at: Timestamp,
    /// See [`Scraped::received_at`].
    pub received_at: Timestamp,
}

/// One page to fetch.
#[derive(Debug, Clone)]
pub struct ProbeTarget {
    /// Which unit.
    pub key: UnitKey,
    /// Where.
    pub url: String,
    /// What for.
    pub wanted: Arc<Wanted>,
    /// Fetched before all others: the voter last seen as leader.
    pub first: bool,
}

/// Fetches pages; cheap to clone.
#[derive(Debug, Clone)]
pub struct Scraper {
    fetcher: Fetcher,
    kubelets: Option<Arc<Kubelets>>,
    limits: ScrapeLimits,
    clock: fn() -> Timestamp,
}

impl Scraper {
    /// Makes the client: no redirects, no proxies, nothing negotiated but plain text.
    pub fn new(limits: ScrapeLimits, clock: fn() -> Timestamp) -> Result<Self, ScrapeError> {
        let fetcher = Fetcher::new(limits.connect_timeout())?;
        Ok(Self { fetcher, kubelets: None, limits, clock })
    }

    /// Asks the pages at `urls` as kubelets are asked.
    pub fn with_kubelets(
        self,
        access: KubeletAccess,
        urls: BTreeSet<String>,
    ) -> Result<Self, ScrapeError> {
        let kubelets = Kubelets::new(self.limits.connect_timeout(), access, urls)?;
        Ok(Self { kubelets: Some(Arc::new(kubelets)), ..self })
    }

    async fn get(&self, url: &str) -> Result<Response<Incoming>, ScrapeError> {
        let kubelets = self.kubelets.as_ref();
        if let Some((kubelets, fetcher)) = kubelets.and_then(|k| Some((k, k.fetcher(url)?))) {
            return fetcher.get(url, kubelets.token()?.as_deref()).await;
        }
        self.fetcher.get(url, None).await
    }

    /// Fetches one page whole.
    pub async fn scrape(&self, url: &str) -> Result<Scraped, ScrapeError> {
        let mut body = Vec::new();
        let fetched = self.fetch(url, |piece| body.extend_from_slice(piece)).await?;
        let Arrival { date, requested_at, received_at, took_ms } = fetched;
        Ok(Scraped { body, date, requested_at, received_at, took_ms })
    }

    /// Fetches one page and reads it for what is wanted; the rest of it is never in memory.
    async fn probe(&self, url: &str, wanted: &Wanted) -> Result<Probe, ScrapeError> {
        let mut sieve = Sieve::new(wanted);
        let fetched = self.fetch(url, |piece| sieve.take(piece)).await?;
        Ok(Probe {
            page: Page::read(&sieve.finish(), wanted),
            date: fetched.date,
            requested_at: fetched.requested_at,
            received_at: fetched.received_at,
        })
    }

    /// Hands the pieces of a page on as they arrive.
    async fn fetch(&self, url: &str, take: impl FnMut(&[u8])) -> Result<Arrival, ScrapeError> {
        let requested_at = (self.clock)();
        let started = tokio::time::Instant::now();
        let limit_ms = self.limits.total_timeout_ms;
        let date = tokio::time::timeout(Duration::from_millis(limit_ms), self.page(url, take))
            .await
            .map_err(|_| ScrapeError::Timeout { limit_ms })??;
        let took_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let received_at = (self.clock)();
        Ok(Arrival { date, requested_at, received_at, took_ms })
    }

    async fn page(
        &self,
        url: &str,
        mut take: impl FnMut(&[u8]),
    ) -> Result<Option<Timestamp>, ScrapeError> {
        let response = self.get(url).await?;
        if response.status() != StatusCode::OK {
            return Err(ScrapeError::Status { status: response.status().as_u16() });
        }
        let date = response
            .headers()
            .get(DATE)
            .and_then(|value| value.to_str().ok())
            .and_then(|text| jiff::fmt::rfc2822::parse(text).ok())
            .map(|zoned| zoned.timestamp());
        let limit_bytes = self.limits.max_bytes.min(BODY_MAX_BYTES);
        let mut received = 0_usize;
        let mut body = response.into_body();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| broken(&error))?;
            // What is no data are trailers, and they say nothing here.
            let Some(piece) = frame.data_ref() else { continue };
            received = received.saturating_add(piece.len());
            if received > limit_bytes {
                return Err(ScrapeError::TooLarge { limit_bytes });
            }
            take(piece);
        }
        Ok(date)
    }

    /// Fetches and reads all pages: first the leaders, then the rest side by side.
    pub async fn probe_all(
        &self,
        targets: Vec<ProbeTarget>,
    ) -> BTreeMap<UnitKey, Result<Probe, ScrapeError>> {
        let (first, rest): (Vec<_>, Vec<_>) = targets.into_iter().partition(|t| t.first);
        let mut results = self.probe_some(first).await;
        results.extend(self.probe_some(rest).await);
        results
    }

    async fn probe_some(
        &self,
        targets: Vec<ProbeTarget>,
    ) -> BTreeMap<UnitKey, Result<Probe, ScrapeError>> {
        stream::iter(targets)
            .map(|target| async move {
                let probe = self.probe(&target.url, &target.wanted).await;
                (target.key, probe)
            })
            .buffer_unordered(PROBES_AT_ONCE)
            .collect()
            .await
    }
}
