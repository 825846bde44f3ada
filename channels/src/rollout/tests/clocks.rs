//! The calendar and the clock against a slow walk minute by minute, over changes of the clocks.

use std::collections::BTreeSet;

use jiff::civil::{DateTime, Time, Weekday};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};
use proptest::prelude::*;

use super::{at, policy};
use crate::rollout::calendar::{Day, Window};
use crate::rollout::{Calendar, Opening, Period, RolloutClock, Stop};

fn calendar(yaml: &str) -> Calendar {
    let text = format!("name: p\nrings: [{{name: all, rest: true}}]\ncalendar: {yaml}\n");
    policy(&text).calendar
}

#[test]
fn eight_hours_are_eight_hours_in_the_nights_the_clocks_change() {
    let berlin = calendar(
        "{time_zone: Europe/Berlin, windows: [{days: [sat], start: '22:00', duration: 8h}]}",
    );
    for (from, to, opens, closes) in [
        // Forward: closes at 07:00 summer time.
        ("2026-03-28T00:00Z", "2026-03-30T00:00Z", "2026-03-28T21:00Z", "2026-03-29T05:00Z"),
        // Back: closes at 05:00 winter time.
        ("2026-10-24T00:00Z", "2026-10-26T00:00Z", "2026-10-24T20:00Z", "2026-10-25T04:00Z"),
    ] {
        let (opens, closes) = (at(opens), at(closes));
        assert_eq!(berlin.open_time(at(from), at(to)), SignedDuration::from_hours(8));
        let instant = SignedDuration::from_nanos(1);
        assert!(!berlin.is_open(opens - instant) && berlin.is_open(opens));
        assert!(berlin.is_open(closes - instant) && !berlin.is_open(closes));
        assert_eq!(berlin.next_open(at(from)), Some(opens));
    }
}

#[test]
fn a_window_closes_at_its_end_or_at_a_freeze_before_it() {
    let nights = calendar(
        "{time_zone: Europe/Berlin, windows: [{days: [sat], start: '22:00', duration: 8h}],
          freezes: [{from: '2026-03-29T02:00:00Z', until: '2026-04-01', reason: audit}]}",
    );
    let opens = at("2026-03-21T21:00Z");
    let closes = |from: &str, to: &str| nights.closes_between(at(from), at(to));
    assert_eq!(nights.closes_between(opens, at("2026-03-22T04:59Z")), None);
    assert_eq!(nights.closes_between(opens, at("2026-03-22T05:00Z")), None, "it ends just there");
    assert_eq!(
        nights.closes_between(opens, at("2026-03-22T05:01Z")),
        Some(at("2026-03-22T05:00Z"))
    );
    let frozen = Some(at("2026-03-29T02:00Z"));
    assert_eq!(closes("2026-03-28T21:30Z", "2026-03-29T04:00Z"), frozen);
    let shut = "2026-03-27T12:00Z";
    assert_eq!(closes(shut, "2026-03-28T22:00Z"), Some(at(shut)), "closed from the start");
    assert_eq!(closes(shut, shut), None);
    let always = Calendar::default();
    assert_eq!(always.closes_between(opens, at("2027-03-22T05:01Z")), None);
}

#[test]
fn an_opening_that_is_skipped_moves_on_and_one_that_comes_twice_is_the_first() {
    let sunday = calendar(
        "{time_zone: Europe/Berlin, windows: [{days: [sun], start: '02:30', duration: 15m}]}",
    );
    // 02:30 does not exist on 29 March: 03:30 summer time.
    assert_eq!(sunday.next_open(at("2026-03-28T00:00Z")), Some(at("2026-03-29T01:30Z")));
    // 02:30 comes twice on 25 October: the first one, still in summer time.
    assert_eq!(sunday.next_open(at("2026-10-24T00:00Z")), Some(at("2026-10-25T00:30Z")));
    let day = sunday.open_time(at("2026-10-25T00:00Z"), at("2026-10-26T00:00Z"));
    assert_eq!(day, SignedDuration::from_mins(15));
}

#[test]
fn a_freeze_closes_windows_and_says_why() {
    let frozen = calendar(
        "{time_zone: America/New_York, windows: [{days: [mon, tue], start: '09:00', duration: 2h}],
          freezes: [{from: 2026-12-20, until: 2027-01-04, reason: holidays}]}",
    );
    let christmas = at("2026-12-21T14:30Z");
    let opens_at = Some(at("2027-01-04T14:00Z"));
    assert_eq!(frozen.opening(christmas), Opening::Frozen { reason: "holidays".into(), opens_at });
    // The freeze begins at midnight in New York, not in Greenwich.
    assert_eq!(frozen.freezes()[0].from, at("2026-12-20T05:00Z"));
    let monday = at("2026-12-14T14:30Z");
    assert_eq!(frozen.opening(monday), Opening::Open);
    let opens_at = Some(at("2026-12-15T14:00Z"));
    assert_eq!(frozen.opening(at("2026-12-14T17:00Z")), Opening::OutsideWindows { opens_at });
    assert_eq!(frozen.time_zone(), "America/New_York");
}

#[test]
fn overlapping_windows_count_once() {
    let both = calendar(
        "{time_zone: UTC, windows: [{days: [mon], start: '10:00', duration: 3h},
          {days: [mon], start: '11:00', duration: 1h}, {days: [mon], start: '13:00', duration: 1h}]}",
    );
    let week = both.open_time(at("2026-11-16T00:00Z"), at("2026-11-23T00:00Z"));
    assert_eq!(week, SignedDuration::from_hours(4));
}

#[test]
fn what_is_too_far_off_is_not_promised() {
    let closed = calendar(
        "{time_zone: UTC, freezes: [{from: 2026-01-01, until: 2036-01-01, reason: sold}]}",
    );
    let now = at("2026-11-20T00:00Z");
    assert_eq!(closed.next_open(now), None);
    let clock = RolloutClock::starting_at(now);
    assert_eq!(clock.reaches(SignedDuration::from_hours(1), now, &closed), None);
}

#[test]
fn the_ends_of_time_do_not_hurt() {
    let berlin = calendar(
        "{time_zone: Europe/Berlin, windows: [{days: [sat, sun], start: '22:00', duration: 7d}]}",
    );
    for edge in [Timestamp::MIN, Timestamp::MAX] {
        let _ = (berlin.opening(edge), berlin.next_open(edge));
        let _ = berlin.open_time(Timestamp::MIN, edge);
        let clock = RolloutClock::starting_at(edge).settled(Timestamp::MAX, &berlin);
        let _ = clock.reaches(SignedDuration::MAX, Timestamp::MIN, &berlin);
    }
}

#[test]
fn a_clock_stands_still_until_every_reason_to_stop_is_gone() {
    let always = Calendar::default();
    let hours = |clock: &RolloutClock, now: &str| clock.running(at(now), &always).as_hours();
    let clock = RolloutClock::starting_at(at("2026-01-01T00:00Z"));
    assert_eq!(hours(&clock, "2025-12-31T00:00Z"), 0);
    let clock = clock.stopped(Stop::Held, at("2026-01-01T03:00Z"), &always);
    let clock = clock.stopped(Stop::Halted, at("2026-01-01T04:00Z"), &always);
    let clock = clock.released(Stop::Held, at("2026-01-01T09:00Z"), &always);
    assert_eq!(hours(&clock, "2026-01-01T12:00Z"), 3);
    assert_eq!(
        clock.reaches(SignedDuration::from_hours(4), at("2026-01-01T12:00Z"), &always),
        None
    );
    let clock = clock.released(Stop::Halted, at("2026-01-01T12:00Z"), &always);
    assert_eq!(hours(&clock, "2026-01-01T14:00Z"), 5);
    assert_eq!(
        clock.reaches(SignedDuration::from_hours(6), at("2026-01-01T14:00Z"), &always),
        Some(at("2026-01-01T15:00Z"))
    );
}

#[test]
fn a_hold_before_the_start_delays_nothing_when_it_is_lifted_in_time() {
    let always = Calendar::default();
    let clock = RolloutClock::starting_at(at("2026-01-02T00:00Z"))
        .stopped(Stop::Held, at("2026-01-01T00:00Z"), &always)
        .released(Stop::Held, at("2026-01-01T12:00Z"), &always);
    assert_eq!(clock.running(at("2026-01-02T01:00Z"), &always).as_hours(), 1);
}

#[test]
fn time_that_was_counted_stays_when_now_jumps_back() {
    let always = Calendar::default();
    let clock = RolloutClock::starting_at(at("2026-01-01T00:00Z"))
        .settled(at("2026-01-01T05:00Z"), &always);
    assert_eq!(clock.running(at("2026-01-01T01:00Z"), &always).as_hours(), 5);
}

const DAYS: [(Day, Weekday); 7] = [
    (Day::Mon, Weekday::Monday),
    (Day::Tue, Weekday::Tuesday),
    (Day::Wed, Weekday::Wednesday),
    (Day::Thu, Weekday::Thursday),
    (Day::Fri, Weekday::Friday),
    (Day::Sat, Weekday::Saturday),
    (Day::Sun, Weekday::Sunday),
];

/// The open minutes from `from` to `to`, found by watching a wall clock minute by minute.
fn open_minutes(zone: &str, windows: &[Window], from: Timestamp, to: Timestamp) -> BTreeSet<i64> {
    let zone = TimeZone::get(zone).unwrap();
    let minute = SignedDuration::from_mins(1);
    let mut open = BTreeSet::new();
    let mut seen: BTreeSet<DateTime> = BTreeSet::new();
    let mut now = from - SignedDuration::from_hours(9 * 24);
    let mut wall_before = zone.to_datetime(now - minute);
    while now < to {
        let wall = zone.to_datetime(now);
        // The wall minutes that begin now: one, or more where the clocks go forward. A minute seen
        // before comes a second time and opens nothing.
        let mut showing = wall_before.checked_add(1.minute()).unwrap().min(wall);
        let mut late = 0;
        while showing <= wall {
            let shown_late = if showing == wall { 0 } else { late };
            if seen.insert(showing) {
                for window in windows {
                    let (day, _) = DAYS.iter().find(|d| d.1 == showing.weekday()).unwrap();
                    if window.start == showing.time() && window.days.contains(day) {
                        let opens = now.as_second() / 60 + shown_late;
                        open.extend(opens..opens + i64::from(window.duration.secs() / 60));
                    }
                }
            }
            showing = showing.checked_add(1.minute()).unwrap();
            late += 1;
        }
        wall_before = wall;
        now += minute;
    }
    open.range(from.as_second() / 60..to.as_second() / 60).copied().collect()
}

fn any_window() -> impl Strategy<Value = Window> {
    (
        prop::collection::btree_set(0_usize..7, 1..5),
        prop_oneof![3 => 0_i8..4, 1 => 0_i8..24],
        0_i8..60,
        1_u32..1200,
    )
        .prop_map(|(days, hour, minute, length)| Window {
            days: days.into_iter().map(|day| DAYS[day].0).collect(),
            start: Time::new(hour, minute, 0, 0).unwrap(),
            duration: Period::from_mins(length),
        })
}

/// Zones and days on which their clocks change: an hour, half an hour, a whole day skipped.
const CHANGES: [(&str, &str); 7] = [
    ("Europe/Berlin", "2026-03-29T00:00Z"),
    ("Europe/Berlin", "2026-10-25T00:00Z"),
    ("America/New_York", "2026-03-08T05:00Z"),
    ("America/New_York", "2026-11-01T05:00Z"),
    ("Australia/Lord_Howe", "2026-04-04T15:00Z"),
    ("Australia/Lord_Howe", "2026-10-03T15:30Z"),
    ("UTC", "2026-06-01T00:00Z"),
];

fn with_windows(
    zone: &str,
    windows: &[Window],
    freeze: Option<(Timestamp, Timestamp)>,
) -> Calendar {
    let freezes: Vec<_> = freeze
        .iter()
        .map(|(from, until)| serde_json::json!({"from": from, "until": until, "reason": "test"}))
        .collect();
    let value = serde_json::json!({"time_zone": zone, "windows": windows, "freezes": freezes});
    serde_json::from_value(value).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn open_time_equals_a_walk_minute_by_minute(
        change in 0_usize..CHANGES.len(),
        windows in prop::collection::vec(any_window(), 1..4),
        begin in -4000_i64..3000, length in 0_i64..6000,
        freeze in prop::option::of((-4000_i64..4000, 1_i64..3000)),
        wanted in 0_i64..4000,
    ) {
        let (zone, around) = CHANGES[change];
        let minutes = |count: i64| SignedDuration::from_mins(count);
        let freeze = freeze.map(|(from, length)| {
            (at(around) + minutes(from), at(around) + minutes(from + length))
        });
        let calendar = with_windows(zone, &windows, freeze);
        let (from, to) = (at(around) + minutes(begin), at(around) + minutes(begin + length));
        let mut open = open_minutes(zone, &windows, from, to);
        if let Some((begins, ends)) = freeze {
            open.retain(|m| *m < begins.as_second() / 60 || *m >= ends.as_second() / 60);
        }
        let count = i64::try_from(open.len()).unwrap();
        prop_assert_eq!(calendar.open_time(from, to), minutes(count));
        for minute in &open {
            let begins = Timestamp::from_second(minute * 60).unwrap();
            prop_assert!(calendar.is_open(begins));
        }
        // The inverse: the minute that begins when `wanted` open minutes are over.
        if let Some(minute) = usize::try_from(wanted).ok().and_then(|n| open.iter().nth(n)) {
            let expected = Timestamp::from_second(minute * 60).unwrap();
            prop_assert_eq!(calendar.after(from, minutes(wanted)), Some(expected));
        }
    }

    #[test]
    fn running_time_equals_a_walk_minute_by_minute(
        change in 0_usize..CHANGES.len(),
        windows in prop::collection::vec(any_window(), 1..3),
        start in -2000_i64..2000,
        events in prop::collection::vec((1_i64..900, 0_usize..7), 0..8),
    ) {
        let (zone, around) = CHANGES[change];
        let calendar = with_windows(zone, &windows, None);
        let minute_at = |m: i64| at(around) + SignedDuration::from_mins(m);
        let mut clock = RolloutClock::starting_at(minute_at(start));
        let open = open_minutes(zone, &windows, minute_at(-2000), minute_at(6000));
        let (mut now, mut running) = (-2000_i64, 0_i64);
        let mut stops = BTreeSet::new();
        for (wait, event) in events {
            for minute in now..now + wait {
                let is_open = open.contains(&(minute_at(minute).as_second() / 60));
                running += i64::from(minute >= start && stops.is_empty() && is_open);
            }
            now += wait;
            let stop = [Stop::Held, Stop::Halted, Stop::Blind][event % 3];
            match event {
                0..3 => {
                    clock = clock.stopped(stop, minute_at(now), &calendar);
                    stops.insert(stop);
                }
                3..6 => {
                    clock = clock.released(stop, minute_at(now), &calendar);
                    stops.remove(&stop);
                }
                _ => clock = clock.settled(minute_at(now), &calendar),
            }
            let counted = clock.running(minute_at(now), &calendar);
            prop_assert_eq!(counted, SignedDuration::from_mins(running));
            prop_assert_eq!(clock.stops(), &stops);
        }
    }
}
