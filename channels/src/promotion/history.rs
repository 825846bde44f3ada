//! How clusters fared on a release, day by day: the value a hub supplies.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use crate::graph::SoakRule;
use crate::names::ChannelName;
use crate::version::ReleaseVersion;

/// Health of a product's clusters by channel, release and day.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthHistory {
    /// In any order; several for one day add up (one per architecture, say).
    pub days: Vec<HealthDay>,
}

/// One UTC day of the clusters that follow one channel and run one release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthDay {
    /// The channel they follow.
    pub channel: ChannelName,
    /// The release they run.
    pub version: ReleaseVersion,
    /// The day, in UTC.
    pub date: Date,
    /// Clusters that were healthy all day.
    pub healthy: u64,
    /// Clusters that were unhealthy at any time of the day.
    pub unhealthy: u64,
}

/// The UTC day a moment is in.
pub(super) fn date(at: Timestamp) -> Date {
    at.to_zoned(TimeZone::UTC).date()
}

impl HealthHistory {
    /// Healthy days in a row, up to the last day that is over.
    ///
    /// Only whole days after the release entered count. A day with too few healthy clusters adds
    /// nothing; one with too many unhealthy ones starts afresh.
    pub(super) fn healthy_days(
        &self,
        channel: &ChannelName,
        version: &ReleaseVersion,
        rule: &SoakRule,
        entered: Timestamp,
        now: Timestamp,
    ) -> u32 {
        let (first, today) = (date(entered), date(now));
        let mut by_date = std::collections::BTreeMap::new();
        let own = |day: &&HealthDay| {
            day.channel == *channel
                && day.version == *version
                && day.date > first
                && day.date < today
        };
        for day in self.days.iter().filter(own) {
            let sum: &mut (u64, u64) = by_date.entry(day.date).or_default();
            sum.0 = sum.0.saturating_add(day.healthy);
            sum.1 = sum.1.saturating_add(day.unhealthy);
        }
        by_date.into_values().fold(0, |days: u32, (healthy, unhealthy)| {
            if unhealthy > rule.max_unhealthy {
                0
            } else if healthy >= rule.clusters {
                days.saturating_add(1)
            } else {
                days
            }
        })
    }
}
