//! Pools, units and their drivers.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use channels::names::{PoolName, ProductRef, UnitName};
use channels::wire::Role;

use super::ConfigError;
use super::fragments;
use super::kubernetes::{self, KubernetesPool, Scope};
use super::settings::ProbeSettings;
use crate::driver::{CommandSpec, ExecCommands, Purpose, Stage, Task};
use crate::observation::{
    EvidenceFrom, Placement, Target, UnitKey, VersionEvidence, WitnessSource,
};
use crate::telemetry::Signal;

/// A page this many idle periods old is stale: one lost scrape is none, three are.
const STALE_PERIODS: u64 = 3;

/// A pool of units of one role that are changed in the same way.
#[derive(Debug, Clone)]
pub struct PoolSettings {
    /// Its name.
    pub name: PoolName,
    /// The role of its units.
    pub role: Role,
    /// How its units are changed.
    pub driver: DriverSettings,
    /// Commands around each step on its units.
    pub hooks: BTreeMap<Task, CommandSpec>,
    /// Its units.
    pub units: Vec<UnitSettings>,
}

/// How units are changed: always local configuration.
#[derive(Debug, Clone)]
pub enum DriverSettings {
    /// By commands.
    Exec(ExecCommands),
    /// In a simulated cluster at this URL.
    Simulated(String),
    /// In a Kubernetes cluster.
    Kubernetes(KubernetesPool),
}

/// One unit.
#[derive(Debug, Clone)]
pub struct UnitSettings {
    /// Its name.
    pub name: UnitName,
    /// Its role.
    pub role: Role,
    /// Whether this agent itself runs on it: it goes last of its role.
    pub hosts_agent: bool,
    /// What the observer needs to know.
    pub target: Target,
}

pub(super) fn pools(
    product: &ProductRef,
    given: &[fragments::Pool],
    probes: &ProbeSettings,
    scope: &Scope,
    base: &Path,
) -> Result<Vec<PoolSettings>, ConfigError> {
    let mut names = BTreeSet::new();
    let mut units = BTreeSet::new();
    let mut found = Vec::with_capacity(given.len());
    for pool in given {
        let pool = one_pool(product, pool, probes, scope, base)?;
        if !names.insert(pool.name.clone()) {
            let why = format!("pool {} is listed twice", pool.name);
            return Err(ConfigError::invalid(format!("products.{product}.pools"), why));
        }
        for unit in &pool.units {
            if !units.insert(unit.name.clone()) {
                let why = format!("unit {} is listed twice", unit.name);
                return Err(ConfigError::invalid(format!("products.{product}.pools"), why));
            }
        }
        found.push(pool);
    }
    if units.is_empty() {
        return Err(ConfigError::Missing {
            key: format!("products.{product}.pools"),
            hint: "at least one pool with one unit",
        });
    }
    Ok(found)
}

fn one_pool(
    product: &ProductRef,
    given: &fragments::Pool,
    probes: &ProbeSettings,
    scope: &Scope,
    base: &Path,
) -> Result<PoolSettings, ConfigError> {
    let name: PoolName = given
        .name
        .parse()
        .map_err(|e| ConfigError::invalid(format!("products.{product}.pools.name"), e))?;
    let key = |field: &str| format!("products.{product}.pools.{name}.{field}");
    let driver = driver(product, given, scope, &key, base)?;
    let evidence = evidence(given, &driver, &key)?;
    let also_broker = also_broker(given, &key)?;
    let required = required(given, &driver, also_broker, &key)?;
    let idle_ms = match given.role {
        Role::Node => probes.node_idle_ms,
        Role::Controller | Role::Broker | Role::Workload => probes.idle_ms,
    };
    let stale_after_ms = idle_ms.saturating_mul(STALE_PERIODS);
    let mut units = Vec::with_capacity(given.units.len());
    for unit in &given.units {
        let unit_name: UnitName =
            unit.name.parse().map_err(|e| ConfigError::invalid(key("units.name"), e))?;
        if given.role == Role::Controller && unit.node_id.is_none() {
            let why = format!("controller {unit_name} needs its node_id: leaders are named by id");
            return Err(ConfigError::invalid(key("units.node_id"), why));
        }
        let metrics_url = metrics_url(unit, &driver, &key)?;
        let target = Target {
            key: UnitKey { product: product.clone(), unit: unit_name.clone() },
            role: given.role,
            also_broker,
            pool: name.clone(),
            node_id: unit.node_id,
            placement: placement(unit, &key)?,
            metrics_url,
            witnesses: witnesses(&driver),
            evidence_from: evidence_from(&driver),
            version_evidence: evidence.clone(),
            required: required.clone(),
            stale_after_ms,
        };
        units.push(UnitSettings {
            name: unit_name,
            role: given.role,
            hosts_agent: unit.hosts_agent.unwrap_or_else(|| hosts_agent(&unit.name, scope)),
            target,
        });
    }
    let hooks = super::owner::hooks(&key("hooks"), &given.hooks, base)?;
    Ok(PoolSettings { name, role: given.role, driver, hooks, units })
}

/// Whether the environment says that the agent runs on this node.
fn hosts_agent(name: &str, scope: &Scope) -> bool {
    scope.place.node.as_deref() == Some(name)
}

fn witnesses(driver: &DriverSettings) -> BTreeSet<WitnessSource> {
    match driver {
        DriverSettings::Kubernetes(_) => BTreeSet::from([WitnessSource::Kubernetes]),
        DriverSettings::Exec(_) | DriverSettings::Simulated(_) => BTreeSet::new(),
    }
}

fn evidence_from(driver: &DriverSettings) -> EvidenceFrom {
    match driver {
        DriverSettings::Kubernetes(pool) => pool.evidence_from(),
        DriverSettings::Exec(_) | DriverSettings::Simulated(_) => EvidenceFrom::Page,
    }
}

fn metrics_url(
    unit: &fragments::Unit,
    driver: &DriverSettings,
    key: &dyn Fn(&str) -> String,
) -> Result<Option<String>, ConfigError> {
    let Some(url) = &unit.metrics_url else {
        return match driver {
            DriverSettings::Kubernetes(pool) if !pool.needs_page() => Ok(None),
            DriverSettings::Kubernetes(_)
            | DriverSettings::Exec(_)
            | DriverSettings::Simulated(_) => Err(ConfigError::Missing {
                key: key("units.metrics_url"),
                hint: "the address of the unit's metrics page",
            }),
        };
    };
    if !(url.starts_with("http://") || url.starts_with("https://")) {
        let why = format!("{}: it must begin with http:// or https://", unit.name);
        return Err(ConfigError::invalid(key("units.metrics_url"), why));
    }
    Ok(Some(url.clone()))
}

fn placement(
    unit: &fragments::Unit,
    key: &dyn Fn(&str) -> String,
) -> Result<Placement, ConfigError> {
    match unit.on_node.as_deref() {
        None => Ok(Placement::Unknown),
        Some("") => Ok(Placement::Elsewhere),
        Some(node) => node
            .parse()
            .map(Placement::OnNode)
            .map_err(|e| ConfigError::invalid(key("units.on_node"), e)),
    }
}

/// Whether Kubernetes says which version a workload runs, so that no metric has to.
fn is_told(given: &fragments::Pool, driver: &DriverSettings) -> bool {
    given.role == Role::Workload
        && given.version_metric.is_none()
        && matches!(driver, DriverSettings::Kubernetes(_))
}

fn evidence(
    given: &fragments::Pool,
    driver: &DriverSettings,
    key: &dyn Fn(&str) -> String,
) -> Result<VersionEvidence, ConfigError> {
    let usual = VersionEvidence::default_of(given.role);
    let needs_metric = given.role == Role::Workload && !is_told(given, driver);
    if needs_metric && given.version_metric.is_none() {
        return Err(ConfigError::Missing {
            key: key("version_metric"),
            hint: "the metric that carries the workload's version, e.g. shop_build_info",
        });
    }
    Ok(VersionEvidence {
        family: given.version_metric.clone().unwrap_or(usual.family),
        label: given.version_label.clone().unwrap_or(usual.label),
    })
}

/// Whether the pool's controllers are brokers as well.
fn also_broker(given: &fragments::Pool, key: &dyn Fn(&str) -> String) -> Result<bool, ConfigError> {
    match (given.also_broker.unwrap_or(false), given.role) {
        (true, Role::Broker | Role::Node | Role::Workload) => {
            let why =
                "only controllers can be brokers as well: give the pool role = \"controller\"";
            Err(ConfigError::invalid(key("also_broker"), why))
        }
        (also, _) => Ok(also),
    }
}

fn required(
    given: &fragments::Pool,
    driver: &DriverSettings,
    also_broker: bool,
    key: &dyn Fn(&str) -> String,
) -> Result<BTreeSet<Signal>, ConfigError> {
    let mut usual = Signal::required_of(given.role);
    let mut known: Vec<Signal> = Signal::of_role(given.role).to_vec();
    known.push(Signal::Version);
    if is_told(given, driver) {
        usual.retain(|signal| !matches!(signal, Signal::Version | Signal::ProcessStart));
    }
    if also_broker {
        usual.extend(Signal::required_of(Role::Broker));
        known.extend(Signal::of_role(Role::Broker));
    }
    let Some(names) = &given.required_signals else { return Ok(usual) };
    let mut required = BTreeSet::new();
    for name in names {
        let Some(signal) = known.iter().find(|signal| signal.as_str() == name) else {
            let list: Vec<&str> = known.iter().map(|s| s.as_str()).collect();
            let why = format!("{name:?} is not one of {}", list.join(", "));
            return Err(ConfigError::invalid(key("required_signals"), why));
        };
        required.insert(*signal);
    }
    // Without a version there is no evidence of success, whatever else is optional.
    if !is_told(given, driver) {
        required.insert(Signal::Version);
    }
    Ok(required)
}

fn driver(
    product: &ProductRef,
    given: &fragments::Pool,
    scope: &Scope,
    key: &dyn Fn(&str) -> String,
    base: &Path,
) -> Result<DriverSettings, ConfigError> {
    match (&given.exec, &given.simulated, &given.kubernetes) {
        (Some(exec), None, None) => exec_commands(exec, key, base).map(DriverSettings::Exec),
        (None, Some(simulated), None) => Ok(DriverSettings::Simulated(simulated.url.clone())),
        (None, None, Some(table)) => {
            kubernetes::pool(product, given.role, table, scope, key).map(DriverSettings::Kubernetes)
        }
        _ => Err(ConfigError::invalid(
            key("exec"),
            "a pool has exactly one driver table: exec, kubernetes or simulated",
        )),
    }
}

fn exec_commands(
    exec: &fragments::Exec,
    key: &dyn Fn(&str) -> String,
    base: &Path,
) -> Result<ExecCommands, ConfigError> {
    if exec.quiesce.is_some() != exec.restore.is_some() {
        let why = "quiesce and restore come together: what is drained must be put back";
        return Err(ConfigError::invalid(key("exec"), why));
    }
    let stages = [
        (Stage::Preflight, exec.preflight.as_ref()),
        (Stage::Quiesce, exec.quiesce.as_ref()),
        (Stage::Mutate, Some(&exec.mutate)),
        (Stage::Restore, exec.restore.as_ref()),
    ];
    let mut commands = BTreeMap::new();
    for (stage, command) in stages {
        let Some(command) = command else { continue };
        let field = key(&format!("exec.{stage}"));
        let spec = super::commands::command(&field, command, Purpose::Step, base)?;
        commands.insert(stage, spec);
    }
    Ok(commands)
}
