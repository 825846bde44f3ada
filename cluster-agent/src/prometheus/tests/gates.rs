//! Expectations and gates of the operator's.

use proptest::prelude::*;

use super::{NOW_S, SKEW_MS, after_s, now, scalar, success, vector, vector_at};
use crate::observation::{ClusterGate, Finding, GateScope};
use crate::prometheus::{Answer, Empty, Expect, Fresh, GateAnswers, GateMemory, GateRule, Judged};

fn judge(expect: &str, answer: &Answer) -> Judged {
    expect.parse::<Expect>().unwrap().judge(answer, Empty::Unknown, SKEW_MS, now())
}

fn why(judged: Judged) -> String {
    match judged {
        Judged::Holds => "holds".to_owned(),
        Judged::Fails { why, .. } => format!("fails: {why}"),
        Judged::Unknown { why } => format!("unknown: {why}"),
    }
}

#[test]
fn every_sample_is_compared_and_the_first_that_differs_is_named() {
    let both = vector(&[(r#"{"pod":"a"}"#, "0.999"), (r#"{"pod":"b"}"#, "0.5")]);
    assert_eq!(
        judge(">= 0.99", &both),
        Judged::Fails {
            why: "{pod=\"b\"}: observed 0.5, expected >= 0.99".to_owned(),
            observed: Some(0.5),
            limit: Some(0.99),
        }
    );
    assert_eq!(judge(">= 0.5", &both), Judged::Holds);
    assert_eq!(judge("< 1", &both), Judged::Holds);
    for (expect, holds) in [
        (">=3", true),
        ("> 3", false),
        ("<= 3", true),
        ("< 3", false),
        ("== 3", true),
        ("!=3", false),
    ] {
        assert_eq!(judge(expect, &scalar("3")) == Judged::Holds, holds, "{expect}");
    }
}

#[test]
fn what_is_not_a_number_is_unknown_whatever_is_expected() {
    for expect in [">= 0", "<= 0", "!= 1"] {
        assert_eq!(why(judge(expect, &scalar("NaN"))), "unknown: the number is NaN", "{expect}");
    }
    let text = success(r#"{"resultType":"string","result":[1,"1"]}"#);
    assert_eq!(
        why(judge("== 1", &text)),
        "unknown: the answer is a string, not a vector or scalar"
    );
    let range = success(r#"{"resultType":"matrix","result":[]}"#);
    assert!(why(judge("== 1", &range)).contains("is a matrix"));
}

#[test]
fn no_sample_means_what_the_owner_says_and_nothing_by_itself() {
    let expect: Expect = "== 0".parse().unwrap();
    let judged = |empty| why(expect.judge(&vector(&[]), empty, SKEW_MS, now()));
    assert_eq!(judged(Empty::Unknown), "unknown: the answer has no sample");
    assert_eq!(judged(Empty::Holds), "holds");
    assert_eq!(judged(Empty::Fails), "fails: the answer has no sample");
}

#[test]
fn without_a_comparison_one_sample_of_1_holds() {
    let judged =
        |answer: &Answer| why(Expect::OneIsTrue.judge(answer, Empty::Unknown, SKEW_MS, now()));
    assert_eq!(judged(&vector(&[("{}", "1")])), "holds");
    assert_eq!(judged(&vector(&[("{}", "0")])), "fails: the query answers 0");
    assert_eq!(judged(&vector(&[("{}", "2")])), "unknown: 2 is neither 0 nor 1");
    let two = vector(&[(r#"{"a":"1"}"#, "1"), (r#"{"a":"2"}"#, "1")]);
    assert_eq!(judged(&two), "unknown: 2 samples in place of one");
}

#[test]
fn an_answer_of_another_time_is_unknown() {
    let old = vector_at(NOW_S - 61, &[("{}", "1")]);
    let told = "unknown: it was evaluated 61000 ms from the agent's time, limit 60000 ms";
    assert_eq!(why(judge("== 1", &old)), told);
    assert_eq!(why(judge("== 1", &vector_at(NOW_S + 61, &[("{}", "1")]))), told);
    assert_eq!(judge("== 1", &vector_at(NOW_S - 60, &[("{}", "1")])), Judged::Holds);
}

#[test]
fn only_comparisons_with_a_finite_number_are_expectations() {
    for text in ["", "0.99", "=> 1", ">= ", ">= one", ">= NaN", "< inf", "= 1"] {
        assert!(text.parse::<Expect>().is_err(), "{text}");
    }
}

fn rule() -> GateRule {
    GateRule {
        name: "success".to_owned(),
        query: "q".to_owned(),
        expect: ">= 0.99".parse().unwrap(),
        empty: Empty::Unknown,
        for_ms: 0,
        scope: GateScope::All,
        stops: true,
        stops_after_ms: 0,
        fresh: Fresh::default(),
    }
}

fn said(value: &str) -> GateAnswers {
    GateAnswers { value: Some(Ok(vector_any(value))), ..GateAnswers::default() }
}

/// Evaluated far enough from any time of these tests not to matter: the skew is unbounded there.
fn vector_any(value: &str) -> Answer {
    vector(&[("{}", value)])
}

fn told(gate: Option<ClusterGate>) -> (String, bool) {
    gate.map_or_else(|| ("holds".to_owned(), false), |gate| (gate.finding.to_string(), gate.stops))
}

fn look(rule: &GateRule, memory: &mut GateMemory, value: &str, second: i64) -> (String, bool) {
    told(rule.judge(&said(value), memory, u64::MAX, after_s(second)))
}

#[test]
fn a_gate_that_fails_tells_the_number_and_its_limit() {
    let gate = rule().judge(&said("0.9"), &mut GateMemory::default(), SKEW_MS, now()).unwrap();
    assert_eq!(gate.finding.gate_name(), "query_gate");
    assert_eq!((gate.finding.observed(), gate.finding.limit()), (Some(0.9), Some(0.99)));
    assert_eq!(
        gate.finding.to_string(),
        "gate success does not hold: observed 0.9, expected >= 0.99"
    );
}

#[test]
fn a_gate_must_have_held_without_a_gap() {
    let rule = GateRule { for_ms: 30_000, ..rule() };
    let mut memory = GateMemory::default();
    let (first, _) = look(&rule, &mut memory, "1", 0);
    assert_eq!(first, "gate success cannot be told: it has held for 0 ms of 30000 ms");
    assert_ne!(look(&rule, &mut memory, "1", 29).0, "holds");
    assert_eq!(look(&rule, &mut memory, "1", 30).0, "holds");
    let unknown = GateAnswers { value: Some(Err("away".to_owned())), ..GateAnswers::default() };
    assert_eq!(
        told(rule.judge(&unknown, &mut memory, SKEW_MS, after_s(31))).0,
        "gate success cannot be told: away"
    );
    assert_ne!(look(&rule, &mut memory, "1", 60).0, "holds");
    assert_eq!(look(&rule, &mut memory, "1", 90).0, "holds");
    // A clock that went back begins the wait again.
    assert_ne!(look(&rule, &mut memory, "1", 10).0, "holds");
}

#[test]
fn a_gate_stops_a_roll_only_once_it_has_failed_long_enough() {
    let rule = GateRule { stops_after_ms: 20_000, ..rule() };
    let mut memory = GateMemory::default();
    assert!(!look(&rule, &mut memory, "0", 0).1);
    assert!(!look(&rule, &mut memory, "0", 19).1);
    // Not being told in between does not mend it.
    let unknown = GateAnswers { value: Some(Err("away".to_owned())), ..GateAnswers::default() };
    drop(rule.judge(&unknown, &mut memory, SKEW_MS, after_s(19)));
    assert!(look(&rule, &mut memory, "0", 20).1);
    assert_eq!(look(&rule, &mut memory, "1", 21).0, "holds");
    assert!(!look(&rule, &mut memory, "0", 22).1);
}

#[test]
fn what_cannot_be_told_never_stops_a_roll_because_it_is_not_unhealthy() {
    let gate = rule().unknown("away".to_owned());
    assert_eq!(gate.finding.verdict(), channels::wire::HealthVerdict::Unknown);
    assert!(matches!(gate.finding, Finding::QueryUnknown { .. }));
}

#[test]
fn numbers_of_targets_that_are_not_scraped_prove_nothing() {
    let fresh = Fresh {
        up: Some(r#"job="probe""#.parse().unwrap()),
        newest: Some("produce_total".to_owned()),
        max_age_ms: 60_000,
    };
    assert_eq!(fresh.up_query().unwrap(), r#"up{job="probe"}"#);
    assert_eq!(fresh.age_query().unwrap(), "time() - timestamp(produce_total)");
    let rule = GateRule { fresh, ..rule() };
    let judged = |up: Option<Answer>, age: Option<Answer>| {
        let answers =
            GateAnswers { value: Some(Ok(vector_any("1"))), up: up.map(Ok), age: age.map(Ok) };
        told(rule.judge(&answers, &mut GateMemory::default(), SKEW_MS, now())).0
    };
    let (up, down) = (Some(vector_any("1")), Some(vector_any("0")));
    let (young, old) = (Some(vector_any("59")), Some(vector_any("61")));
    assert_eq!(judged(up.clone(), young.clone()), "holds");
    assert!(judged(down, young.clone()).contains("targets are scraped: observed 0"));
    assert!(judged(Some(vector(&[])), young.clone()).contains("no sample"));
    assert!(judged(None, young).contains("not been asked"));
    assert!(
        judged(up.clone(), old).contains("how old its samples are: observed 61, expected <= 60")
    );
    assert!(judged(up, None).contains("not been asked"));
}

proptest! {
    #[test]
    fn no_expectation_makes_its_parser_panic(text in ".{0,40}") {
        if let Ok(expect) = text.parse::<Expect>() {
            prop_assert_eq!(expect.to_string().parse::<Expect>().unwrap(), expect);
        }
    }

    #[test]
    fn a_comparison_and_its_opposite_never_both_hold(observed in any::<f64>(), limit in -1e9..1e9_f64) {
        let answer = scalar(&observed.to_string());
        for (one, other) in [(">=", "<"), ("<=", ">"), ("==", "!=")] {
            let both = [one, other].map(|sign| judge(&format!("{sign} {limit}"), &answer) == Judged::Holds);
            prop_assert!(both != [true, true]);
            prop_assert!(observed.is_nan() || both != [false, false]);
        }
    }
}
