//! `Range` of downloads (RFC 9110, section 14) and `Content-Range` of uploads (distribution spec,
//! pushing a blob in chunks). Pure.

use std::ops::Range;

/// What a download's `Range` asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Asked {
    /// Everything: no header, another unit, or several ranges, which a server may ignore.
    All,
    /// These bytes, within the blob.
    Part(Range<u64>),
    /// Bytes that the blob does not have.
    Unsatisfiable,
}

/// Reads the header for a blob of `size` bytes.
pub(super) fn asked(header: Option<&str>, size: u64) -> Asked {
    let Some(spec) = header.and_then(|h| h.trim().strip_prefix("bytes=")) else {
        return Asked::All;
    };
    let Some((first, last)) = spec.split_once('-').filter(|_| !spec.contains(',')) else {
        return Asked::All;
    };
    let (first, last) = (first.trim(), last.trim());
    let range = match (number(first), number(last)) {
        (Some(first), Some(last)) if first <= last => first..last.saturating_add(1),
        (Some(first), None) if last.is_empty() => first..size,
        // The last so many bytes.
        (None, Some(count)) if first.is_empty() && count > 0 => size.saturating_sub(count)..size,
        _ => return Asked::Unsatisfiable,
    };
    let range = range.start..range.end.min(size);
    if range.is_empty() { Asked::Unsatisfiable } else { Asked::Part(range) }
}

/// Reads `Content-Range: <first>-<last>` of a piece: where it begins and how long it is. Some clients
/// send the form of RFC 9110, `bytes <first>-<last>/<size>`.
pub(super) fn piece(header: &str) -> Option<(u64, u64)> {
    let text = header.trim();
    let text = text.strip_prefix("bytes ").unwrap_or(text);
    let text = text.split_once('/').map_or(text, |(range, _)| range);
    let (first, last) = text.split_once('-')?;
    let (first, last) = (number(first.trim())?, number(last.trim())?);
    let length = last.checked_sub(first)?.checked_add(1)?;
    Some((first, length))
}

/// Digits alone: `parse` takes a plus sign.
fn number(text: &str) -> Option<u64> {
    let is_plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|_| is_plain)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn single_open_and_suffix_ranges() {
        let of = |header| asked(Some(header), 2048);
        assert_eq!(of("bytes=500-1499"), Asked::Part(500..1500));
        assert_eq!(of("bytes=500-"), Asked::Part(500..2048));
        assert_eq!(of("bytes=-500"), Asked::Part(1548..2048));
        assert_eq!(of("bytes=-5000"), Asked::Part(0..2048));
        assert_eq!(of("bytes=2000-5000"), Asked::Part(2000..2048));
        for none in
            ["bytes=500-0", "bytes=5000-10000", "bytes=2048-", "bytes=-0", "bytes=-", "bytes=a-b"]
        {
            assert_eq!(of(none), Asked::Unsatisfiable, "{none}");
        }
        for all in ["items=1-2", "bytes=0-1,5-6", "bytes", "bytes=7"] {
            assert_eq!(of(all), Asked::All, "{all}");
        }
        assert_eq!(asked(None, 5), Asked::All);
        assert_eq!(asked(Some("bytes=0-"), 0), Asked::Unsatisfiable);
    }

    #[test]
    fn pieces_have_a_beginning_and_a_length() {
        assert_eq!(piece("0-1023"), Some((0, 1024)));
        assert_eq!(piece("bytes 10-10/*"), Some((10, 1)));
        for bad in ["", "-", "5-4", "a-b", "+1-2", "0-18446744073709551615"] {
            assert_eq!(piece(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn a_part_never_leaves_the_blob(header in "bytes=[0-9]{0,21}-[0-9]{0,21}", size: u64) {
            if let Asked::Part(range) = asked(Some(&header), size) {
                prop_assert!(range.start < range.end && range.end <= size);
            }
        }
    }
}
