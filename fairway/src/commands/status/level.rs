//! How urgent an expiry is.

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

/// How urgent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Level {
    /// More than a third of its life is left.
    Ok,
    /// In the last third: `fairway publish` renews it where its keys are at hand.
    Due,
    /// At most 60 days left.
    Alert60,
    /// At most 30 days left.
    Alert30,
    /// At most 7 days left.
    Alert7,
    /// Clients refuse it.
    Expired,
    /// There is nothing to expire yet.
    Unpublished,
}

impl Level {
    /// Of something valid until `expires`, made for a life of `life`. The alerts count days, and only
    /// in the last third: a role renewed every month is not always an alert.
    pub(crate) fn of(expires: Timestamp, life: SignedDuration, now: Timestamp) -> Self {
        let left = expires.duration_since(now);
        let days = |days: i64| SignedDuration::from_hours(24 * days);
        if expires <= now {
            Self::Expired
        } else if left >= life / 3 {
            Self::Ok
        } else if left <= days(7) {
            Self::Alert7
        } else if left <= days(30) {
            Self::Alert30
        } else if left <= days(60) {
            Self::Alert60
        } else {
            Self::Due
        }
    }

    /// Whether nothing can wait any longer for the next regular publication.
    pub(crate) fn needs_a_person(self) -> bool {
        self > Self::Due
    }

    /// For tables.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Due => "due",
            Self::Alert60 => "alert: 60 days",
            Self::Alert30 => "alert: 30 days",
            Self::Alert7 => "alert: 7 days",
            Self::Expired => "EXPIRED",
            Self::Unpublished => "unpublished",
        }
    }
}

/// Whole days until `expires`, rounded down.
pub(super) fn days_left(expires: Timestamp, now: Timestamp) -> i64 {
    expires.duration_since(now).as_hours().div_euclid(24)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn level(days_left: i64, life_days: i64) -> Level {
        let now: Timestamp = "2026-05-01T12:00:00Z".parse().unwrap();
        let days = |days| SignedDuration::from_hours(24 * days);
        Level::of(now + days(days_left), days(life_days), now)
    }

    #[test]
    fn a_year_is_due_in_its_last_third_and_alerts_at_60_30_and_7_days() {
        let expected = [
            (122, Level::Ok),
            (121, Level::Due),
            (61, Level::Due),
            (60, Level::Alert60),
            (31, Level::Alert60),
            (30, Level::Alert30),
            (8, Level::Alert30),
            (7, Level::Alert7),
            (0, Level::Expired),
            (-1, Level::Expired),
        ];
        for (days, expected) in expected {
            assert_eq!(level(days, 365), expected, "{days}");
        }
    }

    #[test]
    fn a_short_life_is_no_alert_before_its_last_third() {
        assert_eq!(level(31, 90), Level::Ok);
        assert_eq!(level(29, 90), Level::Alert30);
    }

    #[test]
    fn days_are_rounded_down() {
        let now: Timestamp = "2026-05-01T12:00:00Z".parse().unwrap();
        let hours = |hours| now + SignedDuration::from_hours(hours);
        assert_eq!(days_left(hours(47), now), 1);
        assert_eq!(days_left(hours(-1), now), -1);
    }
}
