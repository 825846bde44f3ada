//! Alert selectors, and what firing alerts make of them.

use proptest::prelude::*;

use super::{NOW_S, SKEW_MS, now, scalar, vector, vector_at};
use crate::observation::{ClusterGate, GateScope};
use crate::prometheus::alert::{watchdog_query, watchdog_silent};
use crate::prometheus::{AlertRule, Answer, Matchers};

fn rule() -> AlertRule {
    AlertRule {
        name: "critical".to_owned(),
        matchers: r#"severity="critical""#.parse().unwrap(),
        scope: GateScope::All,
        stops: true,
    }
}

fn told(gates: &[ClusterGate]) -> Vec<String> {
    gates.iter().map(|gate| gate.finding.to_string()).collect()
}

fn fires(answer: Result<&Answer, String>) -> Vec<String> {
    told(&rule().judge(answer, SKEW_MS, now()))
}

#[test]
fn matchers_are_written_into_the_query_as_promql_wants_them() {
    let matchers: Matchers =
        r#" severity = "critical" , alertname !~ "Backup.*|a\"}b" "#.parse().unwrap();
    assert_eq!(
        matchers.firing(),
        r#"ALERTS{alertstate="firing",severity="critical",alertname!~"Backup.*|a\"}b"}"#
    );
}

#[test]
fn what_would_leave_the_selector_is_refused() {
    for text in [
        "",
        "severity",
        "severity=critical",
        "severity=\"critical",
        "severity=\"critical\"} or vector(1) #",
        "severity=\"critical\" alertname=\"x\"",
        "severity=\"critical\",",
        "1a=\"b\"",
        "a==\"b\"",
        "a=\"b\nc\"",
        "a=\"b\\\"",
    ] {
        assert!(text.parse::<Matchers>().is_err(), "{text}");
    }
}

#[test]
fn a_firing_alert_is_a_gate_that_names_it() {
    let answer = vector(&[
        (r#"{"alertname":"KafkaOffline","pod":"a"}"#, "1"),
        (r#"{"alertname":"KafkaOffline","pod":"b"}"#, "1"),
        (r#"{"alertname":"DiskFull"}"#, "1"),
    ]);
    let gates = rule().judge(Ok(&answer), SKEW_MS, now());
    assert_eq!(told(&gates), ["alert DiskFull fires", "alert KafkaOffline (×2) fires"]);
    assert!(gates.iter().all(|gate| gate.stops && gate.finding.gate_name() == "alert"));
    assert!(fires(Ok(&vector(&[]))).is_empty());
    assert!(fires(Ok(&vector(&[(r#"{"alertname":"Gone"}"#, "0")]))).is_empty());
}

#[test]
fn a_number_that_should_not_be_there_counts_as_firing() {
    for odd in ["NaN", "2", "-1"] {
        let answer = vector(&[(r#"{"alertname":"Odd"}"#, odd)]);
        assert_eq!(fires(Ok(&answer)), ["alert Odd fires"], "{odd}");
    }
    assert_eq!(fires(Ok(&vector(&[("{}", "1")]))), ["alert without a name fires"]);
}

#[test]
fn a_storm_of_alerts_is_counted_not_listed() {
    let labels: Vec<String> = (0..40).map(|i| format!(r#"{{"alertname":"A{i:02}"}}"#)).collect();
    let samples: Vec<(&str, &str)> = labels.iter().map(|labels| (&**labels, "1")).collect();
    let told = fires(Ok(&vector(&samples)));
    assert_eq!(told.len(), 9);
    assert_eq!(told[8], "alert 32 others of critical fires");
}

#[test]
fn an_answer_that_cannot_be_used_blocks_and_does_not_stop() {
    for (answer, why) in [
        (Err("no answer within 10 ms".to_owned()), "no answer within 10 ms"),
        (Ok(&scalar("0")), "the answer is a scalar, not a vector"),
        (
            Ok(&vector_at(NOW_S - 3600, &[(r#"{"alertname":"Old"}"#, "1")])),
            "it was evaluated 3600000 ms from the agent's time, limit 60000 ms",
        ),
    ] {
        let gates = rule().judge(answer, SKEW_MS, now());
        assert_eq!(told(&gates), [format!("gate alerts critical cannot be told: {why}")]);
        assert_eq!(gates[0].finding.verdict(), channels::wire::HealthVerdict::Unknown);
    }
}

#[test]
fn silence_counts_only_while_the_watchdog_barks() {
    assert_eq!(
        watchdog_query("Watch\"dog"),
        r#"ALERTS{alertstate="firing",alertname="Watch\"dog"}"#
    );
    let silent =
        |answer: Result<&Answer, String>| watchdog_silent("Watchdog", answer, SKEW_MS, now());
    assert_eq!(silent(Ok(&vector(&[(r#"{"alertname":"Watchdog"}"#, "1")]))), None);
    assert!(silent(Ok(&vector(&[]))).unwrap().contains("rules are not evaluated"));
    assert!(silent(Err("away".to_owned())).unwrap().contains("cannot be told: away"));
}

proptest! {
    #[test]
    fn matchers_that_are_taken_stay_inside_their_braces(text in "[a-z]{1,3}(=|!=|=~|!~)\"[ -~]{0,20}\"(,[a-z]=\"[ -~]{0,9}\")?") {
        if let Ok(matchers) = text.parse::<Matchers>() {
            // Outside of quotes, the one brace is the closing one.
            let query = matchers.firing();
            let mut quoted = false;
            let mut escaped = false;
            let mut bare = String::new();
            for c in query.chars() {
                match c {
                    _ if escaped => escaped = false,
                    '\\' if quoted => escaped = true,
                    '"' => quoted = !quoted,
                    c if !quoted => bare.push(c),
                    _ => {}
                }
            }
            prop_assert!(!quoted && bare.find('}') == Some(bare.len() - 1), "{query}");
            prop_assert_eq!(matchers.to_string().parse::<Matchers>().unwrap(), matchers);
        }
    }
}
