//! Findings about a channel repository that reads well and still may hurt somebody.
//!
//! Rules are pure and never change anything. Codes are stable: people suppress and search for them.

mod graphs;
mod sources;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::PathBuf;

use jiff::Timestamp;
use serde::Serialize;

pub use graphs::lint_graph;

use crate::compile::{CompileError, compile_partly};
use crate::repository::Workspace;

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// The file to look at, relative to the repository's root.
    pub file: PathBuf,
    /// Which rule.
    pub code: Code,
    /// What is the matter and what to do.
    pub message: String,
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

/// The rules, by their stable codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// A channel names a version that has no release file.
    MissingRelease,
    /// A channel names a release on an architecture it has no content for.
    MissingArch,
    /// A graph cannot be built.
    GraphInvalid,
    /// Edges that are no declared downgrade lead in a circle.
    Cycle,
    /// No known release satisfies a dependency.
    DependencyUnsatisfied,
    /// A version with a newer head has no edge to anything newer.
    NoWayOut,
    /// A version has edges, and none leads to the head, whatever risks are accepted.
    HeadUnreachable,
    /// Nothing leads to a version, though older ones are in the channel.
    NodeUnreachable,
    /// Two releases have one payload.
    DuplicateDigest,
    /// A risk's name cannot be a condition's reason.
    RiskName,
    /// A risk's URL is not one.
    RiskUrl,
    /// One name stands for different risks, so accepting one accepts the other.
    RiskNameReused,
    /// A blocked-edge file changes no edge.
    BlockMatchesNothing,
    /// A downgrade is allowed from a release that finalizes something this one does not know.
    DowngradeOverFinalize,
    /// A channel is fed by one that does not exist.
    FeederMissing,
    /// A release date lies in the future.
    ReleasedInFuture,
    /// A release is in no channel.
    ReleaseUnlisted,
    /// A dependency names a product outside this repository, so it cannot be checked.
    DependencyUnknown,
    /// A channel lists a version twice.
    VersionRepeated,
    /// Declared downgrades make the graph cyclic, which OpenShift's own server refuses to load.
    DowngradeCycle,
}

impl Code {
    /// Every rule, in the order of the manual's table.
    pub const ALL: [Self; 20] = [
        Self::MissingRelease,
        Self::MissingArch,
        Self::GraphInvalid,
        Self::Cycle,
        Self::DependencyUnsatisfied,
        Self::NoWayOut,
        Self::HeadUnreachable,
        Self::NodeUnreachable,
        Self::DuplicateDigest,
        Self::RiskName,
        Self::RiskUrl,
        Self::RiskNameReused,
        Self::BlockMatchesNothing,
        Self::DowngradeOverFinalize,
        Self::FeederMissing,
        Self::ReleasedInFuture,
        Self::ReleaseUnlisted,
        Self::DependencyUnknown,
        Self::VersionRepeated,
        Self::DowngradeCycle,
    ];

    /// The code as printed.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MissingRelease => "missing_release",
            Self::MissingArch => "missing_arch",
            Self::GraphInvalid => "graph_invalid",
            Self::Cycle => "cycle",
            Self::DependencyUnsatisfied => "dependency_unsatisfied",
            Self::NoWayOut => "no_way_out",
            Self::HeadUnreachable => "head_unreachable",
            Self::NodeUnreachable => "node_unreachable",
            Self::DuplicateDigest => "duplicate_digest",
            Self::RiskName => "risk_name",
            Self::RiskUrl => "risk_url",
            Self::RiskNameReused => "risk_name_reused",
            Self::BlockMatchesNothing => "block_matches_nothing",
            Self::DowngradeOverFinalize => "downgrade_over_finalize",
            Self::FeederMissing => "feeder_missing",
            Self::ReleasedInFuture => "released_in_future",
            Self::ReleaseUnlisted => "release_unlisted",
            Self::DependencyUnknown => "dependency_unknown",
            Self::VersionRepeated => "version_repeated",
            Self::DowngradeCycle => "downgrade_cycle",
        }
    }

    /// How bad a finding of this rule is.
    pub fn severity(self) -> Severity {
        match self {
            Self::MissingRelease
            | Self::MissingArch
            | Self::GraphInvalid
            | Self::Cycle
            | Self::DependencyUnsatisfied => Severity::Error,
            Self::NoWayOut
            | Self::HeadUnreachable
            | Self::NodeUnreachable
            | Self::DuplicateDigest
            | Self::RiskName
            | Self::RiskUrl
            | Self::RiskNameReused
            | Self::BlockMatchesNothing
            | Self::DowngradeOverFinalize
            | Self::FeederMissing
            | Self::ReleasedInFuture => Severity::Warning,
            Self::ReleaseUnlisted
            | Self::DependencyUnknown
            | Self::VersionRepeated
            | Self::DowngradeCycle => Severity::Note,
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Applies every rule; the worst findings first, then by file.
pub fn lint(workspace: &Workspace, now: Timestamp) -> Vec<Finding> {
    let mut findings = Vec::new();
    for product in &workspace.products {
        sources::check(product, workspace, now, &mut findings);
        let (compiled, errors) = compile_partly(product);
        findings.extend(errors.iter().map(compile_finding));
        for (channel, source) in &product.channels {
            let here = compiled.graphs.iter().filter(|(name, _, _)| name == channel);
            let graphs = here.map(|(_, arch, graph)| (arch, graph));
            findings.extend(graphs::check(&source.file, &graphs.collect::<Vec<_>>()));
        }
    }
    findings.sort();
    findings.dedup();
    findings
}

fn finding(code: Code, file: impl Into<PathBuf>, message: String) -> Finding {
    Finding { severity: code.severity(), file: file.into(), code, message }
}

fn compile_finding(error: &CompileError) -> Finding {
    match error {
        CompileError::MissingRelease { file, version } => finding(
            Code::MissingRelease,
            file,
            format!("{version} has no release file; add releases/{version}.yaml or take it out"),
        ),
        CompileError::MissingArch { file, version } => finding(
            Code::MissingArch,
            file,
            format!("{version} names an architecture its release has no content for"),
        ),
        CompileError::Graph { file, arch, source } => {
            finding(Code::GraphInvalid, file, format!("no graph for {arch}: {source}"))
        }
    }
}
