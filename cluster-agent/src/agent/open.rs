//! What an agent opens before its first round: its identity, its repository, its drivers.

use std::collections::BTreeMap;
use std::time::Duration;

use channels::names::{PoolName, ProductRef};
use channels::wire::AgentInstance;

use super::AgentError;
use super::enrolment::open_client;
use super::links::Reporter;
use crate::config::{DriverSettings, KubernetesPool, ProductSettings, Reports, Settings};
use crate::driver::{
    CommandSpec, Driver, DriverError, ExecDriver, Finalizer, HookRunner, KubernetesDriver,
    PoolDriver, SimulatedDriver,
};
use crate::footprint::Footprint;
use crate::hub::HubReleases;
use crate::kube::Kube;
use crate::telemetry::PROBES_AT_ONCE;

/// Who reports; `None` if the agent does not.
pub(super) fn open_reporter(settings: &Settings) -> Result<Option<Reporter>, AgentError> {
    if settings.hub.reports == Reports::Off {
        return Ok(None);
    }
    let (cluster, client) = open_client(settings)?;
    let state_dir = settings.state_dir.clone();
    Ok(Some(Reporter { client, state_dir, cluster, given_up: None }))
}

/// A name for this process. It is never written down, so no copy of the disk has it.
pub(super) fn draw_instance() -> Option<AgentInstance> {
    let mut bytes = [0_u8; 8];
    // Without randomness the hub judges reports by their numbers alone.
    getrandom::fill(&mut bytes).ok()?;
    Some(AgentInstance(u64::from_le_bytes(bytes))).filter(|instance| instance.0 != 0)
}

pub(super) fn open_releases(settings: &Settings) -> Result<HubReleases, AgentError> {
    let path = settings.hub.root.clone();
    let root = std::fs::read(&path).map_err(|source| AgentError::Root { path, source })?;
    let hub = &settings.hub;
    HubReleases::open(&root, &hub.addresses, &hub.network, &settings.state_dir)
        .map_err(|source| AgentError::Trust { source: Box::new(source) })
}

pub(super) fn drivers(
    settings: &Settings,
    kube: Option<&Kube>,
) -> Result<BTreeMap<(ProductRef, PoolName), PoolDriver>, AgentError> {
    let mut drivers = BTreeMap::new();
    for (product, configured) in &settings.products {
        for pool in &configured.pools {
            let driver = match &pool.driver {
                DriverSettings::Exec(commands) => {
                    ExecDriver::open(&settings.state_dir, commands.clone()).map(Driver::Exec)
                }
                DriverSettings::Simulated(url) => SimulatedDriver::new(url).map(Driver::Simulated),
                DriverSettings::Kubernetes(pool) => open_kubernetes(kube, pool),
            };
            let hooks = HookRunner::open(&settings.state_dir, pool.hooks.clone());
            let driver = driver.and_then(|driver| Ok(PoolDriver { driver, hooks: hooks? }));
            let driver = driver.map_err(|source| AgentError::Driver {
                product: product.clone(),
                pool: pool.name.clone(),
                source: Box::new(source),
            })?;
            drivers.insert((product.clone(), pool.name.clone()), driver);
        }
    }
    Ok(drivers)
}

fn open_kubernetes(kube: Option<&Kube>, pool: &KubernetesPool) -> Result<Driver, DriverError> {
    // The configuration refuses such a pool without `[kubernetes]`.
    let kube = kube.ok_or(DriverError::NoCluster)?;
    KubernetesDriver::open(kube, pool).map(|driver| Driver::Kubernetes(Box::new(driver)))
}

/// How long a turn of the loop may take beside its probes: a hub's or driver's answer is bounded
/// by half a minute, and a loaded disk flushes slowly.
const TURN_MS: u64 = 60_000;

/// Shows the agent's own figures, if anywhere.
pub(super) fn footprint(settings: &Settings) -> Result<Option<Footprint>, AgentError> {
    let Some(address) = settings.listen else { return Ok(None) };
    let pools = settings.products.values().flat_map(|product| &product.pools);
    let units: usize = pools.map(|pool| pool.units.len()).sum();
    // Every unit silent at once, as many asked side by side as there may be.
    let rounds = u64::try_from(units.div_ceil(PROBES_AT_ONCE)).unwrap_or(u64::MAX);
    let silent_ms = rounds.saturating_mul(settings.probes.timeout_ms);
    let within = Duration::from_millis(silent_ms.saturating_add(TURN_MS));
    let started = Footprint::start(address, within);
    let started = started.map_err(|source| AgentError::Listen { source })?;
    tracing::info!(address = %started.address(), "metrics and health served");
    Ok(Some(started))
}

/// The finalize steps that are configured.
pub(super) fn finalizers(
    settings: &Settings,
) -> Result<BTreeMap<ProductRef, Finalizer>, AgentError> {
    let spec = |(product, configured): (&ProductRef, &ProductSettings)| {
        Some((product.clone(), configured.finalize.clone()?))
    };
    let open = |(product, spec): (ProductRef, CommandSpec)| {
        let opened = Finalizer::open(&settings.state_dir, spec);
        Ok((product, opened.map_err(|source| AgentError::Commands { source: Box::new(source) })?))
    };
    settings.products.iter().filter_map(spec).map(open).collect()
}
