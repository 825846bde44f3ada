//! The gates of a ring with what was measured and what is asked for. Pure.

use channels::rollout::{Gates, Side, WaitReason};
use jiff::Timestamp;

use super::super::words::{self, Pill, Tone};
use crate::rollout::RingView;

/// One gate.
#[derive(Debug, Clone)]
pub(super) struct Reading {
    pub(super) name: String,
    pub(super) measured: String,
    pub(super) limit: String,
    pub(super) state: Pill,
}

fn reading(name: &str, measured: String, limit: String, state: Pill) -> Reading {
    Reading { name: name.to_owned(), measured, limit, state }
}

/// What a gate says of a ring that is judged.
fn verdict(holds: Option<bool>, otherwise: (Tone, &str)) -> Pill {
    match holds {
        None => Pill::new(Tone::Mute, "not judged yet"),
        Some(true) => Pill::new(Tone::Good, "holds"),
        Some(false) => Pill::new(otherwise.0, otherwise.1),
    }
}

/// Reads the gates of a ring; one that is closed is not judged. The counts must be of the whole ring.
pub(super) fn readings(gates: &Gates, ring: &RingView, now: Timestamp) -> Vec<Reading> {
    let counts = &ring.counts;
    let attempted = counts.attempted();
    let judged = ring.open.is_some();
    let judge = |holds: bool| judged.then_some(holds);
    let waits = |code: fn(&WaitReason) -> bool| ring.waits_for.iter().find(|reason| code(reason));
    let allowed = gates.max_failures.at_most(attempted);
    let unknown = gates.max_unknown.at_most(attempted);
    let sample = gates.min_sample.at_least(counts.members);
    let begun = attempted.saturating_add(counts.there);
    let mut all = vec![
        reading(
            "Failures",
            format!("{} of {attempted} that began", counts.failed),
            format!("at most {allowed} ({})", gates.max_failures),
            verdict(judge(counts.failed <= allowed), (Tone::Bad, "halts")),
        ),
        reading(
            "Unknown health",
            format!("{} of {attempted} that began", counts.unknown),
            format!("at most {unknown} ({})", gates.max_unknown),
            verdict(judge(counts.unknown <= unknown), (Tone::Bad, "stops all")),
        ),
        reading(
            "Sample",
            format!("{begun} of {} began or ran it", counts.members),
            format!("at least {sample} ({})", gates.min_sample),
            verdict(judge(begun >= sample), (Tone::Warn, "waits")),
        ),
        reading(
            "Success",
            format!("{} of {attempted} that began", counts.succeeded),
            format!("at least {}", gates.success),
            verdict(
                judge(gates.success.is_met_by(counts.succeeded, attempted)),
                (Tone::Warn, "waits"),
            ),
        ),
    ];
    let soaking = waits(|reason| matches!(reason, WaitReason::Soaking { .. }));
    let measured = match soaking {
        Some(WaitReason::Soaking { until }) => {
            format!("the last success will have soaked {}", words::relative(now, *until))
        }
        Some(_) | None if counts.succeeded > 0 => "the last success has soaked".to_owned(),
        Some(_) | None => "no success yet".to_owned(),
    };
    all.push(reading(
        "Soak",
        measured,
        format!("{} after the last success", gates.soak),
        verdict(judge(soaking.is_none()), (Tone::Warn, "waits")),
    ));
    all.extend(baselines(gates));
    if ring.needs_approval {
        all.push(reading(
            "Approval",
            "nobody approved it".to_owned(),
            "a person".to_owned(),
            Pill::new(Tone::Warn, "waits"),
        ));
    }
    all
}

/// What each cluster is held against, one by one.
fn baselines(gates: &Gates) -> impl Iterator<Item = Reading> {
    gates.baselines.iter().map(|baseline| {
        let side = match baseline.bad_when {
            Side::Above => "above",
            Side::Below => "below",
        };
        reading(
            &format!("Baseline {}", baseline.name),
            "of every cluster, against its own past".to_owned(),
            format!("at most {} {side} its mean over {}", baseline.tolerance, baseline.over),
            Pill::new(Tone::Plain, "worse counts as a failure"),
        )
    })
}

#[cfg(test)]
mod tests {
    use channels::rollout::{Amount, Counts, Percent, Share};

    use super::*;

    fn now() -> Timestamp {
        Timestamp::from_second(1_790_000_000).unwrap()
    }

    fn ring(counts: Counts, waits_for: Vec<WaitReason>) -> RingView {
        RingView {
            name: "canary".parse().unwrap(),
            counts,
            open: Some(Share::ALL),
            waits_for,
            opens_at: None,
            held: None,
            needs_approval: false,
        }
    }

    fn told(gates: &Gates, ring: &RingView) -> Vec<(String, String, String, String)> {
        let told = |one: Reading| (one.name, one.measured, one.limit, one.state.text);
        readings(gates, ring, now()).into_iter().map(told).collect()
    }

    fn row(of: [&str; 4]) -> (String, String, String, String) {
        let [name, measured, limit, state] = of.map(str::to_owned);
        (name, measured, limit, state)
    }

    #[test]
    fn every_gate_says_what_was_measured_and_what_is_asked_for() {
        let gates = Gates {
            max_failures: Amount::Percent(Percent::from_hundredths(1000)),
            ..Gates::default()
        };
        let counts =
            Counts { members: 40, rolling: 3, succeeded: 15, failed: 2, ..Counts::default() };
        let until = now() + jiff::SignedDuration::from_mins(30);
        let found = told(&gates, &ring(counts, vec![WaitReason::Soaking { until }]));
        assert_eq!(
            found,
            [
                row(["Failures", "2 of 20 that began", "at most 2 (10%)", "holds"]),
                row(["Unknown health", "0 of 20 that began", "at most 0 (0)", "holds"]),
                row(["Sample", "20 of 40 began or ran it", "at least 20 (50%)", "holds"]),
                row(["Success", "15 of 20 that began", "at least 100%", "waits"]),
                row([
                    "Soak",
                    "the last success will have soaked in 30 min",
                    "1h after the last success",
                    "waits",
                ]),
            ]
        );
        let worse = Counts { failed: 3, unknown: 1, ..counts };
        let states: Vec<String> =
            told(&gates, &ring(worse, Vec::new())).into_iter().map(|row| row.3).collect();
        assert_eq!(states, ["halts", "stops all", "holds", "waits", "holds"]);
    }

    #[test]
    fn a_closed_ring_is_not_judged_and_an_approval_is_a_gate() {
        let closed = RingView {
            open: None,
            needs_approval: true,
            ..ring(Counts { members: 4, ..Counts::default() }, Vec::new())
        };
        let found = told(&Gates::default(), &closed);
        assert!(found.iter().take(5).all(|row| row.3 == "not judged yet"), "{found:?}");
        assert_eq!(found[5].0, "Approval");
    }
}
