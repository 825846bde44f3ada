//! Rollouts in the store: one transaction with the report, forgotten with it, remembered after it.

use channels::wire::{Action, Directive, HealthSummary, HealthVerdict, Phase, ProductState};

use super::super::tests::{Hub, NOW, asking, at, block, state};
use super::super::{Event, NewHold, NewPolicy, Refusal, RemovedPolicy, Steer};
use super::*;
use crate::rollout::{RolloutCommand, RolloutId, RolloutRefusal, RolloutStatus, RolloutView};

/// Everybody at once, and the first failure halts.
const ALL_AT_ONCE: &str = "\
name: all-at-once
emergency: true
gates: {min_sample: 1}
deadlines: {silence: 10m}
rings:
  - name: everyone
    rest: true
    curve: {points: [{after: 0s, share: 100%}]}
";

fn new(text: &str, second: i64) -> NewPolicy {
    let name = "all-at-once".parse().unwrap();
    NewPolicy { name, text: text.to_owned(), by: "mira".to_owned(), now: at(second) }
}

fn well(product: ProductState) -> ProductState {
    let health = HealthSummary { verdict: HealthVerdict::Healthy, ..HealthSummary::default() };
    ProductState { health, ..product }
}

fn rolling() -> ProductState {
    ProductState {
        phase: Phase::Mutate,
        target: Some("1.1.0".parse().unwrap()),
        ..well(state("acme/kafka", Phase::Mutate))
    }
}

fn only(reply: &channels::wire::ReportReply) -> &Directive {
    assert_eq!(reply.directives.len(), 1);
    &reply.directives[0]
}

/// A hub with this policy and one cluster that has reported.
async fn governed() -> (Hub, channels::names::ClusterId) {
    let hub = Hub::new();
    hub.invite(5).await;
    let id = hub.enrol(1).await.unwrap();
    hub.report(id, 1, true, &[well(state("acme/kafka", Phase::Idle))]).await.unwrap();
    hub.store.apply_policy(new(ALL_AT_ONCE, NOW + 20)).await.unwrap();
    (hub, id)
}

fn view(hub: &Hub) -> RolloutView {
    let committed = hub.store.committed().rollouts();
    let mut views = committed.views(at(NOW + 30));
    assert_eq!(views.len(), 1);
    views.remove(0)
}

fn counts(hub: &Hub) -> (u32, usize) {
    let rollouts = hub.store.committed().rollouts();
    (view(hub).in_flight, rollouts.attempts(RolloutId(1), at(NOW + 30)).len())
}

#[tokio::test]
async fn a_release_is_granted_after_its_members_were_counted_and_is_remembered() {
    let (hub, id) = governed().await;
    let asks = [well(asking("acme/kafka"))];
    let reply = hub.report(id, 2, true, &asks).await.unwrap();
    assert_eq!(only(&reply).action, Action::Wait);
    assert_eq!(only(&reply).reasons[0].code, "not_counted");
    hub.store.tick(at(NOW + 25)).await.unwrap();
    let reply = hub.report(id, 3, true, &asks).await.unwrap();
    assert_eq!(only(&reply).action, Action::Proceed, "{reply:?}");
    assert_eq!(counts(&hub), (1, 1));
    let hub = hub.restart();
    assert_eq!(counts(&hub), (1, 1));
    assert_eq!(view(&hub).policy_version, 1);
}

/// Half an hour of "nothing has changed" is not half an hour of silence.
#[tokio::test]
async fn a_cluster_that_says_only_that_nothing_changed_is_heard_by_its_rollout() {
    let (hub, id) = governed().await;
    let asks = [well(asking("acme/kafka"))];
    hub.report(id, 2, true, &asks).await.unwrap();
    hub.store.tick(at(NOW + 25)).await.unwrap();
    hub.report(id, 3, true, &asks).await.unwrap();
    hub.report_at(id, 4, true, &[rolling()], NOW + 40).await.unwrap();
    // The policy calls ten minutes without a word a failure.
    let minute = |n: u64| NOW + 40 + 60 * i64::try_from(n).unwrap();
    for n in 1..=14 {
        hub.report_at(id, 4 + n, false, &[], minute(n)).await.unwrap();
        hub.store.tick(at(minute(n))).await.unwrap();
    }
    assert_eq!(view(&hub).failures.len(), 0);
    for n in 15..=26 {
        hub.store.tick(at(minute(n))).await.unwrap();
    }
    assert_eq!(view(&hub).failures.len(), 1, "but silence still is one");
}

#[tokio::test]
async fn a_grant_whose_commit_fails_was_never_given() {
    let (hub, id) = governed().await;
    let asks = [well(asking("acme/kafka"))];
    hub.report(id, 2, true, &asks).await.unwrap();
    hub.store.tick(at(NOW + 25)).await.unwrap();
    let before = counts(&hub);
    // Both jobs are queued while the writer is busy, so they share a batch.
    let release = block(&hub).await;
    let granted = hub.report(id, 3, true, &asks);
    let broken = hub.store.submit(|batch| Ok(batch.break_database()?));
    let (granted, broken, ()) = tokio::join!(granted, broken, async { release.send(()).unwrap() });
    assert_eq!((granted.unwrap_err(), broken), (Refusal::Failed, Err(Refusal::Failed)));
    assert_eq!(counts(&hub), before);
    let hub = hub.restart();
    assert_eq!(counts(&hub), before);
}

#[tokio::test]
async fn a_failure_halts_at_once_and_survives_a_restart_until_it_is_acknowledged() {
    let (hub, id) = governed().await;
    let asks = [well(asking("acme/kafka"))];
    hub.report(id, 2, true, &asks).await.unwrap();
    hub.store.tick(at(NOW + 25)).await.unwrap();
    hub.report(id, 3, true, &asks).await.unwrap();
    hub.report(id, 4, true, &[rolling()]).await.unwrap();
    let failure = channels::wire::Failure {
        kind: "step_failed".to_owned(),
        message: "the command exited with 1".to_owned(),
        at: at(NOW + 9),
    };
    let paused = ProductState { phase: Phase::Paused, failure: Some(failure), ..rolling() };
    hub.report(id, 5, true, &[paused]).await.unwrap();
    assert_eq!(view(&hub).status, RolloutStatus::Halted);

    let hub = hub.restart();
    let halted = view(&hub);
    assert_eq!((halted.status, halted.failures.len()), (RolloutStatus::Halted, 1));
    let again =
        ProductState { target: Some("1.1.0".parse().unwrap()), ..well(asking("acme/kafka")) };
    let reply = hub.report(id, 6, true, &[again]).await.unwrap();
    assert_eq!(
        (only(&reply).action, only(&reply).reasons[0].code.as_str()),
        (Action::Hold, "halted")
    );

    let seen = halted.failures.iter().map(|(failure, _)| *failure).collect();
    let steer =
        |commands| Steer { id: RolloutId(1), commands, by: "mira".to_owned(), now: at(NOW + 40) };
    let reason = "a bad disk".to_owned();
    let resume = vec![RolloutCommand::Resume { seen, reason }];
    hub.store.steer(steer(resume.clone())).await.unwrap();
    assert_ne!(view(&hub).status, RolloutStatus::Halted);
    let refused = hub.store.steer(steer(resume)).await.unwrap_err();
    let nothing = RolloutRefusal::NothingToAcknowledge { id: RolloutId(1) };
    assert_eq!(refused, Refusal::Rollout(nothing));
}

#[tokio::test]
async fn of_commands_that_are_refused_together_none_is_done() {
    let (hub, id) = governed().await;
    hub.report(id, 2, true, &[well(asking("acme/kafka"))]).await.unwrap();
    let commands = vec![
        RolloutCommand::Hold { ring: None, reason: "storm".to_owned() },
        RolloutCommand::Hold { ring: Some("no-such".parse().unwrap()), reason: "x".to_owned() },
    ];
    let steer = Steer { id: RolloutId(1), commands, by: "mira".to_owned(), now: at(NOW + 40) };
    hub.store.steer(steer).await.unwrap_err();
    assert_eq!(view(&hub).held, None);
}

#[tokio::test]
async fn silence_while_the_hub_was_down_is_nobodys_failure() {
    let (hub, id) = governed().await;
    let asks = [well(asking("acme/kafka"))];
    hub.report(id, 2, true, &asks).await.unwrap();
    hub.store.tick(at(NOW + 25)).await.unwrap();
    hub.report(id, 3, true, &asks).await.unwrap();
    hub.report(id, 4, true, &[rolling()]).await.unwrap();
    hub.store.tick(at(NOW + 30)).await.unwrap();
    // Two hours later; silence is a failure after ten minutes.
    let hub = hub.restart_at(at(NOW + 7200));
    let soon = at(NOW + 7200 + 300);
    hub.store.tick(soon).await.unwrap();
    assert_eq!(view(&hub).failures, []);
    hub.store.tick(at(NOW + 7200 + 3600)).await.unwrap();
    assert_eq!(view(&hub).failures.len(), 0, "no tick for an hour: the hub was down again");
    for minute in 1..=11 {
        hub.store.tick(at(NOW + 10_800 + minute * 60)).await.unwrap();
    }
    assert_eq!(view(&hub).failures.len(), 1, "eleven minutes of ticks without a word");
}

#[tokio::test]
async fn a_hold_of_the_product_stops_the_rollouts_clock_in_its_own_transaction() {
    let (hub, id) = governed().await;
    hub.report(id, 2, true, &[well(asking("acme/kafka"))]).await.unwrap();
    let scope = channels::wire::HoldScope::Fleet;
    let new = NewHold { scope, reason: "storm".into(), by: "ann".into(), now: at(NOW + 30) };
    let hold = hub.store.hold(new).await.unwrap();
    assert_eq!(view(&hub).status, RolloutStatus::Held);
    hub.store.resume(hold.id, "over".into(), "ann".into(), at(NOW + 31)).await.unwrap();
    assert_ne!(view(&hub).status, RolloutStatus::Held);
}

#[tokio::test]
async fn versions_of_a_policy_are_kept_and_the_same_text_is_no_new_one() {
    let (hub, _) = governed().await;
    let again = hub.store.apply_policy(new(ALL_AT_ONCE, NOW + 30)).await.unwrap();
    assert_eq!((again.version, again.changed), (1, false));
    let wider = ALL_AT_ONCE.replace("silence: 10m", "silence: 20m");
    let next = hub.store.apply_policy(new(&wider, NOW + 31)).await.unwrap();
    assert_eq!((next.version, next.changed), (2, true));
    let name: channels::rollout::Name = "all-at-once".parse().unwrap();
    let gone = RemovedPolicy {
        name: name.clone(),
        reason: "a test".to_owned(),
        by: "mira".to_owned(),
        now: at(NOW + 32),
    };
    hub.store.remove_policy(gone.clone()).await.unwrap();
    hub.store.remove_policy(gone).await.unwrap_err();
    let hub = hub.restart();
    assert_eq!(hub.store.committed().rollouts().policies().in_force().count(), 0);
    let conn = hub.second_connection();
    let texts: Vec<(u64, bool)> = policy_versions(&conn, &name, None)
        .unwrap()
        .into_iter()
        .map(|row| (row.version, row.deleted))
        .collect();
    assert_eq!(texts, [(3, true), (2, false), (1, false)]);
    let first = policy_versions(&conn, &name, Some(1)).unwrap();
    assert_eq!(first[0].text, ALL_AT_ONCE);
}

#[tokio::test]
async fn a_policy_that_cannot_be_applied_leaves_no_trace() {
    let (hub, _) = governed().await;
    let zero = format!("{ALL_AT_ONCE}caps: {{concurrent: 0}}\n");
    let refused = hub.store.apply_policy(new(&zero, NOW + 30)).await.unwrap_err();
    assert!(matches!(refused, Refusal::Rollout(RolloutRefusal::Lint { .. })), "{refused}");
    let other = ALL_AT_ONCE.replace("name: all-at-once", "name: other");
    let other = NewPolicy { name: "other".parse().unwrap(), ..new(&other, NOW + 30) };
    let refused = hub.store.apply_policy(other).await.unwrap_err();
    assert!(matches!(refused, Refusal::Rollout(RolloutRefusal::Overlap { .. })), "{refused}");
    assert_eq!(hub.store.committed().rollouts().policies().in_force().count(), 1);
}

#[tokio::test]
async fn what_happens_to_a_rollout_is_in_the_audit_log() {
    let (hub, id) = governed().await;
    hub.report(id, 2, true, &[well(asking("acme/kafka"))]).await.unwrap();
    let hold = RolloutCommand::Hold { ring: None, reason: "storm".to_owned() };
    let commands = vec![hold];
    let steer = Steer { id: RolloutId(1), commands, by: "mira".to_owned(), now: at(NOW + 40) };
    hub.store.steer(steer).await.unwrap();
    let rows = super::audit::page(&hub.second_connection(), None, 100).unwrap();
    let told: Vec<(&str, &str)> = rows
        .iter()
        .filter(|row| row.object.starts_with("rollout"))
        .map(|row| (row.action.as_str(), row.actor.as_str()))
        .collect();
    let expected = [("rollout.held", "mira"), ("rollout.opened", "hub"), ("apply_policy", "mira")];
    assert_eq!(told, expected);
}

#[tokio::test]
async fn without_a_policy_reports_leave_rollouts_alone() {
    let hub = Hub::new();
    hub.invite(1).await;
    let id = hub.enrol(1).await.unwrap();
    let reply = hub.report(id, 1, true, &[well(asking("acme/kafka"))]).await.unwrap();
    assert_eq!(only(&reply).action, Action::Proceed);
    hub.store.tick(at(NOW + 60)).await.unwrap();
    hub.store
        .record(Event {
            at: at(NOW + 61),
            actor: "mira".to_owned(),
            action: "publish",
            object: "timestamp/1".to_owned(),
            detail: serde_json::json!({}),
        })
        .await
        .unwrap();
    assert_eq!(hub.store.committed().rollouts().views(at(NOW + 70)), []);
}

#[tokio::test]
async fn the_salt_is_drawn_once() {
    let hub = Hub::new();
    let first = *hub.store.committed().rollouts().salt();
    let hub = hub.restart();
    assert_eq!(*hub.store.committed().rollouts().salt(), first);
}
