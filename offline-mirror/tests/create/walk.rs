//! Everything about an image is found: children, signatures, attestations, by every way there is.

use offline_mirror::bundle::{CarriedImage, ImageRole};
use offline_mirror::oci::Digest;

use crate::registry::Image;
use crate::scene::{Scene, has};

fn role_of<'a>(images: &'a [CarriedImage], image: &Image) -> Option<&'a ImageRole> {
    images.iter().find(|carried| carried.digest == image.digest).map(|carried| &carried.role)
}

fn subject_of(images: &[CarriedImage], image: &Image) -> Option<Digest> {
    match role_of(images, image)? {
        ImageRole::Referrer { subject } => Some(*subject),
        ImageRole::Release | ImageRole::Extra => None,
    }
}

#[actix_web::test]
async fn referrers_of_every_manifest_of_an_index_are_carried_and_theirs_too() {
    let scene = Scene::new().await;
    let server = &scene.server;
    let [amd64, arm64] = [b"amd64", b"arm64"].map(|layer| server.image("tools/x", &[layer]));
    let inner = server.index("tools/x", &[&arm64]);
    let top = server.index("tools/x", &[&amd64, &inner]);
    server.tag(&top, "1.0");
    let of_top = server.referrer(&top, b"signature of the index");
    let of_child = server.referrer(&arm64, b"sbom of a child");
    let of_referrer = server.referrer(&of_child, b"signature of the sbom");
    let cosign = server.image("tools/x", &[b"cosign"]);
    server.tag(&cosign, &format!("sha256-{}.sig", amd64.digest.hex()));
    let mut request = scene.create_request();
    request.plan.images = vec![format!("{}/tools/x:1.0", server.host).parse().unwrap()];
    let created = scene.create(&request).await.unwrap();
    let reader = scene.open(&created).await;
    let images = &reader.manifest().images;
    assert_eq!(role_of(images, &top), Some(&ImageRole::Extra));
    assert_eq!(subject_of(images, &of_top), Some(top.digest));
    assert_eq!(subject_of(images, &of_child), Some(arm64.digest));
    assert_eq!(subject_of(images, &of_referrer), Some(of_child.digest));
    assert_eq!(subject_of(images, &cosign), Some(amd64.digest));
    let tags = |image: &Image| -> Vec<String> {
        let carried = images.iter().find(|carried| carried.digest == image.digest).unwrap();
        carried.tags.iter().map(ToString::to_string).collect()
    };
    assert_eq!(tags(&top), ["1.0"]);
    assert_eq!(tags(&cosign), [format!("sha256-{}.sig", amd64.digest.hex())]);
    for digest in [amd64.digest, arm64.digest, inner.digest] {
        assert!(reader.has(&digest));
    }
    assert!(has(&reader, b"signature of the sbom") && has(&reader, b"cosign"));
}

#[actix_web::test]
async fn registries_without_the_referrers_api_are_asked_by_tag() {
    let scene = Scene::new().await;
    let image = scene.images[2].clone();
    let signature = scene.server.referrer_by_tag(&image, b"signature");
    let created = scene.create(&scene.create_request()).await.unwrap();
    let reader = scene.open(&created).await;
    assert_eq!(subject_of(&reader.manifest().images, &signature), Some(image.digest));
    assert!(has(&reader, b"signature"));
}

#[actix_web::test]
async fn a_tag_is_pinned_to_what_it_was_at_the_plan() {
    let scene = Scene::new().await;
    let old = scene.server.image("tools/x", &[b"old"]);
    scene.server.tag(&old, "1");
    scene.server.lose(b"old");
    let mut request = scene.create_request();
    request.plan.images = vec![format!("{}/tools/x:1", scene.server.host).parse().unwrap()];
    drop(scene.create(&request).await.unwrap_err());
    let new = scene.server.image("tools/x", &[b"new"]);
    scene.server.tag(&new, "1");
    drop(scene.server.image("tools/x", &[b"old"]));
    let created = scene.create(&request).await.unwrap();
    let reader = scene.open(&created).await;
    assert!(reader.has(&old.digest) && !reader.has(&new.digest));
}
