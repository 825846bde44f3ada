//! Evidence that a unit is back, healthy and stays so (rolling.md §9, steps 5 to 7).

use channels::wire::Role;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::take_out::{findings_of, quorum, without_repeats};
use super::{Blocker, GatePolicy};
use crate::observation::{
    EvidenceFrom, Finding, LagSource, Observation, UnitKey, UnitObservation, VoterState,
};
use crate::telemetry::Signal;

/// What was known of a unit when it was changed; persisted with its phase.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MutateRecord {
    /// When the change began (agent's clock).
    pub at: Timestamp,
    /// Start time of the process before the change, if it answered then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process_start_before: Option<f64>,
    /// Names its life before the change, where a witness is the evidence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incarnation_before: Option<String>,
    /// Nodes: p99 of relists before the change, milliseconds; the baseline of its return.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pleg_p99_before_ms: Option<u64>,
    /// Controllers: the leader's log end offset sampled when the unit had returned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leader_offset_at_return: Option<i64>,
    /// Controllers and brokers: the quorum's epoch when the soak began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch_at_soak: Option<u64>,
}

impl MutateRecord {
    /// What is known of `key` right before it is changed.
    pub fn before(key: &UnitKey, observation: &Observation) -> Self {
        let unit = observation.units.get(key);
        Self {
            at: observation.at,
            process_start_before: unit.and_then(|unit| unit.process_start),
            incarnation_before: unit.and_then(|unit| unit.incarnation.clone()),
            pleg_p99_before_ms: unit.and_then(|unit| unit.pleg.as_ref()?.baseline_p99_ms),
            leader_offset_at_return: None,
            epoch_at_soak: None,
        }
    }

    /// Takes over how the unit of `key` is right before it is changed: what it did by itself since
    /// it was taken out (a node may reboot in a long drain) is no evidence of the change.
    pub fn renew(&mut self, key: &UnitKey, observation: &Observation) {
        let Some(unit) = observation.units.get(key) else { return };
        self.process_start_before = unit.process_start.or(self.process_start_before);
        self.incarnation_before =
            unit.incarnation.clone().or_else(|| self.incarnation_before.take());
    }

    /// Adds the leader's log end offset, once the unit of `key` has returned.
    pub fn note_return(&mut self, key: &UnitKey, observation: &Observation) {
        let quorum = observation.quorums.get(&key.product);
        self.leader_offset_at_return = quorum.and_then(|quorum| quorum.leader_log_end_offset);
    }

    /// Sets the quorum's epoch when the soak of `key` begins, or as soon as one is agreed on then.
    pub fn note_soak(&mut self, key: &UnitKey, observation: &Observation) {
        self.epoch_at_soak = observation.quorums.get(&key.product).and_then(|quorum| quorum.epoch);
    }

    /// Takes over the quorum's epoch after a person resumed; what is unknown replaces nothing.
    pub fn renew_epoch(&mut self, key: &UnitKey, observation: &Observation) {
        let epoch = observation.quorums.get(&key.product).and_then(|quorum| quorum.epoch);
        self.epoch_at_soak = epoch.or(self.epoch_at_soak);
    }
}

/// `AwaitReturn`: the unit answers, restarted, and reports `expected_version`.
pub fn has_returned(
    key: &UnitKey,
    expected_version: &str,
    since: &MutateRecord,
    observation: &Observation,
) -> Vec<Blocker> {
    let Some(unit) = observation.units.get(key) else {
        return vec![(Some(key.unit.clone()), Finding::NotObserved)];
    };
    let findings = return_findings(unit, expected_version, since);
    findings.into_iter().map(|finding| (Some(key.unit.clone()), finding)).collect()
}

fn return_findings(
    unit: &UnitObservation,
    expected_version: &str,
    since: &MutateRecord,
) -> Vec<Finding> {
    let mut findings: Vec<Finding> =
        findings_of(unit).into_iter().filter(Finding::is_down).collect();
    // What was read before the change says nothing about the time after it.
    if findings.is_empty() && unit.last_good.is_none_or(|at| at <= since.at) {
        findings.push(Finding::NotObserved);
    }
    if !findings.is_empty() {
        return findings;
    }
    let expected = without_v(expected_version);
    match &unit.version {
        Some(observed) if without_v(observed) == expected => {}
        Some(observed) => findings.push(Finding::VersionDiffers {
            observed: observed.clone(),
            expected: expected.to_owned(),
        }),
        None => findings.push(Finding::MetricMissing { signal: Signal::Version }),
    }
    if let EvidenceFrom::Witness(_) = unit.evidence_from {
        let same = unit.incarnation.is_some() && unit.incarnation == since.incarnation_before;
        if let (true, Some(incarnation)) = (same, unit.incarnation.clone()) {
            findings.push(Finding::SameIncarnation { incarnation });
        }
        return findings;
    }
    match (unit.process_start, since.process_start_before) {
        // Any other start counts: the version is proved beside it, and a unit that came back by
        // itself just before its change is restarted within the same second.
        (Some(now), Some(before)) if now.total_cmp(&before).is_eq() => {
            findings.push(Finding::NotRestarted { process_start_s: now });
        }
        (Some(_), _) => {}
        (None, _) => findings.push(Finding::MetricMissing { signal: Signal::ProcessStart }),
    }
    findings
}

fn without_v(version: &str) -> &str {
    version.strip_prefix('v').unwrap_or(version)
}

/// `AwaitHealth`: it has returned and its own health gate holds.
pub fn back_and_healthy(
    key: &UnitKey,
    expected_version: &str,
    since: &MutateRecord,
    observation: &Observation,
    policy: &GatePolicy,
) -> Vec<Blocker> {
    let Some(unit) = observation.units.get(key) else {
        return vec![(Some(key.unit.clone()), Finding::NotObserved)];
    };
    let mut findings = return_findings(unit, expected_version, since);
    match unit.role {
        Role::Controller => {
            findings.extend(findings_of(unit));
            findings.extend(controller(key, unit, since, observation, policy));
        }
        Role::Node => findings.extend(node(unit, since, policy)),
        Role::Broker | Role::Workload => findings.extend(findings_of(unit)),
    }
    let mut blockers: Vec<Blocker> =
        findings.into_iter().map(|finding| (Some(key.unit.clone()), finding)).collect();
    if unit.is_broker() {
        blockers.extend(replication(key, observation));
    }
    without_repeats(blockers)
}

fn controller(
    key: &UnitKey,
    unit: &UnitObservation,
    since: &MutateRecord,
    observation: &Observation,
    policy: &GatePolicy,
) -> Vec<Finding> {
    let Some(voter) = &unit.voter else { return vec![Finding::NotObserved] };
    let mut findings = Vec::new();
    match voter.state {
        Some(VoterState::Leader | VoterState::Follower) => {}
        Some(VoterState::Other(ref state)) => {
            findings.push(Finding::NotInQuorum { state: state.clone() });
        }
        None => findings.push(Finding::NotInQuorum { state: "in an unknown state".to_owned() }),
    }
    if voter.good_probes < policy.good_probes {
        let (observed, limit) = (voter.good_probes, policy.good_probes);
        findings.push(Finding::TooFewGoodProbes { observed, limit });
    }
    let quorum = observation.quorums.get(&key.product);
    let newest = quorum.and_then(|quorum| quorum.leader_log_end_offset);
    match (voter.log_end_offset, since.leader_offset_at_return.or(newest)) {
        (Some(observed), Some(limit)) if observed >= limit => {}
        (Some(observed), Some(limit)) => {
            findings.push(Finding::LogNotCaughtUp { observed, limit });
        }
        (None, _) => findings.push(Finding::MetricMissing { signal: Signal::LogEndOffset }),
        (_, None) => findings.push(Finding::QuorumLagUnknown),
    }
    match voter.metadata_errors {
        Some(0) => {}
        Some(observed) => findings.push(Finding::MetadataErrors { observed, limit: 0 }),
        None => findings.push(Finding::MetricMissing { signal: Signal::MetadataErrors }),
    }
    findings
}

/// The p99 of a fresh kubelet is compared with its own past, not with the idle limit.
fn node(unit: &UnitObservation, since: &MutateRecord, policy: &GatePolicy) -> Vec<Finding> {
    let idle_p99 = |finding: &Finding| {
        matches!(finding, Finding::PlegLag { source_of_lag: LagSource::P99, .. })
    };
    let mut findings = findings_of(unit);
    findings.retain(|finding| !idle_p99(finding));
    let Some(pleg) = &unit.pleg else {
        findings.push(Finding::NotObserved);
        return findings;
    };
    let limit_ms = since
        .pleg_p99_before_ms
        .map_or(0, |before| before.saturating_mul(policy.p99_baseline_factor))
        .max(policy.p99_after_update_ms);
    if pleg.relists_since_start < policy.relists_after_update {
        let (observed, limit) = (pleg.relists_since_start, policy.relists_after_update);
        findings.push(Finding::TooFewRelists { observed, limit });
    }
    if let Some(observed_ms) = pleg.p99_ms.filter(|&p99| p99 >= limit_ms) {
        let source_of_lag = LagSource::P99;
        findings.push(Finding::PlegLag { observed_ms, limit_ms, source_of_lag });
    }
    findings
}

/// A returned broker is healthy when nothing of its product is still catching up.
fn replication(key: &UnitKey, observation: &Observation) -> Vec<Blocker> {
    let brokers = observation.brokers(&key.product);
    let still = |finding: &Finding| {
        matches!(finding, Finding::UnderReplicated { .. } | Finding::UnderMinIsr { .. })
    };
    brokers
        .into_iter()
        .flat_map(|(name, unit)| {
            let findings = findings_of(unit).into_iter().filter(still);
            findings.map(|finding| (Some(name.clone()), finding)).collect::<Vec<_>>()
        })
        .collect()
}

/// `Soak`: it is still healthy, the epoch stands, and the quorum still commits.
pub fn still_soaking_well(
    key: &UnitKey,
    expected_version: &str,
    since: &MutateRecord,
    observation: &Observation,
    policy: &GatePolicy,
) -> Vec<Blocker> {
    let mut blockers = back_and_healthy(key, expected_version, since, observation, policy);
    // What is both must satisfy the stricter of the two.
    let both = |unit: &UnitObservation| if unit.is_broker() { Role::Broker } else { unit.role };
    let role = observation.units.get(key).map(both);
    if let Some(role @ (Role::Controller | Role::Broker)) = role {
        // The soaking unit is part of the quorum again: nobody is left out. A small quorum was
        // accepted when the unit was taken out.
        let policy = GatePolicy { allow_small_quorum: true, ..policy.clone() };
        blockers.extend(quorum(&key.product, None, role, observation, &policy));
        let epoch = observation.quorums.get(&key.product).and_then(|quorum| quorum.epoch);
        match (epoch, since.epoch_at_soak) {
            (Some(observed), Some(limit)) if observed != limit => {
                blockers.push((None, Finding::EpochChanged { observed, limit }));
            }
            (Some(_), Some(_)) => {}
            // What cannot be compared does not prove that nobody was elected.
            (None, _) | (_, None) => {
                blockers.push((None, Finding::MetricMissing { signal: Signal::CurrentEpoch }));
            }
        }
    }
    without_repeats(blockers)
}
