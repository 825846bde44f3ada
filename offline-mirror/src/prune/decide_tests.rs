//! What stays, what goes, and that nothing needed ever goes.

use proptest::prelude::*;

use super::*;

fn repository() -> Repository {
    "acme/app".parse().unwrap()
}

fn digest(name: &str) -> Digest {
    Digest::of(name.as_bytes())
}

fn product() -> ProductRef {
    "acme/app".parse().unwrap()
}

fn version(text: &str) -> ReleaseVersion {
    text.parse().unwrap()
}

fn stored(name: &str, role: ImageRole, children: &[&str], blobs: &[(&str, u64)]) -> Stored {
    let was_release = role == ImageRole::Release;
    let image = CarriedImage {
        repository: repository(),
        digest: digest(name),
        tags: vec![],
        source: "r.example".parse().unwrap(),
        role,
    };
    Stored {
        image: Some(image),
        was_release,
        tagged_here: BTreeSet::new(),
        place: (repository(), digest(name)),
        manifests: children.iter().chain([&name]).map(|name| digest(name)).collect(),
        blobs: blobs.iter().map(|(name, size)| (digest(name), *size)).collect(),
    }
}

fn release(text: &str, image: &str, back_from: &[&str]) -> KnownRelease {
    KnownRelease {
        id: (product(), version(text)),
        images: BTreeSet::from([(repository(), digest(image))]),
        components: BTreeSet::from([format!("app-{text}")]),
        back_from: back_from.iter().map(|text| version(text)).collect(),
    }
}

fn used(need: Need) -> Use {
    Use { cluster: "c1".to_owned(), product: Some(product()), need }
}

/// Three releases, of which the first may be gone back to from the second.
fn three() -> (Vec<Stored>, Vec<KnownRelease>) {
    let images = ["one", "two", "three"]
        .map(|name| stored(name, ImageRole::Release, &[], &[("shared", 10), (name, 5)]));
    let releases = vec![
        release("1.0.0", "one", &["2.0.0"]),
        release("2.0.0", "two", &[]),
        release("3.0.0", "three", &[]),
    ];
    (images.to_vec(), releases)
}

fn decided(stored: &[Stored], releases: &[KnownRelease], uses: &[Use]) -> Decision {
    let (newest, allows) = (BTreeMap::new(), |_: &CarriedImage| false);
    decide(&Input { stored, releases, uses, newest: &newest, allows: &allows })
}

fn removed(decision: &Decision) -> Vec<Digest> {
    decision.remove.iter().map(|gone| gone.digest).collect()
}

#[test]
fn what_a_cluster_runs_moves_to_or_may_go_back_to_stays() {
    let (images, releases) = three();
    let on_two = decided(&images, &releases, &[used(Need::Runs(version("2.0.0")))]);
    assert_eq!(removed(&on_two), [digest("three")], "1.0.0 may be gone back to");
    assert_eq!(on_two.bytes, 5, "the shared layer stays");
    let moving = [used(Need::Runs(version("1.0.0"))), used(Need::MovesTo(version("3.0.0")))];
    assert_eq!(removed(&decided(&images, &releases, &moving)), [digest("two")]);
    let unit = [used(Need::UnitRuns("app-3.0.0".to_owned()))];
    let gone = removed(&decided(&images, &releases, &unit));
    assert_eq!(gone, [digest("one"), digest("two")]);
}

#[test]
fn whatever_is_not_known_keeps_everything_it_could_be() {
    let (images, releases) = three();
    for need in [Need::Unknown, Need::Runs(version("9.9.9")), Need::UnitRuns("???".to_owned())] {
        let decision = decided(&images, &releases, &[used(need)]);
        assert_eq!(removed(&decision), [], "{:?}", decision.keep);
    }
    let nobody = Use { cluster: "c2".to_owned(), product: None, need: Need::Unknown };
    assert_eq!(removed(&decided(&images, &releases, &[nobody])), []);
    let without_document = decided(&images, &releases[1..], &[used(Need::Runs(version("2.0.0")))]);
    assert_eq!(removed(&without_document), [digest("three")], "nobody knows what one is for");
}

#[test]
fn an_image_that_another_vendors_release_names_too_stays_for_a_cluster_without_a_document() {
    let other: ProductRef = "beta/app".parse().unwrap();
    let beta = KnownRelease { id: (other, version("5.0.0")), ..release("5.0.0", "one", &[]) };
    let images = [stored("one", ImageRole::Release, &[], &[])];
    let runs_acme = [used(Need::Runs(version("1.0.0")))];
    let decision = decided(&images, std::slice::from_ref(&beta), &runs_acme);
    assert_eq!(removed(&decision), [], "{:?}", decision.keep);
    assert_eq!(removed(&decided(&images, &[beta], &[])), [digest("one")], "nobody runs anything");
}

#[test]
fn an_image_that_was_a_releases_and_came_again_as_an_extra_stays_without_its_document() {
    let again = Stored { was_release: true, ..stored("one", ImageRole::Extra, &[], &[]) };
    let decision = decided(&[again], &[], &[used(Need::Runs(version("1.0.0")))]);
    assert_eq!(removed(&decision), [], "site.toml does not list it");
}

#[test]
fn the_newest_of_a_channel_and_listed_extras_stay() {
    let (mut images, releases) = three();
    images.push(stored("tool", ImageRole::Extra, &[], &[]));
    let newest = BTreeMap::from([(product(), BTreeSet::from([version("3.0.0")]))]);
    let uses = [used(Need::Runs(version("2.0.0")))];
    for listed in [true, false] {
        let allows = |_: &CarriedImage| listed;
        let (stored, releases, uses) = (&images[..], &releases[..], &uses[..]);
        let gone = decide(&Input { stored, releases, uses, newest: &newest, allows: &allows });
        let expected = if listed { vec![] } else { vec![digest("tool")] };
        assert_eq!(removed(&gone), expected);
    }
}

#[test]
fn what_is_about_something_that_stays_stays_and_goes_with_it() {
    let (mut images, releases) = three();
    let about = |name| ImageRole::Referrer { subject: digest(name) };
    images.push(stored("sbom of the signature", about("signature"), &[], &[]));
    images.push(stored("signature", about("two"), &[], &[]));
    images.push(stored("signature of three", about("three"), &[], &[]));
    let decision = decided(&images, &releases, &[used(Need::Runs(version("2.0.0")))]);
    assert_eq!(removed(&decision), [digest("three"), digest("signature of three")]);
}

#[test]
fn what_no_bundle_brought_is_never_touched_nor_what_it_needs() {
    let (mut images, releases) = three();
    let mut foreign = stored("foreign", ImageRole::Extra, &["three"], &[]);
    foreign.image = None;
    images.push(foreign);
    let decision = decided(&images, &releases, &[used(Need::Runs(version("2.0.0")))]);
    assert_eq!(removed(&decision), [], "somebody's index lists three");
}

#[test]
fn an_index_goes_before_its_children() {
    let images = [stored("index", ImageRole::Release, &["child"], &[])];
    let releases = [release("1.0.0", "index", &[]), release("2.0.0", "other", &[])];
    let decision = decided(&images, &releases, &[used(Need::Runs(version("2.0.0")))]);
    assert_eq!(removed(&decision), [digest("index"), digest("child")]);
}

/// Images over children and blobs named by small numbers, in one of two repositories.
fn some_stored() -> impl Strategy<Value = Vec<Stored>> {
    let one =
        (0_usize..3, prop::collection::btree_set(0_u8..8, 0..3), 0_u8..4, 0_u8..12, any::<bool>());
    prop::collection::vec(one, 1..12).prop_map(|rows| {
        rows.into_iter()
            .enumerate()
            .map(|(at, (role, children, blob, subject, second))| {
                let name = format!("image{at}");
                let role = match role {
                    0 => ImageRole::Release,
                    1 => ImageRole::Extra,
                    _ => ImageRole::Referrer { subject: digest(&format!("image{subject}")) },
                };
                let children: Vec<_> = children.iter().map(|c| format!("child{c}")).collect();
                let children: Vec<&str> = children.iter().map(String::as_str).collect();
                let blob = format!("blob{blob}");
                let mut stored = stored(&name, role, &children, &[(&blob, 1)]);
                if second {
                    stored.place.0 = "acme/other".parse().unwrap();
                    if let Some(image) = &mut stored.image {
                        image.repository = stored.place.0.clone();
                    }
                }
                stored
            })
            .collect()
    })
}

proptest! {
    /// Nothing that stays loses a manifest, and nothing that is protected goes.
    #[test]
    fn nothing_needed_is_ever_removed(
        stored in some_stored(),
        named in prop::collection::vec((0_u8..12, any::<bool>()), 0..6),
        runs in prop::collection::vec(0_u8..6, 0..4),
        foreign in 0_usize..12,
    ) {
        let mut stored = stored;
        if let Some(one) = stored.get_mut(foreign) {
            one.image = None;
        }
        let releases: Vec<_> = named
            .iter()
            .enumerate()
            .map(|(at, (image, back))| {
                let back: &[&str] = if *back { &["1.0.0", "2.0.0"] } else { &[] };
                let mut release = release(&format!("{at}.0.0"), &format!("image{image}"), back);
                release.images.insert(("acme/other".parse().unwrap(), digest(&format!("image{image}"))));
                release
            })
            .collect();
        let uses: Vec<_> =
            runs.iter().map(|at| used(Need::Runs(version(&format!("{at}.0.0"))))).collect();
        let decision = decided(&stored, &releases, &uses);
        let gone: BTreeSet<Place> =
            decision.remove.iter().map(|r| (r.repository.clone(), r.digest)).collect();
        let kept: BTreeSet<Place> =
            decision.keep.iter().map(|k| (k.repository.clone(), k.digest)).collect();
        for one in &stored {
            let is_protected = releases.iter().any(|release| {
                release.images.contains(&one.place)
                    && uses.iter().any(|u| matches!(&u.need, Need::Runs(v) if *v == release.id.1))
            });
            if is_protected || one.image.is_none() {
                prop_assert!(kept.contains(&one.place));
            }
            if kept.contains(&one.place) {
                for place in manifests_of(one) {
                    prop_assert!(!gone.contains(&place), "{:?} needs {:?}", one.place, place);
                }
            }
        }
        // Every referrer of what stays is there too.
        for one in &stored {
            if let Some(ImageRole::Referrer { subject }) = one.image.as_ref().map(|i| &i.role) {
                let subject = (one.place.0.clone(), *subject);
                let stays = stored.iter().any(|s| {
                    kept.contains(&s.place) && manifests_of(s).any(|place| place == subject)
                });
                prop_assert!(!stays || kept.contains(&one.place));
            }
        }
    }
}
