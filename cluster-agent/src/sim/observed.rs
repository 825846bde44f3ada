//! The simulator through the agent's own eyes: whatever the model claims to simulate must be what
//! observer and gates see.

use std::collections::BTreeMap;

use channels::names::{PoolName, ProductRef, UnitName};
use channels::wire::{HealthVerdict, Role};
use jiff::Timestamp;

use super::{Answer, ClusterSpec, Fault, SimCluster};
use crate::driver::StepId;
use crate::gate::{
    Blocker, GatePolicy, MutateRecord, back_and_healthy, may_take_out, stop_conditions,
};
use crate::observation::{
    Finding, Observation, Observer, ObserverSettings, Placement, Target, UnitKey, VersionEvidence,
};
use crate::telemetry::{Page, Probe, ScrapeError, Signal};

const BEGIN_MS: i64 = 1_790_000_000_000;
const PROBE_MS: u64 = 500;

struct World {
    cluster: SimCluster,
    observer: Observer,
    now_ms: i64,
    seen: Observation,
}

fn product() -> ProductRef {
    "acme/platform".parse().unwrap()
}

fn key(unit: &str) -> UnitKey {
    UnitKey { product: product(), unit: unit.parse().unwrap() }
}

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(ms).unwrap()
}

impl World {
    fn new(seed: u64) -> Self {
        let units = [
            (Role::Controller, 3, "3.9.1"),
            (Role::Broker, 3, "3.9.1"),
            (Role::Node, 2, "1.33.2"),
            (Role::Workload, 1, "1.0.0"),
        ];
        let spec = ClusterSpec::of("east", seed, 1, &units).unwrap();
        let mut controllers = 0;
        let target = |unit: &super::UnitSpec| {
            controllers += i64::from(unit.role == Role::Controller);
            Target {
                key: UnitKey { product: product(), unit: unit.name.clone() },
                role: unit.role,
                also_broker: false,
                pool: "pool".parse::<PoolName>().unwrap(),
                node_id: (unit.role == Role::Controller).then_some(controllers),
                placement: Placement::Elsewhere,
                metrics_url: Some(String::new()),
                witnesses: std::collections::BTreeSet::new(),
                evidence_from: crate::observation::EvidenceFrom::Page,
                version_evidence: VersionEvidence::default_of(unit.role),
                required: Signal::required_of(unit.role),
                stale_after_ms: 5000,
            }
        };
        let targets = spec.units.iter().map(target).collect();
        let mut observer = Observer::new(targets, ObserverSettings::default()).unwrap();
        let seen = observer.apply(BTreeMap::new(), PROBE_MS, at(BEGIN_MS));
        let cluster = SimCluster::new(&spec, BEGIN_MS);
        Self { cluster, observer, now_ms: BEGIN_MS, seen }
    }

    /// A world that has been watched long enough for every tracker to know.
    fn watched(seed: u64) -> Self {
        let mut world = Self::new(seed);
        world.run(45_000);
        world
    }

    fn run(&mut self, ms: i64) {
        for _ in 0..ms / 500 {
            self.probe();
        }
    }

    fn probe(&mut self) {
        self.now_ms += 500;
        self.cluster.advance(self.now_ms);
        let now = at(self.now_ms);
        let mut results = BTreeMap::new();
        for target in self.observer.probe_targets(|_| true) {
            let result = match self.cluster.answer(&target.key.unit).unwrap() {
                Answer::Page(page) => Ok(Probe {
                    page: Page::read(page.as_bytes(), &target.wanted),
                    date: Some(Timestamp::from_second(self.now_ms / 1000).unwrap()),
                    requested_at: now,
                    received_at: now,
                }),
                Answer::Down => Err(ScrapeError::Status { status: 503 }),
                Answer::Hangs => Err(ScrapeError::Timeout { limit_ms: 1000 }),
            };
            results.insert(target.key, result);
        }
        self.seen = self.observer.apply(results, PROBE_MS, now);
    }

    fn leader(&self) -> UnitName {
        self.cluster.state().quorum.unwrap().leader.unwrap()
    }

    fn follower(&self) -> UnitName {
        let leader = self.leader();
        let all = ["c-1", "c-2", "c-3"].map(|c| c.parse::<UnitName>().unwrap());
        all.into_iter().find(|c| *c != leader).unwrap()
    }

    fn findings(&self, unit: &str) -> &[Finding] {
        &self.seen.units[&key(unit)].findings
    }

    fn blockers(&self, unit: &str) -> Vec<Blocker> {
        may_take_out(&key(unit), &self.seen, &GatePolicy::default())
    }
}

#[test]
fn a_quiet_cluster_is_healthy_and_every_gate_is_open() {
    for seed in 0..2 {
        let mut world = World::watched(seed);
        for _ in 0..120 {
            world.probe();
            for (key, unit) in &world.seen.units {
                assert_eq!(unit.verdict, HealthVerdict::Healthy, "{seed} {key} {unit:?}");
                let blockers = may_take_out(key, &world.seen, &GatePolicy::default());
                assert_eq!(blockers, vec![], "seed {seed}: {key}");
            }
        }
        let stops = stop_conditions(None, &world.seen, &GatePolicy::default());
        assert_eq!(stops, vec![], "seed {seed}");
        let quorum = &world.seen.quorums[&product()];
        assert_eq!(quorum.leader, Some(world.leader()), "seed {seed}");
    }
}

#[test]
fn a_lagging_voter_blocks_the_others_within_its_limit() {
    let mut world = World::watched(1);
    let (leader, slow) = (world.leader(), world.follower());
    world.cluster.set_fault(&slow, Fault::Lag { ms: 6000 }).unwrap();
    world.run(4000);
    let lag = world.seen.units[&key(slow.as_str())].quorum_lag_ms.unwrap();
    assert!((2000..=5000).contains(&lag), "{lag}");
    world.run(10_000);
    let lag = world.seen.units[&key(slow.as_str())].quorum_lag_ms.unwrap();
    assert!((5500..=7500).contains(&lag), "{lag}");
    let blockers = world.blockers(leader.as_str());
    assert!(
        blockers.iter().any(|(unit, finding)| unit.as_ref() == Some(&slow)
            && matches!(finding, Finding::QuorumLag { .. })),
        "{blockers:?}"
    );
}

#[test]
fn a_restarted_follower_returns_with_evidence_and_becomes_healthy() {
    let mut world = World::watched(2);
    let follower = world.follower();
    let key = key(follower.as_str());
    let mut record = MutateRecord::before(&key, &world.seen);
    world.cluster.upgrade(&follower, StepId::new(), "4.3.1").unwrap();
    world.run(3000);
    let policy = GatePolicy::default();
    let away = back_and_healthy(&key, "4.3.1", &record, &world.seen, &policy);
    assert!(away.iter().any(|(_, finding)| matches!(finding, Finding::Unreachable { .. })));
    assert_eq!(stop_conditions(Some(&key), &world.seen, &policy), vec![]);
    world.run(7000);
    record.note_return(&key, &world.seen);
    world.run(8000);
    assert_eq!(back_and_healthy(&key, "4.3.1", &record, &world.seen, &policy), vec![]);
    let wrong = back_and_healthy(&key, "4.4.0", &record, &world.seen, &policy);
    assert!(wrong.iter().any(|(_, finding)| matches!(finding, Finding::VersionDiffers { .. })));
}

#[test]
fn restarting_the_leader_moves_the_lead_within_the_stop_limit() {
    for seed in 0..4 {
        let mut world = World::watched(seed);
        let old = world.leader();
        let key = key(old.as_str());
        world.cluster.upgrade(&old, StepId::new(), "4.3.1").unwrap();
        for _ in 0..60 {
            world.probe();
            let stops = stop_conditions(Some(&key), &world.seen, &GatePolicy::default());
            assert_eq!(stops, vec![], "seed {seed}");
        }
        let quorum = &world.seen.quorums[&product()];
        assert_ne!(quorum.leader, Some(old), "seed {seed}");
        assert!(quorum.leader.is_some(), "seed {seed}");
        assert_eq!(world.seen.units[&key].verdict, HealthVerdict::Healthy, "seed {seed}");
    }
}

#[test]
fn losing_the_majority_stops_a_roll() {
    let mut world = World::watched(3);
    let leader = world.leader();
    for unit in ["c-1", "c-2", "c-3"].iter().filter(|unit| **unit != leader.as_str()) {
        world.cluster.set_fault(&unit.parse().unwrap(), Fault::Hang).unwrap();
    }
    world.run(15_000);
    let stops = stop_conditions(None, &world.seen, &GatePolicy::default());
    let has = |wanted: fn(&Finding) -> bool| stops.iter().any(|(_, finding)| wanted(finding));
    assert!(has(|f| matches!(f, Finding::CommitStalled { .. })), "{stops:?}");
    assert!(has(|f| matches!(f, Finding::NoLeader { .. })), "{stops:?}");
}

#[test]
fn a_hung_relist_shows_as_a_stall_and_a_slow_one_as_lag() {
    let mut world = World::watched(4);
    world.cluster.set_fault(&"n-1".parse().unwrap(), Fault::RelistStall).unwrap();
    world.cluster.set_fault(&"n-2".parse().unwrap(), Fault::Lag { ms: 6000 }).unwrap();
    world.run(60_000);
    let stalled = world.findings("n-1");
    assert!(stalled.iter().any(|f| matches!(f, Finding::PlegStall { .. })), "{stalled:?}");
    let slow = world.findings("n-2");
    assert!(slow.iter().any(|f| matches!(f, Finding::PlegLag { .. })), "{slow:?}");
    assert!(!world.blockers("n-1").is_empty() && !world.blockers("n-2").is_empty());
}

#[test]
fn missing_and_unreadable_metrics_are_named_and_block() {
    let mut world = World::watched(5);
    let errors = "kafka_controller_kafkacontroller_metadataerrorcount".to_owned();
    let duration = "kubelet_pleg_relist_duration_seconds".to_owned();
    let c = "c-1".parse().unwrap();
    world.cluster.set_fault(&c, Fault::MissingMetric { family: errors }).unwrap();
    let n = "n-1".parse().unwrap();
    world.cluster.set_fault(&n, Fault::Unreadable { family: duration }).unwrap();
    world.probe();
    let missing = Finding::MetricMissing { signal: Signal::MetadataErrors };
    assert!(world.findings("c-1").contains(&missing), "{:?}", world.findings("c-1"));
    let unreadable = world.findings("n-1");
    assert!(unreadable.iter().any(|f| matches!(f, Finding::Unreadable { .. })), "{unreadable:?}");
    assert!(!world.blockers("c-2").is_empty() && !world.blockers("n-2").is_empty());
}

#[test]
fn a_stale_page_does_not_pass_for_health() {
    let mut world = World::watched(6);
    let (leader, stale) = (world.leader(), world.follower());
    world.cluster.set_fault(&stale, Fault::StalePage).unwrap();
    world.cluster.set_fault(&"n-1".parse().unwrap(), Fault::StalePage).unwrap();
    world.run(40_000);
    let blockers = world.blockers(leader.as_str());
    assert!(blockers.iter().any(|(unit, _)| unit.as_ref() == Some(&stale)), "{blockers:?}");
    assert_ne!(world.seen.units[&key("n-1")].verdict, HealthVerdict::Healthy);
}

#[test]
fn a_stale_page_of_the_leader_passes_for_nobodys_health() {
    let mut world = World::watched(6);
    let (leader, follower) = (world.leader(), world.follower());
    world.cluster.set_fault(&leader, Fault::StalePage).unwrap();
    world.run(15_000);
    for unit in ["c-1", "c-2", "c-3", "b-1", "n-1", "w-1"] {
        assert_ne!(world.blockers(unit), vec![], "{unit}");
    }
    let blockers = world.blockers(follower.as_str());
    let named = |(unit, finding): &Blocker| {
        unit.as_ref() == Some(&leader) && finding.gate_name() == "stale"
    };
    assert!(blockers.iter().any(named), "{blockers:?}");
    let seen = &world.seen.units[&key(follower.as_str())];
    assert_eq!((seen.verdict, seen.quorum_lag_ms), (HealthVerdict::Unknown, None));
    assert_ne!(stop_conditions(None, &world.seen, &GatePolicy::default()), vec![]);
    world.cluster.clear_faults(&leader).unwrap();
    world.run(10_000);
    assert_eq!(world.blockers(follower.as_str()), vec![]);
}

#[test]
fn a_rolled_kubelet_becomes_healthy_after_sixty_relists() {
    let mut world = World::watched(7);
    let key = key("n-1");
    let record = MutateRecord::before(&key, &world.seen);
    world.cluster.upgrade(&key.unit, StepId::new(), "1.34.0").unwrap();
    world.run(40_000);
    let policy = GatePolicy::default();
    let early = back_and_healthy(&key, "v1.34.0", &record, &world.seen, &policy);
    assert!(
        early.iter().any(|(_, finding)| matches!(finding, Finding::TooFewRelists { .. })),
        "{early:?}"
    );
    world.run(80_000);
    assert_eq!(back_and_healthy(&key, "v1.34.0", &record, &world.seen, &policy), vec![]);
}

#[test]
fn a_broker_that_is_out_blocks_its_peers_until_they_are_whole_again() {
    let mut world = World::watched(8);
    world.cluster.upgrade(&"b-1".parse().unwrap(), StepId::new(), "4.3.1").unwrap();
    world.run(5000);
    let blockers = world.blockers("b-2");
    assert!(
        blockers.iter().any(|(_, finding)| matches!(finding, Finding::UnderReplicated { .. })),
        "{blockers:?}"
    );
    world.run(20_000);
    assert_eq!(world.blockers("b-2"), vec![]);
}
