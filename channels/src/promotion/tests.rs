//! The rule, reason by reason.

use jiff::Timestamp;

use super::*;
use crate::repository::tests::{SETTINGS, release, workspace};

pub(super) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// candidate -> fast (one day) -> stable (a week, 1.x.y only, errata public).
pub(super) fn product(candidate: &str, fast: &str, stable: &str) -> ProductSource {
    let one = release("1.0.0", "upgrade_from: []\nurl: https://e.com/1\n");
    let two = release("1.1.0", "upgrade_from: [\"<1.1.0\"]\nurl: https://e.com/2\n");
    let three = release("2.0.0", "upgrade_from: [\"<2.0.0\"]\n");
    let candidate = format!("name: candidate\n{candidate}");
    let fast = format!("name: fast\nfeeder: {{name: candidate, delay: P1D}}\n{fast}");
    let stable = format!(
        "name: stable\nfeeder: {{name: fast, delay: P1W, errata: public, filter: '1[.].*'}}\n\
         {stable}"
    );
    let files = [
        ("app/fairway.toml", SETTINGS),
        ("app/releases/1.0.0.yaml", &one),
        ("app/releases/1.1.0.yaml", &two),
        ("app/releases/2.0.0.yaml", &three),
        ("app/channels/candidate.yaml", &candidate),
        ("app/channels/fast.yaml", &fast),
        ("app/channels/stable.yaml", &stable),
    ];
    workspace(&files).unwrap().products.remove(0)
}

const ALL: &str = "versions: [1.0.0, 1.1.0, 2.0.0]\n";

fn waits(product: &ProductSource, record: &str, to: &str, version: &str, now: &str) -> Verdict {
    let record = Record::parse(record).unwrap();
    let facts = Facts { product, record: &record, history: &HealthHistory::default() };
    verdict(&facts, &to.parse().unwrap(), &version.parse().unwrap(), at(now))
}

#[test]
fn a_release_enters_when_its_delay_is_over_and_not_a_second_before() {
    let product = product(ALL, "versions: [1.0.0]\n", "versions: [1.0.0]\n");
    let record = "entered:\n- {channel: candidate, version: 1.1.0, at: 2026-05-01T10:00:00Z}\n";
    let early = waits(&product, record, "fast", "1.1.0", "2026-05-02T09:59:59Z");
    let until = at("2026-05-02T10:00:00Z");
    assert_eq!(early.waits, [Wait::Delay { until }]);
    assert_eq!(early.earliest, Some(until));
    assert!(waits(&product, record, "fast", "1.1.0", "2026-05-02T10:00:00Z").may_enter());
}

#[test]
fn the_first_channel_is_entered_at_release_and_later_ones_only_by_record() {
    let product = product(ALL, "versions: [1.0.0, 1.1.0]\n", "versions: [1.0.0]\n");
    let first = waits(&product, "", "fast", "2.0.0", "2025-03-18T12:00:00Z");
    assert_eq!(first.entered, Some(at("2025-03-18T00:00:00Z")));
    assert_eq!(first.waits, [Wait::Delay { until: at("2025-03-19T00:00:00Z") }]);
    let second = waits(&product, "", "stable", "1.1.0", "2030-01-01T00:00:00Z");
    assert_eq!(second.waits, [Wait::EntryUnknown { feeder: "fast".parse().unwrap() }]);
    assert_eq!(second.earliest, None);
}

#[test]
fn filter_and_errata_keep_a_release_out_whatever_the_time() {
    let product = product(ALL, ALL, "versions: [1.0.0]\n");
    let record = "entered:\n- {channel: fast, version: 2.0.0, at: 2026-01-01T00:00:00Z}\n";
    let verdict = waits(&product, record, "stable", "2.0.0", "2030-01-01T00:00:00Z");
    assert_eq!(verdict.waits, [Wait::Filtered { filter: "1[.].*".into() }, Wait::NoErratum]);
    assert_eq!(verdict.earliest, None);
}

#[test]
fn a_filter_matches_whole_versions() {
    let product = product("versions: [1.0.0]\n", "versions: [1.0.0]\n", "versions: []\n");
    let eleven = waits(&product, "", "stable", "11.0.0", "2030-01-01T00:00:00Z");
    assert!(eleven.waits.contains(&Wait::Filtered { filter: "1[.].*".into() }), "{eleven:?}");
}

#[test]
fn what_was_withdrawn_further_up_is_never_promoted() {
    let candidate = "versions: [1.0.0]\ntombstones: [1.1.0]\n";
    let product = product(candidate, "versions: [1.0.0, 1.1.0]\n", "versions: [1.0.0]\n");
    let record = "entered:\n- {channel: fast, version: 1.1.0, at: 2026-01-01T00:00:00Z}\n";
    let verdict = waits(&product, record, "stable", "1.1.0", "2030-01-01T00:00:00Z");
    assert_eq!(verdict.waits, [Wait::Tombstone { channel: "candidate".parse().unwrap() }]);
    assert!(!verdict.waits[0].may_be_overruled());
}

#[test]
fn what_does_not_exist_is_named() {
    let product = product(ALL, "versions: [1.0.0]\n", "versions: [1.0.0]\n");
    let now = "2030-01-01T00:00:00Z";
    assert_eq!(waits(&product, "", "beta", "1.0.0", now).waits, [Wait::NoChannel]);
    assert_eq!(
        waits(&product, "", "candidate", "1.0.0", now).waits,
        [Wait::AlreadyIn, Wait::NotFed]
    );
    let unknown = waits(&product, "", "fast", "1.9.0", now).waits;
    assert_eq!(
        unknown,
        [
            Wait::NoRelease,
            Wait::NotInFeeder { feeder: "candidate".parse().unwrap() },
            Wait::EntryUnknown { feeder: "candidate".parse().unwrap() }
        ]
    );
}

#[test]
fn a_feeder_that_does_not_exist_and_a_delay_into_the_past_are_refused() {
    let one = release("1.0.0", "upgrade_from: []\n");
    let files = [
        ("app/fairway.toml", SETTINGS),
        ("app/releases/1.0.0.yaml", one.as_str()),
        ("app/channels/a.yaml", "name: a\nversions: [1.0.0]\n"),
        ("app/channels/b.yaml", "name: b\nfeeder: {name: a, delay: -P1D}\n"),
        ("app/channels/c.yaml", "name: c\nfeeder: {name: nowhere}\n"),
    ];
    let product = workspace(&files).unwrap().products.remove(0);
    let now = "2030-01-01T00:00:00Z";
    assert_eq!(waits(&product, "", "b", "1.0.0", now).waits, [Wait::DelayUnusable]);
    let nowhere = Wait::NoFeeder { feeder: "nowhere".parse().unwrap() };
    assert_eq!(waits(&product, "", "c", "1.0.0", now).waits, [nowhere]);
}

#[test]
fn soak_counts_whole_healthy_days_in_a_row() {
    let product = product(ALL, "versions: [1.0.0, 1.1.0]\n", "versions: [1.0.0]\n");
    let record = "soak:\n  stable: {days: 3, clusters: 10}\nentered:\n- {channel: fast, version: \
                  1.1.0, at: 2026-05-01T10:00:00Z}\n";
    let record = Record::parse(record).unwrap();
    let day = |date: &str, healthy, unhealthy| HealthDay {
        channel: "fast".parse().unwrap(),
        version: "1.1.0".parse().unwrap(),
        date: date.parse().unwrap(),
        healthy,
        unhealthy,
    };
    let soaked = |days: &[HealthDay], now: &str| {
        let history = HealthHistory { days: days.to_vec() };
        let facts = Facts { product: &product, record: &record, history: &history };
        verdict(&facts, &"stable".parse().unwrap(), &"1.1.0".parse().unwrap(), at(now))
    };
    let short = |healthy_days| Wait::Soak { healthy_days, days: 3, clusters: 10 };
    let mut days =
        vec![day("2026-05-01", 50, 0), day("2026-05-06", 10, 0), day("2026-05-07", 4, 0)];
    days.push(day("2026-05-07", 6, 0));
    let now = "2026-05-09T12:00:00Z";
    let first = soaked(&days, now);
    assert_eq!(first.waits, [short(2)], "the day of entry does not count, parts of a day add up");
    assert_eq!(first.earliest, Some(at("2026-05-10T00:00:00Z")));
    days.push(day("2026-05-08", 9, 0));
    assert_eq!(soaked(&days, now).waits, [short(2)], "too few clusters add nothing");
    days.push(day("2026-05-09", 10, 0));
    assert_eq!(soaked(&days, now).waits, [short(2)], "today is not over");
    assert!(soaked(&days, "2026-05-10T00:00:00Z").may_enter());
    days.push(day("2026-05-08", 0, 1));
    assert_eq!(soaked(&days, "2026-05-10T00:00:00Z").waits, [short(1)], "one starts afresh");
}

#[test]
fn due_goes_on_through_channels_without_delay() {
    let one = release("1.0.0", "upgrade_from: []\n");
    let files = [
        ("app/fairway.toml", SETTINGS),
        ("app/releases/1.0.0.yaml", one.as_str()),
        ("app/channels/a.yaml", "name: a\nversions: [1.0.0]\n"),
        ("app/channels/b.yaml", "name: b\nfeeder: {name: a, delay: P1D}\n"),
        ("app/channels/c.yaml", "name: c\nfeeder: {name: b, delay: PT0H}\n"),
        ("app/channels/d.yaml", "name: d\nfeeder: {name: c, delay: PT1H}\n"),
    ];
    let product = workspace(&files).unwrap().products.remove(0);
    let record = Record::default();
    let facts = Facts { product: &product, record: &record, history: &HealthHistory::default() };
    let entries = due(&facts, at("2026-05-01T00:00:00Z"));
    let into: Vec<&str> = entries.iter().map(|entry| entry.channel.as_str()).collect();
    assert_eq!(into, ["b", "c"]);
}

#[test]
fn a_record_that_cannot_be_read_is_an_error_and_not_an_empty_one() {
    assert_eq!(Record::parse("# nothing yet\n").unwrap(), Record::default());
    let error = Record::parse("entred: []\n").unwrap_err();
    assert!(error.to_string().starts_with("unknown field"), "{error}");
}
