//! What crosses the gap, in which order, and what a second run costs.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use offline_mirror::{Error, ExportRecord, Registry, RegistryAccess, export, import};
use signing::Sha256Digest;

use crate::registry::{Fault, SignIn};
use crate::scene::{
    AMD64, ARM64, GRAPH, RELEASE, REPOSITORY, SHARED, Scene, at, flip_bit, registry,
    registry_of_ann,
};

/// How many of `lines` begin with `start`.
fn count(lines: &[String], start: &str) -> usize {
    lines.iter().filter(|line| line.starts_with(start)).count()
}

#[actix_web::test]
async fn a_release_crosses_the_gap_byte_for_byte() {
    let scene = Scene::new();
    let exported = scene.export().await.unwrap();
    assert_eq!(exported.fetched.objects, 6, "2 manifests, 1 config, 3 layers");
    assert_eq!(exported.record, ExportRecord::read(&scene.dir()).unwrap());

    let imported = scene.import().await.unwrap();
    assert_eq!((imported.verified.objects, imported.pushed.objects), (6, 5 - 1));
    for digest in [scene.amd64, scene.arm64] {
        let manifest = scene.site.manifest(REPOSITORY, digest);
        assert_eq!(manifest, scene.upstream.manifest(REPOSITORY, digest));
        assert!(manifest.is_some());
    }
    for layer in [SHARED, AMD64, ARM64, b"{}"] {
        let digest = Sha256Digest::of(layer);
        assert_eq!(scene.site.blob(REPOSITORY, digest).as_deref(), Some(layer));
    }
    let [publication] = &scene.site.publications()[..] else { panic!("one publication") };
    let hub = scene.hub.files();
    let mut carried = Vec::new();
    for file in &publication.files {
        let bytes = STANDARD.decode(&file.base64).unwrap();
        let at_hub = match file.path.strip_prefix("targets/") {
            Some(path) => {
                let (folder, name) = path.rsplit_once('/').unwrap();
                let hex = Sha256Digest::of(&bytes).hex();
                hub.get(&format!("targets/{folder}/{hex}.{name}"))
            }
            None => hub.get(&file.path),
        };
        assert_eq!(at_hub, Some(&bytes), "{}", file.path);
        carried.push(file.path.as_str());
    }
    carried.sort_unstable();
    let (graph, release) = (format!("targets/{GRAPH}"), format!("targets/{RELEASE}"));
    let roles = ["1.acme.channels", "1.acme", "1.acme.releases"]
        .map(|role| format!("metadata/{role}.json"));
    let mut expected = vec![graph, release];
    expected.extend(roles);
    expected.sort_unstable();
    assert_eq!(carried, expected);
}

#[actix_web::test]
async fn blobs_come_before_manifests_and_the_publication_last() {
    let scene = Scene::new();
    scene.export().await.unwrap();
    scene.import().await.unwrap();
    let asked = scene.site.asked();
    let last_blob = asked.iter().rposition(|l| l.contains("/blobs/")).unwrap();
    let first_manifest = asked.iter().position(|l| l.contains("/manifests/")).unwrap();
    assert!(last_blob < first_manifest, "{asked:#?}");
    assert_eq!(asked.last().unwrap(), "POST /api/v1/publications");
    assert_eq!(count(&asked, "POST /api/"), 1);
}

#[actix_web::test]
async fn an_index_is_pushed_after_the_children_it_shares_with_another_index() {
    let scene = Scene::with_image(|upstream| {
        let one = upstream.put_image(REPOSITORY, &[b"one"]);
        let two = upstream.put_image(REPOSITORY, &[b"two"]);
        let inner = upstream.put_index(REPOSITORY, &[one, two]);
        upstream.put_index(REPOSITORY, &[two, inner, one])
    });
    scene.export().await.unwrap();
    // The site refuses a manifest whose children it does not have.
    scene.import().await.unwrap();
}

#[actix_web::test]
async fn a_second_export_fetches_only_what_is_missing() {
    let scene = Scene::new();
    scene.export().await.unwrap();
    assert_eq!(count(&scene.upstream.asked(), "GET /v2/acme/app/"), 6);
    let again = scene.export().await.unwrap();
    assert_eq!((again.fetched.objects, again.kept.objects), (0, 6));
    assert_eq!(scene.upstream.asked(), Vec::<String>::new());

    let lost = Sha256Digest::of(AMD64);
    std::fs::remove_file(scene.blob_path(lost)).unwrap();
    scene.export().await.unwrap();
    assert_eq!(scene.upstream.asked(), [format!("GET /v2/acme/app/blobs/{lost}")]);
    scene.import().await.unwrap();
}

#[actix_web::test]
async fn what_rotted_in_the_directory_is_fetched_again() {
    let scene = Scene::new();
    scene.export().await.unwrap();
    scene.upstream.asked();
    let layer = Sha256Digest::of(SHARED);
    flip_bit(&scene.blob_path(layer));
    flip_bit(&scene.blob_path(scene.arm64));
    let again = scene.export().await.unwrap();
    assert_eq!((again.fetched.objects, again.kept.objects), (2, 4));
    let mut asked = scene.upstream.asked();
    asked.sort_unstable();
    let blob = format!("GET /v2/acme/app/blobs/{layer}");
    assert_eq!(asked, [blob, format!("GET /v2/acme/app/manifests/{}", scene.arm64)]);
    scene.import().await.unwrap();
}

#[actix_web::test]
async fn importing_twice_pushes_no_blob_again() {
    let scene = Scene::new();
    scene.export().await.unwrap();
    let first = scene.import().await.unwrap();
    assert!(first.publication.unwrap().changed);
    scene.site.asked();
    let second = scene.import().await.unwrap();
    assert_eq!(second.pushed.objects, 0);
    // The config and the shared layer are looked up for each image.
    assert_eq!(second.present.objects, 6);
    assert!(!second.publication.unwrap().changed);
    let asked = scene.site.asked();
    assert_eq!(asked.iter().filter(|l| l.contains("uploads")).count(), 0, "{asked:#?}");
}

#[actix_web::test]
async fn some_of_the_architectures_are_carried_and_imported() {
    let scene = Scene::new();
    let mut request = scene.export_request();
    request.arches = vec!["arm64".parse().unwrap()];
    let exported = scene.export_with(&request).await.unwrap();
    assert_eq!(exported.record.arches, request.arches);
    assert!(!scene.blob_path(scene.amd64).exists());
    scene.import().await.unwrap();
    assert!(scene.site.manifest(REPOSITORY, scene.arm64).is_some());
    assert!(scene.site.manifest(REPOSITORY, scene.amd64).is_none());
    scene.site.asked();

    let mut request = scene.import_request();
    request.arches = vec!["amd64".parse().unwrap()];
    let error = scene.import_with(&request, at(2)).await.unwrap_err();
    assert!(matches!(&error, Error::NotAnExport { why, .. } if why.contains("amd64")), "{error}");
    assert_eq!(scene.site.asked(), Vec::<String>::new());
}

#[actix_web::test]
async fn an_architecture_the_release_does_not_have_is_not_listed() {
    let scene = Scene::new();
    let mut request = scene.export_request();
    request.arches = vec!["s390x".parse().unwrap()];
    let error = scene.export_with(&request).await.unwrap_err();
    assert!(matches!(error, Error::NotListed { .. }), "{error}");
    assert!(!scene.dir().exists(), "nothing is written before all is known");
}

#[actix_web::test]
async fn an_index_over_two_architectures_is_carried_whole() {
    let scene = Scene::with_image(|upstream| {
        let amd64 = upstream.put_image(REPOSITORY, &[SHARED, AMD64]);
        let arm64 = upstream.put_image(REPOSITORY, &[SHARED, ARM64]);
        upstream.put_index(REPOSITORY, &[amd64, arm64])
    });
    let mut request = scene.export_request();
    request.arches = vec!["amd64".parse().unwrap()];
    scene.export_with(&request).await.unwrap();
    let imported = scene.import().await.unwrap();
    assert_eq!(imported.verified.objects, 7, "3 manifests, 1 config, 3 layers");
    assert!(scene.site.manifest(REPOSITORY, scene.arm64).is_some());
}

#[actix_web::test]
async fn a_broken_download_leaves_no_export_and_the_next_run_completes_it() {
    let scene = Scene::new();
    let layer = Sha256Digest::of(AMD64);
    scene.upstream.fault(layer, Fault::BreakAfter(5));
    let error = scene.export().await.unwrap_err();
    assert!(matches!(error, Error::Download { .. }), "{error:?}");
    assert!(!error.is_refusal());
    let refused = scene.refused().await;
    assert!(matches!(refused, Error::NotAnExport { .. }), "{refused}");
    scene.upstream.mend();
    scene.export().await.unwrap();
    scene.import().await.unwrap();
}

#[actix_web::test]
async fn a_download_goes_on_where_an_earlier_run_stopped() {
    let scene = Scene::new();
    let layer = Sha256Digest::of(AMD64);
    let blobs = scene.dir().join("blobs");
    std::fs::create_dir_all(&blobs).unwrap();
    std::fs::write(blobs.join(format!("{}.partial", layer.hex())), &AMD64[..9]).unwrap();
    scene.export().await.unwrap();
    let asked = scene.upstream.asked();
    assert!(asked.contains(&format!("GET /v2/acme/app/blobs/{layer} bytes=9-")), "{asked:#?}");
    scene.import().await.unwrap();
}

#[actix_web::test]
async fn a_bad_left_over_start_is_thrown_away() {
    let scene = Scene::new();
    let layer = Sha256Digest::of(AMD64);
    let blobs = scene.dir().join("blobs");
    std::fs::create_dir_all(&blobs).unwrap();
    std::fs::write(blobs.join(format!("{}.partial", layer.hex())), b"rubbish").unwrap();
    scene.export().await.unwrap();
    let asked = scene.upstream.asked();
    let url = format!("GET /v2/acme/app/blobs/{layer}");
    assert_eq!(count(&asked, &url), 2, "{asked:#?}");
    assert!(asked.contains(&url), "the second time from the start: {asked:#?}");
    scene.import().await.unwrap();
}

#[actix_web::test]
async fn a_failed_export_leaves_the_finished_one_alone_until_the_hub_is_believed() {
    let scene = Scene::new();
    scene.export().await.unwrap();
    let mut request = scene.export_request();
    request.version = "9.9.9".parse().unwrap();
    let error = scene.export_with(&request).await.unwrap_err();
    assert!(matches!(error, Error::NotListed { .. }), "{error}");
    scene.import().await.unwrap();
}

#[actix_web::test]
async fn a_site_that_pinned_an_older_root_than_the_exporter_can_import() {
    let scene = Scene::new();
    let mut request = scene.export_request();
    request.root.clone_from(&scene.hub.root_2);
    scene.export_with(&request).await.unwrap();
    let imported = scene.import().await.unwrap();
    assert!(imported.publication.is_some());
}

/// Export and import with registries that ask for a user.
async fn cross(scene: &Scene, from: &Registry, to: &Registry) -> Result<(), Error> {
    export(&scene.export_request(), scene.hub.source(), from, at(1)).await?;
    import(&scene.import_request(), Some(to), None, at(2)).await?;
    Ok(())
}

#[actix_web::test]
async fn registries_that_want_a_user_get_one() {
    for sign_in in [SignIn::Basic, SignIn::Bearer("t1".to_owned())] {
        let scene = Scene::new();
        scene.upstream.require(sign_in.clone());
        scene.site.require(sign_in);
        let from = registry_of_ann(&scene.upstream.host, "secret");
        let to = registry_of_ann(&scene.site.host, "secret");
        cross(&scene, &from, &to).await.unwrap();
        assert!(scene.site.manifest(REPOSITORY, scene.amd64).is_some());
    }
}

#[actix_web::test]
async fn a_user_the_registry_does_not_know_gets_nothing() {
    for sign_in in [SignIn::Basic, SignIn::Bearer("t1".to_owned())] {
        let scene = Scene::new();
        scene.upstream.require(sign_in);
        let to = registry(&scene.site.host);
        for from in [registry(&scene.upstream.host), registry_of_ann(&scene.upstream.host, "no")] {
            let error = cross(&scene, &from, &to).await.unwrap_err();
            let expected =
                matches!(error, Error::Status { status: 401, .. } | Error::Registry { .. });
            assert!(expected && !error.is_refusal(), "{error:?}");
            assert!(!format!("{error:?} {from:?}").contains("\"no\""), "no password in messages");
        }
    }
}

#[actix_web::test]
async fn a_token_that_ran_out_is_renewed() {
    let scene = Scene::new();
    scene.upstream.require(SignIn::Bearer("t1".to_owned()));
    let from = registry_of_ann(&scene.upstream.host, "secret");
    let source = || scene.hub.source();
    export(&scene.export_request(), source(), &from, at(1)).await.unwrap();
    scene.upstream.require(SignIn::Bearer("t2".to_owned()));
    std::fs::remove_file(scene.blob_path(Sha256Digest::of(AMD64))).unwrap();
    let again = export(&scene.export_request(), source(), &from, at(1)).await.unwrap();
    assert_eq!(again.fetched.objects, 1);
}

#[actix_web::test]
async fn a_shared_site_registry_takes_everything_below_a_prefix() {
    let scene = Scene::new();
    let to = Registry::new(RegistryAccess {
        host: scene.site.host.clone(),
        prefix: Some("mirrors/fleet".to_owned()),
        plain_http: true,
        credentials: None,
    });
    cross(&scene, &registry(&scene.upstream.host), &to.unwrap()).await.unwrap();
    assert!(scene.site.manifest("mirrors/fleet/acme/app", scene.amd64).is_some());
    assert!(scene.site.manifest(REPOSITORY, scene.amd64).is_none());
}
