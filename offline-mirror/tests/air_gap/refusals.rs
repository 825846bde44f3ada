//! Everything that must be refused, by its name, before anything reaches the site.

use channels::wire::Problem;
use offline_mirror::Error;
use signing::{Attack, Sha256Digest};

use crate::hub::{Named, release_document};
use crate::registry::Fault;
use crate::scene::{AMD64, ARM64, REPOSITORY, SHARED, Scene, at, flip_bit};

/// Asserts an error by its kind and its attack.
macro_rules! named {
    ($error:expr, $attack:expr, $pattern:pat $(if $guard:expr)?) => {{
        let error = $error;
        assert!(matches!(&error, $pattern $(if $guard)?), "{error:?}");
        assert_eq!(error.attack(), $attack, "{error:?}");
        assert!(error.is_refusal(), "{error:?}");
    }};
}

async fn exported() -> Scene {
    let scene = Scene::new();
    scene.export().await.unwrap();
    scene
}

#[actix_web::test]
async fn a_flipped_bit_in_a_blob_is_refused() {
    let scene = exported().await;
    flip_bit(&scene.blob_path(Sha256Digest::of(ARM64)));
    named!(scene.refused().await, Some(Attack::ArbitrarySoftware), Error::Digest { .. });
}

#[actix_web::test]
async fn a_truncated_blob_is_refused() {
    let scene = exported().await;
    let path = scene.blob_path(Sha256Digest::of(SHARED));
    std::fs::write(path, &SHARED[..10]).unwrap();
    let attack = Some(Attack::ArbitrarySoftware);
    named!(scene.refused().await, attack, Error::Size { found: 10, .. });
}

#[actix_web::test]
async fn a_missing_blob_is_refused() {
    let scene = exported().await;
    let digest = Sha256Digest::of(AMD64);
    std::fs::remove_file(scene.blob_path(digest)).unwrap();
    let named = digest.to_string();
    named!(scene.refused().await, None, Error::Missing { what, .. } if what.contains(&named));
}

#[actix_web::test]
async fn a_missing_manifest_is_refused() {
    let scene = exported().await;
    std::fs::remove_file(scene.blob_path(scene.amd64)).unwrap();
    named!(scene.refused().await, None, Error::Missing { what, .. } if what.contains("manifest"));
}

#[actix_web::test]
async fn a_manifest_with_another_digest_is_refused() {
    let scene = exported().await;
    // A well-formed manifest whose every blob is there, but not the one the release names.
    std::fs::copy(scene.blob_path(scene.arm64), scene.blob_path(scene.amd64)).unwrap();
    let (amd64, arm64) = (scene.amd64, scene.arm64);
    named!(
        scene.refused().await,
        Some(Attack::ArbitrarySoftware),
        Error::Digest { expected, found, .. } if (*expected, *found) == (amd64, arm64)
    );
}

#[actix_web::test]
async fn a_change_in_any_metadata_file_is_refused() {
    let scene = exported().await;
    let mut seen = Vec::new();
    for path in scene.tuf_files("metadata") {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let good = std::fs::read_to_string(&path).unwrap();
        // One digit of the first signature: still well-formed, no longer signed.
        let at = good.find("\"sig\":\"").unwrap() + 7;
        let digit = if &good[at..=at] == "0" { "1" } else { "0" };
        let bad = format!("{}{digit}{}", &good[..at], &good[at + 1..]);
        std::fs::write(&path, bad).unwrap();
        let attack = match name.as_str() {
            // Pinned at the site: no client reads the copy, but the record knows it.
            "1.root.json" => {
                named!(
                    scene.refused().await,
                    Some(Attack::ArbitrarySoftware),
                    Error::Digest { what, .. } if what.contains("1.root.json")
                );
                std::fs::write(&path, good).unwrap();
                seen.push(name);
                continue;
            }
            "2.root.json" | "timestamp.json" => Attack::ArbitrarySoftware,
            _ => Attack::MixAndMatch,
        };
        named!(scene.refused().await, Some(attack), Error::Trust { .. });
        std::fs::remove_file(&path).unwrap();
        if name != "2.root.json" {
            let gone = scene.refused().await;
            assert!(matches!(gone, Error::Trust { .. } | Error::NotListed { .. }), "{gone:?}");
        }
        std::fs::write(&path, good).unwrap();
        seen.push(name);
    }
    assert_eq!(seen.iter().filter(|name| !name.ends_with(".snapshot.json")).count(), 7, "{seen:?}");
    scene.import().await.unwrap();
}

#[actix_web::test]
async fn a_change_in_any_target_is_refused() {
    let scene = exported().await;
    let files = scene.tuf_files("targets");
    assert_eq!(files.len(), 2, "release and graph");
    for path in files {
        flip_bit(&path);
        named!(scene.refused().await, Some(Attack::ArbitrarySoftware), Error::Trust { .. });
        flip_bit(&path);
    }
    scene.import().await.unwrap();
}

#[actix_web::test]
async fn another_products_release_under_our_path_is_wrong_software() {
    for (product, version) in [("other", "1.2.0"), ("app", "1.1.0")] {
        let scene = Scene::with_document(|scene| {
            let digest = scene.amd64;
            let image = Named { arch: "amd64", repository: REPOSITORY, digest };
            release_document(product, version, &[image])
        });
        let found = format!("acme/{product} {version}");
        named!(
            scene.export().await.unwrap_err(),
            Some(Attack::WrongSoftware),
            Error::WrongSoftware { found: f, .. } if *f == found
        );
        assert!(!scene.dir().exists());
    }
}

#[actix_web::test]
async fn wrong_software_is_found_at_the_import_too() {
    let scene = exported().await;
    // An exporter that does not check: the same directory with a hub whose vendor signed a
    // document about something else.
    let other = Scene::with_document(|other| {
        let digest = other.amd64;
        release_document(
            "other",
            "1.2.0",
            &[Named { arch: "amd64", repository: REPOSITORY, digest }],
        )
    });
    let tuf = scene.dir().join("tuf");
    std::fs::remove_dir_all(&tuf).unwrap();
    for (path, bytes) in other.hub.files() {
        let path = tuf.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
    named!(scene.refused().await, Some(Attack::WrongSoftware), Error::WrongSoftware { .. });
}

#[actix_web::test]
async fn a_repository_name_that_leaves_its_place_is_refused() {
    let scene = Scene::with_document(|scene| {
        let (repository, digest) = ("acme/../other", scene.amd64);
        release_document("app", "1.2.0", &[Named { arch: "amd64", repository, digest }])
    });
    let error = scene.export().await.unwrap_err();
    assert!(matches!(error, Error::Name { what: "repository", .. }), "{error:?}");
}

#[actix_web::test]
async fn metadata_that_expired_on_the_shelf_is_a_freeze() {
    let scene = exported().await;
    let request = scene.import_request();
    let error = scene.import_with(&request, at(25)).await.unwrap_err();
    assert_eq!(scene.site.asked(), Vec::<String>::new());
    named!(error, Some(Attack::Freeze), Error::Trust { .. });
}

#[actix_web::test]
async fn an_older_export_after_a_newer_one_is_a_rollback() {
    let mut scene = exported().await;
    let older = [scene.tuf_files("metadata"), vec![scene.dir().join("export.json")]].concat();
    let older = older.into_iter().map(|path| (path.clone(), std::fs::read(path)));
    let older: Vec<_> = older.map(|(path, bytes)| (path, bytes.unwrap())).collect();
    scene.publish_again(2, at(1));
    scene.export().await.unwrap();
    let mut request = scene.import_request();
    request.state = Some(scene.state());
    scene.import_with(&request, at(2)).await.unwrap();
    scene.import_with(&request, at(2)).await.unwrap();
    scene.site.asked();

    for (path, bytes) in older {
        std::fs::write(path, bytes).unwrap();
    }
    let error = scene.import_with(&request, at(2)).await.unwrap_err();
    assert_eq!(scene.site.asked(), Vec::<String>::new());
    named!(error, Some(Attack::Rollback), Error::Trust { .. });
    request.state = None;
    scene.import_with(&request, at(2)).await.unwrap();
}

#[actix_web::test]
async fn a_registry_that_sends_more_than_declared_is_endless_data() {
    let scene = Scene::new();
    let layer = Sha256Digest::of(AMD64);
    scene.upstream.fault(layer, Fault::Instead([AMD64, b"!"].concat()));
    let length = u64::try_from(AMD64.len()).unwrap();
    let attack = Some(Attack::EndlessData);
    named!(scene.export().await.unwrap_err(), attack, Error::Endless { limit, .. } if *limit == length);
    assert!(!scene.blob_path(layer).exists());
    assert_eq!(std::fs::read_dir(scene.dir().join("blobs")).unwrap().count(), 1, "no left-overs");
}

#[actix_web::test]
async fn a_registry_that_sends_an_endless_manifest_is_refused() {
    let scene = Scene::new();
    scene.upstream.fault(scene.amd64, Fault::Instead(vec![b' '; 5 * 1024 * 1024]));
    let attack = Some(Attack::EndlessData);
    named!(scene.export().await.unwrap_err(), attack, Error::Endless { .. });
}

#[actix_web::test]
async fn a_registry_that_serves_other_bytes_is_refused() {
    let scene = Scene::new();
    let layer = Sha256Digest::of(AMD64);
    let mut other = AMD64.to_vec();
    other[0] ^= 1;
    scene.upstream.fault(layer, Fault::Instead(other));
    let attack = Some(Attack::ArbitrarySoftware);
    named!(
        scene.export().await.unwrap_err(),
        attack,
        Error::Digest { expected, .. } if *expected == layer
    );
    scene.upstream.mend();
    scene.upstream.fault(layer, Fault::Instead(AMD64[..5].to_vec()));
    named!(scene.export().await.unwrap_err(), attack, Error::Size { found: 5, .. });
    scene.upstream.mend();
    // A good manifest of another image.
    let bytes = scene.upstream.manifest(REPOSITORY, scene.arm64).unwrap();
    scene.upstream.fault(scene.amd64, Fault::Instead(bytes));
    std::fs::remove_file(scene.blob_path(scene.amd64)).unwrap();
    let arm64 = scene.arm64;
    named!(
        scene.export().await.unwrap_err(),
        attack,
        Error::Digest { found, .. } if *found == arm64
    );
    assert!(matches!(scene.refused().await, Error::NotAnExport { .. }));
}

#[actix_web::test]
async fn indexes_nested_too_deep_are_refused() {
    let nested = |levels: usize| {
        Scene::with_image(|upstream| {
            let image = upstream.put_image(REPOSITORY, &[SHARED]);
            (0..levels).fold(image, |child, _| upstream.put_index(REPOSITORY, &[child]))
        })
    };
    nested(4).export().await.unwrap();
    named!(
        nested(5).export().await.unwrap_err(),
        None,
        Error::Manifest { why, .. } if why.contains("inside each other")
    );
}

#[actix_web::test]
async fn a_directory_without_a_record_is_refused() {
    let scene = exported().await;
    std::fs::remove_file(scene.dir().join("export.json")).unwrap();
    named!(scene.refused().await, None, Error::NotAnExport { why, .. } if why.contains("finish"));
}

#[actix_web::test]
async fn a_record_that_leaves_out_images_is_refused() {
    let scene = exported().await;
    let path = scene.dir().join("export.json");
    let good: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let refused = async |edit: &dyn Fn(&mut serde_json::Value)| {
        let mut bad = good.clone();
        edit(&mut bad);
        std::fs::write(&path, bad.to_string()).unwrap();
        scene.refused().await
    };
    let error = refused(&|record| {
        record["images"].as_array_mut().unwrap().pop();
    });
    named!(error.await, None, Error::NotAnExport { why, .. } if why.contains("other images"));
    let error = refused(&|record| record["arches"] = serde_json::json!([]));
    named!(error.await, None, Error::NotAnExport { why, .. } if why.contains("no architecture"));
    let error = refused(&|record| record["images"][0]["repository"] = "acme/evil".into());
    named!(error.await, None, Error::NotAnExport { why, .. } if why.contains("other images"));
    let error = refused(&|record| record["version"] = "1.3.0".into());
    named!(error.await, None, Error::NotListed { .. });
    let error = refused(&|record| record["format"] = 2.into());
    named!(error.await, None, Error::NotAnExport { why, .. } if why.contains("format 2"));
}

#[actix_web::test]
async fn another_root_than_the_hubs_believes_nothing() {
    let scene = exported().await;
    let mut request = scene.import_request();
    request.root = b"{}".to_vec();
    let error = scene.import_with(&request, at(2)).await.unwrap_err();
    assert!(matches!(error, Error::Trust { ref what, .. } if what.contains("pinned root")));
}

#[actix_web::test]
async fn the_update_servers_refusal_keeps_its_words_and_its_attack() {
    let scene = exported().await;
    scene.site.refuse_publications(Problem {
        kind: "/problems/publication-refused".to_owned(),
        title: "Publication refused".to_owned(),
        status: 422,
        detail: "acme.releases went back to version 1".to_owned(),
        attack: Some("rollback".to_owned()),
        last_seq: None,
    });
    named!(
        scene.import().await.unwrap_err(),
        Some(Attack::Rollback),
        Error::Refused { status: 422, detail, .. } if detail.contains("went back")
    );
}
