//! `fairway lint DIR`: what is wrong with a channel repository, before anybody signs it.
//!
//! It changes nothing and asks nobody, so it runs as a check before a merge.

mod explain;
mod format;
mod gather;
#[cfg(test)]
pub(crate) mod tests;

use std::path::{Path, PathBuf};

use channels::lint::{Finding, Severity, lint};
use channels::repository::{RepositoryError, Workspace};
use jiff::Timestamp;

use format::{Format, Located};

use crate::error::{CliError, Result};
use crate::out::{Out, printable};
use crate::words::count;

/// Arguments of `fairway lint`.
#[derive(Debug, clap::Args)]
pub(crate) struct LintArgs {
    /// The channel repository; or one graph (*.json) or rollout policy (*.yaml)
    // Required by clap and not by the type, so that --explain can stand alone.
    #[arg(required = true)]
    dir: Option<PathBuf>,
    /// A rollout policy to check too; those below DIR/rollouts are checked anyway
    #[arg(long, value_name = "FILE")]
    policy: Vec<PathBuf>,
    /// How to print the findings
    #[arg(long, value_enum, default_value_t)]
    output: Format,
    /// What fails the check besides errors
    #[arg(long, value_enum, value_name = "WHAT")]
    deny: Option<Deny>,
    /// Say what a code means, why it matters and what to do
    #[arg(long, value_name = "CODE", exclusive = true)]
    explain: Option<String>,
}

/// What fails the check besides errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Deny {
    /// Warnings.
    Warnings,
}

/// Runs `fairway lint`.
pub(crate) fn run(args: &LintArgs, now: Timestamp, out: &mut Out) -> Result<()> {
    if let Some(code) = &args.explain {
        return explain::run(code, out);
    }
    let path = args.dir.as_deref().unwrap_or(Path::new("."));
    let mut gathered = gather::path(path, now)?;
    for policy in &args.policy {
        gathered.add(gather::policy(policy, now)?);
    }
    let found = gathered.located();
    if gathered.is_empty_site && args.policy.is_empty() && found.is_empty() {
        format::print(args.output, &found, out)?;
        return out.note("this site only imports: it has no product of its own, nothing to lint");
    }
    format::print(args.output, &found, out)?;
    let number = |severity| found.iter().filter(|one| one.finding.severity == severity).count();
    let (errors, warnings) = (number(Severity::Error), number(Severity::Warning));
    let what = if gathered.unreadable { "unreadable file" } else { "lint error" };
    if errors > 0 {
        return Err(CliError::no(format!("{} in {}", count(errors, what), path.display())));
    }
    if args.deny == Some(Deny::Warnings) && warnings > 0 {
        let warnings = count(warnings, "warning");
        return Err(CliError::no(format!("{warnings} in {}, denied", path.display())));
    }
    out.note(&format!("no errors, {}", count(warnings, "warning")))
}

/// Loads and lints; errors stop, warnings are printed.
pub(crate) fn check(dir: &Path, now: Timestamp, out: &mut Out) -> Result<Workspace> {
    let workspace = load(dir, out)?;
    let findings = lint(&workspace, now);
    let heard = findings.iter().filter(|finding| finding.severity != Severity::Note);
    for finding in heard {
        note(dir, finding, out)?;
    }
    let errors = findings.iter().filter(|finding| finding.severity == Severity::Error).count();
    if errors > 0 {
        return Err(CliError::no(format!(
            "{}; nothing was published",
            count(errors, "lint error")
        )));
    }
    Ok(workspace)
}

/// Whether there is no product at all: a site that only imports has none.
pub(crate) fn has_no_product(dir: &Path) -> bool {
    let loaded = Workspace::load(dir);
    matches!(loaded.as_ref().map_err(Vec::as_slice), Err([RepositoryError::NoProduct { .. }]))
}

/// Loads a channel repository, printing every fault when it is malformed.
pub(crate) fn load(dir: &Path, out: &mut Out) -> Result<Workspace> {
    match Workspace::load(dir) {
        Ok(workspace) => Ok(workspace),
        Err(errors) => {
            for error in &errors {
                note(dir, &Finding::malformed(error), out)?;
            }
            Err(CliError::no(format!("{} cannot be read as a channel repository", dir.display())))
        }
    }
}

fn note(dir: &Path, finding: &Finding, out: &mut Out) -> Result<()> {
    let located = Located::find(dir, finding.clone(), &mut format::Texts::default());
    out.note(&printable(&located.text()))
}
