//! What fsck and listings say about stores larger than one page.

use super::*;
use crate::store::referrers::IN_ORDER;

/// An image with a config and one layer that registries need not hold.
fn with_foreign_layer(config: &[u8], layer: &[u8]) -> Vec<u8> {
    json!({"schemaVersion": 2, "mediaType": MANIFEST_TYPES[0],
        "config": {"mediaType": "a/b", "digest": Digest::of(config), "size": config.len()},
        "layers": [{"mediaType": "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
            "digest": Digest::of(layer), "size": layer.len()}]})
    .to_string()
    .into_bytes()
}

#[test]
fn a_missing_layer_is_found_behind_thousands_of_children_that_may_be_absent() {
    let scene = scene();
    let children: Vec<_> = (0..1500_u32)
        .map(|n| json!({"mediaType": MANIFEST_TYPES[0], "digest": Digest::of(&n.to_be_bytes()), "size": 4}))
        .collect();
    let index = json!({"schemaVersion": 2, "mediaType": INDEX_TYPES[0], "manifests": children});
    scene.put("a/b", index.to_string().as_bytes(), &by_tag("index"));
    scene.push("a/b", b"config");
    for n in 0..20_u8 {
        let manifest = with_foreign_layer(b"config", &[n]);
        scene.put("a/b", &manifest, &Reference::Digest(Digest::of(&manifest)));
    }
    // The last of all digests, so that everything that may be absent comes before it.
    let layer = (0..u32::MAX)
        .map(u32::to_le_bytes)
        .find(|bytes| Digest::of(bytes).hex().starts_with("ffff"))
        .unwrap();
    scene.push("a/b", &layer);
    scene.put("a/b", &image(b"config", &[&layer]), &by_tag("v1"));
    let sound = scene.store.fsck(Fsck { percent: 100 }, scene.now, |_| ()).unwrap();
    assert!(sound.is_sound(), "{sound:?}");
    scene.store.unlink_blob(&repo("a/b"), &Digest::of(&layer), scene.now).unwrap();
    scene.gc();
    let report = scene.store.fsck(Fsck { percent: 100 }, scene.now, |_| ()).unwrap();
    let named: Vec<_> = report.damages.iter().map(|damage| damage.digest).collect();
    assert_eq!(named, [Digest::of(&layer)]);
}

#[test]
fn a_layer_that_only_another_repository_holds_is_missing() {
    let scene = scene();
    for repository in ["a/one", "a/two"] {
        scene.push(repository, b"config");
        scene.push(repository, b"layer");
        scene.put(repository, &image(b"config", &[b"layer"]), &by_tag("v1"));
    }
    scene.store.unlink_blob(&repo("a/two"), &Digest::of(b"layer"), scene.now).unwrap();
    let report = scene.store.fsck(Fsck { percent: 100 }, scene.now, |_| ()).unwrap();
    assert_eq!(report.damages.len(), 1, "{report:?}");
    assert_eq!(report.damages[0].digest, Digest::of(b"layer"));
    assert!(report.damages[0].why.starts_with("a/two does not have it"), "{report:?}");
}

#[test]
fn a_page_of_referrers_ends_where_their_annotations_have_two_mebibytes() {
    let scene = scene();
    let subject = Digest::of(b"subject");
    let long = "x".repeat(900 * 1024);
    for n in 0..5 {
        let about = json!({"schemaVersion": 2, "mediaType": INDEX_TYPES[0], "manifests": [],
            "annotations": {"n": n.to_string(), "long": long},
            "subject": {"mediaType": MANIFEST_TYPES[0], "digest": subject, "size": 7}})
        .to_string();
        let reference = Reference::Digest(Digest::of(about.as_bytes()));
        scene.put("a/b", about.as_bytes(), &reference);
    }
    let (mut after, mut sizes, mut all) = (None, Vec::new(), Vec::new());
    loop {
        let page = scene
            .store
            .referrers_after(&repo("a/b"), &subject, None, after.as_ref(), usize::MAX)
            .unwrap();
        after = page.names.last().map(|last| last.digest);
        sizes.push(page.names.len());
        all.extend(page.names.into_iter().map(|name| name.annotations["n"].clone()));
        if !page.more {
            break;
        }
    }
    assert_eq!(sizes, [2, 2, 1]);
    all.sort();
    assert_eq!(all, ["0", "1", "2", "3", "4"]);
}

#[test]
fn one_referrer_comes_however_long_its_annotations_are() {
    let scene = scene();
    let about = json!({"schemaVersion": 2, "mediaType": INDEX_TYPES[0], "manifests": [],
        "annotations": {"long": "x".repeat(3 << 20)},
        "subject": {"mediaType": MANIFEST_TYPES[0], "digest": Digest::of(b"s"), "size": 1}})
    .to_string();
    scene.put("a/b", about.as_bytes(), &Reference::Digest(Digest::of(about.as_bytes())));
    let page =
        scene.store.referrers_after(&repo("a/b"), &Digest::of(b"s"), None, None, 10).unwrap();
    assert_eq!((page.names.len(), page.more), (1, false));
}

#[test]
fn referrers_are_put_in_order_without_their_annotations_and_without_other_manifests() {
    let scene = scene();
    let conn = rusqlite::Connection::open(scene.store.dir().join("store.db")).unwrap();
    let mut explained = conn.prepare(&format!("EXPLAIN QUERY PLAN {IN_ORDER}")).unwrap();
    let asked = rusqlite::params!["a/b", "sha256:00", "", None::<String>, 10];
    let steps: Vec<String> = explained
        .query_map(asked, |row| row.get("detail"))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    let by_subject = "manifests_subject (repository=? AND subject=?)";
    assert!(steps.iter().any(|step| step.contains(by_subject)), "{steps:#?}");
    drop(explained);
    // What a statement never reads may be gone.
    conn.execute_batch("ALTER TABLE manifests DROP COLUMN annotations").unwrap();
    conn.prepare(IN_ORDER).unwrap();
}

#[test]
fn a_page_of_referrers_says_whether_there_are_more() {
    let scene = scene();
    let subject = Digest::of(b"subject");
    for n in 0..3 {
        let about = json!({"schemaVersion": 2, "mediaType": INDEX_TYPES[0], "manifests": [],
            "annotations": {"n": n.to_string()},
            "subject": {"mediaType": MANIFEST_TYPES[0], "digest": subject, "size": 7}})
        .to_string();
        scene.put("a/b", about.as_bytes(), &Reference::Digest(Digest::of(about.as_bytes())));
    }
    for (limit, expected) in [(0, (0, true)), (2, (2, true)), (3, (3, false)), (4, (3, false))] {
        let page = scene.store.referrers_after(&repo("a/b"), &subject, None, None, limit).unwrap();
        assert_eq!((page.names.len(), page.more), expected, "{limit}");
    }
}

#[test]
fn a_blob_that_no_manifest_needs_is_in_no_inventory() {
    let scene = scene();
    scene.push("a/b", b"config");
    let pushed = scene.push("a/b", b"not needed yet");
    let manifest = image(b"config", &[]);
    scene.put("a/b", &manifest, &by_tag("v1"));
    let held = scene.store.held(None).unwrap();
    let of = |digest: &Digest| held.iter().find(|one| one.digest == *digest).unwrap();
    assert_eq!(of(&Digest::of(b"config")).repositories, [repo("a/b")]);
    assert_eq!(of(&Digest::of(&manifest)).repositories, [repo("a/b")]);
    assert_eq!(of(&pushed).repositories, [], "a collection takes it");
}
