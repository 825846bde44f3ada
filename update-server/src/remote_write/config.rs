//! `[remote_write]` of the configuration file: where to, how often, what.

use std::collections::BTreeMap;
use std::path::PathBuf;

use reqwest::Url;
use reqwest::header::{HeaderName, HeaderValue};
use serde::Deserialize;

/// A minute, as most scrapers do.
const DEFAULT_INTERVAL_S: u64 = 60;
/// About 25 MB: some minutes of a large fleet, hours of a small one.
const DEFAULT_BUFFER_SAMPLES: usize = 500_000;
/// A receiver that takes longer has a problem of its own.
const DEFAULT_TIMEOUT_S: u64 = 30;
/// Mimir's, Cortex' and Thanos' name for it.
const DEFAULT_TENANT_HEADER: &str = "x-scope-orgid";
/// Constant labels; each costs a few bytes in every sample.
const MAX_LABELS: usize = 16;
/// What is sent unless `series` says otherwise.
const DEFAULT_SERIES: [&str; 14] = [
    "fairway_channel_mismatches",
    "fairway_cluster_health",
    "fairway_cluster_info",
    "fairway_cluster_pleg_lag_seconds",
    "fairway_cluster_quorum_lag_seconds",
    "fairway_clusters",
    "fairway_clusters_drift",
    "fairway_clusters_eol",
    "fairway_clusters_freshness",
    "fairway_clusters_health",
    "fairway_holds",
    "fairway_identity_conflicts",
    "fairway_silent_while_updating",
    "fairway_sites",
];

/// What a person may write.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RemoteWriteFragments {
    /// Where the receiver listens: the whole address, path included.
    pub url: Option<String>,
    /// Seconds between two rounds, 1 to 3,600.
    pub interval_s: Option<u64>,
    /// Samples kept while the receiver is away, 10,000 to 100,000,000.
    pub buffer_samples: Option<usize>,
    /// Seconds one request may take, 1 to 300.
    pub timeout_s: Option<u64>,
    /// Names of metrics that are sent; one that ends in `*` stands for all that begin like it.
    pub series: Option<Vec<String>>,
    /// Labels that every series gets.
    pub labels: Option<BTreeMap<String, String>>,
    /// Whose data it is, for receivers with several tenants.
    pub tenant: Option<String>,
    /// Header that names the tenant.
    pub tenant_header: Option<String>,
    /// File with a token for the receiver; read for every request, so that it may be renewed.
    pub bearer_token_file: Option<PathBuf>,
}

/// What the forwarder runs with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteWriteSettings {
    /// Where the receiver listens.
    pub url: Url,
    /// Seconds between two rounds.
    pub interval_s: u64,
    /// Samples kept while the receiver is away.
    pub buffer_samples: usize,
    /// Seconds one request may take.
    pub timeout_s: u64,
    /// What is sent.
    pub series: Allowed,
    /// Labels that every series gets.
    pub labels: BTreeMap<String, String>,
    /// Header and value that name the tenant.
    pub tenant: Option<(HeaderName, HeaderValue)>,
    /// File with a token for the receiver.
    pub bearer_token_file: Option<PathBuf>,
}

/// A `[remote_write]` that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("remote_write.{key} {why}")]
pub struct RemoteWriteError {
    /// The key.
    pub key: &'static str,
    /// What is wrong with it.
    pub why: String,
}

fn error(key: &'static str, why: impl Into<String>) -> RemoteWriteError {
    RemoteWriteError { key, why: why.into() }
}

/// Names of metrics that may be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowed(Vec<String>);

impl Allowed {
    fn parse(names: Vec<String>) -> Result<Self, RemoteWriteError> {
        for name in &names {
            let plain = name.strip_suffix('*').unwrap_or(name);
            let fits =
                plain.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
            if !fits || !plain.starts_with("fairway_") {
                return Err(error("series", format!("has {name:?}; names begin with fairway_")));
            }
        }
        Ok(Self(names))
    }

    /// Whether the metric is sent.
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|allowed| match allowed.strip_suffix('*') {
            Some(start) => name.starts_with(start),
            None => name == allowed,
        })
    }
}

impl TryFrom<RemoteWriteFragments> for RemoteWriteSettings {
    type Error = RemoteWriteError;

    fn try_from(from: RemoteWriteFragments) -> Result<Self, RemoteWriteError> {
        let url = url(from.url.as_deref(), from.bearer_token_file.is_some())?;
        let series = from.series.unwrap_or_else(|| DEFAULT_SERIES.map(ToOwned::to_owned).to_vec());
        Ok(Self {
            url,
            interval_s: within("interval_s", from.interval_s, DEFAULT_INTERVAL_S, 1, 3_600)?,
            buffer_samples: within(
                "buffer_samples",
                from.buffer_samples,
                DEFAULT_BUFFER_SAMPLES,
                10_000,
                100_000_000,
            )?,
            timeout_s: within("timeout_s", from.timeout_s, DEFAULT_TIMEOUT_S, 1, 300)?,
            series: Allowed::parse(series)?,
            labels: labels(from.labels.unwrap_or_default())?,
            tenant: tenant(from.tenant.as_deref(), from.tenant_header.as_deref())?,
            bearer_token_file: from.bearer_token_file,
        })
    }
}

fn within<T: PartialOrd + std::fmt::Display + Copy>(
    key: &'static str,
    value: Option<T>,
    default: T,
    min: T,
    max: T,
) -> Result<T, RemoteWriteError> {
    let value = value.unwrap_or(default);
    if value >= min && value <= max {
        Ok(value)
    } else {
        Err(error(key, format!("is {value}: it must be between {min} and {max}")))
    }
}

fn url(text: Option<&str>, with_token: bool) -> Result<Url, RemoteWriteError> {
    let text = text.ok_or_else(|| error("url", "is not set"))?;
    let url: Url = text.parse().map_err(|e| error("url", format!("is no address: {e}")))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(error("url", "must begin with http:// or https://"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(error("url", "holds a user; use bearer_token_file"));
    }
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let here = host == "localhost"
        || host.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback());
    if with_token && url.scheme() == "http" && !here {
        return Err(error("url", "must be https:// where bearer_token_file is set"));
    }
    Ok(url)
}

fn labels(labels: BTreeMap<String, String>) -> Result<BTreeMap<String, String>, RemoteWriteError> {
    if labels.len() > MAX_LABELS {
        return Err(error("labels", format!("are {}; at most {MAX_LABELS}", labels.len())));
    }
    let taken =
        ["channel", "cluster", "le", "phase", "product", "result", "state", "status", "version"];
    for (name, value) in &labels {
        let mut bytes = name.bytes();
        let starts = bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
        let fits = starts && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if !fits || name.starts_with("__") {
            return Err(error("labels", format!("has {name:?}, which is no name of a label")));
        }
        if taken.contains(&name.as_str()) {
            return Err(error("labels", format!("has {name}, which series have already")));
        }
        if value.is_empty() {
            return Err(error("labels", format!("has {name} without a value")));
        }
    }
    let mut labels = labels;
    labels.entry("job".to_owned()).or_insert_with(|| "fairway".to_owned());
    Ok(labels)
}

fn tenant(
    tenant: Option<&str>,
    header: Option<&str>,
) -> Result<Option<(HeaderName, HeaderValue)>, RemoteWriteError> {
    let header = header.unwrap_or(DEFAULT_TENANT_HEADER);
    let header = HeaderName::from_bytes(header.as_bytes())
        .map_err(|_| error("tenant_header", format!("is {header:?}, no name of a header")))?;
    let Some(tenant) = tenant else { return Ok(None) };
    let value = HeaderValue::from_str(tenant)
        .map_err(|_| error("tenant", "holds characters that a header cannot"))?;
    Ok(Some((header, value)))
}
