//! How fresh a report is, and when the next one is due. Pure.

use channels::wire::Freshness;
use jiff::{SignedDuration, Timestamp};

use super::Slot;

/// A late report is not silence before this, however short the interval: restarts of an agent or
/// of the network around it take minutes.
const SILENT_FLOOR_S: i64 = 30 * 60;
/// From here on a cluster leaves the drift figures (reference/telemetry.md §1.5).
const GONE_AFTER_S: i64 = 24 * 3600;

/// Class of a last report, by the hub's clock. One dated more than an interval ahead was taken
/// under a clock that ran ahead; its true age is unknown, so it is late.
pub fn freshness(last_seen: Option<Timestamp>, interval_s: u64, now: Timestamp) -> Freshness {
    let Some(last_seen) = last_seen else { return Freshness::Never };
    let age = now.duration_since(last_seen);
    let interval_s = i64::try_from(interval_s).unwrap_or(i64::MAX);
    let over = |seconds: i64| age > SignedDuration::from_secs(seconds);
    if over(GONE_AFTER_S) {
        Freshness::Gone
    } else if over(interval_s.saturating_mul(5).max(SILENT_FLOOR_S)) {
        Freshness::Silent
    } else if over(interval_s.saturating_mul(2))
        || age < SignedDuration::from_secs(interval_s.saturating_neg())
    {
        Freshness::Late
    } else {
        Freshness::Fresh
    }
}

/// Whether drift and health figures count a cluster of this class.
pub fn is_active(freshness: Freshness) -> bool {
    match freshness {
        Freshness::Fresh | Freshness::Late => true,
        // Carried ones are other hubs' clusters, counted apart.
        Freshness::Silent
        | Freshness::Gone
        | Freshness::Never
        | Freshness::Carried
        | Freshness::Unknown => false,
    }
}

/// Seconds from `now` to the cluster's next report slot.
///
/// Row `slot` of `rows` reports at `slot / rows` of every interval, so that reports arrive in row
/// order: no herd after an outage, and the database touches neighbouring pages (telemetry.md §3.1). A
/// slot less than a quarter interval away is skipped, so a report outside its slot (a phase
/// change) is not followed by another at once. Always between 1 and 1.25 intervals + 1.
pub fn next_report_in_s(slot: Slot, rows: u32, interval_s: u64, now: Timestamp) -> u64 {
    let interval_s = interval_s.max(1);
    let position = u64::from(slot.0 % rows.max(1)) * interval_s / u64::from(rows.max(1));
    let second = u64::try_from(now.as_second()).unwrap_or(0) % interval_s;
    let mut wait = (position + interval_s - second) % interval_s;
    if wait <= interval_s / 4 {
        wait += interval_s;
    }
    wait.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn class(age_s: i64, interval_s: u64) -> Freshness {
        freshness(Some(at(1_000_000)), interval_s, at(1_000_000 + age_s))
    }

    #[test]
    fn freshness_has_the_limits_of_the_definition() {
        assert_eq!(class(600, 300), Freshness::Fresh);
        assert_eq!(class(601, 300), Freshness::Late);
        assert_eq!(class(1800, 300), Freshness::Late, "five intervals are 1500 s, the floor 1800");
        assert_eq!(class(1801, 300), Freshness::Silent);
        assert_eq!(class(3001, 600), Freshness::Silent, "five intervals are above the floor");
        assert_eq!(class(86_401, 300), Freshness::Gone);
        assert_eq!(freshness(None, 300, at(5)), Freshness::Never);
    }

    #[test]
    fn a_clock_that_went_back_leaves_a_cluster_fresh_for_one_interval_at_most() {
        assert_eq!(class(-50, 300), Freshness::Fresh);
        assert_eq!(class(-301, 300), Freshness::Late);
    }

    proptest! {
        #[test]
        fn the_next_slot_is_within_a_quarter_and_five_quarters(
            slot in 0u32..5000, rows in 1u32..5000, interval_s in 1u64..4000, now in 0i64..2_000_000
        ) {
            let wait = next_report_in_s(Slot(slot), rows, interval_s, at(now));
            prop_assert!(wait >= 1 && wait > interval_s / 4, "{wait}");
            prop_assert!(wait <= interval_s + interval_s / 4 + 1, "{wait}");
        }

        #[test]
        fn rows_in_order_get_slots_in_order(a in 0u32..999, b in 0u32..999, now in 0i64..900) {
            // Seen from a slot boundary nothing is skipped, so order is row order.
            let start = at(now * 1000);
            let due = |slot| {
                let wait = next_report_in_s(Slot(slot), 1000, 1000, start);
                wait % 1000
            };
            prop_assert_eq!(a.cmp(&b), due(a).cmp(&due(b)));
        }
    }
}
