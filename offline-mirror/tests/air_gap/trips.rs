//! Round trips between an exporter and a site with a store of its own.

use std::path::{Path, PathBuf};

use offline_mirror::bundle::{BundleDir, Content};
use offline_mirror::create::{CreateRequest, Created};
use offline_mirror::import::{Evidence, ImportError, ImportRequest, Log, Target, import};
use offline_mirror::oci::Digest;
use offline_mirror::plan::{Presumed, Request, SignedInventory};
use offline_mirror::site::{SiteDir, SiteInit};
use offline_mirror::store::{Reference, Store};

use crate::scene::{SHARED, Scene, VERSIONS, at, long, sequence};

fn site(scene: &Scene, name: &str) -> SiteDir {
    let dir = scene.folder.path().join(name);
    if dir.exists() {
        return SiteDir::open(&dir).unwrap();
    }
    let root = std::fs::read(scene.view().join("root.json")).unwrap();
    let init = SiteInit { name: name.parse().unwrap(), root, images: Vec::new() };
    SiteDir::init(&dir, init).unwrap()
}

fn store(scene: &Scene, name: &str) -> Store {
    Store::create(&scene.folder.path().join(format!("{name}-store"))).unwrap()
}

/// Only acme/app, from 1.0.0 up to a release.
fn up_to(scene: &Scene, name: &str, to: &str) -> Request {
    let mut request = scene.request();
    request.name = name.parse().unwrap();
    let text =
        format!("product = \"acme/app\"\nchannel = \"stable\"\nfrom = \"1.0.0\"\nto = \"{to}\"");
    request.products = vec![toml::from_str(&text).unwrap()];
    request
}

async fn make(scene: &Scene, plan: Request, hour: i64) -> Created {
    let dir = scene.folder.path().join(plan.name.as_str());
    let request = CreateRequest { plan, dir, restart: false };
    scene.create_at(&request, at(hour)).await.unwrap()
}

async fn take_in(
    scene: &Scene,
    name: &str,
    bundles: &[&Created],
    missing_out: Option<PathBuf>,
    hour: i64,
) -> Result<Evidence, ImportError> {
    let bundles = bundles.iter().map(|created| created.manifest.clone()).collect();
    let request = ImportRequest { bundles, missing_out, ..ImportRequest::default() };
    let clock = || at(hour);
    let target = Target::Store(store(scene, name));
    import(&site(scene, name), &request, &target, None, Log::new(&clock, &|_| {})).await
}

/// The site's newest inventory, as it is carried back.
fn inventory(scene: &Scene, name: &str) -> SignedInventory {
    let site = site(scene, name);
    SignedInventory {
        file: site.inventory_path(),
        bytes: std::fs::read(site.inventory_path()).unwrap(),
        key: site.public_key().unwrap(),
    }
}

fn carried(created: &Created) -> Vec<Digest> {
    let dir = BundleDir::open(&created.manifest, &[]).unwrap();
    let objects = dir.claims().entries.iter().filter_map(|entry| match &entry.content {
        Content::File => None,
        Content::Manifest { .. } => Some(entry.digest),
        Content::Blob { blob, .. } => Some(*blob),
    });
    objects.collect()
}

/// Every image of acme/app after the first is at the site as the exporter's registry has it.
fn check_store(scene: &Scene, name: &str, versions: &[usize]) {
    let store = store(scene, name);
    for at in versions {
        let image = &scene.images[*at];
        let reference = Reference::Digest(image.digest);
        let (_, bytes) = store.manifest_bytes(&"acme/app".parse().unwrap(), &reference).unwrap();
        assert_eq!(Digest::of(&bytes), image.digest);
        let layer = long(u32::try_from(*at).unwrap() + 1);
        let repository = "acme/app".parse().unwrap();
        let reader = store.reader_in(&repository, &Digest::of(&layer), None).unwrap();
        assert_eq!(reader.read_all(layer.len()).unwrap(), layer);
    }
}

#[actix_web::test]
async fn the_next_bundle_carries_only_what_the_sites_inventory_lacks() {
    let scene = Scene::new().await;
    let first = make(&scene, up_to(&scene, "one", VERSIONS[1]), 1).await;
    let evidence = take_in(&scene, "north", &[&first], None, 2).await.unwrap();
    assert_eq!(evidence.bundles[0].sequence, sequence(1));
    check_store(&scene, "north", &[1]);

    let mut second = up_to(&scene, "two", VERSIONS[2]);
    second.base = Presumed::Inventories(vec![inventory(&scene, "north")]);
    let second = make(&scene, second, 3).await;
    let objects = carried(&second);
    assert!(objects.contains(&Digest::of(&long(3))));
    for there in [SHARED, &long(2), b"{}"] {
        assert!(!objects.contains(&Digest::of(there)), "the site has it");
    }
    take_in(&scene, "north", &[&second], None, 4).await.unwrap();
    check_store(&scene, "north", &[1, 2]);

    // Nothing new: everything is required and nothing but metadata is carried.
    let mut third = up_to(&scene, "three", VERSIONS[2]);
    third.base = Presumed::Inventories(vec![inventory(&scene, "north")]);
    let third = make(&scene, third, 5).await;
    assert_eq!(carried(&third), []);
    take_in(&scene, "north", &[&third], None, 6).await.unwrap();
    assert_eq!(site(&scene, "north").ledger().unwrap().newest(), sequence(5));
}

#[actix_web::test]
async fn what_a_site_lacks_is_listed_carried_back_and_repaired() {
    let scene = Scene::new().await;
    let first = make(&scene, up_to(&scene, "one", VERSIONS[1]), 1).await;
    take_in(&scene, "south", &[&first], None, 2).await.unwrap();
    let mut second = up_to(&scene, "two", VERSIONS[2]);
    second.base = Presumed::Assumed { sequence: first.sequence };
    let second = make(&scene, second, 3).await;
    let list = scene.folder.path().join("missing.json");
    // North never got the first one, and somebody assumed that it had.
    let refused = take_in(&scene, "north", &[&second], Some(list.clone()), 4).await.unwrap_err();
    assert!(matches!(refused, ImportError::MissingBase { .. }), "{refused:?}");

    let mut repair = up_to(&scene, "repair", VERSIONS[2]);
    repair.base = Presumed::Repair(read_list(&list));
    let repair = make(&scene, repair, 5).await;
    let evidence = take_in(&scene, "north", &[&second, &repair], None, 6).await.unwrap();
    assert_eq!(evidence.bundles.len(), 2);
    check_store(&scene, "north", &[1, 2]);
}

fn read_list(path: &Path) -> offline_mirror::site::MissingList {
    offline_mirror::plan::read_missing(path).unwrap()
}
