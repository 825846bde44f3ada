//! Label matchers of an alert selector, checked before they are put into a query.

use std::fmt;
use std::str::FromStr;

/// Why a text is not a list of label matchers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MatcherError {
    /// There is none.
    #[error("it names no label; write e.g. severity=\"critical\"")]
    Empty,
    /// Not a matcher.
    #[error("at {at:?}: {why}")]
    Malformed {
        /// The rest of the text from there, shortened.
        at: String,
        /// What was expected.
        why: &'static str,
    },
}

/// `severity="critical", alertname!~"Watchdog|Info.*"`, in PromQL's own writing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Matchers(String);

impl Matchers {
    /// The query for firing alerts it selects.
    pub fn firing(&self) -> String {
        format!("ALERTS{{alertstate=\"firing\",{}}}", self.0)
    }
}

impl fmt::Display for Matchers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for Matchers {
    type Err = MatcherError;

    fn from_str(text: &str) -> Result<Self, MatcherError> {
        let mut rest = text.trim();
        if rest.is_empty() {
            return Err(MatcherError::Empty);
        }
        let mut canonical = Vec::new();
        loop {
            let (matcher, after) = one(rest)?;
            canonical.push(matcher);
            let after = after.trim_start();
            if after.is_empty() {
                return Ok(Self(canonical.join(",")));
            }
            rest = after.strip_prefix(',').ok_or_else(|| wrong(after, "a comma"))?.trim_start();
        }
    }
}

fn wrong(at: &str, why: &'static str) -> MatcherError {
    MatcherError::Malformed { at: at.chars().take(30).collect(), why }
}

/// The first matcher of the text, and what follows it.
fn one(text: &str) -> Result<(String, &str), MatcherError> {
    let name_char = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let end = text.find(|c| !name_char(c)).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(wrong(text, "a label name was expected"));
    }
    let rest = rest.trim_start();
    let operator = ["=~", "!~", "!=", "="].into_iter().find(|o| rest.starts_with(o));
    let operator = operator.ok_or_else(|| wrong(rest, "=, !=, =~ or !~ was expected"))?;
    let rest = rest.strip_prefix(operator).unwrap_or(rest).trim_start();
    let inner =
        rest.strip_prefix('"').ok_or_else(|| wrong(rest, "a \"quoted\" value was expected"))?;
    let mut escaped = false;
    for (index, c) in inner.char_indices() {
        match c {
            _ if c.is_control() => return Err(wrong(inner, "a value holds a control character")),
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => {
                let (value, after) = inner.split_at(index);
                let after = after.strip_prefix('"').unwrap_or(after);
                return Ok((format!("{name}{operator}\"{value}\""), after));
            }
            _ => {}
        }
    }
    Err(wrong(rest, "the value is not closed"))
}
