//! Everything the command line prints goes through [`Out`]: data to stdout, the rest to stderr.
//!
//! Text that came from elsewhere (a hub, an agent, a file) is printed without control characters,
//! so that no cluster can write escape sequences into an operator's terminal.

use std::io::{IsTerminal as _, Write};

use serde::Serialize;

use crate::colour::{ColorChoice, Colour, Environment, Stream};
use crate::error::{CliError, Result};
use crate::table::Table;

/// The two streams of a command, and how each is coloured.
pub(crate) struct Out {
    stdout: Box<dyn Write + Send>,
    stderr: Box<dyn Write + Send>,
    /// Of stdout.
    data: Colour,
    /// Of stderr.
    notes: Colour,
    /// Where stdout ends.
    ends: Stream,
    /// What is shown at once when it is whole; everything goes there while there is one.
    frame: Option<String>,
    /// Whether the header of a CSV is written: an answer that is shown again continues the file.
    csv_begun: bool,
}

impl std::fmt::Debug for Out {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Out").field("data", &self.data).finish_non_exhaustive()
    }
}

impl Out {
    /// The process's own streams.
    pub(crate) fn process(color: ColorChoice) -> Self {
        let (stdout, stderr) = (std::io::stdout(), std::io::stderr());
        let said = Environment::of_process();
        let end = |is_terminal| if is_terminal { Stream::Terminal } else { Stream::Elsewhere };
        let ends = end(stdout.is_terminal());
        Self {
            data: Colour::decide(color, &said, ends),
            notes: Colour::decide(color, &said, end(stderr.is_terminal())),
            stdout: Box::new(stdout),
            stderr: Box::new(stderr),
            ends,
            frame: None,
            csv_begun: false,
        }
    }

    /// Streams of the caller's choice, as if they ended in files.
    #[cfg(test)]
    pub(crate) fn to(stdout: Box<dyn Write + Send>, stderr: Box<dyn Write + Send>) -> Self {
        Self {
            stdout,
            stderr,
            data: Colour::Off,
            notes: Colour::Off,
            ends: Stream::Elsewhere,
            frame: None,
            csv_begun: false,
        }
    }

    /// The same streams as a terminal with colours would be.
    #[cfg(test)]
    pub(crate) fn on_terminal(mut self) -> Self {
        (self.data, self.ends) = (Colour::On, Stream::Terminal);
        self
    }

    /// How data is coloured.
    pub(crate) fn colour(&self) -> Colour {
        self.data
    }

    /// Where data goes.
    pub(crate) fn ends(&self) -> Stream {
        self.ends
    }

    /// Keeps everything back until it is taken.
    pub(crate) fn begin_frame(&mut self) {
        self.frame = Some(String::new());
    }

    /// What was kept back; nothing is any more.
    pub(crate) fn take_frame(&mut self) -> String {
        self.frame.take().unwrap_or_default()
    }

    /// Rows as aligned columns, states in their colours.
    pub(crate) fn table(&mut self, table: &Table) -> Result<()> {
        let text = table.painted(self.data);
        self.data(&text)
    }

    /// Rows as CSV; the header once.
    pub(crate) fn csv(&mut self, table: &Table) -> Result<()> {
        let text = table.csv();
        let rows = text.split_once("\r\n").map_or("", |(_header, rows)| rows);
        let text = if self.csv_begun { rows } else { text.as_str() };
        self.csv_begun = true;
        self.data(text)
    }

    /// Data: exactly these bytes to stdout.
    pub(crate) fn data(&mut self, text: &str) -> Result<()> {
        if let Some(frame) = &mut self.frame {
            frame.push_str(text);
            return Ok(());
        }
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
        self.told(&printable(text))
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
        match self.notes {
            Colour::On => self.told(&format!("\x1b[1;{colour}m{label}:\x1b[0m {text}")),
            Colour::Off => self.told(&format!("{label}: {text}")),
        }
    }

    /// One line to stderr, or into the frame: a redrawn terminal has room for both.
    fn told(&mut self, line: &str) -> Result<()> {
        if let Some(frame) = &mut self.frame {
            frame.push_str(line);
            frame.push('\n');
            return Ok(());
        }
        Ok(writeln!(self.stderr, "{line}")?)
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
