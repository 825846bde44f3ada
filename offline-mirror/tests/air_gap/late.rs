//! Leave to use metadata that expired on its way: explicit, with a reason, and for expiry alone.

use jiff::Timestamp;
use offline_mirror::{AcceptExpired, Error, Imported};
use signing::Attack;

use crate::hub::Terms;
use crate::scene::{Scene, at};

/// When an export is late: its timestamp ended after a day.
const LATE: i64 = 24 * 3;

fn leave(until: Timestamp, reason: &str) -> AcceptExpired {
    AcceptExpired { until, reason: reason.to_owned() }
}

async fn exported() -> Scene {
    let scene = Scene::new();
    scene.export().await.unwrap();
    scene
}

/// Imports with a memory and with leave.
async fn import(
    scene: &Scene,
    leave: impl Into<Option<AcceptExpired>>,
    now: Timestamp,
) -> Result<Imported, Error> {
    let mut request = scene.import_request();
    request.state = Some(scene.state());
    request.accept_expired = leave.into();
    scene.import_with(&request, now).await
}

/// Imports, which must fail without anything having reached the site.
async fn refused(scene: &Scene, leave: impl Into<Option<AcceptExpired>>, now: Timestamp) -> Error {
    let error = import(scene, leave, now).await.unwrap_err();
    assert_eq!(scene.site.asked(), Vec::<String>::new(), "{error}");
    error
}

#[actix_web::test]
async fn expired_metadata_is_imported_only_with_leave_and_says_so() {
    let scene = exported().await;
    let error = refused(&scene, None, at(LATE)).await;
    assert_eq!(error.attack(), Some(Attack::Freeze), "{error:?}");
    assert!(error.hint().contains("--accept-expired-until"), "{}", error.hint());

    let given = leave(at(24 * 4), "the ship was late");
    let imported = import(&scene, given.clone(), at(LATE)).await.unwrap();
    assert_eq!(imported.expired_as_of, Some(at(0)));
    let message = &scene.site.publications()[0].message;
    assert!(message.contains("accepted although expired: the ship was late"), "{message}");

    let scene = exported().await;
    let fresh = import(&scene, given, at(2)).await.unwrap();
    assert_eq!(fresh.expired_as_of, None, "nothing to forgive");
    let message = &scene.site.publications()[0].message;
    assert!(!message.contains("the ship"), "{message}");
}

#[actix_web::test]
async fn leave_ends_at_its_date() {
    let scene = exported().await;
    for (until, now) in [(at(LATE), at(LATE)), (at(30), at(LATE))] {
        let error = refused(&scene, leave(until, "late"), now).await;
        assert_eq!(error.attack(), Some(Attack::Freeze), "{error:?}");
        let Error::LeaveEnded { until: ended, .. } = error else { panic!("{error:?}") };
        assert_eq!(ended, until);
    }
}

#[actix_web::test]
async fn leave_without_a_reason_or_a_memory_is_refused_before_anything_is_read() {
    let scene = Scene::new();
    let long = "x".repeat(501);
    for reason in ["", " \t", "one\nline more", long.as_str()] {
        let error = refused(&scene, leave(at(24 * 4), reason), at(LATE)).await;
        assert!(matches!(error, Error::Leave { .. }), "{reason:?}: {error:?}");
        assert!(!error.is_refusal(), "wrong usage");
    }
    let mut request = scene.import_request();
    request.accept_expired = Some(leave(at(24 * 4), "late"));
    let error = scene.import_with(&request, at(LATE)).await.unwrap_err();
    assert!(matches!(error, Error::Leave { why } if why.contains("remembers")), "{error:?}");
    let vendors = offline_mirror::VendorsRequest {
        dir: scene.dir(),
        root: request.root,
        state: None,
        accept_expired: request.accept_expired,
    };
    let error = offline_mirror::vendors(&vendors, at(LATE)).await.unwrap_err();
    assert!(matches!(error, Error::Leave { .. }), "{error:?}");
}

#[actix_web::test]
async fn leave_forgives_no_change() {
    let scene = exported().await;
    let path = scene.dir().join("tuf/metadata/timestamp.json");
    let text = std::fs::read_to_string(&path).unwrap();
    // Still expired at the import, but signed an hour later than it was.
    let changed =
        text.replace("\"x-signed-at\":\"2026-11-20T00", "\"x-signed-at\":\"2026-11-20T01");
    assert_ne!(text, changed);
    std::fs::write(path, changed).unwrap();
    let error = refused(&scene, leave(at(24 * 4), "late"), at(LATE)).await;
    assert_eq!(error.attack(), Some(Attack::ArbitrarySoftware), "{error:?}");
}

#[actix_web::test]
async fn leave_lifts_no_version_floor() {
    let mut scene = exported().await;
    let older: Vec<_> = scene
        .tuf_files("metadata")
        .into_iter()
        .map(|path| (std::fs::read(&path).unwrap(), path))
        .collect();
    scene.publish_again(2, at(1));
    scene.export().await.unwrap();
    import(&scene, None, at(2)).await.unwrap();
    scene.site.asked();
    for (bytes, path) in older {
        std::fs::write(path, bytes).unwrap();
    }
    // Fresh or expired, with leave or without: an older set stays a rollback, also in a new run.
    for now in [at(2), at(LATE)] {
        for given in [None, Some(leave(at(24 * 30), "the older one is fine"))] {
            let error = refused(&scene, given, now).await;
            assert_eq!(error.attack(), Some(Attack::Rollback), "{now}: {error:?}");
        }
    }
}

#[actix_web::test]
async fn a_clock_that_was_set_back_is_no_way_around_expiry() {
    let mut scene = Scene::new();
    let terms = Terms { releases_until: at(24 * 4), ..Terms::of(at(0)) };
    scene.publish_as(&terms, 1, at(0));
    scene.export().await.unwrap();
    // Signed again after the vendor's list of releases had expired; the site looked at it.
    scene.hub.sign_again(at(24 * 5));
    for (path, bytes) in scene.hub.files() {
        std::fs::write(scene.dir().join("tuf").join(path), bytes).unwrap();
    }
    let error = refused(&scene, None, at(24 * 5)).await;
    assert_eq!(error.attack(), Some(Attack::Freeze), "{error:?}");

    // By a clock of the second day the list would be good; the signed time says otherwise.
    let now = at(24 * 2);
    let error = refused(&scene, None, now).await;
    assert_eq!(error.attack(), Some(Attack::Freeze), "{error:?}");
    let error = refused(&scene, leave(at(24 * 10), "late"), now).await;
    assert_eq!(error.attack(), Some(Attack::Freeze), "{error:?}");
    assert!(error.hint().contains("clock"), "{}", error.hint());
    let Error::ClockBack { seen, now: clock } = error else { panic!("{error:?}") };
    assert_eq!((seen, clock), (at(24 * 5), now));
}

#[actix_web::test]
async fn a_clock_months_behind_is_named() {
    let signed = at(24 * 40);
    let scene = Scene::as_of(signed);
    scene.export_at(&scene.export_request(), signed).await.unwrap();
    for given in [None, Some(leave(at(24 * 30), "late"))] {
        let error = refused(&scene, given, at(0)).await;
        let Error::Trust { source, .. } = &error else { panic!("{error:?}") };
        assert!(matches!(**source, signing::Error::SignedInFuture { .. }), "{source}");
        assert!(error.hint().contains("clock"), "{}", error.hint());
    }
}
