//! Enrolling again: the new key is tried until it is taken, and only then in force.

use std::net::SocketAddr;
use std::path::Path;

use signing::KeyId;

use super::lab::Lab;
use crate::agent::enrolment::open_client;
use crate::agent::{AgentError, EnrolKey, Rotated, enroll, rotate_key};
use crate::clock;
use crate::config::{Overrides, Settings};
use crate::hub::{KeyPlace, begin_rotation, forget_key, open_key};
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
