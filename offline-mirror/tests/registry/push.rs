//! Pushes through every fault of an upload.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::StreamExt as _;
use offline_mirror::oci::{Algorithm, Descriptor, Hasher, Repository};
use offline_mirror::registry::{Jitter, Pieces, Pushed, Registry, RegistryError, Traffic};

use crate::scene::{
    BASIC, access, bytes, descriptor, open, registry, repository, source, with_user,
};
use crate::server::{Asked, Reply, Server};

const UPLOADS: &str = "/v2/acme/kafka/blobs/uploads/";

/// How a registry takes uploads, and what it holds.
#[derive(Debug, Default)]
struct Store {
    /// The one upload under way.
    part: Vec<u8>,
    blob: Option<Vec<u8>>,
    /// Uploads begun.
    begun: usize,
    faults: Faults,
}

#[derive(Debug, Clone, Default)]
struct Faults {
    /// Requests with a body that are reset after so many bytes, of which it keeps all.
    resets: usize,
    reset_after: usize,
    /// The answer to the PUT that ends an upload is lost, the blob is not.
    loses_answer: bool,
    refuses_patch: bool,
    forgets_uploads: bool,
}

type Shared = Arc<Mutex<Store>>;

/// A registry with one blob at most, and these faults. It reads the log of its own requests, since
/// bodies arrive after they were answered.
async fn store(faults: Faults) -> (Server, Shared) {
    let shared: Shared = Arc::new(Mutex::new(Store { faults, ..Store::default() }));
    let state = Arc::clone(&shared);
    let server = Server::start(move |asked| answer(&mut state.lock().unwrap(), asked)).await;
    (server, shared)
}

fn at(query: &str) -> String {
    format!("{UPLOADS}one{query}")
}

fn length(asked: &Asked) -> usize {
    asked.header("content-length").and_then(|text| text.parse().ok()).unwrap_or(0)
}

fn answer(store: &mut Store, asked: &Asked) -> Reply {
    let begins = |path: &str| asked.path.starts_with(path);
    let upload = format!("{UPLOADS}one");
    match asked.method.as_str() {
        "HEAD" if store.blob.is_some() => Reply::new(200, ""),
        "HEAD" => Reply::new(404, ""),
        "POST" if begins(UPLOADS) => {
            store.begun += 1;
            store.part.clear();
            Reply::new(202, "").with("location", &at("?state=1"))
        }
        "GET" if begins(&upload) && store.faults.forgets_uploads => Reply::new(404, ""),
        "GET" if begins(&upload) => {
            let last = store.part.len().saturating_sub(1);
            Reply::new(204, "")
                .with("range", &format!("0-{last}"))
                .with("location", &at("?state=2"))
        }
        "PATCH" if store.faults.refuses_patch => Reply::new(405, ""),
        "PATCH" | "PUT" if begins(&upload) => receive(store, asked),
        _ => Reply::new(400, ""),
    }
}

/// Bytes are not looked at here, only counted: the log has them.
fn receive(store: &mut Store, asked: &Asked) -> Reply {
    let length = length(asked);
    if length > 0 && store.faults.resets > 0 {
        store.faults.resets -= 1;
        let kept = length.min(store.faults.reset_after);
        store.part.resize(store.part.len() + kept, 0);
        return Reply::reset_after(kept);
    }
    store.part.resize(store.part.len() + length, 0);
    if asked.method == "PATCH" {
        return Reply::new(202, "").with("location", &at("?state=3"));
    }
    store.blob = Some(std::mem::take(&mut store.part));
    if std::mem::take(&mut store.faults.loses_answer) {
        return Reply::reset_after(length);
    }
    Reply::new(201, "")
}

/// The bytes of all bodies that followed the last beginning, in order.
fn uploaded(server: &Server) -> Vec<u8> {
    let log = server.log();
    let begun = log.iter().rposition(|asked| asked.method == "POST").unwrap();
    log[begun..].iter().flat_map(|asked| asked.body.clone()).collect()
}

async fn push(registry: &Registry, blob: &[u8]) -> Result<Pushed, RegistryError> {
    registry.push_blob(&repository(), &descriptor(blob), None, &source(blob)).await
}

#[tokio::test(start_paused = true)]
async fn a_blob_is_sent_in_one_request_and_not_again_when_it_is_there() {
    let (server, _) = store(Faults::default()).await;
    let (registry, blob) = (registry(&server), bytes(300_000));
    assert_eq!(push(&registry, &blob).await.unwrap(), Pushed::Sent);
    assert_eq!(uploaded(&server), blob);
    let log = server.log();
    let put = log.last().unwrap();
    let digest = descriptor(&blob).digest.to_string().replace(':', "%3A");
    assert!(put.is("PUT", &at(&format!("?state=1&digest={digest}"))), "{}", put.path);
    assert_eq!(put.header("content-length"), Some("300000"));
    assert_eq!(log.len(), 3);
    assert_eq!(push(&registry, &blob).await.unwrap(), Pushed::Present);
    assert_eq!(server.log().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn an_upload_that_breaks_goes_on_from_where_the_registry_is() {
    let faults = Faults { resets: 3, reset_after: 2_000_000, ..Faults::default() };
    let (server, _) = store(faults).await;
    let blob = bytes(7_000_000);
    assert_eq!(push(&registry(&server), &blob).await.unwrap(), Pushed::Sent);
    assert_eq!(uploaded(&server), blob);
    let ranges: Vec<_> =
        server.log().iter().filter_map(|a| a.header("content-range").map(str::to_owned)).collect();
    assert_eq!(ranges, ["2000000-6999999", "4000000-6999999", "6000000-6999999"]);
}

#[tokio::test(start_paused = true)]
async fn a_registry_that_cannot_go_on_gets_everything_again_but_not_for_ever() {
    let cases = [
        Faults { refuses_patch: true, ..Faults::default() },
        Faults { forgets_uploads: true, ..Faults::default() },
    ];
    for faults in cases {
        let once = Faults { resets: 1, reset_after: 100_000, ..faults.clone() };
        let (server, shared) = store(once).await;
        let blob = bytes(200_000);
        assert_eq!(push(&registry(&server), &blob).await.unwrap(), Pushed::Sent);
        assert_eq!(uploaded(&server), blob);
        assert_eq!(shared.lock().unwrap().begun, 2);

        let always = Faults { resets: usize::MAX, reset_after: 100_000, ..faults };
        let (server, shared) = store(always).await;
        push(&registry(&server), &blob).await.unwrap_err();
        assert_eq!(shared.lock().unwrap().begun, 4);
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_to_a_finished_push_is_not_a_failure() {
    let (server, shared) = store(Faults { loses_answer: true, ..Faults::default() }).await;
    shared.lock().unwrap().faults.forgets_uploads = true;
    assert_eq!(push(&registry(&server), &bytes(1000)).await.unwrap(), Pushed::Sent);
    assert_eq!(shared.lock().unwrap().begun, 1);
}

#[tokio::test(start_paused = true)]
async fn a_blob_of_another_repository_is_mounted_or_its_upload_used() {
    let (blob, from): (_, Repository) = (bytes(1000), "acme/base".parse().unwrap());
    for mounts in [true, false] {
        let server = Server::start(move |asked| match asked.method.as_str() {
            "HEAD" => Reply::new(404, ""),
            "POST" if mounts => Reply::new(201, ""),
            "POST" => Reply::new(202, "").with("location", &at("")),
            _ => Reply::new(201, ""),
        });
        let server = server.await;
        let registry = registry(&server);
        let (blob, source) = (descriptor(&blob), source(&blob));
        let pushed = registry.push_blob(&repository(), &blob, Some(&from), &source).await.unwrap();
        assert_eq!(pushed, if mounts { Pushed::Mounted } else { Pushed::Sent });
        let digest = blob.digest.to_string().replace(':', "%3A");
        let mount = format!("POST {UPLOADS}?mount={digest}&from=acme%2Fbase");
        assert_eq!(server.lines()[1], mount);
        assert_eq!(server.log().len(), if mounts { 2 } else { 3 }, "no second beginning");
        let mounted = registry.mount(&repository(), &blob.digest, &from).await.unwrap();
        assert_eq!(mounted, mounts);
        assert_eq!(server.lines().last().unwrap().starts_with("DELETE"), !mounts);
    }
}

#[tokio::test(start_paused = true)]
async fn a_mount_that_is_denied_becomes_an_upload() {
    let (blob, from): (_, Repository) = (bytes(1000), "secret/base".parse().unwrap());
    let server = Server::start(|asked| match asked.method.as_str() {
        "HEAD" => Reply::new(404, ""),
        "POST" if asked.path.contains("mount") => Reply::new(403, ""),
        "POST" => Reply::new(202, "").with("location", &at("")),
        _ => Reply::new(201, ""),
    });
    let server = server.await;
    let (descriptor, source) = (descriptor(&blob), source(&blob));
    let registry = registry(&server);
    let pushed = registry.push_blob(&repository(), &descriptor, Some(&from), &source).await;
    assert_eq!(pushed.unwrap(), Pushed::Sent);
    assert_eq!(server.log().last().unwrap().body, blob);
}

#[tokio::test(start_paused = true)]
async fn an_upload_location_on_another_host_gets_no_credentials() {
    let (blob, dir) = (bytes(1000), tempfile::tempdir().unwrap());
    let storage = Server::start(|_| Reply::new(201, "")).await;
    let place = format!("http://{}/upload", storage.host);
    let server =
        Server::start(move |asked| match (asked.method.as_str(), asked.header("authorization")) {
            (_, None) => Reply::new(401, "").with("www-authenticate", "Basic realm=\"x\""),
            ("HEAD", _) => Reply::new(404, ""),
            _ => Reply::new(202, "").with("location", &place),
        })
        .await;
    assert_eq!(push(&open(with_user(&server, &dir)), &blob).await.unwrap(), Pushed::Sent);
    assert_eq!(server.log().last().unwrap().header("authorization"), Some(BASIC));
    assert_eq!(storage.log()[0].body, blob);
    assert_eq!(storage.log()[0].header("authorization"), None);
}

#[tokio::test(start_paused = true)]
async fn a_token_that_ends_before_the_body_is_replaced_and_the_body_sent_again() {
    let blob = bytes(1000);
    let realm = {
        let mut sold = 0;
        Server::start(move |_| {
            sold += 1;
            Reply::new(200, format!(r#"{{"token":"t{sold}","expires_in":300}}"#))
        })
        .await
    };
    let refusal = Reply::new(401, "")
        .with("www-authenticate", &format!("Bearer realm=\"http://{}/\"", realm.host));
    let mut refused = false;
    let server =
        Server::start(move |asked| match (asked.method.as_str(), asked.header("authorization")) {
            (_, None) => refusal.clone(),
            ("HEAD", _) => Reply::new(404, ""),
            ("POST", _) => Reply::new(202, "").with("location", &at("")),
            _ if !std::mem::replace(&mut refused, true) => refusal.clone(),
            _ => Reply::new(201, ""),
        })
        .await;
    assert_eq!(push(&registry(&server), &blob).await.unwrap(), Pushed::Sent);
    assert_eq!(server.log().last().unwrap().body, blob);
    let scope = "/?scope=repository%3Aacme%2Fkafka%3Apull";
    let scopes: Vec<_> = realm.log().iter().map(|asked| asked.path.clone()).collect();
    assert_eq!(scopes, [scope.to_owned(), format!("{scope}%2Cpush"), format!("{scope}%2Cpush")]);
}

#[tokio::test(start_paused = true)]
async fn an_upload_may_take_any_time_as_long_as_it_goes_on() {
    let (server, _) = store(Faults::default()).await;
    let blob = bytes(300_000);
    // Five pieces at 2 kB/s: longer than any silence may be, and none of it is silence.
    let traffic = Traffic::limited(std::num::NonZeroU64::new(2_000).unwrap());
    let registry = Registry::with(access(&server), Arc::new(traffic), Jitter::new(|| 0)).unwrap();
    let began = tokio::time::Instant::now();
    assert_eq!(push(&registry, &blob).await.unwrap(), Pushed::Sent);
    assert!(began.elapsed() > Duration::from_mins(2));
    assert_eq!(server.log().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_registry_that_takes_nothing_is_left_and_the_upload_resumed() {
    let mut stalled = false;
    let server = Server::start(move |asked| match asked.method.as_str() {
        "HEAD" => Reply::new(404, ""),
        "POST" | "PATCH" => Reply::new(202, "").with("location", &at("")),
        "GET" => Reply::new(204, "").with("range", "0-99"),
        "PUT" if !std::mem::replace(&mut stalled, true) => {
            Reply::new(201, "").before(Duration::from_hours(1))
        }
        _ => Reply::new(201, ""),
    });
    let server = server.await;
    let blob = bytes(20_000_000);
    assert_eq!(push(&registry(&server), &blob).await.unwrap(), Pushed::Sent);
    let log = server.log();
    let patch = log.iter().find(|asked| asked.method == "PATCH").unwrap();
    assert_eq!(patch.body, blob[100..]);
}

#[tokio::test(start_paused = true)]
async fn a_source_that_fails_is_named_and_not_called_a_broken_connection() {
    let (server, _) = store(Faults::default()).await;
    let blob = descriptor(&bytes(1000));
    let source = |_: u64| -> Pieces {
        let failed = || Err(std::io::Error::other("bad sector"));
        futures_util::stream::once(async move { failed() }).boxed()
    };
    let error = registry(&server).push_blob(&repository(), &blob, None, &source).await.unwrap_err();
    assert!(
        matches!(&error, RegistryError::Source { source, .. }
        if source.to_string() == "bad sector"),
        "{error:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_refused_digest_is_told_in_the_registrys_words() {
    let said = r#"{"errors":[{"code":"DIGEST_INVALID","message":"not this"}]}"#;
    let server = Server::start(move |asked| match asked.method.as_str() {
        "HEAD" => Reply::new(404, ""),
        "POST" => Reply::new(202, "").with("location", &at("")),
        _ => Reply::new(400, said),
    });
    let server = server.await;
    let error = push(&registry(&server), &bytes(10)).await.unwrap_err();
    assert!(matches!(&error, RegistryError::Status { status: 400, said, .. }
        if said.contains("DIGEST_INVALID")));
    assert_eq!(server.log().len(), 3, "refused is refused");
}

#[tokio::test(start_paused = true)]
async fn a_blob_of_sha512_says_so_before_it_is_hashed() {
    let (server, _) = store(Faults::default()).await;
    let blob = bytes(1000);
    let mut hasher = Hasher::new(Algorithm::Sha512);
    hasher.update(&blob);
    let descriptor = Descriptor::new("a/b", hasher.finish(), 1000);
    let pushed =
        registry(&server).push_blob(&repository(), &descriptor, None, &source(&blob)).await;
    assert_eq!(pushed.unwrap(), Pushed::Sent);
    assert_eq!(server.lines()[1], format!("POST {UPLOADS}?digest-algorithm=sha512"));
    assert!(server.lines()[2].contains("digest=sha512%3A"));
}
