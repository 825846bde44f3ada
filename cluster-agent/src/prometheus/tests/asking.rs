//! The pace at which risks are asked about.

use std::collections::BTreeSet;

use super::after_s;
use crate::plan::RiskOutcome;
use crate::prometheus::{Asker, AskerTimes};

fn wanted(queries: &[&str]) -> BTreeSet<String> {
    queries.iter().map(|query| (*query).to_owned()).collect()
}

fn asker() -> Asker {
    Asker::new(AskerTimes::default())
}

/// Asks and answers at once.
fn ask(asker: &mut Asker, wanted: &BTreeSet<String>, second: i64) -> Option<String> {
    let query = asker.next(wanted, after_s(second))?;
    asker.take(query.clone(), RiskOutcome::Clear, after_s(second));
    Some(query)
}

#[test]
fn at_most_one_question_a_second() {
    let mut asker = asker();
    let wanted = wanted(&["a", "b", "c"]);
    assert_eq!(ask(&mut asker, &wanted, 0).as_deref(), Some("a"));
    assert_eq!(ask(&mut asker, &wanted, 0), None);
    assert_eq!(ask(&mut asker, &wanted, 1).as_deref(), Some("b"));
    assert_eq!(ask(&mut asker, &wanted, 2).as_deref(), Some("c"));
    assert_eq!(ask(&mut asker, &wanted, 3), None);
}

#[test]
fn an_answer_is_asked_for_again_after_an_hour_the_oldest_first() {
    let mut asker = asker();
    let wanted = wanted(&["a", "b"]);
    for second in [0, 1, 2] {
        ask(&mut asker, &wanted, second);
    }
    assert_eq!(ask(&mut asker, &wanted, 3_599), None);
    assert_eq!(ask(&mut asker, &wanted, 3_601).as_deref(), Some("a"));
    assert_eq!(ask(&mut asker, &wanted, 3_602).as_deref(), Some("b"));
}

#[test]
fn what_was_never_asked_goes_before_what_is_merely_old() {
    let mut asker = asker();
    ask(&mut asker, &wanted(&["a"]), 0);
    assert_eq!(ask(&mut asker, &wanted(&["a", "z"]), 4_000).as_deref(), Some("z"));
}

#[test]
fn a_query_that_failed_is_asked_again_after_a_minute() {
    let mut asker = asker();
    let wanted = wanted(&["a"]);
    let failed = RiskOutcome::Failed { why: "away".to_owned() };
    let query = asker.next(&wanted, after_s(0)).unwrap();
    asker.take(query, failed.clone(), after_s(0));
    assert_eq!(asker.answers().by_query["a"].outcome, failed);
    assert_eq!(ask(&mut asker, &wanted, 59), None);
    assert_eq!(ask(&mut asker, &wanted, 60).as_deref(), Some("a"));
    assert_eq!(asker.answers().by_query["a"].outcome, RiskOutcome::Clear);
}

#[test]
fn what_nobody_wants_for_a_day_is_forgotten() {
    let mut asker = asker();
    ask(&mut asker, &wanted(&["a"]), 0);
    let none = wanted(&[]);
    assert_eq!(ask(&mut asker, &none, 86_399), None);
    assert!(asker.answers().by_query.contains_key("a"));
    assert_eq!(ask(&mut asker, &none, 86_400), None);
    assert!(asker.answers().by_query.is_empty());
}

#[test]
fn a_clock_that_went_back_asks_anew() {
    let mut asker = asker();
    let wanted = wanted(&["a"]);
    ask(&mut asker, &wanted, 7_200);
    assert_eq!(ask(&mut asker, &wanted, 0).as_deref(), Some("a"));
}

#[test]
fn the_memory_of_answers_is_bounded() {
    let mut asker = asker();
    for i in 0..600_i32 {
        asker.take(format!("q{i}"), RiskOutcome::Clear, after_s(i64::from(i)));
    }
    let answers = asker.answers();
    assert_eq!(answers.by_query.len(), 512);
    assert!(answers.by_query.contains_key("q599") && !answers.by_query.contains_key("q0"));
}
