//! The amounts a policy is written in: percentages, counts and lengths of time.
//!
//! Each has one spelling with its unit in it (`5%`, `1d 12h`), so that 0.5 can never be taken for
//! fifty per cent or for half an hour. Nothing here is a floating-point number.

use std::fmt;
use std::str::FromStr;

use jiff::SignedDuration;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::names::NameError;

/// A percentage in hundredths of a per cent, 0 % to 1000 %. Text form: `5%`, `12.5 %`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Percent(u32);

impl Percent {
    /// None of it.
    pub const ZERO: Self = Self(0);
    /// All of it.
    pub const ALL: Self = Self(10_000);
    /// Largest percentage read: ten times the whole, for tolerances.
    const MAX: u32 = 100_000;

    /// From hundredths of a per cent; more than 1000 % is cut to that.
    pub const fn from_hundredths(hundredths: u32) -> Self {
        if hundredths > Self::MAX { Self(Self::MAX) } else { Self(hundredths) }
    }

    /// Hundredths of a per cent: 5 % is 500.
    pub fn hundredths(self) -> u32 {
        self.0
    }

    /// This share of `count`, rounded down.
    pub fn of(self, count: u32) -> u32 {
        let product = u64::from(self.0) * u64::from(count) / 10_000;
        u32::try_from(product).unwrap_or(u32::MAX)
    }

    /// This share of `count`, rounded up.
    pub fn of_rounded_up(self, count: u32) -> u32 {
        let product = (u64::from(self.0) * u64::from(count)).div_ceil(10_000);
        u32::try_from(product).unwrap_or(u32::MAX)
    }

    /// Whether `part` is at least this share of `whole`; always true of an empty whole.
    pub fn is_met_by(self, part: u32, whole: u32) -> bool {
        u64::from(part) * 10_000 >= u64::from(self.0) * u64::from(whole)
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, rest) = (self.0 / 100, self.0 % 100);
        let text = match (rest / 10, rest % 10) {
            (0, 0) => format!("{whole}%"),
            (tenths, 0) => format!("{whole}.{tenths}%"),
            (tenths, hundredths) => format!("{whole}.{tenths}{hundredths}%"),
        };
        f.pad(&text)
    }
}

impl FromStr for Percent {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let refuse = |why| NameError::new("percentage", text, why);
        let number = text.trim().strip_suffix('%').map(str::trim_end);
        let number = number.ok_or_else(|| refuse("write it with its sign, such as 5%"))?;
        let (whole, rest) = number.split_once('.').unwrap_or((number, "0"));
        let digits = |part: &str, max: usize| {
            (1..=max).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit())
        };
        if !digits(whole, 4) || !digits(rest, 2) {
            return Err(refuse("write digits with at most two decimals, such as 12.5%"));
        }
        let number = |part: &str| part.parse::<u32>().unwrap_or(u32::MAX);
        let rest = number(rest) * if rest.len() == 1 { 10 } else { 1 };
        match number(whole) * 100 + rest {
            hundredths if hundredths <= Self::MAX => Ok(Self(hundredths)),
            _ => Err(refuse("it must be at most 1000%")),
        }
    }
}

impl TryFrom<String> for Percent {
    type Error = NameError;
    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl From<Percent> for String {
    fn from(percent: Percent) -> Self {
        percent.to_string()
    }
}

/// A number of clusters, or a share of them. Text form: `3` or `2%`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Amount {
    /// So many.
    Count(u32),
    /// So many of a hundred, at most 100 %.
    Percent(Percent),
}

impl Amount {
    /// The largest number that stays within this amount, out of `whole`: percentages round down.
    pub fn at_most(self, whole: u32) -> u32 {
        match self {
            Self::Count(count) => count,
            Self::Percent(percent) => percent.of(whole),
        }
    }

    /// The smallest number that reaches this amount, out of `whole`: percentages round up.
    pub fn at_least(self, whole: u32) -> u32 {
        match self {
            Self::Count(count) => count,
            Self::Percent(percent) => percent.of_rounded_up(whole),
        }
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => count.fmt(f),
            Self::Percent(percent) => percent.fmt(f),
        }
    }
}

impl FromStr for Amount {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        if let Ok(count) = text.parse() {
            return Ok(Self::Count(count));
        }
        let refuse = |why| NameError::new("number of clusters or percentage", text, why);
        match text.parse::<Percent>() {
            Ok(percent) if percent <= Percent::ALL => Ok(Self::Percent(percent)),
            Ok(_) => Err(refuse("it must be at most 100%")),
            Err(_) => Err(refuse("write a whole number such as 3, or a share such as 2%")),
        }
    }
}

impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Count(count) => serializer.serialize_u32(*count),
            Self::Percent(percent) => percent.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl de::Visitor<'_> for Reader {
            type Value = Amount;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number of clusters such as 3, or a share such as 2%")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Amount, E> {
                text.parse().map_err(E::custom)
            }

            fn visit_u64<E: de::Error>(self, count: u64) -> Result<Amount, E> {
                let count = u32::try_from(count).map_err(|_| {
                    E::custom(format_args!("{count} is more clusters than there can be"))
                })?;
                Ok(Amount::Count(count))
            }
        }
        deserializer.deserialize_any(Reader)
    }
}

/// A length of time in whole seconds, at most 366 days. Text form: `6d`, `1d 12h`, `30m`, `10s`;
/// a day is 24 hours and a week is seven days, whatever clocks on walls do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Period(u32);

/// Units of a [`Period`], largest first.
const UNITS: [(char, u32); 5] = [('w', 604_800), ('d', 86_400), ('h', 3600), ('m', 60), ('s', 1)];

impl Period {
    /// No time at all.
    pub const ZERO: Self = Self(0);
    /// Longest period: no rollout is planned for more than a year, and sums cannot overflow.
    pub const MAX: Self = Self(366 * 86_400);

    /// From seconds, cut to 366 days.
    pub const fn from_secs(seconds: u32) -> Self {
        if seconds > Self::MAX.0 { Self::MAX } else { Self(seconds) }
    }

    /// From minutes, cut to 366 days.
    pub const fn from_mins(minutes: u32) -> Self {
        Self::from_secs(minutes.saturating_mul(60))
    }

    /// From hours, cut to 366 days.
    pub const fn from_hours(hours: u32) -> Self {
        Self::from_secs(hours.saturating_mul(3600))
    }

    /// Length in seconds.
    pub fn secs(self) -> u32 {
        self.0
    }

    /// As a duration to add to a time.
    pub fn duration(self) -> SignedDuration {
        SignedDuration::from_secs(i64::from(self.0))
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        let mut terms = Vec::new();
        // Weeks are read and not written: 13 days are easier to picture than a week and six.
        for (unit, seconds) in UNITS.into_iter().skip(1) {
            if rest >= seconds {
                terms.push(format!("{}{unit}", rest / seconds));
                rest %= seconds;
            }
        }
        f.pad(&if terms.is_empty() { "0s".to_owned() } else { terms.join(" ") })
    }
}

impl FromStr for Period {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let refuse = |why| NameError::new("length of time", text, why);
        let form = || refuse("write whole numbers with units w, d, h, m or s, such as 1d 12h");
        let mut total = 0_u32;
        let mut larger = u32::MAX;
        let mut rest = text.trim();
        if rest.is_empty() {
            return Err(form());
        }
        while !rest.is_empty() {
            let end = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(form)?;
            let (digits, tail) = rest.split_at(end);
            let mut tail = tail.chars();
            let unit = tail.next();
            let unit = UNITS.into_iter().find(|(name, _)| Some(*name) == unit);
            let (_, seconds) = unit.ok_or_else(form)?;
            if seconds >= larger {
                return Err(refuse("write larger units first, and each once"));
            }
            larger = seconds;
            let count: u32 = digits.parse().map_err(|_| form())?;
            let term = count.checked_mul(seconds);
            total = term.and_then(|term| total.checked_add(term)).unwrap_or(u32::MAX);
            rest = tail.as_str().trim_start();
        }
        if total > Self::MAX.0 {
            return Err(refuse("it must be at most 366 days"));
        }
        Ok(Self(total))
    }
}

impl TryFrom<String> for Period {
    type Error = NameError;
    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl From<Period> for String {
    fn from(period: Period) -> Self {
        period.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentage_needs_its_sign_and_keeps_two_decimals() {
        for (text, hundredths, shown) in [
            ("5%", 500, "5%"),
            ("12.5 %", 1250, "12.5%"),
            ("0.05%", 5, "0.05%"),
            ("1000%", 100_000, "1000%"),
        ] {
            let percent: Percent = text.parse().unwrap();
            assert_eq!((percent.hundredths(), percent.to_string().as_str()), (hundredths, shown));
        }
        for bad in ["5", "0.5", "%", ".5%", "5.%", "5.123%", "-5%", "1001%", "99999%", "５%"] {
            assert!(bad.parse::<Percent>().is_err(), "{bad}");
        }
        assert_eq!("5".parse::<Percent>().unwrap_err().why, "write it with its sign, such as 5%");
    }

    #[test]
    fn five_per_cent_of_a_hundred_is_five_both_ways() {
        let five = Percent::from_hundredths(500);
        assert_eq!((five.of(100), five.of_rounded_up(100)), (5, 5));
        assert_eq!((five.of(99), five.of_rounded_up(99)), (4, 5));
        assert!(five.is_met_by(5, 100) && !five.is_met_by(4, 100) && five.is_met_by(0, 0));
    }

    #[test]
    fn an_amount_is_a_count_or_a_share_up_to_the_whole() {
        assert_eq!("3".parse(), Ok(Amount::Count(3)));
        assert_eq!("2%".parse(), Ok(Amount::Percent(Percent::from_hundredths(200))));
        assert_eq!("101%".parse::<Amount>().unwrap_err().why, "it must be at most 100%");
        let fault = "few".parse::<Amount>().unwrap_err();
        assert_eq!(fault.why, "write a whole number such as 3, or a share such as 2%");
    }

    #[test]
    fn a_period_is_whole_numbers_with_units_larger_first() {
        for (text, seconds, shown) in [
            ("6d", 518_400, "6d"),
            ("1d12h", 129_600, "1d 12h"),
            ("2w", 1_209_600, "14d"),
            ("90m", 5400, "1h 30m"),
            ("0s", 0, "0s"),
        ] {
            let period: Period = text.parse().unwrap();
            assert_eq!((period.secs(), period.to_string().as_str()), (seconds, shown));
        }
        for (bad, why) in [
            ("3", "write whole numbers with units w, d, h, m or s, such as 1d 12h"),
            ("", "write whole numbers with units w, d, h, m or s, such as 1d 12h"),
            ("1.5h", "write whole numbers with units w, d, h, m or s, such as 1d 12h"),
            ("5m 1h", "write larger units first, and each once"),
            ("1h 1h", "write larger units first, and each once"),
            ("367d", "it must be at most 366 days"),
            ("9999999w", "it must be at most 366 days"),
        ] {
            assert_eq!(bad.parse::<Period>().unwrap_err().why, why, "{bad}");
        }
    }
}
