//! Explanations of recorded clusters.

use channels::cincinnati;
use channels::wire::{
    ClusterRisk, ClusterRow, HealthVerdict, Hold, Page, RolloutCluster, RolloutRow,
};
use jiff::Timestamp;
use serde::de::DeserializeOwned;

use super::decide::{Explanation, Verdict, explain};
use super::gather::{Facts, Turn};
use super::render;
use crate::colour::Colour;

fn golden<T: DeserializeOwned>(name: &str) -> T {
    let file = format!("{}/../channels/golden/v1/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
}

fn now() -> Timestamp {
    "2026-11-20T12:10:00Z".parse().unwrap()
}

/// `berlin-1`: 4.2.0, wants 4.3.1, waits for its quorum.
fn berlin() -> Facts {
    let page: Page<ClusterRow> = golden("cluster-row-page");
    let mut cluster = page.items[0].clone();
    cluster.products[0].failure = None;
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../channels/golden/v1/graph.json");
    let graph = cincinnati::from_json(&std::fs::read(file).unwrap()).unwrap();
    Facts {
        graphs: vec![(cluster.products[0].product.clone(), graph)],
        cluster,
        holds: Vec::new(),
        risks: Vec::new(),
        turns: Vec::new(),
        unseen: Vec::new(),
    }
}

fn page(facts: &Facts) -> String {
    render::page(&explain(facts, now()), now(), Colour::Off)
}

fn verdict(facts: &Facts) -> Explanation {
    explain(facts, now())
}

#[test]
fn a_cluster_that_waits_for_its_quorum_is_blocked_and_says_what_to_do() {
    let mut facts = berlin();
    let mut hold: Hold = golden("hold");
    (hold.resumed_at, hold.resumed_by) = (None, None);
    facts.holds.push(hold);
    facts.risks = golden::<Page<ClusterRisk>>("cluster-risk-page").items;
    let rollout: RolloutRow = golden("rollout-row");
    let mut attempt = golden::<Page<RolloutCluster>>("rollout-cluster-page").items[0].clone();
    attempt.ring = Some("canary".parse().unwrap());
    facts.turns.push(Turn { ring: attempt.ring.clone(), rollout, attempt: Some(attempt) });
    insta::assert_snapshot!(page(&facts));
    let answer = verdict(&facts);
    insta::assert_snapshot!("rows", render::reasons(&answer).csv());
    insta::assert_json_snapshot!("document", answer);
}

#[test]
fn a_unit_that_is_out_is_moving_whatever_it_waits_for() {
    let mut facts = berlin();
    facts.cluster.products[0].phase = channels::wire::Phase::AwaitHealth;
    let answer = verdict(&facts);
    assert_eq!(answer.verdict, Verdict::Moving);
    assert_eq!(answer.summary, "acme/kafka moves from 4.2.0 to 4.3.1");
}

#[test]
fn a_wait_that_ends_by_itself_blocks_nobody() {
    let mut facts = berlin();
    let product = &mut facts.cluster.products[0];
    product.waiting_on[0].gate = "window".into();
    product.waiting_on[0].message = "closed until 22:00".into();
    product.why_not[0].code = "not_yet".into();
    product.earliest_at = Some("2026-11-20T22:00:00Z".parse().unwrap());
    let answer = verdict(&facts);
    assert_eq!(answer.verdict, Verdict::Waits);
    assert!(page(&facts).contains("may go     in 9h (2026-11-20T22:00:00Z)"), "{}", page(&facts));
    // One reason that needs a person is enough.
    facts.cluster.products[0].waiting_on[0].gate = "approval".into();
    assert_eq!(verdict(&facts).verdict, Verdict::Blocked);
}

#[test]
fn a_gate_that_this_tool_does_not_know_is_one_for_a_person() {
    let mut facts = berlin();
    facts.cluster.products[0].why_not.clear();
    facts.cluster.products[0].waiting_on[0].gate = "of_a_newer_agent".into();
    assert_eq!(verdict(&facts).verdict, Verdict::Blocked);
}

#[test]
fn on_the_head_it_is_current() {
    let mut facts = berlin();
    let product = &mut facts.cluster.products[0];
    product.version = "4.3.1".parse().unwrap();
    product.phase = channels::wire::Phase::Idle;
    product.drift.state = channels::wire::DriftState::Current;
    product.waiting_on.clear();
    product.why_not.clear();
    let answer = verdict(&facts);
    assert_eq!(answer.verdict, Verdict::Current);
    assert_eq!(answer.summary, "acme/kafka runs 4.3.1, the head of its channel");
}

#[test]
fn a_cluster_that_nobody_hears_is_blocked_even_with_a_unit_out() {
    let mut facts = berlin();
    facts.cluster.products[0].phase = channels::wire::Phase::Mutate;
    facts.cluster.freshness = channels::wire::Freshness::Silent;
    let answer = verdict(&facts);
    assert_eq!(answer.verdict, Verdict::Blocked);
    assert!(answer.summary.starts_with("it has not reported for 5m"), "{}", answer.summary);
}

#[test]
fn one_that_stands_still_without_a_reason_is_blocked() {
    let mut facts = berlin();
    let product = &mut facts.cluster.products[0];
    product.waiting_on.clear();
    product.why_not.clear();
    let answer = verdict(&facts);
    assert_eq!(answer.verdict, Verdict::Blocked);
    assert_eq!(answer.products[0].reasons[0].code, "no_reason_told");
    facts.cluster.products[0].drift.state = channels::wire::DriftState::Stranded;
    assert_eq!(verdict(&facts).products[0].reasons[0].code, "stranded");
}

#[test]
fn the_worst_product_speaks_for_the_cluster() {
    let mut facts = berlin();
    let mut other = facts.cluster.products[0].clone();
    other.phase = channels::wire::Phase::Mutate;
    facts.cluster.products.insert(0, other);
    assert_eq!(verdict(&facts).verdict, Verdict::Blocked);
}

#[test]
fn a_hold_hides_no_sickness_and_is_told_once() {
    let mut facts = berlin();
    let mut hold: Hold = golden("hold");
    (hold.resumed_at, hold.resumed_by) = (None, None);
    facts.holds.push(hold);
    let product = &mut facts.cluster.products[0];
    product.health.verdict = HealthVerdict::Unhealthy;
    let mut repeated = product.waiting_on[0].clone();
    repeated.gate = "hub_hold".into();
    let sick = product.waiting_on[0].message.clone();
    product.waiting_on.push(repeated);
    let answer = verdict(&facts);
    let end = format!("; and it is unhealthy: {sick}");
    assert!(answer.summary.ends_with(&end), "{}", answer.summary);
    let codes: Vec<_> = answer.products[0].reasons.iter().map(|why| why.code.as_str()).collect();
    assert!(!codes.contains(&"hub_hold"), "{codes:?}");
    // Without a hold here, what the agent was told is all there is.
    facts.holds.clear();
    facts.cluster.products[0].why_not.clear();
    let codes =
        verdict(&facts).products[0].reasons.iter().map(|why| why.code.clone()).collect::<Vec<_>>();
    assert!(codes.contains(&"hub_hold".to_owned()), "{codes:?}");
}
