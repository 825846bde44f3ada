//! A scenario: faults in a file.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_saphyr::Spanned;

use super::{Fault, FaultError};
use crate::yaml;

/// Largest scenario file read.
pub const SCENARIO_MAX_BYTES: usize = 64 * 1024;

/// A scenario file that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScenarioError {
    /// The file is larger than is read.
    #[error("{}: has {bytes} bytes; at most {max} are read", file.display(), max = SCENARIO_MAX_BYTES)]
    TooLarge {
        /// The file.
        file: PathBuf,
        /// Its size.
        bytes: usize,
    },
    /// The file is not well formed.
    #[error("{}:{line}:{column}: {problem}; write `faults:` and a list of faults", file.display())]
    Syntax {
        /// The file.
        file: PathBuf,
        /// Line, from 1; 0 when the parser cannot tell.
        line: u64,
        /// Column, from 1.
        column: u64,
        /// What is wrong.
        problem: String,
    },
    /// A fault cannot be read.
    #[error("{}:{line}: {fault}", file.display())]
    Fault {
        /// The file.
        file: PathBuf,
        /// Line, from 1.
        line: u64,
        /// What is wrong with it.
        fault: FaultError,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ScenarioFile {
    faults: Vec<Spanned<String>>,
}

/// Reads a scenario file: `faults:` and a list of them. `file` is named in errors.
pub fn scenario(file: &Path, text: &str) -> Result<Vec<Fault>, ScenarioError> {
    let bytes = text.len();
    if bytes > SCENARIO_MAX_BYTES {
        return Err(ScenarioError::TooLarge { file: file.to_owned(), bytes });
    }
    let read: ScenarioFile = yaml::read(text).map_err(|fault| {
        let yaml::Fault { line, column, problem, .. } = fault;
        ScenarioError::Syntax { file: file.to_owned(), line, column, problem }
    })?;
    read.faults
        .into_iter()
        .map(|fault| {
            fault.value.parse().map_err(|error| ScenarioError::Fault {
                file: file.to_owned(),
                line: fault.referenced.line(),
                fault: error,
            })
        })
        .collect()
}
