//! Enrolling again: the new key is tried until it is taken, and only then in force.

use std::net::SocketAddr;
use std::path::Path;

use channels::wire::{ClusterHeader, Report};
use signing::KeyId;
use signing::causes::chain;

use super::lab::Lab;
use crate::agent::enrolment::open_client;
use crate::agent::links::Reporter;
use crate::agent::{AgentError, EnrolKey, Rotated, enroll, rotate_key};
use crate::clock;
use crate::config::{Overrides, Settings};
use crate::hub::{KeyPlace, begin_rotation, forget_key, open_key, put_in_force};
use crate::state::StateDir;

fn lab(dir: &Path) -> (Lab, Settings) {
    let lab = Lab::start(dir, SocketAddr::from(([127, 0, 0, 1], 0)));
    let settings = Settings::load(&lab.config, Overrides::default()).unwrap();
    (lab, settings)
}

fn in_force(settings: &Settings) -> Option<KeyId> {
    let key = open_key(&settings.state_dir, KeyPlace::InForce).unwrap();
    key.map(|key| key.public().key_id())
}

#[actix_web::test]
async fn a_new_key_is_in_force_only_after_the_hub_took_it() {
    let dir = tempfile::tempdir().unwrap();
    let (lab, settings) = lab(dir.path());
    let enrol = |key| enroll(&settings, "token", key, clock::now());
    enrol(EnrolKey::Kept).await.unwrap();
    let first = in_force(&settings).unwrap();
    enrol(EnrolKey::Kept).await.unwrap();
    assert_eq!(in_force(&settings), Some(first.clone()), "the key that is there");
    begin_rotation(&settings.state_dir).unwrap();

    lab.hub.lock().unwrap().refuse = Some((503, "queue_full"));
    enrol(EnrolKey::New).await.unwrap_err();
    assert_eq!(in_force(&settings), Some(first.clone()), "nobody knows whether it was taken");
    let tried = open_key(&settings.state_dir, KeyPlace::Enrolling).unwrap().unwrap();
    lab.hub.lock().unwrap().refuse = None;
    enrol(EnrolKey::New).await.unwrap();
    let new = in_force(&settings).unwrap();
    assert_eq!(new, tried.public().key_id(), "the same key again, the token is used up");
    assert_ne!(new, first);
    for place in [KeyPlace::Next, KeyPlace::Enrolling] {
        assert!(open_key(&settings.state_dir, place).unwrap().is_none(), "{place:?} is over");
    }
    lab.stop().await;
}

#[actix_web::test]
async fn a_new_key_that_the_hub_took_unheard_is_followed_by_another_one() {
    for slug in ["key_in_use", "key_replaced"] {
        let dir = tempfile::tempdir().unwrap();
        let (lab, settings) = lab(dir.path());
        let enrol = |key| enroll(&settings, "token", key, clock::now());
        enrol(EnrolKey::Kept).await.unwrap();
        let first = in_force(&settings).unwrap();
        lab.hub.lock().unwrap().refuse = Some((503, "queue_full"));
        enrol(EnrolKey::New).await.unwrap_err();
        let tried = open_key(&settings.state_dir, KeyPlace::Enrolling).unwrap().unwrap();
        {
            let mut hub = lab.hub.lock().unwrap();
            hub.refuse = None;
            hub.taken.insert(tried.public().to_spki_pem(), slug);
        }
        enrol(EnrolKey::New).await.unwrap();
        let new = in_force(&settings).unwrap();
        assert!(new != first && new != tried.public().key_id(), "{slug}");
        assert!(open_key(&settings.state_dir, KeyPlace::Enrolling).unwrap().is_none());
        lab.stop().await;
    }
}

#[actix_web::test]
async fn a_kept_key_that_is_in_use_is_not_replaced_by_itself() {
    let dir = tempfile::tempdir().unwrap();
    let (lab, settings) = lab(dir.path());
    enroll(&settings, "token", EnrolKey::Kept, clock::now()).await.unwrap();
    let first = open_key(&settings.state_dir, KeyPlace::InForce).unwrap().unwrap();
    lab.hub.lock().unwrap().taken.insert(first.public().to_spki_pem(), "key_in_use");
    let error = enroll(&settings, "token", EnrolKey::Kept, clock::now()).await.unwrap_err();
    assert!(chain(&error).contains("key_in_use"), "{error}");
    assert_eq!(in_force(&settings), Some(first.public().key_id()));
    lab.stop().await;
}

fn reporter(settings: &Settings) -> Reporter {
    let (cluster, client) = open_client(settings).unwrap();
    Reporter { client, state_dir: settings.state_dir.clone(), cluster, given_up: None }
}

fn report(seq: u64) -> Report {
    let cluster = ClusterHeader {
        id: super::world::cluster(),
        seq,
        sent_at: clock::now(),
        agent_version: "0.1.0".to_owned(),
        instance: None,
        heard_seq: None,
    };
    Report { cluster, full: false, products: vec![] }
}

#[actix_web::test]
async fn a_rotation_is_given_up_only_on_the_hubs_own_word() {
    let dir = tempfile::tempdir().unwrap();
    let (lab, settings) = lab(dir.path());
    enroll(&settings, "token", EnrolKey::Kept, clock::now()).await.unwrap();
    let next = begin_rotation(&settings.state_dir).unwrap();
    let mut reporter = reporter(&settings);
    for (status, slug) in [
        (404, "not_found"),
        (401, "unknown_cluster"),
        (401, "key_replaced"),
        (403, "forbidden"),
        (409, "identity_conflict"),
        (503, "queue_full"),
    ] {
        lab.hub.lock().unwrap().refuse = Some((status, slug));
        reporter.send(&report(1)).await.unwrap_err();
        assert_eq!(reporter.given_up, None, "{slug}");
    }
    {
        let mut hub = lab.hub.lock().unwrap();
        (hub.refuse, hub.last_seq) = (Some((422, "seq_out_of_reach")), Some(1));
    }
    reporter.send(&report(1)).await.unwrap_err();
    assert_eq!(reporter.given_up, None, "the next number will do");
    for (status, slug) in [(409, "key_in_use"), (409, "conflict"), (422, "unprocessable")] {
        reporter.given_up = None;
        {
            let mut hub = lab.hub.lock().unwrap();
            (hub.refuse, hub.last_seq) = (Some((status, slug)), None);
        }
        reporter.send(&report(1)).await.unwrap_err();
        assert_eq!(reporter.given_up, Some(next.clone()), "{slug}");
    }
    lab.hub.lock().unwrap().refuse = None;
    reporter.given_up = None;
    reporter.send(&report(2)).await.unwrap();
    assert_eq!(in_force(&settings), Some(next));
    lab.stop().await;
}

#[actix_web::test]
async fn a_key_that_came_into_force_on_disk_alone_is_taken_up_after_a_refusal() {
    let dir = tempfile::tempdir().unwrap();
    let (lab, settings) = lab(dir.path());
    enroll(&settings, "token", EnrolKey::Kept, clock::now()).await.unwrap();
    let old = in_force(&settings).unwrap();
    let mut reporter = reporter(&settings);
    begin_rotation(&settings.state_dir).unwrap();
    put_in_force(&settings.state_dir, KeyPlace::Next).unwrap();
    lab.hub.lock().unwrap().replaced.push(old.to_string());
    reporter.send(&report(1)).await.unwrap();
    assert_eq!(Some(reporter.client.key_id()), in_force(&settings));

    // And with a further rotation under way: that one is asked for with the key on the disk.
    let before = in_force(&settings).unwrap();
    begin_rotation(&settings.state_dir).unwrap();
    put_in_force(&settings.state_dir, KeyPlace::Next).unwrap();
    let next = begin_rotation(&settings.state_dir).unwrap();
    lab.hub.lock().unwrap().replaced.push(before.to_string());
    reporter.send(&report(2)).await.unwrap();
    assert_eq!(in_force(&settings), Some(next.clone()));
    assert_eq!(reporter.client.key_id(), next);

    // A machine whose disk has nothing else is refused, and stays so.
    lab.hub.lock().unwrap().replaced.push(next.to_string());
    let refused = reporter.send(&report(3)).await.unwrap_err();
    assert_eq!(refused.key_refused(), Some("key_replaced"));
    lab.stop().await;
}

#[actix_web::test]
async fn a_key_that_is_gone_is_not_replaced_by_one_the_hub_does_not_know() {
    let dir = tempfile::tempdir().unwrap();
    let (lab, settings) = lab(dir.path());
    enroll(&settings, "token", EnrolKey::Kept, clock::now()).await.unwrap();
    forget_key(&settings.state_dir, KeyPlace::InForce).unwrap();
    for error in [
        open_client(&settings).map(drop).unwrap_err(),
        rotate_key(&settings, clock::now()).await.map(drop).unwrap_err(),
    ] {
        assert!(matches!(error, AgentError::NoKey { .. }), "{error}");
        assert!(error.to_string().contains("reinvite"), "{error}");
    }
    assert_eq!(in_force(&settings), None);
    lab.stop().await;
}

#[actix_web::test]
async fn a_rotation_beside_a_running_agent_is_left_to_it() {
    let dir = tempfile::tempdir().unwrap();
    let (lab, settings) = lab(dir.path());
    enroll(&settings, "token", EnrolKey::Kept, clock::now()).await.unwrap();
    let running = StateDir::open(&settings.state_dir).unwrap();
    let left = rotate_key(&settings, clock::now()).await.unwrap();
    let Rotated::LeftToTheAgent(next) = left else { panic!("{left:?}") };
    drop(running);
    assert_eq!(rotate_key(&settings, clock::now()).await.unwrap(), Rotated::Done(next.clone()));
    assert_eq!(in_force(&settings), Some(next));
    lab.stop().await;
}
