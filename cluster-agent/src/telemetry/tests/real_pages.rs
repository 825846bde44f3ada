//! The alias table against pages that real Kafka members served.

use std::collections::BTreeSet;

use channels::wire::Role;

use crate::telemetry::alias::{names_of, wanted_of};
use crate::telemetry::{AliasMap, FamilyReading, Page, Sample, Signal};

const VERSION_FAMILY: &str = "kafka_server_app_info";

const CONTROLLERS: [(&str, &str); 7] = [
    ("strimzi 3.9.1 leader", include_str!("pages/strimzi-3.9.1-leader.txt")),
    ("strimzi 3.9.1 follower", include_str!("pages/strimzi-3.9.1-follower.txt")),
    ("strimzi 4.3.1 leader", include_str!("pages/strimzi-4.3.1-leader.txt")),
    ("strimzi 4.3.1 follower", include_str!("pages/strimzi-4.3.1-follower.txt")),
    ("example 3.9.1 leader", include_str!("pages/example-3.9.1-leader.txt")),
    ("example 4.3.1 leader", include_str!("pages/example-4.3.1-leader.txt")),
    ("confluent 4.3.1 leader", include_str!("pages/confluent-4.3.1-leader.txt")),
];
const WITHOUT_RAFT: &str = include_str!("pages/without-raft-4.3.1-leader.txt");
const BROKER: &str = include_str!("pages/strimzi-4.3.1-broker.txt");

/// A page read for its role, and the names resolved from it.
struct Target {
    page: Page,
    aliases: AliasMap,
}

impl Target {
    fn new(role: Role, text: &str) -> Self {
        let page = Page::read(text.as_bytes(), &wanted_of(role, VERSION_FAMILY).unwrap()).unwrap();
        let mut aliases = AliasMap::new();
        aliases.resolve(&page, Signal::of_role(role));
        Self { page, aliases }
    }

    fn samples(&self, family: &str) -> &[Sample] {
        match self.page.family(family) {
            FamilyReading::Read(samples) => samples,
            FamilyReading::Absent | FamilyReading::Unreadable { .. } => &[],
        }
    }

    /// The one sample of `signal`.
    fn sample(&self, signal: Signal) -> Option<&Sample> {
        match self.samples(self.aliases.name(signal)?) {
            [sample] => Some(sample),
            _ => None,
        }
    }

    fn number(&self, signal: Signal) -> Option<f64> {
        self.sample(signal)?.number()
    }

    /// Required signals that no family of the page carries.
    fn missing(&self, role: Role) -> BTreeSet<Signal> {
        let mut missing = Signal::required_of(role);
        missing.retain(|&signal| match signal {
            Signal::Version => self.samples(VERSION_FAMILY).is_empty(),
            carried => self.number(carried).is_none(),
        });
        missing
    }
}

#[test]
fn every_rule_file_names_every_required_signal() {
    for (name, text) in CONTROLLERS {
        let target = Target::new(Role::Controller, text);
        assert_eq!(target.missing(Role::Controller), BTreeSet::new(), "{name}");
    }
    assert_eq!(Target::new(Role::Broker, BROKER).missing(Role::Broker), BTreeSet::new());
}

#[test]
fn rules_that_drop_raft_metrics_miss_leader_and_epochs() {
    let missing = Target::new(Role::Controller, WITHOUT_RAFT).missing(Role::Controller);
    let expected = [Signal::LogEndEpoch, Signal::CurrentLeader, Signal::CurrentEpoch];
    assert_eq!(missing, BTreeSet::from(expected));
}

#[test]
fn the_version_is_read_under_the_name_that_the_client_library_leaves() {
    for (name, text) in CONTROLLERS {
        assert!(!text.contains(VERSION_FAMILY) && text.contains("kafka_server_app{"), "{name}");
        let target = Target::new(Role::Controller, text);
        let [sample] = target.samples(VERSION_FAMILY) else { panic!("{name}") };
        assert!(name.contains(sample.labels["version"].as_str()), "{name}");
    }
}

#[test]
fn a_version_is_also_read_under_the_name_that_was_asked_for() {
    let old_exporter = "kafka_server_app_info{version=\"3.9.1\"} 1\n";
    assert_eq!(Target::new(Role::Broker, old_exporter).samples(VERSION_FAMILY).len(), 1);
    let both = format!("{old_exporter}kafka_server_app{{version=\"4.3.1\"}} 1\n");
    assert_eq!(Target::new(Role::Broker, &both).samples(VERSION_FAMILY).len(), 2);
}

#[test]
fn a_version_family_without_the_ending_is_read_as_it_is() {
    let wanted = wanted_of(Role::Broker, "kafka_server_app").unwrap();
    let page = Page::read(b"kafka_server_app{version=\"4.3.1\"} 1\n", &wanted).unwrap();
    assert!(matches!(page.family("kafka_server_app"), FamilyReading::Read(_)));
}

#[test]
fn the_state_is_a_label_whose_name_the_rules_choose() {
    for (name, text) in CONTROLLERS {
        let target = Target::new(Role::Controller, text);
        let Some(sample) = target.sample(Signal::CurrentState) else {
            assert!(name.starts_with("confluent"), "{name}");
            continue;
        };
        let label = if name.starts_with("strimzi") { "current_state" } else { "state" };
        assert!(name.ends_with(sample.labels[label].as_str()), "{name}");
    }
}

#[test]
fn voters_are_counted_since_4_and_changes_by_the_leader_only() {
    for (name, text) in CONTROLLERS {
        let target = Target::new(Role::Controller, text);
        let (since_4, leader) = (name.contains("4.3.1"), name.ends_with("leader"));
        let voters = target.number(Signal::NumberOfVoters);
        assert_eq!(voters, since_4.then_some(3.0), "{name}");
        let change = target.number(Signal::UncommittedVoterChange);
        assert_eq!(change, (since_4 && leader).then_some(0.0), "{name}");
    }
}

#[test]
fn a_stand_in_makes_way_for_the_metric_it_stands_in_for() {
    let (raft, rest): (Vec<&str>, Vec<&str>) =
        CONTROLLERS[2].1.lines().partition(|line| line.contains("raftmetrics"));
    // As a starting member serves it: the controller's metrics before those of raft.
    let starting = Target::new(Role::Controller, &(rest.join("\n") + "\n"));
    let whole = Target::new(Role::Controller, &(raft.join("\n") + "\n"));
    let mut aliases = starting.aliases.clone();
    for signal in [Signal::LogEndOffset, Signal::HighWatermark] {
        assert!(names_of(signal).any(|r| r.stands_in && aliases.name(signal) == Some(r.name)));
    }
    aliases.resolve(&whole.page, Signal::of_role(Role::Controller));
    assert_eq!(aliases.name(Signal::LogEndOffset), Some("kafka_server_raftmetrics_log_end_offset"));
    assert_eq!(
        aliases.name(Signal::HighWatermark),
        Some("kafka_server_raftmetrics_high_watermark")
    );
    // Never the other way round.
    aliases.resolve(&starting.page, Signal::of_role(Role::Controller));
    assert_eq!(aliases.name(Signal::LogEndOffset), Some("kafka_server_raftmetrics_log_end_offset"));
}
