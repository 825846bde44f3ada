//! Roll-ups against a recount from records, percentiles against sorting.

use super::super::tests::{cluster, kafka};
use super::super::{ClusterRecord, Slot};
use super::*;
use jiff::Timestamp;
use proptest::prelude::*;

/// Age, patch, verdict and phase of a cluster, by their places below.
type Told = (usize, u64, usize, usize);

const NOW: i64 = 1_790_000_000;

fn now() -> Timestamp {
    Timestamp::from_second(NOW).unwrap()
}

fn fleet_of(clusters: &[ClusterRecord]) -> FleetIndex {
    let mut fleet = FleetIndex::new(300);
    for (n, record) in (0..).zip(clusters) {
        fleet.apply(Slot(n), record, now());
    }
    fleet
}

proptest! {
    #[test]
    fn a_percentile_is_the_one_of_the_sorted_lags_rounded_up_by_little(
        mut lags in proptest::collection::vec(0_u64..5_000_000_000, 1..60)
    ) {
        let mut counted = Lags::default();
        for lag in &lags {
            counted.see(Some(*lag));
        }
        counted.see(None);
        lags.sort_unstable();
        let told = counted.told();
        prop_assert_eq!(told.known, u64::try_from(lags.len()).unwrap());
        prop_assert_eq!(told.worst_ms, lags.last().copied());
        for (percent, found) in [(50, told.p50_ms), (95, told.p95_ms)] {
            let exact = lags[(lags.len() * percent).div_ceil(100).max(1) - 1];
            let exact = exact.min(u64::from(u32::MAX));
            let found = found.unwrap();
            prop_assert!(found >= exact && found <= exact + exact / 16 + 1, "{} {}", found, exact);
        }
    }

    #[test]
    fn what_is_noted_is_what_a_recount_finds(
        ages in proptest::collection::vec((0_usize..4, 0_u64..4, 0_usize..3, 0_usize..3), 0..80)
    ) {
        let seen_s = [10, 700, 4_000, 100_000];
        let verdicts = [HealthVerdict::Healthy, HealthVerdict::Unhealthy, HealthVerdict::Unknown];
        let phases = [Phase::Idle, Phase::Mutate, Phase::Paused];
        let clusters: Vec<ClusterRecord> = (0..).zip(&ages).map(|(n, (age, patch, verdict, phase))| {
            let mut product = kafka(&format!("1.0.{patch}"), phases[*phase]);
            product.health.verdict = verdicts[*verdict];
            product.health.quorum_lag_ms = (*patch > 1).then_some(*patch * 10);
            cluster(n, Some(NOW - seen_s[*age]), vec![product])
        }).collect();
        let noted = fleet_of(&clusters).roll_up();
        let all = noted.first().map(|(_, figures)| figures.clone()).unwrap_or_default();
        let count = |wanted: &dyn Fn(&Told) -> bool| {
            u64::try_from(ages.iter().filter(|seen| wanted(seen)).count()).unwrap()
        };
        prop_assert_eq!(
            [all.fresh, all.late, all.silent, all.gone],
            [0, 1, 2, 3].map(|class| count(&|seen| seen.0 == class))
        );
        prop_assert_eq!(
            [all.healthy, all.unhealthy, all.unknown],
            [0, 1, 2].map(|verdict| count(&|seen| seen.0 < 2 && seen.2 == verdict))
        );
        for patch in 0..4 {
            let version = Some(format!("1.0.{patch}").parse().unwrap());
            let told = all.versions.iter().find(|told| told.version == version);
            let told = told.map_or((0, 0), |told| (told.clusters, told.healthy));
            let on_it = count(&|seen| seen.0 < 2 && seen.1 == patch);
            let healthy = count(&|seen| seen.0 < 2 && seen.1 == patch && seen.2 == 0);
            prop_assert_eq!(told, (on_it, healthy));
        }
        for (place, phase) in phases.iter().enumerate() {
            let told = all.phases.iter().find(|told| told.phase == *phase);
            let in_it = count(&|seen| seen.0 < 2 && seen.3 == place);
            prop_assert_eq!(told.map_or(0, |told| told.clusters), in_it);
        }
        prop_assert_eq!(all.quorum_lag.known, count(&|seen| seen.0 < 2 && seen.1 > 1));
        prop_assert_eq!(all.pleg_lag, TrendLag::default());
    }
}

#[test]
fn names_beyond_the_bounds_are_summed_up() {
    let mut clusters = Vec::new();
    for n in 0..u32::try_from(MAX_TREND_SERIES).unwrap() + 5 {
        let mut product = kafka("1.0.0", Phase::Idle);
        product.graph.channel = format!("channel-{n}").parse().unwrap();
        clusters.push(cluster(n, Some(NOW), vec![product]));
    }
    let many = u32::try_from(MAX_TREND_VERSIONS).unwrap() + 3;
    for n in 0..many {
        let mut product = kafka(&format!("2.0.{n}"), Phase::Idle);
        product.graph.channel = "versions".parse().unwrap();
        clusters.push(cluster(1_000 + n, Some(NOW), vec![product]));
    }
    let noted = fleet_of(&clusters).roll_up();
    assert_eq!(noted.len(), MAX_TREND_SERIES + 1);
    let (name, other) = noted.last().unwrap();
    assert_eq!((name, other.fresh), (&None, 6));
    let versions = noted
        .iter()
        .find(|(name, _)| name.as_ref().is_some_and(|(_, channel)| channel.as_str() == "versions"));
    let versions = &versions.unwrap().1.versions;
    assert_eq!(versions.len(), MAX_TREND_VERSIONS + 1);
    let last = versions.last().unwrap();
    assert_eq!((&last.version, last.clusters), (&None, 3));
}

#[test]
fn retired_clusters_and_those_that_never_reported_are_in_no_note() {
    let mut retired = cluster(0, Some(NOW), vec![kafka("1.0.0", Phase::Idle)]);
    retired.retired_at = Some(now());
    assert_eq!(fleet_of(&[retired, cluster(1, None, vec![])]).roll_up(), []);
}

/// `cargo test -p update-server --lib a_million -- --ignored --nocapture`
#[test]
#[ignore = "a figure for docs/benchmarks.md, to be read by a person"]
fn a_million_clusters_are_noted_down_in() {
    let mut fleet = FleetIndex::new(300);
    for n in 0..1_000_000_u32 {
        let mut first = kafka(&format!("1.{}.{}", n % 10, n % 7), Phase::Idle);
        first.health.quorum_lag_ms = Some(u64::from(n % 5_000));
        let mut second = first.clone();
        second.graph.product = "acme/platform".parse().unwrap();
        second.graph.channel = format!("stable-{}", n % 6).parse().unwrap();
        second.health.pleg_lag_ms = Some(u64::from(n % 3_000));
        fleet.apply(Slot(n), &cluster(n, Some(NOW), vec![first, second]), now());
    }
    let started = tokio::time::Instant::now();
    let noted = fleet.roll_up();
    println!("{} series in {:?}", noted.len(), started.elapsed());
}
