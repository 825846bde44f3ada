//! The end of life of a release: the last day its minor line is supported.
//!
//! A whole day and no time, because that is what vendors announce. It is over everywhere at once: at
//! midnight UTC after it.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use crate::names::NameError;

/// Characters of `2026-12-31`, the only form: years of more digits are slips of the hand.
const TEXT_BYTES: usize = 10;

/// The last day of support, written `2026-12-31`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EndOfLife(Date);

impl EndOfLife {
    /// Whether support is over: the day itself still counts, UTC.
    pub fn is_past(self, now: Timestamp) -> bool {
        now.to_zoned(TimeZone::UTC).date() > self.0
    }
}

impl From<Date> for EndOfLife {
    fn from(day: Date) -> Self {
        Self(day)
    }
}

impl fmt::Display for EndOfLife {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0.to_string())
    }
}

impl FromStr for EndOfLife {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        let error = || NameError::new("day", text, "it must read 2026-12-31, without a time");
        let separated = text.bytes().filter(|byte| *byte == b'-').count() == 2;
        if text.len() != TEXT_BYTES || !separated {
            return Err(error());
        }
        text.parse().map(Self).map_err(|_| error())
    }
}

impl TryFrom<String> for EndOfLife {
    type Error = NameError;
    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl From<EndOfLife> for String {
    fn from(day: EndOfLife) -> Self {
        day.to_string()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn support_ends_with_the_last_instant_of_the_day_in_utc() {
        let day: EndOfLife = "2026-12-31".parse().unwrap();
        assert!(!day.is_past(at("2026-12-30T23:59:59Z")));
        assert!(!day.is_past(at("2026-12-31T23:59:59.999999999Z")));
        assert!(day.is_past(at("2027-01-01T00:00:00Z")));
        let last: EndOfLife = "9999-12-31".parse().unwrap();
        assert!(!last.is_past(Timestamp::MAX), "there is no day after it");
    }

    #[test]
    fn a_day_has_one_form() {
        for wrong in [
            "",
            "2026-12",
            "2026-13-01",
            "2026-02-29",
            "20261231",
            "+002026-12",
            "2026-W53-4",
            "26-12-31",
            "2026-12-31T00:00:00Z",
            "-2026-2-01",
            "31.12.2026",
            "2026-12-3x",
        ] {
            let error = wrong.parse::<EndOfLife>().unwrap_err().to_string();
            assert!(error.contains("it must read 2026-12-31"), "{error}");
        }
    }

    proptest! {
        #[test]
        fn what_is_read_is_written_the_same(text in "\\PC{0,12}|[0-9]{4}-[0-9]{2}-[0-9]{2}") {
            if let Ok(day) = text.parse::<EndOfLife>() {
                prop_assert_eq!(day.to_string(), text.as_str());
                let json = serde_json::to_string(&day).unwrap();
                prop_assert_eq!(serde_json::from_str::<EndOfLife>(&json).unwrap(), day);
            }
        }

        #[test]
        fn a_day_is_past_from_one_instant_on(
            day in 0..20_000i32, earlier in 0..4_000_000_000i64, later in 0..4_000_000_000i64,
        ) {
            let day = Date::new(1970, 1, 1).unwrap() + jiff::Span::new().days(day);
            let end = day.tomorrow().unwrap().to_zoned(TimeZone::UTC).unwrap().timestamp();
            let of = |s: i64| Timestamp::from_second(s).unwrap();
            for now in [of(earlier), of(later)] {
                prop_assert_eq!(EndOfLife::from(day).is_past(now), now >= end);
            }
        }
    }
}
