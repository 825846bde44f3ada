//! `fairway.toml`: whose product this is, and what its releases need not repeat.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use serde::de::value::MapAccessDeserializer;
use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use toml::value::Datetime;

use super::RepositoryError;
use crate::eol::EndOfLife;
use crate::names::{Arch, NameError, ProductName, ProductRef, VendorName};
use crate::version::{Minor, Requirement};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SettingsFile {
    vendor: VendorName,
    product: ProductName,
    #[serde(default)]
    defaults: Defaults,
    #[serde(default)]
    rules: GraphRules,
    #[serde(default)]
    eol: BTreeMap<Line, Day>,
}

/// A key of `[eol]`.
#[derive(PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
struct Line(Minor);

impl TryFrom<String> for Line {
    type Error = NameError;
    fn try_from(text: String) -> Result<Self, NameError> {
        // Without quotes TOML reads 3.9 as a table 3 with a key 9.
        let why = "write major.minor in quotes, such as \"3.9\" = 2026-12-31";
        text.parse().map(Self).map_err(|_| NameError::new("minor", &text, why))
    }
}

/// A value of `[eol]`: a date of TOML, or the same as text.
struct Day(EndOfLife);

impl<'de> Deserialize<'de> for Day {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(DayVisitor)
    }
}

struct DayVisitor;

impl<'de> Visitor<'de> for DayVisitor {
    type Value = Day;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a day such as 2026-12-31, without a time")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Day, E> {
        text.parse().map(Day).map_err(E::custom)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Day, A::Error> {
        let wrong = |_| de::Error::invalid_type(de::Unexpected::Map, &self);
        // Times are refused by the form of their text.
        let date = Datetime::deserialize(MapAccessDeserializer::new(map)).map_err(wrong)?;
        self.visit_str(&date.to_string())
    }
}

/// What a settings file says.
pub(super) struct Settings {
    pub(super) product: ProductRef,
    pub(super) defaults: Defaults,
    pub(super) rules: GraphRules,
    pub(super) eol: BTreeMap<Minor, EndOfLife>,
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
    let eol = settings.eol.into_iter().map(|(line, day)| (line.0, day.0)).collect();
    Ok(Settings { product, defaults: settings.defaults, rules: settings.rules, eol })
}

fn number(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
