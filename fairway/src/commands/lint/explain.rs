//! `fairway lint --explain CODE`, from the table that the manual is checked against.

use channels::lint::Code;

use crate::error::{CliError, Result};
use crate::out::Out;

/// Says what a code means, why it matters and what to do.
pub(super) fn run(code: &str, out: &mut Out) -> Result<()> {
    let known = code.parse::<Code>().map_err(|error| {
        let all: Vec<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
        CliError::failed(error.to_string()).hint(format!("codes are {}", all.join(", ")))
    })?;
    let rule = known.rule();
    out.line(&format!("{} ({}): {}", rule.code, rule.severity.as_str(), rule.what))?;
    out.line(&format!("why: {}", rule.why))?;
    out.line(&format!("what to do: {}", rule.advice))
}
