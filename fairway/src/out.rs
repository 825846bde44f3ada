//! Everything the command line prints goes through [`Out`]: data to stdout, the rest to stderr.
//!
//! Text that came from elsewhere (a hub, an agent, a file) is printed without control characters,
//! so that no cluster can write escape sequences into an operator's terminal.

use std::io::{IsTerminal as _, Write};

use serde::Serialize;

use crate::error::{CliError, Result};

/// The two streams of a command, and whether stderr may be coloured.
pub(crate) struct Out {
    stdout: Box<dyn Write + Send>,
    stderr: Box<dyn Write + Send>,
    colour: bool,
}

impl std::fmt::Debug for Out {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Out").field("colour", &self.colour).finish_non_exhaustive()
    }
}

impl Out {
    /// The process's own streams; colour only on a terminal and never with `NO_COLOR`.
    pub(crate) fn process() -> Self {
        let stderr = std::io::stderr();
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
            && std::env::var_os("TERM").is_some_and(|term| term != "dumb");
        let colour = wanted && stderr.is_terminal();
        Self { stdout: Box::new(std::io::stdout()), stderr: Box::new(stderr), colour }
    }

    /// Streams of the caller's choice, never coloured.
    #[cfg(test)]
    pub(crate) fn to(stdout: Box<dyn Write + Send>, stderr: Box<dyn Write + Send>) -> Self {
        Self { stdout, stderr, colour: false }
    }

    /// Data: exactly these bytes to stdout.
    pub(crate) fn data(&mut self, text: &str) -> Result<()> {
        self.stdout.write_all(text.as_bytes())?;
        Ok(self.stdout.flush()?)
    }

    /// One line of data.
    pub(crate) fn line(&mut self, text: &str) -> Result<()> {
        self.data(&format!("{text}\n"))
    }

    /// A document as indented JSON.
    pub(crate) fn json<T: Serialize>(&mut self, value: &T) -> Result<()> {
        let text = serde_json::to_string_pretty(value)
            .map_err(|error| CliError::because("failed to write JSON", &error))?;
        self.line(&text)
    }

    /// Something worth knowing that is not the answer.
    pub(crate) fn note(&mut self, text: &str) -> Result<()> {
        Ok(writeln!(self.stderr, "{}", printable(text))?)
    }

    /// Something that should be looked at.
    pub(crate) fn warn(&mut self, text: &str) -> Result<()> {
        self.labelled("warning", "33", text)
    }

    /// The error of a command and its hint.
    pub(crate) fn error(&mut self, error: &CliError) -> Result<()> {
        self.labelled("error", "31", &error.to_string())?;
        match error.hint_text() {
            Some(hint) => self.labelled("hint", "36", hint),
            None => Ok(()),
        }
    }

    fn labelled(&mut self, label: &str, colour: &str, text: &str) -> Result<()> {
        let text = printable(text);
        if self.colour {
            writeln!(self.stderr, "\x1b[1;{colour}m{label}:\x1b[0m {text}")?;
        } else {
            writeln!(self.stderr, "{label}: {text}")?;
        }
        Ok(())
    }
}

/// The text on one line: line breaks become spaces, other control characters U+FFFD.
pub(crate) fn printable(text: &str) -> String {
    text.trim_end()
        .chars()
        .map(|c| match c {
            '\n' | '\r' | '\t' => ' ',
            c if c.is_control() => char::REPLACEMENT_CHARACTER,
            c => c,
        })
        .collect()
}

#[cfg(test)]
pub(crate) mod capture {
    //! An [`Out`] whose streams a test can read.

    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::Out;

    #[derive(Clone, Default)]
    pub(crate) struct Stream(Arc<Mutex<Vec<u8>>>);

    impl Stream {
        pub(crate) fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    impl Write for Stream {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    pub(crate) fn out() -> (Out, Stream, Stream) {
        let (stdout, stderr) = (Stream::default(), Stream::default());
        (Out::to(Box::new(stdout.clone()), Box::new(stderr.clone())), stdout, stderr)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_sequences_from_elsewhere_do_not_reach_the_terminal() {
        let (mut out, stdout, stderr) = capture::out();
        out.error(&CliError::failed("held: \x1b[2Jgone\nerror: fake").hint("look")).unwrap();
        assert_eq!(stderr.text(), "error: held: \u{fffd}[2Jgone error: fake\nhint: look\n");
        assert_eq!(stdout.text(), "");
    }
}
