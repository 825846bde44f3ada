//! Judgement of a ring: advance, wait with numbers, halt, and acknowledgement.

use jiff::Timestamp;

use super::{at, cluster};
use crate::rollout::{
    Acknowledged, Amount, ClusterState, Counts, Decision, Failure, FailureKind, Gates, HealthGate,
    Judgement, Member, Percent, Period, Rest, Trip, WaitReason, judge, judge_muster,
};

const NOW: &str = "2026-01-02T00:00Z";

fn now() -> Timestamp {
    at(NOW)
}

fn member(number: u32, state: ClusterState) -> Member {
    Member { cluster: cluster(number), state, health: HealthGate::Pass }
}

fn succeeded(number: u32, when: &str) -> Member {
    member(number, ClusterState::Succeeded { at: at(when) })
}

fn failed(number: u32, when: &str) -> Member {
    member(number, ClusterState::Failed { why: FailureKind::Error, at: at(when) })
}

fn waiting(number: u32) -> Member {
    member(number, ClusterState::NotStarted)
}

fn gates() -> Gates {
    Gates { soak: Period::from_hours(2), min_sample: Amount::Count(2), ..Gates::default() }
}

fn judged(gates: &Gates, members: &[Member]) -> Judgement {
    judge(gates, members, &Acknowledged::new(), now())
}

fn reasons(judgement: &Judgement) -> Vec<WaitReason> {
    let Decision::Wait { reasons, .. } = &judgement.decision else { panic!("{judgement:?}") };
    reasons.clone()
}

const OLD: &str = "2026-01-01T00:00Z";

#[test]
fn a_ring_that_proved_the_release_lets_the_next_one_open() {
    let members = [succeeded(1, OLD), succeeded(2, OLD), waiting(3)];
    assert_eq!(judged(&gates(), &members).decision, Decision::Advance);
}

#[test]
fn an_empty_ring_never_passes() {
    assert_eq!(reasons(&judged(&gates(), &[])), [WaitReason::RingEmpty]);
}

#[test]
fn clusters_that_never_began_prove_nothing() {
    let granted = member(2, ClusterState::Granted { at: at(OLD) });
    let judgement = judged(&gates(), &[succeeded(1, OLD), granted, waiting(3)]);
    let sample = WaitReason::SampleTooSmall { attempted: 1, needed: 2, members: 3 };
    assert_eq!(reasons(&judgement), [sample]);
    assert_eq!(sample.to_string(), "1 of 3 clusters have begun, 2 must");
    let counts =
        Counts { members: 3, not_started: 1, granted: 1, succeeded: 1, ..Counts::default() };
    assert_eq!(judgement.counts, counts);
}

#[test]
fn a_sample_in_per_cent_is_of_the_ring_and_rounds_up() {
    let half = Gates { min_sample: Amount::Percent(Percent::from_hundredths(5000)), ..gates() };
    let judgement = judged(&half, &[succeeded(1, OLD), waiting(2), waiting(3)]);
    let sample = WaitReason::SampleTooSmall { attempted: 1, needed: 2, members: 3 };
    assert_eq!(reasons(&judgement), [sample]);
}

#[test]
fn clusters_still_rolling_count_as_attempted() {
    let rolling = member(3, ClusterState::Rolling { began_at: at(OLD) });
    let judgement = judged(&gates(), &[succeeded(1, OLD), succeeded(2, OLD), rolling]);
    let few = WaitReason::TooFewSucceeded { succeeded: 2, attempted: 3, needed: Percent::ALL };
    assert_eq!(reasons(&judgement), [few]);
    let lenient = Gates { success: Percent::from_hundredths(6600), ..gates() };
    let judgement = judged(&lenient, &[succeeded(1, OLD), succeeded(2, OLD), rolling]);
    assert_eq!(judgement.decision, Decision::Advance);
}

#[test]
fn the_soak_counts_from_the_last_success_and_says_when_it_ends() {
    let until = at("2026-01-02T01:30Z");
    let judgement = judged(&gates(), &[succeeded(1, OLD), succeeded(2, "2026-01-01T23:30Z")]);
    let soaking = vec![WaitReason::Soaking { until }];
    let wait = Decision::Wait { reasons: soaking, earliest_at: Some(until) };
    assert_eq!(judgement.decision, wait);
    // When something else is missing too, time alone does not help.
    let three = Gates { min_sample: Amount::Count(3), ..gates() };
    let members = [succeeded(1, OLD), succeeded(2, "2026-01-01T23:30Z"), waiting(3)];
    assert!(matches!(judged(&three, &members).decision, Decision::Wait { earliest_at: None, .. }));
}

#[test]
fn unknown_health_never_passes_and_holds_beyond_its_budget() {
    let blind = |number| Member { health: HealthGate::Unknown, ..succeeded(number, OLD) };
    let members = [succeeded(1, OLD), succeeded(2, OLD), blind(3)];
    let judgement = judged(&gates(), &members);
    let unknown = WaitReason::HealthUnknown { unknown: 1, allowed: 0, attempted: 3 };
    assert_eq!(reasons(&judgement), [unknown]);
    assert_eq!(judgement.blind(), Some(unknown));
    let budget = Gates { max_unknown: Amount::Count(1), ..gates() };
    assert_eq!(judged(&budget, &members).decision, Decision::Advance);
    // Before a cluster begins nobody asks how it does.
    let idle = Member { health: HealthGate::Unknown, ..waiting(4) };
    assert_eq!(judged(&gates(), &[succeeded(1, OLD), succeeded(2, OLD), idle]).blind(), None);
}

#[test]
fn one_failure_too_many_halts_and_names_them_all_in_order() {
    let one = Gates { max_failures: Amount::Count(1), success: Percent::ZERO, ..gates() };
    let members = [failed(1, NOW), failed(2, OLD), succeeded(3, OLD)];
    let judgement = judged(&one, &members);
    let failure = |number, when: &str| Failure {
        cluster: cluster(number),
        why: FailureKind::Error,
        at: at(when),
    };
    let trip = Trip { failed: 2, allowed: 1, attempted: 3, max_failures: Amount::Count(1) };
    let failures = vec![failure(2, OLD), failure(1, NOW)];
    assert_eq!(judgement.decision, Decision::Halt { failures, trip });
    assert_eq!(trip.to_string(), "2 of 3 clusters failed, 1 may (1)");
    assert_eq!(judged(&one, &members[1..]).decision, Decision::Advance, "one may fail");
}

#[test]
fn failures_in_per_cent_are_of_the_attempted_and_round_down() {
    let two = Gates { max_failures: Amount::Percent(Percent::from_hundredths(200)), ..gates() };
    let ring = |good: u32| -> Vec<Member> {
        (1..=good).map(|number| succeeded(number, OLD)).chain([failed(0, OLD)]).collect()
    };
    assert!(matches!(judged(&two, &ring(48)).decision, Decision::Halt { .. }), "1 of 49");
    assert!(matches!(judged(&two, &ring(49)).decision, Decision::Wait { .. }), "1 of 50");
}

#[test]
fn a_regression_is_a_failure_of_a_cluster_that_began() {
    let since = at(OLD);
    let worse = Member { health: HealthGate::Fail { since }, ..succeeded(1, OLD) };
    let judgement = judged(&gates(), &[worse, succeeded(2, OLD)]);
    let why = FailureKind::HealthRegression;
    let expected = Failure { cluster: cluster(1), why, at: since };
    assert!(matches!(
        &judgement.decision,
        Decision::Halt { failures, .. } if *failures == [expected]
    ));
    let idle = Member { health: HealthGate::Fail { since }, ..waiting(1) };
    let judgement = judged(&gates(), &[idle, succeeded(2, OLD), succeeded(3, OLD)]);
    assert_eq!(judgement.decision, Decision::Advance);
}

#[test]
fn acknowledged_failures_do_not_trip_again_and_new_ones_do() {
    let members = [failed(1, OLD), succeeded(2, OLD), succeeded(3, OLD)];
    let Decision::Halt { failures, .. } = judged(&gates(), &members).decision else {
        panic!("the first failure halts");
    };
    let seen: Acknowledged = failures.into_iter().collect();
    let judgement = judge(&gates(), &members, &seen, now());
    assert_eq!(judgement.decision, Decision::Advance);
    assert_eq!((judgement.counts.acknowledged, judgement.counts.attempted()), (1, 2));
    let again = [failed(1, NOW), members[1], members[2]];
    assert!(matches!(judge(&gates(), &again, &seen, now()).decision, Decision::Halt { .. }));
    let another = [members[0], members[1], members[2], failed(4, OLD)];
    assert!(matches!(judge(&gates(), &another, &seen, now()).decision, Decision::Halt { .. }));
}

fn mustered(gates: &Gates, rest: Rest, members: &[Member]) -> Judgement {
    judge_muster(gates, &rest, members, &Acknowledged::new(), now())
}

#[test]
fn clusters_that_are_only_counted_are_judged_as_if_they_were_listed() {
    let listed = [succeeded(1, OLD), succeeded(2, OLD), failed(3, OLD), waiting(4), waiting(5)];
    let rest = Rest { not_started: 2, settled: 2, ..Rest::default() };
    for max_failures in [Amount::Count(0), Amount::Percent(Percent::from_hundredths(3400))] {
        let gates = Gates { max_failures, success: Percent::from_hundredths(5000), ..gates() };
        let counted = mustered(&gates, rest, &[failed(3, OLD)]);
        assert_eq!(counted, judged(&gates, &listed));
    }
}

#[test]
fn clusters_that_were_there_already_are_sample_and_do_not_water_down_failures() {
    let rest = Rest { there: 98, ..Rest::default() };
    assert_eq!(mustered(&gates(), rest, &[]).decision, Decision::Advance);
    let max_failures = Amount::Percent(Percent::from_hundredths(1000));
    let gates = Gates { max_failures, ..gates() };
    let bad = mustered(&gates, rest, &[failed(1, OLD), succeeded(2, OLD)]);
    assert!(matches!(bad.decision, Decision::Halt { .. }), "{bad:?}");
    assert_eq!((bad.counts.members, bad.counts.there, bad.counts.attempted()), (100, 98, 2));
}

#[test]
fn a_ring_whose_clusters_all_went_beyond_is_not_empty() {
    let rest = Rest { beyond: 3, ..Rest::default() };
    assert_eq!(mustered(&gates(), rest, &[]).decision, Decision::Advance);
}
