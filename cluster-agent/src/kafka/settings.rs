//! Where a product's Kafka servers are and how this agent proves who it is to them.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// One product's Kafka servers: local configuration, never from a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KafkaSettings {
    /// Controllers' listeners; at least one.
    pub bootstrap: Vec<Address>,
    /// Brokers' listeners, to ask for partitions; none = they are not asked for.
    pub brokers: Vec<Address>,
    /// Longest wait for one answer, connecting and logging in included, milliseconds.
    pub timeout_ms: u64,
    /// How often the quorum is asked about while units are probed, milliseconds.
    pub period_ms: u64,
    /// How often partitions are asked about, milliseconds.
    pub partitions_period_ms: u64,
    /// TLS; `None` = plain text.
    pub tls: Option<TlsSettings>,
    /// Login; only with TLS.
    pub sasl: Option<SaslSettings>,
}

/// TLS to Kafka.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsSettings {
    /// PEM file of the authorities that may vouch for servers.
    pub ca_file: PathBuf,
    /// PEM files of the agent's own certificate chain and key.
    pub client: Option<(PathBuf, PathBuf)>,
    /// The name in the servers' certificates, if it is not the host of their address.
    pub server_name: Option<String>,
}

/// Login to Kafka.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SaslSettings {
    /// How.
    pub mechanism: Mechanism,
    /// As whom.
    pub username: String,
    /// File with the password, read at every login so that it can be changed.
    pub password_file: PathBuf,
}

/// A SASL mechanism.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mechanism {
    /// `PLAIN`.
    Plain,
    /// `SCRAM-SHA-256`.
    ScramSha256,
    /// `SCRAM-SHA-512`.
    ScramSha512,
}

impl Mechanism {
    /// Its registered name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
        }
    }
}

impl FromStr for Mechanism {
    type Err = UnknownMechanism;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        [Self::Plain, Self::ScramSha256, Self::ScramSha512]
            .into_iter()
            .find(|mechanism| mechanism.as_str() == name)
            .ok_or(UnknownMechanism)
    }
}

/// Not a mechanism this agent knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it must be PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512")]
pub struct UnknownMechanism;

/// Host and port of a server.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Address {
    host: String,
    port: u16,
}

impl Address {
    /// A host that somebody else named, without brackets.
    pub fn of(host: &str, port: u16) -> Result<Self, AddressError> {
        if host.contains(':') {
            format!("[{host}]:{port}").parse()
        } else {
            format!("{host}:{port}").parse()
        }
    }

    /// The host, without the brackets of an IPv6 address.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }
}

/// Not an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it must be host:port, an IPv6 host in brackets")]
pub struct AddressError;

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (host, port) = text.rsplit_once(':').ok_or(AddressError)?;
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let fits = match bare {
            Some(bare) => bare.parse::<std::net::Ipv6Addr>().is_ok(),
            None => host.chars().all(|c| c.is_ascii_alphanumeric() || ".-_".contains(c)),
        };
        let host = bare.unwrap_or(host);
        let port: u16 = port.parse().map_err(|_| AddressError)?;
        if !fits || host.is_empty() || host.len() > 253 || port == 0 {
            return Err(AddressError);
        }
        Ok(Self { host: host.to_owned(), port })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        let text =
            if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
        f.pad(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_a_host_and_a_port() {
        for text in ["c1:9093", "10.0.0.1:19091", "[::1]:9093", "kafka-0.kafka.svc:9093"] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
        for text in ["", "c1", "c1:", "c1:0", ":9093", "a b:1", "[c1]:9093", "c1:70000", "a/b:1"] {
            assert_eq!(text.parse::<Address>(), Err(AddressError), "{text}");
        }
    }
}
