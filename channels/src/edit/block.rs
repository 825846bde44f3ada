//! Texts of `blocked-edges/*.yaml`: a new one, and one whose range ends.

use serde_json::{Map, Value, json};

use super::EditError;
use super::list::Text;
use super::verify::{meaning, verified};
use crate::graph::{MatchingRule, Risk};
use crate::version::ReleaseVersion;

/// Edges to block, as a person asks for it; the reader of the repository judges the values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewBlock {
    /// One version or a range.
    pub to: String,
    /// A range or a regular expression.
    pub from: String,
    /// The first release without the fault.
    pub fixed_in: Option<ReleaseVersion>,
    /// The risk; without one the edges are removed.
    pub risk: Option<Risk>,
}

/// A blocked-edge file.
pub fn block_file(block: &NewBlock) -> Result<String, EditError> {
    let mut wanted = Map::new();
    let mut text = String::new();
    let mut line = |key: &str, value: &str| {
        wanted.insert(key.to_owned(), Value::String(value.to_owned()));
        text.push_str(key);
        text.push_str(": ");
        text.push_str(&written(value));
        text.push('\n');
    };
    line("to", &block.to);
    if let Some(version) = &block.fixed_in {
        line("fixedIn", &version.to_string());
    }
    line("from", &block.from);
    if let Some(risk) = &block.risk {
        line("name", &risk.name);
        line("url", &risk.url);
        line("message", &risk.message);
        let mut rules = Vec::new();
        text.push_str("matchingRules:\n");
        for rule in &risk.matching_rules {
            match rule {
                MatchingRule::Always => {
                    text.push_str("  - type: Always\n");
                    rules.push(json!({"type": "Always"}));
                }
                MatchingRule::PromQl { promql } => {
                    text.push_str("  - type: PromQL\n    promql:\n      promql: ");
                    text.push_str(&written(promql));
                    text.push('\n');
                    rules.push(json!({"type": "PromQL", "promql": {"promql": promql}}));
                }
                // Authors cannot write a rule that nobody can evaluate.
                MatchingRule::Unknown { .. } => return Err(EditError::Meaning),
            }
        }
        wanted.insert("matchingRules".to_owned(), Value::Array(rules));
    }
    verified("{}", text, |value| *value = Value::Object(wanted))
}

/// The file with `fixedIn` set, which ends its range before `version`.
pub fn end_range(text: &str, version: &ReleaseVersion) -> Result<String, EditError> {
    let before = meaning(text)?;
    let to = before.get("to").and_then(Value::as_str).unwrap_or_default();
    if to.parse::<ReleaseVersion>().is_ok() {
        return Err(EditError::NotARange);
    }
    let mut edited = Text::new(text);
    edited.set("fixedIn", "to", &version.to_string())?;
    verified(text, edited.into_string(), |value| {
        if let Some(map) = value.as_object_mut() {
            map.insert("fixedIn".to_owned(), Value::String(version.to_string()));
        }
    })
}

/// A plain scalar where that is surely read as the same text, else a quoted one.
fn written(value: &str) -> String {
    let word = |c: char| c.is_ascii_alphanumeric() || "-._/".contains(c);
    let url = value.strip_prefix("https://").is_some_and(|rest| rest.chars().all(word));
    let begins = value.starts_with(|c: char| c.is_ascii_alphabetic());
    let plain = begins && value.chars().all(word) && meaning(value) == Ok(Value::from(value));
    let version = value.parse::<ReleaseVersion>().is_ok() && value.chars().all(|c| c != '+');
    if url || plain || version {
        value.to_owned()
    } else {
        Value::String(value.to_owned()).to_string()
    }
}
