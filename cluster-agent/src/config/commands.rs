//! Commands of the operator's: argument arrays with a timeout, for whatever they are run.

use std::path::Path;
use std::time::Duration;

use super::ConfigError;
use super::fragments;
use super::ranges::{DAY_MS, ranged};
use crate::driver::{CommandSpec, CommandTemplate, Purpose};

/// How long a command may run unless it says otherwise: a drain or an image pull fits.
pub(super) const COMMAND_TIMEOUT_MS: u64 = 15 * 60_000;

/// A checked command; `key` is that of its table.
pub(super) fn command(
    key: &str,
    given: &fragments::Command,
    purpose: Purpose,
    base: &Path,
) -> Result<CommandSpec, ConfigError> {
    let timeout_ms =
        ranged(&format!("{key}.timeout_ms"), given.timeout_ms, COMMAND_TIMEOUT_MS, 100..=DAY_MS)?;
    let template = CommandTemplate::parse_for(&with_base(&given.command, base), purpose)
        .map_err(|e| ConfigError::invalid(format!("{key}.command"), e))?;
    let environment = given.environment.clone();
    Ok(CommandSpec { template, environment, timeout: Duration::from_millis(timeout_ms) })
}

/// A word written as `./name` is relative to the configuration file: commands run in `/`, whatever
/// working directory an init system happens to choose.
fn with_base(command: &[String], base: &Path) -> Vec<String> {
    let absolute = |word: &String| match word.strip_prefix("./") {
        Some(name) => base.join(name).to_string_lossy().into_owned(),
        None => word.clone(),
    };
    command.iter().map(absolute).collect()
}
