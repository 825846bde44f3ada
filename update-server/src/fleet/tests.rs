//! Counters against a recount, pages against filters, rows against records.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::*;
use crate::directive::{Ledger, ReleaseFacts};
use crate::events::fleet_counters;
use crate::served::Served;
use channels::rollout::Labels;
use channels::wire::{
    Drift, DriftState, HealthSummary, HealthVerdict, Phase, Progress, Reason, WaitingOn,
};
use jiff::SignedDuration;
use proptest::prelude::*;

pub(super) const NOW: i64 = 1_790_000_000;

pub(super) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// Everything up to 1.0.3 is on a straight line to that head; 9.x is off the graph.
#[derive(Debug)]
pub(crate) struct Line;

impl Served for Line {
    fn facts(&self, _: &GraphKey, _: &ReleaseVersion, _: &ReleaseVersion) -> ReleaseFacts {
        ReleaseFacts::default()
    }

    fn drift(&self, _: &GraphKey, version: &ReleaseVersion, _: Timestamp) -> Drift {
        let patch = version.semver().patch;
        let (state, hops) = match (version.semver().major, patch) {
            (1, 3) => (DriftState::Current, Some(0)),
            (1, _) => (DriftState::Behind, Some(u32::try_from(3 - patch).unwrap())),
            _ => (DriftState::OffGraph, None),
        };
        Drift {
            state,
            hops,
            behind_minor: 0,
            behind_patch: 0,
            age_days: None,
            head: Some("1.0.3".parse().unwrap()),
            eol: (version.to_string() == "1.0.1").then(|| "2026-09-21".parse().unwrap()),
        }
    }

    fn has_graph(&self, _: &GraphKey) -> bool {
        true
    }

    fn has_version(&self, _: &GraphKey, version: &ReleaseVersion) -> bool {
        version.semver().major == 1 && version.semver().patch <= 3
    }

    fn generation(&self) -> u64 {
        1
    }

    fn timestamp_etag(&self) -> Option<String> {
        None
    }
}

fn product(name: &str, version: &str, phase: Phase, verdict: HealthVerdict) -> ProductRecord {
    ProductRecord {
        graph: GraphKey {
            product: name.parse().unwrap(),
            channel: "stable".parse().unwrap(),
            arch: "amd64".parse().unwrap(),
        },
        version: version.parse().unwrap(),
        target: None,
        phase,
        since: at(NOW),
        unit: None,
        progress: None,
        health: HealthSummary { verdict, ..HealthSummary::default() },
        waiting_on: Vec::new(),
        why_not: Vec::new(),
        failure: None,
        accepted_risks: Vec::new(),
    }
}

/// Every third cluster has none; the others share two sets.
fn labels(n: u32) -> Arc<Labels> {
    let ring = ["canary", "prod"].get(usize::try_from(n % 3).unwrap());
    Arc::new(ring.map(|ring| ("ring".to_owned(), (*ring).to_owned())).into_iter().collect())
}

pub(crate) fn cluster(
    n: u32,
    last_seen: Option<i64>,
    products: Vec<ProductRecord>,
) -> ClusterRecord {
    ClusterRecord {
        id: ClusterId(uuid::Uuid::from_u128(u128::from(n) + 1)),
        name: format!("site-{n}"),
        key: ClusterKey { bytes: [1; 32], id: Sha256Digest::of(&n.to_be_bytes()) },
        former: None,
        elder: None,
        labels: labels(n),
        settings: Arc::default(),
        enrolled_at: at(NOW - 1000),
        retired_at: None,
        agent_version: "0.1.0".to_owned(),
        last_seen: last_seen.map(at),
        seq: 5,
        instance: None,
        conflict_since: None,
        revoked: None,
        ledger: Ledger::default(),
        products,
    }
}

fn fleet_of(clusters: &[ClusterRecord]) -> FleetIndex {
    let mut fleet = FleetIndex::new(300);
    for (n, record) in (0..).zip(clusters) {
        fleet.apply(Slot(n), record, at(NOW));
    }
    fleet
}

pub(crate) fn kafka(version: &str, phase: Phase) -> ProductRecord {
    product("acme/kafka", version, phase, HealthVerdict::Healthy)
}

#[test]
fn a_record_survives_its_row() {
    let mut full = kafka("1.0.0", Phase::Mutate);
    full.target = Some("1.0.1".parse().unwrap());
    full.unit = Some("controller-2".parse().unwrap());
    full.progress = Some(Progress { done: 1, total: 3 });
    full.health.quorum_lag_ms = Some(120);
    full.health.quorum_lag_unit = Some("controller-1".parse().unwrap());
    full.health.since = Some(at(NOW - 3));
    full.why_not = vec![Reason { code: "held".to_owned(), message: "m".to_owned() }];
    full.waiting_on = vec![WaitingOn {
        gate: "quorum_lag".to_owned(),
        unit: None,
        message: "m".to_owned(),
        observed: Some(1.5),
        limit: Some(1.0),
        since: None,
    }];
    let record = cluster(0, Some(NOW), vec![full, kafka("1.0.3", Phase::Idle)]);
    let fleet = fleet_of(std::slice::from_ref(&record));
    assert_eq!(fleet.record(Slot(0)), Some(record));
}

#[test]
fn a_cluster_that_invents_names_keeps_nobody_elses_report_out() {
    let mut fleet = fleet_of(&[
        cluster(0, Some(NOW), vec![kafka("1.0.1", Phase::Idle)]),
        cluster(1, Some(NOW), Vec::new()),
    ]);
    let mut moving = kafka("8.0.0", Phase::Mutate);
    moving.target = Some("8.0.1".parse().unwrap());
    fleet.apply(Slot(1), &cluster(1, Some(NOW), vec![moving]), at(NOW));
    let before = (fleet.record(Slot(0)), fleet.record(Slot(1)));
    let inventor = |version: &str| cluster(2, Some(NOW), vec![kafka(version, Phase::Idle)]);
    for n in 0.. {
        let record = inventor(&format!("9.0.{n}"));
        if !fleet.has_room_for(&record.products, &Line) {
            break;
        }
        fleet.apply(Slot(2), &record, at(NOW));
    }
    assert!(fleet.has_room_for(&[kafka("1.0.3", Phase::Idle)], &Line), "that one is served");
    assert!(!fleet.has_room_for(&[kafka("7.0.0", Phase::Idle)], &Line));
    assert!(fleet.sweep(at(NOW)));
    assert!(fleet.has_room_for(&[kafka("7.0.0", Phase::Idle)], &Line), "a sweep made room");
    assert_eq!((fleet.record(Slot(0)), fleet.record(Slot(1))), before);
    let records: Vec<_> = (0..3).filter_map(|n| fleet.record(Slot(n))).collect();
    let (mut memo, mut fresh) = (DriftMemo::default(), DriftMemo::default());
    assert_eq!(
        fleet.drift(&mut View::new(at(NOW), &Line, &mut memo)),
        fleet_of(&records).drift(&mut View::new(at(NOW), &Line, &mut fresh))
    );
    assert!(!fleet.sweep(at(NOW)), "once is enough");
}

#[test]
fn silent_clusters_leave_the_figures_but_stay_visible() {
    let silent = cluster(1, Some(NOW - 4000), vec![kafka("1.0.0", Phase::Idle)]);
    let never = cluster(2, None, Vec::new());
    let active = cluster(0, Some(NOW), vec![kafka("1.0.1", Phase::Waiting)]);
    let fleet = fleet_of(&[active, silent, never]);
    let mut memo = DriftMemo::default();
    let mut view = View::new(at(NOW), &Line, &mut memo);
    let totals = fleet.drift(&mut view).items.remove(0);
    assert_eq!((totals.active, totals.silent, totals.behind), (1, 1, 1));
    assert_eq!((totals.stopped, totals.hops_max), (1, Some(2)));
    assert_eq!(totals.versions.len(), 1);
    let (all, _) = fleet.page(&ClusterFilter::default(), None, 10, &mut view);
    assert_eq!(all.len(), 3);
}

#[test]
fn time_alone_moves_a_cluster_out_of_the_figures() {
    let mut fleet = fleet_of(&[cluster(0, Some(NOW), vec![kafka("1.0.1", Phase::Idle)])]);
    let mut memo = DriftMemo::default();
    fleet.sweep(at(NOW + 4000));
    let totals = fleet.drift(&mut View::new(at(NOW + 4000), &Line, &mut memo)).items.remove(0);
    assert_eq!((totals.active, totals.silent), (0, 1));
    assert_eq!(fleet.freshness_counts().get(&Freshness::Silent), Some(&1));
}

#[test]
fn a_retired_cluster_is_gone_and_its_name_is_free() {
    let mut retired = cluster(0, Some(NOW), vec![kafka("1.0.1", Phase::Idle)]);
    let mut fleet = fleet_of(std::slice::from_ref(&retired));
    retired.retired_at = Some(at(NOW));
    fleet.apply(Slot(0), &retired, at(NOW));
    let mut memo = DriftMemo::default();
    let mut view = View::new(at(NOW), &Line, &mut memo);
    assert!(fleet.drift(&mut view).items.is_empty());
    assert!(fleet.cluster(retired.id, &mut view).is_none());
    assert_eq!(fleet.slot_of_name("site-0"), None);
    assert!(fleet.identity(&retired.key.id).unwrap().retired, "its key is still known");
}

#[test]
fn filters_hold_for_one_and_the_same_product() {
    let mixed = cluster(
        0,
        Some(NOW),
        vec![
            kafka("1.0.1", Phase::Idle),
            product("acme/os", "9.0.0", Phase::Soak, HealthVerdict::Unknown),
        ],
    );
    let fleet = fleet_of(&[mixed]);
    let mut memo = DriftMemo::default();
    let mut view = View::new(at(NOW), &Line, &mut memo);
    let mut count = |filter: ClusterFilter| fleet.page(&filter, None, 10, &mut view).0.len();
    let os = || ClusterFilter { product: Some("acme/os".parse().unwrap()), ..Default::default() };
    assert_eq!(count(os()), 1);
    assert_eq!(count(ClusterFilter { phase: Some(Phase::Soak), ..os() }), 1);
    assert_eq!(count(ClusterFilter { phase: Some(Phase::Idle), ..os() }), 0);
    assert_eq!(count(ClusterFilter { version: Some("7.7.7".parse().unwrap()), ..os() }), 0);
    let named = |p: &str| ClusterFilter { name_prefix: Some(p.to_owned()), ..Default::default() };
    assert_eq!((count(named("site")), count(named("b"))), (1, 0));
}

#[test]
fn a_selector_finds_clusters_by_the_labels_they_have_by_then() {
    let clusters: Vec<_> = (0..7).map(|n| cluster(n, Some(NOW), vec![])).collect();
    let mut fleet = fleet_of(&clusters);
    assert_eq!(fleet.label_sets().len(), 3, "each set once, and the empty one");
    let count = |fleet: &FleetIndex, text: &str| {
        let filter = ClusterFilter { selector: Some(text.parse().unwrap()), ..Default::default() };
        let mut memo = DriftMemo::default();
        fleet.page(&filter, None, 10, &mut View::new(at(NOW), &Line, &mut memo)).0.len()
    };
    let asked = ["ring=canary", "ring=prod", "ring", "!ring", "ring!=canary", "x"];
    assert_eq!(asked.map(|text| count(&fleet, text)), [3, 2, 5, 2, 4, 0]);
    let moved = ClusterRecord { labels: labels(1), ..clusters[0].clone() };
    fleet.apply(Slot(0), &moved, at(NOW));
    assert_eq!(asked.map(|text| count(&fleet, text)), [2, 3, 5, 2, 5, 0]);
    assert_eq!(fleet.record(Slot(0)).unwrap().labels, labels(1));
    assert_eq!(fleet.labels_number(Slot(0)), fleet.labels_number(Slot(1)));
}

#[test]
fn a_fleet_in_which_every_cluster_has_labels_of_its_own_is_stopped_and_forgets_old_ones() {
    let own = |n: usize| Arc::new(Labels::from([("serial".to_owned(), n.to_string())]));
    let mut fleet = fleet_of(&[cluster(0, Some(NOW), vec![])]);
    for n in 3..MAX_SHARED {
        fleet.apply(
            Slot(0),
            &ClusterRecord { labels: own(n), ..cluster(0, None, vec![]) },
            at(NOW),
        );
    }
    assert!(fleet.has_room_for_labels(&own(0), 0) && !fleet.has_room_for_labels(&own(0), 1));
    fleet.apply(Slot(1), &ClusterRecord { labels: own(0), ..cluster(1, None, vec![]) }, at(NOW));
    assert!(!fleet.has_room_for_labels(&own(1), 0), "full");
    assert!(fleet.has_room_for_labels(&own(0), 0), "a set it knows is always taken");
    let epoch = fleet.labels_epoch();
    fleet.sweep(at(NOW));
    assert_ne!(fleet.labels_epoch(), epoch, "numbers changed");
    assert_eq!(fleet.label_sets().len(), 3);
    assert_eq!(*fleet.label_sets()[0], Labels::new(), "the empty set keeps its number");
    assert_eq!(fleet.record(Slot(1)).unwrap().labels, own(0));
    assert_eq!(fleet.record(Slot(0)).unwrap().labels, own(MAX_SHARED - 1));
}

#[test]
fn pages_cover_every_cluster_once() {
    let clusters: Vec<_> = (0..25).map(|n| cluster(n, Some(NOW), Vec::new())).collect();
    let fleet = fleet_of(&clusters);
    let mut memo = DriftMemo::default();
    let mut view = View::new(at(NOW), &Line, &mut memo);
    let (mut seen, mut after, mut pages) = (Vec::new(), None, 0);
    loop {
        let (rows, next) = fleet.page(&ClusterFilter::default(), after, 10, &mut view);
        seen.extend(rows.into_iter().map(|r| r.name));
        pages += 1;
        after = next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!((seen.len(), pages), (25, 3));
    assert_eq!(seen, clusters.iter().map(|c| c.name.clone()).collect::<Vec<_>>());
}

#[test]
fn the_worst_clusters_come_unhealthy_first_with_their_first_reason() {
    let mut bad = product("acme/kafka", "1.0.0", Phase::Paused, HealthVerdict::Unhealthy);
    bad.waiting_on = vec![WaitingOn {
        gate: "quorum_lag".to_owned(),
        unit: None,
        message: "controller-1 lags 5 s".to_owned(),
        observed: None,
        limit: None,
        since: None,
    }];
    let unknown = product("acme/kafka", "1.0.0", Phase::Idle, HealthVerdict::Unknown);
    let fleet = fleet_of(&[
        cluster(0, Some(NOW), vec![unknown]),
        cluster(1, Some(NOW), vec![bad]),
        cluster(2, Some(NOW), vec![kafka("1.0.0", Phase::Idle)]),
    ]);
    let mut memo = DriftMemo::default();
    let health = fleet.health(&HealthQuestion::default(), &View::new(at(NOW), &Line, &mut memo));
    assert_eq!((health.healthy, health.unhealthy, health.unknown), (1, 1, 1));
    assert_eq!(health.worst[0].why.as_deref(), Some("controller-1 lags 5 s"));
    assert_eq!(health.worst[1].name, "site-0");
}

#[test]
fn a_fleet_that_invents_names_is_stopped() {
    let fleet = FleetIndex::new(300);
    let many: Vec<ProductRecord> =
        (0..=names::MAX_DISTINCT).map(|n| kafka(&format!("9.0.{n}"), Phase::Idle)).collect();
    assert!(fleet.has_room_for(&many[..8], &Line));
    assert!(!fleet.has_room_for(&many, &Line));
}

fn any_product() -> impl Strategy<Value = ProductRecord> {
    let versions = prop::sample::select(vec!["1.0.1", "1.0.2", "1.0.3", "9.0.0"]);
    let phases = prop::sample::select(vec![Phase::Idle, Phase::Waiting, Phase::Soak]);
    let verdicts = prop::sample::select(vec![
        HealthVerdict::Healthy,
        HealthVerdict::Unhealthy,
        HealthVerdict::Unknown,
    ]);
    (prop::sample::select(vec!["acme/kafka", "acme/os"]), versions, phases, verdicts)
        .prop_map(|(name, version, phase, verdict)| product(name, version, phase, verdict))
}

#[test]
fn an_end_of_life_passes_at_midnight_whatever_the_memo_keeps() {
    let midnight: Timestamp = "2026-09-22T00:00:00Z".parse().unwrap();
    let seen = Some(midnight.as_second() - 60);
    let silent = Some(midnight.as_second() - 50_000);
    let fleet = fleet_of(&[
        cluster(0, seen, vec![kafka("1.0.1", Phase::Idle)]),
        cluster(1, seen, vec![kafka("1.0.1", Phase::Soak)]),
        cluster(2, seen, vec![kafka("1.0.3", Phase::Idle)]),
        cluster(3, silent, vec![kafka("1.0.1", Phase::Idle)]),
    ]);
    let mut memo = DriftMemo::default();
    let mut eol = |now: Timestamp| {
        let mut view = View::new(now, &Line, &mut memo);
        let (answer, told) = (fleet.drift(&mut view), fleet_counters(&fleet, &mut view));
        assert_eq!(answer.items[0].eol, told.eol);
        (answer.items[0].eol, answer.items[0].active)
    };
    assert_eq!(eol(midnight - SignedDuration::from_secs(1)), (0, 3));
    assert_eq!(eol(midnight), (2, 3), "silent clusters are counted apart");
    assert_eq!(eol(midnight - SignedDuration::from_secs(1)), (0, 3));
}

proptest! {
    #[test]
    fn counters_equal_a_recount_after_any_history(
        changes in prop::collection::vec(
            (0u32..6, prop::option::of(0i64..90_000), any::<bool>(),
             prop::collection::vec(any_product(), 0..3)), 1..40)
    ) {
        let mut fleet = fleet_of(&(0..6).map(|n| cluster(n, None, vec![])).collect::<Vec<_>>());
        let mut last = BTreeMap::new();
        for (n, age, retired, products) in changes {
            let mut record = cluster(n, age.map(|a| NOW - a), products);
            record.retired_at = retired.then(|| at(NOW));
            fleet.apply(Slot(n), &record, at(NOW));
            last.insert(n, record);
        }
        fleet.sweep(at(NOW + 777));
        let fresh: Vec<ClusterRecord> = (0..6)
            .map(|n| last.get(&n).cloned().unwrap_or_else(|| cluster(n, None, vec![])))
            .collect();
        let mut recount = fleet_of(&fresh);
        recount.sweep(at(NOW + 777));
        let (mut a, mut b) = (DriftMemo::default(), DriftMemo::default());
        let (mut a, mut b) =
            (View::new(at(NOW), &Line, &mut a), View::new(at(NOW), &Line, &mut b));
        let key = |t: &channels::wire::DriftTotals| t.product.clone();
        let (mut x, mut y) = (fleet.drift(&mut a).items, recount.drift(&mut b).items);
        x.sort_by_key(key);
        y.sort_by_key(key);
        prop_assert_eq!(x, y);
        let asked = HealthQuestion::default();
        prop_assert_eq!(fleet.health(&asked, &a), recount.health(&asked, &b));
        let nonzero = |m: BTreeMap<Freshness, u64>| -> Vec<_> {
            m.into_iter().filter(|(_, n)| *n > 0).collect()
        };
        prop_assert_eq!(nonzero(fleet.freshness_counts()), nonzero(recount.freshness_counts()));
    }
}

#[test]
fn a_key_and_the_one_before_it_lead_to_their_cluster_and_older_ones_to_nobody() {
    let mut record = cluster(0, None, vec![]);
    let mut fleet = fleet_of(std::slice::from_ref(&record));
    let keys: Vec<ClusterKey> =
        (0..3).map(|n| ClusterKey { bytes: [n; 32], id: Sha256Digest::of(&[n, n]) }).collect();
    record.key = keys[0];
    fleet.apply(Slot(0), &record, at(NOW));
    for pair in keys.windows(2) {
        record.former = Some(FormerKey { key: pair[0], end: KeyEnd::Rotated, at: at(NOW) });
        record.key = pair[1];
        fleet.apply(Slot(0), &record, at(NOW));
        let ended = |key: ClusterKey| fleet.identity(&key.id).map(|i| (i.key, i.ended));
        assert_eq!(ended(pair[1]), Some((pair[1], None)));
        assert_eq!(ended(pair[0]), Some((pair[0], Some(KeyEnd::Rotated))));
    }
    assert_eq!(fleet.identity(&keys[0].id), None);
    assert_eq!(fleet.record(Slot(0)), Some(record));
}

#[test]
fn a_conflict_is_counted_once_and_while_it_lasts() {
    let mut record = cluster(0, Some(NOW), vec![]);
    let mut fleet = fleet_of(std::slice::from_ref(&record));
    record.conflict_since = Some(at(NOW));
    for _ in 0..2 {
        fleet.apply(Slot(0), &record, at(NOW));
        assert_eq!(fleet.identity_conflicts(), 1);
    }
    record.conflict_since = None;
    fleet.apply(Slot(0), &record, at(NOW));
    assert_eq!(fleet.identity_conflicts(), 0);
}
