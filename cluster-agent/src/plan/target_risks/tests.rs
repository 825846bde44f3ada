//! Risks judged by rules and answers.

use channels::graph::{GraphBuilder, Node};

use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn promql(query: &str) -> MatchingRule {
    MatchingRule::PromQl { promql: query.to_owned() }
}

fn other() -> MatchingRule {
    MatchingRule::Unknown { kind: "Mystery".to_owned() }
}

fn risk(name: &str, rules: &[MatchingRule]) -> Risk {
    Risk {
        name: name.to_owned(),
        message: "hurts".to_owned(),
        url: "https://example.com/risk".to_owned(),
        matching_rules: rules.to_vec(),
    }
}

fn failed() -> RiskOutcome {
    RiskOutcome::Failed { why: "no answer within 10 ms".to_owned() }
}

/// Answers given at second 0, which count for ten seconds.
fn answers(given: &[(&str, RiskOutcome)]) -> RiskAnswers {
    let answer = |outcome: &RiskOutcome| RiskAnswer { outcome: outcome.clone(), at: at(0) };
    RiskAnswers {
        asked: true,
        max_age_ms: 10_000,
        by_query: given.iter().map(|(q, o)| ((*q).to_owned(), answer(o))).collect(),
    }
}

fn verdict(rules: &[MatchingRule], given: &[(&str, RiskOutcome)]) -> RiskVerdict {
    let answers = answers(given);
    Exposure { accepted: BTreeSet::new(), answers: &answers, now: at(10) }
        .verdict(&risk("Slow", rules))
}

fn unknown(why: &str) -> RiskVerdict {
    RiskVerdict::Unknown { why: why.to_owned() }
}

#[test]
fn a_clear_answer_clears_and_nothing_else_does() {
    let a = [promql("a")];
    assert_eq!(verdict(&a, &[("a", RiskOutcome::Clear)]), RiskVerdict::Clear);
    assert_eq!(verdict(&a, &[("a", RiskOutcome::Matches)]), RiskVerdict::Matches);
    assert_eq!(verdict(&a, &[("a", failed())]), unknown("no answer within 10 ms"));
    assert_eq!(verdict(&a, &[("b", RiskOutcome::Clear)]), RiskVerdict::Pending);
    assert_eq!(verdict(&[MatchingRule::Always], &[]), RiskVerdict::Matches);
    assert_eq!(verdict(&[], &[]), unknown("it has no rule"));
    assert_eq!(verdict(&[other()], &[]), unknown("a rule of kind \"Mystery\" is not known here"));
}

#[test]
fn the_first_rule_that_can_be_told_decides() {
    let rules = [other(), promql("a"), promql("b"), MatchingRule::Always];
    let clear = ("b", RiskOutcome::Clear);
    assert_eq!(verdict(&rules, &[("a", RiskOutcome::Clear)]), RiskVerdict::Clear);
    assert_eq!(verdict(&rules, &[("a", failed()), clear.clone()]), RiskVerdict::Clear);
    assert_eq!(verdict(&rules, &[("a", failed()), ("b", failed())]), RiskVerdict::Matches);
    // What precedes is still on its way: a later rule must not forestall it.
    assert_eq!(verdict(&rules, &[clear]), RiskVerdict::Pending);
}

#[test]
fn an_answer_that_is_too_old_is_asked_for_again_and_clears_nothing_meanwhile() {
    let answers = answers(&[("a", RiskOutcome::Clear)]);
    let verdict = |second| {
        let exposure = Exposure { accepted: BTreeSet::new(), answers: &answers, now: at(second) };
        exposure.verdict(&risk("Slow", &[promql("a")]))
    };
    assert_eq!(verdict(10), RiskVerdict::Clear);
    assert_eq!(verdict(11), RiskVerdict::Pending);
}

#[test]
fn without_anybody_to_ask_a_risk_is_unknown_at_once() {
    let exposure = |answers| Exposure { accepted: BTreeSet::new(), answers, now: at(0) };
    let nobody = RiskAnswers::default();
    let verdict = exposure(&nobody).verdict(&risk("Slow", &[promql("a")]));
    assert_eq!(verdict, unknown("no Prometheus is configured to ask"));
}

#[test]
fn what_the_owner_accepts_passes_whatever_the_answer() {
    let answers = answers(&[("a", RiskOutcome::Matches)]);
    let accepted = BTreeSet::from(["Slow".to_owned()]);
    let exposure = Exposure { accepted, answers: &answers, now: at(0) };
    assert!(exposure.passes(&risk("Slow", &[promql("a")])));
    assert!(!exposure.passes(&risk("Other", &[promql("a")])));
}

#[test]
fn a_risk_that_is_there_is_named_before_one_that_cannot_be_told() {
    let answers = answers(&[("a", RiskOutcome::Matches), ("b", failed())]);
    let exposure = Exposure { accepted: BTreeSet::new(), answers: &answers, now: at(0) };
    let closed = |risks: &[Risk]| {
        let why = exposure.closed(&"4.0.0".parse().unwrap(), risks)?;
        Some((why.gate(), why.to_string()))
    };
    let (there, doubt) = (risk("There", &[promql("a")]), risk("Doubt", &[promql("b")]));
    let (gate, text) = closed(&[doubt.clone(), there]).unwrap();
    assert_eq!((&*gate, &*text), ("risk", "4.0.0 carries risks that are not accepted: There"));
    let (gate, text) = closed(&[doubt]).unwrap();
    assert_eq!(gate, "risk_unknown");
    assert!(text.ends_with("they apply: Doubt (no answer within 10 ms)"), "{text}");
    assert_eq!(closed(&[]), None);
}

/// 0 → 1 → 2 → 3, a shortcut 0 → 2, and a way back 2 → 0.
fn graph(risks: [Vec<Risk>; 5]) -> Graph {
    let mut builder = GraphBuilder::new(None);
    for text in ["1.0.0", "1.1.0", "1.2.0", "1.3.0"] {
        builder.node(Node {
            version: text.parse().unwrap(),
            payload: String::new(),
            metadata: BTreeMap::new(),
        });
    }
    let edges = [(0, 1), (1, 2), (2, 3), (0, 2), (2, 0)];
    for ((from, to), risks) in edges.into_iter().zip(risks) {
        if risks.is_empty() {
            builder.edge(from, to);
        } else {
            let group = builder.risks(risks);
            builder.conditional(from, to, group);
        }
    }
    builder.build().unwrap()
}

fn questions(graph: &Graph, from: &str, accepted: &[&str]) -> Vec<String> {
    let nothing = answers(&[]);
    let accepted = accepted.iter().map(|name| (*name).to_owned()).collect();
    let exposure = Exposure { accepted, answers: &nothing, now: at(0) };
    exposure.questions(graph, &from.parse().unwrap()).into_iter().collect()
}

#[test]
fn every_way_that_could_be_taken_is_asked_about() {
    let of = |query: &str| vec![risk(query, &[promql(query)])];
    let graph = graph([of("a"), of("b"), of("c"), of("d"), of("back")]);
    assert_eq!(questions(&graph, "1.0.0", &[]), ["a", "b", "c", "d"]);
    assert_eq!(questions(&graph, "1.1.0", &[]), ["b", "c"]);
    assert_eq!(questions(&graph, "1.2.0", &[]), ["back", "c"]);
    assert_eq!(questions(&graph, "1.0.0", &["a", "d"]), ["b", "c"]);
    assert!(questions(&graph, "9.0.0", &[]).is_empty());
}

#[test]
fn a_way_that_is_closed_whatever_the_answer_costs_no_question() {
    let always = vec![risk("Always", &[MatchingRule::Always]), risk("a", &[promql("a")])];
    let mystery = vec![risk("Mystery", &[other()]), risk("d", &[promql("d")])];
    let ahead = vec![risk("b", &[promql("b")])];
    let graph = graph([always, ahead, vec![], mystery, vec![]]);
    assert!(questions(&graph, "1.0.0", &[]).is_empty());
    assert_eq!(questions(&graph, "1.0.0", &["Always"]), ["a", "b"]);
}

#[test]
fn rules_behind_one_that_may_fail_are_asked_too_up_to_the_one_that_cannot() {
    let rules = [promql("a"), promql("b"), MatchingRule::Always, promql("never")];
    let graph = graph([vec![risk("r", &rules)], vec![], vec![], vec![], vec![]]);
    assert_eq!(questions(&graph, "1.0.0", &[]), ["a", "b"]);
}

#[test]
#[ignore = "needs FAIRWAY_DATA"]
fn a_cluster_on_a_real_channel_asks_a_bounded_number_of_questions() {
    let dir = std::env::var("FAIRWAY_DATA").unwrap();
    let path = std::path::Path::new(&dir).join("graphs/openshift-stable-4.13-amd64.json");
    let graph = channels::cincinnati::from_json(&std::fs::read(path).unwrap()).unwrap();
    let most = graph
        .nodes()
        .iter()
        .map(|node| questions(&graph, &node.version.to_string(), &[]).len())
        .max()
        .unwrap();
    // At one a second, the first verdict about everything ahead comes within a minute.
    assert!((1..60).contains(&most), "{most}");
}
