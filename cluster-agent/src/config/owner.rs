//! What the owner rules about a product beside its gates: windows, pools, zones, hooks, finalize.

use std::collections::BTreeMap;
use std::path::Path;

use channels::names::ProductRef;
use serde::Deserialize;

use super::ConfigError;
use super::commands::command;
use super::fragments::{self, Command};
use super::pools::PoolSettings;
use crate::driver::{CommandSpec, Purpose, Task};
use crate::plan::{CheckRules, FinalizeRules, PoolRules, ProductRules};

/// Longest name of a zone, as of a Kubernetes label value.
const ZONE_CHARS_MAX: usize = 63;

/// `[products.finalize]`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Finalize {
    command: Option<Vec<String>>,
    timeout_ms: Option<u64>,
    #[serde(default)]
    environment: BTreeMap<String, String>,
    required_before_next: Option<bool>,
}

/// `hooks` of a pool.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Hooks {
    before: Option<Command>,
    after: Option<Command>,
}

/// Commands of a pool's hooks.
pub(super) fn hooks(
    key: &str,
    given: &Hooks,
    base: &Path,
) -> Result<BTreeMap<Task, CommandSpec>, ConfigError> {
    let mut commands = BTreeMap::new();
    for (task, hook) in [(Task::Before, &given.before), (Task::After, &given.after)] {
        let Some(hook) = hook else { continue };
        let spec = command(&format!("{key}.{task}"), hook, Purpose::Step, base)?;
        commands.insert(task, spec);
    }
    Ok(commands)
}

/// The command of a product's finalize step, if it has one.
pub(super) fn finalize(
    product: &ProductRef,
    given: &Finalize,
    base: &Path,
) -> Result<Option<CommandSpec>, ConfigError> {
    let Some(argv) = given.command.clone() else { return Ok(None) };
    let (timeout_ms, environment) = (given.timeout_ms, given.environment.clone());
    let given = Command { command: argv, timeout_ms, environment };
    command(&format!("products.{product}.finalize"), &given, Purpose::Finalize, base).map(Some)
}

/// The rules of one product.
pub(super) fn rules(
    product: &ProductRef,
    given: &fragments::Product,
    pools: &[PoolSettings],
    checks: CheckRules,
) -> Result<ProductRules, ConfigError> {
    let configured = given.finalize.command.is_some();
    let mut rules = ProductRules {
        windows: given.windows.clone(),
        finalize: FinalizeRules {
            configured,
            required_before_next: given.finalize.required_before_next.unwrap_or(configured),
        },
        checks,
        ..ProductRules::default()
    };
    for (pool, settings) in given.pools.iter().zip(pools) {
        let key = format!("products.{product}.pools.{}", settings.name);
        let own = PoolRules {
            paused: pool.paused,
            windows: pool.windows.clone(),
            zones: pool.zones.clone(),
        };
        for zone in pool.units.iter().filter_map(|unit| unit.zone.as_ref()).chain(&own.zones) {
            if zone.trim().is_empty() || zone.len() > ZONE_CHARS_MAX {
                let why = format!("{zone:?} must have 1 to {ZONE_CHARS_MAX} characters");
                return Err(ConfigError::invalid(format!("{key}.zones"), why));
            }
        }
        rules.pools.insert(settings.name.clone(), own);
        let zoned = pool.units.iter().zip(&settings.units);
        rules.zones.extend(
            zoned.filter_map(|(given, unit)| Some((unit.name.clone(), given.zone.clone()?))),
        );
    }
    Ok(rules)
}
