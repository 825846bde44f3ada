//! The alias table against the rule files that give the names.

use std::collections::BTreeSet;
use std::path::PathBuf;

use channels::wire::Role;
use regex::Regex;

use crate::telemetry::alias::{AliasRow, Naming, ROWS, names_of, wanted_of};
use crate::telemetry::{AliasMap, Page, Signal};

/// One rule of a `jmx_exporter` configuration.
struct Rule {
    pattern: Regex,
    name: String,
    has_value: bool,
}

fn unquoted(text: &str) -> String {
    text.trim().trim_matches(['"', '\'']).to_owned()
}

/// Reads `- pattern:`, `name:` and `value:` lines; comments are skipped.
fn rules(text: &str) -> Vec<Rule> {
    let mut rules: Vec<Rule> = Vec::new();
    for line in text.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
        let Some((key, rest)) = line.split_once(':') else { continue };
        match key.trim() {
            "- pattern" => {
                // The exporter matches anywhere in the attribute's full name.
                let pattern = Regex::new(&format!("^.*(?:{}).*$", unquoted(rest))).unwrap();
                rules.push(Rule { pattern, name: String::new(), has_value: false });
            }
            "name" => rules.last_mut().into_iter().for_each(|rule| rule.name = unquoted(rest)),
            "value" => rules.last_mut().into_iter().for_each(|rule| rule.has_value = true),
            _ => {}
        }
    }
    rules.retain(|rule| !rule.name.is_empty());
    assert!(!rules.is_empty());
    rules
}

/// The metric name the first matching rule gives an attribute; strings need a `value:`.
fn metric_name(rules: &[Rule], attribute: &str) -> Option<String> {
    let rule = rules.iter().find(|rule| rule.pattern.is_match(attribute))?;
    let is_text = attribute.ends_with("leader") && attribute.contains("current-state");
    if is_text && !rule.has_value {
        return None;
    }
    let captures = rule.pattern.captures(attribute)?;
    let mut name = rule.name.clone();
    for index in (1..captures.len()).rev() {
        let text = captures.get(index).map_or("", |found| found.as_str());
        name = name.replace(&format!("${index}"), text);
    }
    let safe = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' };
    Some(name.chars().map(safe).collect::<String>().to_lowercase())
}

fn raft(attribute: &str) -> String {
    format!("kafka.server<type=raft-metrics><>{attribute}: 5.0")
}

fn controller(name: &str) -> String {
    format!("kafka.controller<type=KafkaController, name={name}><>Value: 1")
}

fn replicas(name: &str) -> String {
    format!("kafka.server<type=ReplicaManager, name={name}><>Value: 0")
}

/// The JMX attributes that carry a signal, as the exporter spells them.
fn attributes(signal: Signal) -> Vec<String> {
    match signal {
        Signal::LogEndOffset => vec![raft("log-end-offset"), controller("LastAppliedRecordOffset")],
        Signal::LogEndEpoch => vec![raft("log-end-epoch")],
        Signal::HighWatermark => {
            vec![raft("high-watermark"), controller("LastCommittedRecordOffset")]
        }
        Signal::CurrentLeader => vec![raft("current-leader")],
        Signal::CurrentEpoch => vec![raft("current-epoch")],
        Signal::CurrentState => {
            vec!["kafka.server<type=raft-metrics><>current-state: leader".to_owned()]
        }
        Signal::NumberOfVoters => vec![raft("number-of-voters")],
        Signal::UncommittedVoterChange => vec![raft("uncommitted-voter-change")],
        Signal::ActiveController => vec![controller("ActiveControllerCount")],
        Signal::AppliedLag => vec![controller("LastAppliedRecordLagMs")],
        Signal::MetadataErrors => vec![controller("MetadataErrorCount")],
        Signal::FencedBrokers => vec![controller("FencedBrokerCount")],
        Signal::OfflinePartitions => vec![controller("OfflinePartitionsCount")],
        Signal::GlobalPartitions => vec![controller("GlobalPartitionCount")],
        Signal::UnderReplicated => vec![replicas("UnderReplicatedPartitions")],
        Signal::UnderMinIsr => vec![replicas("UnderMinIsrPartitionCount")],
        Signal::AtMinIsr => vec![replicas("AtMinIsrPartitionCount")],
        Signal::Reassigning => vec![replicas("ReassigningPartitions")],
        Signal::OfflineReplicas => vec![replicas("OfflineReplicaCount")],
        Signal::BrokerState => vec!["kafka.server<type=KafkaServer, name=BrokerState><>Value: 3".into()],
        Signal::LogsToRecover => {
            vec!["kafka.log<type=LogManager, name=remainingLogsToRecover, dir=/d><>Value: 0".into()]
        }
        Signal::SegmentsToRecover => vec![
            "kafka.log<type=LogManager, name=remainingSegmentsToRecover, dir=/d, threadNum=0><>Value: 0"
                .into(),
        ],
        Signal::ProcessStart
        | Signal::Version
        | Signal::RelistDuration
        | Signal::RelistLatencyMicroseconds
        | Signal::PlegLastSeen
        | Signal::PlegDiscards
        | Signal::EventedPleg
        | Signal::NodeReady => Vec::new(),
    }
}

/// Rules in the manner of a well-known chart: `…_value` names, and nothing for raft-metrics.
const VALUE_SUFFIX_RULES: &str = "
lowercaseOutputName: true
rules:
- pattern: kafka.controller<type=(.+), name=(.+)><>(Value)
  name: kafka_controller_$1_$2_$3
- pattern: kafka.server<type=ReplicaManager, name=(.+)><>(Value)
  name: kafka_server_ReplicaManager_total_$1_$2
";

fn derivable(row: &AliasRow, rules: &[Rule]) -> bool {
    let names = attributes(row.signal);
    names.iter().any(|attribute| metric_name(rules, attribute).as_deref() == Some(row.name))
}

#[test]
fn names_of_charts_that_append_the_attribute_are_derivable() {
    let rules = rules(VALUE_SUFFIX_RULES);
    for row in ROWS.iter().filter(|row| row.naming == Naming::ValueSuffix) {
        assert!(derivable(row, &rules), "{}", row.name);
    }
    assert_eq!(metric_name(&rules, &raft("current-leader")), None);
}

#[test]
fn sanitized_names_are_another_row_with_or_without_a_suffix() {
    for row in ROWS.iter().filter(|row| row.naming == Naming::Sanitized) {
        let base = |other: &&AliasRow| other.signal == row.signal && other.naming != row.naming;
        let related = names_of(row.signal).filter(|other| base(other)).any(|other| {
            ["_total", "_info"].iter().any(|suffix| {
                row.name.strip_suffix(suffix) == Some(other.name)
                    || other.name.strip_suffix(suffix) == Some(row.name)
            })
        });
        assert!(related, "{}", row.name);
    }
}

#[test]
#[ignore = "needs FAIRWAY_DATA"]
fn every_row_is_derivable_from_the_rule_file_it_names() {
    let data = PathBuf::from(std::env::var("FAIRWAY_DATA").unwrap()).join("jmx-exporter-rules");
    let read = |file: &str| rules(&std::fs::read_to_string(data.join(file)).unwrap());
    let files = [
        (Naming::Strimzi, read("strimzi-kafka-metrics.yaml")),
        (Naming::JmxExample, read("jmx_exporter-kafka-kraft-3_0_0.yml")),
        (Naming::Confluent, read("confluent-kafka_controller.yml")),
    ];
    let mut checked = 0;
    for row in ROWS {
        if let Some((_, rules)) = files.iter().find(|(naming, _)| *naming == row.naming) {
            assert!(derivable(row, rules), "{} by {:?}", row.name, row.naming);
            checked += 1;
        }
    }
    assert!(checked >= 25, "{checked}");
    // And the other way round: whatever a file calls a signal's attribute is in the table.
    for (naming, rules) in &files {
        for signal in Signal::of_role(Role::Controller).iter().chain(Signal::of_role(Role::Broker))
        {
            for name in attributes(*signal).iter().filter_map(|a| metric_name(rules, a)) {
                // That file folds everything with three labels into one name per type.
                let folded = *naming == Naming::Confluent && *signal == Signal::SegmentsToRecover;
                let known = folded || names_of(*signal).any(|row| row.name == name);
                assert!(known, "{naming:?} calls {signal} {name}");
            }
        }
    }
}

#[test]
fn no_name_carries_two_signals() {
    let mut names = BTreeSet::new();
    for row in ROWS {
        assert!(names.insert(row.name), "{}", row.name);
    }
}

#[test]
fn a_name_stays_while_it_is_there_and_is_missed_rather_than_replaced_by_a_stand_in() {
    let wanted = wanted_of(Role::Controller, "kafka_server_app_info").unwrap();
    let page = |text: &str| Page::read(text.as_bytes(), &wanted).unwrap();
    let mut aliases = AliasMap::new();
    let signals = Signal::of_role(Role::Controller);
    let chosen = "kafka_server_raft_metrics_log_end_offset";
    aliases.resolve(&page(&format!("{chosen} 5\n")), signals);
    assert_eq!(aliases.name(Signal::LogEndOffset), Some(chosen));
    let both = format!("kafka_server_raftmetrics_log_end_offset 9\n{chosen} 5\n");
    aliases.resolve(&page(&both), signals);
    assert_eq!(aliases.name(Signal::LogEndOffset), Some(chosen));
    let stand_in = "kafka_controller_kafkacontroller_lastappliedrecordoffset 5\n";
    aliases.resolve(&page(stand_in), signals);
    assert_eq!(aliases.name(Signal::LogEndOffset), Some(chosen), "it is missed");
    assert_eq!(aliases.name(Signal::CurrentLeader), None);
}

#[test]
fn other_rules_in_a_running_exporter_are_read_by_their_names() {
    let wanted = wanted_of(Role::Controller, "kafka_server_app_info").unwrap();
    let page = |text: &str| Page::read(text.as_bytes(), &wanted).unwrap();
    let mut aliases = AliasMap::new();
    let signals = Signal::of_role(Role::Controller);
    let suffixed = "kafka_controller_kafkacontroller_activecontrollercount_value";
    aliases.resolve(&page(&format!("{suffixed} 1\n")), signals);
    assert_eq!(aliases.name(Signal::ActiveController), Some(suffixed));
    let plain = "kafka_controller_kafkacontroller_activecontrollercount";
    aliases.resolve(&page(&format!("{plain} 1\n")), signals);
    assert_eq!(aliases.name(Signal::ActiveController), Some(plain));
}
