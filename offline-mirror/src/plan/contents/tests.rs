//! What is carried and what is left out, by drawn sets of images and inventories.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::bundle::{Base, ImageRole};
use crate::oci::Walk;
use crate::plan::held::Holding;

fn link(bytes: &[u8]) -> serde_json::Value {
    json!({
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "digest": Digest::of(bytes),
        "size": bytes.len(),
    })
}

/// An image over layers that are named by one byte each.
fn image(layers: &[u8]) -> Vec<u8> {
    let layers: Vec<_> = layers.iter().map(|layer| link(&[*layer])).collect();
    json!({"schemaVersion": 2, "config": link(b"{}"), "layers": layers}).to_string().into_bytes()
}

fn gathered(repository: &str, manifest: Vec<u8>) -> Gathered {
    let digest = Digest::of(&manifest);
    let mut walk = Walk::from(digest);
    let wanted = walk.next().unwrap();
    walk.visit(wanted, manifest).unwrap();
    let image = CarriedImage {
        repository: repository.parse().unwrap(),
        digest,
        tags: Vec::new(),
        source: "r.example".parse().unwrap(),
        role: ImageRole::Release,
    };
    Gathered { image, tree: walk.finish(), registry: 0 }
}

fn site(holds: impl IntoIterator<Item = (Digest, Holding)>) -> SiteHas {
    let base = Base { site: None, inventory: None, sequence: 1 };
    SiteHas { base, holds: holds.into_iter().collect() }
}

fn held(repositories: &[&str], is_manifest: bool) -> Holding {
    let repositories = repositories.iter().map(|name| name.parse().unwrap()).collect();
    Holding { repositories, is_manifest }
}

fn sorted(images: &[Gathered], sites: &[SiteHas]) -> Contents {
    sort(images, sites, &BTreeSet::new()).unwrap()
}

#[test]
fn a_layer_of_two_images_is_carried_once_and_may_be_read_at_either() {
    let images = [gathered("a", image(b"xy")), gathered("b", image(b"xz"))];
    let contents = sorted(&images, &[]);
    assert_eq!((contents.manifests.len(), contents.blobs.len()), (2, 4), "config, x, y, z");
    assert_eq!(contents.blobs[&Digest::of(b"x")].places.len(), 2);
    assert_eq!(contents.required.len(), 0);
}

#[test]
fn only_what_all_addressed_sites_have_is_left_out() {
    let images = [gathered("a", image(b"xy"))];
    let x = (Digest::of(b"x"), held(&["other"], false));
    let y = (Digest::of(b"y"), held(&["a"], false));
    let contents = sorted(&images, &[site([x.clone(), y]), site([x])]);
    assert_eq!(contents.required.keys().collect::<Vec<_>>(), [&Digest::of(b"x")]);
    assert_eq!(contents.required[&Digest::of(b"x")].repositories, ["a".parse().unwrap()]);
    assert!(contents.blobs.contains_key(&Digest::of(b"y")));
}

#[test]
fn a_manifest_is_left_out_only_where_every_repository_has_it() {
    let images = [gathered("a", image(b"x")), gathered("b", image(b"x"))];
    let top = images[0].image.digest;
    let in_a = sorted(&images, &[site([(top, held(&["a"], true))])]);
    assert!(in_a.manifests.contains_key(&top), "b needs it too");
    let as_blob = sorted(&images, &[site([(top, held(&["a", "b"], false))])]);
    assert!(as_blob.manifests.contains_key(&top), "a registry has it as a blob only");
    let below = [b"x".as_slice(), b"{}"].map(|b| (Digest::of(b), held(&["a"], false)));
    let whole = below.into_iter().chain([(top, held(&["a", "b"], true))]);
    let in_both = sorted(&images, &[site(whole)]);
    assert!(in_both.required[&top].is_manifest);
}

#[test]
fn a_manifest_goes_with_what_is_missing_below_it() {
    let images = [gathered("a", image(b"x"))];
    let top = images[0].image.digest;
    let contents = sorted(&images, &[site([(top, held(&["a"], true))])]);
    assert!(contents.manifests.contains_key(&top) && contents.required.is_empty());
}

#[test]
fn layers_that_no_registry_has_are_nobodys_need() {
    let images = [gathered("a", image(b"xy"))];
    let contents = sort(&images, &[], &BTreeSet::from([Digest::of(b"y")])).unwrap();
    assert!(!contents.blobs.contains_key(&Digest::of(b"y")));
    assert!(!contents.required.contains_key(&Digest::of(b"y")));
}

#[test]
fn images_that_contradict_each_other_are_refused() {
    let lie = String::from_utf8(image(b"x")).unwrap().replacen("\"size\":1", "\"size\":7", 1);
    let images = [gathered("a", image(b"x")), gathered("b", lie.into_bytes())];
    let refused = sort(&images, &[], &BTreeSet::new()).unwrap_err();
    assert_eq!((refused.found, refused.known), (7, 1));
}

#[test]
fn the_layout_lists_carried_images_by_tag_or_digest() {
    let mut images = [gathered("a", image(b"x")), gathered("b", image(b"y"))];
    images[0].image.tags = vec!["v1".parse().unwrap(), "latest".parse().unwrap()];
    let names = |contents: &Contents| -> Vec<String> {
        let name = |listed: &ListedImage| match &listed.tag {
            Some(tag) => format!("{}:{tag}", listed.repository),
            None => format!("{}@{}", listed.repository, listed.digest),
        };
        contents.listed(&images).iter().map(name).collect()
    };
    let by_digest = format!("b@{}", images[1].image.digest);
    assert_eq!(names(&sorted(&images, &[])), ["a:v1", "a:latest", &by_digest]);
    let there = [b"x".as_slice(), b"{}"].map(|b| (Digest::of(b), held(&["a"], false)));
    let top = (images[0].image.digest, held(&["a"], true));
    let there = site(there.into_iter().chain([top]));
    assert_eq!(names(&sorted(&images, &[there])), [by_digest]);
}

proptest! {
    /// Whatever a site has: what it has and what is carried are together all that is needed, and
    /// nothing that it has is carried but manifests of images that it does not have whole.
    #[test]
    fn an_increment_is_exactly_what_is_missing(
        layers in prop::collection::vec(prop::collection::vec(0_u8..12, 0..5), 1..6),
        repositories in prop::collection::vec(0_usize..3, 6),
        has in prop::collection::btree_set(0_usize..40, 0..40),
        partly: bool,
    ) {
        let names = ["a", "b", "c"];
        let images: Vec<_> = layers
            .iter()
            .zip(&repositories)
            .map(|(layers, repository)| gathered(names[*repository], image(layers)))
            .collect();
        let full = sorted(&images, &[]);
        let all: Vec<_> = full.afterwards(&images);
        let mut holds = BTreeMap::new();
        for (at, need) in all.iter().enumerate().filter(|(at, _)| has.contains(at)) {
            let mut repositories: BTreeSet<_> = need.repositories.iter().cloned().collect();
            if partly && at % 2 == 0 {
                repositories.pop_first();
            }
            let is_manifest = need.is_manifest;
            holds.insert(need.digest, Holding { repositories, is_manifest });
        }
        let sites = [site(holds.clone())];
        let increment = sorted(&images, &sites);
        let is_held = |need: &Required| {
            holds.get(&need.digest).is_some_and(|held| {
                !need.is_manifest
                    || need.repositories.iter().all(|name| held.repositories.contains(name))
            })
        };
        let below = |digest: Digest| {
            let nodes = images.iter().flat_map(|image| image.tree.manifests());
            let node = nodes.into_iter().find(|node| node.digest == digest);
            let blobs = node.iter().flat_map(|node| node.manifest.blobs());
            blobs.map(|blob| blob.digest).collect::<Vec<_>>()
        };
        for need in &all {
            let carried = increment.manifests.contains_key(&need.digest)
                || increment.blobs.contains_key(&need.digest);
            let is_there = is_held(need)
                && below(need.digest).iter().all(|blob| holds.contains_key(blob));
            prop_assert_eq!(carried, !is_there, "{}", need.digest);
            prop_assert_eq!(increment.required.contains_key(&need.digest), is_there);
        }
        prop_assert_eq!(increment.afterwards(&images), all, "afterwards the site has all of it");
        // A second site with nothing: everything is carried again.
        let both = [sites[0].clone(), site([])];
        prop_assert_eq!(sorted(&images, &both), full);
    }
}
