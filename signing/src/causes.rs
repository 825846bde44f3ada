//! An error with its causes, in words: every error type of the workspace says only its own part and
//! leaves the rest to its source.

use std::error::Error;

/// An error and all its causes in one line, joined by `: `.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}

/// The cause at the end of the chain: of an HTTP client's errors only that one says what happened,
/// the outer ones repeat the address.
pub fn innermost(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = inner.to_string();
        cause = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("outer")]
    struct Outer(#[source] Middle);

    #[derive(Debug, thiserror::Error)]
    #[error("middle")]
    struct Middle(#[source] std::fmt::Error);

    #[test]
    fn a_chain_names_every_cause_and_the_innermost_is_the_last_of_them() {
        let error = Outer(Middle(std::fmt::Error));
        let last = std::fmt::Error.to_string();
        assert_eq!(chain(&error), format!("outer: middle: {last}"));
        assert_eq!(innermost(&error), last);
        assert_eq!(innermost(&std::fmt::Error), last);
    }
}
