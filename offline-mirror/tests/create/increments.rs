//! Increments: what a site has is left out, what it does not have is never left out.

use std::path::PathBuf;

use offline_mirror::bundle::{Content, Required};
use offline_mirror::create::{CreateError, Created};
use offline_mirror::oci::Digest;
use offline_mirror::plan::{PlanError, Presumed, Request, SignedInventory};
use offline_mirror::site::{Held, Inventory, MissingList, ViewIdentity};
use signing::{Attack, SecretKey, Sha256Digest};

use crate::registry::Image;
use crate::scene::{SHARED, Scene, at, claims, has, long, sequence};

fn site_key() -> SecretKey {
    SecretKey::from_seed([77; 32])
}

/// An inventory of a site that has what a bundle left there.
fn inventory(scene: &Scene, counter: u64, sequence: u64, contents: Vec<Held>) -> SignedInventory {
    let root = std::fs::read(scene.view().join("root.json")).unwrap();
    let inventory = Inventory {
        format: Inventory::FORMAT,
        site: "north".parse().unwrap(),
        view: ViewIdentity { pinned: Sha256Digest::of(&root), root_version: 1 },
        counter,
        sequence,
        taken_at: at(3),
        target: "store".to_owned(),
        images: Vec::new(),
        contents,
    };
    SignedInventory {
        file: PathBuf::from("north.json"),
        bytes: inventory.sign(&site_key()).unwrap(),
        key: site_key().public().clone(),
    }
}

/// What a site has of a bundle: all that it carries, in the repositories of its images.
fn left_by(created: &Created) -> Vec<Held> {
    let manifest = claims(created);
    let repositories = ["acme/app", "other/db"].map(|name| name.parse().unwrap()).to_vec();
    let mut held: Vec<Held> = manifest
        .entries
        .iter()
        .filter_map(|entry| {
            let (digest, size, is_manifest) = match &entry.content {
                Content::File => return None,
                Content::Manifest { .. } => (entry.digest, entry.size, true),
                Content::Blob { blob, part, .. } => {
                    (*blob, part.map_or(entry.size, |part| part.of), false)
                }
            };
            Some(Held { digest, size, repositories: repositories.clone(), is_manifest })
        })
        .collect();
    held.sort();
    held.dedup();
    held
}

/// Only acme/app up to a release.
fn up_to(scene: &Scene, name: &str, to: &str) -> Request {
    let mut request = scene.request();
    request.name = name.parse().unwrap();
    let text =
        format!("product = \"acme/app\"\nchannel = \"stable\"\nfrom = \"1.0.0\"\nto = \"{to}\"");
    request.products = vec![toml::from_str(&text).unwrap()];
    request
}

async fn make(scene: &Scene, plan: Request) -> Result<Created, CreateError> {
    let request = offline_mirror::create::CreateRequest { plan, ..scene.create_request() };
    scene.create(&request).await
}

#[actix_web::test]
async fn an_increment_carries_exactly_what_the_site_lacks() {
    let scene = Scene::new().await;
    let first = make(&scene, up_to(&scene, "one", "1.1.0")).await.unwrap();
    let mut second = up_to(&scene, "two", "1.2.0");
    let held = left_by(&first);
    second.base = Presumed::Inventories(vec![inventory(&scene, 1, 1, held.clone())]);
    let second = make(&scene, second).await.unwrap();
    let reader = scene.open(&second).await;
    let manifest = reader.manifest();
    assert!(has(&reader, &long(3)) && has(&reader, &3_u32.to_le_bytes()));
    for there in [SHARED, &long(2), b"{}"] {
        assert!(!has(&reader, there));
        assert!(manifest.required.iter().any(|required| required.digest == Digest::of(there)));
    }
    // What is carried is none of what the site has, and with that it is all.
    assert!(held.iter().all(|held| !reader.has(&held.digest)));
    assert_eq!(manifest.sites, ["north".parse().unwrap()]);
    let [base] = &manifest.bases[..] else { panic!("one base") };
    assert_eq!((base.sequence, base.inventory.is_some()), (1, true));
    assert!(manifest.complete);
}

#[actix_web::test]
async fn an_older_inventory_than_one_that_was_used_is_refused() {
    let scene = Scene::new().await;
    let first = make(&scene, up_to(&scene, "one", "1.1.0")).await.unwrap();
    let with = |name: &str, counter, held| {
        let mut request = up_to(&scene, name, "1.2.0");
        request.base = Presumed::Inventories(vec![inventory(&scene, counter, 1, held)]);
        request
    };
    let _ = make(&scene, with("two", 5, left_by(&first))).await.unwrap();
    let refused = make(&scene, with("three", 4, left_by(&first))).await.unwrap_err();
    assert_eq!(refused.attack(), Some(Attack::Rollback), "{refused}");
    let Presumed::Inventories(mut all) = with("four", 6, Vec::new()).base else { panic!() };
    all[0].bytes = {
        let text = String::from_utf8(all[0].bytes.clone()).unwrap();
        text.replacen("\"counter\":6", "\"counter\":7", 1).into_bytes()
    };
    let mut forged = up_to(&scene, "four", "1.2.0");
    forged.base = Presumed::Inventories(all);
    let refused = make(&scene, forged).await.unwrap_err();
    assert_eq!(refused.attack(), Some(Attack::ArbitrarySoftware), "{refused}");
}

#[actix_web::test]
async fn a_site_of_another_view_is_not_served() {
    let (scene, other) = (Scene::new().await, Scene::as_of(at(-5)).await);
    let mut request = up_to(&scene, "one", "1.2.0");
    request.base = Presumed::Inventories(vec![inventory(&other, 1, 0, Vec::new())]);
    let refused = make(&scene, request).await.unwrap_err();
    assert!(matches!(refused, CreateError::Plan(PlanError::OtherView { .. })), "{refused}");
}

#[actix_web::test]
async fn a_sequence_is_beyond_what_a_site_says_it_has() {
    let scene = Scene::new().await;
    let mut request = up_to(&scene, "one", "1.1.0");
    request.base = Presumed::Inventories(vec![inventory(&scene, 1, sequence(9), Vec::new())]);
    assert_eq!(make(&scene, request).await.unwrap().sequence, sequence(9) + 1);
}

#[actix_web::test]
async fn what_is_assumed_is_left_out_and_said_loudly() {
    let scene = Scene::new().await;
    let first = make(&scene, up_to(&scene, "one", "1.1.0")).await.unwrap();
    let mut request = up_to(&scene, "two", "1.2.0");
    request.base = Presumed::Assumed { sequence: first.sequence };
    let second = make(&scene, request).await.unwrap();
    let reader = scene.open(&second).await;
    assert!(!has(&reader, SHARED) && has(&reader, &long(3)));
    assert!(second.warnings[0].contains("nobody confirmed"), "{:?}", second.warnings);
    assert_eq!(reader.manifest().bases[0].inventory, None);
    let mut unknown = up_to(&scene, "three", "1.2.0");
    unknown.base = Presumed::Assumed { sequence: 99 };
    let refused = make(&scene, unknown).await.unwrap_err();
    assert!(matches!(refused, CreateError::Plan(PlanError::NoRecord { sequence: 99 })));
}

/// A repair of an image without one of its layers.
fn repair(scene: &Scene) -> (&Image, Request) {
    let required = |digest, size: usize, is_manifest| Required {
        digest,
        size: u64::try_from(size).unwrap(),
        repositories: vec!["acme/app".parse().unwrap()],
        is_manifest,
    };
    let image = &scene.images[1];
    let mut missing = vec![
        required(Digest::of(&long(2)), long(2).len(), false),
        required(image.digest, image.size, true),
    ];
    missing.sort();
    let mut request = scene.request();
    (request.products, request.name) = (Vec::new(), "repair".parse().unwrap());
    request.base = Presumed::Repair(MissingList {
        format: MissingList::FORMAT,
        site: "north".parse().unwrap(),
        bundle: "two".parse().unwrap(),
        sequence: sequence(9),
        missing,
    });
    (image, request)
}

#[actix_web::test]
async fn a_repair_carries_just_what_was_missing() {
    let scene = Scene::new().await;
    let (image, request) = repair(&scene);
    let created = make(&scene, request).await.unwrap();
    let reader = scene.open(&created).await;
    let manifest = reader.manifest();
    let carried: Vec<_> =
        manifest.entries.iter().filter(|entry| entry.content != Content::File).collect();
    assert!(reader.has(&image.digest) && has(&reader, &long(2)) && !has(&reader, SHARED));
    assert!(carried.iter().all(|entry| match &entry.content {
        Content::Blob { blob, .. } => *blob == Digest::of(&long(2)),
        Content::Manifest { .. } => entry.digest == image.digest,
        Content::File => false,
    }));
    assert_eq!(
        (manifest.sequence, &manifest.sites[..]),
        (sequence(9) + 1, &["north".parse().unwrap()][..])
    );
    assert!(manifest.images.is_empty() && manifest.required.is_empty() && manifest.complete);
}

#[actix_web::test]
async fn a_repair_says_what_it_cannot_bring() {
    let scene = Scene::new().await;
    scene.server.rot(&long(2));
    let (image, mut request) = repair(&scene);
    request.keep_going = true;
    let created = make(&scene, request).await.unwrap();
    assert!(!created.complete);
    let [missing] = &created.missing[..] else { panic!("{:?}", created.missing) };
    assert_eq!(missing.what, Digest::of(&long(2)).to_string());
    let reader = scene.open(&created).await;
    assert!(reader.has(&image.digest) && !has(&reader, &long(2)), "the rest is there");
}

#[actix_web::test]
async fn what_was_given_up_before_its_seal_is_not_assumed() {
    let scene = Scene::new().await;
    scene.server.lose(&long(2));
    drop(make(&scene, up_to(&scene, "one", "1.1.0")).await.unwrap_err());
    // As if it had been killed between its record and its seal.
    let record = scene.view().join("bundles").join(format!("{}.json", sequence(1)));
    std::fs::create_dir_all(record.parent().unwrap()).unwrap();
    std::fs::write(&record, "{}").unwrap();
    drop(scene.server.image("acme/app", &[SHARED, &long(2), &2_u32.to_le_bytes()]));
    let plan = up_to(&scene, "one", "1.2.0");
    let request =
        offline_mirror::create::CreateRequest { plan, restart: true, ..scene.create_request() };
    let created = scene.create(&request).await.unwrap();
    assert_eq!((created.sequence, record.exists()), (sequence(1) + 1, false));
}

#[actix_web::test]
async fn a_finished_bundle_that_made_way_is_not_assumed() {
    let scene = Scene::new().await;
    scene.server.rot(&long(2));
    let mut plan = scene.request();
    plan.keep_going = true;
    let first = make(&scene, plan.clone()).await.unwrap();
    assert!(!first.complete && claims(&first).images.len() == 2);
    // In its place another one, which has nothing of acme/app.
    plan.products.remove(0);
    let request =
        offline_mirror::create::CreateRequest { plan, restart: true, ..scene.create_request() };
    let second = scene.create(&request).await.unwrap();
    let record = |sequence| scene.view().join("bundles").join(format!("{sequence}.json")).exists();
    assert!(!record(first.sequence) && record(second.sequence));
    let mut third = up_to(&scene, "three", "1.2.0");
    (third.base, third.keep_going) = (Presumed::Assumed { sequence: second.sequence }, true);
    let third = make(&scene, third).await.unwrap();
    assert!(has(&scene.open(&third).await, &long(3)), "nobody ever carried it");
}
