//! From a page's samples to the figures of one unit.
//!
//! Every figure is finite and of the form its signal has, or there is a finding that says why not.

use std::collections::BTreeSet;

use channels::health::{Bucket, Relists};
use channels::wire::Role;

use super::{BrokerView, EvidenceFrom, Finding, Target, VoterState, VoterView};
use crate::telemetry::{AliasMap, FamilyReading, Page, Sample, SampleValue, Signal};

/// Everything one page says about its unit.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Reading {
    pub version: Option<String>,
    pub process_start: Option<f64>,
    pub voter: Option<VoterView>,
    pub applied_lag_ms: Option<f64>,
    pub broker: Option<BrokerView>,
    pub kubelet: Option<KubeletView>,
    pub node_ready: Option<bool>,
    pub findings: Vec<Finding>,
}

/// A kubelet's PLEG metrics.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct KubeletView {
    pub relists: Relists,
    pub last_seen_s: Option<f64>,
    pub discards: Option<f64>,
    pub evented: bool,
}

/// Reads `page` as a page of `target`.
pub(super) fn read(page: &Page, aliases: &AliasMap, target: &Target) -> Reading {
    let mut reader = Reader { page, aliases, required: &target.required, findings: Vec::new() };
    let mut reading = Reading {
        process_start: reader.number(Signal::ProcessStart),
        version: reader.version(target),
        ..Reading::default()
    };
    match target.role {
        Role::Controller => {
            reading.voter = Some(reader.voter(target.node_id));
            reading.applied_lag_ms = reader.number(Signal::AppliedLag);
        }
        Role::Node => {
            reading.kubelet = reader.kubelet();
            reading.node_ready = reader.node_ready(target);
        }
        Role::Broker | Role::Workload => {}
    }
    if target.is_broker() {
        reading.broker = Some(reader.broker());
    }
    reading.findings = reader.findings;
    reading
}

struct Reader<'a> {
    page: &'a Page,
    aliases: &'a AliasMap,
    required: &'a BTreeSet<Signal>,
    findings: Vec<Finding>,
}

impl<'a> Reader<'a> {
    fn missing(&mut self, signal: Signal) {
        if self.required.contains(&signal) {
            self.findings.push(Finding::MetricMissing { signal });
        }
    }

    fn unreadable(&mut self, family: &str, why: impl Into<String>) {
        self.findings.push(Finding::Unreadable { family: family.to_owned(), why: why.into() });
    }

    /// The samples of a family; a refusal becomes a finding even where the signal is optional.
    fn family(&mut self, family: &str, signal: Signal) -> Option<&'a [Sample]> {
        match self.page.family(family) {
            FamilyReading::Read(samples) => Some(samples),
            FamilyReading::Absent => {
                self.missing(signal);
                None
            }
            FamilyReading::Unreadable { why, line_no } => {
                self.unreadable(family, format!("line {line_no}: {why}"));
                None
            }
        }
    }

    fn samples(&mut self, signal: Signal) -> Option<(&'static str, &'a [Sample])> {
        let Some(name) = self.aliases.name(signal) else {
            self.missing(signal);
            return None;
        };
        self.family(name, signal).map(|samples| (name, samples))
    }

    fn number(&mut self, signal: Signal) -> Option<f64> {
        let (name, samples) = self.samples(signal)?;
        let [sample] = samples else {
            self.unreadable(name, format!("{} samples where one is expected", samples.len()));
            return None;
        };
        let number = sample.number().filter(|number| number.is_finite());
        if number.is_none() {
            self.unreadable(name, "the value is not a finite number");
        }
        number
    }

    fn whole(&mut self, signal: Signal) -> Option<i64> {
        let number = self.number(signal)?;
        let whole = whole(number);
        if whole.is_none()
            && let Some(name) = self.aliases.name(signal)
        {
            self.unreadable(name, "the value is not a whole number");
        }
        whole
    }

    fn count(&mut self, signal: Signal) -> Option<u64> {
        let whole = self.whole(signal)?;
        let count = u64::try_from(whole).ok();
        if count.is_none()
            && let Some(name) = self.aliases.name(signal)
        {
            self.unreadable(name, "the value is negative");
        }
        count
    }

    /// The sum of a family with one sample per directory or thread.
    fn total(&mut self, signal: Signal) -> Option<u64> {
        let (name, samples) = self.samples(signal)?;
        let counts = samples
            .iter()
            .map(|sample| u64::try_from(sample.number().and_then(whole)?).ok())
            .collect::<Option<Vec<u64>>>();
        if counts.is_none() {
            self.unreadable(name, "a value is not a count");
        }
        Some(counts?.into_iter().fold(0, u64::saturating_add))
    }

    /// A whole number in which -1 means "none".
    fn or_none(&mut self, signal: Signal) -> Option<i64> {
        self.whole(signal).filter(|&value| value >= 0)
    }

    fn version(&mut self, target: &Target) -> Option<String> {
        if target.evidence_from != EvidenceFrom::Page {
            return None;
        }
        let evidence = &target.version_evidence;
        let samples = self.family(&evidence.family, Signal::Version)?;
        let mut versions: BTreeSet<&str> = samples
            .iter()
            .filter_map(|sample| sample.labels.get(&evidence.label))
            .map(|version| version.strip_prefix('v').unwrap_or(version))
            .filter(|version| !version.is_empty())
            .collect();
        match (versions.pop_first(), versions.is_empty()) {
            (Some(version), true) => Some(version.to_owned()),
            (Some(_), false) => {
                self.unreadable(&evidence.family, "it names more than one version");
                None
            }
            (None, _) => {
                self.missing(Signal::Version);
                None
            }
        }
    }

    fn voter(&mut self, node_id: Option<i64>) -> VoterView {
        let active = self.count(Signal::ActiveController).map(|count| count > 0);
        let current_leader = self.or_none(Signal::CurrentLeader);
        VoterView {
            state: self.state().or_else(|| derived_state(current_leader, active, node_id)),
            current_leader,
            epoch: self.count(Signal::CurrentEpoch),
            log_end_offset: self.or_none(Signal::LogEndOffset),
            log_end_epoch: self.count(Signal::LogEndEpoch),
            high_watermark: self.or_none(Signal::HighWatermark),
            active,
            number_of_voters: self.count(Signal::NumberOfVoters),
            uncommitted_change: self
                .number(Signal::UncommittedVoterChange)
                .is_some_and(|n| n > 0.0),
            metadata_errors: self.count(Signal::MetadataErrors),
            fenced_brokers: self.count(Signal::FencedBrokers),
            offline_partitions: self.count(Signal::OfflinePartitions),
            global_partitions: self.count(Signal::GlobalPartitions),
            good_probes: 0,
        }
    }

    /// The label of the one state sample that is 1.
    fn state(&mut self) -> Option<VoterState> {
        let (name, samples) = self.samples(Signal::CurrentState)?;
        let mut states = samples
            .iter()
            .filter(|sample| sample.number().is_some_and(|value| value > 0.0))
            .filter_map(|s| s.labels.get("current_state").or_else(|| s.labels.get("state")));
        let (Some(state), None) = (states.next(), states.next()) else {
            self.unreadable(name, "it does not name exactly one state");
            return None;
        };
        Some(match state.as_str() {
            "leader" => VoterState::Leader,
            "follower" => VoterState::Follower,
            other => VoterState::Other(other.to_owned()),
        })
    }

    fn broker(&mut self) -> BrokerView {
        BrokerView {
            under_replicated: self.count(Signal::UnderReplicated),
            under_min_isr: self.count(Signal::UnderMinIsr),
            at_min_isr: self.count(Signal::AtMinIsr),
            reassigning: self.count(Signal::Reassigning),
            state: self.count(Signal::BrokerState),
            offline_replicas: self.count(Signal::OfflineReplicas),
            logs_to_recover: self.total(Signal::LogsToRecover),
            segments_to_recover: self.total(Signal::SegmentsToRecover),
        }
    }

    fn kubelet(&mut self) -> Option<KubeletView> {
        let last_seen_s = self.number(Signal::PlegLastSeen);
        let discards = self.number(Signal::PlegDiscards);
        let evented = self.number(Signal::EventedPleg).is_some_and(|count| count > 0.0);
        let old_form = self.aliases.name(Signal::RelistDuration).is_none()
            && self.aliases.name(Signal::RelistLatencyMicroseconds).is_some();
        let signal =
            if old_form { Signal::RelistLatencyMicroseconds } else { Signal::RelistDuration };
        let (name, samples) = self.samples(signal)?;
        let relists = relists(name, samples);
        if relists.is_none() {
            self.unreadable(name, "it is not one histogram or summary with a count");
        }
        Some(KubeletView { relists: relists?, last_seen_s, discards, evented })
    }

    /// `kube_node_status_condition{condition="Ready",status="true"[,node="<unit>"]}`.
    fn node_ready(&mut self, target: &Target) -> Option<bool> {
        let (_, samples) = self.samples(Signal::NodeReady)?;
        let says = |sample: &Sample, label: &str, value: &str| {
            sample.labels.get(label).is_some_and(|found| found == value)
        };
        let unit = target.key.unit.as_str();
        let ready = samples.iter().find(|sample| {
            says(sample, "condition", "Ready")
                && says(sample, "status", "true")
                && (says(sample, "node", unit) || !sample.labels.contains_key("node"))
        });
        if ready.is_none() {
            self.missing(Signal::NodeReady);
        }
        ready?.number().map(|value| value > 0.0)
    }
}

/// Where the state is not exported (a string attribute), leader and activity tell it: Kafka names
/// a leader only in the states leader, follower and observer, and targets are configured voters.
fn derived_state(
    current_leader: Option<i64>,
    active: Option<bool>,
    node_id: Option<i64>,
) -> Option<VoterState> {
    match (current_leader?, active?) {
        (leader, true) if Some(leader) == node_id => Some(VoterState::Leader),
        (leader, false) if Some(leader) != node_id => Some(VoterState::Follower),
        _ => None,
    }
}

fn relists(name: &str, samples: &[Sample]) -> Option<Relists> {
    let count_name = format!("{name}_count");
    let mut counts = samples.iter().filter(|sample| sample.name == count_name);
    let mut folded = samples.iter().filter(|sample| sample.name == name);
    let (Some(count), None) = (counts.next()?.number(), counts.next()) else { return None };
    let (leaves, None) = (&folded.next()?.value, folded.next()) else { return None };
    match leaves {
        SampleValue::Number(_) => None,
        SampleValue::Buckets(leaves) => {
            let buckets = leaves.iter().map(|&(le_s, cumulative)| Bucket { le_s, cumulative });
            Some(Relists::Histogram { buckets: buckets.collect(), count })
        }
        SampleValue::Quantiles(leaves) => {
            let p99 = leaves.iter().find(|(quantile, _)| (quantile - 0.99).abs() < 1e-9);
            Some(Relists::Summary { p99_us: p99?.1, count })
        }
    }
}

/// The number as an integer, if it is one that a float holds exactly.
fn whole(number: f64) -> Option<i64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if number.fract() != 0.0 || number.abs() > EXACT {
        return None;
    }
    #[expect(
        clippy::as_conversions,
        clippy::cast_possible_truncation,
        reason = "whole and within 2^53, checked above"
    )]
    Some(number as i64)
}
