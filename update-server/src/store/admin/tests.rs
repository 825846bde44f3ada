//! Labels and settings on disk and in memory, and parts of a change to many.

use std::collections::BTreeMap;

use channels::rollout::Labels;
use channels::wire::{Patch, ProductSettings, SettingsPatch};
use jiff::Timestamp;

use super::*;
use crate::store::tests::Hub;

fn now() -> Timestamp {
    Timestamp::from_second(1_790_000_000).unwrap()
}

fn ring(value: &str) -> LabelPatch {
    BTreeMap::from([("ring".to_owned(), Some(value.to_owned()))])
}

fn pin(version: &str) -> SettingsPatch {
    SettingsPatch { pin: Patch::Set(version.parse().unwrap()), ..SettingsPatch::default() }
}

fn kafka() -> ProductRef {
    "acme/kafka".parse().unwrap()
}

/// Labels and settings as readers see them.
fn seen(hub: &Hub, id: ClusterId) -> (Labels, Vec<ProductSettings>) {
    let fleet = hub.store.committed().fleet();
    let record = fleet.record(fleet.slot(id).unwrap()).unwrap();
    (record.labels.as_ref().clone(), record.settings.to_vec())
}

async fn both(hub: &Hub, id: ClusterId) {
    let by = "ann".to_owned();
    let labels = SetLabels { id, patch: ring("canary"), by: by.clone(), now: now() };
    hub.store.set_labels(labels).await.unwrap();
    let set = SetSettings { id, product: kafka(), patch: pin("1.0.0"), by, now: now() };
    hub.store.set_settings(set).await.unwrap();
}

#[tokio::test]
async fn labels_and_settings_survive_a_restart_of_the_hub() {
    let hub = Hub::new();
    hub.invite(2).await;
    let (one, other) = (hub.enrol(1).await.unwrap(), hub.enrol(2).await.unwrap());
    both(&hub, one).await;
    let before = seen(&hub, one);
    assert_eq!(before.0, Labels::from([("ring".into(), "canary".into())]));
    assert_eq!(before.1[0].pin, Some("1.0.0".parse().unwrap()));
    let hub = hub.restart();
    assert_eq!(seen(&hub, one), before);
    assert_eq!(seen(&hub, other), (Labels::new(), vec![]));
}

#[tokio::test]
async fn a_revoked_key_stays_revoked_over_a_restart_of_the_hub() {
    let hub = Hub::new();
    hub.invite(1).await;
    let id = hub.enrol(1).await.unwrap();
    let (reason, by) = ("stolen".to_owned(), "ann".to_owned());
    hub.store.revoke(Revoke { id, reason, by, now: now() }).await.unwrap();
    let hub = hub.restart();
    let fleet = hub.store.committed().fleet();
    let record = fleet.record(fleet.slot(id).unwrap()).unwrap();
    let revoked = record.revoked.unwrap();
    assert_eq!((revoked.at, revoked.by.as_str()), (now(), "ann"));
}

#[tokio::test]
async fn a_part_of_a_change_to_many_leaves_out_clusters_that_went_and_does_the_rest() {
    let hub = Hub::new();
    hub.invite(3).await;
    let mut ids = Vec::new();
    for n in 1..=3 {
        ids.push(hub.enrol(n).await.unwrap());
    }
    hub.store.retire(ids[1], "ann".to_owned(), now()).await.unwrap();
    let by = "ann".to_owned();
    let work = BulkWork::Label { ids: ids.clone(), patch: ring("prod"), by, now: now() };
    let done = hub.store.bulk(work).await.unwrap();
    assert_eq!((done.done, done.refused.len()), (2, 1));
    assert_eq!(done.refused[0].0, ids[1]);
    assert_eq!(seen(&hub, ids[2]).0["ring"], "prod");
}

#[tokio::test]
async fn a_part_that_the_database_refuses_changes_nothing() {
    let hub = Hub::new();
    hub.invite(1).await;
    let id = hub.enrol(1).await.unwrap();
    let set = SetLabels { id, patch: ring("prod"), by: "ann".to_owned(), now: now() };
    let failed: Result<(), Refusal> = hub
        .store
        .submit(move |batch| {
            batch.set_labels(&set)?;
            Ok(batch.break_database()?)
        })
        .await;
    assert_eq!(failed, Err(Refusal::Failed));
    assert!(seen(&hub, id).0.is_empty(), "memory is as it was");
    assert!(seen(&hub.restart(), id).0.is_empty(), "and so is the disk");
}
