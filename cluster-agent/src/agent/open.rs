//! What an agent opens before its first round: its identity, its repository, its drivers.

use std::collections::BTreeMap;

use channels::names::{PoolName, ProductRef};
use channels::wire::AgentInstance;

use super::AgentError;
use super::enrolment::open_client;
use super::links::Reporter;
use crate::config::{DriverSettings, ProductSettings, Reports, Settings};
use crate::driver::{
    CommandSpec, Driver, ExecDriver, Finalizer, HookRunner, PoolDriver, SimulatedDriver,
};
use crate::hub::HubReleases;

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
    HubReleases::open(&root, &settings.hub.url, &settings.state_dir)
        .map_err(|source| AgentError::Trust { source: Box::new(source) })
}

pub(super) fn drivers(
    settings: &Settings,
) -> Result<BTreeMap<(ProductRef, PoolName), PoolDriver>, AgentError> {
    let mut drivers = BTreeMap::new();
    for (product, configured) in &settings.products {
        for pool in &configured.pools {
            let driver = match &pool.driver {
                DriverSettings::Exec(commands) => {
                    ExecDriver::open(&settings.state_dir, commands.clone()).map(Driver::Exec)
                }
                DriverSettings::Simulated(url) => SimulatedDriver::new(url).map(Driver::Simulated),
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
