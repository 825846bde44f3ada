//! YAML that people write: one way of reading it, and faults that know their place.
//!
//! It reads text and knows no file: whoever does puts its name in front.

use std::fmt;

use serde::de::DeserializeOwned;

/// Text that is not the YAML it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    /// Line, from 1; 0 when the parser cannot tell.
    pub(crate) line: u64,
    /// Column, from 1; 0 when the parser cannot tell.
    pub(crate) column: u64,
    /// What is wrong, without the place.
    pub(crate) problem: String,
    /// The same with the place, in the parser's words.
    whole: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.whole)
    }
}

/// Reads one document.
pub(crate) fn read<T: DeserializeOwned>(text: &str) -> Result<T, Fault> {
    let mut options = serde_saphyr::Options::default();
    // Errors are one line; whoever wants to see the text has the line's number.
    options.with_snippet = false;
    serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let place = error.location();
        let (line, column) = place.map_or((0, 0), |place| (place.line(), place.column()));
        let whole = error.to_string();
        let tail = format!(" at line {line}, column {column}");
        let problem = whole.strip_suffix(&tail).unwrap_or(&whole).to_owned();
        Fault { line, column, problem, whole }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_tells_its_place_apart_from_its_problem() {
        let fault = read::<Vec<u8>>("- 1\n- x\n").unwrap_err();
        assert_eq!((fault.line, fault.column), (2, 3));
        assert!(!fault.problem.contains("line"), "{fault}");
        assert_eq!(fault.to_string(), format!("{} at line 2, column 3", fault.problem));
    }
}
