//! A share of a ring, exact to 2^-53, so that every replica and the simulator agree to the bit.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::amount::Percent;
use crate::names::NameError;

/// A number from 0 to 1 in steps of 2^-53. Text form: a percentage, rounded to two decimals.
///
/// As the open share of a ring it may be 1; as a cluster's place in a ring it is always below 1.
/// A cluster is eligible when its place is *below* the open share, so 0 opens nobody and 1
/// everybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Share(u64);

impl Share {
    /// Nobody.
    pub const NONE: Self = Self(0);
    /// Everybody.
    pub const ALL: Self = Self(1 << 53);

    /// From steps of 2^-53, cut to the whole.
    pub fn from_steps(steps: u64) -> Self {
        Self(steps).min(Self::ALL)
    }

    /// Steps of 2^-53, from 0 to 2^53.
    pub fn steps(self) -> u64 {
        self.0
    }

    /// `part / whole` rounded down, cut to the whole; everything of an empty whole.
    pub fn of_ratio(part: u64, whole: u64) -> Self {
        if part >= whole {
            return Self::ALL;
        }
        let steps = u128::from(part) * u128::from(Self::ALL.0) / u128::from(whole);
        u64::try_from(steps).map_or(Self::ALL, Self)
    }

    /// How many of `count` clusters this opens on average, rounded to the nearest.
    pub fn of(self, count: u32) -> u32 {
        let half = u128::from(Self::ALL.0 / 2);
        let product = (u128::from(self.0) * u128::from(count) + half) >> 53_u32;
        u32::try_from(product).unwrap_or(u32::MAX)
    }

    /// The nearest hundredth of a per cent.
    pub fn percent(self) -> Percent {
        Percent::from_hundredths(self.of(10_000))
    }

    /// What is left up to `larger`; nothing when this is the larger one.
    #[must_use]
    pub fn up_to(self, larger: Self) -> Self {
        Self(larger.0.saturating_sub(self.0))
    }

    /// As a number from 0 to 1, exactly: for charts.
    #[expect(clippy::as_conversions, clippy::cast_precision_loss, reason = "2^53 steps are exact")]
    pub fn as_f64(self) -> f64 {
        self.0 as f64 / Self::ALL.0 as f64
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.percent().fmt(f)
    }
}

impl TryFrom<Percent> for Share {
    type Error = NameError;
    fn try_from(percent: Percent) -> Result<Self, NameError> {
        if percent > Percent::ALL {
            let why = "it must be at most 100%";
            return Err(NameError::new("share", &percent.to_string(), why));
        }
        Ok(Self::of_ratio(u64::from(percent.hundredths()), 10_000))
    }
}

impl TryFrom<String> for Share {
    type Error = NameError;
    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse::<Percent>()?.try_into()
    }
}

impl From<Share> for String {
    fn from(share: Share) -> Self {
        share.to_string()
    }
}
