//! The suite's cases of manifests, by their names there.

use offline_mirror::oci::{Algorithm, Digest};
use serde_json::{Value, json};

use crate::scene::{IMAGE, INDEX, REPO, Scene, digest_by, image, index, link};

const EMPTY: &str = "application/vnd.oci.empty.v1+json";
const EXAMPLE: &str = "application/vnd.example.oci.conformance.v1+json";

fn text(value: &Value) -> Vec<u8> {
    value.to_string().into_bytes()
}

/// An artifact with one layer; its blobs are pushed.
async fn artifact(scene: &Scene, layer: &[u8], kind: &str) -> Value {
    for bytes in [b"{}".as_slice(), layer] {
        scene.push(REPO, &Digest::of(bytes), bytes).await;
    }
    json!({"schemaVersion": 2, "mediaType": IMAGE, "artifactType": kind,
        "config": link(EMPTY, b"{}"), "layers": [link(kind, layer)]})
}

async fn referrers(scene: &Scene, subject: &[u8], query: &str) -> Vec<Value> {
    let path = format!("/v2/{REPO}/referrers/{}{query}", Digest::of(subject));
    let answer = scene.get(&path).await.is(200);
    assert_eq!(answer.header("content-type"), INDEX);
    let applied = if query.is_empty() { "" } else { "artifactType" };
    assert_eq!(answer.header("oci-filters-applied"), applied);
    let body = answer.json();
    assert_eq!((&body["schemaVersion"], &body["mediaType"]), (&json!(2), &json!(INDEX)));
    body["manifests"].as_array().unwrap().clone()
}

#[actix_web::test]
async fn image_case() {
    let scene = Scene::open();
    let image = scene.image("one").await;
    scene.keeps("image", IMAGE, &image).await;
    scene.forgets("image", &image).await;
}

#[actix_web::test]
async fn large_manifest() {
    let scene = Scene::open();
    let mut large: Value = serde_json::from_slice(&scene.image("large").await).unwrap();
    let annotations: serde_json::Map<_, _> =
        (0..390).map(|n| (format!("large-annotation-{n}"), json!("A".repeat(10_000)))).collect();
    large["annotations"] = Value::Object(annotations);
    let large = text(&large);
    assert!(large.len() > 3_900_000);
    scene.keeps("large-manifest", IMAGE, &large).await;
    let too_large = [large, b" ".repeat(400_000)].concat();
    scene.put_manifest("too-large", IMAGE, &too_large).await.refused(413, "SIZE_INVALID");
}

#[actix_web::test]
async fn index_nested_index_and_empty_index() {
    let scene = Scene::open();
    let (one, two) = (scene.image("amd64").await, scene.image("arm64").await);
    for image in [&one, &two] {
        scene.put_manifest(&Digest::of(image).to_string(), IMAGE, image).await.is(201);
    }
    let inner = text(&index(&[(IMAGE, &one), (IMAGE, &two)]));
    scene.keeps("index", INDEX, &inner).await;
    let nested = text(&index(&[(INDEX, &inner)]));
    scene.keeps("index-of-index", INDEX, &nested).await;
    scene.keeps("index", INDEX, &text(&index(&[]))).await;
    scene.forgets("index-of-index", &nested).await;
}

#[actix_web::test]
async fn artifact_artifact_index_and_artifact_without_layers() {
    let scene = Scene::open();
    let artifact = text(&artifact(&scene, b"sbom", EXAMPLE).await);
    scene.keeps("artifact", IMAGE, &artifact).await;
    let mut list = index(&[(IMAGE, &artifact)]);
    list["artifactType"] = json!(EXAMPLE);
    scene.keeps("artifact-index", INDEX, &text(&list)).await;
    let without = json!({"schemaVersion": 2, "mediaType": IMAGE, "artifactType": EXAMPLE,
        "config": link(EMPTY, b"{}"), "layers": [link(EMPTY, b"{}")]});
    scene.keeps("artifact-without-layers", IMAGE, &text(&without)).await;
}

#[actix_web::test]
async fn artifacts_with_subject() {
    let scene = Scene::open();
    let subject = scene.image("subject").await;
    scene.keeps("image", IMAGE, &subject).await;
    let mut found = Vec::new();
    for (tag, kind) in [("tagged-artifact1", "a/one"), ("tagged-artifact2", "a/two")] {
        let mut manifest = artifact(&scene, tag.as_bytes(), kind).await;
        manifest["subject"] = link(IMAGE, &subject);
        manifest["annotations"] = json!({"org.opencontainers.conformance": tag});
        let manifest = text(&manifest);
        let put = scene.keeps(tag, IMAGE, &manifest).await;
        assert_eq!(put.header("oci-subject"), Digest::of(&subject).to_string());
        let expected = json!({"mediaType": IMAGE, "digest": Digest::of(&manifest),
            "size": manifest.len(), "artifactType": kind,
            "annotations": {"org.opencontainers.conformance": tag}});
        assert_eq!(
            referrers(&scene, &subject, &format!("?artifactType={kind}")).await,
            std::slice::from_ref(&expected)
        );
        found.push((manifest, expected));
    }
    let mut plain: Value = serde_json::from_slice(&subject).unwrap();
    plain["subject"] = link(IMAGE, &subject);
    let plain = text(&plain);
    scene.put_manifest(&Digest::of(&plain).to_string(), IMAGE, &plain).await.is(201);
    let all = referrers(&scene, &subject, "").await;
    assert_eq!(all.len(), 3);
    assert!(found.iter().all(|(_, expected)| all.contains(expected)));
    let of_config = "?artifactType=application/vnd.oci.image.config.v1%2Bjson";
    assert_eq!(referrers(&scene, &subject, of_config).await.len(), 1);
    scene.forgets("tagged-artifact1", &found[0].0).await;
    assert_eq!(referrers(&scene, &subject, "").await.len(), 2);
}

#[actix_web::test]
async fn more_referrers_than_fit_into_one_page_come_in_the_next() {
    use offline_mirror::store::{Children, Put, Reference};
    let scene = Scene::open();
    let (store, repository) = (scene.store(), REPO.parse().unwrap());
    for n in 0..4 {
        let mut about = index(&[]);
        about["subject"] = link(INDEX, b"subject");
        about["artifactType"] = json!("x/a+b");
        about["annotations"] = json!({"n": n.to_string()});
        let reference = Reference::Digest(Digest::of(&text(&about)));
        let put = Put { reference: &reference, media_type: None, children: Children::MustBeHeld };
        store.put_manifest(&repository, &text(&about), &put, crate::scene::now()).unwrap();
    }
    let path = format!("/v2/{REPO}/referrers/{}?artifactType=x/a%2Bb&n=3", Digest::of(b"subject"));
    let first = scene.get(&path).await.is(200);
    assert_eq!(first.json()["manifests"].as_array().unwrap().len(), 3);
    let next = first.header("link").strip_prefix('<').unwrap().split('>').next().unwrap();
    let second = scene.get(next).await.is(200);
    assert_eq!(second.header("oci-filters-applied"), "artifactType");
    assert_eq!(second.header("link"), "");
    let rest = second.json()["manifests"].as_array().unwrap().clone();
    assert_eq!(rest.len(), 1);
    assert!(!first.json()["manifests"].as_array().unwrap().contains(&rest[0]));
}

#[actix_web::test]
async fn index_with_subject() {
    let scene = Scene::open();
    let subject = text(&index(&[]));
    scene.keeps("index", INDEX, &subject).await;
    let mut about = index(&[]);
    about["subject"] = link(INDEX, &subject);
    about["artifactType"] = json!(EXAMPLE);
    scene.keeps("tagged-artifact", INDEX, &text(&about)).await;
    let found = referrers(&scene, &subject, "").await;
    assert_eq!(found[0]["artifactType"], EXAMPLE);
    assert_eq!(found[0]["mediaType"], INDEX);
}

#[actix_web::test]
async fn missing_subject() {
    let scene = Scene::open();
    let mut orphan = artifact(&scene, b"orphan", EXAMPLE).await;
    orphan["subject"] = link(IMAGE, b"missing content");
    let put = scene.keeps("tagged-artifact", IMAGE, &text(&orphan)).await;
    assert_eq!(put.header("oci-subject"), Digest::of(b"missing content").to_string());
    assert_eq!(referrers(&scene, b"missing content", "").await.len(), 1);
    assert!(referrers(&scene, b"unknown to everybody", "").await.is_empty());
}

#[actix_web::test]
async fn data_field_and_custom_fields() {
    let scene = Scene::open();
    let mut manifest: Value = serde_json::from_slice(&scene.image("data").await).unwrap();
    manifest["config"]["data"] = json!("e30=");
    manifest["org.example.custom"] = json!({"kept": [1, 2]});
    scene.keeps("data-field", IMAGE, &text(&manifest)).await;
    let mut list = index(&[]);
    list["org.example.custom"] = json!("kept");
    scene.keeps("custom-fields", INDEX, &text(&list)).await;
}

#[actix_web::test]
async fn non_distributable_layers() {
    let scene = Scene::open();
    let mut manifest: Value = serde_json::from_slice(&scene.image("foreign").await).unwrap();
    for kind in ["tar+gzip", "tar"] {
        let mut layer = link(
            &format!("application/vnd.oci.image.layer.nondistributable.v1.{kind}"),
            kind.as_bytes(),
        );
        layer["urls"] = json!(["https://store.example.com/blob"]);
        manifest["layers"].as_array_mut().unwrap().push(layer);
    }
    scene.keeps("non-distributable-image", IMAGE, &text(&manifest)).await;
}

#[actix_web::test]
async fn no_layers() {
    let scene = Scene::open();
    scene.push(REPO, &Digest::of(b"{}"), b"{}").await;
    scene.keeps("no-layers", IMAGE, &text(&image(b"{}", &[]))).await;
}

#[actix_web::test]
async fn sparse_index_is_taken_and_sparse_image_is_not() {
    let scene = Scene::open();
    let here = scene.image("here").await;
    scene.put_manifest(&Digest::of(&here).to_string(), IMAGE, &here).await.is(201);
    let sparse = text(&index(&[(IMAGE, &here), (IMAGE, b"another architecture")]));
    scene.keeps("sparse-index", INDEX, &sparse).await;
    let torn = text(&image(b"never pushed", &[]));
    scene.put_manifest("sparse-image", IMAGE, &torn).await.refused(400, "MANIFEST_BLOB_UNKNOWN");
}

#[actix_web::test]
async fn bad_digest_image() {
    let scene = Scene::open();
    let image = scene.image("bad").await;
    let digest = Digest::of(&image).to_string();
    let padded = [image, b"  ".to_vec()].concat();
    scene.put_manifest(&digest, IMAGE, &padded).await.refused(400, "DIGEST_INVALID");
    scene.get(&format!("/v2/{REPO}/manifests/{digest}")).await.refused(404, "MANIFEST_UNKNOWN");
}

#[actix_web::test]
async fn what_is_no_manifest_is_refused() {
    let scene = Scene::open();
    let image = scene.image("kind").await;
    let mut both: Value = serde_json::from_slice(&image).unwrap();
    both["manifests"] = json!([]);
    for (kind, body) in [
        (IMAGE, b"not json".to_vec()),
        (IMAGE, b"[]".to_vec()),
        (IMAGE, text(&both)),
        (INDEX, image.clone()),
        ("text/plain", image.clone()),
    ] {
        scene.put_manifest("bad", kind, &body).await.refused(400, "MANIFEST_INVALID");
    }
    scene.put_manifest(".bad", IMAGE, &image).await.refused(400, "MANIFEST_INVALID");
    let with_charset = format!("{IMAGE}; charset=utf-8");
    scene.put_manifest("good", &with_charset, &image).await.is(201);
}

#[actix_web::test]
async fn a_manifest_is_kept_under_a_sha512_digest() {
    let scene = Scene::open();
    let image = scene.image("long").await;
    let digest = digest_by(Algorithm::Sha512, &image);
    let put = scene.put_manifest(&digest.to_string(), IMAGE, &image).await.is(201);
    assert_eq!(put.header("docker-content-digest"), digest.to_string());
    let path = format!("/v2/{REPO}/manifests/{digest}");
    assert_eq!(scene.get(&path).await.is(200).body, image);
    let short = format!("/v2/{REPO}/manifests/{}", Digest::of(&image));
    scene.get(&short).await.refused(404, "MANIFEST_UNKNOWN");
}

#[actix_web::test]
async fn a_push_by_digest_brings_tags_along() {
    let scene = Scene::open();
    let image = scene.image("tagged").await;
    let reference = format!("{}?tag=v1&tag=v1.2", Digest::of(&image));
    let put = scene.put_manifest(&reference, IMAGE, &image).await.is(201);
    let tags: Vec<_> = put.headers.get_all("oci-tag").iter().map(|v| v.to_str().unwrap()).collect();
    assert_eq!(tags, ["v1", "v1.2"]);
    for tag in tags {
        scene.get(&format!("/v2/{REPO}/manifests/{tag}")).await.is(200);
    }
}

#[actix_web::test]
async fn a_tag_that_moves_is_listed_once_and_the_old_manifest_stays() {
    let scene = Scene::open();
    let (old, new) = (scene.image("old").await, scene.image("new").await);
    scene.keeps("latest", IMAGE, &old).await;
    scene.keeps("latest", IMAGE, &new).await;
    let tags = scene.get(&format!("/v2/{REPO}/tags/list")).await.is(200).json();
    assert_eq!(tags["tags"], json!(["latest"]));
    scene.get(&format!("/v2/{REPO}/manifests/{}", Digest::of(&old))).await.is(200);
    // Deleting the tag leaves the manifest, deleting the manifest takes its tags along.
    scene.delete(&format!("/v2/{REPO}/manifests/latest")).await.is(202);
    scene.put_manifest("again", IMAGE, &new).await.is(201);
    scene.delete(&format!("/v2/{REPO}/manifests/{}", Digest::of(&new))).await.is(202);
    scene.get(&format!("/v2/{REPO}/manifests/again")).await.refused(404, "MANIFEST_UNKNOWN");
}

#[actix_web::test]
async fn what_a_client_was_just_told_to_be_there_survives_a_collection() {
    use offline_mirror::oci::Algorithm;
    use offline_mirror::store::Gc;
    let scene = Scene::open();
    let (store, repository) = (scene.store(), REPO.parse().unwrap());
    let long_ago = crate::scene::now().checked_sub(jiff::SignedDuration::from_hours(3)).unwrap();
    for bytes in [b"asked for".as_slice(), b"deleted", b"unasked"] {
        let upload = store.begin_upload(&repository, Algorithm::Sha256, long_ago).unwrap();
        upload.append(bytes).unwrap();
        upload.finish(&Digest::of(bytes), long_ago).unwrap();
    }
    let deleted = text(&image(b"deleted", &[]));
    let path = scene.keeps("v1", IMAGE, &deleted).await.header("location").to_owned();
    scene.delete(&path).await.is(202);
    let blob = |bytes: &[u8]| format!("/v2/{REPO}/blobs/{}", Digest::of(bytes));
    scene.head(&blob(b"asked for")).await.is(200);
    let turn = store.exclusive().unwrap();
    store.gc(&turn, Gc { grace: Gc::GRACE }, crate::scene::now()).unwrap();
    scene.put_manifest("v1", IMAGE, &deleted).await.is(201);
    scene.put_manifest("v2", IMAGE, &text(&image(b"asked for", &[]))).await.is(201);
    let unasked = scene.put_manifest("v3", IMAGE, &text(&image(b"unasked", &[]))).await;
    unasked.refused(400, "MANIFEST_BLOB_UNKNOWN");
}
