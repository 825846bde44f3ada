//! What a report that nothing has changed leaves behind, the short way and the long way.

use channels::wire::{Action, HoldScope, Phase, UnitState};

use super::super::tests::{Hub, NOW, asking, at, state};
use super::super::{NewHold, Refusal};
use super::*;
use crate::fleet::ClusterRecord;

fn products() -> Vec<channels::wire::ProductState> {
    let unit = UnitState {
        name: "controller-0".parse().unwrap(),
        role: channels::wire::Role::Controller,
        pool: "controllers".parse().unwrap(),
        version: None,
        health: channels::wire::HealthVerdict::Healthy,
        why: None,
    };
    let kafka =
        channels::wire::ProductState { units: vec![unit], ..state("acme/kafka", Phase::Idle) };
    vec![kafka, state("acme/ledger", Phase::Waiting)]
}

/// A hub with one cluster whose first report told everything.
async fn told() -> (Hub, channels::names::ClusterId) {
    let hub = Hub::new();
    hub.invite(1).await;
    let id = hub.enrol(1).await.unwrap();
    hub.report(id, 1, true, &products()).await.unwrap();
    (hub, id)
}

fn record(hub: &Hub) -> ClusterRecord {
    hub.store.committed().fleet().record(Slot(0)).unwrap()
}

#[tokio::test]
async fn it_moves_the_number_and_the_time_and_nothing_else() {
    let (hub, id) = told().await;
    let before = record(&hub);
    let reply = hub.report(id, 2, false, &[]).await.unwrap();
    assert_eq!((reply.seq, reply.directives.len(), reply.full_state_wanted), (2, 0, false));
    let after = ClusterRecord { seq: 2, ..before };
    assert_eq!(record(&hub), after);
    let fresh = channels::wire::Freshness::Fresh;
    assert_eq!(hub.store.committed().fleet().freshness_counts().get(&fresh), Some(&1));
    let hub = hub.restart();
    assert_eq!(record(&hub), after, "the disk has it too");
}

#[tokio::test]
async fn its_retry_hears_the_same_and_an_older_one_is_refused() {
    let (hub, id) = told().await;
    let reply = hub.report(id, 2, false, &[]).await.unwrap();
    assert_eq!(hub.report(id, 2, false, &[]).await.unwrap(), reply);
    let refused = hub.report(id, 1, false, &[]).await.unwrap_err();
    assert_eq!(refused, Refusal::Replayed { seq: 1, last: 2 });
    let hub = hub.restart();
    assert_eq!(hub.report(id, 2, false, &[]).await.unwrap(), reply);
}

#[tokio::test]
async fn a_gap_in_the_numbers_asks_for_the_whole_state() {
    let (hub, id) = told().await;
    assert!(hub.report(id, 3, false, &[]).await.unwrap().full_state_wanted);
    assert!(!hub.report(id, 4, false, &[]).await.unwrap().full_state_wanted);
    assert_eq!(record(&hub).products.len(), 2, "what is left out stays as it was");
}

/// The reply to a report that lists no product says nothing about one, so the cluster is made to ask.
#[tokio::test]
async fn whoever_is_held_meanwhile_is_asked_for_everything_until_it_has_heard() {
    let (hub, id) = told().await;
    let new = NewHold {
        scope: HoldScope::Product { product: "acme/ledger".parse().unwrap() },
        reason: "page".to_owned(),
        by: "mira".to_owned(),
        now: at(NOW),
    };
    let hold = hub.store.hold(new).await.unwrap();
    assert!(hub.report(id, 2, false, &[]).await.unwrap().full_state_wanted);
    let reply = hub.report(id, 3, true, &products()).await.unwrap();
    let heard = [Action::Wait, Action::Hold];
    assert_eq!(reply.directives.iter().map(|d| d.action).collect::<Vec<_>>(), heard);
    assert!(!hub.report(id, 4, false, &[]).await.unwrap().full_state_wanted);
    hub.store.resume(hold.id, "seen".into(), "tom".into(), at(NOW + 1)).await.unwrap();
    assert!(hub.report(id, 5, false, &[]).await.unwrap().full_state_wanted);
    hub.report(id, 6, true, &products()).await.unwrap();
    assert!(!hub.report(id, 7, false, &[]).await.unwrap().full_state_wanted);
}

/// Both are in one batch: the second job sees what the first one left.
#[tokio::test]
async fn jobs_of_one_batch_see_it() {
    let (hub, id) = told().await;
    let asks = [asking("acme/kafka")];
    let release = super::super::tests::block(&hub).await;
    let (first, second, third, ()) = tokio::join!(
        hub.report(id, 2, false, &[]),
        hub.report(id, 2, false, &[]),
        hub.report(id, 3, true, &asks),
        async { release.send(()).unwrap() }
    );
    assert_eq!(first.unwrap(), second.unwrap());
    assert_eq!(third.unwrap().directives[0].action, Action::Proceed);
    assert_eq!((record(&hub).seq, record(&hub).products.len()), (3, 1));
}
