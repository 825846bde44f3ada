//! Bundles that were longer on the road than their metadata lives.

use jiff::Timestamp;
use offline_mirror::import::{Evidence, ImportError, ImportRequest};
use offline_mirror::{AcceptExpired, Error};
use signing::Attack;

use crate::hub::Terms;
use crate::maker::Maker;
use crate::scene::{Scene, at, request};

/// When the scene's metadata has expired.
const LATE: i64 = 24 * 30;

fn leave(until: Timestamp) -> AcceptExpired {
    AcceptExpired { until, reason: "the ship was late".to_owned() }
}

async fn import(
    scene: &Scene,
    bundle: &std::path::Path,
    leave: impl Into<Option<AcceptExpired>>,
) -> Result<Evidence, ImportError> {
    let request = ImportRequest { accept_expired: leave.into(), ..request(&[bundle]) };
    scene.import_with(&request, &scene.to_registry()).await
}

async fn refused(
    scene: &Scene,
    bundle: &std::path::Path,
    leave: impl Into<Option<AcceptExpired>>,
) -> Error {
    let error = import(scene, bundle, leave).await.unwrap_err();
    assert_eq!(scene.server.asked(), Vec::<String>::new(), "{error}");
    assert!(error.hint().is_some());
    let ImportError::Metadata(error) = error else { panic!("{error:?}") };
    error
}

#[actix_web::test]
async fn expired_metadata_is_a_freeze_and_taken_only_with_leave_which_is_written_down() {
    let scene = Scene::new();
    let bundle = scene.bundle();
    scene.set_hour(LATE);
    assert_eq!(refused(&scene, &bundle, None).await.attack(), Some(Attack::Freeze));
    let evidence = import(&scene, &bundle, leave(at(LATE + 1))).await.unwrap();
    let found = &evidence.bundles[0];
    assert_eq!(found.verified_as_of, Some(at(0)));
    assert_eq!(found.accepted_because.as_deref(), Some("the ship was late"));
    let [publication] = &scene.server.publications()[..] else { panic!("one publication") };
    assert!(publication.message.contains("the ship was late"), "{}", publication.message);
}

#[actix_web::test]
async fn leave_ends_at_its_date_and_needs_a_reason() {
    let scene = Scene::new();
    let bundle = scene.bundle();
    scene.set_hour(LATE);
    let error = refused(&scene, &bundle, leave(at(LATE))).await;
    assert!(matches!(error, Error::LeaveEnded { .. }), "{error:?}");
    for reason in ["", "  ", "a\nline"] {
        let leave = AcceptExpired { until: at(LATE + 1), reason: reason.to_owned() };
        let error = refused(&scene, &bundle, leave).await;
        assert!(matches!(error, Error::Leave { .. }), "{error:?}");
    }
}

#[actix_web::test]
async fn leave_forgives_no_change_and_lifts_no_floor() {
    let mut scene = Scene::new();
    let old = scene.made(&scene.maker("north-1", 1));
    let mut changed: Maker = scene.maker("changed", 1);
    let bytes = changed.tuf.get_mut("metadata/timestamp.json").unwrap();
    let text = String::from_utf8(bytes.clone()).unwrap();
    *bytes = text.replace("2026-11-2", "2026-11-1").into_bytes();
    let changed = scene.made(&changed);
    scene.publish_as(&Terms::of(at(1)), 2, at(1));
    let new = scene.made(&scene.maker("north-2", 2));
    scene.import(&[&new]).await.unwrap();
    scene.server.asked();
    scene.set_hour(LATE);
    let error = refused(&scene, &changed, leave(at(LATE + 1))).await;
    assert_eq!(error.attack(), Some(Attack::ArbitrarySoftware), "{error:?}");
    let error = refused(&scene, &old, leave(at(LATE + 1))).await;
    assert!(matches!(error.attack(), Some(Attack::Rollback | Attack::Freeze)), "{error:?}");
}
