//! `fairway lint DIR`: what is wrong with a channel repository, before anybody signs it.

use std::path::{Path, PathBuf};

use channels::lint::{Finding, Severity, lint};
use channels::repository::{RepositoryError, Workspace};
use jiff::Timestamp;
use serde::Serialize;

use crate::authoring::Authoring;
use crate::error::{CliError, Result, chain};
use crate::out::{Out, printable};
use crate::words::count;

/// Arguments of `fairway lint`.
#[derive(Debug, clap::Args)]
pub(crate) struct LintArgs {
    /// The channel repository
    dir: PathBuf,
    /// How to print the findings
    #[arg(long, value_enum, default_value_t)]
    output: LintFormat,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
enum LintFormat {
    /// One line per finding.
    #[default]
    Text,
    /// A JSON array.
    Json,
}

/// A finding, or a file that could not be read at all.
#[derive(Debug, Serialize)]
struct Report {
    severity: &'static str,
    code: String,
    file: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u64>,
    message: String,
}

/// Code of a file that cannot be read as what it should be.
const MALFORMED: &str = "malformed";

/// Runs `fairway lint`.
pub(crate) fn run(args: &LintArgs, now: Timestamp, out: &mut Out) -> Result<()> {
    if only_imports(&args.dir) {
        if args.output == LintFormat::Json {
            out.json::<[Report; 0]>(&[])?;
        }
        return out.note("this site only imports: it has no product of its own, nothing to lint");
    }
    let (lines, read) = match Workspace::load(&args.dir) {
        Ok(workspace) => (lint(&workspace, now).iter().map(line).collect(), true),
        Err(errors) => (errors.iter().map(malformed).collect::<Vec<Report>>(), false),
    };
    match args.output {
        LintFormat::Json => out.json(&lines)?,
        LintFormat::Text => {
            for line in &lines {
                out.line(&printable(&text(line)))?;
            }
        }
    }
    let number =
        |severity: Severity| lines.iter().filter(|line| line.severity == severity.as_str()).count();
    let errors = number(Severity::Error);
    if errors > 0 {
        let what = if read { "lint error" } else { "unreadable file" };
        return Err(CliError::no(format!("{} in {}", count(errors, what), args.dir.display())));
    }
    out.note(&format!("no errors, {}", count(number(Severity::Warning), "warning")))
}

/// Loads and lints; errors stop, warnings are printed.
pub(crate) fn check(dir: &Path, now: Timestamp, out: &mut Out) -> Result<Workspace> {
    let workspace = load(dir, out)?;
    let findings = lint(&workspace, now);
    for finding in findings.iter().filter(|finding| finding.severity != Severity::Note) {
        out.note(&text(&line(finding)))?;
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

/// Whether this is the directory of a site that only imports: settings without a vendor of its own,
/// and no product.
fn only_imports(dir: &Path) -> bool {
    has_no_product(dir)
        && Authoring::open(dir).is_ok_and(|authoring| authoring.layout().vendors.is_empty())
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
                out.note(&text(&malformed(error)))?;
            }
            Err(CliError::no(format!("{} cannot be read as a channel repository", dir.display())))
        }
    }
}

fn line(finding: &Finding) -> Report {
    Report {
        severity: finding.severity.as_str(),
        code: finding.code.as_str().to_owned(),
        file: finding.file.display().to_string(),
        line: None,
        message: finding.message.clone(),
    }
}

fn malformed(error: &channels::repository::RepositoryError) -> Report {
    let file = error.file().display().to_string();
    let message = chain(error);
    // The text begins with the place, which is a field of its own here.
    let rest = message.strip_prefix(&file).unwrap_or(&message);
    let rest = rest.trim_start_matches([':', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9']);
    Report {
        severity: Severity::Error.as_str(),
        code: MALFORMED.to_owned(),
        line: error.line(),
        message: rest.trim_start().to_owned(),
        file,
    }
}

fn text(line: &Report) -> String {
    let Report { severity, code, file, message, .. } = line;
    let place = line.line.map_or_else(|| file.clone(), |number| format!("{file}:{number}"));
    format!("{place}: {severity}: {message} [{code}]")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authoring::scaffold::{Scaffold, TopRoles};
    use crate::out::capture;
    use crate::publisher::testing::World;

    fn example() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let scaffold = Scaffold {
            top: TopRoles {
                server: "http://hub".into(),
                root_keys: vec!["root-1.pub".into()],
                root_threshold: 1,
            },
            vendor: "acme".parse().unwrap(),
            product: "app".parse().unwrap(),
            role: "workload".into(),
            now: now(),
        };
        for (path, text) in scaffold.files() {
            let path = dir.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        dir
    }

    fn now() -> Timestamp {
        "2026-05-01T12:00:00Z".parse().unwrap()
    }

    fn fairway_lint(dir: &Path, output: LintFormat) -> (Result<()>, String, String) {
        let (mut out, stdout, stderr) = capture::out();
        let args = LintArgs { dir: dir.to_owned(), output };
        (run(&args, now(), &mut out), stdout.text(), stderr.text())
    }

    #[test]
    fn the_example_of_init_lints_clean() {
        let dir = example();
        let (result, stdout, stderr) = fairway_lint(dir.path(), LintFormat::Text);
        result.unwrap();
        assert_eq!((stdout.as_str(), stderr.as_str()), ("", "no errors, no warnings\n"));
    }

    #[test]
    fn a_missing_release_is_an_error_with_its_file() {
        let dir = example();
        std::fs::write(
            dir.path().join("app/channels/stable.yaml"),
            "name: stable\nversions: [1.0.0, 1.1.0]\n",
        )
        .unwrap();
        let (result, stdout, _) = fairway_lint(dir.path(), LintFormat::Text);
        assert_eq!(result.unwrap_err().exit().code(), 1);
        assert!(stdout.starts_with("app/channels/stable.yaml: error: "), "{stdout}");
        assert!(stdout.trim_end().ends_with("[missing_release]"), "{stdout}");
    }

    #[test]
    fn a_malformed_file_names_its_line_and_is_json_too() {
        let dir = example();
        std::fs::write(dir.path().join("app/channels/stable.yaml"), "name: stable\nversion: []\n")
            .unwrap();
        let (result, stdout, _) = fairway_lint(dir.path(), LintFormat::Json);
        assert!(result.unwrap_err().to_string().starts_with("1 unreadable file in "));
        let lines: serde_json::Value = serde_json::from_str(&stdout).unwrap();
        assert_eq!(lines[0]["code"], "malformed");
        assert_eq!(lines[0]["file"], "app/channels/stable.yaml");
        assert_eq!(lines[0]["line"], 2);
    }

    /// A site's directory: `hub.toml` without a vendor of its own, and no product.
    fn site() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let ceremony = World::new();
        std::fs::create_dir(dir.path().join("keys")).unwrap();
        for name in ["root-1", "targets", "zeta"] {
            let pem = ceremony.timestamp.public().to_spki_pem();
            std::fs::write(dir.path().join(format!("keys/{name}.pub")), pem).unwrap();
        }
        std::fs::write(dir.path().join("root.json"), &ceremony.root).unwrap();
        let role = |name: &str| format!("keys = [\"keys/{name}.pub\"]\nthreshold = 1\n");
        let text = format!(
            "server = \"http://hub\"\n[root]\n{}[targets]\n{}[imported.zeta]\n{}paths = \
             [\"zeta/*/*\"]\nterminating = true\n",
            role("root-1"),
            role("targets"),
            role("zeta")
        );
        std::fs::write(dir.path().join("hub.toml"), text).unwrap();
        dir
    }

    #[test]
    fn a_site_that_only_imports_has_nothing_to_lint() {
        let dir = site();
        let (result, stdout, stderr) = fairway_lint(dir.path(), LintFormat::Text);
        result.unwrap();
        let expected = "this site only imports: it has no product of its own, nothing to lint\n";
        assert_eq!((stdout.as_str(), stderr.as_str()), ("", expected));
        let (result, stdout, _) = fairway_lint(dir.path(), LintFormat::Json);
        result.unwrap();
        assert_eq!(stdout.trim(), "[]");
    }

    #[test]
    fn a_publisher_without_a_product_is_an_error() {
        let dir = example();
        std::fs::remove_dir_all(dir.path().join("app")).unwrap();
        let (result, ..) = fairway_lint(dir.path(), LintFormat::Text);
        assert_eq!(result.unwrap_err().exit().code(), 1);
    }
}
