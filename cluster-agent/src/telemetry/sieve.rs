//! Takes a page in pieces as they arrive and keeps only the lines that the filter looks at twice.
//!
//! A kubelet's page has 2 MB, of which a few kilobytes matter; whole pages of eight kubelets at once
//! would be most of what the agent needs. Dropped lines leave their ends behind, so that the filter
//! counts lines as if it had seen them all. It reads the sieved page exactly as the whole one.

use memchr::memchr;

use super::filter::dismissed;
use super::wanted::Wanted;

/// A page on its way.
#[derive(Debug)]
pub(super) struct Sieve<'a> {
    wanted: &'a Wanted,
    kept: Vec<u8>,
    /// The line that has no end yet.
    open: Vec<u8>,
    /// Name of the last line that was dropped for its name.
    dropped: Vec<u8>,
}

impl<'a> Sieve<'a> {
    /// Nothing has arrived.
    pub(super) fn new(wanted: &'a Wanted) -> Self {
        Self { wanted, kept: vec![], open: vec![], dropped: vec![] }
    }

    /// The next piece.
    pub(super) fn take(&mut self, piece: &[u8]) {
        let mut rest = piece;
        while let Some(end) = memchr(b'\n', rest) {
            let (line, after) = rest.split_at_checked(end).unwrap_or((rest, b""));
            rest = after.get(1..).unwrap_or(b"");
            if self.open.is_empty() {
                self.line(line);
            } else {
                self.open.extend_from_slice(line);
                let mut whole = std::mem::take(&mut self.open);
                self.line(&whole);
                whole.clear();
                self.open = whole;
            }
        }
        self.open.extend_from_slice(rest);
    }

    /// What is left; a last line without an end is left as it is, so that its page counts as cut.
    pub(super) fn finish(mut self) -> Vec<u8> {
        self.kept.append(&mut self.open);
        self.kept
    }

    fn line(&mut self, line: &[u8]) {
        // Lines of one family stand together: most are dropped by comparing with the last one.
        let same_name = !self.dropped.is_empty()
            && line.starts_with(&self.dropped)
            && line.get(self.dropped.len()).is_some_and(|&b| b == b'{' || b == b' ');
        if !same_name {
            match dismissed(line, self.wanted) {
                None => self.kept.extend_from_slice(line),
                Some(name) => {
                    self.dropped.clear();
                    self.dropped.extend_from_slice(name);
                }
            }
        }
        self.kept.push(b'\n');
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::telemetry::{FamilyKind, Page};

    fn wanted() -> Wanted {
        Wanted::new([
            ("up", FamilyKind::Number),
            ("lag_seconds", FamilyKind::Histogram),
            ("size", FamilyKind::Summary),
        ])
        .unwrap()
    }

    fn sieved(pieces: &[&[u8]], wanted: &Wanted) -> Vec<u8> {
        let mut sieve = Sieve::new(wanted);
        for piece in pieces {
            sieve.take(piece);
        }
        sieve.finish()
    }

    #[test]
    fn of_a_large_page_little_more_than_line_ends_is_left() {
        let filler = "other_bucket{le=\"0.5\",path=\"/a/rather/long/path\"} 17\n".repeat(20_000);
        let page = format!("{filler}up 1\n# HELP up Whether.\n# TYPE up gauge\n{filler}");
        let left = sieved(&[page.as_bytes()], &wanted());
        assert!(left.len() < 41_000, "{} of {} bytes", left.len(), page.len());
        assert_eq!(left.iter().filter(|&&b| b == b'\n').count(), 40_003);
        let text = String::from_utf8(left).unwrap();
        assert!(text.contains("\nup 1\n\n# TYPE up gauge\n"));
    }

    /// Words that lines of real and of broken pages are made of.
    fn page() -> impl Strategy<Value = Vec<u8>> {
        let words = prop::sample::select(vec![
            "up",
            "lag_seconds_bucket",
            "lag_seconds_sum",
            "lag_seconds_count",
            "lag_seconds",
            "size",
            "size_sum",
            "other",
            "other_up",
            "up_other",
            "# TYPE ",
            "# HELP ",
            "#",
            "gauge",
            "histogram",
            "summary",
            "{",
            "}",
            "le=\"1\"",
            "le=\"+Inf\"",
            "quantile=\"0.5\"",
            ",",
            "a=\"b\"",
            " ",
            "  ",
            "\t",
            "\r",
            "\n",
            "\n",
            "\n",
            "\n",
            "1",
            "2.5",
            "NaN",
            "1700000000000",
            "\u{7f}",
            "é",
            "\"",
            "\\",
            ":",
        ]);
        let raw = prop::collection::vec(any::<u8>(), 0..4);
        let piece = prop_oneof![12 => words.prop_map(|word| word.as_bytes().to_vec()), 1 => raw];
        let end = prop_oneof![3 => Just(&b"\n"[..]), 1 => Just(&b""[..])];
        (prop::collection::vec(piece, 0..120), end).prop_map(|(pieces, end)| {
            let mut page = pieces.concat();
            page.extend_from_slice(end);
            page
        })
    }

    proptest! {
        #[test]
        fn a_page_in_pieces_reads_like_the_whole_page(page in page(), size in 1..40_usize) {
            let wanted = wanted();
            let pieces: Vec<&[u8]> = page.chunks(size).collect();
            let left = sieved(&pieces, &wanted);
            prop_assert!(left.len() <= page.len());
            prop_assert_eq!(Page::read(&left, &wanted), Page::read(&page, &wanted));
        }
    }
}
