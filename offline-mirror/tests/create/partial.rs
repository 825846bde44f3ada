//! Registries that lost something: the run ends and keeps what came, or goes on and says what is
//! missing.

use offline_mirror::bundle::check;
use offline_mirror::create::{CreateError, Progress, create};
use offline_mirror::oci::Digest;
use offline_mirror::registry::Registry;
use signing::Attack;

use crate::scene::{SHARED, Scene, THREADS, at, claims, files, has, long, sequence};

#[actix_web::test]
async fn without_leave_to_go_on_the_first_failure_ends_the_run_and_the_next_one_goes_on() {
    let scene = Scene::new().await;
    scene.server.rot(&long(3));
    let error = scene.create(&scene.create_request()).await.unwrap_err();
    assert!(matches!(error, CreateError::Fetch { .. }), "{error:?}");
    assert_eq!(error.attack(), Some(Attack::ArbitrarySoftware), "{error:?}");
    assert!(error.hint().unwrap().contains("goes on where this run stopped"));
    assert!(!scene.dir().join("b.manifest.json").exists());
}

#[actix_web::test]
async fn a_run_that_broke_off_ends_in_the_bytes_of_one_that_did_not() {
    let whole = Scene::new().await;
    let expected = whole.create(&whole.create_request()).await.unwrap();
    let scene = Scene::new().await;
    // Without tokens and with time enough the registry would be asked again and again.
    scene.server.lose(&long(3));
    let error = scene.create(&scene.create_request()).await.unwrap_err();
    assert!(matches!(error, CreateError::Fetch { .. }), "{error:?}");
    drop(scene.server.image("acme/app", &[SHARED, &long(3), &3_u32.to_le_bytes()]));
    let created = scene.create(&scene.create_request()).await.unwrap();
    assert!(created.went_on);
    assert_eq!(created.sequence, expected.sequence, "one sequence for all runs");
    let (one, two) = (claims(&expected), claims(&created));
    assert_eq!(one.segments, two.segments);
}

#[actix_web::test]
async fn with_leave_to_go_on_the_bundle_says_what_is_missing() {
    let scene = Scene::new().await;
    scene.server.rot(&long(2));
    let mut request = scene.create_request();
    request.plan.keep_going = true;
    let created = scene.create(&request).await.unwrap();
    assert!(!created.complete);
    let [missing] = &created.missing[..] else { panic!("{:?}", created.missing) };
    assert!(missing.what.contains(&scene.images[1].digest.to_string()), "{missing:?}");
    assert!(missing.why.contains(&Digest::of(&long(2)).to_string()), "{missing:?}");
    let reader = scene.open(&created).await;
    assert_eq!(check(&reader, THREADS, &|_| {}).unwrap().damage_count, 0);
    assert!(!has(&reader, &long(2)) && !reader.has(&scene.images[1].digest));
    assert!(has(&reader, &long(3)) && has(&reader, &long(9)), "the others are whole");
    assert_eq!(reader.manifest().images.len(), 2);
    let mut expected: Vec<_> = created.segments.iter().map(|s| s.file.clone()).collect();
    expected.push("b.manifest.json".to_owned());
    assert!(files(&scene.dir()).into_keys().eq(expected), "nothing stays behind");
}

#[actix_web::test]
async fn what_is_down_is_not_fetched_again_for_the_smaller_bundle() {
    let scene = Scene::new().await;
    scene.server.rot(&long(2));
    scene.server.asked();
    let mut request = scene.create_request();
    request.plan.keep_going = true;
    let created = scene.create(&request).await.unwrap();
    assert!(!created.complete);
    let asked = scene.server.asked();
    for blob in [&long(3), &long(9)] {
        let digest = Digest::of(blob).to_string();
        let times = asked.iter().filter(|l| l.starts_with("GET") && l.contains(&digest)).count();
        assert_eq!(times, 1, "{asked:#?}");
    }
}

#[actix_web::test]
async fn an_image_that_is_gone_is_missing_before_anything_is_fetched() {
    let scene = Scene::new().await;
    let mut request = scene.create_request();
    request.plan.images = vec![format!("{}/acme/gone:1", scene.server.host).parse().unwrap()];
    let error = scene.create(&request).await.unwrap_err();
    assert!(matches!(error, CreateError::Plan(_)), "{error:?}");
    request.plan.keep_going = true;
    let report = scene.plan(&request.plan).await.unwrap();
    assert!(!report.complete && report.missing[0].what.contains("acme/gone@1"), "{report}");
    let created = scene.create(&request).await.unwrap();
    assert_eq!(created.missing, report.missing);
    let reader = scene.open(&created).await;
    assert!(!reader.manifest().complete && has(&reader, &long(3)));
}

#[actix_web::test]
async fn another_request_under_the_same_name_is_refused_and_restart_keeps_what_came() {
    let scene = Scene::new().await;
    scene.server.lose(&long(9));
    drop(scene.create(&scene.create_request()).await.unwrap_err());
    let mut request = scene.create_request();
    request.plan.products.truncate(1);
    let refused = scene.create(&request).await.unwrap_err();
    let CreateError::Changed { differences, .. } = &refused else { panic!("{refused:?}") };
    assert_eq!(differences, &["products"]);
    scene.server.asked();
    request.restart = true;
    let created = scene.create(&request).await.unwrap();
    assert_eq!(created.sequence, sequence(1) + 1, "the first one's was spent");
    let reader = scene.open(&created).await;
    assert_eq!(check(&reader, THREADS, &|_| {}).unwrap().damage_count, 0);
    assert!(created.complete && has(&reader, &long(3)));
}

#[actix_web::test]
async fn nothing_is_left_out_because_nobody_could_be_asked() {
    let scene = Scene::new().await;
    scene.server.lose(&long(9));
    drop(scene.create(&scene.create_request()).await.unwrap_err());
    drop(scene.server.docker_image("other/db", &[SHARED, &long(9)]));
    let mut request = scene.create_request();
    request.plan.keep_going = true;
    // Port 1 is nobody's.
    let down = "host = \"127.0.0.1:1\"\nplain_http = true\nanonymous = true";
    let down = [Registry::new(toml::from_str(down).unwrap()).unwrap()];
    for dir in [scene.dir(), scene.folder.path().join("planned")] {
        let request = offline_mirror::create::CreateRequest { dir, ..scene.create_request() };
        let mut request = request;
        request.plan.keep_going = true;
        let progress = Progress::nothing();
        let made = create(&request, scene.hub.source(), &down, &progress, at(1)).await;
        let error = made.unwrap_err();
        assert!(!error.is_refusal(), "{error:?}");
        assert!(!error.hint().unwrap().contains("--keep-going"));
        assert!(!request.dir.join("b.manifest.json").exists());
    }
    let created = scene.create(&request).await.unwrap();
    assert!(created.complete && created.went_on);
}

#[actix_web::test]
async fn an_incomplete_bundle_is_made_anew_where_that_is_asked_for() {
    let scene = Scene::new().await;
    scene.server.rot(&long(2));
    let mut request = scene.create_request();
    request.plan.keep_going = true;
    let first = scene.create(&request).await.unwrap();
    scene.server.heal();
    let refused = scene.create(&request).await.unwrap_err();
    assert!(matches!(refused, CreateError::Made { complete: false, .. }), "{refused:?}");
    assert!(refused.hint().unwrap().contains("--restart"));
    (request.restart, request.plan.keep_going) = (true, false);
    let second = scene.create(&request).await.unwrap();
    assert!(second.complete && second.sequence > first.sequence);
    let reader = scene.open(&second).await;
    assert_eq!(check(&reader, THREADS, &|_| {}).unwrap().damage_count, 0);
    let refused = scene.create(&request).await.unwrap_err();
    assert!(matches!(refused, CreateError::Bundle(_)), "a complete one stays: {refused:?}");
}
