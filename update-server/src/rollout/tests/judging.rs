//! What counts as a failure, what stops, what settles, and what survives.

use super::*;
use crate::rollout::health::{Rules, Seen, Stage};
use crate::rollout::{RolloutStatus, Worse};
use channels::rollout::{ClusterState, Deadlines, FailureKind, HealthGate};
use channels::wire::{MeasureId, Measured};

fn why(site: &Site, slot: u32, at: i64) -> FailureKind {
    match site.attempt(slot, at).state {
        ClusterState::Failed { why, .. } => why,
        other => panic!("{other:?}"),
    }
}

fn plain(deadlines: &Deadlines) -> Rules<'_> {
    Rules { deadlines, baselines: &[] }
}

fn begin(site: &mut Site, slot: u32, at: i64) {
    assert_eq!(site.ask(slot, "1.1.0", at), go());
    site.hear(slot, rolling(&site.releases, "1.0.0", "1.1.0"), at + 1);
}

#[test]
fn one_failure_more_than_may_be_halts_at_once_and_stops_those_under_way() {
    let mut site = Site::new(OPEN, &["a", "a", "a"]);
    begin(&mut site, 0, 1);
    begin(&mut site, 1, 1);
    site.hear(0, paused(&site.releases, "1.0.0", "1.1.0", minute(3)), 3);
    assert_eq!(site.view(3).status, RolloutStatus::Running);
    site.hear(1, paused(&site.releases, "1.0.0", "1.1.0", minute(4)), 4);
    assert_eq!(site.view(4).status, RolloutStatus::Halted);
    assert_eq!(codes(&site.ask(0, "1.1.0", 5)), ["halted"]);
    assert!(codes(&site.ask(2, "1.1.0", 5)).contains(&"halted"));
    site.restart();
    assert_eq!(site.view(6).status, RolloutStatus::Halted);
    assert_eq!(codes(&site.ask(0, "1.1.0", 6)), ["halted"]);
}

#[test]
fn going_on_names_every_failure_that_halts() {
    let mut site = Site::new(&OPEN.replace("max_failures: 1", "max_failures: 0"), &["a", "a"]);
    let nothing = RolloutRefusal::NothingToAcknowledge { id: FIRST };
    assert_eq!(site.resume(1), Err(nothing));
    begin(&mut site, 0, 1);
    begin(&mut site, 1, 1);
    site.hear(0, paused(&site.releases, "1.0.0", "1.1.0", minute(3)), 3);
    let first = site.view(3).failures[0].0;
    site.hear(1, paused(&site.releases, "1.0.0", "1.1.0", minute(4)), 4);
    site.tick(5);
    let seen = BTreeSet::from([first]);
    let resume = RolloutCommand::Resume { seen, reason: "seen".to_owned() };
    let unseen = RolloutRefusal::FailuresUnseen { id: FIRST, missing: 1 };
    assert_eq!(site.command(&resume, 6), Err(unseen));
    site.resume(7).unwrap();
    assert_eq!(site.view(7).status, RolloutStatus::Running);
    assert!(site.view(7).failures.iter().all(|(_, accepted)| *accepted));
}

#[test]
fn a_cluster_that_tries_again_needs_a_place_and_fails_anew() {
    let policy = OPEN.replace("max_failures: 1", "max_failures: 0");
    let mut site = Site::new(&policy.replace("concurrent: 2", "concurrent: 1"), &["a", "a"]);
    begin(&mut site, 0, 1);
    site.hear(0, paused(&site.releases, "1.0.0", "1.1.0", minute(3)), 3);
    site.resume(4).unwrap();
    site.tick(20);
    assert_eq!(site.ask(1, "1.1.0", 21), go(), "the failed one gave its place back");
    assert_eq!(codes(&site.ask(0, "1.1.0", 22)), ["cap_concurrent"]);
    site.hear(1, record(&site.releases, "1.1.0"), 23);
    assert_eq!(site.ask(0, "1.1.0", 24), go());
    site.hear(0, rolling(&site.releases, "1.0.0", "1.1.0"), 25);
    assert!(matches!(site.attempt(0, 25).state, ClusterState::Rolling { .. }));
    site.hear(0, paused(&site.releases, "1.0.0", "1.1.0", minute(26)), 26);
    assert_eq!(site.view(26).status, RolloutStatus::Halted);
    assert_eq!(site.view(26).failures.len(), 2);
}

#[test]
fn a_failure_from_before_the_grant_is_not_the_rollouts() {
    let mut site = Site::new(OPEN, &["a"]);
    let mut state = paused(&site.releases, "1.0.0", "1.1.0", minute(-60));
    state.phase = Phase::Waiting;
    site.hear(0, state.clone(), 1);
    assert_eq!(site.ask(0, "1.1.0", 2), go());
    state.phase = Phase::Paused;
    site.hear(0, state, 3);
    assert!(matches!(site.attempt(0, 3).state, ClusterState::Granted { .. }));
}

#[test]
fn who_never_began_never_failed_however_long_it_is_silent() {
    let mut site = Site::new(OPEN, &["a", "a"]);
    assert_eq!(site.ask(0, "1.1.0", 1), go());
    site.tick(3_000);
    assert!(site.view(3_000).failures.is_empty());
    assert_eq!(site.rollouts.attempt(FIRST, Slot(0), minute(3_000)), None);
}

#[test]
fn silence_after_the_beginning_fails_and_an_outage_of_the_hub_is_no_silence() {
    let mut site = Site::new(OPEN, &["a", "a"]);
    begin(&mut site, 0, 1);
    site.batch(minute(500), |_, draft| draft.hub_was_down(minute(3), minute(500)));
    site.tick(501);
    assert!(matches!(site.attempt(0, 501).state, ClusterState::Rolling { .. }));
    assert_eq!(site.attempt(0, 501).health, HealthGate::Unknown);
    site.tick(560);
    assert_eq!(why(&site, 0, 560), FailureKind::Silent);
    site.hear(0, record(&site.releases, "1.1.0"), 561);
    assert_eq!(why(&site, 0, 561), FailureKind::Silent, "the first failure stays");
}

#[test]
fn whoever_goes_back_failed_also_after_its_soak() {
    let mut site = Site::new(OPEN, &["a", "a"]);
    begin(&mut site, 0, 1);
    site.hear(0, record(&site.releases, "1.0.0"), 3);
    assert_eq!(why(&site, 0, 3), FailureKind::RolledBack);
    site.succeed(1, 4);
    for at in [60, 65, 70] {
        site.hear(1, record(&site.releases, "1.1.0"), at);
        site.tick(at);
    }
    assert!(site.rollouts.has_settled(FIRST, Slot(1)));
    site.restart();
    site.tick(71);
    site.hear(1, record(&site.releases, "1.0.0"), 80);
    assert_eq!(why(&site, 1, 80), FailureKind::RolledBack);
    assert_eq!(site.view(80).status, RolloutStatus::Halted);
}

#[test]
fn worse_health_after_success_fails_and_is_not_told_again_once_accepted() {
    let mut site = Site::new(&OPEN.replace("max_failures: 1", "max_failures: 0"), &["a"]);
    site.succeed(0, 1);
    let mut worse = record(&site.releases, "1.1.0");
    worse.health.verdict = HealthVerdict::Unhealthy;
    site.hear(0, worse.clone(), 10);
    assert_eq!(why(&site, 0, 10), FailureKind::HealthRegression);
    site.resume(11).unwrap();
    site.hear(0, worse.clone(), 12);
    site.tick(13);
    assert_eq!(site.view(13).status, RolloutStatus::Converged, "nobody is left to go");
    site.hear(0, record(&site.releases, "1.1.0"), 14);
    assert!(matches!(site.attempt(0, 14).state, ClusterState::Succeeded { .. }));
    site.hear(0, worse, 15);
    assert_eq!(site.view(15).status, RolloutStatus::Halted, "and that is a new one");
}

#[test]
fn a_ring_with_baselines_that_nobody_reports_is_of_unknown_health() {
    let baselines = "min_sample: 1, baselines: [{name: errors, query: up, bad_when: above, \
                     tolerance: 10%, over: 1h}]";
    let mut site = Site::new(&OPEN.replace("min_sample: 1", baselines), &["a", "a"]);
    assert_eq!(codes(&site.ask(0, "1.1.0", 1)), ["baseline_unmeasured"], "it may yet answer");
    site.succeed(0, 10);
    site.tick(19);
    assert_eq!(site.attempt(0, 19).health, HealthGate::Unknown);
    assert_eq!(site.view(19).status, RolloutStatus::Blind);
    assert_eq!(codes(&site.ask(1, "1.1.0", 20)), ["health_unknown"]);
}

/// A site whose policy compares errors, each cluster having told a mean of 2.
fn measuring(max_failures: u32) -> Site {
    let baselines = "min_sample: 1, baselines: [{name: errors, query: up, bad_when: above, \
                     tolerance: 10%, over: 1h}]";
    let policy = OPEN.replace("min_sample: 1", baselines);
    let policy = policy.replace("max_failures: 1", &format!("max_failures: {max_failures}"));
    let mut site = Site::new(&policy, &["a", "a"]);
    for slot in 0..2 {
        let told = measured(record(&site.releases, "1.0.0"), Some(2.0), Some(2.0));
        site.hear(slot, told, 0);
    }
    site
}

fn measured(record: ProductRecord, value: Option<f64>, mean: Option<f64>) -> ProductRecord {
    let id = MeasureId::of("up", 3_600);
    let measured = vec![Measured { id, value, mean, why: None }];
    let health = HealthSummary { measured, ..record.health };
    ProductRecord { health, ..record }
}

fn rolls(site: &mut Site, slot: u32, at: i64) {
    assert_eq!(site.ask(slot, "1.1.0", at), go());
    let out = measured(rolling(&site.releases, "1.0.0", "1.1.0"), Some(50.0), Some(9.0));
    site.hear(slot, out, at + 1);
}

#[test]
fn a_cluster_is_judged_by_its_own_mean_before_its_grant() {
    let mut site = measuring(0);
    rolls(&mut site, 0, 1);
    assert!(matches!(site.attempt(0, 2).state, ClusterState::Rolling { .. }), "a roll shows");
    let told = measured(record(&site.releases, "1.1.0"), Some(2.2), Some(30.0));
    site.hear(0, told, 6);
    site.tick(7);
    assert_eq!(site.attempt(0, 7).health, HealthGate::Pass);
    rolls(&mut site, 1, 8);
    site.restart();
    site.tick(9);
    let told = measured(record(&site.releases, "1.1.0"), Some(2.3), Some(2.3));
    site.hear(1, told, 12);
    assert_eq!(why(&site, 1, 12), FailureKind::HealthRegression);
    assert_eq!(site.view(12).status, RolloutStatus::Halted);
    assert_eq!(site.attempt(0, 12).worse, None);
    let worse = Worse { name: "errors".to_owned(), before: 2.0, now: 2.3 };
    site.restart();
    assert_eq!(site.attempt(1, 13).worse.as_deref(), Some(&worse), "both numbers are kept");
}

#[test]
fn a_number_that_is_missing_afterwards_is_unknown_until_it_is_there() {
    let mut site = measuring(0);
    rolls(&mut site, 0, 1);
    site.hear(0, measured(record(&site.releases, "1.1.0"), None, Some(2.0)), 6);
    site.tick(7);
    assert_eq!(site.attempt(0, 7).health, HealthGate::Unknown);
    assert_eq!(site.view(7).status, RolloutStatus::Blind);
    site.hear(0, measured(record(&site.releases, "1.1.0"), Some(1.0), None), 8);
    site.tick(9);
    assert_eq!(site.attempt(0, 9).health, HealthGate::Pass);
    assert_ne!(site.view(9).status, RolloutStatus::Blind);
}

#[test]
fn clusters_are_told_what_to_measure_for_the_ring_they_are_in() {
    let rings = "rings: [{name: a, select: {match_labels: {ring: a}}, gates: {baselines: [{name: \
                 errors, query: up, bad_when: above, tolerance: 10%, over: 1h}]}}, {name: b, \
                 rest: true}]";
    let policy = OPEN.replace("rings: [{name: all, rest: true}]", rings);
    let mut site = Site::new(&policy, &["a", "b"]);
    let asked = |site: &Site, slot: u32| {
        let (labels, record, _) = &site.clusters[slot as usize];
        site.rollouts.measures(Slot(slot), labels, std::slice::from_ref(record))
    };
    let told = asked(&site, 0);
    assert_eq!(told.len(), 1);
    let id = MeasureId::of("up", 3_600);
    assert_eq!((&told[0].id, told[0].name.as_str(), told[0].over_s), (&id, "errors", 3_600));
    assert_eq!(asked(&site, 1), []);
    let health = measured(record(&site.releases, "1.0.0"), Some(1.0), Some(1.0));
    site.hear(0, health, 1);
    assert_eq!(site.ask(0, "1.1.0", 1), go());
    site.clusters[0].0 = site.clusters[1].0.clone();
    assert_eq!(asked(&site, 0), told, "it is judged in its ring whatever its labels become");
}

#[test]
fn a_rollout_that_nobody_governs_is_over_once_nobody_is_on_the_way_and_no_failure_waits() {
    let mut site = Site::new(OPEN, &["a", "a"]);
    let keep = SignedDuration::from_mins(4_000);
    let at = |site: &Site, at: i64| -> Vec<RolloutId> {
        let over = site.rollouts.over_for(keep, minute(at));
        over.into_iter().map(|(id, _)| id).collect()
    };
    let over = |site: &Site| at(site, 5_000);
    begin(&mut site, 0, 1);
    let open = site.rollouts.open_views(minute(2));
    assert_eq!((open.len(), open[0].in_flight, open[0].failures), (1, 1, 0));
    let name = "open".parse().unwrap();
    site.batch(minute(3), |_, draft| draft.delete_policy(&name, "ann", minute(3))).unwrap();
    assert_eq!(over(&site), [], "one is on the way");
    site.hear(0, record(&site.releases, "1.1.0"), 6);
    for at in [60, 65, 70] {
        site.hear(0, record(&site.releases, "1.1.0"), at);
        site.tick(at);
    }
    assert!(site.rollouts.has_settled(FIRST, Slot(0)));
    assert_eq!(over(&site), [FIRST]);
    assert_eq!(at(&site, 4_000), [], "not for long enough");
    assert_eq!(site.rollouts.open_views(minute(71)), []);
    site.hear(0, record(&site.releases, "1.0.0"), 80);
    assert_eq!(over(&site), [], "its failure waits");
    assert_eq!(site.rollouts.open_views(minute(81))[0].failures, 1);
}

#[test]
fn a_retired_cluster_leaves_and_its_failure_stays() {
    let mut site = Site::new(OPEN, &["a", "a"]);
    begin(&mut site, 0, 1);
    begin(&mut site, 1, 1);
    site.hear(1, paused(&site.releases, "1.0.0", "1.1.0", minute(3)), 3);
    site.tick(4);
    site.clusters.clear();
    site.tick(5);
    assert_eq!(site.rollouts.attempts(FIRST, minute(5)).len(), 1);
    assert_eq!(site.view(5).failures.len(), 1);
    assert!(site.told.contains(&"rollout.cluster_left"));
}

#[test]
fn a_failed_cluster_is_judged_in_its_ring_whatever_its_labels_become() {
    let rings = "rings: [{name: a, select: {match_labels: {ring: a}}}, {name: b, select: \
                 {match_labels: {ring: b}}}]";
    let policy = OPEN.replace("rings: [{name: all, rest: true}]", rings);
    let mut site = Site::new(&policy.replace("max_failures: 1", "max_failures: 0"), &["a", "b"]);
    begin(&mut site, 0, 1);
    site.hear(0, paused(&site.releases, "1.0.0", "1.1.0", minute(2)), 2);
    let nowhere = Labels::from([("ring".to_owned(), "none".to_owned())]);
    site.sets.push(nowhere.clone());
    site.clusters[0].0 = nowhere;
    site.tick(3);
    assert_eq!(site.view(3).rings[0].counts.failed, 1);
    assert_eq!(site.view(3).status, RolloutStatus::Halted);
}

#[test]
fn clusters_that_run_the_release_already_are_counted_apart() {
    let mut site = Site::new(OPEN, &["a", "a", "a"]);
    site.hear(2, record(&site.releases, "1.1.0"), 1);
    site.tick(1);
    let counts = site.view(1).rings[0].counts;
    assert_eq!((counts.members, counts.there, counts.not_started, counts.succeeded), (3, 1, 2, 0));
}

#[test]
fn it_converges_when_nobody_is_left_and_says_so_once() {
    let mut site = Site::new(OPEN, &["a", "a"]);
    site.succeed(0, 1);
    site.succeed(1, 1);
    for at in [10, 11, 12] {
        site.tick(at);
    }
    assert_eq!(site.told.iter().filter(|told| **told == "rollout.converged").count(), 1);
    assert_eq!(site.view(12).status, RolloutStatus::Converged);
}

fn health(verdict: HealthVerdict, quorum_lag_ms: Option<u64>) -> HealthSummary {
    HealthSummary { verdict, quorum_lag_ms, ..HealthSummary::default() }
}

fn gate(baseline: Option<&HealthSummary>, now: &HealthSummary, stage: Stage) -> HealthGate {
    let deadlines = Deadlines::default();
    Seen::default().after(baseline, now, stage, plain(&deadlines), minute(0)).gate
}

#[test]
fn a_cluster_is_compared_with_its_own_past_and_unknown_is_never_a_pass() {
    use HealthVerdict::{Healthy, Unhealthy, Unknown};
    let fail = HealthGate::Fail { since: minute(0) };
    let (pass, unknown) = (HealthGate::Pass, HealthGate::Unknown);
    for (before, after, expected) in [
        (Healthy, Healthy, pass),
        (Healthy, Unhealthy, fail),
        (Healthy, Unknown, unknown),
        (Unhealthy, Unhealthy, pass),
        (Unhealthy, Healthy, pass),
        (Unhealthy, Unknown, unknown),
        (Unknown, Healthy, pass),
        (Unknown, Unhealthy, unknown),
        (Unknown, Unknown, unknown),
    ] {
        let found = gate(Some(&health(before, None)), &health(after, None), Stage::Succeeded);
        assert_eq!(found, expected, "{before} then {after}");
    }
    assert_eq!(gate(None, &health(Unhealthy, None), Stage::Succeeded), unknown);
    assert_eq!(Seen::default().gate, unknown, "before anything was seen");
}

#[test]
fn lags_beyond_the_tolerance_are_worse_after_success_only() {
    let lags = |before, after, stage| {
        let healthy = |lag| health(HealthVerdict::Healthy, lag);
        gate(Some(&healthy(before)), &healthy(after), stage)
    };
    let done = Stage::Succeeded;
    assert_eq!(lags(Some(100), Some(1_100), done), HealthGate::Pass);
    assert_eq!(lags(Some(100), Some(1_101), done), HealthGate::Fail { since: minute(0) });
    assert_eq!(lags(Some(5_000), Some(10_000), done), HealthGate::Pass);
    assert_eq!(lags(Some(5_000), Some(10_001), done), HealthGate::Fail { since: minute(0) });
    assert_eq!(lags(Some(100), Some(90_000), Stage::Rolling), HealthGate::Pass);
    assert_eq!(lags(Some(100), None, done), HealthGate::Unknown);
    assert_eq!(lags(None, Some(90_000), done), HealthGate::Pass);
}

#[test]
fn while_it_rolls_only_a_verdict_that_stays_bad_for_longer_than_a_unit_is_worse() {
    let baseline = health(HealthVerdict::Healthy, None);
    let bad = health(HealthVerdict::Unhealthy, None);
    let deadlines = Deadlines::default();
    let after = |seen: Seen, reported: &HealthSummary, at| {
        seen.after(Some(&baseline), reported, Stage::Rolling, plain(&deadlines), minute(at))
    };
    let first = after(Seen::default(), &bad, 0);
    assert_eq!(after(first, &bad, 30).gate, HealthGate::Pass);
    assert_eq!(after(first, &bad, 31).gate, HealthGate::Fail { since: minute(0) });
    let broken = HealthSummary { since: Some(minute(20)), ..bad.clone() };
    assert_eq!(after(first, &broken, 31).gate, HealthGate::Pass, "it was well in between");
    let well = after(first, &baseline, 20);
    assert_eq!(after(well, &bad, 31).gate, HealthGate::Pass);
}
