//! Caps: how many may go now, and when there is room.

use super::{at, labels};
use crate::rollout::caps::{PerFailureDomain, PerPeriod};
use crate::rollout::{Caps, Load, Period, WhyNot};

fn caps() -> Caps {
    Caps {
        concurrent: Some(3),
        per_period: Some(PerPeriod { grants: 2, period: Period::from_hours(1) }),
        per_failure_domain: Some(PerFailureDomain { label: "site".into(), concurrent: 1 }),
    }
}

#[test]
fn without_caps_there_is_room_for_everybody() {
    let (caps, load) = (Caps::default(), Load::default());
    let now = at("2026-01-01T00:00Z");
    assert_eq!(caps.room(&load, now), u32::MAX);
    assert_eq!(caps.why_not(&load, &labels(&[]), now), []);
}

#[test]
fn clusters_on_their_way_fill_the_concurrent_cap_until_they_end() {
    let caps = Caps { concurrent: Some(2), ..Caps::default() };
    let (mut load, none) = (Load::default(), labels(&[]));
    let now = at("2026-01-01T00:00Z");
    load.count_in_flight(&caps, &none);
    assert_eq!(caps.room(&load, now), 1);
    load.count_in_flight(&caps, &none);
    assert_eq!((caps.room(&load, now), load.in_flight()), (0, 2));
    let full = WhyNot::CapConcurrent { in_flight: 2, limit: 2 };
    assert_eq!(full.earliest_at(), None);
    assert_eq!(caps.why_not(&load, &none, now), [full]);
    load.end_in_flight(&caps, &none);
    assert_eq!(caps.why_not(&load, &none, now), []);
}

#[test]
fn the_period_slides_and_says_when_there_is_room_again() {
    let caps = Caps { concurrent: None, per_failure_domain: None, ..caps() };
    let (mut load, none) = (Load::default(), labels(&[]));
    for when in ["2026-01-01T00:00Z", "2026-01-01T00:20Z", "2026-01-01T00:40Z"] {
        load.count_grant(&caps, at(when));
    }
    let now = at("2026-01-01T00:50Z");
    let frees_at = Some(at("2026-01-01T01:20Z"));
    let period = Period::from_hours(1);
    let full = WhyNot::CapPeriod { granted: 3, limit: 2, period, frees_at };
    assert_eq!(caps.why_not(&load, &none, now), [full]);
    assert_eq!(caps.room(&load, now), 0);
    let later = at("2026-01-01T01:20Z");
    assert_eq!((caps.room(&load, later), caps.why_not(&load, &none, later)), (1, vec![]));
}

#[test]
fn a_period_without_grants_frees_never() {
    let per_period = Some(PerPeriod { grants: 0, period: Period::from_hours(1) });
    let caps = Caps { per_period, ..Caps::default() };
    let why = caps.why_not(&Load::default(), &labels(&[]), at("2026-01-01T00:00Z"));
    assert!(matches!(why.as_slice(), [WhyNot::CapPeriod { frees_at: None, limit: 0, .. }]));
}

#[test]
fn a_failure_domain_is_full_for_its_own_clusters_only() {
    let (caps, mut load) = (caps(), Load::default());
    let now = at("2026-01-01T00:00Z");
    let (here, there) = (labels(&[("site", "a")]), labels(&[("site", "b")]));
    load.count_in_flight(&caps, &here);
    let why = caps.why_not(&load, &here, now);
    assert!(
        matches!(&why[..], [WhyNot::CapFailureDomain { domain, in_flight: 1, .. }] if domain == "a")
    );
    assert_eq!(caps.why_not(&load, &there, now), []);
    // Clusters nobody labelled share one domain: nothing says that they do not fail together.
    let unlabelled = labels(&[]);
    load.count_in_flight(&caps, &unlabelled);
    assert_eq!(caps.why_not(&load, &unlabelled, now).len(), 1);
}
