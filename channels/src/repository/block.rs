//! `blocked-edges/*.yaml`, in the schema of OpenShift's graph data, with ranges.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use regex::{Regex, RegexBuilder};
use serde::Deserialize;

use super::{RepositoryError, files};
use crate::graph::{MatchingRule, Risk};
use crate::names::Arch;
use crate::version::{ReleaseVersion, Requirement};

/// Memory one compiled expression may take; real ones, of 80 characters, take some kilobytes.
const MAX_PATTERN_BYTES: usize = 4 * 1024 * 1024;

/// Edges that are removed, or that carry a risk.
#[derive(Debug, Clone)]
pub struct BlockSource {
    /// The file, relative to the repository's root.
    pub file: PathBuf,
    /// Edges into these releases.
    pub to: Targets,
    /// Edges out of these releases.
    pub from: Sources,
    /// The first release without the fault; it ends a range in `to`.
    pub fixed_in: Option<ReleaseVersion>,
    /// The risk that makes the edges conditional; without one they are removed.
    pub risk: Option<Risk>,
}

/// Which releases a block is about, as targets.
#[derive(Debug, Clone)]
pub enum Targets {
    /// One release; `1.2.3+arch` on one architecture only.
    Version(ReleaseVersion),
    /// All that match, up to `fixedIn`.
    Range(Requirement),
}

/// Which releases a block is about, as sources.
#[derive(Debug, Clone)]
pub enum Sources {
    /// A regular expression searched for in `version+arch`, not anchored by itself.
    Pattern(Regex),
    /// All that match.
    Range(Requirement),
}

impl BlockSource {
    /// Whether edges to this release are meant.
    pub fn covers_target(&self, version: &ReleaseVersion, arch: &Arch) -> bool {
        match &self.to {
            Targets::Version(to) => {
                to == version
                    || (to.semver().build.as_str() == arch.as_str()
                        && to.without_build() == *version)
            }
            Targets::Range(range) => {
                range.matches(version)
                    && self.fixed_in.as_ref().is_none_or(|fixed_in| version < fixed_in)
            }
        }
    }
}

impl Sources {
    /// Whether edges from this release are meant.
    pub fn cover(&self, version: &ReleaseVersion, arch: &Arch) -> bool {
        match self {
            Self::Range(range) => range.matches(version),
            Self::Pattern(pattern) => pattern.is_match(&searched_text(version, arch)),
        }
    }

    /// The text as written and whether it is a range: equal keys cover the same releases.
    pub(crate) fn key(&self) -> (bool, String) {
        match self {
            Self::Pattern(pattern) => (false, pattern.as_str().to_owned()),
            Self::Range(range) => (true, range.to_string()),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BlockFile {
    to: String,
    from: String,
    #[serde(default)]
    url: Option<String>,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    message: Option<String>,
    #[serde(default, rename = "matchingRules")]
    matching_rules: Option<Vec<RuleFile>>,
    #[serde(default, rename = "fixedIn")]
    fixed_in: Option<ReleaseVersion>,
    // Steers OpenShift's own bots; accepted so that its files load, and without meaning here.
    #[serde(default, rename = "autoExtend")]
    _auto_extend: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleFile {
    #[serde(rename = "type")]
    kind: RuleKind,
    #[serde(default)]
    promql: Option<QueryFile>,
}

#[derive(Deserialize)]
enum RuleKind {
    Always,
    #[serde(rename = "PromQL")]
    PromQl,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct QueryFile {
    promql: String,
}

/// The text an expression is searched for in: `version+arch`, or the version alone where it carries
/// build metadata of its own.
pub(crate) fn searched_text(version: &ReleaseVersion, arch: &Arch) -> String {
    if version.semver().build.is_empty() {
        format!("{version}+{arch}")
    } else {
        version.to_string()
    }
}

/// Compiled regular expressions by their text; a thousand files share a hundred expressions.
pub(super) type Patterns = BTreeMap<String, Regex>;

/// Parses a blocked-edge file.
pub(super) fn parse(
    file: PathBuf,
    text: &str,
    patterns: &mut Patterns,
) -> Result<BlockSource, RepositoryError> {
    let block: BlockFile = files::parse(&file, text, "Blocked edges and risks")?;
    let to = targets(&file, &block.to)?;
    let from = sources(&file, &block.from, patterns)?;
    let risk = match (block.name, block.message, block.url, block.matching_rules) {
        (None, None, None, None) => None,
        (Some(name), Some(message), Some(url), Some(rules)) if !rules.is_empty() => {
            let rules: Result<_, _> = rules.into_iter().map(|one| rule(&file, one)).collect();
            Some(Risk { name, message: message.trim_end().to_owned(), url, matching_rules: rules? })
        }
        (_, _, _, _) => {
            return Err(RepositoryError::content(
                &file,
                "a risk needs name, message, url and at least one of matchingRules".to_owned(),
                "add what is missing, or leave out all four to remove the edges",
            ));
        }
    };
    Ok(BlockSource { file, to, from, fixed_in: block.fixed_in, risk })
}

/// A requirement starts with an operator; anything else is a version or an expression.
fn requirement(text: &str) -> Option<Requirement> {
    text.starts_with(['<', '>', '=', '~', '^']).then(|| text.parse().ok()).flatten()
}

fn targets(file: &Path, text: &str) -> Result<Targets, RepositoryError> {
    if let Ok(version) = text.parse() {
        return Ok(Targets::Version(version));
    }
    requirement(text).map(Targets::Range).ok_or_else(|| {
        RepositoryError::content(
            file,
            format!("to: {text:?} is neither a version nor a requirement"),
            "write one version (4.1.0) or a range that begins with an operator (\">=4.0.0, <4.1.0\")",
        )
    })
}

fn sources(file: &Path, text: &str, patterns: &mut Patterns) -> Result<Sources, RepositoryError> {
    if let Some(range) = requirement(text) {
        return Ok(Sources::Range(range));
    }
    pattern(file, text, patterns).map(Sources::Pattern)
}

/// Compiles an expression, within [`MAX_PATTERN_BYTES`].
pub(super) fn expression(text: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(text).size_limit(MAX_PATTERN_BYTES).build()
}

/// Compiles an expression over `version+arch`, once per text.
pub(super) fn pattern(
    file: &Path,
    text: &str,
    patterns: &mut Patterns,
) -> Result<Regex, RepositoryError> {
    if let Some(known) = patterns.get(text) {
        return Ok(known.clone());
    }
    let pattern = expression(text).map_err(|_| {
        RepositoryError::content(
            file,
            format!("from: {text:?} is neither a regular expression nor a requirement"),
            "write an expression over version+arch (4[.]0[.].*) or a range (\">=4.0.0, <4.1.0\")",
        )
    })?;
    patterns.insert(text.to_owned(), pattern.clone());
    Ok(pattern)
}

fn rule(file: &Path, rule: RuleFile) -> Result<MatchingRule, RepositoryError> {
    match (rule.kind, rule.promql) {
        (RuleKind::Always, None) => Ok(MatchingRule::Always),
        (RuleKind::PromQl, Some(query)) if !query.promql.trim().is_empty() => {
            Ok(MatchingRule::PromQl { promql: query.promql })
        }
        (RuleKind::Always | RuleKind::PromQl, _) => Err(RepositoryError::content(
            file,
            "a PromQL rule needs promql.promql, and an Always rule has none".to_owned(),
            "write - type: PromQL with promql: {promql: …}, or - type: Always",
        )),
    }
}
