//! Bundles that are taken in with one command: run again after whatever went wrong.

use std::path::{Path, PathBuf};

use offline_mirror::Feed;
use offline_mirror::bundle::{ImageRole, Required};
use offline_mirror::import::{Evidence, ImportError, Log, Target, import};
use offline_mirror::oci::Digest;
use offline_mirror::store::Reference;
use signing::{Attack, Sha256Digest};

use crate::hub::Terms;
use crate::maker::{Maker, image, index};
use crate::scene::{AMD64, REPOSITORY, Scene, access, at, request};

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
    let feed = Feed::new(access(&format!("http://{server}"))).unwrap();
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
    let error = ImportError::not_published(&evidence.publications).unwrap();
    assert!(!error.is_refusal(), "not got at: {error}");
    assert_eq!(error.attack(), None);
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

const TOOL: &[u8] = b"a tool";
const PLACE: &str = "tools/both";

fn required(bytes: &[u8], is_manifest: bool) -> Required {
    Required {
        digest: Digest::of(bytes),
        size: u64::try_from(bytes.len()).unwrap(),
        repositories: vec![PLACE.parse().unwrap()],
        is_manifest,
    }
}

/// An index of a tool, the increment that presumes all of it, and the repair of what is below the
/// index: the first one's manifest and layer were lost.
fn tool_repaired(scene: &mut Scene, lost: &[u8]) -> [PathBuf; 3] {
    let child = image(&[TOOL], None);
    let both = index(&[&child]);
    let mut first = scene.maker("north-1", 1);
    first.add_blob(TOOL);
    first.add_manifest(crate::maker::MANIFEST_TYPE, &child);
    first.carry(PLACE, &both, &["v1"], ImageRole::Extra);
    let first = scene.made(&first);
    scene.publish_as(&Terms::of(at(1)), 2, at(1));
    let mut second = scene.maker("north-2", 2);
    second.carry(PLACE, &both, &["v2"], ImageRole::Extra);
    second.manifests.retain(|(_, bytes)| *bytes != both);
    second.required = [(&both[..], true), (lost, true), (TOOL, false)]
        .map(|(bytes, is_manifest)| required(bytes, is_manifest))
        .to_vec();
    second.required.sort();
    let second = scene.made(&second);
    scene.publish_as(&Terms::of(at(2)), 3, at(2));
    let mut repair = repair_of(scene, "north-3", 3, &[TOOL, b"{}"]);
    repair.add_manifest(crate::maker::MANIFEST_TYPE, lost);
    [first, second, scene.made(&repair)]
}

#[actix_web::test]
async fn what_was_lost_below_a_manifest_that_the_site_still_has_is_repaired() {
    let mut scene = Scene::new();
    let child = image(&[TOOL], None);
    let [first, second, repair] = tool_repaired(&mut scene, &child);
    let host = scene.server.host.clone();
    let target = scene.to_registry();
    import_to(&scene, &[&first], &target, &host).await.unwrap();
    let whole = scene.server.everything();
    scene.server.lose(PLACE, Sha256Digest::of(&child));
    scene.server.lose(PLACE, Sha256Digest::of(TOOL));
    let error = import_to(&scene, &[&second], &target, &host).await.unwrap_err();
    assert!(matches!(error, ImportError::MissingBase { count: 2, .. }), "{error:?}");
    import_to(&scene, &[&second, &repair], &target, &host).await.unwrap();
    let after = scene.server.everything();
    assert!(whole.keys().all(|name| after.contains_key(name)), "{:?}", after.keys());
}

#[actix_web::test]
async fn what_was_lost_in_a_store_belongs_to_its_repository_again() {
    let mut scene = Scene::new();
    let child = image(&[TOOL], None);
    let [first, second, repair] = tool_repaired(&mut scene, &child);
    let (host, target, store) = (scene.server.host.clone(), scene.to_store(), scene.store());
    import_to(&scene, &[&first], &target, &host).await.unwrap();
    let place = PLACE.parse().unwrap();
    let reference = Reference::Digest(Digest::of(&child));
    // Its manifest stays, so that nothing puts it again and takes the layer along.
    store.unlink_blob(&place, &Digest::of(TOOL), at(3)).unwrap();
    assert!(store.stat_in(&place, &Digest::of(TOOL)).is_err());
    import_to(&scene, &[&second, &repair], &target, &host).await.unwrap();
    store.manifest(&place, &reference).unwrap();
    assert!(store.stat_in(&place, &Digest::of(TOOL)).is_ok());
}

#[actix_web::test]
async fn a_repair_of_what_nothing_at_the_site_points_at_is_refused() {
    let mut scene = Scene::new();
    let unasked = image(&[TOOL, TOOL], None);
    let [first, second, repair] = tool_repaired(&mut scene, &unasked);
    let (host, target) = (scene.server.host.clone(), scene.to_registry());
    import_to(&scene, &[&first], &target, &host).await.unwrap();
    let whole = scene.server.everything();
    let error = import_to(&scene, &[&second, &repair], &target, &host).await.unwrap_err();
    assert!(matches!(error, ImportError::Stray { .. }), "{error:?}");
    assert_eq!(scene.server.everything(), whole);
}
