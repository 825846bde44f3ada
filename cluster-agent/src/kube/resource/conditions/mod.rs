//! From a view to a status: the six conditions of OpenShift's `ClusterVersion`, for one product.
//!
//! Pure. A condition's time moves only when its status does, whatever its reason and message do.

mod rules;
#[cfg(test)]
mod tests;

pub(super) use rules::PASSING;

use jiff::Timestamp;

use super::status::{
    ClusterUpdateStatus, Condition, ConditionStatus, HealthStatus, ProgressStatus, REASONS_MAX,
    Waiting,
};
use super::view::View;

/// Longest message of a condition or reason; the whole text is in the log.
const MESSAGE_CHARS_MAX: usize = 1_000;

/// Longest line of gates.
const WAITING_CHARS_MAX: usize = 120;

/// One condition before it is known since when it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Judged {
    pub(super) type_: &'static str,
    pub(super) status: ConditionStatus,
    pub(super) reason: String,
    pub(super) message: String,
}

impl ClusterUpdateStatus {
    /// The status that shows `view`, after the one that was there `before`.
    pub fn of(view: &View, before: Option<&Self>, now: Timestamp) -> Self {
        let state = &view.state;
        let generation = view.spec.generation;
        Self {
            observed_generation: generation,
            version: Some(state.version.to_string()),
            desired: Some(state.target.as_ref().unwrap_or(&state.version).to_string()),
            finalized: view.finalized.clone(),
            channel: Some(state.channel.to_string()),
            arch: Some(state.arch.to_string()),
            policy: Some(view.policy.to_owned()),
            phase: Some(state.phase.to_string()),
            unit: state.unit.as_ref().map(ToString::to_string),
            progress: state.progress.map(|progress| ProgressStatus {
                done: i64::from(progress.done),
                total: i64::from(progress.total),
            }),
            waiting: waiting_line(view),
            health: Some(health(view)),
            conditions: conditions(rules::all(view), before, generation, now),
            waiting_on: waiting_on(view),
            units: view.units.clone(),
            units_omitted: match view.units_omitted {
                0 => None,
                more => i64::try_from(more).ok(),
            },
            history: view.history.clone(),
            available_updates: view.available.clone(),
            conditional_updates: view.conditional.clone(),
            agent: Some(view.agent.clone()),
        }
    }

    /// The status of a resource whose product this agent does not have, or which it cannot read.
    pub fn refused(
        generation: Option<i64>,
        why: &str,
        before: Option<&Self>,
        agent: super::status::AgentStatus,
        now: Timestamp,
    ) -> Self {
        Self {
            observed_generation: generation,
            conditions: conditions(rules::refused(why), before, generation, now),
            agent: Some(agent),
            ..Self::default()
        }
    }

    /// One condition's status.
    pub fn condition(&self, type_: &str) -> Option<&Condition> {
        self.conditions.iter().find(|condition| condition.type_ == type_)
    }

    /// Whether the difference to `other` is one that people wait for. Figures that move all the
    /// time (lags, and the messages that hold them) are not: they are written more rarely.
    pub fn differs_materially(&self, other: &Self) -> bool {
        self.without_figures() != other.without_figures()
    }

    fn without_figures(&self) -> Self {
        let mut plain = self.clone();
        plain.health = plain.health.map(|health| HealthStatus {
            quorum_lag_ms: None,
            quorum_lag_unit: None,
            pleg_lag_ms: None,
            pleg_lag_unit: None,
            ..health
        });
        for waiting in &mut plain.waiting_on {
            waiting.message.clear();
            waiting.observed = None;
            waiting.limit = None;
        }
        for unit in &mut plain.units {
            unit.why = None;
        }
        for condition in &mut plain.conditions {
            condition.message.clear();
        }
        plain
    }
}

fn conditions(
    judged: Vec<Judged>,
    before: Option<&ClusterUpdateStatus>,
    generation: Option<i64>,
    now: Timestamp,
) -> Vec<Condition> {
    judged
        .into_iter()
        .map(|Judged { type_, status, reason, message }| {
            let held = before
                .and_then(|before| before.condition(type_))
                .filter(|old| old.status == status)
                .map(|old| old.last_transition_time);
            Condition {
                type_: type_.to_owned(),
                status,
                observed_generation: generation,
                last_transition_time: held.unwrap_or_else(|| whole_second(now)),
                reason,
                message: short(&message),
            }
        })
        .collect()
}

fn waiting_line(view: &View) -> Option<String> {
    let mut gates: Vec<String> = Vec::new();
    for reason in &view.state.waiting_on {
        let unit = reason.unit.as_ref().map_or_else(String::new, |unit| format!("({unit})"));
        let gate = format!("{}{unit}", reason.gate);
        if !gates.contains(&gate) {
            gates.push(gate);
        }
    }
    let line: String = gates.join(", ").chars().take(WAITING_CHARS_MAX).collect();
    (!line.is_empty()).then_some(line)
}

fn waiting_on(view: &View) -> Vec<Waiting> {
    let reasons = view.state.waiting_on.iter().take(REASONS_MAX);
    reasons
        .map(|reason| Waiting {
            gate: reason.gate.clone(),
            unit: reason.unit.as_ref().map(ToString::to_string),
            message: short(&reason.message),
            // JSON has no infinities; a figure that is none says nothing.
            observed: reason.observed.filter(|figure| figure.is_finite()),
            limit: reason.limit.filter(|figure| figure.is_finite()),
            since: reason.since.map(whole_second),
        })
        .collect()
}

fn health(view: &View) -> HealthStatus {
    let health = &view.state.health;
    let figure = |ms: Option<u64>| ms.and_then(|ms| i64::try_from(ms).ok());
    HealthStatus {
        verdict: health.verdict.to_string(),
        quorum_lag_ms: figure(health.quorum_lag_ms),
        quorum_lag_unit: health.quorum_lag_unit.as_ref().map(ToString::to_string),
        pleg_lag_ms: figure(health.pleg_lag_ms),
        pleg_lag_unit: health.pleg_lag_unit.as_ref().map(ToString::to_string),
    }
}

fn short(message: &str) -> String {
    message.chars().take(MESSAGE_CHARS_MAX).collect()
}

/// As Kubernetes keeps times: without fractions.
pub(super) fn whole_second(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}

/// Longest reason that the resource's schema takes.
const REASON_CHARS_MAX: usize = 128;

/// `quorum_lag` as a reason: `QuorumLag`. What is no name at all is `Unknown`.
pub(super) fn camel(gate: &str) -> String {
    let mut reason = String::new();
    let words = gate.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    for word in words {
        let mut letters = word.chars();
        reason.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        reason.extend(letters);
    }
    reason.truncate(REASON_CHARS_MAX);
    if reason.starts_with(|c: char| c.is_ascii_alphabetic()) { reason } else { "Unknown".into() }
}
