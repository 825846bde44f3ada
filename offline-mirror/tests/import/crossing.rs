//! What arrives, in which order, and what a second run costs.

use std::os::unix::fs::MetadataExt as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use offline_mirror::bundle::ImageRole;
use offline_mirror::import::ImportError;
use offline_mirror::oci::Digest;
use offline_mirror::site::{Inventory, Receipt};
use offline_mirror::store::Reference;
use signing::Sha256Digest;

use crate::maker::{image, index};
use crate::scene::{AMD64, ARM64, GRAPH, RELEASE, REPOSITORY, SHARED, Scene, request};

fn sha(bytes: &[u8]) -> Sha256Digest {
    Sha256Digest::of(bytes)
}

#[actix_web::test]
async fn a_release_arrives_byte_for_byte_and_is_acknowledged() {
    let scene = Scene::new();
    let bundle = scene.bundle();
    let evidence = scene.import(&[&bundle]).await.unwrap();
    assert_eq!(evidence.told.objects_written, 6, "4 blobs, 2 manifests");
    for manifest in [&scene.amd64, &scene.arm64] {
        assert_eq!(scene.server.manifest(REPOSITORY, sha(manifest)).as_ref(), Some(manifest));
    }
    for layer in [SHARED, AMD64, ARM64, b"{}"] {
        assert_eq!(scene.server.blob(REPOSITORY, sha(layer)).as_deref(), Some(layer));
    }
    let [publication] = &scene.server.publications()[..] else { panic!("one publication") };
    let hub = scene.hub.files();
    let mut carried = Vec::new();
    for file in &publication.files {
        let bytes = STANDARD.decode(&file.base64).unwrap();
        let at_hub = match file.path.strip_prefix("targets/") {
            Some(path) => {
                let (folder, name) = path.rsplit_once('/').unwrap();
                hub.get(&format!("targets/{folder}/{}.{name}", sha(&bytes).hex()))
            }
            None => hub.get(&file.path),
        };
        assert_eq!(at_hub, Some(&bytes), "{}", file.path);
        carried.push(file.path.clone());
    }
    carried.sort_unstable();
    let mut expected = vec![format!("targets/{GRAPH}"), format!("targets/{RELEASE}")];
    let roles = ["1.acme.channels", "1.acme", "1.acme.releases"];
    expected.extend(roles.map(|role| format!("metadata/{role}.json")));
    expected.sort_unstable();
    assert_eq!(carried, expected);

    let site = scene.site();
    let key = site.public_key().unwrap();
    let bytes = std::fs::read(site.inventory_path()).unwrap();
    let (inventory, digest) = Inventory::read(&bytes, &key).unwrap();
    assert_eq!((inventory.sequence, inventory.counter, inventory.contents.len()), (1, 1, 6));
    let name = "north-1".parse().unwrap();
    let receipt = std::fs::read(site.receipt_path(1, &name)).unwrap();
    let receipt = Receipt::read(&receipt, &key).unwrap();
    assert_eq!((receipt.inventory, receipt.sequence, receipt.complete), (digest, 1, true));
    assert_eq!(receipt.told.vendors_published, ["acme"]);
}

#[actix_web::test]
async fn blobs_come_before_manifests_referrers_after_them_tags_and_the_publication_last() {
    let scene = Scene::new();
    let mut maker = scene.maker("north-1", 1);
    let both = index(&[&scene.amd64, &scene.arm64]);
    let signature = image(&[b"a signature"], Some(&scene.amd64));
    let subject = Digest::of(&scene.amd64);
    maker.add_blob(b"a signature");
    // Listed in the worst order: what is about an image first, the index before its children.
    let images = std::mem::take(&mut maker.images);
    let fallback = format!("sha256-{}.sig", subject.hex());
    let role = ImageRole::Referrer { subject };
    maker.carry(REPOSITORY, &signature, &[fallback.as_str()], role);
    maker.carry("tools/both", &both, &["v1"], ImageRole::Extra);
    maker.images.extend(images);
    let bundle = scene.made(&maker);
    scene.import(&[&bundle]).await.unwrap();
    let asked = scene.server.asked();
    let put = |line: &&String| line.starts_with("PUT /v2/");
    let puts: Vec<&String> = asked.iter().filter(put).collect();
    let last_blob = puts.iter().rposition(|line| line.contains("/blobs/")).unwrap();
    let first_manifest = puts.iter().position(|line| line.contains("/manifests/")).unwrap();
    assert!(last_blob < first_manifest, "{asked:#?}");
    let place = |what: &str| puts.iter().position(|line| line.ends_with(what)).unwrap();
    let own = |manifest: &[u8]| place(&Digest::of(manifest).to_string());
    assert!(own(&scene.amd64) < own(&both));
    assert!(own(&both) < own(&signature), "referrers come after all they could be about");
    assert!(own(&signature) < place("/manifests/v1"));
    let published = asked.iter().position(|line| line == "POST /api/v1/publications").unwrap();
    let last_put = asked.iter().rposition(|line| line.starts_with("PUT /v2/")).unwrap();
    assert!(last_put < published);
}

#[actix_web::test]
async fn importing_twice_writes_nothing_again_and_says_so() {
    let scene = Scene::new();
    let bundle = scene.bundle();
    scene.import(&[&bundle]).await.unwrap();
    scene.server.asked();
    let again = scene.import(&[&bundle]).await.unwrap();
    assert_eq!((again.told.objects_written, again.told.objects_present), (0, 6));
    assert!(!again.publications[0].changed);
    let asked = scene.server.asked();
    assert!(!asked.iter().any(|line| line.starts_with("PUT /v2/")), "{asked:#?}");
    let key = scene.site().public_key().unwrap();
    let bytes = std::fs::read(scene.site().inventory_path()).unwrap();
    assert_eq!(Inventory::read(&bytes, &key).unwrap().0.counter, 2, "counters only grow");
}

#[actix_web::test]
async fn the_own_store_takes_segments_over_without_a_second_copy() {
    let scene = Scene::new();
    let bundle = scene.bundle();
    let evidence = scene.import_with(&request(&[&bundle]), &scene.to_store()).await.unwrap();
    assert_eq!(evidence.told.objects_written, 6, "4 blobs, 2 manifests");
    let store = scene.store();
    let repository = REPOSITORY.parse().unwrap();
    for manifest in [&scene.amd64, &scene.arm64] {
        let reference = Reference::Digest(Digest::of(manifest));
        assert_eq!(&store.manifest_bytes(&repository, &reference).unwrap().1, manifest);
    }
    for layer in [SHARED, AMD64, ARM64] {
        let reader = store.reader_in(&repository, &Digest::of(layer), None).unwrap();
        assert_eq!(reader.read_all(1024).unwrap(), layer);
    }
    let segment = std::fs::metadata(bundle.join("north-1-0001.tar")).unwrap();
    assert_eq!(segment.nlink(), 2, "linked, not copied");
    let again = scene.import_with(&request(&[&bundle]), &scene.to_store()).await.unwrap();
    assert_eq!(again.told.objects_written, 0);
}

#[actix_web::test]
async fn verifying_writes_nothing_and_asks_nobody() {
    let scene = Scene::new();
    let bundle = scene.bundle();
    drop(scene.site());
    let before = listing(&scene.site_path());
    let evidence = scene.verify(&[&bundle]).await.unwrap();
    assert_eq!(evidence.bundles[0].signed_by.len(), 1);
    assert!(evidence.told.bytes_verified > 0);
    assert_eq!(scene.server.asked(), Vec::<String>::new());
    assert_eq!(listing(&scene.site_path()), before);
}

fn listing(dir: &std::path::Path) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    let (mut found, mut folders) = (Vec::new(), vec![dir.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let bytes = std::fs::read(&path).unwrap();
                found.push((path, bytes));
            }
        }
    }
    found.sort();
    found
}

#[actix_web::test]
async fn a_vendor_that_the_update_server_refuses_is_told_and_everything_else_is_in_place() {
    let scene = Scene::new();
    let bundle = scene.bundle();
    let problem = serde_json::json!({
        "type": "about:blank", "title": "refused", "status": 422,
        "detail": "not the vendor's key", "attack": "arbitrary_software",
    });
    scene.server.refuse_publications(serde_json::from_value(problem).unwrap());
    let evidence = scene.import(&[&bundle]).await.unwrap();
    let told = evidence.publications[0].refused.as_deref().unwrap();
    assert!(told.starts_with("arbitrary_software: "), "{told}");
    assert!(told.contains("fairway key from-bundle"), "{told}");
    assert_eq!(evidence.told.vendors_refused, ["acme"]);
    let error = ImportError::not_published(&evidence.publications).unwrap();
    assert_eq!(error.attack(), Some(signing::Attack::ArbitrarySoftware));
    assert!(error.is_refusal() && error.to_string().contains("acme: "), "{error}");
    assert!(scene.server.manifest(REPOSITORY, sha(&scene.amd64)).is_some());
}
