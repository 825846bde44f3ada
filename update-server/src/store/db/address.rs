//! Where the store keeps everything: the one line of the configuration that chooses.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use reqwest::Url;
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};

use super::passfile;

/// How long one address of the server may take to answer a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Silence after which the system asks the server whether it is still there.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(5);
/// And how often it asks again, three times.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(2);
const KEEPALIVE_RETRIES: u32 = 3;
/// Bytes that nobody confirms for so long mean that nobody is there.
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(10);

/// Where the store keeps everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Database {
    /// A `SQLite` file in this directory.
    Directory(PathBuf),
    /// A PostgreSQL database.
    Server(Server),
}

impl From<&Path> for Database {
    fn from(dir: &Path) -> Self {
        Self::Directory(dir.to_owned())
    }
}

impl From<&PathBuf> for Database {
    fn from(dir: &PathBuf) -> Self {
        Self::from(dir.as_path())
    }
}

impl From<&Self> for Database {
    fn from(same: &Self) -> Self {
        same.clone()
    }
}

impl fmt::Display for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory(dir) => write!(f, "sqlite:{}", dir.display()),
            Self::Server(server) => server.fmt(f),
        }
    }
}

/// A database that cannot be what is written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Not a URL of PostgreSQL.
    #[error("must be a URL that begins with postgres:// (or absent: then SQLite is used)")]
    Scheme,
    /// The rest of the URL.
    #[error("not a URL of PostgreSQL: {why}")]
    Url {
        /// What is wrong; never the URL, which may have a password.
        why: String,
    },
    /// A way of encrypting that this hub does not offer.
    #[error(
        "sslmode={found} is not supported: `verify-full` and `require` both encrypt and verify \
         the server's certificate, `disable` does neither"
    )]
    SslMode {
        /// What was written.
        found: String,
    },
}

/// A PostgreSQL database and how it is reached. Neither `Debug` nor `Display` tell its password.
#[derive(Clone, PartialEq, Eq)]
pub struct Server {
    /// Large, and settings are moved around.
    config: Box<Config>,
    /// Authorities that sign the server's certificate; those of the system without.
    pub(super) root_cert: Option<PathBuf>,
    passfile: Option<PathBuf>,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Server({self})")
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("postgres://")?;
        for (n, (host, port)) in self.places().enumerate() {
            let comma = if n > 0 { "," } else { "" };
            write!(f, "{comma}{host}:{port}")?;
        }
        write!(f, "/{}", self.config.get_dbname().unwrap_or_default())
    }
}

impl FromStr for Server {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if !text.starts_with("postgres://") && !text.starts_with("postgresql://") {
            return Err(AddressError::Scheme);
        }
        let (place, query) = text.split_once('?').unwrap_or((text, ""));
        let mut all = Query::read(query)?;
        let url = if all.others.is_empty() {
            place.to_owned()
        } else {
            format!("{place}?{}", all.others.join("&"))
        };
        let wrong = |error: tokio_postgres::Error| AddressError::Url { why: error.to_string() };
        let mut config: Config = url.parse().map_err(wrong)?;
        if config.get_hosts().is_empty() {
            return Err(AddressError::Url { why: "it names no host".to_owned() });
        }
        config.ssl_mode(ssl_mode(all.ssl_mode.as_deref(), &config)?);
        if config.get_application_name().is_none() {
            config.application_name("fairway");
        }
        config
            .connect_timeout(CONNECT_TIMEOUT)
            .keepalives(true)
            .keepalives_idle(KEEPALIVE_IDLE)
            .keepalives_interval(KEEPALIVE_INTERVAL)
            .keepalives_retries(KEEPALIVE_RETRIES)
            .tcp_user_timeout(TCP_USER_TIMEOUT)
            // After a failover the old primary may still answer, and take no writes.
            .target_session_attrs(TargetSessionAttrs::ReadWrite);
        Ok(Self {
            config: Box::new(config),
            root_cert: all.root_cert.take(),
            passfile: all.passfile.take(),
        })
    }
}

/// The parameters that are this hub's to understand, and the others.
#[derive(Default)]
struct Query {
    ssl_mode: Option<String>,
    root_cert: Option<PathBuf>,
    passfile: Option<PathBuf>,
    others: Vec<String>,
}

impl Query {
    fn read(query: &str) -> Result<Self, AddressError> {
        let mut all = Self::default();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let url = Url::parse(&format!("postgres://x?{pair}"))
                .map_err(|error| AddressError::Url { why: error.to_string() })?;
            let Some((name, value)) = url.query_pairs().next() else { continue };
            match name.as_ref() {
                "sslmode" => all.ssl_mode = Some(value.into_owned()),
                "sslrootcert" => all.root_cert = Some(PathBuf::from(value.as_ref())),
                "passfile" => all.passfile = Some(PathBuf::from(value.as_ref())),
                _ => all.others.push(pair.to_owned()),
            }
        }
        Ok(all)
    }
}

/// What is asked for, or what is safe: nobody listens in on a socket or on the loopback.
fn ssl_mode(asked: Option<&str>, config: &Config) -> Result<SslMode, AddressError> {
    match asked {
        Some("disable") => Ok(SslMode::Disable),
        Some("require" | "verify-full") => Ok(SslMode::Require),
        Some(found) => Err(AddressError::SslMode { found: found.to_owned() }),
        None if config.get_hosts().iter().all(is_here) => Ok(SslMode::Disable),
        None => Ok(SslMode::Require),
    }
}

fn is_here(host: &Host) -> bool {
    match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => {
            name == "localhost"
                || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
        }
    }
}

impl Server {
    /// Whether what is sent is encrypted.
    pub(super) fn is_encrypted(&self) -> bool {
        self.config.get_ssl_mode() == SslMode::Require
    }

    fn places(&self) -> impl Iterator<Item = (String, u16)> + '_ {
        let ports = self.config.get_ports();
        let port = move |n: usize| ports.get(n).or(ports.first()).copied().unwrap_or(5432);
        self.config.get_hosts().iter().enumerate().map(move |(n, host)| {
            let name = match host {
                Host::Tcp(name) => name.clone(),
                Host::Unix(path) => path.display().to_string(),
            };
            (name, port(n))
        })
    }

    /// How to connect, with the password as it is now: of the URL, of `PGPASSWORD`, or of a password
    /// file.
    pub(super) fn config(&self) -> Config {
        let mut config = Config::clone(&self.config);
        if config.get_password().is_none()
            && let Some(password) = self.password()
        {
            config.password(password);
        }
        config
    }

    fn password(&self) -> Option<String> {
        if let Some(password) = std::env::var("PGPASSWORD").ok().filter(|text| !text.is_empty()) {
            return Some(password);
        }
        let path = self.passfile.clone().or_else(|| std::env::var_os("PGPASSFILE").map(Into::into));
        let text = passfile::read(&path?)?;
        let database = self.config.get_dbname().unwrap_or_default();
        let user = self.config.get_user().unwrap_or_default();
        self.places().find_map(|(host, port)| {
            passfile::find(&text, &passfile::Wanted { host: &host, port, database, user })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(text: &str) -> Result<Server, AddressError> {
        text.parse()
    }

    #[test]
    fn what_leaves_this_machine_is_encrypted_unless_somebody_says_otherwise() {
        for (url, encrypted) in [
            ("postgres://fairway@db.example.com/hub", true),
            ("postgresql://fairway@10.0.0.7:5433/hub", true),
            ("postgres://a,b/hub?sslmode=require", true),
            ("postgres://127.0.0.1/hub?sslmode=verify-full", true),
            ("postgres://db.example.com/hub?sslmode=disable", false),
            ("postgres://localhost/hub", false),
            ("postgres://[::1]:5000/hub", false),
            ("postgres://fairway@%2Frun%2Fpostgresql/hub", false),
        ] {
            assert_eq!(server(url).unwrap().is_encrypted(), encrypted, "{url}");
        }
    }

    #[test]
    fn a_way_that_verifies_nothing_is_refused_by_name() {
        for mode in ["prefer", "allow", "verify-ca", "maybe"] {
            let found = mode.to_owned();
            assert_eq!(
                server(&format!("postgres://db/hub?sslmode={mode}")),
                Err(AddressError::SslMode { found })
            );
        }
    }

    #[test]
    fn what_is_no_address_is_refused_without_repeating_a_password() {
        assert_eq!(server("host=db password=geheim"), Err(AddressError::Scheme));
        assert_eq!(server("mysql://db/hub"), Err(AddressError::Scheme));
        for url in ["postgres://u:geheim@db/hub?colour=blue", "postgres:///hub?user=geheim"] {
            let error = server(url).unwrap_err();
            assert!(matches!(error, AddressError::Url { .. }), "{error}");
            assert!(!error.to_string().contains("geheim"), "{error}");
        }
    }

    #[test]
    fn an_address_is_shown_without_its_password() {
        let server = server("postgres://u:geheim@a:5433,b:5434/hub?sslrootcert=%2Fetc%2Fca.pem");
        let server = server.unwrap();
        assert_eq!(server.to_string(), "postgres://a:5433,b:5434/hub");
        assert!(!format!("{server:?}").contains("geheim"));
        assert_eq!(server.root_cert.as_deref(), Some(Path::new("/etc/ca.pem")));
    }
}
