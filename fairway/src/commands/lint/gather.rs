//! What there is to lint at a path: a channel repository and what lies beside it, a graph, a policy.

use std::path::{Path, PathBuf};

use channels::cincinnati::{MAX_GRAPH_BYTES, from_json};
use channels::lint::{Finding, lint, lint_expiry, lint_graph, lint_policy};
use channels::repository::{RepositoryError, Workspace};
use channels::rollout::lint::Fleet;
use jiff::Timestamp;

use super::format::{Located, Texts};
use crate::authoring::{Authoring, CONFIG_FILE};
use crate::commands::status;
use crate::error::{CliError, Result};
use crate::files::read_bounded;

/// Where policies lie below a repository.
const POLICIES: &str = "rollouts";

/// Where signed metadata lies below a hub's or vendor's directory.
const METADATA: &str = "metadata";

/// Longest policy read, in bytes; the reader of policies has the same bound.
const MAX_POLICY_BYTES: u64 = 1024 * 1024;

/// Findings, each with the directory its file is relative to.
#[derive(Default)]
pub(super) struct Gathered {
    findings: Vec<(PathBuf, Finding)>,
    /// The repository could not be read, so its rules were not applied.
    pub(super) unreadable: bool,
    /// The directory of a site without a product of its own and without policies.
    pub(super) is_empty_site: bool,
}

impl Gathered {
    fn found(base: &Path, findings: Vec<Finding>) -> Self {
        let findings = findings.into_iter().map(|finding| (base.to_owned(), finding)).collect();
        Self { findings, ..Self::default() }
    }

    /// Adds what was found elsewhere.
    pub(super) fn add(&mut self, other: Self) {
        self.findings.extend(other.findings);
        self.unreadable |= other.unreadable;
    }

    /// The findings with their places, worst first.
    pub(super) fn located(&self) -> Vec<Located> {
        let mut texts = Texts::default();
        let mut found: Vec<Located> = self
            .findings
            .iter()
            .map(|(base, finding)| Located::find(base, finding.clone(), &mut texts))
            .collect();
        found.sort_by(|a, b| a.finding.cmp(&b.finding));
        found
    }
}

/// Lints what lies at `path`.
pub(super) fn path(path: &Path, now: Timestamp) -> Result<Gathered> {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("json") if path.is_file() => graph(path),
        Some("yaml") if path.is_file() => policy(path, now),
        Some(_) | None => directory(path, now),
    }
}

fn directory(dir: &Path, now: Timestamp) -> Result<Gathered> {
    let policies = policies_below(dir)?;
    let mut gathered = match Workspace::load(dir) {
        Ok(workspace) => Gathered::found(dir, lint(&workspace, now)),
        // Whoever owns a fleet has policies and need not publish anything.
        Err(errors)
            if matches!(errors.as_slice(), [RepositoryError::NoProduct { .. }])
                && (!policies.is_empty() || only_imports(dir)) =>
        {
            Gathered { is_empty_site: policies.is_empty(), ..Gathered::default() }
        }
        Err(errors) => {
            let findings = errors.iter().map(Finding::malformed).collect();
            Gathered { unreadable: true, ..Gathered::found(dir, findings) }
        }
    };
    for file in policies {
        gathered.add(policy_below(dir, &file, now)?);
    }
    if dir.join(CONFIG_FILE).exists() && dir.join(METADATA).is_dir() {
        let roles = status::expiries(dir, now)?;
        gathered.add(Gathered::found(dir, lint_expiry(&roles, now)));
    }
    Ok(gathered)
}

/// Whether this is the directory of a site that only imports: settings without a vendor of its own.
fn only_imports(dir: &Path) -> bool {
    Authoring::open(dir).is_ok_and(|authoring| authoring.layout().vendors.is_empty())
}

/// Files below the directory of policies, relative to `dir`, in name order.
fn policies_below(dir: &Path) -> Result<Vec<PathBuf>> {
    let folder = dir.join(POLICIES);
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let failed = |error: &std::io::Error| {
        CliError::failed(format!("failed to list {}: {error}", folder.display()))
    };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(&folder).map_err(|error| failed(&error))? {
        let name = entry.map_err(|error| failed(&error))?.file_name();
        let is_hidden = name.to_string_lossy().starts_with('.');
        let file = Path::new(POLICIES).join(name);
        let is_text = file.extension().is_some_and(|extension| extension == "md");
        if !is_hidden && !is_text {
            files.push(file);
        }
    }
    files.sort();
    Ok(files)
}

fn policy_below(dir: &Path, file: &Path, now: Timestamp) -> Result<Gathered> {
    if file.extension().is_none_or(|extension| extension != "yaml") {
        let advice = "name it *.yaml, or move it out of this directory".to_owned();
        let stray = RepositoryError::StrayFile { file: file.to_owned(), advice };
        return Ok(Gathered::found(dir, vec![Finding::malformed(&stray)]));
    }
    let text = read(&dir.join(file), MAX_POLICY_BYTES)?;
    let findings = match String::from_utf8(text) {
        Ok(text) => lint_policy(file, &text, &Fleet::Unknown, now),
        Err(error) => vec![Finding::unreadable(file, None, &error)],
    };
    Ok(Gathered::found(dir, findings))
}

/// Lints one policy file.
pub(super) fn policy(file: &Path, now: Timestamp) -> Result<Gathered> {
    policy_below(Path::new(""), file, now)
}

/// Lints one graph as a server sends it.
fn graph(file: &Path) -> Result<Gathered> {
    // One byte over the bound is enough for the reader of graphs to refuse it by name.
    let limit = u64::try_from(MAX_GRAPH_BYTES).unwrap_or(u64::MAX).saturating_add(1);
    let findings = match from_json(&read(file, limit)?) {
        Ok(graph) => lint_graph(&graph, file),
        Err(error) => vec![Finding::bad_graph(file, &error)],
    };
    Ok(Gathered::found(Path::new(""), findings))
}

fn read(file: &Path, limit: u64) -> Result<Vec<u8>> {
    read_bounded(file, limit)
        .map_err(|error| CliError::failed(format!("failed to read {}: {error}", file.display())))
}
