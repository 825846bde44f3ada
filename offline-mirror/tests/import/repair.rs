//! Increments: what they presume must be there, and what happens when it is not.

use offline_mirror::bundle::ImageRole;
use offline_mirror::import::{ImportError, ImportRequest};
use offline_mirror::oci::Digest;
use offline_mirror::site::MissingList;
use signing::Sha256Digest;

use crate::hub::Terms;
use crate::maker::{Maker, image};
use crate::scene::{AMD64, ARM64, REPOSITORY, SHARED, Scene, at, request};

/// The second bundle: presumes everything of the first but the tool it brings.
fn increment(scene: &Scene) -> Maker {
    let mut maker = scene.maker("north-2", 2);
    for blob in [SHARED, AMD64, ARM64] {
        maker.require_blob(blob, REPOSITORY);
    }
    maker.add_blob(b"a tool");
    let tool = image(&[b"a tool", SHARED], None);
    maker.carry("tools/git", &tool, &["v2"], ImageRole::Extra);
    for required in &mut maker.required {
        if required.digest == Digest::of(SHARED) {
            required.repositories.push("tools/git".parse().unwrap());
        }
    }
    maker
}

#[actix_web::test]
async fn an_increment_is_taken_in_where_its_base_is_and_links_what_another_repository_has() {
    for to_store in [false, true] {
        let mut scene = Scene::new();
        let first = scene.bundle();
        scene.publish_as(&Terms::of(at(1)), 2, at(1));
        let second = scene.made(&increment(&scene));
        let target = if to_store { scene.to_store() } else { scene.to_registry() };
        scene.import_with(&request(&[&first]), &target).await.unwrap();
        let evidence = scene.import_with(&request(&[&second]), &target).await.unwrap();
        assert_eq!(evidence.bundles[0].sequence, 2);
        if !to_store {
            let shared = Sha256Digest::of(SHARED);
            assert_eq!(scene.server.blob("tools/git", shared).as_deref(), Some(SHARED));
        }
        let ledger = scene.site().ledger().unwrap();
        assert_eq!((ledger.bundles.len(), ledger.newest()), (2, 2));
    }
}

#[actix_web::test]
async fn a_lost_increment_is_named_listed_and_repaired() {
    let mut scene = Scene::new();
    scene.publish_as(&Terms::of(at(1)), 2, at(1));
    let second = scene.made(&increment(&scene));
    let list = scene.folder().join("missing.json");
    let request_2 = ImportRequest { missing_out: Some(list.clone()), ..request(&[&second]) };
    let error = scene.import_with(&request_2, &scene.to_registry()).await.unwrap_err();
    let ImportError::MissingBase { count: 3, bytes, .. } = &error else { panic!("{error:?}") };
    assert_eq!(
        *bytes,
        [SHARED, AMD64, ARM64].map(|blob| u64::try_from(blob.len()).unwrap()).iter().sum::<u64>()
    );
    assert!(error.hint().unwrap().contains("create --repair"), "{error}");
    assert!(error.is_refusal());
    let written = scene.server.asked();
    assert!(!written.iter().any(|line| !line.starts_with("HEAD")), "{written:#?}");
    let read: MissingList = serde_json::from_slice(&std::fs::read(&list).unwrap()).unwrap();
    assert_eq!((read.site.as_str(), read.sequence, read.missing.len()), ("north", 2, 3));

    // What `create --repair` makes of it: just those, under a later sequence.
    let mut scene = scene;
    scene.publish_as(&Terms::of(at(2)), 3, at(2));
    scene.set_hour(3);
    let mut repair = scene.maker("north-3", 3);
    (repair.images, repair.releases, repair.manifests) = (Vec::new(), Vec::new(), Vec::new());
    repair.blobs.retain(|blob| read.missing.iter().any(|m| m.digest == Digest::of(blob)));
    let repair = scene.made(&repair);
    let evidence = scene.import(&[&repair, &second]).await.unwrap();
    let sequences: Vec<u64> = evidence.bundles.iter().map(|bundle| bundle.sequence).collect();
    assert_eq!(sequences, [2, 3]);
    for manifest in [&scene.amd64, &scene.arm64] {
        assert!(scene.server.manifest(REPOSITORY, Sha256Digest::of(manifest)).is_some());
    }
}

#[actix_web::test]
async fn a_manifest_that_is_required_is_not_walked_and_must_be_there() {
    let mut scene = Scene::new();
    let first = scene.bundle();
    scene.import(&[&first]).await.unwrap();
    scene.publish_as(&Terms::of(at(1)), 2, at(1));
    let mut maker = scene.maker("north-2", 2);
    // The images are named, their manifests and blobs are at the site.
    (maker.manifests, maker.blobs) = (Vec::new(), Vec::new());
    for manifest in [&scene.amd64, &scene.arm64] {
        maker.required.push(offline_mirror::bundle::Required {
            digest: Digest::of(manifest),
            size: u64::try_from(manifest.len()).unwrap(),
            repositories: vec![REPOSITORY.parse().unwrap()],
            is_manifest: true,
        });
    }
    maker.required.sort();
    maker.images[0].tags = vec!["v1".parse().unwrap()];
    let second = scene.made(&maker);
    scene.import(&[&second]).await.unwrap();
    let asked = scene.server.asked();
    assert!(asked.contains(&"PUT /v2/acme/app/manifests/v1".to_owned()), "{asked:#?}");
}
