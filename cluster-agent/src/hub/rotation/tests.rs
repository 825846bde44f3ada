//! A rotation is killed at every point, and a hub that answers as ours does heals it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use channels::wire::{KeyRotationReply, KeyRotationRequest, Problem};
use signing::message::{self, RequestParts, SignedHeaders};
use signing::{PublicKey, SecretKey};

use super::super::identity::forget_key;
use super::*;

fn now() -> Timestamp {
    "2026-11-20T12:00:00Z".parse().unwrap()
}

fn cluster() -> ClusterId {
    ClusterId(uuid::Uuid::from_u128(7))
}

/// The hub's memory of one cluster's key.
#[derive(Debug)]
struct Keys {
    in_force: PublicKey,
    former: Option<PublicKey>,
    /// Commits, and dies before it answers.
    mute: bool,
    /// Answers as if another key had been taken.
    lies: bool,
    replaced: u32,
}

type Shared = Arc<Mutex<Keys>>;

fn problem(status: u16, slug: &str) -> HttpResponse {
    let problem = Problem {
        kind: format!("/problems/{slug}"),
        title: String::new(),
        status,
        detail: String::new(),
        attack: None,
        last_seq: None,
    };
    let status = actix_web::http::StatusCode::from_u16(status).unwrap();
    HttpResponse::build(status).json(problem)
}

async fn rotate(request: HttpRequest, body: web::Bytes, keys: web::Data<Shared>) -> HttpResponse {
    let header = |name: &str| request.headers().get(name).unwrap().to_str().unwrap().to_owned();
    let content_type = header("content-type");
    let parts = RequestParts {
        method: "POST",
        path: request.uri().path(),
        query: "",
        content_type: Some(&content_type),
        body: &body,
    };
    let signed = SignedHeaders {
        content_digest: Some(header("content-digest")),
        signature_input: header("signature-input"),
        signature: header("signature"),
    };
    let mut keys = keys.lock().unwrap();
    let minute = Duration::from_mins(1);
    let by = |key: &PublicKey| message::verify(&parts, &signed, key, now(), minute).is_ok();
    let wanted: KeyRotationRequest = serde_json::from_slice(&body).unwrap();
    let new = PublicKey::from_spki_pem(&wanted.public_key).unwrap();
    let id = |key: &PublicKey| key.key_id().to_string();
    let again = keys.former.as_ref().is_some_and(by) && keys.in_force == new;
    if !again {
        if !by(&keys.in_force) {
            return problem(401, "key_replaced");
        }
        let statement =
            KeyRotationRequest::statement(cluster(), &id(&keys.in_force), &id(&new), wanted.seq);
        new.verify(&statement, &hex::decode(&wanted.proof).unwrap()).unwrap();
        keys.former = Some(std::mem::replace(&mut keys.in_force, new.clone()));
        keys.replaced += 1;
    }
    if keys.mute {
        return HttpResponse::ServiceUnavailable().finish();
    }
    let key_id = if keys.lies { "00".repeat(32) } else { id(&new) };
    HttpResponse::Ok().json(KeyRotationReply { cluster_id: cluster(), key_id })
}

/// A hub that knows the key in force of `dir`.
fn hub(dir: &Path) -> (Shared, String) {
    let key = open_or_create_key(dir, KeyPlace::InForce).unwrap();
    let keys = Arc::new(Mutex::new(Keys {
        in_force: key.public().clone(),
        former: None,
        mute: false,
        lies: false,
        replaced: 0,
    }));
    let shared = web::Data::new(Arc::clone(&keys));
    let server = HttpServer::new(move || {
        App::new()
            .app_data(shared.clone())
            .route("/api/v1/clusters/self/key", web::post().to(rotate))
    })
    .workers(1)
    .disable_signals()
    .bind("127.0.0.1:0")
    .unwrap();
    let url = format!("http://{}", server.addrs()[0]);
    tokio::spawn(server.run());
    (keys, url)
}

fn in_force(dir: &Path) -> SecretKey {
    open_key(dir, KeyPlace::InForce).unwrap().unwrap()
}

/// What an agent does after a start: its key from the disk, then whatever is under way.
async fn start(dir: &Path, url: &str) -> Result<Option<KeyId>, HubError> {
    let mut client = HubClient::new(url, in_force(dir)).unwrap();
    finish_rotation(dir, &mut client, cluster(), 43, now()).await
}

/// Disk and hub agree, and nothing is under way.
fn agreed(dir: &Path, keys: &Shared, expected: &KeyId) {
    let keys = keys.lock().unwrap();
    assert_eq!(&in_force(dir).public().key_id(), expected);
    assert_eq!(&keys.in_force.key_id(), expected);
    assert!(open_key(dir, KeyPlace::Next).unwrap().is_none());
    assert_eq!(keys.replaced, 1);
}

#[tokio::test]
async fn without_a_next_key_nobody_is_asked() {
    let dir = tempfile::tempdir().unwrap();
    let (keys, url) = hub(dir.path());
    assert_eq!(start(dir.path(), &url).await.unwrap(), None);
    assert_eq!(keys.lock().unwrap().replaced, 0);
}

#[tokio::test]
async fn killed_before_the_request_it_is_made_at_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let (keys, url) = hub(dir.path());
    let next = begin_rotation(dir.path()).unwrap();
    assert_eq!(begin_rotation(dir.path()).unwrap(), next, "the one that is under way");
    assert_eq!(start(dir.path(), &url).await.unwrap(), Some(next.clone()));
    agreed(dir.path(), &keys, &next);
    assert_eq!(start(dir.path(), &url).await.unwrap(), None, "it is over");
}

#[tokio::test]
async fn killed_after_the_hubs_commit_the_same_request_is_answered_again() {
    let dir = tempfile::tempdir().unwrap();
    let (keys, url) = hub(dir.path());
    let next = begin_rotation(dir.path()).unwrap();
    keys.lock().unwrap().mute = true;
    for _ in 0..3 {
        let lost = start(dir.path(), &url).await.unwrap_err();
        assert!(lost.is_transient(), "{lost}");
        assert_ne!(in_force(dir.path()).public().key_id(), next, "the old one until it is sure");
    }
    keys.lock().unwrap().mute = false;
    assert_eq!(start(dir.path(), &url).await.unwrap(), Some(next.clone()));
    agreed(dir.path(), &keys, &next);
}

#[tokio::test]
async fn after_the_rename_the_client_signs_with_the_new_key() {
    let dir = tempfile::tempdir().unwrap();
    let (keys, url) = hub(dir.path());
    let mut client = HubClient::new(&url, in_force(dir.path())).unwrap();
    for round in 1..=3 {
        let next = begin_rotation(dir.path()).unwrap();
        let done = finish_rotation(dir.path(), &mut client, cluster(), round, now()).await;
        assert_eq!(done.unwrap(), Some(next.clone()));
        assert_eq!(keys.lock().unwrap().in_force.key_id(), next);
    }
}

#[tokio::test]
async fn a_refused_rotation_leaves_the_old_key_in_force_and_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let (keys, url) = hub(dir.path());
    let old = in_force(dir.path()).public().key_id();
    begin_rotation(dir.path()).unwrap();
    keys.lock().unwrap().in_force = SecretKey::from_seed([9; 32]).public().clone();
    let refused = start(dir.path(), &url).await.unwrap_err();
    assert_eq!(refused.key_refused(), Some("key_replaced"), "{refused}");
    assert_eq!(in_force(dir.path()).public().key_id(), old);
    forget_key(dir.path(), KeyPlace::Next).unwrap();
    assert_eq!(start(dir.path(), &url).await.unwrap(), None);
}

#[tokio::test]
async fn an_answer_about_another_key_replaces_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (keys, url) = hub(dir.path());
    let old = in_force(dir.path()).public().key_id();
    begin_rotation(dir.path()).unwrap();
    keys.lock().unwrap().lies = true;
    let refused = start(dir.path(), &url).await.unwrap_err();
    assert!(matches!(refused, HubError::OtherKey { .. }), "{refused}");
    assert_eq!(in_force(dir.path()).public().key_id(), old);
}
