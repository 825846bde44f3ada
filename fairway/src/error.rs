//! What a failed command tells a person: one line, one hint, one exit code.
//!
//! Never a backtrace, never a second line of `error:`.

use std::error::Error;
use std::fmt;

pub(crate) use signing::causes::chain;

/// Result of a command.
pub(crate) type Result<T> = std::result::Result<T, CliError>;

/// Exit codes of the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// The question was answered, and the answer is no: lint errors, an attack, nothing found.
    No,
    /// Wrong usage, or the question could not be answered.
    Failure,
    /// The reader of our output went away (`fairway clusters | head`): nobody is left to tell.
    Silent,
}

impl Exit {
    /// The number the process leaves with.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::No => 1,
            Self::Failure => 2,
            Self::Silent => 0,
        }
    }
}

/// A command that did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CliError {
    exit: Exit,
    message: String,
    hint: Option<String>,
    refusal: bool,
}

impl CliError {
    /// The command could not do its work.
    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self { exit: Exit::Failure, message: message.into(), hint: None, refusal: false }
    }

    /// The command did its work and the answer is no.
    pub(crate) fn no(message: impl Into<String>) -> Self {
        Self { exit: Exit::No, message: message.into(), hint: None, refusal: false }
    }

    /// `what: error: its source: …` as one line.
    pub(crate) fn because(what: impl fmt::Display, error: &(dyn Error + 'static)) -> Self {
        Self::failed(format!("{what}: {}", chain(error)))
    }

    /// Adds what to do about it.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Marks the error as a definite no of the hub: nothing was changed there.
    #[must_use]
    pub(crate) fn refusal(mut self) -> Self {
        self.refusal = true;
        self
    }

    /// Whether the hub surely changed nothing.
    pub(crate) fn is_refusal(&self) -> bool {
        self.refusal
    }

    /// The same where a directory of a test stands for `DIR`.
    #[cfg(test)]
    pub(crate) fn without(mut self, dir: &str) -> Self {
        self.message = self.message.replace(dir, "DIR");
        self.hint = self.hint.map(|hint| hint.replace(dir, "DIR"));
        self
    }

    /// The exit code this error asks for.
    pub(crate) fn exit(&self) -> Exit {
        self.exit
    }

    /// What to do about it.
    pub(crate) fn hint_text(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// Writing to stdout or stderr failed.
impl From<std::io::Error> for CliError {
    fn from(error: std::io::Error) -> Self {
        let exit = if error.kind() == std::io::ErrorKind::BrokenPipe {
            Exit::Silent
        } else {
            Exit::Failure
        };
        Self {
            exit,
            message: format!("failed to write output: {error}"),
            hint: None,
            refusal: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("failed to open a.pem")]
    struct Outer(#[source] std::io::Error);

    #[test]
    fn an_error_names_its_whole_chain_on_one_line() {
        let error = CliError::because("signing", &Outer(std::io::Error::other("disk on fire")));
        assert_eq!(error.to_string(), "signing: failed to open a.pem: disk on fire");
        assert_eq!(error.exit().code(), 2);
    }

    #[test]
    fn a_reader_that_went_away_is_not_a_failure() {
        let error = CliError::from(std::io::Error::from(std::io::ErrorKind::BrokenPipe));
        assert_eq!(error.exit(), Exit::Silent);
    }
}
