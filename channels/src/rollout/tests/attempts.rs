//! Attempts: what counts as failure, what does not, and whose time stands still.

use super::at;
use crate::rollout::{Attempt, ClusterState, Deadlines, End, FailureKind, Interruptions, Period};

fn state(attempt: Attempt, now: &str) -> ClusterState {
    state_with(attempt, &Interruptions::default(), now)
}

/// Six hours to finish, one of silence.
fn state_with(attempt: Attempt, interruptions: &Interruptions, now: &str) -> ClusterState {
    let (progress, silence) = (Period::from_hours(6), Period::from_hours(1));
    let deadlines = Deadlines { progress, silence, ..Deadlines::default() };
    attempt.state(&deadlines, interruptions, at(now))
}

fn failed(why: FailureKind, when: &str) -> ClusterState {
    ClusterState::Failed { why, at: at(when) }
}

/// Granted at noon, begun at one.
fn begun(heard_at: &str) -> Attempt {
    Attempt {
        granted_at: Some(at("2026-01-01T12:00Z")),
        began_at: Some(at("2026-01-01T13:00Z")),
        heard_at: Some(at(heard_at)),
        ..Attempt::default()
    }
}

#[test]
fn a_cluster_that_never_began_has_not_failed_however_long_ago() {
    assert_eq!(state(Attempt::default(), "2036-01-01T00:00Z"), ClusterState::NotStarted);
    let granted_at = Some(at("2026-01-01T12:00Z"));
    let granted = Attempt { granted_at, heard_at: granted_at, ..Attempt::default() };
    let expected = ClusterState::Granted { at: at("2026-01-01T12:00Z") };
    assert_eq!(state(granted, "2036-01-01T00:00Z"), expected);
    assert!(!expected.is_attempted() && expected.is_in_flight());
}

#[test]
fn silence_after_it_began_is_failure() {
    let attempt = begun("2026-01-01T14:00Z");
    let rolling = ClusterState::Rolling { began_at: at("2026-01-01T13:00Z") };
    assert_eq!(state(attempt, "2026-01-01T15:00Z"), rolling);
    let silent = failed(FailureKind::Silent, "2026-01-01T15:00Z");
    assert_eq!(state(attempt, "2026-01-01T15:00:01Z"), silent);
    assert_eq!(state(attempt, "2027-01-01T00:00Z"), silent, "it never ages out");
}

#[test]
fn the_silence_clock_stands_still_while_the_hub_is_down() {
    let hub_down = vec![
        (at("2026-01-01T14:30Z"), at("2026-01-01T16:00Z")),
        (at("2026-01-01T15:00Z"), at("2026-01-01T16:30Z")),
    ];
    let down = Interruptions { hub_down, stopped: vec![] };
    let attempt = begun("2026-01-01T14:00Z");
    let rolling = ClusterState::Rolling { began_at: at("2026-01-01T13:00Z") };
    assert_eq!(state_with(attempt, &down, "2026-01-01T17:00Z"), rolling);
    let silent = failed(FailureKind::Silent, "2026-01-01T17:00Z");
    assert_eq!(state_with(attempt, &down, "2026-01-01T17:30Z"), silent);
    // A hold is no excuse for silence: agents report while they wait.
    let stopped = Interruptions { stopped: down.hub_down, hub_down: vec![] };
    let silent = failed(FailureKind::Silent, "2026-01-01T15:00Z");
    assert_eq!(state_with(attempt, &stopped, "2026-01-01T17:00Z"), silent);
}

#[test]
fn the_deadline_counts_from_the_beginning_without_stops() {
    let attempt = begun("2026-01-01T19:30Z");
    let late = failed(FailureKind::DeadlinePassed, "2026-01-01T19:00Z");
    assert_eq!(state(attempt, "2026-01-01T19:30Z"), late);
    let held = (at("2026-01-01T14:00Z"), at("2026-01-01T15:00Z"));
    let stops = Interruptions { hub_down: vec![], stopped: vec![held] };
    let rolling = ClusterState::Rolling { began_at: at("2026-01-01T13:00Z") };
    assert_eq!(state_with(attempt, &stops, "2026-01-01T19:30Z"), rolling);
}

#[test]
fn a_success_after_the_deadline_is_still_a_failure() {
    let end = |when| Some(End::Succeeded { at: at(when) });
    let in_time = Attempt { end: end("2026-01-01T18:00Z"), ..begun("2026-01-01T18:00Z") };
    let succeeded = ClusterState::Succeeded { at: at("2026-01-01T18:00Z") };
    assert_eq!(state(in_time, "2026-02-01T00:00Z"), succeeded, "silence after the end is no fault");
    let late = Attempt { end: end("2026-01-01T19:01Z"), ..begun("2026-01-01T19:01Z") };
    let deadline = failed(FailureKind::DeadlinePassed, "2026-01-01T19:00Z");
    assert_eq!(state(late, "2026-01-02T00:00Z"), deadline);
}

#[test]
fn the_first_failure_is_the_one_that_stays() {
    let when = "2026-01-01T14:00Z";
    let base = begun(when);
    let error = Attempt { end: Some(End::Error { at: at(when) }), ..base };
    assert_eq!(state(error, when), failed(FailureKind::Error, when));
    let back = Attempt { end: Some(End::RolledBack { at: at(when) }), ..base };
    assert_eq!(state(back, when), failed(FailureKind::RolledBack, when));
    let worse = Attempt { regressed_at: Some(at("2026-01-01T13:30Z")), ..back };
    let regressed = failed(FailureKind::HealthRegression, "2026-01-01T13:30Z");
    assert_eq!(state(worse, when), regressed);
    let end = Some(End::Succeeded { at: at(when) });
    let recorded = Some((FailureKind::Silent, at("2026-01-01T13:45Z")));
    let healed = Attempt { end, recorded, ..base };
    assert_eq!(state(healed, when), failed(FailureKind::Silent, "2026-01-01T13:45Z"));
}

#[test]
fn an_end_whose_beginning_was_lost_counts() {
    let when = "2026-01-01T14:00Z";
    let ended = |end| Attempt { end: Some(end), ..Attempt::default() };
    let success = state(ended(End::Succeeded { at: at(when) }), when);
    assert_eq!(success, ClusterState::Succeeded { at: at(when) });
    assert_eq!(state(ended(End::Error { at: at(when) }), when), failed(FailureKind::Error, when));
    let back = state(ended(End::RolledBack { at: at(when) }), when);
    assert_eq!(back, failed(FailureKind::RolledBack, when));
}
