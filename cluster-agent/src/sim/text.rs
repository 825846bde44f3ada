//! Writing exposition text, and spoiling it.

use std::fmt::{Display, Write as _};

/// A page under construction.
#[derive(Debug, Default)]
pub(super) struct Text(String);

impl Text {
    /// Begins a family.
    pub(super) fn family(&mut self, name: &str, kind: &str, help: &str) {
        self.line(format_args!("# HELP {name} {help}"));
        self.line(format_args!("# TYPE {name} {kind}"));
    }

    /// One sample; `labels` as they stand between the braces, or empty.
    pub(super) fn sample(&mut self, name: &str, labels: &str, value: impl Display) {
        if labels.is_empty() {
            self.line(format_args!("{name} {value}"));
        } else {
            self.line(format_args!("{name}{{{labels}}} {value}"));
        }
    }

    /// A family with one sample and no labels.
    pub(super) fn single(&mut self, name: &str, kind: &str, help: &str, value: impl Display) {
        self.family(name, kind, help);
        self.sample(name, "", value);
    }

    /// The page.
    pub(super) fn finish(self) -> String {
        self.0
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        // Writing to a string cannot fail.
        let _ = self.0.write_fmt(line);
        self.0.push('\n');
    }
}

/// Milliseconds as seconds, exactly.
pub(super) fn seconds(ms: i64) -> String {
    format!("{}.{:03}", ms.div_euclid(1000), ms.rem_euclid(1000))
}

/// Microseconds as seconds, exactly.
pub(super) fn seconds_of_us(us: i64) -> String {
    format!("{}.{:06}", us.div_euclid(1_000_000), us.rem_euclid(1_000_000))
}

/// The family a line belongs to, if it is one of `family`'s lines.
fn belongs(line: &str, family: &str) -> bool {
    let name = line.strip_prefix("# HELP ").or_else(|| line.strip_prefix("# TYPE "));
    let name = name.unwrap_or(line);
    let name = name.split([' ', '{']).next().unwrap_or_default();
    match name.strip_prefix(family) {
        Some(rest) => matches!(rest, "" | "_bucket" | "_sum" | "_count" | "_total"),
        None => false,
    }
}

/// The page without one family.
pub(super) fn without(page: &str, family: &str) -> String {
    let kept = page.split_inclusive('\n').filter(|line| !belongs(line, family));
    kept.collect()
}

/// The page with a label value in one family's samples that simple parsers tear apart.
pub(super) fn torn(page: &str, family: &str) -> String {
    let mut out = String::with_capacity(page.len() + 64);
    for line in page.split_inclusive('\n') {
        if line.starts_with('#') || !belongs(line, family) {
            out.push_str(line);
            continue;
        }
        let (name, rest) = line.split_at(line.find([' ', '{']).unwrap_or(line.len()));
        out.push_str(name);
        out.push_str(r#"{note="a,b=\"c\"}""#);
        if let Some(labels) = rest.strip_prefix('{') {
            out.push(',');
            out.push_str(labels);
        } else {
            out.push('}');
            out.push_str(rest);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "# HELP a x\n# TYPE a histogram\na_bucket{le=\"1\"} 1\na_sum 1\nab 2\n";

    #[test]
    fn a_family_goes_with_all_its_lines_and_no_others() {
        assert_eq!(without(PAGE, "a"), "ab 2\n");
    }

    #[test]
    fn torn_samples_hold_commas_quotes_and_braces_inside_a_label() {
        assert_eq!(torn("ab 2\n", "ab"), "ab{note=\"a,b=\\\"c\\\"}\"} 2\n");
        assert_eq!(torn("ab{c=\"d\"} 2\n", "ab"), "ab{note=\"a,b=\\\"c\\\"}\",c=\"d\"} 2\n");
    }

    #[test]
    fn times_are_written_to_the_last_digit() {
        assert_eq!(seconds(1_790_000_000_007), "1790000000.007");
        assert_eq!(seconds_of_us(53_000), "0.053000");
    }
}
