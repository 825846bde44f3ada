//! Manifests, referrers and tags from registries that have them in their own way.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use offline_mirror::oci::{Digest, INDEX_TYPES, MANIFEST_BYTES_MAX, MANIFEST_TYPES};
use offline_mirror::registry::{Reference, RegistryError, referrers_tag};
use serde_json::json;
use signing::Attack;

use crate::scene::{descriptor, registry, repository};
use crate::server::{Reply, Server};

/// An artifact about `subject`, or an image about nothing.
fn manifest(about: Option<&[u8]>) -> Vec<u8> {
    let config = descriptor(b"{}");
    let mut document = json!({
        "schemaVersion": 2, "mediaType": MANIFEST_TYPES[0], "artifactType": "x/sbom",
        "config": config, "layers": [], "annotations": {"k": "v"},
    });
    if let Some(about) = about {
        document["subject"] = json!(descriptor(about));
    }
    document.to_string().into_bytes()
}

fn served(bytes: &[u8]) -> Reply {
    Reply::new(200, bytes).with("content-type", MANIFEST_TYPES[0])
}

async fn ask(reply: Reply, reference: Reference) -> Result<Digest, RegistryError> {
    let server = Server::start(move |_| reply.clone()).await;
    registry(&server).manifest(&repository(), &reference).await.map(|fetched| fetched.digest)
}

fn tag(text: &str) -> Reference {
    Reference::Tag(text.parse().unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_manifest_is_checked_over_its_raw_bytes() {
    let bytes = manifest(None);
    let digest = Digest::of(&bytes);
    assert_eq!(ask(served(&bytes), digest.into()).await.unwrap(), digest);
    let with_charset =
        Reply::new(200, &*bytes).with("content-type", &format!("{}; x=y", MANIFEST_TYPES[0]));
    assert_eq!(ask(with_charset, tag("v1")).await.unwrap(), digest);
    let mut spaced = bytes.clone();
    spaced.push(b' ');
    let error = ask(served(&spaced), digest.into()).await.unwrap_err();
    assert_eq!(error.attack(), Some(Attack::ArbitrarySoftware));
    let lie = served(&bytes).with("docker-content-digest", &Digest::of(b"x").to_string());
    let error = ask(lie, tag("v1")).await.unwrap_err();
    assert!(matches!(error, RegistryError::Digest { found, .. } if found == digest));
}

#[tokio::test(start_paused = true)]
async fn a_manifest_served_as_something_else_is_wrong_software() {
    let bytes = manifest(None);
    for served in [INDEX_TYPES[0], MANIFEST_TYPES[1], "text/html"] {
        let reply = Reply::new(200, &*bytes).with("content-type", served);
        let error = ask(reply, tag("v1")).await.unwrap_err();
        assert_eq!(error.attack(), Some(Attack::WrongSoftware), "{error}");
    }
    let error = ask(Reply::new(200, "<html>"), tag("v1")).await.unwrap_err();
    assert!(matches!(error, RegistryError::Manifest { .. }));
}

#[tokio::test(start_paused = true)]
async fn a_manifest_without_end_is_endless_data() {
    let endless = Reply::steps(200, vec![crate::server::Step::Forever(vec![b' '; 65536])]);
    let error = ask(endless, tag("v1")).await.unwrap_err();
    assert_eq!(error.attack(), Some(Attack::EndlessData));
    let large = Reply::new(200, vec![b' '; MANIFEST_BYTES_MAX + 1]);
    assert_eq!(ask(large, tag("v1")).await.unwrap_err().attack(), Some(Attack::EndlessData));
}

/// A registry of manifests by name, with or without the referrers API.
async fn store(has_api: bool) -> (Server, Arc<Mutex<BTreeMap<String, usize>>>) {
    let puts: Arc<Mutex<BTreeMap<String, usize>>> = Arc::default();
    let names = Arc::clone(&puts);
    let server = Server::start(move |asked| {
        let name = asked.path.rsplit('/').next().unwrap().to_owned();
        match asked.method.as_str() {
            "PUT" => {
                *names.lock().unwrap().entry(name).or_default() += 1;
                let reply = Reply::new(201, "");
                if has_api { reply.with("oci-subject", "sha256:x") } else { reply }
            }
            _ => Reply::new(404, ""),
        }
    });
    (server.await, puts)
}

#[tokio::test(start_paused = true)]
async fn with_the_api_a_referrer_is_one_push() {
    let (server, puts) = store(true).await;
    let bytes = manifest(Some(b"image"));
    let digest = Digest::of(&bytes);
    let pushed = registry(&server)
        .push_manifest(&repository(), &digest.into(), MANIFEST_TYPES[0], bytes)
        .await;
    assert_eq!(pushed.unwrap(), digest);
    assert_eq!(puts.lock().unwrap().len(), 1);
}

/// A registry without the referrers API that holds what is put; `loses` writes of the fallback tag
/// are overwritten by someone else.
async fn without_api(mut loses: usize, fallback: String) -> Server {
    let mut held: BTreeMap<String, Reply> = BTreeMap::new();
    let server = Server::start_whole(move |asked| {
        let name = asked.path.rsplit('/').next().unwrap().to_owned();
        match asked.method.as_str() {
            "PUT" if name == fallback && loses > 0 => {
                loses -= 1;
                Reply::new(201, "")
            }
            "PUT" => {
                let media_type = asked.header("content-type").unwrap().to_owned();
                let reply = Reply::new(200, asked.body.clone()).with("content-type", &media_type);
                held.insert(name, reply);
                Reply::new(201, "")
            }
            _ => held.get(&name).cloned().unwrap_or_else(|| Reply::new(404, "")),
        }
    });
    server.await
}

#[tokio::test(start_paused = true)]
async fn without_the_api_referrers_are_listed_under_the_fallback_tag() {
    let subject = Digest::of(b"image");
    let fallback = referrers_tag(&subject).unwrap().to_string();
    let server = without_api(2, fallback).await;
    let registry = registry(&server);
    assert_eq!(registry.referrers(&repository(), &subject).await.unwrap(), []);
    let (one, mut two) = (manifest(Some(b"image")), manifest(Some(b"image")));
    two.push(b'\n');
    for bytes in [&one, &two, &one] {
        let name = Digest::of(bytes).into();
        let pushed =
            registry.push_manifest(&repository(), &name, MANIFEST_TYPES[0], bytes.clone()).await;
        pushed.unwrap();
    }
    let found = registry.referrers(&repository(), &subject).await.unwrap();
    let digests: Vec<_> = found.iter().map(|one| one.digest).collect();
    assert_eq!(digests, [Digest::of(&one), Digest::of(&two)]);
    assert_eq!(found[0].artifact_type.as_deref(), Some("x/sbom"));
    assert_eq!(found[0].annotations["k"], "v");
}

#[tokio::test(start_paused = true)]
async fn a_fallback_tag_that_never_keeps_anything_is_named() {
    let fallback = referrers_tag(&Digest::of(b"image")).unwrap().to_string();
    let server = without_api(usize::MAX, fallback).await;
    let bytes = manifest(Some(b"image"));
    let name = Digest::of(&bytes).into();
    let error = registry(&server)
        .push_manifest(&repository(), &name, MANIFEST_TYPES[0], bytes)
        .await
        .unwrap_err();
    assert!(matches!(error, RegistryError::Protocol { .. }), "{error}");
}

fn page(entries: &[&[u8]]) -> Reply {
    let manifests: Vec<_> = entries.iter().map(|bytes| descriptor(bytes)).collect();
    let text = json!({"schemaVersion": 2, "mediaType": INDEX_TYPES[0], "manifests": manifests});
    Reply::new(200, text.to_string()).with("content-type", INDEX_TYPES[0])
}

#[tokio::test(start_paused = true)]
async fn referrers_are_followed_over_pages_and_each_is_told_once() {
    let subject = Digest::of(b"image");
    let path = format!("/v2/acme/kafka/referrers/{subject}");
    let first = path.clone();
    let server = Server::start(move |asked| {
        if asked.path == first {
            page(&[b"a", b"b"]).with("link", &format!("<{first}?last=b>; rel=\"next\""))
        } else {
            page(&[b"b", b"c"])
        }
    })
    .await;
    let found = registry(&server).referrers(&repository(), &subject).await.unwrap();
    let digests: Vec<_> = found.iter().map(|one| one.digest).collect();
    assert_eq!(digests, [b"a", b"b", b"c"].map(|bytes| Digest::of(bytes)));
    assert_eq!(server.lines()[1], format!("GET {path}?last=b"));
}

#[tokio::test(start_paused = true)]
async fn pages_end_and_stay_at_the_registry() {
    let endless = Server::start(|_| {
        Reply::new(200, r#"{"tags":["a"]}"#).with("link", "</v2/acme/kafka/tags/list>; rel=next")
    })
    .await;
    let error = registry(&endless).tags(&repository()).await.unwrap_err();
    assert!(matches!(error, RegistryError::Endless { unit: "pages", .. }));
    let away = Server::start(|_| {
        Reply::new(200, r#"{"tags":["a"]}"#).with("link", "<http://127.0.0.1:1/x>; rel=next")
    })
    .await;
    let error = registry(&away).tags(&repository()).await.unwrap_err();
    assert!(matches!(error, RegistryError::Protocol { .. }), "{error}");
}

#[tokio::test(start_paused = true)]
async fn tags_come_over_pages_and_what_is_no_tag_is_left_out() {
    let server = Server::start(|asked| match asked.path.as_str() {
        "/v2/acme/kafka/tags/list?n=1000" => Reply::new(200, r#"{"tags":["a","../x"]}"#)
            .with("link", "</v2/acme/kafka/tags/list?last=a>; rel=\"next\""),
        _ => Reply::new(200, r#"{"name":"x","tags":null}"#),
    })
    .await;
    let tags = registry(&server).tags(&repository()).await.unwrap();
    assert_eq!(tags.iter().map(ToString::to_string).collect::<Vec<_>>(), ["a"]);
    assert_eq!(server.log().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn deleting_says_whether_it_was_there_and_when_it_is_switched_off() {
    let said = r#"{"errors":[{"code":"UNSUPPORTED","message":"off"}]}"#;
    for (status, body) in [(202, ""), (404, ""), (405, said), (400, said)] {
        let server = Server::start(move |_| Reply::new(status, body)).await;
        let name = Digest::of(b"x").into();
        match registry(&server).delete_manifest(&repository(), &name).await {
            Ok(was_there) => assert_eq!(was_there, status == 202),
            Err(error) => {
                assert!(matches!(error, RegistryError::Unsupported { .. }), "{error}");
                assert_eq!(body, said);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn cosigns_tags_are_looked_up_by_their_scheme() {
    let digest = Digest::of(b"x");
    let server =
        Server::start(|asked| Reply::new(if asked.path.contains(".sig") { 200 } else { 404 }, ""))
            .await;
    let found = registry(&server).cosign_tags(&repository(), &digest).await.unwrap();
    let expected = format!("sha256-{}.sig", digest.hex());
    assert_eq!(found.iter().map(ToString::to_string).collect::<Vec<_>>(), [expected]);
}

#[tokio::test(start_paused = true)]
async fn asking_for_twenty_images_that_are_there_takes_twenty_requests() {
    let server =
        Server::start(|asked| Reply::new(if asked.path.ends_with("v7") { 404 } else { 200 }, ""))
            .await;
    let registry = registry(&server);
    let wanted: Vec<_> = (0..20).map(|n| (repository(), tag(&format!("v{n}")))).collect();
    let found = registry.has_manifests(&wanted).await.unwrap();
    let expected: Vec<_> = (0..20).map(|n| n != 7).collect();
    assert_eq!(found, expected);
    assert_eq!(registry.requests(), 20);
}
