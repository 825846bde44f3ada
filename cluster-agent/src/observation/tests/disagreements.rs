//! Pages and the leader's own word, side by side.

use std::collections::BTreeSet;

use super::quorums::{idle, quorum, round, run_healthy, voter};
use super::*;
use crate::observation::{ClusterGate, GateScope, QuorumWord, Witness, WitnessSource};

/// What a leader says that agrees with the pages of `run_healthy`.
fn word(ms: i64) -> QuorumWord {
    let all = BTreeSet::from([1, 2, 3]);
    QuorumWord { at: at(ms), leader: 1, epoch: 7, voters: all.clone(), in_sync: all }
}

/// A quorum that is healthy by its pages, up to 5 s.
fn healthy() -> Observer {
    let mut observer = quorum();
    run_healthy(&mut observer, 5_000);
    observer
}

fn hear(observer: &mut Observer, word: Option<QuorumWord>) {
    observer.hear_quorum(&key("c1").product, word, vec![]);
}

/// One more healthy round, at `ms`.
fn next(observer: &mut Observer, ms: i64) -> Observation {
    let voters = [voter(1, idle(ms)), voter(2, idle(ms) - 1), voter(3, idle(ms))];
    observer.apply(round(&voters, ms), PROBE_MS, at(ms))
}

fn disagreement(observation: &Observation) -> Option<String> {
    let of_product = GateScope::Product(key("c1").product);
    let gate = observation.gates.iter().find(|gate| gate.scope == of_product)?;
    assert_eq!(gate.finding.gate_name(), "witness_disagrees");
    let quorum = observation.quorums.get(&key("c1").product).unwrap();
    assert!(quorum.findings.contains(&gate.finding), "the quorum is not healthy either");
    Some(gate.finding.to_string())
}

/// What is said after a word was heard twice.
fn twice(word: fn(i64) -> QuorumWord) -> Option<String> {
    let mut observer = healthy();
    hear(&mut observer, Some(word(5_500)));
    assert_eq!(disagreement(&next(&mut observer, 5_500)), None, "once may be an election");
    hear(&mut observer, Some(word(6_000)));
    disagreement(&next(&mut observer, 6_000))
}

#[test]
fn a_word_that_agrees_says_nothing() {
    assert_eq!(twice(word), None);
}

#[test]
fn another_leader_or_epoch_is_named_the_second_time() {
    let told = twice(|ms| QuorumWord { leader: 2, ..word(ms) }).unwrap();
    assert!(told.contains("the pages name leader 1, it names 2"), "{told}");
    let told = twice(|ms| QuorumWord { epoch: 8, ..word(ms) }).unwrap();
    assert!(told.contains("the pages are in epoch 7, it is in 8"), "{told}");
}

#[test]
fn a_follower_in_sync_by_one_and_not_by_the_other_is_named() {
    let told = twice(|ms| QuorumWord { in_sync: BTreeSet::from([1, 3]), ..word(ms) }).unwrap();
    assert!(told.contains("c2 is caught up by its page, behind by the leader"), "{told}");
}

#[test]
fn voters_counted_otherwise_are_named() {
    let mut observer = healthy();
    let mut told = None;
    for ms in [5_500, 6_000] {
        let four = BTreeSet::from([1, 2, 3, 4]);
        hear(&mut observer, Some(QuorumWord { voters: four, ..word(ms) }));
        let mut leader = voter(1, idle(ms));
        leader.extra = "kafka_server_raftmetrics_number_of_voters 3\n".to_owned();
        let voters = [leader, voter(2, idle(ms) - 1), voter(3, idle(ms))];
        told = disagreement(&observer.apply(round(&voters, ms), PROBE_MS, at(ms)));
    }
    assert!(told.unwrap().contains("the pages count 3 voters, it counts 4"));
}

#[test]
fn one_word_is_compared_once_however_often_pages_come() {
    let mut observer = healthy();
    hear(&mut observer, Some(QuorumWord { epoch: 8, ..word(5_500) }));
    for ms in [5_500, 6_000, 6_500] {
        assert_eq!(disagreement(&next(&mut observer, ms)), None, "at {ms}");
    }
}

#[test]
fn agreement_takes_a_disagreement_back() {
    let mut observer = healthy();
    for ms in [5_500, 6_000] {
        hear(&mut observer, Some(QuorumWord { epoch: 8, ..word(ms) }));
        next(&mut observer, ms);
    }
    hear(&mut observer, Some(word(6_500)));
    assert_eq!(disagreement(&next(&mut observer, 6_500)), None);
}

#[test]
fn gates_of_the_leaders_word_stand_beside_the_others_and_are_replaced() {
    let mut observer = healthy();
    let gate = |node_id| ClusterGate {
        scope: GateScope::All,
        finding: Finding::NotAVoter { node_id },
        stops: false,
    };
    observer.gates(vec![gate(1)]);
    observer.hear_quorum(&key("c1").product, None, vec![gate(2)]);
    assert_eq!(next(&mut observer, 5_500).gates, [gate(1), gate(2)]);
    observer.hear_quorum(&key("c1").product, Some(word(6_000)), vec![]);
    assert_eq!(next(&mut observer, 6_000).gates, [gate(1)]);
}

#[test]
fn a_required_word_that_is_missing_makes_a_controller_unknown() {
    let mut targets = vec![];
    for id in 1..=3 {
        let mut one = target(&format!("c{id}"), Role::Controller, Some(id));
        one.witnesses.insert(WitnessSource::Kafka);
        targets.push(one);
    }
    let mut observer = observer(targets);
    let seen = run_healthy(&mut observer, 5_000);
    assert_eq!(gates(&unit(&seen, "c2").findings), ["witness_silent"]);
    let witness = |findings| Witness {
        at: at(5_500),
        version: None,
        incarnation: None,
        ready: None,
        findings,
    };
    let behind = Finding::QuorumLag { observed_ms: 2_500, limit_ms: 2_000 };
    let words = [("c1", vec![]), ("c2", vec![behind]), ("c3", vec![])];
    let words = words.into_iter().map(|(name, found)| (key(name), Ok(witness(found))));
    observer.hear(WitnessSource::Kafka, words.collect());
    let seen = next(&mut observer, 5_500);
    assert_eq!(gates(&unit(&seen, "c2").findings), ["quorum_lag"], "by the leader's word alone");
    assert_eq!(gates(&unit(&seen, "c3").findings), Vec::<&str>::new());
}
