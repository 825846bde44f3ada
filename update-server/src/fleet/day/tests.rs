//! What counts as a healthy day, and what is remembered over a restart.

use super::super::tests::{cluster, kafka};
use super::super::{ClusterRecord, ProductRecord};
use super::*;
use jiff::Timestamp;

const NOON: i64 = 1_790_000_000;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// A cluster that reported just now.
fn says(n: u32, second: i64, product: ProductRecord) -> (Slot, ClusterRecord, Timestamp) {
    (Slot(n), cluster(n, Some(second), vec![product]), at(second))
}

fn hear(fleet: &mut FleetIndex, n: u32, second: i64, product: ProductRecord) {
    let (slot, record, now) = says(n, second, product);
    fleet.apply(slot, &record, now);
}

fn sick(version: &str) -> ProductRecord {
    let mut product = kafka(version, Phase::Idle);
    product.health.verdict = HealthVerdict::Unhealthy;
    product
}

fn well(version: &str) -> ProductRecord {
    kafka(version, Phase::Idle)
}

/// Clusters that were there and well when the day began.
fn fleet_of(count: u32) -> FleetIndex {
    let mut fleet = FleetIndex::new(300);
    for n in 0..count {
        hear(&mut fleet, n, NOON, well("1.0.0"));
    }
    fleet.begin_day(7);
    fleet
}

/// Healthy, unhealthy, unknown on a release.
fn counts(fleet: &FleetIndex, version: &str) -> [u64; 3] {
    let found = fleet.day_counts();
    let row = found.iter().find(|row| row.version.to_string() == version);
    row.map_or([0; 3], |row| [row.healthy, row.unhealthy, row.unknown])
}

#[test]
fn a_cluster_is_healthy_for_a_day_that_every_report_called_so() {
    let mut fleet = fleet_of(5);
    hear(&mut fleet, 0, NOON + 300, well("1.0.0"));
    hear(&mut fleet, 1, NOON + 300, sick("1.0.0"));
    hear(&mut fleet, 1, NOON + 600, well("1.0.0"));
    let mut unknown = well("1.0.0");
    unknown.health.verdict = HealthVerdict::Unknown;
    hear(&mut fleet, 2, NOON + 300, unknown);
    hear(&mut fleet, 2, NOON + 600, well("1.0.0"));
    hear(&mut fleet, 3, NOON + 300, kafka("1.0.0", Phase::Paused));
    hear(&mut fleet, 3, NOON + 600, well("1.0.0"));
    hear(&mut fleet, 5, NOON + 600, well("1.0.0"));
    assert_eq!(counts(&fleet, "1.0.0"), [2, 2, 2], "0 and 4; 1 and 3; 2, and 5 which is new");
    fleet.begin_day(8);
    assert_eq!(counts(&fleet, "1.0.0"), [6, 0, 0]);
}

#[test]
fn silence_is_no_health_even_if_it_ends() {
    let mut fleet = fleet_of(2);
    hear(&mut fleet, 0, NOON + 3_000, well("1.0.0"));
    fleet.sweep(at(NOON + 3_000));
    assert_eq!(counts(&fleet, "1.0.0"), [1, 0, 1]);
    hear(&mut fleet, 1, NOON + 3_100, well("1.0.0"));
    assert_eq!(counts(&fleet, "1.0.0"), [1, 0, 1]);
}

#[test]
fn whoever_moves_has_no_whole_day_and_whoever_goes_back_speaks_against_what_it_left() {
    let mut fleet = fleet_of(3);
    hear(&mut fleet, 0, NOON + 300, well("1.0.1"));
    hear(&mut fleet, 1, NOON + 300, sick("1.0.0"));
    hear(&mut fleet, 1, NOON + 600, well("1.0.1"));
    hear(&mut fleet, 2, NOON + 300, well("1.0.1"));
    hear(&mut fleet, 2, NOON + 600, well("1.0.0"));
    assert_eq!(counts(&fleet, "1.0.0"), [0, 1, 1], "1 was unhealthy on it; 2 came back");
    assert_eq!(counts(&fleet, "1.0.1"), [0, 1, 2], "2 went back from it");
}

#[test]
fn a_restart_goes_on_with_the_day_and_trusts_nothing_that_happened_meanwhile() {
    let mut fleet = fleet_of(3);
    hear(&mut fleet, 1, NOON + 300, sick("1.0.0"));
    hear(&mut fleet, 1, NOON + 600, well("1.0.0"));
    hear(&mut fleet, 2, NOON + 300, well("1.0.1"));
    hear(&mut fleet, 2, NOON + 600, well("1.0.0"));
    let bytes = fleet.packed_day();
    let restart = |bytes: &[u8], changed: &[Slot]| {
        let mut again = FleetIndex::new(300);
        for n in 0..3 {
            hear(&mut again, n, NOON + 600, well("1.0.0"));
        }
        again.resume_day(7, bytes, changed);
        again
    };
    let again = restart(&bytes, &[]);
    assert_eq!((again.day(), again.day_counts()), (7, fleet.day_counts()));
    assert_eq!(counts(&restart(&bytes, &[Slot(0)]), "1.0.0"), [0, 1, 2]);
    for bytes in [&b""[..], b"no marks", &bytes[..bytes.len() - 4]] {
        let [healthy, ..] = counts(&restart(bytes, &[]), "1.0.0");
        assert_eq!(healthy, u64::from(bytes.len() > 20), "only what is there is believed");
    }
}

#[test]
fn a_day_with_more_names_than_there_can_be_proves_nothing() {
    let mut fleet = fleet_of(1);
    for n in 0..=MAX_LEFT {
        hear(&mut fleet, 0, NOON + 300, sick(&format!("1.0.{n}")));
    }
    hear(&mut fleet, 0, NOON + 300, sick("2.0.0"));
    assert_eq!(fleet.day_counts(), []);
    fleet.begin_day(8);
    assert_eq!(counts(&fleet, "2.0.0"), [0, 1, 0]);
}
