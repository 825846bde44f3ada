//! Settings: command line over environment over file over defaults, checked once at start.
//!
//! [`Fragments`] is what a person may write (every field optional, unknown ones refused);
//! [`Settings`] is what the rest of the process gets (every field known to be in range).

mod limits;
mod oidc;
mod tls;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use channels::names::{ProductRef, SiteName};
use reqwest::Url;
use serde::Deserialize;

use crate::remote_write::{RemoteWriteError, RemoteWriteFragments, RemoteWriteSettings};
use crate::store::{AddressError, Database};
pub use limits::{LimitFragments, LimitSettings, Network};
pub use oidc::{OidcFragments, OidcSettings, RoleFragment, RoleRule};
pub use tls::{ClientCertificates, TlsFragments, TlsSettings};

/// Port without privileges, next to nothing well known.
const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8480);
/// Reference/telemetry.md §0: a million clusters on two cores at this period.
const DEFAULT_REPORT_INTERVAL_S: u64 = 300;
/// Three report intervals: one lost report does not stop a roll.
const DEFAULT_GRANT_TTL_S: u64 = 900;
/// Six seconds of a million clusters' reports; 20,000 waiting reports take about 40 MB.
const DEFAULT_QUEUE_CAPACITY: usize = 20_000;
/// A month of transitions answers "what happened during the last release".
const DEFAULT_HISTORY_DAYS: u32 = 30;
/// Time for queued writes and open answers at shutdown; systemd gives 90 s.
const DEFAULT_SHUTDOWN_TIMEOUT_S: u64 = 10;
/// A configuration file is a page of text.
const MAX_CONFIG_BYTES: u64 = 64 * 1024;

/// How log lines look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    #[default]
    Auto,
    /// One JSON object per line.
    Json,
    /// For reading.
    Text,
}

/// What a person may write, from one source.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fragments {
    /// Address and port to listen on; port 0 takes a free one (see `<data_dir>/address`).
    pub listen: Option<SocketAddr>,
    /// Directory of everything the hub keeps.
    pub data_dir: Option<PathBuf>,
    /// URL of a PostgreSQL database, for several replicas of this hub; without it everything is in
    /// the data directory.
    pub database: Option<String>,
    /// `vendor/product` answered on the graph paths that name no product.
    pub default_product: Option<ProductRef>,
    /// The site this hub serves, if it is behind an air gap and tells another hub about itself.
    pub site: Option<SiteName>,
    /// Seconds between two reports of one cluster, 1 to 86,400.
    pub report_interval_s: Option<u64>,
    /// Seconds a grant is valid, 1 to 86,400.
    pub grant_ttl_s: Option<u64>,
    /// Whether people without a token may read.
    pub anonymous_viewer: Option<bool>,
    /// Whether webhooks may go to this machine and its link, and unencrypted.
    pub webhooks_to_local_addresses: Option<bool>,
    /// Writes that may wait for the writer, 1 to 1,000,000.
    pub queue_capacity: Option<usize>,
    /// Days of history kept, 1 to 3,650.
    pub history_days: Option<u32>,
    /// HTTP worker threads, 1 to 256; one per core if absent.
    pub workers: Option<usize>,
    /// Seconds a graceful shutdown may take, 1 to 600.
    pub shutdown_timeout_s: Option<u64>,
    /// How log lines look.
    pub log_format: Option<LogFormat>,
    /// TLS of the hub itself; without it, it speaks plain HTTP.
    pub tls: Option<TlsFragments>,
    /// Address at which people's browsers find the hub.
    pub public_url: Option<String>,
    /// Sign-in of people through an `OpenID` provider.
    pub oidc: Option<OidcFragments>,
    /// Rate limits.
    pub limits: Option<LimitFragments>,
    /// Addresses or networks of proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Option<Vec<String>>,
    /// Forwards metrics to a long-term store; only in the file.
    pub remote_write: Option<RemoteWriteFragments>,
}

impl Fragments {
    /// This source's values, and `under`'s where this one is silent.
    #[must_use]
    pub fn over(self, under: Self) -> Self {
        Self {
            listen: self.listen.or(under.listen),
            data_dir: self.data_dir.or(under.data_dir),
            database: self.database.or(under.database),
            default_product: self.default_product.or(under.default_product),
            site: self.site.or(under.site),
            report_interval_s: self.report_interval_s.or(under.report_interval_s),
            grant_ttl_s: self.grant_ttl_s.or(under.grant_ttl_s),
            anonymous_viewer: self.anonymous_viewer.or(under.anonymous_viewer),
            webhooks_to_local_addresses: self
                .webhooks_to_local_addresses
                .or(under.webhooks_to_local_addresses),
            queue_capacity: self.queue_capacity.or(under.queue_capacity),
            history_days: self.history_days.or(under.history_days),
            workers: self.workers.or(under.workers),
            shutdown_timeout_s: self.shutdown_timeout_s.or(under.shutdown_timeout_s),
            log_format: self.log_format.or(under.log_format),
            tls: match (self.tls, under.tls) {
                (Some(over), Some(under)) => Some(over.over(under)),
                (over, under) => over.or(under),
            },
            public_url: self.public_url.or(under.public_url),
            oidc: self.oidc.or(under.oidc),
            limits: self.limits.or(under.limits),
            trusted_proxies: self.trusted_proxies.or(under.trusted_proxies),
            remote_write: self.remote_write.or(under.remote_write),
        }
    }

    /// Reads a TOML text.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        toml::from_str(text).map_err(|e| ConfigError::Syntax { message: e.to_string() })
    }

    /// Reads a TOML file.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let read = |source| ConfigError::Read { path: path.to_owned(), source };
        let size = std::fs::metadata(path).map_err(read)?.len();
        if size > MAX_CONFIG_BYTES {
            return Err(ConfigError::TooLarge { path: path.to_owned(), limit: MAX_CONFIG_BYTES });
        }
        Self::parse(&std::fs::read_to_string(path).map_err(read)?)
    }
}

/// What the process runs with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Address and port to listen on.
    pub listen: SocketAddr,
    /// Directory of everything the hub keeps.
    pub data_dir: PathBuf,
    /// Where fleet and audit log are: a server, or the data directory.
    pub database: Database,
    /// Product answered on the graph paths that name none.
    pub default_product: Option<ProductRef>,
    /// The site this hub serves and may export the status of.
    pub site: Option<SiteName>,
    /// Seconds between two reports of one cluster.
    pub report_interval_s: u64,
    /// Seconds a grant is valid.
    pub grant_ttl_s: u64,
    /// Whether people without a token may read.
    pub anonymous_viewer: bool,
    /// Whether webhooks may go to this machine and its link, and unencrypted.
    pub webhooks_to_local_addresses: bool,
    /// Writes that may wait for the writer.
    pub queue_capacity: usize,
    /// Days of history kept.
    pub history_days: u32,
    /// HTTP worker threads; `None` = one per core.
    pub workers: Option<usize>,
    /// Seconds a graceful shutdown may take.
    pub shutdown_timeout_s: u64,
    /// How log lines look.
    pub log_format: LogFormat,
    /// TLS of the hub itself.
    pub tls: Option<TlsSettings>,
    /// Address at which people's browsers find the hub.
    pub public_url: Option<Url>,
    /// Sign-in of people; only where `public_url` is set.
    pub oidc: Option<OidcSettings>,
    /// Rate limits.
    pub limits: LimitSettings,
    /// Proxies whose word about a client's address is taken.
    pub trusted_proxies: Vec<Network>,
    /// Forwards metrics to a long-term store.
    pub remote_write: Option<RemoteWriteSettings>,
}

impl TryFrom<Fragments> for Settings {
    type Error = ConfigError;

    fn try_from(from: Fragments) -> Result<Self, ConfigError> {
        let seconds = |name, value: Option<u64>, default, max| {
            in_range(name, value.unwrap_or(default), 1, max)
        };
        let report_interval_s = seconds(
            "report_interval_s",
            from.report_interval_s,
            DEFAULT_REPORT_INTERVAL_S,
            86_400,
        )?;
        let public_url = from.public_url.as_deref();
        let public_url = public_url.map(|url| oidc::safe_url("public_url", url)).transpose()?;
        if from.oidc.is_some() && public_url.is_none() {
            let because = "the provider sends browsers back there ([oidc] is set)";
            return Err(ConfigError::Needs { needed: "public_url", because });
        }
        let data_dir = from.data_dir.ok_or(ConfigError::Missing { name: "data_dir" })?;
        let database = match from.database.as_deref() {
            Some(url) => Database::Server(url.parse().map_err(|error: AddressError| {
                ConfigError::Invalid { name: "database", why: error.to_string() }
            })?),
            None => Database::from(data_dir.as_path()),
        };
        Ok(Self {
            listen: from.listen.unwrap_or(DEFAULT_LISTEN),
            data_dir,
            database,
            default_product: from.default_product,
            site: from.site,
            report_interval_s,
            grant_ttl_s: seconds("grant_ttl_s", from.grant_ttl_s, DEFAULT_GRANT_TTL_S, 86_400)?,
            anonymous_viewer: from.anonymous_viewer.unwrap_or(false),
            webhooks_to_local_addresses: from.webhooks_to_local_addresses.unwrap_or(false),
            queue_capacity: in_range(
                "queue_capacity",
                from.queue_capacity.unwrap_or(DEFAULT_QUEUE_CAPACITY),
                1,
                1_000_000,
            )?,
            history_days: in_range(
                "history_days",
                from.history_days.unwrap_or(DEFAULT_HISTORY_DAYS),
                1,
                3_650,
            )?,
            workers: from.workers.map(|n| in_range("workers", n, 1, 256)).transpose()?,
            shutdown_timeout_s: seconds(
                "shutdown_timeout_s",
                from.shutdown_timeout_s,
                DEFAULT_SHUTDOWN_TIMEOUT_S,
                600,
            )?,
            log_format: from.log_format.unwrap_or_default(),
            tls: from.tls.unwrap_or_default().settings()?,
            public_url,
            oidc: from.oidc.map(OidcSettings::try_from).transpose()?,
            limits: from.limits.unwrap_or_default().settings(report_interval_s)?,
            trusted_proxies: limits::networks(&from.trusted_proxies.unwrap_or_default())?,
            remote_write: from.remote_write.map(RemoteWriteSettings::try_from).transpose()?,
        })
    }
}

fn in_range<T: PartialOrd + std::fmt::Display + Copy>(
    name: &'static str,
    value: T,
    min: T,
    max: T,
) -> Result<T, ConfigError> {
    if value >= min && value <= max {
        Ok(value)
    } else {
        Err(ConfigError::Range {
            name,
            found: value.to_string(),
            min: min.to_string(),
            max: max.to_string(),
        })
    }
}

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("failed to read the configuration {path}", path = path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// The file is not a configuration.
    #[error("the configuration {path} is larger than {limit} bytes", path = path.display())]
    TooLarge {
        /// Which file.
        path: PathBuf,
        /// The bound.
        limit: u64,
    },
    /// Not TOML, an unknown key, or a value of the wrong kind.
    #[error("failed to parse the configuration: {message}")]
    Syntax {
        /// What the parser says, with line and column.
        message: String,
    },
    /// A setting without default is absent.
    #[error("{name} is not set: give --data-dir, FAIRWAY_DATA_DIR or data_dir in the file")]
    Missing {
        /// The setting.
        name: &'static str,
    },
    /// A setting needs another one.
    #[error("{needed} must be set: {because}")]
    Needs {
        /// What is missing.
        needed: &'static str,
        /// What asks for it.
        because: &'static str,
    },
    /// A value that cannot be what it should be.
    #[error("{name}: {why}")]
    Invalid {
        /// The setting.
        name: &'static str,
        /// What is wrong.
        why: String,
    },
    /// `[remote_write]`.
    #[error(transparent)]
    RemoteWrite(#[from] RemoteWriteError),
    /// A value outside its range.
    #[error("{name} is {found}: it must be between {min} and {max}")]
    Range {
        /// The setting.
        name: &'static str,
        /// What was set.
        found: String,
        /// Smallest value accepted.
        min: String,
        /// Largest value accepted.
        max: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str) -> Result<Settings, ConfigError> {
        Fragments::parse(text)?.try_into()
    }

    #[test]
    fn a_data_directory_is_all_one_needs() {
        let settings = settings("data_dir = '/var/lib/fairway'").unwrap();
        assert_eq!(settings.listen.to_string(), "127.0.0.1:8480");
        assert_eq!((settings.report_interval_s, settings.grant_ttl_s), (300, 900));
        assert!(!settings.anonymous_viewer);
    }

    #[test]
    fn an_unknown_key_is_refused_by_name() {
        let error = settings("data_dir = '/x'\nreport_intervall_s = 3").unwrap_err();
        assert!(error.to_string().contains("report_intervall_s"), "{error}");
    }

    #[test]
    fn a_value_out_of_range_is_refused_with_its_range() {
        let error = settings("data_dir = '/x'\ngrant_ttl_s = 0").unwrap_err();
        assert_eq!(error.to_string(), "grant_ttl_s is 0: it must be between 1 and 86400");
        assert!(matches!(settings(""), Err(ConfigError::Missing { name: "data_dir" })));
    }

    #[test]
    fn one_line_chooses_the_database_and_its_password_is_not_told() {
        let alone = settings("data_dir = '/x'").unwrap();
        assert_eq!(alone.database, Database::Directory("/x".into()));
        let text = "data_dir = '/x'\ndatabase = 'postgres://hub:geheim@db/fairway'";
        let shared = settings(text).unwrap();
        assert_eq!(shared.database.to_string(), "postgres://db:5432/fairway");
        assert!(!format!("{shared:?}").contains("geheim"));
        let error = settings("data_dir = '/x'\ndatabase = 'mysql://db/x'").unwrap_err();
        assert!(error.to_string().starts_with("database: must be a URL"), "{error}");
    }

    #[test]
    fn the_command_line_wins_over_the_file() {
        let file = Fragments::parse("data_dir = '/file'\ngrant_ttl_s = 60").unwrap();
        let line = Fragments { data_dir: Some("/line".into()), ..Fragments::default() };
        let merged = Settings::try_from(line.over(file)).unwrap();
        assert_eq!((merged.data_dir.to_str(), merged.grant_ttl_s), (Some("/line"), 60));
    }
}
