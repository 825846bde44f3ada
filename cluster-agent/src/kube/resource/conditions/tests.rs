//! Each condition from the state of a product.

use channels::wire::{HealthVerdict, Phase, WaitingOn};

use super::super::sample::{at, calm, rolling, unit, waiting};
use super::super::status::{ClusterUpdateStatus, Condition, ConditionStatus, HistoryState};
use super::super::transitions::{Place, Urgency, moves, transitions};
use super::super::view::{Acceptance, Retrieval, Serving, SpecView, View};
use super::camel;
use crate::history::Pause;

fn status(view: &View) -> ClusterUpdateStatus {
    ClusterUpdateStatus::of(view, None, at(100))
}

fn condition(view: &View, type_: &str) -> Condition {
    status(view).condition(type_).unwrap().clone()
}

#[track_caller]
fn says(view: &View, type_: &str, expected: ConditionStatus, reason: &str, part: &str) {
    let found = condition(view, type_);
    assert_eq!((found.status, found.reason.as_str()), (expected, reason), "{found:?}");
    assert!(found.message.contains(part), "{found:?}");
}

use ConditionStatus::{False, True, Unknown};

#[test]
fn a_calm_product_has_all_six_conditions_as_they_should_be() {
    let expected = [
        ("Available", True, "AsExpected"),
        ("Progressing", False, "UpToDate"),
        ("Failing", False, "AsExpected"),
        ("RetrievedUpdates", True, "AsExpected"),
        ("Upgradeable", True, "AsExpected"),
        ("ReleaseAccepted", True, "ReleaseVerified"),
    ];
    let status = status(&calm());
    let found: Vec<_> =
        status.conditions.iter().map(|c| (c.type_.as_str(), c.status, c.reason.as_str())).collect();
    assert_eq!(found, expected);
    assert!(status.conditions.iter().all(|c| c.observed_generation == Some(1)));
    assert_eq!(status.desired.as_deref(), Some("4.0.0"));
    assert_eq!(status.waiting, None);
}

#[test]
fn the_time_of_a_condition_moves_only_with_its_status() {
    let first = ClusterUpdateStatus::of(&calm(), None, at(0));
    let mut view = calm();
    view.state.waiting_on = vec![waiting("quorum_lag", Some("c2"), "lag 3000 ms")];
    let second = ClusterUpdateStatus::of(&view, Some(&first), at(10));
    view.state.waiting_on = vec![waiting("voters_bad", None, "2 voters are bad")];
    let third = ClusterUpdateStatus::of(&view, Some(&second), at(20));
    let time = |status: &ClusterUpdateStatus, type_: &str| {
        status.condition(type_).unwrap().last_transition_time
    };
    assert_eq!(time(&second, "Available"), at(0));
    assert_eq!(time(&second, "Upgradeable"), at(10));
    let upgradeable = third.condition("Upgradeable").unwrap();
    assert_eq!(upgradeable.last_transition_time, at(10), "another reason is the same status");
    assert_eq!(upgradeable.reason, "VotersBad");
}

#[test]
fn available_asks_the_units_that_are_not_out() {
    says(&rolling(), "Available", True, "AsExpected", "every other unit");
    let mut view = calm();
    view.serving = Serving { verdict: HealthVerdict::Unhealthy, why: Some("c3: no leader".into()) };
    says(&view, "Available", False, "UnitsUnhealthy", "c3: no leader");
    view.serving = Serving { verdict: HealthVerdict::Unknown, why: None };
    says(&view, "Available", Unknown, "HealthUnknown", "observed");
}

#[test]
fn progressing_lasts_until_the_roll_is_complete() {
    says(&rolling(), "Progressing", True, "Rolling", "4.0.0 to 4.1.0, 1 of 3 units done; c2: soak");
    let mut between = rolling();
    between.state.unit = None;
    between.state.phase = Phase::Waiting;
    between.state.waiting_on = vec![waiting("pleg", Some("n1"), "PLEG lag of n1 is 12000 ms")];
    says(&between, "Progressing", True, "Pleg", "waiting: PLEG lag of n1");
    let mut paused = rolling();
    paused.pause = Some(Pause { why: waiting("no_leader", None, "no leader"), at: at(50) });
    paused.state.phase = Phase::Paused;
    says(&paused, "Progressing", True, "Paused", "1 of 3");
}

#[test]
fn a_release_that_waits_for_approval_is_not_progress_and_no_fault() {
    let mut view = calm();
    view.state.target = Some("4.1.0".parse().unwrap());
    view.state.phase = Phase::Waiting;
    view.state.waiting_on = vec![waiting("approval", None, "4.1.0 is available")];
    says(&view, "Progressing", False, "Approval", "runs 4.0.0, 4.1.0 waits: 4.1.0 is available");
    says(&view, "Upgradeable", True, "AsExpected", "");
    assert_eq!(status(&view).waiting.as_deref(), Some("approval"));
}

#[test]
fn failing_is_what_a_person_must_mend() {
    let mut paused = rolling();
    let why = waiting("mutate_failed", Some("c2"), "the command ended with 3");
    paused.pause = Some(Pause { why, at: at(50) });
    says(&paused, "Failing", True, "MutateFailed", "needs resume: c2: the command ended with 3");
    let mut attacked = calm();
    attacked.retrieval = Retrieval::Failed {
        kind: "rollback".into(),
        message: "timestamp went back".into(),
        refused: true,
    };
    says(&attacked, "Failing", True, "Rollback", "went back");
    says(&attacked, "RetrievedUpdates", False, "Rollback", "went back");
    let mut away = calm();
    away.retrieval = Retrieval::Failed {
        kind: "unreachable".into(),
        message: "connection refused".into(),
        refused: false,
    };
    says(&away, "Failing", False, "AsExpected", "");
    says(&away, "RetrievedUpdates", False, "Unreachable", "connection refused");
    let mut new = calm();
    new.retrieval = Retrieval::NotYet;
    says(&new, "RetrievedUpdates", Unknown, "NotYet", "");
}

#[test]
fn a_refused_spec_shows_in_failing_and_release_accepted() {
    let mut view = calm();
    let why = "windows or freezes: time zone \"Mars\" is not known";
    view.spec = SpecView { generation: Some(2), refused: Some(why.into()) };
    says(&view, "Failing", True, "InvalidSpec", why);
    says(&view, "ReleaseAccepted", False, "InvalidSpec", why);
    assert_eq!(status(&view).observed_generation, Some(2));
}

#[test]
fn upgradeable_names_what_stands_in_the_way_and_not_what_passes() {
    let mut view = calm();
    view.state.waiting_on = vec![
        waiting("baseline", None, "held for 3 s"),
        waiting("hold", None, "held on this cluster: audit"),
    ];
    says(&view, "Upgradeable", False, "Hold", "audit");
    view.state.waiting_on.push(waiting("pdb", Some("n1"), "budget db allows none"));
    says(&view, "Upgradeable", False, "MultipleReasons", "audit; budget db allows none");
    assert_eq!(status(&view).waiting.as_deref(), Some("baseline, hold, pdb(n1)"));
}

#[test]
fn release_accepted_names_the_document_or_what_is_wrong_with_it() {
    let mut view = calm();
    view.acceptance =
        Acceptance::Accepted { version: "4.1.0".into(), digest: Some("sha256:ab".into()) };
    says(
        &view,
        "ReleaseAccepted",
        True,
        "ReleaseVerified",
        "4.1.0 is verified, document sha256:ab",
    );
    view.acceptance = Acceptance::Refused {
        gate: "edge_not_allowed".into(),
        message: "does not list 4.0.0".into(),
    };
    says(&view, "ReleaseAccepted", False, "EdgeNotAllowed", "does not list 4.0.0");
    view.acceptance = Acceptance::Unknown;
    says(&view, "ReleaseAccepted", Unknown, "NotYet", "");
}

#[test]
fn every_reason_is_one_that_kubernetes_takes() {
    for gate in ["quorum_lag", "mix_and_match", "4.1", "", "ünïcode", "check_disk free"] {
        let reason = camel(gate);
        let mut letters = reason.chars();
        assert!(letters.next().is_some_and(|c| c.is_ascii_alphabetic()), "{gate}: {reason}");
        assert!(letters.all(|c| c.is_ascii_alphanumeric()), "{gate}: {reason}");
    }
    assert_eq!(camel("quorum_lag"), "QuorumLag");
    assert_eq!(camel(&"check_x".repeat(100)).len(), 128);
}

#[test]
fn figures_alone_are_not_material() {
    let mut view = rolling();
    view.state.waiting_on = vec![waiting("quorum_lag", Some("c2"), "lag 3000 ms")];
    let before = status(&view);
    view.state.waiting_on[0].message = "lag 3500 ms".into();
    view.state.waiting_on[0].observed = Some(3500.0);
    view.state.health.quorum_lag_ms = Some(3500);
    let after = ClusterUpdateStatus::of(&view, Some(&before), at(200));
    assert_ne!(before, after);
    assert!(!after.differs_materially(&before));
    view.state.phase = Phase::AwaitHealth;
    assert!(ClusterUpdateStatus::of(&view, Some(&before), at(200)).differs_materially(&before));
}

#[test]
fn a_status_comes_back_as_it_was_written() {
    let mut view = rolling();
    view.state.waiting_on = vec![WaitingOn {
        observed: Some(1.5),
        limit: Some(f64::INFINITY),
        since: Some(at(3)),
        ..waiting("x", None, "y")
    }];
    let status = status(&view);
    let text = serde_json::to_string(&status).unwrap();
    assert_eq!(serde_json::from_str::<ClusterUpdateStatus>(&text).unwrap(), status);
    assert_eq!(status.waiting_on[0].limit, None, "JSON has no infinity");
}

fn reasons(before: &View, after: &View) -> Vec<String> {
    let before = status(before);
    let after = ClusterUpdateStatus::of(after, Some(&before), at(200));
    transitions(Some(&before), &after).into_iter().map(|note| note.reason).collect()
}

#[test]
fn each_transition_has_its_event_and_standing_still_has_none() {
    assert_eq!(reasons(&calm(), &calm()), [""; 0]);
    assert_eq!(reasons(&calm(), &rolling()), ["UpdateStarted"]);
    assert_eq!(reasons(&rolling(), &rolling()), [""; 0]);
    let mut paused = rolling();
    paused.pause = Some(Pause { why: waiting("no_leader", None, "no leader"), at: at(50) });
    paused.state.phase = Phase::Paused;
    assert_eq!(reasons(&rolling(), &paused), ["NoLeader"]);
    let mut other = paused.clone();
    other.pause = Some(Pause { why: waiting("mutate_failed", None, "exit 3"), at: at(60) });
    assert_eq!(reasons(&paused, &other), ["MutateFailed"], "another failure is another event");
    assert_eq!(reasons(&paused, &rolling()), ["Recovered"]);
    let mut done = calm();
    done.history = rolling().history;
    done.history[0].state = HistoryState::Completed;
    done.history[0].completion_time = Some(at(150));
    assert_eq!(reasons(&rolling(), &done), ["UpdateCompleted"]);
    let mut offered = calm();
    offered.available = vec!["4.1.0".into()];
    assert_eq!(reasons(&calm(), &offered), ["UpdateAvailable"]);
}

#[test]
fn every_phase_of_a_unit_is_told_and_its_return() {
    let place = |view: &View| Place { unit: view.state.unit.clone(), phase: view.state.phase };
    let told = |before: &Place, after: &View| -> Vec<String> {
        moves(before, &after.state).into_iter().map(|note| note.reason).collect()
    };
    let mut seen = Vec::new();
    let mut before = place(&calm());
    for phase in [Phase::Preflight, Phase::Quiesce, Phase::Mutate, Phase::AwaitReturn, Phase::Soak]
    {
        let mut view = rolling();
        view.state.phase = phase;
        seen.extend(told(&before, &view));
        before = place(&view);
        assert_eq!(told(&before, &view), [""; 0], "standing still");
    }
    seen.extend(told(&before, &calm()));
    let expected =
        ["UnitPreflight", "UnitQuiesce", "UnitMutate", "UnitAwaitReturn", "UnitSoak", "UnitBack"];
    assert_eq!(seen, expected);
    let mut next = rolling();
    next.state.unit = Some(unit("c3"));
    assert_eq!(told(&place(&rolling()), &next), ["UnitBack", "UnitSoak"]);
}

#[test]
fn a_gate_is_told_once_however_its_figures_move() {
    let mut lags = calm();
    lags.state.waiting_on = vec![waiting("quorum_lag", Some("c2"), "lag 3000 ms")];
    assert_eq!(reasons(&calm(), &lags), ["Waiting"]);
    let mut more = lags.clone();
    more.state.waiting_on[0].message = "lag 9000 ms".into();
    assert_eq!(reasons(&lags, &more), [""; 0]);
    let mut passing = calm();
    passing.state.waiting_on = vec![waiting("baseline", None, "held for 3 s")];
    assert_eq!(reasons(&calm(), &passing), [""; 0]);
}

#[test]
fn the_first_look_tells_only_what_is_bad() {
    let well = status(&calm());
    assert_eq!(transitions(None, &well), []);
    let mut bad = calm();
    bad.spec.refused = Some("no".into());
    let notes = transitions(None, &status(&bad));
    let found: Vec<_> = notes.iter().map(|n| (n.urgency, n.reason.as_str())).collect();
    let expected = [(Urgency::Warning, "InvalidSpec"), (Urgency::Warning, "ReleaseNotAccepted")];
    assert_eq!(found, expected);
}

#[test]
fn a_storm_of_gates_is_bounded() {
    let mut storm = calm();
    let gate = |n: usize| waiting(&format!("gate_{n}"), None, "x");
    storm.state.waiting_on = (0..200).map(gate).collect();
    assert!(reasons(&calm(), &storm).len() <= super::super::transitions::NOTES_MAX);
    assert!(status(&storm).waiting.unwrap().chars().count() <= 120);
}
