//! The formulas of rolling.md §1.4 and §4.2, with numbers worked out by hand.

use jiff::{Timestamp, ToSpan};

use super::*;

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(1_800_000_000_000 + ms).unwrap()
}

/// Probes a leader every 0.5 s from 0 to `until_ms`, whose log grows by `per_s` from 1000.
fn tracked(per_s: i64, until_ms: i64) -> QuorumTracker {
    let mut tracker = QuorumTracker::new();
    for ms in (0..=until_ms).step_by(500) {
        tracker.leader(at(ms), 7, 1000 + per_s * ms / 1000, &QuorumLimits::default());
    }
    tracker
}

#[test]
fn a_healthy_follower_of_an_idle_quorum_lags_by_one_probe() {
    // 2/s: at 30 s the leader is at 1060; the follower, read 50 ms later, is one record behind
    // and so was caught up at 29.5 s.
    let tracker = tracked(2, 30_000);
    assert_eq!(tracker.lag(7, 1059, at(30_050)), Lag::Known(550));
    assert_eq!(tracker.lag(7, 1060, at(30_050)), Lag::Known(50));
    // Ahead of the sample taken first: never below the time since that sample.
    assert_eq!(tracker.lag(7, 1061, at(30_050)), Lag::Known(50));
}

#[test]
fn forty_five_records_behind_at_500_per_second_is_no_more_lag_than_one_at_2_per_second() {
    // 500/s: 250 per probe. 16 000 at 30 s; 15 955 is above 15 750 (29.5 s).
    let tracker = tracked(500, 30_000);
    assert_eq!(tracker.lag(7, 15_955, at(30_050)), Lag::Known(550));
    // The same 45 records at 2/s are 22.5 s.
    assert_eq!(tracked(2, 30_000).lag(7, 1060 - 45, at(30_050)), Lag::Known(22_550));
}

#[test]
fn a_stalled_follower_crosses_the_fetch_timeout_after_two_seconds() {
    let limit = QuorumLimits::default().lag_limit_ms(500);
    assert_eq!(limit, 2000);
    // It holds what the leader had at 10 s and gets nothing more.
    let held = 1020;
    assert_eq!(tracked(2, 11_500).lag(7, held, at(11_550)), Lag::Known(1550));
    assert_eq!(tracked(2, 12_000).lag(7, held, at(12_050)), Lag::Known(2050));
    assert_eq!(tracked(2, 60_000).lag(7, held, at(60_050)), Lag::Known(50_050));
}

#[test]
fn slow_probing_widens_the_limit_by_the_probe_period() {
    let limits = QuorumLimits::default();
    assert_eq!(limits.lag_limit_ms(660), 2000);
    assert_eq!(limits.lag_limit_ms(1000), 3000);
}

#[test]
fn a_new_epoch_makes_every_lag_unknown_until_one_sample_is_passed() {
    let limits = QuorumLimits::default();
    let mut tracker = tracked(2, 30_000);
    tracker.leader(at(30_500), 8, 1062, &limits);
    assert_eq!(tracker.lag(7, 1062, at(30_550)), Lag::Unknown { at_least_ms: None });
    assert_eq!(tracker.lag(8, 1061, at(30_550)), Lag::Unknown { at_least_ms: Some(50) });
    tracker.leader(at(31_000), 8, 1063, &limits);
    assert_eq!(tracker.lag(8, 1062, at(31_050)), Lag::Known(550));
}

#[test]
fn a_follower_that_never_passes_a_sample_is_unknown_with_a_lower_bound() {
    let tracker = tracked(2, 5_000);
    assert_eq!(tracker.lag(7, 900, at(5_050)), Lag::Unknown { at_least_ms: Some(5_050) });
    assert_eq!(QuorumTracker::new().lag(7, 900, at(0)), Lag::Unknown { at_least_ms: None });
}

#[test]
fn an_offset_or_a_clock_that_goes_back_starts_the_ring_over() {
    let limits = QuorumLimits::default();
    let mut stale_page = tracked(2, 30_000);
    stale_page.leader(at(30_500), 7, 1010, &limits);
    assert_eq!(stale_page.lag(7, 1009, at(30_550)), Lag::Unknown { at_least_ms: Some(50) });
    let mut clock_back = tracked(2, 30_000);
    clock_back.leader(at(20_000), 7, 1061, &limits);
    assert_eq!(clock_back.lag(7, 1060, at(20_050)), Lag::Unknown { at_least_ms: Some(50) });
}

#[test]
fn a_leader_behind_what_followers_held_a_probe_before_is_a_page_from_the_past() {
    let limits = QuorumLimits::default();
    let mut tracker = tracked(2, 30_000);
    // Busy quorum: followers are asked later than the leader and may well be ahead of its page.
    tracker.followers(Some((7, 1061)));
    assert_eq!(tracker.leader(at(30_500), 7, 1061, &limits), LeaderPage::Current);
    tracker.followers(Some((7, 1062)));
    let behind = LeaderPage::Behind { offset: 1061, follower_offset: 1062 };
    assert_eq!(tracker.leader(at(31_000), 7, 1061, &limits), behind);
    assert_eq!(tracker.lag(7, 1062, at(31_050)), Lag::Unknown { at_least_ms: None });
    // What followers held in another epoch binds no leader of this one.
    tracker.followers(Some((7, 1070)));
    assert_eq!(tracker.leader(at(31_500), 8, 1062, &limits), LeaderPage::Current);
}

#[test]
fn a_leader_that_stands_still_for_the_commit_window_measures_nothing() {
    let limits = QuorumLimits::default();
    let mut tracker = tracked(2, 30_000);
    assert_eq!(tracker.leader(at(34_500), 7, 1060, &limits), LeaderPage::Current);
    assert_eq!(tracker.leader(at(35_000), 7, 1060, &limits), LeaderPage::Still { for_ms: 5_000 });
    assert_eq!(tracker.lag(7, 1060, at(35_050)), Lag::Unknown { at_least_ms: None });
    assert_eq!(tracker.leader(at(35_500), 7, 1071, &limits), LeaderPage::Current);
    let no_idle_records = QuorumLimits { commit_window_ms: None, ..limits };
    assert_eq!(tracker.leader(at(60_000), 7, 1071, &no_idle_records), LeaderPage::Current);
}

#[test]
fn leader_offsets_older_than_ten_minutes_are_forgotten() {
    let tracker = tracked(2, 700_000);
    // Held at 50 s; the oldest sample kept is that of 100 s.
    assert_eq!(tracker.lag(7, 1100, at(700_000)), Lag::Unknown { at_least_ms: Some(600_000) });
}

#[test]
fn a_high_watermark_that_stands_still_for_the_window_is_stalled() {
    let mut commits = CommitTracker::new();
    assert_eq!(commits.progress(at(0), 5000), CommitProgress::Unknown);
    commits.record(at(0), Some(1), 100);
    assert_eq!(commits.progress(at(4_999), 5000), CommitProgress::Unknown);
    assert_eq!(commits.progress(at(5_000), 5000), CommitProgress::Stalled { for_ms: 5_000 });
    commits.record(at(6_000), Some(1), 101);
    assert_eq!(commits.progress(at(10_999), 5000), CommitProgress::Moving);
    commits.record(at(11_000), Some(1), 101);
    assert_eq!(commits.progress(at(11_000), 5000), CommitProgress::Stalled { for_ms: 5_000 });
}

#[test]
fn a_negative_or_lower_high_watermark_is_no_progress() {
    let mut commits = CommitTracker::new();
    commits.record(at(0), Some(1), -1);
    assert_eq!(commits.highest(), None);
    commits.record(at(0), Some(1), 100);
    commits.record(at(1_000), Some(1), 50);
    assert_eq!(commits.highest(), Some(100));
    // A cluster that starts over does so in another epoch; only what follows is progress.
    commits.record(at(2_000), Some(2), 3);
    assert_eq!(commits.progress(at(6_000), 5000), CommitProgress::Stalled { for_ms: 6_000 });
    commits.record(at(6_500), Some(2), 4);
    assert_eq!(commits.progress(at(6_500), 5000), CommitProgress::Moving);
}

const BOUNDS: [f64; 12] =
    [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, f64::INFINITY];

/// A histogram with that many relists in each bucket.
fn histogram(in_buckets: [u32; 12]) -> Relists {
    let mut sum = 0;
    let buckets = BOUNDS
        .iter()
        .zip(in_buckets)
        .map(|(&le_s, inside)| {
            sum += inside;
            Bucket { le_s, cumulative: f64::from(sum) }
        })
        .collect();
    Relists::Histogram { buckets, count: f64::from(sum) }
}

fn sample(ms: i64, relists: Relists) -> PlegSample {
    PlegSample {
        at: at(ms),
        probe_ms: 1000,
        clock_offset_ms: 0,
        process_start: Some(1.0e9),
        relists,
        last_seen_s: None,
        discards: Some(0.0),
        evented: false,
    }
}

fn record(tracker: &mut PlegTracker, sample: PlegSample) -> PlegReading {
    tracker.record(sample, &PlegLimits::default()).expect("sound counts")
}

#[test]
fn p99_interpolates_inside_its_bucket() {
    let mut tracker = PlegTracker::new();
    let first = record(&mut tracker, sample(0, histogram([0, 0, 500, 0, 0, 0, 0, 0, 0, 0, 0, 0])));
    assert_eq!((first.p99_ms, first.lag_ms), (None, None));
    // 100 more: 90 up to 50 ms, 8 up to 100 ms, 2 up to 250 ms. Rank 99 is half way into the last.
    let reading =
        record(&mut tracker, sample(100_000, histogram([0, 0, 500, 90, 8, 2, 0, 0, 0, 0, 0, 0])));
    assert_eq!(reading.p99_ms, Some(175));
    assert_eq!(reading.relists_in_window, 100);
    assert_eq!(reading.relists_since_start, 600);
    assert_eq!((reading.lag_ms, reading.colour), (Some(175), PlegColour::Green));
}

#[test]
fn the_infinite_bucket_reads_as_ten_seconds() {
    let mut tracker = PlegTracker::new();
    record(&mut tracker, sample(0, histogram([0; 12])));
    let slow = |n: u32| histogram([0, 98 * n, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2 * n]);
    let reading = record(&mut tracker, sample(100_000, slow(1)));
    assert_eq!(reading.p99_ms, Some(10_000));
    // Red needs it twice; once is amber.
    assert_eq!(reading.colour, PlegColour::Amber);
    assert_eq!(record(&mut tracker, sample(110_000, slow(2))).colour, PlegColour::Red);
}

#[test]
fn fewer_than_twenty_relists_are_unknown() {
    let mut tracker = PlegTracker::new();
    record(&mut tracker, sample(0, histogram([0; 12])));
    let some = |n| histogram([0, 0, n, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    let reading = record(&mut tracker, sample(20_000, some(19)));
    assert_eq!((reading.p99_ms, reading.lag_ms), (None, None));
    assert_eq!(reading.colour, PlegColour::Unknown);
    assert_eq!(record(&mut tracker, sample(21_000, some(20))).colour, PlegColour::Green);
}

#[test]
fn after_a_restart_the_new_values_are_the_deltas() {
    let mut tracker = PlegTracker::new();
    let slow = |n| histogram([0, 0, 0, 0, 0, 0, n, 0, 0, 0, 0, 0]);
    record(&mut tracker, sample(0, slow(100)));
    let before = record(&mut tracker, sample(60_000, slow(200)));
    // 100 relists between 250 and 500 ms: 0.25 + 0.25 * 99/100.
    assert_eq!(before.p99_ms, Some(498));
    // 30 fast ones since the restart: 0.01 + 0.015 * 29.7/30 = 24.85 ms.
    let fast = sample(120_000, histogram([0, 0, 30, 0, 0, 0, 0, 0, 0, 0, 0, 0]));
    let by_count = record(&mut tracker.clone(), fast.clone());
    assert_eq!((by_count.p99_ms, by_count.relists_in_window), (Some(25), 30));
    assert_eq!(by_count.baseline_p99_ms, Some(498), "the earlier process is the baseline");
    // The same when no count went back, but the process is another.
    let many = histogram([0, 0, 3000, 0, 0, 0, 300, 0, 0, 0, 0, 0]);
    let reborn = PlegSample { process_start: Some(2.0e9), relists: many, ..fast };
    assert_eq!(record(&mut tracker, reborn).relists_in_window, 3300);
}

#[test]
fn a_hung_relist_is_seen_by_the_stall_while_p99_stays_flat() {
    let mut tracker = PlegTracker::new();
    let good = |n| histogram([0, 0, 0, n, 0, 0, 0, 0, 0, 0, 0, 0]);
    for (relists, second) in (0..=100).zip(0_i64..) {
        record(&mut tracker, sample(second * 1000, good(relists)));
    }
    // 0.025 + 0.025 * 0.99: nothing returns any more, so nothing slow is ever counted.
    let flat = Some(50);
    let hung = |tracker: &mut PlegTracker, second: i64| {
        let reading = record(tracker, sample(second * 1000, good(100)));
        assert_eq!(reading.p99_ms, flat, "at {second} s");
        (reading.stall_ms, reading.lag_ms, reading.colour)
    };
    assert_eq!(hung(&mut tracker, 102), (2_000, flat, PlegColour::Green));
    // 12 s without a relist, of which 1 s is the period and 1 s the probing.
    let mut probed_once = tracker.clone();
    assert_eq!(hung(&mut probed_once, 112), (12_000, Some(10_000), PlegColour::Amber));
    for second in 103..130 {
        hung(&mut tracker, second);
    }
    assert_eq!(hung(&mut tracker, 130), (30_000, Some(28_000), PlegColour::Red));
    for second in 131..222 {
        hung(&mut tracker, second);
    }
    assert_eq!(hung(&mut tracker, 222), (122_000, Some(120_000), PlegColour::Hard));
}

#[test]
fn a_skewed_node_clock_is_corrected_by_its_offset() {
    let good = |n| histogram([0, 0, 0, n, 0, 0, 0, 0, 0, 0, 0, 0]);
    let read = |clock_offset_ms: i64, last_seen_ago_s: f64| {
        let mut tracker = PlegTracker::new();
        record(&mut tracker, sample(0, good(0)));
        let node_now_s = 1_800_000_060.0 - 90.0;
        let last_seen_s = Some(node_now_s - last_seen_ago_s);
        let probe = sample(60_000, good(60));
        record(&mut tracker, PlegSample { clock_offset_ms, last_seen_s, ..probe })
    };
    // The node's clock is 90 s behind; its last relist began 2 s ago.
    let corrected = read(-90_000, 2.0);
    assert_eq!((corrected.age_excess_ms, corrected.colour), (Some(0), PlegColour::Green));
    let uncorrected = read(0, 2.0);
    assert_eq!(uncorrected.age_excess_ms, Some(89_000));
    assert_eq!(uncorrected.lag_ms, Some(89_000));
    // 20 s old by its own clock: 17 s beyond the slack.
    assert_eq!(read(-90_000, 20.0).lag_ms, Some(17_000));
}

#[test]
fn microsecond_summaries_of_old_kubelets_are_read_in_seconds() {
    let old = |p99_us, count| Relists::Summary { p99_us, count };
    let mut tracker = PlegTracker::new();
    let reading = record(&mut tracker, sample(0, old(115_000.0, 5_000.0)));
    assert_eq!((reading.p99_ms, reading.colour), (Some(115), PlegColour::Green));
    let empty = record(&mut tracker, sample(1_000, old(f64::NAN, 5_000.0)));
    assert_eq!((empty.p99_ms, empty.colour), (None, PlegColour::Unknown));
    let young = record(&mut PlegTracker::new(), sample(0, old(115_000.0, 19.0)));
    assert_eq!(young.p99_ms, None);
}

#[test]
fn the_evented_pleg_may_be_silent_for_its_own_period() {
    let mut tracker = PlegTracker::new();
    let evented = |ms| PlegSample {
        evented: true,
        last_seen_s: Some(1_800_000_000.0),
        ..sample(ms, histogram([0, 0, 0, 50, 0, 0, 0, 0, 0, 0, 0, 0]))
    };
    record(&mut tracker, evented(0));
    let silent = record(&mut tracker, evented(200_000));
    assert_eq!((silent.stall_excess_ms, silent.age_excess_ms), (0, Some(0)));
    assert_ne!(silent.colour, PlegColour::Red);
    assert_eq!(silent.stall_limit_ms, 330_000);
    assert_eq!(record(&mut tracker, evented(330_000)).colour, PlegColour::Red);
}

#[test]
fn dropped_pod_events_are_red_when_they_rise() {
    let mut tracker = PlegTracker::new();
    let good = |ms, n| sample(ms, histogram([0, 0, 0, n, 0, 0, 0, 0, 0, 0, 0, 0]));
    record(&mut tracker, PlegSample { discards: Some(4.0), ..good(0, 0) });
    let same = record(&mut tracker, PlegSample { discards: Some(4.0), ..good(30_000, 30) });
    assert_eq!((same.new_discards, same.colour), (0, PlegColour::Green));
    let risen = record(&mut tracker, PlegSample { discards: Some(6.0), ..good(31_000, 31) });
    assert_eq!((risen.new_discards, risen.colour), (2, PlegColour::Red));
}

#[test]
fn counts_that_are_no_histogram_are_refused() {
    let refused = |relists| PlegTracker::new().record(sample(0, relists), &PlegLimits::default());
    let buckets = |values: &[(f64, f64)]| {
        let buckets =
            values.iter().map(|&(le_s, cumulative)| Bucket { le_s, cumulative }).collect();
        Relists::Histogram { buckets, count: 30.0 }
    };
    let inf = f64::INFINITY;
    assert!(refused(buckets(&[(0.1, 20.0), (inf, 30.0)])).is_some());
    assert!(refused(buckets(&[(0.1, 20.0), (inf, 10.0)])).is_none(), "not cumulative");
    assert!(refused(buckets(&[(0.1, 20.0)])).is_none(), "no infinite bucket");
    assert!(refused(buckets(&[(0.1, f64::NAN), (inf, 30.0)])).is_none(), "not a number");
    assert!(refused(Relists::Summary { p99_us: 1.0, count: f64::INFINITY }).is_none());
    let blind = PlegSample { last_seen_s: Some(f64::NAN), ..sample(0, histogram([30; 12])) };
    assert!(PlegTracker::new().record(blind, &PlegLimits::default()).is_none());
}

#[test]
fn elapsed_time_is_never_negative() {
    assert_eq!(elapsed_ms(at(0), at(1_500)), 1_500);
    assert_eq!(elapsed_ms(at(0), at(0) - 1.hour()), 0);
}
