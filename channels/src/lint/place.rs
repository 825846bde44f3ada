//! Where in a file a finding points.
//!
//! Rules see values, not text. They name what to look for, and whoever has the file's text at hand
//! finds the line. A line is a help for people and never part of what identifies a finding.

/// What to look for in the file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Near {
    /// The line of a key.
    Key(&'static str),
    /// The line of a key that people chose.
    Named(String),
    /// The line where a word stands first.
    Word(String),
    /// The line where a word stands for the second time.
    WordAgain(String),
    /// A line already known, from 1.
    Line(u64),
}

impl Near {
    /// The line in a file's text, from 1.
    pub fn line_in(&self, text: &str) -> Option<u64> {
        let lines = || (1_u64..).zip(text.lines());
        let with_word = |word: &str, skip: usize| {
            let mut all = lines().flat_map(|(number, line)| vec![number; times(line, word)]);
            all.nth(skip)
        };
        let with_key = |key: &str| {
            let own = lines().find(|(_, line)| key_of(line) == Some(key));
            // A key inside `{…}` does not begin its line.
            own.map(|(number, _)| number).or_else(|| with_word(key, 0))
        };
        match self {
            Self::Key(key) => with_key(key),
            Self::Named(key) => with_key(key),
            Self::Word(word) => with_word(word, 0),
            Self::WordAgain(word) => with_word(word, 1),
            Self::Line(line) => Some(*line),
        }
    }
}

/// The key a line of YAML or TOML begins with.
fn key_of(line: &str) -> Option<&str> {
    let line = line.trim_start().trim_start_matches("- ").trim_start();
    let end = line.find([':', '=', ' '])?;
    let (key, rest) = line.split_at(end);
    rest.trim_start().starts_with([':', '=']).then(|| key.trim_matches(['"', '\'']))
}

/// How often a line holds `word`, not as a part of a longer version, name or digest.
fn times(line: &str, word: &str) -> usize {
    let part = |c: char| c.is_alphanumeric() || "_.+-".contains(c);
    let whole = |(at, found): &(usize, &str)| {
        let before = line[..*at].chars().next_back();
        let after = line[at + found.len()..].chars().next();
        !before.is_some_and(part) && !after.is_some_and(part)
    };
    line.match_indices(word).filter(whole).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str =
        "name: stable\nversions:\n- 1.0.10\n- 1.0.1\n- \"1.0.1\"\nurl : x\n- to: y\n";

    #[test]
    fn a_word_is_not_found_inside_a_longer_one() {
        assert_eq!(Near::Word("1.0.1".into()).line_in(TEXT), Some(4));
        assert_eq!(Near::WordAgain("1.0.1".into()).line_in(TEXT), Some(5));
        assert_eq!(Near::WordAgain("1.0.10".into()).line_in(TEXT), None);
        assert_eq!(Near::Word("1.0".into()).line_in(TEXT), None);
        assert_eq!(Near::WordAgain("1.0".into()).line_in("a\n[1.0, 1.0]\n"), Some(2));
    }

    #[test]
    fn a_key_is_found_with_and_without_a_list_mark() {
        assert_eq!(Near::Key("url").line_in(TEXT), Some(6));
        assert_eq!(Near::Key("to").line_in(TEXT), Some(7));
        assert_eq!(Near::Key("nothing").line_in(TEXT), None);
        assert_eq!(Near::Key("b").line_in("a: b2\nc: {b: 1}\n"), Some(2));
        let named = |text: &str| Near::Named("3.9".into()).line_in(text);
        assert_eq!(named("a = [\"^3.9\"]\n\"3.9\" = 2026-12-31\n"), Some(2));
        assert_eq!(named("eol = {'3.10' = 2027-06-30}\neol = {'3.9' = 2026-12-31}\n"), Some(2));
        assert_eq!(Near::Line(3).line_in(""), Some(3));
    }
}
