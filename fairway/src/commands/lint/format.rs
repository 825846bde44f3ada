//! How findings are printed: for people, for scripts, and for what shows annotations in a merge
//! request.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use channels::lint::{Code, Finding, Near, Severity};
use serde::Serialize;
use serde_json::{Value, json};
use signing::Sha256Digest;

use crate::error::Result;
use crate::files::read_bounded;
use crate::out::{Out, printable};
use crate::table::{Table, cell};

/// Largest file searched for the line of a finding, in bytes. What people write is far smaller.
const MAX_SEARCHED_BYTES: u64 = 1024 * 1024;

/// Formats of findings.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    /// One line per finding.
    #[default]
    #[value(name = "table", alias = "text")]
    Text,
    /// A JSON array.
    Json,
    /// A header and one row per finding.
    Csv,
    /// Workflow commands, which GitHub shows as annotations.
    Github,
    /// Code quality report of GitLab.
    Gitlab,
    /// SARIF 2.1.0, which many code hosts and editors read.
    Sarif,
}

/// A finding and where it is.
#[derive(Debug)]
pub(super) struct Located {
    pub(super) finding: Finding,
    /// The file as seen from where the command runs, with `/` between folders.
    path: String,
    /// From 1, where one is known.
    line: Option<u64>,
}

/// Texts of files with findings, read once.
#[derive(Default)]
pub(super) struct Texts(BTreeMap<PathBuf, Option<String>>);

impl Texts {
    fn line(&mut self, path: &Path, near: &Near) -> Option<u64> {
        if let Near::Line(line) = near {
            return Some(*line);
        }
        let text = self.0.entry(path.to_owned()).or_insert_with(|| {
            // A file that cannot be read has no lines to show; the finding stands all the same.
            read_bounded(path, MAX_SEARCHED_BYTES).ok().and_then(|b| String::from_utf8(b).ok())
        });
        near.line_in(text.as_deref()?)
    }
}

impl Located {
    /// Finds the line of a finding whose file is relative to `base`.
    pub(super) fn find(base: &Path, finding: Finding, texts: &mut Texts) -> Self {
        // What is wrong with the directory itself names it, and not what lies below.
        let below = base.join(&finding.file);
        let place = if below.exists() { below } else { finding.file.clone() };
        let line = finding.near.as_ref().and_then(|near| texts.line(&place, near));
        let parts: Vec<String> = place
            .components()
            .filter(|part| *part != std::path::Component::CurDir)
            .map(|part| part.as_os_str().to_string_lossy().into_owned())
            .collect();
        let path = parts.join("/").replacen("//", "/", 1);
        Self { finding, path, line }
    }

    /// One line for people.
    pub(super) fn text(&self) -> String {
        let Finding { severity, file, code, message, .. } = &self.finding;
        let file = file.display();
        let place = self.line.map_or_else(|| file.to_string(), |line| format!("{file}:{line}"));
        format!("{place}: {}: {message} [{code}]", severity.as_str())
    }

    /// A workflow command of GitHub.
    fn annotation(&self) -> String {
        let level = match self.finding.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "notice",
        };
        let line = self.line.map_or_else(String::new, |line| format!(",line={line}"));
        let (file, message) = (property(&self.path), escaped(&self.finding.message));
        format!("::{level} file={file}{line},title={}::{message}", self.finding.code)
    }
}

fn escaped(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    escaped(text).replace(':', "%3A").replace(',', "%2C")
}

/// Prints findings.
pub(super) fn print(format: Format, found: &[Located], out: &mut Out) -> Result<()> {
    match format {
        Format::Text => found.iter().try_for_each(|one| out.line(&printable(&one.text()))),
        Format::Github => found.iter().try_for_each(|one| out.line(&printable(&one.annotation()))),
        Format::Json => out.json(&found.iter().map(Report::of).collect::<Vec<_>>()),
        Format::Csv => out.csv(&rows(found)),
        Format::Gitlab => out.json(&code_quality(found)),
        Format::Sarif => out.json(&sarif(found)),
    }
}

/// A finding for scripts.
#[derive(Serialize)]
struct Report<'a> {
    severity: Severity,
    code: Code,
    file: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u64>,
    message: &'a str,
}

impl<'a> Report<'a> {
    fn of(located: &'a Located) -> Self {
        let Finding { severity, file, code, message, .. } = &located.finding;
        let file = file.display().to_string();
        Self { severity: *severity, code: *code, file, line: located.line, message }
    }
}

/// One row per finding.
fn rows(found: &[Located]) -> Table {
    let mut table = Table::new(&["severity", "code", "file", "line", "message"]);
    for Report { severity, code, file, line, message } in found.iter().map(Report::of) {
        let severity = severity.as_str().to_owned();
        table.row(vec![severity, code.to_string(), file, cell(line.as_ref()), message.to_owned()]);
    }
    table
}

/// The report GitLab shows in a merge request. A fingerprint is the same as long as file, code and
/// message are, so that what was there before is not shown as new.
fn code_quality(found: &[Located]) -> Vec<Value> {
    let mut seen = BTreeSet::new();
    let mut entries = Vec::new();
    for one in found {
        let Finding { severity, code, message, .. } = &one.finding;
        let identity = format!("{code}\n{}\n{message}", one.path);
        let fingerprint = Sha256Digest::of(identity.as_bytes()).to_string();
        let fingerprint = fingerprint.trim_start_matches("sha256:").to_owned();
        if !seen.insert(fingerprint.clone()) {
            continue;
        }
        let severity = match severity {
            Severity::Error => "critical",
            Severity::Warning => "minor",
            Severity::Note => "info",
        };
        entries.push(json!({
            "description": message,
            "check_name": code,
            "fingerprint": fingerprint,
            "severity": severity,
            "location": {"path": one.path, "lines": {"begin": one.line.unwrap_or(1)}},
        }));
    }
    entries
}

fn sarif(found: &[Located]) -> Value {
    let codes: BTreeSet<Code> = found.iter().map(|one| one.finding.code).collect();
    let rules: Vec<Value> = codes
        .iter()
        .map(|code| {
            let rule = code.rule();
            json!({
                "id": rule.code,
                "shortDescription": {"text": rule.what},
                "fullDescription": {"text": rule.why},
                "help": {"text": rule.advice},
                "defaultConfiguration": {"level": rule.severity},
            })
        })
        .collect();
    let results: Vec<Value> = found
        .iter()
        .map(|one| {
            let mut place = json!({"artifactLocation": {"uri": uri(&one.path)}});
            if let Some(line) = one.line {
                place["region"] = json!({"startLine": line});
            }
            json!({
                "ruleId": one.finding.code,
                "level": one.finding.severity,
                "message": {"text": one.finding.message},
                "locations": [{"physicalLocation": place}],
            })
        })
        .collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "fairway lint",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            }},
            "results": results,
        }],
    })
}

/// The path as a relative reference (RFC 3986).
fn uri(path: &str) -> String {
    let encoded = |byte: u8| {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            char::from(byte).to_string()
        } else {
            format!("%{byte:02X}")
        }
    };
    path.bytes().map(encoded).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_a_reference_whatever_its_name_holds() {
        assert_eq!(uri("a b/ä:1.yaml"), "a%20b/%C3%A4%3A1.yaml");
    }

    #[test]
    fn a_path_has_no_dots_to_go_through() {
        let code = Code::Malformed;
        let finding = Finding {
            severity: code.severity(),
            file: PathBuf::new(),
            code,
            message: String::new(),
            near: None,
        };
        let found = |base: &Path, file: &str| {
            let finding = Finding { file: file.into(), ..finding.clone() };
            Located::find(base, finding, &mut Texts::default()).path
        };
        let dir = tempfile::tempdir().unwrap();
        let inside = format!("{}/Cargo.toml", dir.path().display());
        std::fs::write(&inside, "").unwrap();
        assert_eq!(found(Path::new("."), "Cargo.toml"), "Cargo.toml");
        assert_eq!(found(dir.path(), "./Cargo.toml"), inside);
        assert_eq!(found(dir.path(), "none/or/other"), "none/or/other");
    }
}
