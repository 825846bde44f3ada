//! When output is coloured, and what a colour means.
//!
//! A colour says nothing that the word in it does not say: whoever sees none misses nothing.

use std::ffi::OsString;

/// What `--color` was told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum ColorChoice {
    /// On a terminal, unless the environment says otherwise.
    #[default]
    Auto,
    /// Wherever the output goes.
    Always,
    /// Nowhere.
    Never,
}

/// Whether a stream is coloured.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Colour {
    /// It is.
    On,
    /// It is not.
    #[default]
    Off,
}

/// Where a stream ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stream {
    /// At a terminal.
    Terminal,
    /// In a file or another program.
    Elsewhere,
}

/// What the environment says about colours.
#[derive(Debug, Clone, Default)]
pub(crate) struct Environment {
    pub(crate) no_color: Option<OsString>,
    pub(crate) clicolor_force: Option<OsString>,
    pub(crate) term: Option<OsString>,
}

impl Environment {
    /// That of this process.
    pub(crate) fn of_process() -> Self {
        Self {
            no_color: std::env::var_os("NO_COLOR"),
            clicolor_force: std::env::var_os("CLICOLOR_FORCE"),
            term: std::env::var_os("TERM"),
        }
    }
}

impl Colour {
    /// A flag counts more than `NO_COLOR`, and that more than `CLICOLOR_FORCE`.
    pub(crate) fn decide(choice: ColorChoice, said: &Environment, stream: Stream) -> Self {
        let is_set = |value: &Option<OsString>| value.as_ref().is_some_and(|v| !v.is_empty());
        let forced = is_set(&said.clicolor_force)
            && said.clicolor_force.as_ref().is_some_and(|value| value != "0");
        let usable = said.term.as_ref().is_some_and(|term| term != "dumb");
        match (choice, stream) {
            (ColorChoice::Always, _) => Self::On,
            (ColorChoice::Auto, _) if is_set(&said.no_color) => Self::Off,
            (ColorChoice::Auto, _) if forced => Self::On,
            (ColorChoice::Auto, Stream::Terminal) if usable => Self::On,
            (ColorChoice::Never | ColorChoice::Auto, _) => Self::Off,
        }
    }

    /// The text in bold.
    pub(crate) fn bold(self, text: &str) -> String {
        self.wrap("1", text)
    }

    /// The text in the colour of its tone.
    pub(crate) fn paint(self, tone: Option<Tone>, text: &str) -> String {
        match tone {
            Some(tone) => self.wrap(tone.code(), text),
            None => text.to_owned(),
        }
    }

    fn wrap(self, code: &str, text: &str) -> String {
        match self {
            Self::On => format!("\x1b[{code}m{text}\x1b[0m"),
            Self::Off => text.to_owned(),
        }
    }
}

/// What a word means for whoever is on duty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    /// As it should be.
    Good,
    /// Worth a look.
    Care,
    /// Somebody must act.
    Bad,
}

impl Tone {
    fn code(self) -> &'static str {
        match self {
            Self::Good => "32",
            Self::Care => "33",
            Self::Bad => "31",
        }
    }

    /// The tone of a cell, by its column and its word; `None` where a word is only a word.
    pub(crate) fn of(column: &str, cell: &str) -> Option<Self> {
        let meant = [
            "as_of",
            "check",
            "drift",
            "freshness",
            "health",
            "level",
            "phase",
            "seen",
            "state",
            "token",
            "verdict",
        ];
        if !meant.contains(&column) {
            return None;
        }
        // A class stands behind an age: `11d (late)`.
        let word = cell.split_once('(').map_or(cell, |(_, class)| class);
        let end = word.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        match word.get(..end.unwrap_or(word.len()))?.to_ascii_lowercase().as_str() {
            "healthy" | "current" | "fresh" | "carried" | "ok" | "passed" | "converged"
            | "succeeded" | "running" | "moving" => Some(Self::Good),
            "unknown" | "late" | "waiting" | "waits" | "held" | "blind" | "due" | "alert"
            | "awaits_approval" | "warn" | "scheduled" | "closed" | "unpublished" => {
                Some(Self::Care)
            }
            "unhealthy" | "failed" | "fail" | "halted" | "expired" | "silent" | "gone"
            | "paused" | "off_graph" | "stranded" | "no_graph" | "blocked" | "missing" => {
                Some(Self::Bad)
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(no_color: &str, force: &str, term: &str) -> Environment {
        let given = |text: &str| (text != "-").then(|| OsString::from(text));
        Environment { no_color: given(no_color), clicolor_force: given(force), term: given(term) }
    }

    #[test]
    fn a_flag_counts_more_than_the_environment_and_no_color_more_than_force() {
        use ColorChoice::{Always, Auto, Never};
        use Stream::{Elsewhere, Terminal};
        let cases = [
            (Auto, said("-", "-", "xterm"), Terminal, Colour::On),
            (Auto, said("-", "-", "xterm"), Elsewhere, Colour::Off),
            (Auto, said("-", "-", "dumb"), Terminal, Colour::Off),
            (Auto, said("-", "-", "-"), Terminal, Colour::Off),
            (Auto, said("1", "-", "xterm"), Terminal, Colour::Off),
            (Auto, said("", "-", "xterm"), Terminal, Colour::On),
            (Auto, said("-", "1", "-"), Elsewhere, Colour::On),
            (Auto, said("-", "0", "xterm"), Elsewhere, Colour::Off),
            (Auto, said("1", "1", "xterm"), Terminal, Colour::Off),
            (Always, said("1", "-", "dumb"), Elsewhere, Colour::On),
            (Never, said("-", "1", "xterm"), Terminal, Colour::Off),
        ];
        for (choice, said, stream, expected) in cases {
            let found = Colour::decide(choice, &said, stream);
            assert_eq!(found, expected, "{choice:?} {said:?} {stream:?}");
        }
    }

    #[test]
    fn a_word_has_a_tone_only_in_a_column_of_states() {
        assert_eq!(Tone::of("health", "unhealthy"), Some(Tone::Bad));
        assert_eq!(Tone::of("seen", "11d (late)"), Some(Tone::Care));
        assert_eq!(Tone::of("level", "EXPIRED"), Some(Tone::Bad));
        assert_eq!(Tone::of("level", "alert: 7 days"), Some(Tone::Care));
        assert_eq!(Tone::of("state", "running, emergency"), Some(Tone::Good));
        assert_eq!(Tone::of("name", "unhealthy"), None);
        assert_eq!(Tone::of("phase", "mutate"), None);
        assert_eq!(Tone::of("phase", ""), None);
    }

    #[test]
    fn without_colour_a_text_stays_as_it_is() {
        assert_eq!(Colour::Off.paint(Some(Tone::Bad), "failed"), "failed");
        assert_eq!(Colour::On.paint(Some(Tone::Bad), "failed"), "\x1b[31mfailed\x1b[0m");
        assert_eq!(Colour::On.paint(None, "mutate"), "mutate");
        assert_eq!(Colour::On.bold("NAME"), "\x1b[1mNAME\x1b[0m");
    }
}
