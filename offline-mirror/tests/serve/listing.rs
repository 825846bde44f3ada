//! Listing tags and repositories, and the pages beside the registry.

use offline_mirror::oci::{Algorithm, Digest};
use offline_mirror::serve::{Running, ServeSettings};
use offline_mirror::store::Store;
use serde_json::json;

use crate::scene::{INDEX, OTHER, REPO, Scene, bytes, index, now, settings};

#[actix_web::test]
async fn empty_tag_list() {
    let scene = Scene::open();
    let path = format!("/v2/{REPO}/tags/list");
    scene.get(&path).await.refused(404, "NAME_UNKNOWN");
    scene.push(REPO, &Digest::of(b"x"), b"x").await;
    let list = scene.get(&path).await.is(200).json();
    assert_eq!(list, json!({"name": REPO, "tags": []}));
}

#[actix_web::test]
async fn empty_referrers() {
    let scene = Scene::open();
    let answer = scene.get(&format!("/v2/{REPO}/referrers/{}", Digest::of(b"x"))).await.is(200);
    assert_eq!(answer.header("content-type"), INDEX);
    assert_eq!(answer.json()["manifests"], json!([]));
}

#[actix_web::test]
async fn tag_list_paging() {
    let scene = Scene::open();
    let body = index(&[]).to_string().into_bytes();
    for tag in ["b", "a", "test0", "B"] {
        scene.put_manifest(tag, INDEX, &body).await.is(201);
    }
    let list = |query: String| {
        let scene = &scene;
        async move {
            let answer = scene.get(&format!("/v2/{REPO}/tags/list{query}")).await.is(200);
            (answer.json()["tags"].clone(), answer.header("link").to_owned())
        }
    };
    assert_eq!(list(String::new()).await, (json!(["B", "a", "b", "test0"]), String::new()));
    let (tags, next) = list("?n=3".to_owned()).await;
    assert_eq!(tags, json!(["B", "a", "b"]));
    assert_eq!(next, format!("</v2/{REPO}/tags/list?n=3&last=b>; rel=\"next\""));
    assert_eq!(list("?n=3&last=b".to_owned()).await, (json!(["test0"]), String::new()));
    assert_eq!(list("?last=a".to_owned()).await.0, json!(["b", "test0"]));
    assert_eq!(list("?n=0".to_owned()).await, (json!([]), String::new()));
    assert_eq!(list("?n=99999999".to_owned()).await.0, json!(["B", "a", "b", "test0"]));
    let bad = scene.get(&format!("/v2/{REPO}/tags/list?n=x")).await;
    bad.refused(400, "PAGINATION_NUMBER_INVALID");
}

#[actix_web::test]
async fn repositories_are_listed_in_pages() {
    let scene = Scene::open();
    for repository in [OTHER, REPO, "a"] {
        scene.push(repository, &Digest::of(b"x"), b"x").await;
    }
    let all = scene.get("/v2/_catalog").await.is(200).json();
    assert_eq!(all, json!({"repositories": ["a", REPO, OTHER]}));
    let page = scene.get("/v2/_catalog?n=1&last=a").await.is(200);
    assert_eq!(page.json()["repositories"], json!([REPO]));
    assert_eq!(page.header("link"), format!("</v2/_catalog?n=1&last={REPO}>; rel=\"next\""));
}

#[actix_web::test]
async fn what_another_process_adopts_is_served_at_once() {
    use offline_mirror::store::{Adopt, Extent, SegmentName};
    let scene = Scene::open();
    let segment = scene.dir.path().join("north-0001.tar");
    let blob = bytes("adopted", 2_000_000);
    std::fs::write(&segment, [vec![0; 512], blob.clone(), vec![0; 1024]].concat()).unwrap();
    let store = scene.store();
    let turn = store.exclusive().unwrap();
    let name = SegmentName {
        bundle: signing::Sha256Digest::of(b"manifest"),
        file: "north-0001.tar".to_owned(),
    };
    let id = store.adopt_segment(&turn, &segment, &name, Adopt::LinkOrCopy, now()).unwrap().segment;
    let parts = vec![
        Extent { segment: id, offset: 512, size: 1_500_000 },
        Extent { segment: id, offset: 512 + 1_500_000, size: 500_000 },
    ];
    let digest = Digest::of(&blob);
    store.index_blobs(&turn, &[(digest, 2_000_000, parts)], now()).unwrap();
    let path = format!("/v2/{REPO}/blobs/{digest}");
    scene.get(&path).await.refused(404, "BLOB_UNKNOWN");
    store.link_blob(&REPO.parse().unwrap(), &digest, now()).unwrap();
    assert_eq!(scene.get(&path).await.is(200).body, blob);
    let range = [("range", "bytes=1499990-1500009")];
    let part = scene.ask("GET", &path, &range, "").await.is(206);
    assert_eq!(part.body, blob[1_499_990..1_500_010]);
}

#[actix_web::test]
async fn serve_frees_space_by_itself_where_it_was_told_to() {
    use std::sync::atomic::{AtomicI64, Ordering};
    use std::time::Duration;
    static CALLS: AtomicI64 = AtomicI64::new(0);
    /// Every look at it finds it three hours later.
    fn leaping() -> jiff::Timestamp {
        let hours = CALLS.fetch_add(3, Ordering::Relaxed);
        jiff::Timestamp::from_second(4_000_000_000 + hours * 3600).unwrap()
    }
    let every = Some(Duration::from_millis(5));
    let dir = tempfile::tempdir().unwrap();
    let store = Store::create(dir.path()).unwrap();
    let digest = Digest::of(b"never used");
    let upload = store.begin_upload(&REPO.parse().unwrap(), Algorithm::Sha256, leaping()).unwrap();
    upload.append(b"never used").unwrap();
    upload.finish(&digest, leaping()).unwrap();
    let settings = ServeSettings { gc_every: every, clock: leaping, ..settings() };
    let running = Running::start(store.clone(), settings).unwrap();
    // As long as it takes; the test ends when the bytes are gone.
    while store.stat(&digest).unwrap().is_some() {
        tokio::task::yield_now().await;
    }
    running.stop().await;
}

#[actix_web::test]
async fn probes_and_counters_answer() {
    let scene = Scene::open();
    assert_eq!(scene.get("/livez").await.is(200).body, b"ok\n");
    assert_eq!(scene.get("/readyz").await.is(200).body, b"ready\n");
    let digest = Digest::of(b"twelve bytes");
    scene.push(REPO, &digest, b"twelve bytes").await;
    scene.get(&format!("/v2/{REPO}/blobs/{digest}")).await.is(200);
    let page = String::from_utf8(scene.get("/metrics").await.is(200).body).unwrap();
    for line in [
        "fairway_mirror_requests_total{method=\"PUT\",status=\"201\"} 1",
        "fairway_mirror_blob_sent_bytes_total 12",
        "fairway_mirror_blob_received_bytes_total 12",
    ] {
        assert!(page.contains(line), "{line} in\n{page}");
    }
    scene.get("/").await.refused(404, "UNSUPPORTED");
}
