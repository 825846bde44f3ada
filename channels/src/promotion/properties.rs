//! What holds for every record, history and time.

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use super::tests::{at, product};
use super::*;
use crate::graph::SoakRule;

const START: &str = "2026-05-01T00:00:00Z";
/// One day of candidate -> fast, a week of fast -> stable.
const DELAYS_S: [(&str, i64); 2] = [("fast", 86_400), ("stable", 7 * 86_400)];

#[derive(Debug, Clone)]
struct Scene {
    candidate: (Vec<bool>, Vec<bool>),
    fast: (Vec<bool>, Vec<bool>),
    /// Hours after the start, by feeding channel and release.
    entered: Vec<(bool, usize, i64)>,
    soak: Option<(u32, u64)>,
    days: Vec<(usize, i8, u64, u64)>,
}

const VERSIONS: [&str; 3] = ["1.0.0", "1.1.0", "2.0.0"];

fn scene() -> impl Strategy<Value = Scene> {
    let flags = || prop::collection::vec(any::<bool>(), 3);
    let day = (0_usize..3, 0_i8..27, 0_u64..4, prop_oneof![5 => Just(0_u64), 1 => Just(1)]);
    (
        (flags(), flags()),
        (flags(), flags()),
        prop::collection::vec((any::<bool>(), 0_usize..3, 0_i64..400), 0..6),
        prop::option::of((1_u32..4, 1_u64..4)),
        prop::collection::vec(day, 0..20),
    )
        .prop_map(|(candidate, fast, entered, soak, days)| Scene {
            candidate,
            fast,
            entered,
            soak,
            days,
        })
}

fn lists((versions, tombstones): &(Vec<bool>, Vec<bool>)) -> String {
    let list = |flags: &[bool]| {
        let named = VERSIONS.iter().zip(flags).filter(|(_, is)| **is);
        named.map(|(version, _)| *version).collect::<Vec<_>>().join(", ")
    };
    format!("versions: [{}]\ntombstones: [{}]\n", list(versions), list(tombstones))
}

impl Scene {
    fn product(&self) -> ProductSource {
        product(&lists(&self.candidate), &lists(&self.fast), "versions: []\n")
    }

    fn record(&self) -> Record {
        let soak = self.soak.map(|(days, clusters)| {
            let rule = SoakRule { days, clusters, max_unhealthy: 0 };
            ("stable".parse().unwrap(), rule)
        });
        let entered = self.entered.iter().map(|(fast, version, hours)| Entry {
            channel: if *fast { "fast" } else { "candidate" }.parse().unwrap(),
            version: VERSIONS[*version].parse().unwrap(),
            at: at(START) + SignedDuration::from_hours(*hours),
            why: String::new(),
        });
        Record { soak: soak.into_iter().collect(), entered: entered.collect() }
    }

    fn history(&self) -> HealthHistory {
        let day = |&(version, day, healthy, unhealthy): &(usize, i8, u64, u64)| HealthDay {
            channel: "fast".parse().unwrap(),
            version: VERSIONS[version].parse().unwrap(),
            date: jiff::civil::date(2026, 5, day + 1),
            healthy,
            unhealthy,
        };
        HealthHistory { days: self.days.iter().map(day).collect() }
    }

    fn withdrawn(&self, version: usize) -> bool {
        self.candidate.1[version] || self.fast.1[version]
    }
}

fn index(version: &ReleaseVersion) -> usize {
    VERSIONS.iter().position(|known| *known == version.to_string()).unwrap()
}

/// Whether everything that may enter at one time also may later.
fn stays(earlier: &[Verdict], later: &[Verdict]) -> bool {
    earlier.iter().filter(|verdict| verdict.may_enter()).all(|verdict| {
        let same =
            |one: &&Verdict| (&one.channel, &one.version) == (&verdict.channel, &verdict.version);
        later.iter().find(same).is_some_and(Verdict::may_enter)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn nothing_withdrawn_and_nothing_before_its_delay_is_due(
        scene in scene(), hours in 0_i64..900
    ) {
        let now = at(START) + SignedDuration::from_hours(hours);
        let (product, record, history) = (scene.product(), scene.record(), scene.history());
        let facts = Facts { product: &product, record: &record, history: &history };
        for entry in due(&facts, now) {
            prop_assert!(!scene.withdrawn(index(&entry.version)), "{:?}", entry);
            let (_, delay) = DELAYS_S.iter().find(|(to, _)| *to == entry.channel.as_str()).unwrap();
            let feeder = if entry.channel.as_str() == "fast" { "candidate" } else { "fast" };
            let recorded = record.entered(&feeder.parse().unwrap(), &entry.version);
            let first = product.releases[&entry.version].document.released_at;
            let entered = recorded.unwrap_or(first);
            prop_assert!(recorded.is_some() || feeder == "candidate");
            prop_assert!(now.duration_since(entered).as_secs() >= *delay, "{:?}", entry);
        }
    }

    #[test]
    fn what_may_enter_may_enter_later_too(scene in scene(), a in 0_i64..900, b in 0_i64..900) {
        // The history ends before either time, so that time alone passes.
        let (product, record) = (scene.product(), scene.record());
        let history = scene.history();
        let facts = Facts { product: &product, record: &record, history: &history };
        let after = |hours: i64| at("2026-05-28T00:00:00Z") + SignedDuration::from_hours(hours);
        let (one, other) = (after(a.min(b)), after(a.max(b)));
        prop_assert!(stays(&verdicts(&facts, one), &verdicts(&facts, other)));
    }

    #[test]
    fn more_healthy_clusters_never_keep_a_release_out(
        scene in scene(), hours in 0_i64..900, day in 0_usize..20, more in 1_u64..4
    ) {
        let now = at(START) + SignedDuration::from_hours(hours);
        let (product, record, mut history) = (scene.product(), scene.record(), scene.history());
        let before = {
            let facts = Facts { product: &product, record: &record, history: &history };
            verdicts(&facts, now)
        };
        if let Some(day) = history.days.get_mut(day) {
            day.healthy += more;
        }
        let facts = Facts { product: &product, record: &record, history: &history };
        prop_assert!(stays(&before, &verdicts(&facts, now)));
    }

    #[test]
    fn the_earliest_time_is_when_delays_are_over(scene in scene(), hours in 0_i64..900) {
        let now = at(START) + SignedDuration::from_hours(hours);
        let (product, mut record) = (scene.product(), scene.record());
        record.soak.clear();
        let facts =
            Facts { product: &product, record: &record, history: &HealthHistory::default() };
        for verdict in verdicts(&facts, now) {
            let Some(earliest) = verdict.earliest else { continue };
            let at_time = |now: Timestamp| {
                super::verdict(&facts, &verdict.channel, &verdict.version, now).may_enter()
            };
            prop_assert!(at_time(earliest), "{:?}", verdict);
            if earliest > now {
                prop_assert!(!at_time(earliest - SignedDuration::from_secs(1)));
            }
        }
    }
}
