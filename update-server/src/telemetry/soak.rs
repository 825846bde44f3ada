//! Cluster-hours on releases, added up from notes of trends. Pure.

use std::collections::BTreeMap;

use channels::names::ChannelName;
use channels::version::ReleaseVersion;
use channels::wire::{SoakRelease, TrendFigures};
use jiff::Timestamp;

use super::trend::NOTE_EVERY_S;

/// Notes that there are of clusters on one release.
#[derive(Debug, Clone, Copy)]
struct Notes {
    since: Timestamp,
    healthy: u64,
    unhealthy: u64,
    unknown: u64,
}

/// Notes of one product while they are added up, in order of time.
#[derive(Debug, Default, Clone)]
pub struct Soaking(BTreeMap<(ChannelName, ReleaseVersion), Notes>);

impl Soaking {
    /// Takes a note of one channel. Versions that are not told apart prove nothing of any.
    pub fn take(&mut self, channel: &ChannelName, at: Timestamp, figures: &TrendFigures) {
        for entry in &figures.versions {
            let Some(version) = &entry.version else { continue };
            let release = (channel.clone(), version.clone());
            let notes = self.0.entry(release).or_insert(Notes {
                since: at,
                healthy: 0,
                unhealthy: 0,
                unknown: 0,
            });
            let known = entry.healthy.saturating_add(entry.unhealthy);
            notes.healthy += entry.healthy;
            notes.unhealthy += entry.unhealthy;
            notes.unknown += entry.clusters.saturating_sub(known);
        }
    }

    /// What they add up to; `failures` are those of a release's rollouts.
    pub fn releases(self, failures: impl Fn(&ReleaseVersion) -> u64) -> Vec<SoakRelease> {
        let release = |((channel, version), notes): ((ChannelName, ReleaseVersion), Notes)| {
            let failures = failures(&version);
            SoakRelease {
                channel,
                version,
                since: notes.since,
                healthy_cluster_hours: hours(notes.healthy),
                unhealthy_cluster_hours: hours(notes.unhealthy),
                unknown_cluster_hours: hours(notes.unknown),
                failures,
            }
        };
        self.0.into_iter().map(release).collect()
    }
}

/// Hours of so many notes: each stands for the five minutes until the next one would be due.
fn hours(notes: u64) -> f64 {
    let seconds = notes.saturating_mul(u64::try_from(NOTE_EVERY_S).unwrap_or(0));
    std::time::Duration::from_secs(seconds).as_secs_f64() / 3_600.0
}

#[cfg(test)]
mod tests {
    use channels::wire::TrendVersion;

    use super::*;

    #[test]
    fn cluster_hours_are_five_minutes_of_every_note() {
        let mut soaking = Soaking::default();
        let channel: ChannelName = "fast".parse().unwrap();
        let version = |version: &str| Some(version.parse().unwrap());
        for n in 0..12 {
            let told =
                TrendVersion { version: version("1.1.0"), clusters: 4, healthy: 2, unhealthy: 1 };
            let other = TrendVersion { version: None, clusters: 9, healthy: 9, unhealthy: 0 };
            let versions = if n < 6 { vec![other] } else { vec![told, other] };
            let at = Timestamp::from_second(300 * n).unwrap();
            soaking.take(&channel, at, &TrendFigures { versions, ..TrendFigures::default() });
        }
        let found = soaking.releases(|_| 3);
        assert_eq!(found.len(), 1);
        let release = &found[0];
        assert_eq!(release.since.as_second(), 1_800);
        let hours = [
            release.healthy_cluster_hours,
            release.unhealthy_cluster_hours,
            release.unknown_cluster_hours,
        ];
        assert_eq!((hours, release.failures), ([1.0, 0.5, 0.5], 3));
    }
}
