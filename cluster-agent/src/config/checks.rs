//! Checks before units go: which commands, when, and how old a result may be.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use channels::names::ProductRef;
use serde::Deserialize;

use super::ConfigError;
use super::commands::command;
use super::fragments::Command;
use super::ranges::{DAY_MS, ranged};
use crate::driver::{CommandSpec, Purpose};
use crate::plan::{CHECK_AGE_MS, CheckRule, CheckRules, CheckWhen};

/// Checks of one product; they run one after another, and a person reads their names.
const CHECKS_MAX: usize = 16;

/// Longest name: it becomes part of a gate's name.
const NAME_CHARS_MAX: usize = 40;

/// How long a check may run unless it says otherwise: it holds up a roll, and changes nothing.
const CHECK_TIMEOUT_MS: u64 = 120_000;

/// `[products.checks]`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Checks {
    max_age_ms: Option<u64>,
    #[serde(default)]
    required: BTreeSet<String>,
    #[serde(default)]
    commands: Vec<Check>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Check {
    name: String,
    command: Vec<String>,
    timeout_ms: Option<u64>,
    #[serde(default)]
    environment: BTreeMap<String, String>,
    #[serde(default)]
    when: CheckWhen,
}

/// Rules and commands of one product's checks.
pub(super) fn checks(
    product: &ProductRef,
    given: &Checks,
    base: &Path,
) -> Result<(CheckRules, BTreeMap<String, CommandSpec>), ConfigError> {
    let key = format!("products.{product}.checks");
    if given.commands.len() > CHECKS_MAX {
        let why = format!("{} are more than {CHECKS_MAX}", given.commands.len());
        return Err(ConfigError::invalid(format!("{key}.commands"), why));
    }
    let mut rules = CheckRules {
        commands: vec![],
        required: given.required.clone(),
        max_age_ms: ranged(
            &format!("{key}.max_age_ms"),
            given.max_age_ms,
            CHECK_AGE_MS,
            10_000..=DAY_MS,
        )?,
    };
    let mut commands = BTreeMap::new();
    let mut longest_ms: u64 = 0;
    for name in given.required.iter().chain(given.commands.iter().map(|check| &check.name)) {
        check_name(&key, name)?;
    }
    for check in &given.commands {
        let purpose = match check.when {
            CheckWhen::Roll => Purpose::RollCheck,
            CheckWhen::Unit => Purpose::UnitCheck,
        };
        let timeout_ms = check.timeout_ms.or(Some(CHECK_TIMEOUT_MS));
        longest_ms = longest_ms.saturating_add(check.timeout_ms.unwrap_or(CHECK_TIMEOUT_MS));
        let (argv, environment) = (check.command.clone(), check.environment.clone());
        let given = Command { command: argv, timeout_ms, environment };
        let spec = command(&format!("{key}.commands.{}", check.name), &given, purpose, base)?;
        if commands.insert(check.name.clone(), spec).is_some() {
            let why = format!("{} is listed twice", check.name);
            return Err(ConfigError::invalid(format!("{key}.commands"), why));
        }
        rules.commands.push(CheckRule { name: check.name.clone(), when: check.when });
    }
    if longest_ms > rules.max_age_ms {
        let why = format!(
            "the commands' timeouts add up to {longest_ms} ms: the first result would be too old \
             before the last one is there (max_age_ms = {})",
            rules.max_age_ms
        );
        return Err(ConfigError::invalid(format!("{key}.max_age_ms"), why));
    }
    Ok((rules, commands))
}

fn check_name(key: &str, name: &str) -> Result<(), ConfigError> {
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    if name.is_empty() || name.len() > NAME_CHARS_MAX || !name.bytes().all(fits) {
        let why =
            format!("{name:?}: a name has 1 to {NAME_CHARS_MAX} lower-case letters, digits and _");
        return Err(ConfigError::invalid(format!("{key}.commands.name"), why));
    }
    Ok(())
}
