//! Ranges of numeric keys: a value outside is refused with the range in the message.

use std::ops::RangeInclusive;

use super::ConfigError;

/// One day: no wait of the agent is meant to be longer.
pub(super) const DAY_MS: u64 = 86_400_000;

/// The value of `key`, its default if it is not set, an error if it is out of range.
pub(super) fn ranged(
    key: &str,
    value: Option<u64>,
    default: u64,
    range: RangeInclusive<u64>,
) -> Result<u64, ConfigError> {
    let value = value.unwrap_or(default);
    if range.contains(&value) {
        return Ok(value);
    }
    let (low, high) = (range.start(), range.end());
    Err(ConfigError::invalid(key, format!("{value} is not between {low} and {high}")))
}

/// As [`ranged`], for counts that fit 32 bits.
pub(super) fn ranged_u32(
    key: &str,
    value: Option<u64>,
    default: u32,
    range: RangeInclusive<u32>,
) -> Result<u32, ConfigError> {
    let wide = u64::from(*range.start())..=u64::from(*range.end());
    let value = ranged(key, value, u64::from(default), wide)?;
    u32::try_from(value).map_err(|_| ConfigError::invalid(key, "too large"))
}
