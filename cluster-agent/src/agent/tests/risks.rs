//! Risks of a release on the way: asked, answered, withdrawn in mid-roll, forgotten by a crash.

use std::collections::BTreeMap;

use channels::graph::{Graph, GraphBuilder, MatchingRule, Node, Risk};
use channels::wire::{AcceptedRisk, Phase, Report, Role};

use super::world::{Build, World, knowledge, known, product, release, version};
use crate::plan::{RiskAnswer, RiskAnswers, RiskOutcome};

const KAFKA: &str = "acme/kafka";
const QUERY: &str = "max(slow_disks > bool 0)";
const FURTHER: &str = "max(odd_clients > bool 0)";

fn risk(name: &str, query: &str) -> Risk {
    Risk {
        name: name.to_owned(),
        message: "starts slowly".to_owned(),
        url: "https://example.com/risk".to_owned(),
        matching_rules: vec![MatchingRule::PromQl { promql: query.to_owned() }],
    }
}

/// 3.9.0 → 3.9.1 without risk; 3.9.0 → 4.0.0 and 3.9.1 → 4.0.0 with one each.
fn graph() -> Graph {
    let mut builder = GraphBuilder::new(None);
    for text in ["3.9.0", "3.9.1", "4.0.0"] {
        builder.node(Node {
            version: version(text),
            payload: String::new(),
            metadata: BTreeMap::new(),
        });
    }
    builder.edge(0, 1);
    let slow = builder.risks(vec![risk("SlowStart", QUERY)]);
    builder.conditional(0, 2, slow);
    let odd = builder.risks(vec![risk("OddClients", FURTHER)]);
    builder.conditional(1, 2, odd);
    builder.build().unwrap()
}

fn world() -> World {
    let mut world = World::new(&Build::default());
    let releases = vec![
        release(KAFKA, "3.9.0", Role::Controller, &[]),
        release(KAFKA, "3.9.1", Role::Controller, &["^3.9"]),
        release(KAFKA, "4.0.0", Role::Controller, &["^3.9"]),
    ];
    let mut all = known();
    all.remove(&product("acme/platform"));
    all.insert(product(KAFKA), knowledge(graph(), releases));
    world.know(all);
    world
}

/// Prometheus says this from now on.
fn say(world: &mut World, given: &[(&str, RiskOutcome)]) {
    let at = world.now();
    let by_query = given
        .iter()
        .map(|(query, outcome)| ((*query).to_owned(), RiskAnswer { outcome: outcome.clone(), at }))
        .collect();
    world.core.answers(RiskAnswers { asked: true, max_age_ms: 7_200_000, by_query }, at);
}

fn failed() -> RiskOutcome {
    RiskOutcome::Failed { why: "no answer within 10 ms".to_owned() }
}

fn waits(world: &mut World, gate: &str) -> String {
    let state = world.report().remove(&product(KAFKA)).unwrap();
    let found = state.waiting_on.iter().find(|why| why.gate == gate);
    found.unwrap_or_else(|| panic!("{gate} not in {:#?}", state.waiting_on)).message.clone()
}

fn target(world: &mut World) -> String {
    world.report().remove(&product(KAFKA)).unwrap().target.unwrap().to_string()
}

#[test]
fn both_questions_are_asked_and_nothing_starts_before_the_answer() {
    let mut world = world();
    say(&mut world, &[]);
    world.steps(80);
    let questions: Vec<String> = world.core.questions(world.now()).into_iter().collect();
    assert_eq!(questions, [FURTHER, QUERY]);
    assert!(world.sim.state().ledger.restarts.is_empty(), "{}", world.text());
    let why = waits(&mut world, "risk_unknown");
    assert!(why.contains("SlowStart (being asked)"), "{why}");
}

#[test]
fn a_clear_answer_opens_the_way_to_the_head() {
    let mut world = world();
    say(&mut world, &[(QUERY, RiskOutcome::Clear), (FURTHER, RiskOutcome::Matches)]);
    world.until(2_000, |world| {
        world.core.history.products[&product(KAFKA)].version == version("4.0.0")
    });
}

#[test]
fn a_risk_that_matches_leaves_the_way_without_it_and_is_then_named() {
    let mut world = world();
    say(&mut world, &[(QUERY, RiskOutcome::Matches), (FURTHER, RiskOutcome::Matches)]);
    world.until(2_000, |world| {
        world.core.history.products[&product(KAFKA)].version == version("3.9.1")
    });
    world.steps(80);
    assert_eq!(waits(&mut world, "risk"), "4.0.0 carries risks that are not accepted: OddClients");
    assert_eq!(world.core.history.products[&product(KAFKA)].version, version("3.9.1"));
}

#[test]
fn a_query_that_fails_is_no_pass_and_says_why() {
    let mut world = world();
    say(&mut world, &[(QUERY, failed()), (FURTHER, failed())]);
    world.until(2_000, |world| {
        world.core.history.products[&product(KAFKA)].version == version("3.9.1")
    });
    world.steps(80);
    let why = waits(&mut world, "risk_unknown");
    assert!(why.contains("OddClients (no answer within 10 ms)"), "{why}");
}

#[test]
fn without_a_prometheus_a_query_is_no_pass_until_the_owner_accepts_the_risk() {
    let mut world = world();
    world.until(2_000, |world| {
        world.core.history.products[&product(KAFKA)].version == version("3.9.1")
    });
    world.steps(4);
    assert!(waits(&mut world, "risk_unknown").contains("no Prometheus is configured"));
    let accepted = AcceptedRisk {
        name: "OddClients".to_owned(),
        reason: "all clients are ours".to_owned(),
        until: None,
    };
    let policy = world.core.policy.products.get_mut(&product(KAFKA)).unwrap();
    policy.accepted_risks.push(accepted);
    world.until(2_000, |world| {
        world.core.history.products[&product(KAFKA)].version == version("4.0.0")
    });
}

#[test]
fn the_hub_is_told_of_accepted_risks_those_in_force_first_and_no_more_than_it_takes() {
    let mut world = world();
    let now = world.now();
    let accepted = |name: &str, until| AcceptedRisk {
        name: name.to_owned(),
        reason: "x".repeat(1_000),
        until,
    };
    let told = |world: &mut World| world.report().remove(&product(KAFKA)).unwrap().accepted_risks;
    assert!(told(&mut world).is_empty());
    let mut own = vec![accepted("Over", Some(now)), accepted("InForce", None)];
    let policy = |world: &mut World, risks: &[AcceptedRisk]| {
        let policy = world.core.policy.products.get_mut(&product(KAFKA)).unwrap();
        policy.accepted_risks = risks.to_vec();
    };
    policy(&mut world, &own);
    let risks = told(&mut world);
    let names: Vec<&str> = risks.iter().map(|risk| risk.name.as_str()).collect();
    assert_eq!(names, ["InForce", "Over"]);
    assert_eq!((risks[0].until, risks[1].until), (None, Some(now)));
    assert!(risks.iter().all(|risk| risk.reason.len() == 160), "{risks:?}");
    own.extend((0..20).map(|n| accepted(&format!("Risk{n}"), None)));
    policy(&mut world, &own);
    let risks = told(&mut world);
    assert_eq!(risks.len(), Report::MAX_ACCEPTED_RISKS);
    assert!(risks.iter().all(|risk| risk.is_in_force(now)));
}

#[test]
fn a_risk_that_turns_up_in_mid_roll_holds_the_next_unit_and_not_the_one_that_is_out() {
    let mut world = world();
    say(&mut world, &[(QUERY, RiskOutcome::Clear)]);
    world.until(400, |world| world.phases.iter().any(|(_, phase)| *phase == Phase::Mutate));
    say(&mut world, &[(QUERY, RiskOutcome::Matches)]);
    world.until(400, |world| world.core.history.out.is_none());
    world.steps(80);
    assert_eq!(world.sim.state().ledger.restarts.len(), 1, "{}", world.text());
    assert!(waits(&mut world, "risk").contains("SlowStart"));
    assert_eq!(target(&mut world), "4.0.0");
    say(&mut world, &[(QUERY, RiskOutcome::Clear)]);
    world.until(2_000, |world| {
        world.core.history.products[&product(KAFKA)].version == version("4.0.0")
    });
}

#[test]
fn an_agent_that_died_in_mid_roll_asks_again_before_the_next_unit() {
    let mut world = world();
    say(&mut world, &[(QUERY, RiskOutcome::Clear)]);
    world.until(400, |world| world.phases.iter().any(|(_, phase)| *phase == Phase::Mutate));
    world.kill();
    say(&mut world, &[]);
    world.until(400, |world| world.core.history.out.is_none());
    world.steps(80);
    assert_eq!(world.sim.state().ledger.restarts.len(), 1, "{}", world.text());
    assert!(waits(&mut world, "risk_unknown").contains("SlowStart (being asked)"));
    assert!(world.core.questions(world.now()).contains(QUERY));
    say(&mut world, &[(QUERY, RiskOutcome::Clear)]);
    world.until(2_000, |world| {
        world.core.history.products[&product(KAFKA)].version == version("4.0.0")
    });
}

#[test]
fn the_release_a_product_wants_to_move_to_is_what_its_apis_are_checked_for() {
    let mut world = world();
    say(&mut world, &[(QUERY, RiskOutcome::Clear)]);
    world.steps(4);
    let subjects = world.core.api_subjects();
    assert_eq!(subjects.len(), 1);
    assert_eq!(subjects[0].to[&Role::Controller], "4.0.0");
    assert!(subjects[0].from[&Role::Controller].contains("3.9.0"));
}
