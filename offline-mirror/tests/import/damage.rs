//! One changed byte anywhere is refused, with its place, before anything is asked of the target.

use offline_mirror::bundle::BundleError;
use offline_mirror::import::{ImportError, Log, Step, import};
use signing::{Attack, Sha256Digest};

use crate::scene::{AMD64, REPOSITORY, Scene, at, flip, request};

/// Distance between flipped bytes of the segment: every header, file and blob is met.
const STRIDE: usize = 397;
/// The same for manifests, where the tests of the bundle itself try every byte.
const MANIFEST_STRIDE: usize = 13;

#[actix_web::test]
async fn a_flipped_byte_of_a_segment_is_refused_by_file_and_offset() {
    let scene = Scene::new();
    let bundle = scene.bundle();
    drop(scene.site());
    let segment = bundle.join("north-1-0001.tar");
    let good = std::fs::read(&segment).unwrap();
    for place in (0..good.len()).step_by(STRIDE) {
        flip(&segment, place);
        let error = scene.refused(&[&bundle]).await;
        let ImportError::Bundle(BundleError::Damaged { evidence }) = &error else {
            panic!("byte {place}: {error:?}");
        };
        let damage = &evidence.damage[0];
        assert_eq!(damage.file, "north-1-0001.tar");
        let place = u64::try_from(place).unwrap();
        let within = damage.offset..damage.offset + damage.within;
        assert!(within.contains(&place), "byte {place}: {damage:?}");
        assert!(error.hint().unwrap().contains("copy"), "{error}");
        std::fs::write(&segment, &good).unwrap();
    }
    scene.import(&[&bundle]).await.unwrap();
}

#[actix_web::test]
async fn a_flipped_byte_of_the_manifest_is_refused() {
    let scene = Scene::new();
    let bundle = scene.bundle();
    drop(scene.site());
    let manifest = bundle.join("north-1.manifest.json");
    let good = std::fs::read(&manifest).unwrap();
    for place in (0..good.len()).step_by(MANIFEST_STRIDE) {
        flip(&manifest, place);
        let error = scene.refused(&[&bundle]).await;
        assert!(error.is_refusal(), "byte {place}: {error:?}");
        assert!(error.hint().is_some(), "byte {place}: {error:?}");
        std::fs::write(&manifest, &good).unwrap();
    }
    scene.import(&[&bundle]).await.unwrap();
}

#[actix_web::test]
async fn a_changed_metadata_file_is_refused_although_the_bundle_is_whole() {
    let scene = Scene::new();
    for (number, path) in scene.hub.files().into_keys().enumerate() {
        // What nobody reads is not believed either: the older root is only carried.
        let is_carried_only = path == "metadata/1.root.json";
        let mut maker = scene.maker(&format!("bad-{number}"), 1);
        let bytes = maker.tuf.get_mut(&path).unwrap();
        let text = String::from_utf8(bytes.clone()).unwrap();
        // One digit of the first signature or the first letter: well-formed as far as it goes.
        let place = text.find("\"sig\":\"").map_or(text.len() / 2, |found| found + 7);
        bytes[place] = if bytes[place] == b'0' { b'1' } else { b'0' };
        let bundle = scene.made(&maker);
        if is_carried_only {
            continue;
        }
        let error = scene.refused(&[&bundle]).await;
        assert!(matches!(error, ImportError::Metadata(_)), "{path}: {error:?}");
        assert!(error.attack().is_some(), "{path}: {error:?}");
    }
    scene.import(&[&scene.bundle()]).await.unwrap();
}

#[actix_web::test]
async fn a_missing_segment_and_a_short_one_are_named() {
    let scene = Scene::new();
    let mut maker = scene.maker("north-1", 1);
    maker.segment_bytes = 16 * 1024;
    let bundle = scene.made(&maker);
    let last = bundle.join("north-1-0002.tar");
    let good = std::fs::read(&last).unwrap();
    std::fs::write(&last, &good[..good.len() - 1]).unwrap();
    let error = scene.refused(&[&bundle]).await;
    let named = matches!(error, ImportError::Bundle(BundleError::SegmentLength { .. }));
    assert!(named && error.attack() == Some(Attack::ArbitrarySoftware), "{error:?}");
    std::fs::remove_file(&last).unwrap();
    let error = scene.refused(&[&bundle]).await;
    let ImportError::Bundle(BundleError::MissingSegments { files }) = &error else {
        panic!("{error:?}");
    };
    assert_eq!(files, &["north-1-0002.tar"]);
    // On another stick it is as good.
    let other = scene.folder().join("stick");
    std::fs::create_dir_all(&other).unwrap();
    std::fs::write(other.join("north-1-0002.tar"), &good).unwrap();
    let mut request = request(&[&bundle]);
    request.also = vec![other];
    scene.import_with(&request, &scene.to_registry()).await.unwrap();
}

#[actix_web::test]
async fn a_segment_with_other_blobs_than_the_images_need_is_refused() {
    let scene = Scene::new();
    let mut maker = scene.maker("north-1", 1);
    // The plan of a liar: the manifest says one thing, the segment another from the start.
    maker.blobs.retain(|blob| blob != AMD64);
    maker.add_blob(b"A layer for amd64 only");
    let bundle = scene.made(&maker);
    let error = scene.refused(&[&bundle]).await;
    assert!(matches!(error, ImportError::NotCarried { .. }), "{error:?}");
}

#[actix_web::test]
async fn bytes_that_change_while_they_are_pushed_do_not_get_in() {
    let scene = Scene::new();
    let bundle = scene.bundle();
    let segment = bundle.join("north-1-0001.tar");
    let good = std::fs::read(&segment).unwrap();
    let place = good.windows(AMD64.len()).position(|window| window == AMD64).unwrap();
    // Every byte was hashed, and none was pushed.
    let change = |step: &Step| {
        if step.step == "content" {
            flip(&segment, place);
        }
    };
    let clock = || at(2);
    let site = scene.site();
    let log = Log::new(&clock, &change);
    let target = scene.to_registry();
    let error = import(&site, &request(&[&bundle]), &target, None, log).await.unwrap_err();
    assert!(matches!(error, ImportError::Registry(_)), "{error:?}");
    assert_eq!(scene.server.blob(REPOSITORY, Sha256Digest::of(AMD64)), None);
    let amd64 = scene.server.manifest(REPOSITORY, Sha256Digest::of(&scene.amd64));
    assert_eq!(amd64, None, "no manifest came after a blob that was refused");
    assert_eq!(site.ledger().unwrap().newest(), 0);
    drop(site);
    // From a good copy it goes on.
    std::fs::write(&segment, &good).unwrap();
    scene.import(&[&bundle]).await.unwrap();
    assert_eq!(scene.server.blob(REPOSITORY, Sha256Digest::of(AMD64)).as_deref(), Some(AMD64));
}
