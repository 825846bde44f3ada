//! Who may do what, over plain HTTP and TLS.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use offline_mirror::oci::Digest;
use offline_mirror::serve::{Allowed, Anonymous, Running, ServeError, ServeSettings, Tokens};
use offline_mirror::store::Store;
use signing::Sha256Digest;

use crate::scene::{IMAGE, REPO, Scene, client, settings};

fn tokens() -> (tempfile::TempDir, Tokens) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tokens");
    let line = |name: &str, role: &str| {
        format!("{name}:{role}:{}\n", hex::encode(Sha256Digest::of(name.as_bytes()).as_bytes()))
    };
    let text = [line("node", "pull"), line("ci", "push"), line("ops", "delete")].concat();
    std::fs::write(&path, text).unwrap();
    let tokens = Tokens::read(&path).unwrap();
    (dir, tokens)
}

fn changes() -> [(&'static str, String); 7] {
    let digest = Digest::of(b"x");
    let id = "6b1d0d6e-3c8a-4f0e-9f5a-0d3b8a9b7c11";
    [
        ("POST", format!("/v2/{REPO}/blobs/uploads/")),
        ("PATCH", format!("/v2/{REPO}/blobs/uploads/{id}")),
        ("PUT", format!("/v2/{REPO}/blobs/uploads/{id}?digest={digest}")),
        ("DELETE", format!("/v2/{REPO}/blobs/uploads/{id}")),
        ("PUT", format!("/v2/{REPO}/manifests/v1")),
        ("DELETE", format!("/v2/{REPO}/manifests/v1")),
        ("DELETE", format!("/v2/{REPO}/blobs/{digest}")),
    ]
}

#[actix_web::test]
async fn nothing_changes_unless_it_was_allowed() {
    let scene = Scene::with(ServeSettings { allowed: Allowed::default(), ..settings() });
    for (method, path) in changes() {
        scene.ask(method, &path, &[], vec![0; 100_000]).await.refused(405, "UNSUPPORTED");
    }
    assert_eq!(scene.store().totals().unwrap().repositories, 0);
    scene.get("/v2/").await.is(200);
}

#[actix_web::test]
async fn pushes_without_deletes() {
    let allowed = Allowed { push: true, delete: false };
    let scene = Scene::with(ServeSettings { allowed, ..settings() });
    scene.keeps("v1", IMAGE, &scene.image("one").await).await;
    let path = format!("/v2/{REPO}/manifests/v1");
    scene.delete(&path).await.refused(405, "UNSUPPORTED");
    // Giving up an upload is no deletion.
    let location = scene.begin(REPO).await;
    scene.delete(&location).await.is(204);
}

#[actix_web::test]
async fn a_token_opens_what_its_role_says() {
    let (_dir, tokens) = tokens();
    let scene = Scene::with(ServeSettings { tokens, anonymous: Anonymous::Nothing, ..settings() });
    for path in ["/v2/", "/v2/_catalog"] {
        let refused = scene.get(path).await;
        refused.refused(401, "UNAUTHORIZED");
        assert!(refused.header("www-authenticate").starts_with("Basic "));
    }
    let basic = |name: &str| format!("Basic {}", STANDARD.encode(format!("{name}:{name}")));
    let (node, ci, ops) = (basic("node"), basic("ci"), "Bearer ops".to_owned());
    let ask = |method: &'static str, path: String, token: String| {
        let scene = &scene;
        async move { scene.ask(method, &path, &[("authorization", &token)], "").await }
    };
    for token in [&node, &ci, &ops] {
        ask("GET", "/v2/".to_owned(), token.clone()).await.is(200);
    }
    let begin = format!("/v2/{REPO}/blobs/uploads/");
    ask("POST", begin.clone(), node.clone()).await.refused(403, "DENIED");
    ask("POST", begin, ci.clone()).await.is(202);
    let tag = format!("/v2/{REPO}/manifests/v1");
    ask("DELETE", tag.clone(), ci).await.refused(403, "DENIED");
    ask("DELETE", tag, ops).await.refused(404, "MANIFEST_UNKNOWN");
    let wrong = format!("Basic {}", STANDARD.encode("node:ops"));
    ask("GET", "/v2/".to_owned(), wrong).await.refused(401, "UNAUTHORIZED");
    // Probes need no token.
    scene.get("/livez").await.is(200);
}

#[actix_web::test]
async fn everybody_pulls_where_that_was_opened() {
    let (_dir, tokens) = tokens();
    let scene = Scene::with(ServeSettings { tokens, anonymous: Anonymous::Pull, ..settings() });
    scene.get("/v2/").await.is(200);
    for (method, path) in changes() {
        scene.ask(method, &path, &[], "").await.refused(401, "UNAUTHORIZED");
    }
}

#[actix_web::test]
async fn tls_answers_clients_that_trust_its_certificate() {
    let dir = tempfile::tempdir().unwrap();
    let (cert, key) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
    let made = std::process::Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"])
        .args(["-subj", "/CN=mirror", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .arg("-keyout")
        .arg(&key)
        .arg("-out")
        .arg(&cert)
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let tls = Some((cert.clone(), key.clone()));
    let mut scene = Scene::with(ServeSettings { tls, ..settings() });
    let untrusted = scene.client.get(format!("{}/v2/", scene.base)).send().await;
    assert!(untrusted.unwrap_err().is_connect());
    let root = reqwest::Certificate::from_pem(&std::fs::read(&cert).unwrap()).unwrap();
    scene.client = client().tls_certs_only([root]).build().unwrap();
    let image = scene.image("tls").await;
    scene.keeps("v1", IMAGE, &image).await;

    let store = Store::create(&dir.path().join("other")).unwrap();
    let refused = Running::start(store, ServeSettings { tls: Some((key, cert)), ..settings() });
    assert!(matches!(refused, Err(ServeError::Tls { .. })));
}
