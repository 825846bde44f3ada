//! Cases "sha256 blobs" and "sha512 blobs" of the suite, both in each test.

use offline_mirror::oci::{Algorithm, Digest};

use crate::scene::{OTHER, REPO, Scene, bytes, digest_by};

/// Both algorithms, with bytes of their own and their digest.
fn cases(word: &str, length: usize) -> [(Digest, Vec<u8>); 2] {
    Algorithm::ALL.map(|algorithm| {
        let bytes = bytes(&format!("{word} {}", algorithm.as_str()), length);
        (digest_by(algorithm, &bytes), bytes)
    })
}

#[actix_web::test]
async fn ping() {
    let scene = Scene::open();
    for path in ["/v2/", "/v2"] {
        let answer = scene.get(path).await.is(200);
        assert_eq!(answer.header("docker-distribution-api-version"), "registry/2.0");
    }
}

#[actix_web::test]
async fn get_missing() {
    let scene = Scene::open();
    for (digest, _) in cases("missing", 10) {
        let path = format!("/v2/{REPO}/blobs/{digest}");
        scene.get(&path).await.refused(404, "BLOB_UNKNOWN");
        scene.head(&path).await.is(404);
        scene.delete(&path).await.refused(404, "BLOB_UNKNOWN");
    }
}

#[actix_web::test]
async fn post_only() {
    let scene = Scene::open();
    for (digest, body) in cases("post only", 512) {
        let path = format!("/v2/{REPO}/blobs/uploads/?digest={digest}");
        let created = scene.ask("POST", &path, &[], body.clone()).await.is(201);
        assert_eq!(created.header("location"), format!("/v2/{REPO}/blobs/{digest}"));
        assert_eq!(created.header("docker-content-digest"), digest.to_string());
        scene.holds(REPO, &digest, &body).await;
    }
}

#[actix_web::test]
async fn post_put() {
    let scene = Scene::open();
    for (digest, body) in cases("post put", 512) {
        let location = scene.begin(REPO).await;
        let created = scene.put(&location, &digest, &body).await.is(201);
        assert_eq!(created.header("location"), format!("/v2/{REPO}/blobs/{digest}"));
        scene.holds(REPO, &digest, &body).await;
        scene.get(&location).await.refused(404, "BLOB_UPLOAD_UNKNOWN");
    }
}

#[actix_web::test]
async fn chunked_single() {
    let scene = Scene::open();
    for (digest, body) in cases("chunked single", 512) {
        let location = scene.begin(REPO).await;
        let taken = scene.patch(&location, "0-511", &body).await.is(202);
        assert_eq!(taken.header("range"), "0-511");
        scene.put(taken.header("location"), &digest, b"").await.is(201);
        scene.holds(REPO, &digest, &body).await;
    }
}

#[actix_web::test]
async fn stream() {
    let scene = Scene::open();
    for (digest, body) in cases("stream", 3_000_000) {
        let location = scene.begin(REPO).await;
        let pieces: Vec<Result<Vec<u8>, std::io::Error>> =
            body.chunks(70_000).map(|piece| Ok(piece.to_vec())).collect();
        let stream = reqwest::Body::wrap_stream(futures_util::stream::iter(pieces));
        let taken = scene.ask("PATCH", &location, &[], stream).await.is(202);
        assert_eq!(taken.header("range"), "0-2999999");
        scene.put(taken.header("location"), &digest, b"").await.is(201);
        scene.holds(REPO, &digest, &body).await;
    }
}

#[actix_web::test]
async fn mount() {
    let scene = Scene::open();
    for (digest, body) in cases("mount", 512) {
        scene.push(OTHER, &digest, &body).await;
        let path = format!("/v2/{REPO}/blobs/uploads/?mount={digest}&from={OTHER}");
        let mounted = scene.ask("POST", &path, &[], "").await.is(201);
        assert_eq!(mounted.header("location"), format!("/v2/{REPO}/blobs/{digest}"));
        assert_eq!(mounted.header("docker-content-digest"), digest.to_string());
        scene.holds(REPO, &digest, &body).await;
        scene.holds(OTHER, &digest, &body).await;
    }
}

#[actix_web::test]
async fn mount_anonymous() {
    let scene = Scene::open();
    for (digest, body) in cases("mount anonymous", 512) {
        scene.push(OTHER, &digest, &body).await;
        let path = format!("/v2/{REPO}/blobs/uploads/?mount={digest}");
        scene.ask("POST", &path, &[], "").await.is(201);
        scene.holds(REPO, &digest, &body).await;
    }
}

#[actix_web::test]
async fn mount_missing() {
    let scene = Scene::open();
    for (digest, body) in cases("mount missing", 512) {
        for from in ["", "&from=conformance/repo2", "&from=Not/A/Name"] {
            let path = format!("/v2/{REPO}/blobs/uploads/?mount={digest}{from}");
            let begun = scene.ask("POST", &path, &[], "").await.is(202);
            scene.put(begun.header("location"), &digest, &body).await.is(201);
            scene.holds(REPO, &digest, &body).await;
            // Nobody holds it, and it is not collected yet: as good as there.
            let again = scene.ask("POST", &path, &[], "").await;
            assert_eq!(again.status, if from.is_empty() { 201 } else { 202 });
            scene.delete(&format!("/v2/{REPO}/blobs/{digest}")).await;
        }
    }
}

#[actix_web::test]
async fn post_cancel() {
    let scene = Scene::open();
    let location = scene.begin(REPO).await;
    scene.patch(&location, "0-3", b"abcd").await.is(202);
    scene.delete(&location).await.is(204);
    for answer in [scene.get(&location).await, scene.patch(&location, "4-4", b"e").await] {
        answer.refused(404, "BLOB_UPLOAD_UNKNOWN");
    }
    assert_eq!(scene.store().totals().unwrap().uploads, 0);
}

#[actix_web::test]
async fn chunked_multi() {
    let scene = Scene::open();
    for (digest, body) in cases("chunked multi", 3067) {
        let mut location = scene.begin(REPO).await;
        for range in [0..1024, 1024..2048, 2048..3067] {
            let text = format!("{}-{}", range.start, range.end - 1);
            let taken = scene.patch(&location, &text, &body[range.clone()]).await.is(202);
            assert_eq!(taken.header("range"), format!("0-{}", range.end - 1));
            taken.header("location").clone_into(&mut location);
            let status = scene.get(&location).await.is(204);
            assert_eq!(status.header("range"), format!("0-{}", range.end - 1));
        }
        scene.put(&location, &digest, b"").await.is(201);
        scene.holds(REPO, &digest, &body).await;
    }
}

#[actix_web::test]
async fn chunked_multi_and_put_chunk() {
    let scene = Scene::open();
    for (digest, body) in cases("chunked multi and put", 2048) {
        let location = scene.begin(REPO).await;
        scene.patch(&location, "0-1023", &body[..1024]).await.is(202);
        let path = format!("{location}?digest={digest}");
        let range = [("content-range", "1024-2047")];
        scene.ask("PUT", &path, &range, body[1024..].to_vec()).await.is(201);
        scene.holds(REPO, &digest, &body).await;
    }
}

#[actix_web::test]
async fn chunked_out_of_order() {
    let scene = Scene::open();
    for (digest, body) in cases("out of order", 3072) {
        let location = scene.begin(REPO).await;
        for (range, piece) in [("1024-2047", 1024..2048), ("1-1024", 1..1025)] {
            let refused = scene.patch(&location, range, &body[piece]).await;
            refused.refused(416, "BLOB_UPLOAD_INVALID");
            assert_eq!(refused.header("location"), location);
        }
        scene.patch(&location, "0-1023", &body[..1024]).await.is(202);
        let again = scene.patch(&location, "0-1023", &body[..1024]).await;
        again.refused(416, "BLOB_UPLOAD_INVALID");
        assert_eq!(again.header("range"), "0-1023");
        assert_eq!(scene.get(&location).await.is(204).header("range"), "0-1023");
        scene.patch(&location, "1024-3071", &body[1024..]).await.is(202);
        scene.put(&location, &digest, b"").await.is(201);
        scene.holds(REPO, &digest, &body).await;
    }
}

#[actix_web::test]
async fn chunked_out_of_order_and_put_chunk() {
    let scene = Scene::open();
    for (digest, body) in cases("out of order put", 2048) {
        let location = scene.begin(REPO).await;
        scene.patch(&location, "0-1023", &body[..1024]).await.is(202);
        let path = format!("{location}?digest={digest}");
        let wrong = [("content-range", "0-1023")];
        let refused = scene.ask("PUT", &path, &wrong, body[..1024].to_vec()).await;
        refused.refused(416, "BLOB_UPLOAD_INVALID");
        let right = [("content-range", "1024-2047")];
        scene.ask("PUT", &path, &right, body[1024..].to_vec()).await.is(201);
        scene.holds(REPO, &digest, &body).await;
    }
}

#[actix_web::test]
async fn range_requests() {
    let scene = Scene::open();
    for (digest, body) in cases("ranges", 2048) {
        scene.push(REPO, &digest, &body).await;
        let path = format!("/v2/{REPO}/blobs/{digest}");
        for (range, part) in [
            ("bytes=500-1499", 500..1500),
            ("bytes=500-", 500..2048),
            ("bytes=-500", 1548..2048),
            ("bytes=2000-5000", 2000..2048),
        ] {
            for method in ["GET", "HEAD"] {
                let answer = scene.ask(method, &path, &[("range", range)], "").await.is(206);
                let content = format!("bytes {}-{}/2048", part.start, part.end - 1);
                assert_eq!(answer.header("content-range"), content);
                assert_eq!(answer.header("content-length"), part.len().to_string());
                let expected = if method == "GET" { &body[part.clone()] } else { &[] };
                assert_eq!(answer.body, expected);
            }
        }
        for range in ["bytes=500-0", "bytes=5000-10000", "bytes=2048-", "bytes=-0"] {
            let refused = scene.ask("GET", &path, &[("range", range)], "").await.is(416);
            assert_eq!(refused.header("content-range"), "bytes */2048");
        }
        let several = scene.ask("GET", &path, &[("range", "bytes=0-1,5-6")], "").await.is(200);
        assert_eq!(several.body, body);
    }
}

#[actix_web::test]
async fn range_of_another_version_is_the_whole() {
    let scene = Scene::open();
    let (digest, body) = cases("if range", 100)[0].clone();
    scene.push(REPO, &digest, &body).await;
    let path = format!("/v2/{REPO}/blobs/{digest}");
    let etag = scene.get(&path).await.header("etag").to_owned();
    assert_eq!(etag, format!("\"{digest}\""));
    let asked = |known| [("range", "bytes=0-9"), ("if-range", known)];
    scene.ask("GET", &path, &asked(&etag), "").await.is(206);
    scene.ask("GET", &path, &asked("\"other\""), "").await.is(200);
    scene.ask("GET", &path, &[("if-none-match", &etag)], "").await.is(304);
}

#[actix_web::test]
async fn empty_and_empty_json() {
    let scene = Scene::open();
    for body in [b"".as_slice(), b"{}"] {
        for algorithm in Algorithm::ALL {
            let digest = digest_by(algorithm, body);
            scene.push(REPO, &digest, body).await;
            scene.holds(REPO, &digest, body).await;
            let path = format!("/v2/{REPO}/blobs/uploads/?digest={digest}");
            scene.ask("POST", &path, &[], body.to_vec()).await.is(201);
            scene.holds(REPO, &digest, body).await;
        }
    }
}

#[actix_web::test]
async fn bad_digest() {
    let scene = Scene::open();
    for (digest, mut body) in cases("bad digest", 3067) {
        body.extend_from_slice(b"oh no");
        let path = format!("/v2/{REPO}/blobs/uploads/?digest={digest}");
        let post_only = scene.ask("POST", &path, &[], body.clone()).await;
        post_only.refused(400, "DIGEST_INVALID");
        let location = scene.begin(REPO).await;
        scene.put(&location, &digest, &body).await.refused(400, "DIGEST_INVALID");
        let location = scene.begin(REPO).await;
        scene.patch(&location, "0-1023", &body[..1024]).await.is(202);
        scene.put(&location, &digest, b"").await.refused(400, "DIGEST_INVALID");
        let location = scene.begin(REPO).await;
        scene.ask("PATCH", &location, &[], body.clone()).await.is(202);
        scene.put(&location, &digest, b"").await.refused(400, "DIGEST_INVALID");
        scene.get(&format!("/v2/{REPO}/blobs/{digest}")).await.refused(404, "BLOB_UNKNOWN");
    }
    let totals = scene.store().totals().unwrap();
    assert_eq!((totals.uploads, totals.blobs), (0, 0), "nothing is left of them");
}

#[actix_web::test]
async fn what_is_no_digest_is_400_and_not_500() {
    let scene = Scene::open();
    let location = scene.begin(REPO).await;
    for path in [
        format!("/v2/{REPO}/blobs/sha256:abc"),
        format!("/v2/{REPO}/blobs/md5:00"),
        format!("/v2/{REPO}/manifests/sha256:abc"),
        format!("/v2/{REPO}/referrers/latest"),
    ] {
        scene.get(&path).await.refused(400, "DIGEST_INVALID");
    }
    for query in ["", "?digest=", "?digest=sha256:../../x", "?digest=sha1:00"] {
        let refused = scene.ask("PUT", &format!("{location}{query}"), &[], "x").await;
        refused.refused(400, "DIGEST_INVALID");
    }
    let path = format!("/v2/{REPO}/blobs/uploads/?digest-algorithm=md5");
    scene.ask("POST", &path, &[], "").await.refused(400, "DIGEST_INVALID");
    scene.get("/v2/UPPER/tags/list").await.refused(400, "NAME_INVALID");
}

#[actix_web::test]
async fn a_piece_that_is_not_as_long_as_it_says_is_refused() {
    let scene = Scene::open();
    let location = scene.begin(REPO).await;
    scene.patch(&location, "0-9", b"abcd").await.refused(400, "BLOB_UPLOAD_INVALID");
    scene.patch(&location, "nonsense", b"abcd").await.refused(400, "BLOB_UPLOAD_INVALID");
    assert_eq!(scene.get(&location).await.is(204).header("range"), "0-0");
}

#[actix_web::test]
async fn an_upload_belongs_to_its_repository_and_survives_a_restart() {
    let mut scene = Scene::open();
    let body = bytes("restart", 900_000);
    let location = scene.begin(REPO).await;
    scene.patch(&location, "0-499999", &body[..500_000]).await.is(202);
    let elsewhere = location.replace("repo1", "repo2");
    scene.patch(&elsewhere, "500000-500000", b"x").await.refused(404, "BLOB_UPLOAD_UNKNOWN");
    scene.restart().await;
    assert_eq!(scene.get(&location).await.is(204).header("range"), "0-499999");
    scene.patch(&location, "500000-899999", &body[500_000..]).await.is(202);
    let digest = digest_by(Algorithm::Sha512, &body);
    scene.put(&location, &digest, b"").await.is(201);
    scene.holds(REPO, &digest, &body).await;
}

#[actix_web::test]
async fn paths_that_would_leave_the_store_name_nothing() {
    let scene = Scene::open();
    let digest = Digest::of(b"x");
    for path in [
        format!("/v2/..%2f..%2fetc/blobs/{digest}"),
        format!("/v2/a/%2e%2e/b/blobs/{digest}"),
        "/v2/a/blobs/uploads/..%2f..%2fstore.db".to_owned(),
        "/v2/a/blobs/sha256:..%2f..%2f..%2fstore.db".to_owned(),
        "/v2/a/manifests/..%2fstore.db".to_owned(),
    ] {
        let answer = scene.get(&path).await;
        assert!([400, 404].contains(&answer.status), "{path}: {answer:?}");
    }
    assert_eq!(scene.store().totals().unwrap().repositories, 0);
}
