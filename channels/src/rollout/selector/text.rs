//! Selectors as text, in the syntax of Kubernetes: `ring=canary,tier!=gold,zone in (a,b),owner,!frozen`.
//!
//! The parts are joined by "and". `!=` and `notin` also select clusters without the label.

use std::fmt;
use std::str::FromStr;

use super::{Expression, Operator, Selector, SelectorError};
use crate::rollout::labels::{Labels, check_key, check_value};

impl FromStr for Selector {
    type Err = SelectorError;

    fn from_str(text: &str) -> Result<Self, SelectorError> {
        let mut match_labels = Labels::new();
        let mut expressions = Vec::new();
        if text.trim().is_empty() {
            return Err(SelectorError::Empty);
        }
        for part in parts(text) {
            let term = term(part.trim())?;
            check_key(&term.key)?;
            for value in &term.values {
                check_value(&term.key, value)?;
            }
            match (term.operator, term.values.as_slice()) {
                (Operator::In, [value]) if !match_labels.contains_key(&term.key) => {
                    match_labels.insert(term.key, value.clone());
                }
                _ => expressions.push(term),
            }
        }
        Self::new(match_labels, expressions)
    }
}

/// The text between commas that stand in no parenthesis.
fn parts(text: &str) -> Vec<&str> {
    let mut open = false;
    text.split(|c: char| {
        open = (open || c == '(') && c != ')';
        c == ',' && !open
    })
    .collect()
}

fn term(part: &str) -> Result<Expression, SelectorError> {
    if let Some(key) = part.strip_prefix('!') {
        return Ok(expression(key, Operator::DoesNotExist, Vec::new()));
    }
    if let Some((key, value)) = part.split_once("!=") {
        return Ok(expression(key, Operator::NotIn, vec![value.trim().to_owned()]));
    }
    if let Some((key, value)) = part.split_once('=') {
        let value = value.strip_prefix('=').unwrap_or(value);
        return Ok(expression(key, Operator::In, vec![value.trim().to_owned()]));
    }
    let Some((head, list)) = part.split_once('(') else {
        // Two words without a list are `zone in` or a typing error: neither asks for a label.
        if part.is_empty() || part.contains(char::is_whitespace) {
            return Err(not_a_term(part));
        }
        return Ok(expression(part, Operator::Exists, Vec::new()));
    };
    let list = list.strip_suffix(')').ok_or_else(|| not_a_term(part))?;
    let (key, word) =
        head.trim().split_once(char::is_whitespace).ok_or_else(|| not_a_term(part))?;
    let operator = match word.trim() {
        "in" => Operator::In,
        "notin" => Operator::NotIn,
        _ => return Err(not_a_term(part)),
    };
    let values = list.split(',').map(|value| value.trim().to_owned()).collect();
    Ok(expression(key, operator, values))
}

fn expression(key: &str, operator: Operator, values: Vec<String>) -> Expression {
    Expression { key: key.trim().to_owned(), operator, values }
}

fn not_a_term(part: &str) -> SelectorError {
    SelectorError::NotATerm { text: part.chars().take(80).collect() }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let labels = self.match_labels.iter().map(|(key, value)| format!("{key}={value}"));
        let terms = self.match_expressions.iter().map(|Expression { key, operator, values }| {
            let all = || values.join(",");
            match (operator, values.as_slice()) {
                (Operator::In, [value]) => format!("{key}={value}"),
                (Operator::NotIn, [value]) => format!("{key}!={value}"),
                (Operator::In, _) => format!("{key} in ({})", all()),
                (Operator::NotIn, _) => format!("{key} notin ({})", all()),
                (Operator::Exists, _) => key.clone(),
                (Operator::DoesNotExist, _) => format!("!{key}"),
            }
        });
        f.pad(&labels.chain(terms).collect::<Vec<_>>().join(", "))
    }
}
