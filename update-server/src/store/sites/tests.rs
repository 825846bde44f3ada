//! Sites outlive a restart; what cannot be read any more stops nobody.

use super::super::db::Db;
use signing::{SecretKey, statement};

use super::super::tests::{Hub, NOW, at};
use super::*;

fn key(seed: u8) -> SecretKey {
    SecretKey::from_seed([seed; 32])
}

fn new_site(name: &str, seed: u8) -> NewSite {
    let said = SiteRegistration {
        public_key: String::new(),
        description: "a rig".to_owned(),
        expected_interval_s: Some(3_600),
    };
    let (name, key) = (name.parse().unwrap(), key(seed).public().clone());
    NewSite { name, key, said, by: "mira".to_owned(), now: at(NOW) }
}

fn new_status(sequence: u64, seed: u8) -> NewStatus {
    let golden = include_str!("../../../../channels/golden/v1/site-status.json");
    let mut status: SiteStatus = serde_json::from_str(golden).unwrap();
    status.sequence = sequence;
    let bytes = statement::sign(SiteStatus::KIND, &status, &[&key(seed)]).unwrap();
    NewStatus {
        status,
        digest: Sha256Digest::of(&bytes),
        bytes,
        verified_with: key(seed).public().clone(),
        by: "mira".to_owned(),
        now: at(NOW),
    }
}

#[tokio::test]
async fn sites_and_what_is_known_of_them_outlive_a_restart() {
    let hub = Hub::new();
    assert!(hub.store.put_site(new_site("north", 1)).await.unwrap());
    assert!(hub.store.put_site(new_site("south", 2)).await.unwrap());
    hub.store.import_status(new_status(7, 1)).await.unwrap();
    let before = format!("{:?}", hub.store.committed().sites());
    let hub = hub.restart();
    assert_eq!(format!("{:?}", hub.store.committed().sites()), before);
    let sites = hub.store.committed().sites();
    let north = sites.get(&"north".parse().unwrap()).unwrap();
    assert_eq!((north.floor, north.carried.is_some()), (7, true));
    let old = hub.store.import_status(new_status(7, 1)).await.unwrap();
    assert!(!old.changed, "the same file again");
    let older = hub.store.import_status(new_status(6, 1)).await.unwrap_err();
    assert!(matches!(older, Refusal::StatusRollback { sequence: 6, newest: 7, .. }), "{older}");
}

#[tokio::test]
async fn a_status_verified_with_a_key_that_was_just_replaced_is_not_taken() {
    let hub = Hub::new();
    hub.store.put_site(new_site("north", 1)).await.unwrap();
    let on_its_way = new_status(7, 1);
    assert!(!hub.store.put_site(new_site("north", 2)).await.unwrap(), "known already");
    let refused = hub.store.import_status(on_its_way).await.unwrap_err();
    assert!(matches!(refused, Refusal::SiteKeyReplaced { .. }), "{refused}");
}

#[tokio::test]
async fn a_stored_status_that_cannot_be_read_is_left_out_and_the_hub_starts() {
    let hub = Hub::new();
    hub.store.put_site(new_site("north", 1)).await.unwrap();
    hub.store.import_status(new_status(7, 1)).await.unwrap();
    hub.place.connection().execute("UPDATE site SET status = ?1", &[&[0_u8]]).unwrap();
    let hub = hub.restart();
    let sites = hub.store.committed().sites();
    let north = sites.get(&"north".parse().unwrap()).unwrap();
    assert!(north.carried.is_none());
    assert_eq!(north.floor, 7, "and still nothing older is taken");
    let again = hub.store.import_status(new_status(7, 1)).await.unwrap();
    assert!(again.changed, "the same file is shown again");
    let imports = imports(&reader(&hub), &"north".parse().unwrap(), usize::MAX).unwrap();
    assert_eq!(imports.len(), 1, "and was taken once");
}

fn reader(hub: &Hub) -> Db {
    hub.place.connection()
}

#[tokio::test]
async fn a_key_that_comes_back_shows_its_newest_status_again_and_no_other_of_its_number() {
    let hub = Hub::new();
    hub.store.put_site(new_site("north", 1)).await.unwrap();
    hub.store.import_status(new_status(7, 1)).await.unwrap();
    hub.store.put_site(new_site("north", 2)).await.unwrap();
    hub.store.put_site(new_site("north", 1)).await.unwrap();
    let mut forked = new_status(7, 1);
    forked.digest = Sha256Digest::of(b"another file");
    let refused = hub.store.import_status(forked).await.unwrap_err();
    assert!(matches!(refused, Refusal::StatusRollback { sequence: 7, newest: 7, .. }), "{refused}");
    assert!(hub.store.import_status(new_status(7, 1)).await.unwrap().changed);
    let before = format!("{:?}", hub.store.committed().sites());
    let hub = hub.restart();
    assert_eq!(format!("{:?}", hub.store.committed().sites()), before);
    hub.store.import_status(new_status(8, 1)).await.unwrap();
}

#[tokio::test]
async fn only_the_newest_imports_are_remembered_and_the_floor_is_among_them() {
    let hub = Hub::new();
    hub.store.put_site(new_site("north", 1)).await.unwrap();
    let db = hub.place.connection();
    let max = i64::try_from(MAX_IMPORTS).unwrap();
    let earlier = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < CAST(?1 AS BIGINT)) \
                   INSERT INTO site_import (site, key_id, sequence, made_at, imported_at, \
                   imported_by, digest, clusters) SELECT 'north', CAST(?2 AS TEXT), i, 0, 0, \
                   'mira', CAST(?3 AS BLOB), 0 FROM n";
    let blob = if hub.place.is_server() { "BYTEA" } else { "BLOB" };
    let earlier = earlier.replace("BLOB", blob);
    db.execute(&earlier, params![max + 2, key(1).public().key_id().as_str(), [0_u8; 32]]).unwrap();
    let hub = hub.restart();
    let newest = u64::try_from(max).unwrap() + 3;
    let older = hub.store.import_status(new_status(newest - 1, 1)).await.unwrap_err();
    assert!(matches!(older, Refusal::StatusRollback { .. }), "{older}");
    hub.store.import_status(new_status(newest, 1)).await.unwrap();
    let found = imports(&db, &"north".parse().unwrap(), usize::MAX).unwrap();
    assert_eq!((found.len(), found[0].sequence), (MAX_IMPORTS, newest));
    assert_eq!(found.last().unwrap().sequence, 4);
}
