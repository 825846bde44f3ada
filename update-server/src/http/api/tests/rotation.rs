//! New online keys over the API: who may ask, what the audit log tells, and the recovery of an
//! agent whose versions a thief of the timestamp key ran up to the limit.

use super::*;
use crate::publish::fixture::{hours, publication, root};
use channels::wire::{AuditRow, HubKeys, Page};
use futures_util::FutureExt as _;
use signing::repository::MetaPin;
use signing::{
    Attack, Client, MemSource, MemStore, PublicKey, StagedRepository, TopRole, build_timestamp,
};

const NEXT: &str = "/api/v1/hub/keys/timestamp/next";

impl Hub {
    async fn next_timestamp(&self) -> PublicKey {
        let answer = self.ask(Access::Admin, "POST", NEXT, None).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        PublicKey::from_spki_pem(&answer.json::<HubKeys>().timestamp_next.unwrap()).unwrap()
    }

    /// Everything below `/tuf`, as a client could fetch it.
    async fn repository(&self) -> StagedRepository {
        let mut staged = StagedRepository::new();
        let tuf = self.dir.path().join("tuf");
        for below in ["metadata", "targets/acme/kafka"] {
            for entry in std::fs::read_dir(tuf.join(below)).unwrap() {
                let path = format!("{below}/{}", entry.unwrap().file_name().to_str().unwrap());
                let answer = self.ask_with(None, "GET", &format!("/tuf/{path}"), None).await;
                assert_eq!(answer.status, 200, "{path}");
                staged.put_file(&path, answer.body.to_vec()).unwrap();
            }
        }
        staged
    }

    async fn publish_root_2(&self, timestamp: &PublicKey) -> Answer {
        let root_1 = std::fs::read(self.dir.path().join("tuf/metadata/1.root.json")).unwrap();
        let keys: HubKeys = self.get("/api/v1/hub/keys").await;
        let snapshot = PublicKey::from_spki_pem(&keys.snapshot).unwrap();
        let bytes = root(2, hours(24 * 365), &[&snapshot], &[timestamp], Some(&root_1));
        let files = [("metadata/2.root.json".to_owned(), bytes)].into();
        let body = serde_json::to_value(publication(files)).unwrap();
        self.ask(Access::Publisher, "POST", "/api/v1/publications", Some(body)).await
    }

    async fn actions(&self) -> Vec<AuditRow> {
        let mut rows = self.get::<Page<AuditRow>>("/api/v1/audit").await.items;
        rows.reverse();
        rows.retain(|row| !row.action.contains("token"));
        rows
    }
}

#[actix_web::test]
async fn a_next_key_is_made_once_shown_to_all_and_put_on_record() {
    let hub = Hub::published().await;
    let next = hub.next_timestamp().await;
    assert_eq!(hub.next_timestamp().await, next);
    let answer = hub.ask_with(None, "GET", "/api/v1/hub/keys", None).await;
    let keys: HubKeys = answer.json();
    assert_eq!(keys.timestamp_next, Some(next.to_spki_pem()));
    assert_eq!(keys.snapshot_next, None);
    let rows = hub.actions().await;
    let actions: Vec<_> = rows.iter().map(|row| row.action.as_str()).collect();
    assert_eq!(actions, ["next_key_requested", "next_key"], "asking again changes nothing");
    assert_eq!((rows[1].actor.as_str(), rows[1].object.as_str()), {
        ("the-admin", "hub-key/timestamp")
    });
    assert!(rows[1].detail.contains(next.key_id().as_str()), "{}", rows[1].detail);
}

#[actix_web::test]
async fn a_fresh_key_is_another_one_and_the_audit_log_says_what_it_replaced() {
    let hub = Hub::published().await;
    let waiting = hub.next_timestamp().await;
    for (body, expected) in [(json!({ "fresh": "yes" }), 400), (json!("fresh"), 400)] {
        let answer = hub.ask(Access::Admin, "POST", NEXT, Some(body)).await;
        assert_eq!(answer.problem(), (expected, "invalid_json".to_owned()));
    }
    assert_eq!(hub.next_timestamp().await, waiting, "what cannot be read changes nothing");
    let same = hub.ask(Access::Admin, "POST", NEXT, Some(json!({ "fresh": false }))).await;
    assert_eq!(same.json::<HubKeys>().timestamp_next, Some(waiting.to_spki_pem()));
    let fresh = hub.ask(Access::Admin, "POST", NEXT, Some(json!({ "fresh": true }))).await;
    assert_eq!(fresh.status, 200, "{}", fresh.text());
    let fresh = fresh.json::<HubKeys>().timestamp_next.unwrap();
    assert_ne!(fresh, waiting.to_spki_pem());
    let asked = hub.actions().await.into_iter().rfind(|row| row.action == "next_key_requested");
    let detail = asked.unwrap().detail;
    assert!(detail.contains(waiting.key_id().as_str()), "{detail}");
    let refused = hub.publish_root_2(&waiting).await;
    assert_eq!(refused.problem(), (422, "online_keys_mismatch".to_owned()));
    let fresh = PublicKey::from_spki_pem(&fresh).unwrap();
    assert_eq!(hub.publish_root_2(&fresh).await.status, 200);
}

#[actix_web::test]
async fn only_the_two_online_roles_have_a_next_key_and_only_after_a_root() {
    let hub = Hub::new().await;
    let early = hub.ask(Access::Admin, "POST", NEXT, None).await;
    assert_eq!(early.problem(), (409, "conflict".to_owned()));
    for role in ["root", "targets", "acme", "..%2f"] {
        let path = format!("/api/v1/hub/keys/{role}/next");
        let answer = hub.ask(Access::Admin, "POST", &path, None).await;
        assert_eq!(answer.problem(), (404, "not_found".to_owned()), "{role}");
    }
}

#[actix_web::test]
async fn a_publication_that_names_the_next_key_tells_the_audit_log_who_signs_since() {
    let hub = Hub::published().await;
    let next = hub.next_timestamp().await;
    let stranger = SecretKey::from_seed([77; 32]);
    let refused = hub.publish_root_2(stranger.public()).await;
    assert_eq!(refused.problem(), (422, "online_keys_mismatch".to_owned()));
    let taken = hub.publish_root_2(&next).await;
    assert_eq!(taken.status, 200, "{}", taken.text());
    let row = hub.actions().await.pop().unwrap();
    assert_eq!(row.action, "publish");
    assert!(row.detail.contains(next.key_id().as_str()), "{}", row.detail);
}

#[actix_web::test]
async fn after_a_fast_forward_a_rotation_through_the_hub_brings_the_agents_back() {
    let hub = Hub::published().await;
    let root_1 = std::fs::read(hub.dir.path().join("tuf/metadata/1.root.json")).unwrap();
    let store = MemStore::new();
    let refresh = |source: MemSource, now: Timestamp| {
        let mut client = Client::open(&root_1, source, store.clone()).unwrap();
        let result = client.refresh(now).now_or_never().unwrap();
        result.map(|refreshed| refreshed.timestamp_version).map_err(|error| error.attack())
    };
    // A mirror in the hands of whoever stole the hub's timestamp key.
    let mut mirror = hub.repository().await;
    let (_, snapshot) = mirror.newest(&TopRole::Snapshot.into()).unwrap();
    let pin = MetaPin::of_snapshot(snapshot).unwrap();
    let thief = SecretKey::from_seed([2; 32]);
    let stolen = build_timestamp(u64::MAX - 1, hours(20), t0(), pin, &[&thief]).unwrap();
    let files = mirror.files().map(|(name, bytes)| (name.relative_path(), bytes.to_vec()));
    let mut files: std::collections::BTreeMap<_, _> = files.collect();
    files.insert("metadata/timestamp.json".to_owned(), stolen);
    mirror = StagedRepository::new();
    for (path, bytes) in files {
        mirror.put_file(&path, bytes).unwrap();
    }
    assert_eq!(refresh(mirror.as_source(), t0()), Ok(u64::MAX - 1));
    let honest = refresh(hub.repository().await.as_source(), t0());
    assert_eq!(honest, Err(Some(Attack::Rollback)), "the hub's own version counts as older");

    let next = hub.next_timestamp().await;
    assert_eq!(hub.publish_root_2(&next).await.status, 200);
    let recovered = refresh(hub.repository().await.as_source(), hub.now()).unwrap();
    assert!(recovered < u64::MAX - 1);
    // And the hub goes on: what it signs next is newer than what was just accepted.
    hub.advance(12 * 3600);
    assert!(hub.state.publisher.resign_if_due(hub.now()).unwrap());
    assert!(refresh(hub.repository().await.as_source(), hub.now()).unwrap() > recovered);
}
