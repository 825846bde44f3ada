//! `[prometheus]`: where the cluster's own Prometheus is, and what it is asked.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use channels::names::{PoolName, ProductRef};
use channels::wire::Role;
use reqwest::Url;
use serde::Deserialize;

use super::ConfigError;
use super::ranges::{DAY_MS, ranged};
use super::settings::ProductSettings;
use crate::observation::GateScope;
use crate::prometheus::{
    AlertRule, ApiCheck, ApiKind, AskerTimes, Empty, Endpoint, Expect, Fresh, GateRule,
    MaterialPaths, PrometheusSettings,
};

/// Alert rules and gates together: each is a query or more per period.
const RULES_MAX: usize = 100;

/// Longest query, as for risks (`channels::lint`).
const QUERY_BYTES_MAX: usize = 4 * 1024;

/// Longest name of a rule.
const NAME_CHARS_MAX: usize = 63;

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Prometheus {
    url: Option<String>,
    token_file: Option<PathBuf>,
    ca_file: Option<PathBuf>,
    cert_file: Option<PathBuf>,
    key_file: Option<PathBuf>,
    timeout_ms: Option<u64>,
    body_max_bytes: Option<u64>,
    period_ms: Option<u64>,
    skew_ms: Option<u64>,
    risk_between_ms: Option<u64>,
    risk_refresh_ms: Option<u64>,
    risk_retry_ms: Option<u64>,
    watchdog: Option<String>,
    #[serde(default)]
    alerts: Vec<Alert>,
    #[serde(default)]
    gates: Vec<Gate>,
    #[serde(default)]
    removed_apis: Vec<RemovedApis>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Alert {
    name: String,
    matchers: String,
    #[serde(default)]
    scope: Scope,
    #[serde(default)]
    stops: bool,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Gate {
    name: String,
    query: String,
    expect: Option<String>,
    #[serde(default)]
    empty: Empty,
    for_ms: Option<u64>,
    #[serde(default)]
    scope: Scope,
    #[serde(default)]
    stops: bool,
    stops_after_ms: Option<u64>,
    up: Option<String>,
    newest: Option<String>,
    max_age_ms: Option<u64>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct RemovedApis {
    product: String,
    kind: ApiKind,
    window_ms: Option<u64>,
}

/// Whom a rule concerns; nothing = every unit.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Scope {
    role: Option<Role>,
    product: Option<String>,
    pool: Option<String>,
}

type Products = BTreeMap<ProductRef, ProductSettings>;

pub(super) fn prometheus(
    given: Option<&Prometheus>,
    products: &Products,
    base: &Path,
) -> Result<Option<PrometheusSettings>, ConfigError> {
    let Some(given) = given else { return Ok(None) };
    let endpoint = endpoint(given, base)?;
    let period_ms = ranged("prometheus.period_ms", given.period_ms, 5_000, 500..=300_000)?;
    let skew_ms = ranged("prometheus.skew_ms", given.skew_ms, 60_000, 1_000..=600_000)?;
    let mut names = BTreeSet::new();
    let mut alerts = Vec::with_capacity(given.alerts.len());
    for alert in &given.alerts {
        let key = rule_key("alerts", &alert.name, &mut names)?;
        let invalid =
            |field: &str, why: String| ConfigError::invalid(format!("{key}.{field}"), why);
        alerts.push(AlertRule {
            name: alert.name.clone(),
            matchers: alert
                .matchers
                .parse()
                .map_err(|e: crate::prometheus::MatcherError| invalid("matchers", e.to_string()))?,
            scope: scope(&alert.scope, products, &key)?,
            stops: alert.stops,
        });
    }
    let mut gates = Vec::with_capacity(given.gates.len());
    for gate in &given.gates {
        let key = rule_key("gates", &gate.name, &mut names)?;
        gates.push(one_gate(gate, products, &key)?);
    }
    if names.len() > RULES_MAX {
        let why = format!("{} alerts and gates are more than {RULES_MAX}", names.len());
        return Err(ConfigError::invalid("prometheus", why));
    }
    if let Some(watchdog) = &given.watchdog {
        plain_name("prometheus.watchdog", watchdog)?;
    }
    Ok(Some(PrometheusSettings {
        endpoint,
        period_ms,
        skew_ms,
        risks: pace(given)?,
        watchdog: given.watchdog.clone(),
        alerts,
        gates,
        apis: apis(&given.removed_apis, products)?,
    }))
}

fn endpoint(given: &Prometheus, base: &Path) -> Result<Endpoint, ConfigError> {
    let url = given.url.as_ref().ok_or(ConfigError::Missing {
        key: "prometheus.url".to_owned(),
        hint: "the cluster's Prometheus or Thanos querier, e.g. http://prometheus:9090",
    })?;
    let wrong = || {
        let why = "it must begin with http:// or https:// and have neither user nor query";
        ConfigError::invalid("prometheus.url", why)
    };
    let url = Url::parse(url).map_err(|_| wrong())?;
    let plain = url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none();
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() || !plain {
        return Err(wrong());
    }
    let based = |path: &Option<PathBuf>| path.as_ref().map(|path| base.join(path));
    if given.cert_file.is_some() != given.key_file.is_some() {
        let why = "cert_file and key_file come together";
        return Err(ConfigError::invalid("prometheus.cert_file", why));
    }
    let body_max = ranged(
        "prometheus.body_max_bytes",
        given.body_max_bytes,
        1024 * 1024,
        4 * 1024..=16 * 1024 * 1024,
    )?;
    Ok(Endpoint {
        url,
        material: MaterialPaths {
            token: based(&given.token_file),
            ca: based(&given.ca_file),
            cert: based(&given.cert_file),
            key: based(&given.key_file),
        },
        timeout_ms: ranged("prometheus.timeout_ms", given.timeout_ms, 10_000, 100..=300_000)?,
        body_max_bytes: usize::try_from(body_max).unwrap_or(usize::MAX),
    })
}

fn pace(given: &Prometheus) -> Result<AskerTimes, ConfigError> {
    let usual = AskerTimes::default();
    let ms = |name: &str, value, default, low| {
        ranged(&format!("prometheus.{name}"), value, default, low..=DAY_MS)
    };
    Ok(AskerTimes {
        between_ms: ms("risk_between_ms", given.risk_between_ms, usual.between_ms, 100)?,
        refresh_ms: ms("risk_refresh_ms", given.risk_refresh_ms, usual.refresh_ms, 1_000)?,
        retry_ms: ms("risk_retry_ms", given.risk_retry_ms, usual.retry_ms, 1_000)?,
        ..usual
    })
}

fn one_gate(given: &Gate, products: &Products, key: &str) -> Result<GateRule, ConfigError> {
    let invalid = |field: &str, why: String| ConfigError::invalid(format!("{key}.{field}"), why);
    query(&format!("{key}.query"), &given.query)?;
    for (field, selector) in [("up", &given.up), ("newest", &given.newest)] {
        if let Some(selector) = selector {
            query(&format!("{key}.{field}"), selector)?;
        }
    }
    let expect = match &given.expect {
        None => Expect::OneIsTrue,
        Some(text) => text
            .parse()
            .map_err(|e: crate::prometheus::ExpectError| invalid("expect", e.to_string()))?,
    };
    let up = match &given.up {
        None => None,
        Some(text) => {
            let matchers: Result<crate::prometheus::Matchers, _> = text.parse();
            Some(matchers.map_err(|e| invalid("up", e.to_string()))?)
        }
    };
    let ms =
        |name: &str, value, default| ranged(&format!("{key}.{name}"), value, default, 0..=DAY_MS);
    if given.stops_after_ms.is_some() && !given.stops {
        return Err(invalid("stops_after_ms", "it means nothing without stops = true".to_owned()));
    }
    Ok(GateRule {
        name: given.name.clone(),
        query: given.query.clone(),
        expect,
        empty: given.empty,
        for_ms: ms("for_ms", given.for_ms, 0)?,
        scope: scope(&given.scope, products, key)?,
        stops: given.stops,
        stops_after_ms: ms("stops_after_ms", given.stops_after_ms, 0)?,
        fresh: Fresh {
            up,
            newest: given.newest.clone(),
            max_age_ms: ms("max_age_ms", given.max_age_ms, 60_000)?,
        },
    })
}

fn apis(given: &[RemovedApis], products: &Products) -> Result<Vec<ApiCheck>, ConfigError> {
    let mut found: Vec<ApiCheck> = Vec::with_capacity(given.len());
    for check in given {
        let invalid = |why: String| ConfigError::invalid("prometheus.removed_apis.product", why);
        let product: ProductRef = check.product.parse().map_err(|e| invalid(format!("{e}")))?;
        if !products.contains_key(&product) {
            return Err(invalid(format!("product {product} is not configured here")));
        }
        if found.iter().any(|other| other.product == product) {
            return Err(invalid(format!("product {product} is listed twice")));
        }
        let key = "prometheus.removed_apis.window_ms";
        let window_ms = ranged(key, check.window_ms, DAY_MS, 60_000..=30 * DAY_MS)?;
        found.push(ApiCheck { product, kind: check.kind, window_s: window_ms / 1000 });
    }
    Ok(found)
}

/// The key of a rule in messages; its name must be new.
fn rule_key(table: &str, name: &str, names: &mut BTreeSet<String>) -> Result<String, ConfigError> {
    let key = format!("prometheus.{table}.{name}");
    plain_name(&format!("prometheus.{table}.name"), name)?;
    if !names.insert(format!("{table} {name}")) {
        return Err(ConfigError::invalid(key, "it is listed twice"));
    }
    Ok(key)
}

fn plain_name(key: &str, name: &str) -> Result<(), ConfigError> {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | ' ' | '.' | ':');
    if name.is_empty() || name.chars().count() > NAME_CHARS_MAX || !name.chars().all(plain) {
        let why = "it must have 1 to 63 letters, digits, spaces, `-`, `_`, `.` or `:`";
        return Err(ConfigError::invalid(key, why));
    }
    Ok(())
}

fn query(key: &str, text: &str) -> Result<(), ConfigError> {
    if text.trim().is_empty() || text.len() > QUERY_BYTES_MAX {
        return Err(ConfigError::invalid(key, "a query has 1 to 4096 bytes"));
    }
    Ok(())
}

fn scope(given: &Scope, products: &Products, key: &str) -> Result<GateScope, ConfigError> {
    let invalid = |why: String| ConfigError::invalid(format!("{key}.scope"), why);
    match (given.role, &given.product, &given.pool) {
        (None, None, None) => Ok(GateScope::All),
        (Some(role), None, None) => Ok(GateScope::Role(role)),
        (None, Some(product), pool) => {
            let product: ProductRef = product.parse().map_err(|e| invalid(format!("{e}")))?;
            let settings = products
                .get(&product)
                .ok_or_else(|| invalid(format!("product {product} is not configured here")))?;
            let Some(pool) = pool else { return Ok(GateScope::Product(product)) };
            let pool: PoolName = pool.parse().map_err(|e| invalid(format!("{e}")))?;
            if settings.pools.iter().any(|known| known.name == pool) {
                return Ok(GateScope::Pool(product, pool));
            }
            Err(invalid(format!("product {product} has no pool {pool}")))
        }
        (Some(_), Some(_), _) => Err(invalid("role or product, not both".to_owned())),
        (_, None, Some(_)) => Err(invalid("a pool needs its product".to_owned())),
    }
}

#[cfg(test)]
mod tests;
