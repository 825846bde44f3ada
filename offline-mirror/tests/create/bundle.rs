//! A bundle holds what its plan said, verifies as at a site, and has the same bytes every time.

use jiff::ToSpan as _;
use offline_mirror::bundle::{ImageRole, check};
use offline_mirror::create::CreateError;
use signing::Sha256Digest;

use crate::scene::{
    SHARED, Scene, THREADS, at, claims, copy, files, has, is_of_view, long, sequence,
};

#[actix_web::test]
async fn a_bundle_of_two_vendors_verifies_down_to_every_byte() {
    let scene = Scene::new().await;
    let report = scene.plan(&scene.request()).await.unwrap();
    let created = scene.create(&scene.create_request()).await.unwrap();
    let reader = scene.open(&created).await;
    let evidence = check(&reader, THREADS, &|_| {}).unwrap();
    assert_eq!(evidence.damage_count, 0);
    let manifest = reader.manifest();
    let releases: Vec<_> =
        manifest.releases.iter().map(|r| format!("{} {}", r.product, r.version)).collect();
    assert_eq!(releases, ["acme/app 1.1.0", "acme/app 1.2.0", "other/db 5.0.0"]);
    assert!(manifest.complete && manifest.missing.is_empty() && manifest.required.is_empty());
    assert_eq!((manifest.sequence, manifest.created_at), (sequence(1), at(1)));
    assert_eq!(manifest.good_until, Some(at(1 + 90 * 24)));
    for bytes in [SHARED, &long(2), &long(3), &long(9), b"{}"] {
        assert!(has(&reader, bytes));
    }
    assert!(!has(&reader, &long(1)), "the site runs 1.0.0 already");
    assert!(manifest.images.iter().all(|image| image.role == ImageRole::Release));
    assert!(manifest.segments.len() > 3, "long blobs are cut");
    let planned: Vec<_> = report.segments.iter().map(|segment| segment.file.clone()).collect();
    let made: Vec<_> = manifest.segments.iter().map(|segment| segment.file.clone()).collect();
    assert_eq!(planned, made);
    assert!(!scene.dir().join("b.work").exists(), "nothing stays behind");
}

#[actix_web::test]
async fn each_blob_is_fetched_once_however_many_images_have_it() {
    let scene = Scene::new().await;
    scene.server.asked();
    let created = scene.create(&scene.create_request()).await.unwrap();
    let mut blobs = scene.server.asked();
    blobs.retain(|line| line.starts_with("GET") && line.contains("/blobs/"));
    let all = blobs.len();
    blobs.sort();
    blobs.dedup_by_key(|line| line.rsplit('/').next().unwrap().to_owned());
    assert_eq!((all, u64::try_from(all).unwrap()), (blobs.len(), created.fetched_blobs));
}

#[actix_web::test]
async fn the_same_request_at_the_same_view_has_the_same_bytes() {
    let scene = Scene::new().await;
    let (first, second) = (scene.folder.path().join("view"), scene.folder.path().join("again"));
    copy(&first, &second);
    let one = scene.create(&scene.create_request()).await.unwrap();
    let mut request = scene.create_request();
    request.dir = scene.folder.path().join("elsewhere");
    request.plan.view = Some(second);
    request.plan.concurrency = 1;
    let two = scene.create(&request).await.unwrap();
    assert_eq!(one.manifest_digest, two.manifest_digest);
    assert_eq!(files(&scene.dir()), files(&request.dir));
}

#[actix_web::test]
async fn another_time_changes_nothing_but_the_views_own_roles() {
    let scene = Scene::new().await;
    let one = scene.create(&scene.create_request()).await.unwrap();
    let mut request = scene.create_request();
    request.dir = scene.folder.path().join("elsewhere");
    let two = scene.create_at(&request, at(5)).await.unwrap();
    let (mut one, mut two) = (claims(&one), claims(&two));
    assert_eq!((one.sequence, two.sequence), (sequence(1), sequence(5)), "never given twice");
    for manifest in [&mut one, &mut two] {
        manifest.entries.retain(|entry| !is_of_view(&entry.path));
        (manifest.sequence, manifest.created_at, manifest.good_until) = (0, at(0), None);
    }
    assert_eq!(one, two);
}

#[actix_web::test]
async fn a_plan_leaves_no_trace() {
    let scene = Scene::new().await;
    let before = files(&scene.view());
    let report = scene.plan(&scene.request()).await.unwrap();
    assert!(report.complete);
    assert_eq!(files(&scene.view()), before);
    assert!(!scene.dir().exists());
    let asked = scene.server.asked();
    assert!(!asked.iter().any(|line| line.contains("/blobs/")), "{asked:#?}");
}

#[actix_web::test]
async fn a_run_that_was_stopped_before_it_told_of_the_bundle_tells_of_it_the_next_time() {
    let scene = Scene::new().await;
    let one = scene.create(&scene.create_request()).await.unwrap();
    std::fs::create_dir(scene.dir().join("b.work")).unwrap();
    scene.server.asked();
    let again = scene.create(&scene.create_request()).await.unwrap();
    assert_eq!((again.manifest_digest, again.fetched_blobs), (one.manifest_digest, 0));
    assert!(again.went_on && again.warnings.is_empty() && scene.server.asked().is_empty());
    let bytes = std::fs::read(&one.manifest).unwrap();
    assert_eq!(Sha256Digest::of(&bytes), one.manifest_digest);
    assert!(!scene.dir().join("b.work").exists());
}

#[actix_web::test]
async fn an_old_bundle_is_not_what_a_channel_is_asked_for() {
    let scene = Scene::new().await;
    let one = scene.create(&scene.create_request()).await.unwrap();
    let refused = scene.create_at(&scene.create_request(), at(700)).await.unwrap_err();
    let CreateError::Made { created_at, complete: true, .. } = &refused else {
        panic!("{refused:?}")
    };
    assert_eq!(*created_at, at(1));
    assert!(refused.is_refusal() && refused.hint().unwrap().contains("another --name"));
    assert_eq!(claims(&one).sequence, sequence(1), "it is still there");
}

#[actix_web::test]
async fn releases_by_name_are_the_same_until_the_bundle_expires() {
    let scene = Scene::new().await;
    let mut request = scene.create_request();
    let text = "product = \"acme/app\"\nreleases = [\"1.1.0\"]";
    request.plan.products = vec![toml::from_str(text).unwrap()];
    let one = scene.create(&request).await.unwrap();
    let again = scene.create_at(&request, at(700)).await.unwrap();
    assert_eq!(again.manifest_digest, one.manifest_digest);
    assert!(again.warnings[0].contains("nothing was looked up"), "{:?}", again.warnings);
    let refused = scene.create_at(&request, at(1 + 90 * 24)).await.unwrap_err();
    let CreateError::Made { complete: true, is_good: false, .. } = &refused else {
        panic!("{refused:?}")
    };
    assert!(refused.to_string().contains("EXPIRED"), "{refused}");
    let hint = refused.hint().unwrap();
    assert!(hint.contains("another --name or directory") && !hint.contains("carry"), "{hint}");
}

#[actix_web::test]
async fn of_an_old_bundle_nobody_is_told_to_carry_it_once_it_has_expired() {
    let scene = Scene::new().await;
    let made = scene.create(&scene.create_request()).await.unwrap();
    let good_until = made.good_until.unwrap();
    for (now, good) in [(good_until - 1.second(), true), (good_until, false)] {
        let refused = scene.create_at(&scene.create_request(), now).await.unwrap_err();
        let hint = refused.hint().unwrap();
        assert_eq!(hint.starts_with("carry it"), good, "{hint}");
        assert_eq!(refused.to_string().contains("EXPIRED"), !good, "{refused}");
    }
}
