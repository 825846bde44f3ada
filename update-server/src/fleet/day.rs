//! What a day has shown of every product so far: the evidence that a release soaks.
//!
//! Two bits per product. Healthy is a day in which every report said so, on one release and one
//! channel, without silence from its begin to its end; unhealthy is one in which any report did, or
//! the roll paused, or the cluster went back. Everything else is unknown, never healthy.

use std::collections::BTreeMap;

use channels::names::{ChannelName, ProductRef};
use channels::version::ReleaseVersion;
use channels::wire::{HealthVerdict, Phase};
use serde::{Deserialize, Serialize};

use super::row::{Product, Row};
use super::{FleetIndex, Slot, is_active};

/// Rows of one day: releases of channels, those with the most clusters.
const MAX_DAY_ROWS: usize = 5_000;
/// Releases that clusters left in a bad way, per day. More are more names than are served, and then
/// the day proves nothing.
const MAX_LEFT: usize = 4_096;

/// A bit of [`Today`].
const UNHEALTHY: u8 = 1;
/// Something was unknown, or the day is not whole.
const BROKEN: u8 = 2;

/// What one day has shown of one product.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Today(u8);

impl Today {
    /// Not seen from the begin of the day on.
    pub(super) const fn unseen() -> Self {
        Self(BROKEN)
    }

    fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    fn is_unhealthy(self) -> bool {
        self.0 & UNHEALTHY != 0
    }
}

impl Product {
    /// What this very moment shows.
    fn at_this_moment(&self, active: bool) -> Today {
        if !active {
            return Today(BROKEN);
        }
        match self.verdict {
            HealthVerdict::Unhealthy => Today(UNHEALTHY),
            _ if self.phase == Phase::Paused => Today(UNHEALTHY),
            HealthVerdict::Healthy => Today(0),
            HealthVerdict::Unknown => Today(BROKEN),
        }
    }

    fn is_on(&self, other: &Self) -> bool {
        self.graph == other.graph && self.version == other.version
    }
}

impl Row {
    /// The cluster has fallen silent.
    pub(super) fn breaks_its_day(&mut self) {
        for product in &mut self.products {
            product.today = product.today.with(Today(BROKEN));
        }
    }
}

/// The clusters of one product, channel and release over one day.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct DayCount {
    /// Which product.
    pub product: ProductRef,
    /// Which channel.
    pub channel: ChannelName,
    /// Which release.
    pub version: ReleaseVersion,
    /// Healthy all day.
    pub healthy: u64,
    /// Unhealthy at any time of it.
    pub unhealthy: u64,
    /// Neither.
    pub unknown: u64,
}

type Release = (ProductRef, ChannelName, ReleaseVersion);

/// The day that is not over.
#[derive(Debug, Default)]
pub(super) struct Day {
    /// Days since 1970 UTC.
    number: i64,
    /// Releases that clusters were unhealthy on, or went back from, and do not run any more.
    left: BTreeMap<Release, u64>,
    /// There were too many of those.
    overflowed: bool,
}

/// What is kept of the day for a hub that starts again.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    left: Vec<(Release, u64)>,
    overflowed: bool,
}

impl FleetIndex {
    /// The day the marks are of, in days since 1970 UTC.
    pub fn day(&self) -> i64 {
        self.day.number
    }

    /// Carries the day over to the row that takes another one's place.
    pub(super) fn carry_day(&mut self, slot: Slot, new: &mut Row) {
        let active = is_active(new.freshness);
        let Some(old) = self.rows.get(slot.index()) else {
            return;
        };
        let mut left: Vec<Release> = Vec::new();
        for before in &old.products {
            if new.products.iter().any(|product| product.is_on(before)) {
                continue;
            }
            let Some(names) = self.names(before) else { continue };
            let went_back = new.products.iter().any(|after| {
                let version = self.versions.value(after.version);
                after.graph == before.graph && version.is_some_and(|after| after < names.version)
            });
            if before.today.is_unhealthy() || went_back {
                let graph = names.graph;
                left.push((graph.product.clone(), graph.channel.clone(), names.version.clone()));
            }
        }
        for product in &mut new.products {
            let before = old.products.iter().find(|before| before.is_on(product));
            let so_far = before.map_or(Today::unseen(), |before| before.today);
            product.today = so_far.with(product.at_this_moment(active));
        }
        for release in left {
            if self.day.left.len() >= MAX_LEFT && !self.day.left.contains_key(&release) {
                self.day.overflowed = true;
                continue;
            }
            *self.day.left.entry(release).or_default() += 1;
        }
    }

    /// The counts of a day that is over; none if it proves nothing. One pass over the rows.
    pub fn day_counts(&self) -> Vec<DayCount> {
        if self.day.overflowed {
            return Vec::new();
        }
        let mut by_number: BTreeMap<(u32, u32), [u64; 3]> = BTreeMap::new();
        for row in self.rows.iter().filter(|row| !row.is_retired()) {
            for product in &row.products {
                let counts = by_number.entry((product.graph, product.version)).or_default();
                let [healthy, unhealthy, unknown] = counts;
                *match product.today {
                    Today(0) => healthy,
                    today if today.is_unhealthy() => unhealthy,
                    Today(_) => unknown,
                } += 1;
            }
        }
        let mut found: BTreeMap<Release, [u64; 3]> = BTreeMap::new();
        for ((graph, version), counts) in by_number {
            let (Some(graph), Some(version)) =
                (self.graphs.value(graph), self.versions.value(version))
            else {
                continue;
            };
            let release = (graph.product.clone(), graph.channel.clone(), version.clone());
            let sums = found.entry(release).or_default();
            sums.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
        }
        for (release, count) in &self.day.left {
            let [_, unhealthy, _] = found.entry(release.clone()).or_default();
            *unhealthy += count;
        }
        let count =
            |((product, channel, version), [healthy, unhealthy, unknown]): (Release, [u64; 3])| {
                DayCount { product, channel, version, healthy, unhealthy, unknown }
            };
        let mut rows: Vec<DayCount> = found.into_iter().map(count).collect();
        rows.sort_by_key(|row| std::cmp::Reverse(row.healthy + row.unhealthy + row.unknown));
        rows.truncate(MAX_DAY_ROWS);
        rows
    }

    /// Another day begins, with what clusters are like at this moment.
    pub fn begin_day(&mut self, number: i64) {
        for row in &mut self.rows {
            let active = is_active(row.freshness);
            for product in &mut row.products {
                product.today = product.at_this_moment(active);
            }
        }
        self.day = Day { number, ..Day::default() };
    }

    /// The day, packed.
    pub fn packed_day(&self) -> Vec<u8> {
        let left = self.day.left.iter().map(|(release, count)| (release.clone(), *count));
        let kept = Kept { left: left.collect(), overflowed: self.day.overflowed };
        // Names and numbers: always serialises, without a line end.
        let mut bytes = serde_json::to_vec(&kept).unwrap_or_default();
        bytes.push(b'\n');
        for row in &self.rows {
            // A report has no more than eight.
            bytes.push(u8::try_from(row.products.len()).unwrap_or(0));
            bytes.extend(row.products.iter().map(|product| product.today.0));
        }
        bytes
    }

    /// Goes on with a day after a start. Bytes that are none leave every cluster's day broken, and so
    /// do `changed` rows theirs: what befell them after the bytes were written is not in them.
    pub fn resume_day(&mut self, number: i64, bytes: &[u8], changed: &[Slot]) {
        self.day = Day { number, ..Day::default() };
        let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else { return };
        let (head, marks) = bytes.split_at(end);
        let Ok(kept) = serde_json::from_slice::<Kept>(head) else { return };
        self.day.left = kept.left.into_iter().collect();
        self.day.overflowed = kept.overflowed;
        let mut marks = marks.iter().skip(1);
        for row in &mut self.rows {
            let Some(count) = marks.next() else { break };
            let known: Vec<u8> = marks.by_ref().take(usize::from(*count)).copied().collect();
            if known.len() != row.products.len() {
                continue;
            }
            let active = is_active(row.freshness);
            for (product, mark) in row.products.iter_mut().zip(known) {
                product.today = Today(mark).with(product.at_this_moment(active));
            }
        }
        for slot in changed {
            if let Some(row) = self.rows.get_mut(slot.index()) {
                row.breaks_its_day();
            }
        }
    }
}

#[cfg(test)]
mod tests;
