//! Inventories as sites sign them, and those that are not believed.

use std::path::PathBuf;

use signing::{Attack, SecretKey};

use super::*;
use crate::oci::Digest;
use crate::site::{Held, ViewIdentity};

fn key(seed: u8) -> SecretKey {
    SecretKey::from_seed([seed; 32])
}

fn site(name: &str) -> SiteName {
    name.parse().unwrap()
}

fn inventory(name: &str, counter: u64) -> Inventory {
    Inventory {
        format: Inventory::FORMAT,
        site: site(name),
        view: ViewIdentity { pinned: Sha256Digest::of(b"root"), root_version: 1 },
        counter,
        sequence: 4,
        taken_at: "2026-11-20T00:00:00Z".parse().unwrap(),
        target: "store".to_owned(),
        images: vec!["r.example/tools/*".parse().unwrap()],
        contents: vec![Held {
            digest: Digest::of(b"x"),
            size: 1,
            repositories: vec!["a".parse().unwrap()],
            is_manifest: false,
        }],
    }
}

fn write(dir: &Path, inventory: &Inventory, seed: u8) -> PathBuf {
    let file = dir.join(format!("{}.{}.json", inventory.site, inventory.counter));
    std::fs::write(&file, inventory.sign(&key(seed)).unwrap()).unwrap();
    file
}

fn keys() -> BTreeMap<SiteName, PublicKey> {
    [("north", 1), ("south", 2)].map(|(name, seed)| (site(name), key(seed).public().clone())).into()
}

fn signed(inventory: &Inventory, seed: u8) -> SignedInventory {
    let dir = tempfile::tempdir().unwrap();
    read_inventory(&write(dir.path(), inventory, seed), &keys()).unwrap()
}

fn of(signed: Vec<SignedInventory>, sites: &[&str]) -> Result<Known, PlanError> {
    let sites: Vec<_> = sites.iter().map(|name| site(name)).collect();
    known(&Presumed::Inventories(signed), None, &sites, &[])
}

#[test]
fn an_inventory_of_an_unknown_site_or_with_another_key_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let file = write(dir.path(), &inventory("west", 1), 1);
    let refused = read_inventory(&file, &keys()).unwrap_err();
    assert!(matches!(&refused, PlanError::UnknownSite { site, .. } if site == "west"));
    let refused = of(vec![signed(&inventory("north", 1), 2)], &[]).unwrap_err();
    assert_eq!(refused.attack(), Some(Attack::ArbitrarySoftware), "{refused}");
}

#[test]
fn a_bundle_for_two_sites_needs_both_inventories() {
    let both = [signed(&inventory("north", 1), 1), signed(&inventory("south", 1), 2)];
    let refused = of(both[..1].to_vec(), &["north", "south"]).unwrap_err();
    assert!(matches!(refused, PlanError::NoInventory { site: s } if s == site("south")));
    let known = of(both.to_vec(), &["north", "south"]).unwrap();
    assert_eq!((known.sites.len(), known.at_sites), (2, 4));
    let twice = [signed(&inventory("north", 1), 1), signed(&inventory("north", 2), 1)];
    assert!(matches!(of(twice.to_vec(), &[]), Err(PlanError::Usage { .. })));
}

#[test]
fn an_image_that_a_site_does_not_take_is_said_beforehand() {
    let base = Presumed::Inventories(vec![signed(&inventory("north", 1), 1)]);
    let warnings = |image: &str| {
        let known = known(&base, None, &[], &[image.parse().unwrap()]).unwrap();
        known.warnings
    };
    assert_eq!(warnings("r.example/tools/git:1"), Vec::<String>::new());
    assert!(warnings("r.example/other:1")[0].contains("north does not take r.example/other:1"));
}

#[test]
fn what_is_assumed_is_what_finished_bundles_left() {
    let view = tempfile::tempdir().unwrap();
    for (sequence, byte, sites) in
        [(1, b"x", vec![]), (3, b"y", vec![site("south")]), (4, b"z", vec![])]
    {
        let held = Required {
            digest: Digest::of(byte),
            size: 1,
            repositories: vec!["a".parse().unwrap()],
            is_manifest: false,
        };
        let record = BundleRecord {
            format: BundleRecord::FORMAT,
            sequence,
            name: "b".parse().unwrap(),
            manifest: Sha256Digest::of(b"m"),
            asked: Sha256Digest::of(b"a"),
            sites,
            holds: vec![held],
        };
        view::keep_bundle_record(view.path(), &record).unwrap();
    }
    let assume = |sequence, sites: &[SiteName]| {
        known(&Presumed::Assumed { sequence }, Some(view.path()), sites, &[])
    };
    let known = assume(4, &[site("north")]).unwrap();
    let [held] = &known.sites[..] else { panic!("one") };
    let found: Vec<_> = held.holds.keys().copied().collect();
    let mut expected = [Digest::of(b"x"), Digest::of(b"z")];
    expected.sort_unstable();
    assert_eq!(found, expected, "not what was for south");
    assert!(known.warnings[0].contains("nobody confirmed"), "said loudly");
    assert_eq!(assume(3, &[site("south")]).unwrap().sites[0].holds.len(), 2);
    for (sequence, sites) in [(2, vec![]), (3, vec![site("north")]), (9, vec![])] {
        let refused = assume(sequence, &sites);
        assert!(matches!(refused, Err(PlanError::NoRecord { .. })), "{sequence}");
    }
}
