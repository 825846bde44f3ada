//! Firing alerts as gates.
//!
//! Pure: answers in, gates out. Whether the alerting rules are evaluated at all is proved by an
//! alert that always fires, where the operator names one.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::answer::{Answer, Value};
use super::expect::away;
use super::matcher::Matchers;
use crate::observation::{ClusterGate, Finding, GateScope};

/// Alerts named one by one; what goes beyond is counted.
const ALERTS_NAMED_MAX: usize = 8;

/// Longest name of an alert that is shown.
const NAME_CHARS_MAX: usize = 100;

/// Alerts that keep units from going.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertRule {
    /// The rule's name.
    pub name: String,
    /// Which alerts.
    pub matchers: Matchers,
    /// Whose units they concern.
    pub scope: GateScope,
    /// Whether a roll under way pauses for them.
    pub stops: bool,
}

impl AlertRule {
    /// The gates that the answer to [`Matchers::firing`] makes; none if nothing fires.
    pub fn judge(
        &self,
        answer: Result<&Answer, String>,
        skew_ms: u64,
        now: Timestamp,
    ) -> Vec<ClusterGate> {
        match answer.and_then(|answer| firing(answer, skew_ms, now)) {
            Err(why) => vec![self.unknown(why)],
            Ok(names) => self.gates(&names),
        }
    }

    /// The gate of a rule that cannot be told.
    pub fn unknown(&self, why: String) -> ClusterGate {
        let gate = format!("alerts {}", self.name);
        ClusterGate {
            scope: self.scope.clone(),
            finding: Finding::QueryUnknown { gate, why },
            stops: self.stops,
        }
    }

    fn gates(&self, names: &BTreeMap<String, usize>) -> Vec<ClusterGate> {
        let gate = |alert| ClusterGate {
            scope: self.scope.clone(),
            finding: Finding::AlertFires { alert },
            stops: self.stops,
        };
        let named = names.iter().take(ALERTS_NAMED_MAX);
        let mut gates: Vec<ClusterGate> = named
            .map(|(name, times)| {
                gate(if *times > 1 { format!("{name} (×{times})") } else { name.clone() })
            })
            .collect();
        let more = names.len().saturating_sub(ALERTS_NAMED_MAX);
        if more > 0 {
            gates.push(gate(format!("{more} others of {}", self.name)));
        }
        gates
    }
}

/// Firing alerts by name, and how often each fires.
fn firing(
    answer: &Answer,
    skew_ms: u64,
    now: Timestamp,
) -> Result<BTreeMap<String, usize>, String> {
    let Value::Vector(samples) = &answer.value else {
        return Err(format!("the answer is a {}, not a vector", answer.value.kind()));
    };
    let mut names = BTreeMap::new();
    for sample in samples {
        let point = sample.point.ok_or("the answer is a histogram")?;
        if let Some(why) = away(point, skew_ms, now) {
            return Err(why);
        }
        // `ALERTS` is 1 while its alert is active; anything else but 0 is not ours to explain away.
        if !super::expect::Comparison::Equal.met(point.value, 0.0) {
            let name: String = sample.label("alertname").chars().take(NAME_CHARS_MAX).collect();
            let name = if name.is_empty() { "without a name".to_owned() } else { name };
            *names.entry(name).or_default() += 1;
        }
    }
    Ok(names)
}

/// The query that must find the alert which always fires.
pub(super) fn watchdog_query(alert: &str) -> String {
    format!("ALERTS{{alertstate=\"firing\",alertname={alert:?}}}")
}

/// Why the watchdog does not vouch for the alerting rules; `None` if it does.
pub(super) fn watchdog_silent(
    alert: &str,
    answer: Result<&Answer, String>,
    skew_ms: u64,
    now: Timestamp,
) -> Option<String> {
    match answer.and_then(|answer| firing(answer, skew_ms, now)) {
        Err(why) => Some(format!("whether {alert} fires cannot be told: {why}")),
        Ok(names) if names.is_empty() => {
            Some(format!("{alert} must always fire and does not: alerting rules are not evaluated"))
        }
        Ok(_) => None,
    }
}
