//! Signing in: tokens and their end, whom credentials are shown to, what a refusal says.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use offline_mirror::registry::RegistryError;

use crate::scene::{BASIC, access, bytes, open, pull, serve, with_user};
use crate::server::{Asked, Reply, Server};

/// A token service that counts what it sold: `token-1`, `token-2`, …
async fn realm(life_s: u32) -> (Server, Arc<AtomicU32>) {
    let sold = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&sold);
    let server = Server::start(move |_| {
        let number = count.fetch_add(1, Ordering::Relaxed) + 1;
        Reply::new(200, format!(r#"{{"token":"token-{number}","expires_in":{life_s}}}"#))
    });
    (server.await, sold)
}

fn challenge(realm: &Server) -> Reply {
    let text = format!(r#"Bearer realm="http://{}/token",service="registry""#, realm.host);
    Reply::new(401, "").with("www-authenticate", &text)
}

/// A registry that takes the token it is told to take.
async fn guarded(realm: &Server, good: &Arc<Mutex<String>>, blob: &[u8]) -> Server {
    let (refusal, good, blob) = (challenge(realm), Arc::clone(good), blob.to_vec());
    Server::start(move |asked| {
        let bearer = format!("Bearer {}", good.lock().unwrap());
        if asked.header("authorization") == Some(&bearer) {
            serve(asked, &blob)
        } else {
            refusal.clone()
        }
    })
    .await
}

#[tokio::test(start_paused = true)]
async fn a_token_is_bought_once_with_the_users_name_and_used_until_it_ends() {
    let (blob, dir) = (bytes(100), tempfile::tempdir().unwrap());
    let (realm, sold) = realm(300).await;
    let good = Arc::new(Mutex::new("token-1".to_owned()));
    let server = guarded(&realm, &good, &blob).await;
    let registry = open(with_user(&server, &dir));
    for _ in 0..3 {
        assert_eq!(pull(&registry, &blob).await.unwrap(), blob);
    }
    assert_eq!(sold.load(Ordering::Relaxed), 1);
    let asked = &realm.log()[0];
    assert_eq!(asked.header("authorization"), Some(BASIC));
    assert_eq!(asked.path, "/token?service=registry&scope=repository%3Aacme%2Fkafka%3Apull");
    assert_eq!(server.log().len(), 4, "refused once, then never again");

    tokio::time::advance(std::time::Duration::from_mins(5)).await;
    "token-2".clone_into(&mut good.lock().unwrap());
    pull(&registry, &blob).await.unwrap();
    assert_eq!(server.log().len(), 5, "an old token is not even tried");
}

#[tokio::test(start_paused = true)]
async fn a_token_that_ends_in_mid_run_is_replaced_once_for_all_who_wait() {
    let (blob, dir) = (bytes(100), tempfile::tempdir().unwrap());
    let (realm, sold) = realm(300).await;
    let good = Arc::new(Mutex::new("token-1".to_owned()));
    let server = guarded(&realm, &good, &blob).await;
    let registry = open(with_user(&server, &dir));
    pull(&registry, &blob).await.unwrap();
    "token-2".clone_into(&mut good.lock().unwrap());
    let pulls = (0..4).map(|_| pull(&registry, &blob));
    for pulled in futures_util::future::join_all(pulls).await {
        assert_eq!(pulled.unwrap(), blob);
    }
    assert_eq!(sold.load(Ordering::Relaxed), 2);
}

#[tokio::test(start_paused = true)]
async fn a_registry_that_refuses_every_token_is_not_asked_for_ever() {
    let dir = tempfile::tempdir().unwrap();
    let (realm, sold) = realm(300).await;
    let server = guarded(&realm, &Arc::default(), b"").await;
    let error = pull(&open(with_user(&server, &dir)), b"x").await.unwrap_err();
    assert!(matches!(&error, RegistryError::Unauthorised { tried, .. }
        if tried == "configured user robot"));
    assert!(!format!("{error:?}").contains("hunter2"));
    assert_eq!((server.log().len(), sold.load(Ordering::Relaxed)), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn nobody_elses_token_service_gets_our_credentials() {
    let dir = tempfile::tempdir().unwrap();
    let (realm, _) = realm(300).await;
    // The same machine by another name: not the registry's host.
    let place = format!("http://localhost:{}/token", realm.host.rsplit(':').next().unwrap());
    let text = format!("Bearer realm=\"{place}\"");
    let server = Server::start(move |_| Reply::new(401, "").with("www-authenticate", &text)).await;
    let error = pull(&open(with_user(&server, &dir)), b"x").await.unwrap_err();
    assert!(
        matches!(&error, RegistryError::Realm { realm, .. }
        if realm.starts_with("http://localhost:")),
        "{error}"
    );
    assert!(error.hint().unwrap().contains("localhost"));
    assert!(realm.log().is_empty());
}

#[tokio::test(start_paused = true)]
async fn without_credentials_a_token_is_bought_anonymously() {
    let blob = bytes(10);
    let (realm, _) = realm(300).await;
    let good = Arc::new(Mutex::new("token-1".to_owned()));
    let server = guarded(&realm, &good, &blob).await;
    pull(&open(access(&server)), &blob).await.unwrap();
    assert_eq!(realm.log()[0].header("authorization"), None);
}

#[tokio::test(start_paused = true)]
async fn an_identity_token_buys_tokens_in_a_form_and_never_in_an_address() {
    let (blob, dir) = (bytes(10), tempfile::tempdir().unwrap());
    let (realm, _) = realm(300).await;
    let good = Arc::new(Mutex::new("token-1".to_owned()));
    let server = guarded(&realm, &good, &blob).await;
    let file = dir.path().join("auth.json");
    let text = serde_json::json!({"auths": {&server.host: {"identitytoken": "s3cret"}}});
    std::fs::write(&file, text.to_string()).unwrap();
    let mut access = access(&server);
    (access.anonymous, access.auth_file) = (false, Some(file));
    pull(&open(access), &blob).await.unwrap();
    let asked = &realm.log()[0];
    assert!(asked.is("POST", "/token"));
    let form = String::from_utf8(asked.body.clone()).unwrap();
    assert_eq!(
        form,
        "grant_type=refresh_token&client_id=fairway-mirror\
         &scope=repository%3Aacme%2Fkafka%3Apull&refresh_token=s3cret&service=registry"
    );
}

#[tokio::test(start_paused = true)]
async fn a_token_service_that_restarts_is_waited_for_and_a_broken_one_named() {
    let blob = bytes(10);
    let mut count = 0;
    let restarting = Server::start(move |_| {
        count += 1;
        if count < 3 { Reply::new(503, "") } else { Reply::new(200, r#"{"access_token":"t"}"#) }
    });
    let restarting = restarting.await;
    let good = Arc::new(Mutex::new("t".to_owned()));
    let server = guarded(&restarting, &good, &blob).await;
    pull(&open(access(&server)), &blob).await.unwrap();

    let answers = ["{}", "<html>", r#"{"token":""}"#, r#"{"token":"a\nb"}"#];
    for answer in answers.map(str::to_owned) {
        let broken = Server::start(move |_| Reply::new(200, answer.clone())).await;
        let server = guarded(&broken, &good, &blob).await;
        let error = pull(&open(access(&server)), &blob).await.unwrap_err();
        assert!(matches!(error, RegistryError::Protocol { .. }), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn user_and_password_are_shown_when_asked_for_and_not_before() {
    let (blob, dir) = (bytes(10), tempfile::tempdir().unwrap());
    let served = blob.clone();
    let handler = move |asked: &Asked| match asked.header("authorization") {
        Some(BASIC) => serve(asked, &served),
        _ => Reply::new(401, "").with("www-authenticate", "Basic realm=\"x\""),
    };
    let server = Server::start(handler).await;
    let registry = open(with_user(&server, &dir));
    pull(&registry, &blob).await.unwrap();
    pull(&registry, &blob).await.unwrap();
    let shown: Vec<_> =
        server.log().iter().map(|asked| asked.headers.contains_key("authorization")).collect();
    assert_eq!(shown, [false, true, true]);
    let error = pull(&open(access(&server)), &blob).await.unwrap_err();
    assert!(matches!(&error, RegistryError::Unauthorised { tried, .. }
        if tried == "no credentials"));
}
