//! Lengths of time as people type and read them: `90s`, `15m`, `12h`, `30d`.

use std::str::FromStr;

use jiff::{SignedDuration, Timestamp};

/// A length of time in whole seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span(pub(crate) u64);

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not a length of time; write 90s, 15m, 12h or 30d");
        let unit = text.chars().next_back().ok_or_else(wrong)?;
        let seconds = match unit {
            's' => 1,
            'm' => 60,
            'h' => 3_600,
            'd' => 86_400,
            _ => return Err(wrong()),
        };
        let number = text.strip_suffix(unit).ok_or_else(wrong)?;
        let number: u64 = number.parse().map_err(|_| wrong())?;
        number.checked_mul(seconds).map(Span).ok_or_else(wrong)
    }
}

/// How long ago `then` was, in one unit; a time ahead of `now` reads `0s`.
pub(crate) fn age(then: Timestamp, now: Timestamp) -> String {
    rough(now.duration_since(then))
}

/// How long until `then`, in one unit, or `expired`.
pub(crate) fn until(then: Timestamp, now: Timestamp) -> String {
    if then <= now { "expired".to_owned() } else { rough(then.duration_since(now)) }
}

fn rough(duration: SignedDuration) -> String {
    let seconds = duration.as_secs().max(0);
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7_200 => format!("{}m", seconds / 60),
        7_200..172_800 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_read_with_one_unit() {
        assert_eq!("90s".parse(), Ok(Span(90)));
        assert_eq!("30d".parse(), Ok(Span(2_592_000)));
        for bad in ["", "h", "1", "1w", "-1h", "1.5h", "1h30m", "99999999999999999999d", "1é"] {
            assert!(bad.parse::<Span>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn ages_are_one_unit_and_never_negative() {
        let now: Timestamp = "2026-05-01T12:00:00Z".parse().unwrap();
        assert_eq!(age("2026-05-01T11:58:30Z".parse().unwrap(), now), "90s");
        assert_eq!(age("2026-05-01T10:00:01Z".parse().unwrap(), now), "119m");
        assert_eq!(age("2026-04-01T12:00:00Z".parse().unwrap(), now), "30d");
        assert_eq!(age("2026-05-01T12:00:09Z".parse().unwrap(), now), "0s");
        assert_eq!(until("2026-05-01T12:00:00Z".parse().unwrap(), now), "expired");
    }
}
