//! Findings about a channel repository that reads well and still may hurt somebody.
//!
//! Rules are pure and never change anything. Codes are stable: people suppress and search for them.

mod expiry;
mod graphs;
mod place;
mod policy;
mod promql;
mod risks;
mod rules;
mod sources;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::Serialize;
use signing::causes::chain;

pub use expiry::{Expiry, lint_expiry};
pub use graphs::lint_graph;
pub use place::Near;
pub use policy::lint_policy;
pub use rules::{Code, Rule, UnknownCode};

use crate::compile::{CompileError, compile_partly};
use crate::graph::GraphError;
use crate::repository::{RepositoryError, Workspace};

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// The file to look at, relative to the repository's root.
    pub file: PathBuf,
    /// Which rule.
    pub code: Code,
    /// What is the matter and what to do.
    pub message: String,
    /// Where in the file, if the rule can tell.
    pub near: Option<Near>,
}

impl Finding {
    fn near(mut self, near: Near) -> Self {
        self.near = Some(near);
        self
    }

    /// A file of a channel repository that cannot be read as what it should be.
    pub fn malformed(error: &RepositoryError) -> Self {
        Self::unreadable(error.file(), error.line(), error)
    }

    /// A file that cannot be read as what it should be; `line` is from 1.
    pub fn unreadable(file: &Path, line: Option<u64>, error: &dyn std::error::Error) -> Self {
        let message = chain(error);
        // The text begins with the place, which is a field of its own here.
        let rest = message.strip_prefix(&file.display().to_string()).unwrap_or(&message);
        let rest = rest.trim_start_matches(|c: char| c == ':' || c.is_ascii_digit()).trim_start();
        let found = finding(Code::Malformed, file, rest.to_owned());
        Self { near: line.map(Near::Line), ..found }
    }

    /// A graph that cannot be read or built.
    pub fn bad_graph(file: impl Into<PathBuf>, error: &GraphError) -> Self {
        finding(Code::GraphInvalid, file, chain(error))
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (severity, code) = (self.severity.as_str(), self.code.as_str());
        write!(f, "{}: {severity}: {} [{code}]", self.file.display(), self.message)
    }
}

/// How bad a finding is; worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Must not be published.
    Error,
    /// Clusters may be left where they are.
    Warning,
    /// Good to know.
    Note,
}

impl Severity {
    /// The name used in output.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

/// Applies every rule; the worst findings first, then by file.
pub fn lint(workspace: &Workspace, now: Timestamp) -> Vec<Finding> {
    let mut findings = Vec::new();
    for product in &workspace.products {
        sources::check(product, workspace, now, &mut findings);
        risks::check(product, &mut findings);
        let (compiled, errors) = compile_partly(product);
        findings.extend(errors.iter().map(compile_finding));
        for (channel, source) in &product.channels {
            let here = compiled.graphs.iter().filter(|(name, _, _)| name == channel);
            let graphs: Vec<_> = here.map(|(_, arch, graph)| (arch, graph)).collect();
            findings.extend(graphs::check(&source.file, &graphs));
            findings.extend(graphs::check_barriers(source, product, &graphs));
        }
    }
    findings.sort();
    findings.dedup();
    findings
}

fn finding(code: Code, file: impl Into<PathBuf>, message: String) -> Finding {
    Finding { severity: code.severity(), file: file.into(), code, message, near: None }
}

fn compile_finding(error: &CompileError) -> Finding {
    match error {
        CompileError::MissingRelease { file, version } => finding(
            Code::MissingRelease,
            file,
            format!("{version} has no release file; add releases/{version}.yaml or take it out"),
        )
        .near(Near::Word(version.to_string())),
        CompileError::MissingArch { file, version } => finding(
            Code::MissingArch,
            file,
            format!("{version} names an architecture its release has no content for"),
        )
        .near(Near::Word(version.to_string())),
        CompileError::Graph { file, arch, source } => {
            finding(Code::GraphInvalid, file, format!("no graph for {arch}: {}", chain(source)))
        }
    }
}
