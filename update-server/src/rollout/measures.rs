//! The baselines of a policy: what clusters are to measure, and what came of it.
//!
//! Pure. A cluster is judged against its own past: the mean that it reported with the question that
//! its grant answered. A number that is missing, before or after, is unknown: never a pass, and never
//! a failure.

use channels::rollout::{Baseline, HealthGate, Labels, Side};
use channels::wire::{HealthSummary, Measure, MeasureId, Measured};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::rollouts::Rollouts;
use crate::fleet::{ProductRecord, Slot};

/// How long after a policy came, or a release, a cluster that has not told its baseline is waited
/// for: two report intervals, one to hear of it and one to answer. Whoever has not answered by then
/// goes without, and its health is unknown.
pub(super) const PATIENCE: SignedDuration = SignedDuration::from_mins(10);

/// What the answers to a baseline are known by.
fn id(baseline: &Baseline) -> MeasureId {
    MeasureId::of(&baseline.query, over_s(baseline))
}

fn over_s(baseline: &Baseline) -> u64 {
    u64::try_from(baseline.over.duration().as_secs()).unwrap_or(0)
}

fn answer<'h>(baseline: &Baseline, health: &'h HealthSummary) -> Option<&'h Measured> {
    let id = id(baseline);
    health.measured.iter().find(|measured| measured.id == id)
}

/// The first baseline to which there is no answer at all, not even that there is none.
pub(super) fn unanswered<'b>(
    baselines: &'b [Baseline],
    health: &HealthSummary,
) -> Option<&'b Baseline> {
    baselines.iter().find(|baseline| answer(baseline, health).is_none())
}

/// The baseline by which a cluster failed, with the numbers that were compared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Worse {
    /// Name of the baseline.
    pub name: String,
    /// The cluster's mean when it was granted.
    pub before: f64,
    /// Its value after its success.
    pub now: f64,
}

/// The first baseline of a ring that a cluster is worse by.
pub(super) fn worse(
    baselines: &[Baseline],
    before: Option<&HealthSummary>,
    after: &HealthSummary,
) -> Option<Worse> {
    baselines.iter().find_map(|baseline| {
        let (before, now) = compared(baseline, before, after);
        let (before, now) = (before?, now?);
        let name = baseline.name.to_string();
        is_worse(baseline, before, now).then_some(Worse { name, before, now })
    })
}

/// The mean before and the value after.
fn compared(
    baseline: &Baseline,
    before: Option<&HealthSummary>,
    after: &HealthSummary,
) -> (Option<f64>, Option<f64>) {
    let mean = before.and_then(|health| answer(baseline, health)?.mean);
    (mean, answer(baseline, after).and_then(|measured| measured.value))
}

/// The gate over all baselines of a ring.
pub(super) fn gate(
    baselines: &[Baseline],
    before: Option<&HealthSummary>,
    after: &HealthSummary,
    now: Timestamp,
) -> HealthGate {
    let gates = baselines.iter().map(|baseline| match compared(baseline, before, after) {
        (Some(mean), Some(value)) if is_worse(baseline, mean, value) => {
            HealthGate::Fail { since: now }
        }
        (Some(mean), Some(value)) if mean.is_finite() && value.is_finite() => HealthGate::Pass,
        (Some(_) | None, Some(_) | None) => HealthGate::Unknown,
    });
    gates.reduce(super::health::worst).unwrap_or(HealthGate::Pass)
}

/// Whether a value is on the bad side of a mean by more than the tolerance. Of a mean of zero nothing
/// is tolerated. What is no number is not worse.
fn is_worse(baseline: &Baseline, mean: f64, value: f64) -> bool {
    let allowed = mean.abs() * f64::from(baseline.tolerance.hundredths()) / 10_000.0;
    match baseline.bad_when {
        Side::Above => value > mean + allowed,
        Side::Below => value < mean - allowed,
    }
}

impl Rollouts {
    /// What a cluster is to measure: for the rings of the rollouts it is in, and for those of the
    /// policies that govern its products.
    pub fn measures(
        &self,
        slot: Slot,
        labels: &Labels,
        products: &[ProductRecord],
    ) -> Vec<Measure> {
        let mut found: Vec<Measure> = Vec::new();
        if !self.policies.ask_baselines() {
            return found;
        }
        let mut bytes = 0;
        for record in products {
            let product = &record.graph.product;
            let ids = self.of_product.get(product).into_iter().flatten();
            let live = ids.filter_map(|id| {
                let (head, tracked) =
                    (self.heads.get(id)?, self.attempts.get(id)?.live.get(&slot)?);
                head.rules.rings.get(head.ring(&tracked.ring))
            });
            let governing = self.policies.governing(product, &record.graph.channel);
            let next = governing.and_then(|known| {
                let ring = known.policy.ring_of(labels)?;
                known.policy.rings.get(ring)
            });
            for baseline in live.chain(next).flat_map(|ring| &ring.gates.baselines) {
                let measure = Measure {
                    product: product.clone(),
                    id: id(baseline),
                    name: baseline.name.to_string(),
                    query: baseline.query.clone(),
                    over_s: over_s(baseline),
                };
                let is_known =
                    |known: &Measure| known.id == measure.id && known.product == measure.product;
                bytes += measure.query.len();
                let fits = found.len() < Measure::MAX && bytes <= Measure::MAX_QUERY_BYTES;
                if fits && !found.iter().any(is_known) {
                    found.push(measure);
                }
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn baseline(bad_when: &str, tolerance: &str) -> Baseline {
        serde_json::from_value(serde_json::json!({
            "name": "errors", "query": "up", "bad_when": bad_when, "tolerance": tolerance,
            "over": "1h",
        }))
        .unwrap()
    }

    fn told(value: Option<f64>, mean: Option<f64>) -> HealthSummary {
        let measured = Measured { id: MeasureId::of("up", 3_600), value, mean, why: None };
        HealthSummary { measured: vec![measured], ..HealthSummary::default() }
    }

    fn judged(baseline: &Baseline, mean: Option<f64>, value: Option<f64>) -> HealthGate {
        let before = told(Some(9_999.0), mean);
        let all = std::slice::from_ref(baseline);
        gate(all, Some(&before), &told(value, Some(-1.0)), Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn a_value_is_worse_beyond_the_tolerance_on_the_bad_side_only() {
        let fail = HealthGate::Fail { since: Timestamp::UNIX_EPOCH };
        let (above, below) = (baseline("above", "10%"), baseline("below", "10%"));
        for (mean, value, if_above, if_below) in [
            (100.0, 110.0, HealthGate::Pass, HealthGate::Pass),
            (100.0, 110.5, fail, HealthGate::Pass),
            (100.0, 89.5, HealthGate::Pass, fail),
            (-100.0, -89.0, fail, HealthGate::Pass),
            (0.0, 0.0, HealthGate::Pass, HealthGate::Pass),
            (0.0, 0.001, fail, HealthGate::Pass),
        ] {
            assert_eq!(judged(&above, Some(mean), Some(value)), if_above, "{mean} {value}");
            assert_eq!(judged(&below, Some(mean), Some(value)), if_below, "{mean} {value}");
        }
    }

    #[test]
    fn what_was_not_measured_before_or_is_not_now_is_unknown() {
        let above = baseline("above", "10%");
        for (mean, value) in
            [(None, Some(1.0)), (Some(1.0), None), (None, None), (Some(f64::NAN), Some(1.0))]
        {
            assert_eq!(judged(&above, mean, value), HealthGate::Unknown, "{mean:?} {value:?}");
        }
        let all = std::slice::from_ref(&above);
        let now = Timestamp::UNIX_EPOCH;
        assert_eq!(gate(all, None, &told(Some(1.0), Some(1.0)), now), HealthGate::Unknown);
        assert_eq!(gate(&[], None, &HealthSummary::default(), now), HealthGate::Pass);
    }

    #[test]
    fn an_answer_to_another_query_or_over_another_time_is_none() {
        let other = Baseline { query: "sum(up)".to_owned(), ..baseline("above", "10%") };
        let health = told(Some(1.0), Some(1.0));
        let all = [baseline("above", "0%"), other.clone()];
        assert_eq!(unanswered(&all, &health), Some(&other));
        assert_eq!(unanswered(&all[..1], &health), None);
        let refused = Measured { id: id(&other), value: None, mean: None, why: None };
        let health = HealthSummary { measured: vec![refused], ..health };
        assert_eq!(unanswered(&all[1..], &health), None, "it said that there is none");
    }
}
