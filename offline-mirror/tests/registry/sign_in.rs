//! Signing in: tokens and their end, whom credentials are shown to, what a refusal says.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use offline_mirror::registry::RegistryError;
use tokio::time::Instant;

use crate::scene::{BASIC, access, bytes, open, pull, serve, with_user};
use crate::server::{Asked, Reply, Server, Step};

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

#[tokio::test(start_paused = true)]
async fn a_password_that_was_changed_in_mid_run_is_looked_up_again() {
    let (blob, dir) = (bytes(10), tempfile::tempdir().unwrap());
    let good = Arc::new(Mutex::new(BASIC.to_owned()));
    let (served, wanted) = (blob.clone(), Arc::clone(&good));
    let server = Server::start(move |asked: &Asked| match asked.header("authorization") {
        Some(shown) if *shown == **wanted.lock().unwrap() => serve(asked, &served),
        _ => Reply::new(401, "").with("www-authenticate", "Basic realm=\"x\""),
    });
    let server = server.await;
    let registry = open(with_user(&server, &dir));
    pull(&registry, &blob).await.unwrap();
    // robot:changed
    "Basic cm9ib3Q6Y2hhbmdlZA==".clone_into(&mut good.lock().unwrap());
    std::fs::write(dir.path().join("password"), "changed\n").unwrap();
    pull(&registry, &blob).await.unwrap();
    "Basic bm9ib2R5".clone_into(&mut good.lock().unwrap());
    let before = server.log().len();
    let error = pull(&registry, &blob).await.unwrap_err();
    assert!(matches!(error, RegistryError::Unauthorised { .. }), "{error}");
    assert_eq!(server.log().len(), before + 1, "the same password is not shown twice");
}

#[tokio::test(start_paused = true)]
async fn a_token_service_is_shown_the_password_of_now() {
    let (blob, dir) = (bytes(10), tempfile::tempdir().unwrap());
    let good = Arc::new(Mutex::new((BASIC, 0)));
    let wanted = Arc::clone(&good);
    let realm = Server::start(move |asked: &Asked| {
        let (basic, sold) = &mut *wanted.lock().unwrap();
        if asked.header("authorization") != Some(*basic) {
            return Reply::new(401, "");
        }
        *sold += 1;
        Reply::new(200, format!(r#"{{"token":"token-{sold}","expires_in":60}}"#))
    });
    let realm = realm.await;
    let token = Arc::new(Mutex::new("token-1".to_owned()));
    let server = guarded(&realm, &token, &blob).await;
    let registry = open(with_user(&server, &dir));
    pull(&registry, &blob).await.unwrap();
    good.lock().unwrap().0 = "Basic cm9ib3Q6Y2hhbmdlZA==";
    std::fs::write(dir.path().join("password"), "changed\n").unwrap();
    "token-2".clone_into(&mut token.lock().unwrap());
    pull(&registry, &blob).await.unwrap();
    good.lock().unwrap().0 = "Basic bm9ib2R5";
    "token-3".clone_into(&mut token.lock().unwrap());
    let (error, asked) = (pull(&registry, &blob).await.unwrap_err(), realm.log().len());
    assert!(matches!(error, RegistryError::Unauthorised { .. }), "{error}");
    assert_eq!(asked, 4, "the same password is not shown twice");
}

#[tokio::test(start_paused = true)]
async fn a_token_is_chosen_when_it_is_a_requests_turn() {
    const LIFE: Duration = Duration::from_secs(30);
    let (blob, dir) = (bytes(1000), tempfile::tempdir().unwrap());
    let sold: Arc<Mutex<Vec<Instant>>> = Arc::default();
    let times = Arc::clone(&sold);
    let realm = Server::start(move |_| {
        let mut times = times.lock().unwrap();
        times.push(Instant::now());
        let number = times.len();
        Reply::new(200, format!(r#"{{"token":"{number}","expires_in":{}}}"#, LIFE.as_secs()))
    });
    let realm = realm.await;
    let (refusal, served) = (challenge(&realm), blob.clone());
    // Every answer takes nearly as long as a token lives.
    let server = Server::start(move |asked: &Asked| {
        let bearer = asked.header("authorization").and_then(|text| text.strip_prefix("Bearer "));
        let number = bearer.and_then(|text| text.parse::<usize>().ok());
        let sold = number.map(|number| sold.lock().unwrap()[number - 1]);
        if sold.is_none_or(|sold| sold.elapsed() >= LIFE) {
            return refusal.clone();
        }
        let (head, tail) = served.split_at(500);
        let wait = Step::Wait(Duration::from_secs(25));
        let steps = vec![Step::Send(head.to_vec()), wait, Step::Send(tail.to_vec())];
        Reply::steps(200, steps).with("content-length", "1000")
    });
    let server = server.await;
    let mut access = with_user(&server, &dir);
    access.requests_at_once = std::num::NonZeroU32::new(1);
    let registry = open(access);
    pull(&registry, &blob).await.unwrap();
    let pulls = (0..4).map(|_| pull(&registry, &blob));
    for pulled in futures_util::future::join_all(pulls).await {
        assert_eq!(pulled.unwrap(), blob);
    }
    assert_eq!(server.log().len(), 6, "refused once, before it had said what it wants");
}
