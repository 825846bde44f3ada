//! `fairway.toml`: whose product this is, and what its releases need not repeat.

use std::path::Path;

use serde::Deserialize;

use super::RepositoryError;
use crate::names::{Arch, ProductName, ProductRef, VendorName};
use crate::version::Requirement;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SettingsFile {
    vendor: VendorName,
    product: ProductName,
    #[serde(default)]
    defaults: Defaults,
    #[serde(default)]
    rules: GraphRules,
}

/// What a settings file says.
pub(super) struct Settings {
    pub(super) product: ProductRef,
    pub(super) defaults: Defaults,
    pub(super) rules: GraphRules,
}

/// Rules for the edges of all graphs of a product.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GraphRules {
    /// How many minors an edge may pass, counted over the minors the product has releases of; none
    /// = any number. A release may say otherwise for the edges into it.
    #[serde(default)]
    pub minor_hops: Option<u32>,
}

/// What a release takes when its own file does not say.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Defaults {
    /// Architectures a release's own `payload` and `components` stand for.
    #[serde(default)]
    pub arches: Vec<Arch>,
    /// Registry host written before a payload that names none; only plain Cincinnati clients see
    /// it.
    #[serde(default)]
    pub registry: Option<String>,
    /// Versions that may move to a release.
    #[serde(default)]
    pub upgrade_from: Option<Vec<Requirement>>,
}

/// Parses a settings file.
pub(super) fn parse(file: &Path, text: &str) -> Result<Settings, RepositoryError> {
    let settings: SettingsFile = toml::from_str(text).map_err(|error| {
        let begin = error.span().map_or(0, |span| span.start);
        let before = text.get(..begin).unwrap_or_default();
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        RepositoryError::Syntax {
            file: file.to_owned(),
            line: number(before.matches('\n').count() + 1),
            column: number(column),
            problem: error.message().trim_end().replace('\n', ", "),
            advice: "see \"fairway.toml\" in docs/channel-repository.md".to_owned(),
        }
    })?;
    let product = ProductRef { vendor: settings.vendor, product: settings.product };
    Ok(Settings { product, defaults: settings.defaults, rules: settings.rules })
}

fn number(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
