//! `[products.kafka]`: the servers of a product that are asked natively.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use channels::wire::Role;
use serde::Deserialize;

use super::pools::{PoolSettings, UnitSettings};
use super::ranges::ranged;
use super::{ConfigError, Settings};
use crate::kafka::{Address, KafkaSettings, Mechanism, SaslSettings, TlsSettings, WitnessTarget};
use crate::observation::{UnitKey, WitnessSource};

/// Most servers of one product: a quorum has three to five controllers, and of the brokers a few
/// are enough to ask.
const SERVERS_MAX: usize = 32;

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Kafka {
    bootstrap: Vec<String>,
    #[serde(default)]
    brokers: Vec<String>,
    timeout_ms: Option<u64>,
    period_ms: Option<u64>,
    partitions_period_ms: Option<u64>,
    tls: Option<Tls>,
    sasl: Option<Sasl>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Tls {
    ca_file: PathBuf,
    cert_file: Option<PathBuf>,
    key_file: Option<PathBuf>,
    server_name: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sasl {
    mechanism: String,
    username: String,
    password_file: PathBuf,
}

/// The servers of a product, and what follows for its units: with servers to ask, their word about
/// every controller is required.
pub(super) fn kafka_of(
    given: Option<&Kafka>,
    pools: &mut [PoolSettings],
    key: &dyn Fn(&str) -> String,
    base: &Path,
) -> Result<Option<KafkaSettings>, ConfigError> {
    let Some(given) = given else { return Ok(None) };
    let settings = kafka(given, key, base)?;
    let units = || pools.iter().flat_map(|pool| &pool.units);
    if !units().any(|unit| unit.role == Role::Controller) {
        let why = "the product has no controllers whose quorum could be asked about";
        return Err(ConfigError::invalid(key("kafka"), why));
    }
    let nameless = units().find(|unit| unit.target.is_broker() && unit.target.node_id.is_none());
    if let Some(unit) = nameless.filter(|_| !settings.brokers.is_empty()) {
        let why = format!("broker {} needs its node_id: partitions name brokers by id", unit.name);
        return Err(ConfigError::invalid(key("kafka.brokers"), why));
    }
    let controllers = pools.iter_mut().flat_map(|pool| &mut pool.units);
    for unit in controllers.filter(|unit| unit.role == Role::Controller) {
        unit.target.witnesses.insert(WitnessSource::Kafka);
    }
    Ok(Some(settings))
}

impl Settings {
    /// Every product whose servers are asked natively, with its controllers and brokers.
    pub fn witness_targets(&self) -> Vec<WitnessTarget> {
        let ids = |units: Vec<&UnitSettings>| -> BTreeMap<UnitKey, i64> {
            let known = units.into_iter().map(|unit| &unit.target);
            known.filter_map(|target| Some((target.key.clone(), target.node_id?))).collect()
        };
        self.products
            .iter()
            .filter_map(|(product, settings)| {
                let units = || settings.pools.iter().flat_map(|pool| &pool.units);
                Some(WitnessTarget {
                    product: product.clone(),
                    servers: settings.kafka.clone()?,
                    controllers: ids(units().filter(|u| u.role == Role::Controller).collect()),
                    brokers: ids(units().filter(|u| u.target.is_broker()).collect()),
                    fetch_timeout_ms: self.quorum_limits.fetch_timeout_ms,
                })
            })
            .collect()
    }
}

fn kafka(
    given: &Kafka,
    key: &dyn Fn(&str) -> String,
    base: &Path,
) -> Result<KafkaSettings, ConfigError> {
    let bootstrap = addresses(&given.bootstrap, &key("kafka.bootstrap"))?;
    if bootstrap.is_empty() {
        return Err(ConfigError::Missing {
            key: key("kafka.bootstrap"),
            hint: "the controllers' listeners, e.g. [\"c1.example:9093\", \"c2.example:9093\"]",
        });
    }
    let tls = given.tls.as_ref().map(|tls| one_tls(tls, key, base)).transpose()?;
    let sasl = given.sasl.as_ref().map(|sasl| one_sasl(sasl, key, base)).transpose()?;
    if sasl.is_some() && tls.is_none() {
        let why = "a login needs [products.kafka.tls]: without it anyone on the way reads it";
        return Err(ConfigError::invalid(key("kafka.sasl"), why));
    }
    let ms = |name: &str, value, default, range| {
        ranged(&key(&format!("kafka.{name}")), value, default, range)
    };
    Ok(KafkaSettings {
        bootstrap,
        brokers: addresses(&given.brokers, &key("kafka.brokers"))?,
        timeout_ms: ms("timeout_ms", given.timeout_ms, 1_000, 100..=30_000)?,
        period_ms: ms("period_ms", given.period_ms, 500, 100..=60_000)?,
        partitions_period_ms: ms(
            "partitions_period_ms",
            given.partitions_period_ms,
            2_000,
            500..=60_000,
        )?,
        tls,
        sasl,
    })
}

fn addresses(given: &[String], key: &str) -> Result<Vec<Address>, ConfigError> {
    if given.len() > SERVERS_MAX {
        let why = format!("{} servers are more than {SERVERS_MAX}", given.len());
        return Err(ConfigError::invalid(key, why));
    }
    given
        .iter()
        .map(|text| text.parse().map_err(|e| ConfigError::invalid(key, format!("{text:?}: {e}"))))
        .collect()
}

fn one_tls(
    given: &Tls,
    key: &dyn Fn(&str) -> String,
    base: &Path,
) -> Result<TlsSettings, ConfigError> {
    let client = match (&given.cert_file, &given.key_file) {
        (Some(cert), Some(key)) => Some((base.join(cert), base.join(key))),
        (None, None) => None,
        (Some(_), None) | (None, Some(_)) => {
            let why = "cert_file and key_file come together";
            return Err(ConfigError::invalid(key("kafka.tls"), why));
        }
    };
    Ok(TlsSettings {
        ca_file: base.join(&given.ca_file),
        client,
        server_name: given.server_name.clone(),
    })
}

fn one_sasl(
    given: &Sasl,
    key: &dyn Fn(&str) -> String,
    base: &Path,
) -> Result<SaslSettings, ConfigError> {
    let mechanism: Mechanism = given
        .mechanism
        .parse()
        .map_err(|e| ConfigError::invalid(key("kafka.sasl.mechanism"), e))?;
    if given.username.is_empty() || given.username.contains(['\0', '\n']) {
        let why = "it must be a name on one line";
        return Err(ConfigError::invalid(key("kafka.sasl.username"), why));
    }
    Ok(SaslSettings {
        mechanism,
        username: given.username.clone(),
        password_file: base.join(&given.password_file),
    })
}
