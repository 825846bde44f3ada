//! Headers of registries, as values: `Content-Range`, the `Range` of an upload, `Retry-After`,
//! `Link`. Pure. What cannot be read is none, and whoever asked decides what that means.

use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;

/// `Content-Range` of an answer to a range (RFC 9110 §14.4): which bytes came, of how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ContentRange {
    /// Offset of the first byte.
    pub(super) first: u64,
    /// Offset of the last byte.
    pub(super) last: u64,
    /// Length of the whole, where the server says so.
    pub(super) total: Option<u64>,
}

/// Reads `bytes 0-9/100` or `bytes 0-9/*`.
pub(super) fn content_range(text: &str) -> Option<ContentRange> {
    let (range, total) = text.trim().strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.trim().split_once('-')?;
    let (first, last) = (number(first)?, number(last)?);
    let total = match total.trim() {
        "*" => None,
        total => Some(number(total)?),
    };
    let fits = first <= last && total.is_none_or(|total| last < total);
    fits.then_some(ContentRange { first, last, total })
}

/// Reads the `Range` of an upload's status (distribution spec, "resuming a push"): `0-<last byte>`.
/// Answers how many bytes the registry has. `0-0` stands for nothing or one byte; nothing is what
/// registries mean by it.
pub(super) fn upload_range(text: &str) -> Option<u64> {
    let range = text.trim();
    let (first, last) = range.strip_prefix("bytes=").unwrap_or(range).split_once('-')?;
    match (number(first)?, number(last)?) {
        (0, 0) => Some(0),
        (0, last) => last.checked_add(1),
        _ => None,
    }
}

/// Reads `Retry-After` (RFC 9110 §10.2.3): seconds, or a moment, which is held against the `Date`
/// of the same answer: neither clock needs to be right.
pub(super) fn retry_after(text: &str, date: Option<&str>) -> Option<Duration> {
    if let Some(seconds) = number(text.trim()) {
        return Some(Duration::from_secs(seconds));
    }
    let (at, now) = (moment(text)?, moment(date?)?);
    Some(Duration::try_from(at.duration_since(now)).unwrap_or_default())
}

fn moment(text: &str) -> Option<Timestamp> {
    DateTimeParser::new().parse_timestamp(text.trim()).ok()
}

/// The target of the link to the next page (RFC 8288): `</v2/x/tags/list?last=b>; rel="next"`.
pub(super) fn next_link(text: &str) -> Option<&str> {
    let mut rest = text;
    loop {
        let (target, after) = rest.split_once('<')?.1.split_once('>')?;
        let end = after.find('<').unwrap_or(after.len());
        let (parameters, following) = after.split_at(end);
        let is_next = parameters.split([';', ',']).any(|parameter| {
            parameter.split_once('=').is_some_and(|(name, value)| {
                name.trim().eq_ignore_ascii_case("rel")
                    && value.trim().trim_matches('"').split(' ').any(|v| v == "next")
            })
        });
        if is_next {
            return Some(target);
        }
        rest = following;
    }
}

/// Digits only: `parse` alone would take a sign.
fn number(text: &str) -> Option<u64> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_moment_against_the_servers_own_clock() {
        assert_eq!(retry_after("7", None), Some(Duration::from_secs(7)));
        let date = "Sun, 06 Nov 1994 08:49:37 GMT";
        let later = "Sun, 06 Nov 1994 08:50:07 GMT";
        assert_eq!(retry_after(later, Some(date)), Some(Duration::from_secs(30)));
        assert_eq!(retry_after(date, Some(later)), Some(Duration::ZERO), "passed");
        assert_eq!(retry_after(later, None), None);
        assert_eq!(retry_after("-1", Some(date)), None);
    }

    #[test]
    fn only_the_next_page_is_followed() {
        assert_eq!(next_link(r#"</v2/a?last=b>; rel="next""#), Some("/v2/a?last=b"));
        assert_eq!(next_link("</a>; rel=prev, </b>; REL=next"), Some("/b"));
        assert_eq!(next_link("</a>; title=\"x\"; rel=\"last next\""), Some("/a"));
        for none in ["", "</a>", "</a>; rel=prev", "/a; rel=next", "<"] {
            assert_eq!(next_link(none), None, "{none}");
        }
    }

    #[test]
    fn ranges_that_contradict_themselves_are_none() {
        for bad in ["bytes 5-4/10", "bytes 0-10/10", "bytes */10", "items 0-1/2", "bytes +0-1/2"] {
            assert_eq!(content_range(bad), None, "{bad}");
        }
        assert_eq!(upload_range("0-1023"), Some(1024));
        assert_eq!(upload_range("bytes=0-9"), Some(10));
        assert_eq!(upload_range("0-0"), Some(0));
        for bad in ["", "5-9", "0-", "0--1", &format!("0-{}", u64::MAX)] {
            assert_eq!(upload_range(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn a_content_range_round_trips(first: u32, length in 1..u32::MAX, more: u32, known: bool) {
            let first = u64::from(first);
            let last = first + u64::from(length) - 1;
            let total = known.then(|| last + 1 + u64::from(more));
            let text = match total {
                Some(total) => format!("bytes {first}-{last}/{total}"),
                None => format!("bytes {first}-{last}/*"),
            };
            prop_assert_eq!(content_range(&text), Some(ContentRange { first, last, total }));
        }

        #[test]
        fn a_links_target_is_found_behind_any_others(
            others in prop::collection::vec("[a-z/?=&]{0,12}", 0..4), target in "/[a-z0-9?=&]{0,20}",
        ) {
            let mut text: Vec<_> = others.iter().map(|o| format!("<{o}>; rel=\"prev\"")).collect();
            text.push(format!("<{target}>; rel=\"next\""));
            let text = text.join(", ");
            prop_assert_eq!(next_link(&text), Some(target.as_str()));
        }

        #[test]
        fn nothing_a_server_sends_panics(text in ".{0,80}", date in ".{0,40}") {
            let _ = (content_range(&text), upload_range(&text), next_link(&text));
            let _ = retry_after(&text, Some(&date));
        }
    }
}
