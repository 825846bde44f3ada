//! Bundles that are taken in with one command: run again after whatever went wrong.

use std::path::{Path, PathBuf};

use offline_mirror::Feed;
use offline_mirror::import::{Evidence, ImportError, Log, Target, import};
use signing::Attack;

use crate::hub::Terms;
use crate::maker::Maker;
use crate::scene::{AMD64, REPOSITORY, Scene, at, request};

/// A bundle that presumes a blob, and the repair that brings it, which has no releases.
fn pair(scene: &mut Scene, hours: [jiff::Timestamp; 2]) -> [PathBuf; 2] {
    scene.publish_as(&Terms::of(hours[0]), 2, hours[0]);
    let mut first = scene.maker("north-1", 1);
    first.require_blob(AMD64, REPOSITORY);
    let first = scene.made(&first);
    scene.publish_as(&Terms::of(hours[1]), 3, hours[1]);
    let repair = scene.made(&repair_of(scene, "north-2", 2, &[AMD64]));
    [first, repair]
}

fn repair_of(scene: &Scene, name: &str, sequence: u64, blobs: &[&[u8]]) -> Maker {
    let mut repair = scene.maker(name, sequence);
    (repair.images, repair.releases, repair.manifests) = (Vec::new(), Vec::new(), Vec::new());
    repair.blobs = blobs.iter().map(|blob| blob.to_vec()).collect();
    repair
}

async fn import_to(
    scene: &Scene,
    bundles: &[&Path],
    target: &Target,
    server: &str,
) -> Result<Evidence, ImportError> {
    let feed = Feed::new(&format!("http://{server}"), "secret".to_owned()).unwrap();
    let clock = || at(3);
    import(&scene.site(), &request(bundles), target, Some(&feed), Log::new(&clock, &|_| {})).await
}

/// An address where nobody listens.
fn nowhere() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

#[actix_web::test]
async fn two_bundles_whose_hub_was_down_are_published_when_the_import_is_run_again() {
    let mut scene = Scene::new();
    let [first, repair] = pair(&mut scene, [at(1), at(2)]);
    let both: [&Path; 2] = [&first, &repair];
    let evidence = import_to(&scene, &both, &scene.to_registry(), &nowhere()).await.unwrap();
    assert_eq!(evidence.told.vendors_refused, ["acme"]);
    assert_eq!(scene.site().ledger().unwrap().bundles.len(), 2);
    let host = scene.server.host.clone();
    let evidence = import_to(&scene, &both, &scene.to_registry(), &host).await.unwrap();
    assert_eq!(evidence.told.vendors_published, ["acme"]);
    assert_eq!(scene.server.publications().len(), 1);
    // Alone the older one stays what it was: an older set than the site has seen.
    let error = import_to(&scene, &[&first], &scene.to_registry(), &host).await.unwrap_err();
    assert_eq!(error.attack(), Some(Attack::Rollback), "{error:?}");
}

#[actix_web::test]
async fn two_bundles_that_broke_off_at_the_target_can_be_taken_in_again() {
    let mut scene = Scene::new();
    let [first, repair] = pair(&mut scene, [at(1), at(2)]);
    let both: [&Path; 2] = [&first, &repair];
    let gone = Target::Registry(crate::scene::registry(&nowhere()));
    let error = import_to(&scene, &both, &gone, &nowhere()).await.unwrap_err();
    assert!(matches!(error, ImportError::Registry(_)), "{error:?}");
    let host = scene.server.host.clone();
    import_to(&scene, &both, &scene.to_registry(), &host).await.unwrap();
}

#[actix_web::test]
async fn another_bundle_under_a_known_number_is_refused_beside_the_newest_too() {
    let mut scene = Scene::new();
    let other = scene.made(&scene.maker("other", 1));
    let [first, repair] = pair(&mut scene, [at(1), at(2)]);
    let host = scene.server.host.clone();
    import_to(&scene, &[&first, &repair], &scene.to_registry(), &host).await.unwrap();
    let both: [&Path; 2] = [&other, &repair];
    let error = import_to(&scene, &both, &scene.to_registry(), &host).await.unwrap_err();
    assert_eq!(error.attack(), Some(Attack::Rollback), "{error:?}");
}
