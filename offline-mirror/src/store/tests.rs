//! The store on a real directory.

use std::fs;
use std::io::Write as _;

use jiff::ToSpan as _;
use serde_json::json;
use signing::Sha256Digest;

use super::*;
use crate::oci::{Algorithm, Digest, INDEX_TYPES, MANIFEST_TYPES, Repository, Tag};

mod asked;
mod uploads;

struct Scene {
    dir: tempfile::TempDir,
    store: Store,
    now: jiff::Timestamp,
}

fn scene() -> Scene {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::create(&dir.path().join("store")).unwrap();
    // Later than any file of a test, so that a grace of zero takes them all.
    Scene { store, dir, now: "2100-01-01T00:00:00Z".parse().unwrap() }
}

fn repo(name: &str) -> Repository {
    name.parse().unwrap()
}

fn by_tag(tag: &str) -> Reference {
    Reference::Tag(tag.parse().unwrap())
}

impl Scene {
    fn push(&self, repository: &str, bytes: &[u8]) -> Digest {
        let upload =
            self.store.begin_upload(&repo(repository), Algorithm::Sha256, self.now).unwrap();
        upload.append(bytes).unwrap();
        let digest = Digest::of(bytes);
        upload.finish(&digest, self.now).unwrap();
        digest
    }

    fn put(&self, repository: &str, bytes: &[u8], reference: &Reference) -> PutManifest {
        let put = Put { reference, media_type: None, children: Children::MustBeHeld };
        self.store.put_manifest(&repo(repository), bytes, &put, self.now).unwrap()
    }

    fn gc(&self) -> GcReport {
        let turn = self.store.exclusive().unwrap();
        self.store.gc(&turn, Gc { grace: jiff::SignedDuration::ZERO }, self.now).unwrap()
    }

    fn bytes(&self, digest: &Digest) -> Option<Vec<u8>> {
        let reader = self.store.reader(digest, None).unwrap()?;
        Some(reader.read_all(64 << 20).unwrap())
    }

    /// A segment of 512 zeros, then each blob followed by zeros up to 512.
    fn segment(&self, blobs: &[&[u8]]) -> (std::path::PathBuf, Vec<u64>) {
        let path = self.dir.path().join("north-0001.tar");
        let mut bytes = vec![0; 512];
        let mut offsets = Vec::new();
        for blob in blobs {
            offsets.push(u64::try_from(bytes.len()).unwrap());
            bytes.extend_from_slice(blob);
            bytes.resize(bytes.len().next_multiple_of(512), 0);
        }
        fs::File::create(&path).unwrap().write_all(&bytes).unwrap();
        (path, offsets)
    }

    fn index(
        &self,
        turn: &Exclusive,
        digest: &Digest,
        size: u64,
        extents: &[Extent],
    ) -> Result<Indexed, StoreError> {
        let blobs = [(*digest, size, extents.to_vec())];
        self.store.index_blobs(turn, &blobs, self.now).map(|indexed| indexed[0])
    }

    fn adopt(&self, blobs: &[&[u8]], how: Adopt) -> SegmentId {
        let (path, offsets) = self.segment(blobs);
        let turn = self.store.exclusive().unwrap();
        let name =
            SegmentName { bundle: Sha256Digest::of(b"bundle"), file: "north-0001.tar".to_owned() };
        let adopted = self.store.adopt_segment(&turn, &path, &name, how, self.now).unwrap();
        let segment = adopted.segment;
        for (blob, offset) in blobs.iter().zip(offsets) {
            let size = u64::try_from(blob.len()).unwrap();
            let extents = [Extent { segment, offset, size }];
            self.index(&turn, &Digest::of(blob), size, &extents).unwrap();
        }
        segment
    }
}

fn image(config: &[u8], layers: &[&[u8]]) -> Vec<u8> {
    let link = |bytes: &[u8]| json!({"mediaType": "a/b", "digest": Digest::of(bytes), "size": bytes.len()});
    let layers: Vec<_> = layers.iter().map(|layer| link(layer)).collect();
    json!({"schemaVersion": 2, "mediaType": MANIFEST_TYPES[0], "config": link(config), "layers": layers})
        .to_string()
        .into_bytes()
}

#[test]
fn bytes_of_a_segment_are_read_where_they_lie_over_part_boundaries() {
    let scene = scene();
    let (one, two) = (vec![1_u8; 700], vec![2_u8; 1_000_000]);
    let (path, offsets) = scene.segment(&[&one, &two]);
    let turn = scene.store.exclusive().unwrap();
    let name = SegmentName { bundle: Sha256Digest::of(b"b"), file: "n-0001.tar".to_owned() };
    let segment = scene
        .store
        .adopt_segment(&turn, &path, &name, Adopt::LinkOrCopy, scene.now)
        .unwrap()
        .segment;
    let whole = [one.clone(), two.clone()].concat();
    let digest = Digest::of(&whole);
    let extents = [
        Extent { segment, offset: offsets[0], size: 700 },
        Extent { segment, offset: offsets[1], size: 1_000_000 },
    ];
    let indexed = scene.index(&turn, &digest, 1_000_700, &extents).unwrap();
    assert_eq!(indexed, Indexed::Added);
    let again = scene.index(&turn, &digest, 1_000_700, &[]).unwrap();
    assert_eq!(again, Indexed::AlreadyThere);
    assert_eq!(scene.bytes(&digest).unwrap(), whole);
    for (from, to) in [(0, 1), (699, 701), (650, 1_000_700), (1_000_699, 2_000_000), (700, 700)] {
        let range = u64::try_from(from).unwrap()..u64::try_from(to).unwrap();
        let reader = scene.store.reader(&digest, Some(range)).unwrap().unwrap();
        let expected = &whole[from..to.min(whole.len())];
        assert_eq!(reader.remaining(), u64::try_from(expected.len()).unwrap());
        assert_eq!(reader.read_all(2_000_000).unwrap(), expected);
    }
}

#[test]
fn many_blobs_are_indexed_at_once_and_a_bad_one_takes_its_batch_along() {
    let scene = scene();
    let bodies: Vec<Vec<u8>> = (0..300_u32).map(|n| n.to_be_bytes().to_vec()).collect();
    let slices: Vec<&[u8]> = bodies.iter().map(Vec::as_slice).collect();
    let (path, offsets) = scene.segment(&slices);
    let turn = scene.store.exclusive().unwrap();
    let name = SegmentName { bundle: Sha256Digest::of(b"b"), file: "n-0001.tar".to_owned() };
    let segment = scene
        .store
        .adopt_segment(&turn, &path, &name, Adopt::LinkOrCopy, scene.now)
        .unwrap()
        .segment;
    let mut blobs: Vec<_> = bodies
        .iter()
        .zip(offsets)
        .map(|(body, offset)| (Digest::of(body), 4, vec![Extent { segment, offset, size: 4 }]))
        .collect();
    blobs[280].2[0].offset = u64::MAX;
    let refused = scene.store.index_blobs(&turn, &blobs, scene.now);
    assert!(matches!(refused, Err(StoreError::Extents { digest, .. }) if digest == blobs[280].0));
    assert_eq!(scene.store.totals().unwrap().blobs, 256);
    blobs.remove(280);
    let indexed = scene.store.index_blobs(&turn, &blobs, scene.now).unwrap();
    assert_eq!(indexed.iter().filter(|one| **one == Indexed::Added).count(), 299 - 256);
    assert_eq!(scene.bytes(&Digest::of(&bodies[299])).unwrap(), bodies[299]);
}

#[test]
fn extents_that_leave_their_segment_or_do_not_add_up_are_refused() {
    let scene = scene();
    let segment = scene.adopt(&[b"abc"], Adopt::LinkOrCopy);
    let turn = scene.store.exclusive().unwrap();
    let digest = Digest::of(b"other");
    for (offset, size, said) in [(1000, 100, 100), (0, 5, 6), (u64::MAX, 5, 5)] {
        let extents = [Extent { segment, offset, size }];
        let refused = scene.index(&turn, &digest, said, &extents);
        assert!(matches!(refused, Err(StoreError::Extents { .. })), "{offset} {size} {said}");
    }
    assert_eq!(scene.store.stat(&digest).unwrap(), None);
}

#[test]
fn a_segment_is_linked_not_copied_and_adopted_once() {
    use std::os::unix::fs::MetadataExt as _;
    let scene = scene();
    let first = scene.adopt(&[b"abc"], Adopt::LinkOrCopy);
    let source = scene.dir.path().join("north-0001.tar");
    let inside = scene.store.segment_path(first).unwrap();
    let inode = |path: &std::path::Path| fs::metadata(path).unwrap().ino();
    assert_eq!(inode(&source), inode(&inside));
    assert!(fs::metadata(&inside).unwrap().permissions().readonly());
    let turn = scene.store.exclusive().unwrap();
    let name =
        SegmentName { bundle: Sha256Digest::of(b"bundle"), file: "north-0001.tar".to_owned() };
    let again = scene
        .store
        .adopt_segment(&turn, &source, &name, Adopt::LinkOrCopy, scene.now)
        .unwrap()
        .segment;
    assert_eq!(first, again);
    assert_eq!(fs::read_dir(scene.store.dir().join("segments")).unwrap().count(), 1);
}

#[test]
fn a_segment_that_was_not_put_in_place_before_a_kill_is_put_there_again() {
    let scene = scene();
    let left = scene.store.dir().join("segments");
    let name: String =
        hex::encode(Sha256Digest::of(b"bundle").as_bytes()).chars().take(16).collect();
    fs::write(left.join(format!("{name}-north-0001.tar")), b"torn").unwrap();
    fs::write(left.join(format!("{name}-north-0001.partial")), b"torn").unwrap();
    scene.adopt(&[b"abc"], Adopt::Copy);
    assert_eq!(scene.bytes(&Digest::of(b"abc")).unwrap(), b"abc");
}

#[test]
fn a_copy_counts_as_checked_only_once_somebody_said_so_and_a_bad_one_is_taken_anew() {
    let scene = scene();
    let (path, _) = scene.segment(&[b"abc"]);
    let turn = scene.store.exclusive().unwrap();
    let name = SegmentName { bundle: Sha256Digest::of(b"b"), file: "n-0001.tar".to_owned() };
    let adopt = || scene.store.adopt_segment(&turn, &path, &name, Adopt::Copy, scene.now).unwrap();
    let first = adopt();
    assert!(!first.is_checked);
    assert_eq!(adopt(), first, "killed before the check: it is still to be done");
    scene.store.forget_segment(&turn, first.segment).unwrap();
    assert_eq!(fs::read_dir(scene.store.dir().join("segments")).unwrap().count(), 0);
    let anew = adopt();
    assert!(!anew.is_checked);
    scene.store.note_checked(&turn, anew.segment).unwrap();
    assert!(adopt().is_checked);
}

#[test]
fn room_is_needed_only_for_segments_that_have_to_be_copied() {
    use std::os::unix::fs::MetadataExt as _;
    let scene = scene();
    let device = |path: &std::path::Path| fs::metadata(path).unwrap().dev();
    let other = ["/dev/shm", "/var/tmp"].map(std::path::Path::new).into_iter();
    let mut other = other.filter(|dir| dir.exists() && device(dir) != device(scene.dir.path()));
    let folder = tempfile::tempdir_in(other.next().unwrap()).unwrap();
    let (near, _) = scene.segment(&[b"abc"]);
    let far = folder.path().join("n-0001.tar");
    fs::copy(&near, &far).unwrap();
    let turn = scene.store.exclusive().unwrap();
    let name = SegmentName { bundle: Sha256Digest::of(b"b"), file: "n-0001.tar".to_owned() };
    let needs = |path: &std::path::Path| scene.store.segment_needs(&turn, path, &name).unwrap();
    assert_eq!(needs(&near), 0);
    assert_eq!(needs(&far), 1024);
    let segments = scene.store.dir().join("segments");
    let bundle: String = hex::encode(name.bundle.as_bytes()).chars().take(16).collect();
    fs::write(segments.join(format!("{bundle}-n-0001.partial")), b"torn").unwrap();
    assert_eq!(needs(&far), 1024);
    assert_eq!(
        fs::read_dir(&segments).unwrap().count(),
        0,
        "what a killed copy left takes no room"
    );
    scene.store.adopt_segment(&turn, &far, &name, Adopt::LinkOrCopy, scene.now).unwrap();
    assert_eq!(needs(&far), 0, "it is there");
}

/// Overwrites the file, whichever mode it has, at `offset`.
fn spoil(path: &std::path::Path, offset: u64) {
    use std::os::unix::fs::FileExt as _;
    files::make_writable(path).unwrap();
    let file = fs::File::options().write(true).open(path).unwrap();
    file.write_all_at(b"!", offset).unwrap();
    files::make_read_only(path).unwrap();
}

impl Scene {
    /// Digests that a check finds damaged, which are forgotten.
    fn forget(&self) -> Vec<Digest> {
        let turn = self.store.exclusive().unwrap();
        let mut report = self.store.fsck(Fsck { percent: 100 }, self.now, |_| ()).unwrap();
        self.store.forget_damaged(&turn, &mut report).unwrap();
        report.damages.iter().map(|damage| damage.digest).collect()
    }

    fn is_sound(&self) -> bool {
        self.store.fsck(Fsck { percent: 100 }, self.now, |_| ()).unwrap().is_sound()
    }
}

#[test]
fn damage_in_a_segment_is_mended_by_its_bundle_and_repositories_hold_it_throughout() {
    let scene = scene();
    let manifest = image(b"config", &[b"layer"]);
    let (layer, top) = (Digest::of(b"layer"), Digest::of(&manifest));
    let blobs: [&[u8]; 3] = [b"config", b"layer", &manifest];
    let segment = scene.adopt(&blobs, Adopt::Copy);
    let reference = by_tag("v1");
    let put = Put { reference: &reference, media_type: None, children: Children::Give };
    scene.store.put_manifest(&repo("a/b"), &manifest, &put, scene.now).unwrap();
    let file = scene.store.segment_path(segment).unwrap();
    spoil(&file, 1024);
    spoil(&file, 1536);
    scene.adopt(&blobs, Adopt::Copy);
    assert!(!scene.is_sound(), "nothing replaces what is taken for sound");
    let mut damaged = vec![layer, top];
    damaged.sort_by_key(Digest::to_string);
    assert_eq!(scene.forget(), damaged);
    assert_eq!(scene.store.stat(&layer).unwrap(), None);
    assert!(scene.store.manifest(&repo("a/b"), &reference).is_err());
    let held = scene.store.held(None).unwrap();
    assert_eq!(held.iter().map(|one| one.digest).collect::<Vec<_>>(), [Digest::of(b"config")]);
    assert!(!scene.is_sound(), "it is told until it is mended");
    scene.gc();

    let anew = scene.adopt(&blobs, Adopt::Copy);
    assert_ne!(anew, segment);
    assert!(scene.is_sound());
    assert_eq!(scene.store.manifest_bytes(&repo("a/b"), &reference).unwrap().1, manifest);
    assert_eq!(scene.store.stat_in(&repo("a/b"), &layer).unwrap(), 5);
    scene.gc();
    assert_eq!(scene.bytes(&layer).unwrap(), b"layer");
}

#[test]
fn damage_is_mended_by_a_push_whether_it_was_pushed_or_carried() {
    let scene = scene();
    let segment = scene.adopt(&[b"carried"], Adopt::Copy);
    let carried = Digest::of(b"carried");
    assert!(scene.store.link_blob(&repo("a/b"), &carried, scene.now).unwrap());
    let pushed = scene.push("a/b", b"pushed");
    let manifest = image(b"pushed", &[b"carried"]);
    let top = scene.put("a/b", &manifest, &by_tag("v1")).digest;
    spoil(&scene.store.segment_path(segment).unwrap(), 512);
    spoil(&files::loose(scene.store.dir(), &pushed), 0);
    fs::remove_file(files::loose(scene.store.dir(), &top)).unwrap();
    assert_eq!(scene.forget().len(), 3);
    let put = || {
        let reference = by_tag("v1");
        let children = Children::MustBeHeld;
        let put = Put { reference: &reference, media_type: None, children };
        scene.store.put_manifest(&repo("a/b"), &manifest, &put, scene.now)
    };
    assert!(matches!(put(), Err(StoreError::ManifestBlobUnknown { .. })));
    scene.push("a/b", b"carried");
    scene.push("a/b", b"pushed");
    put().unwrap();
    assert!(scene.is_sound());
    scene.gc();
    assert_eq!(scene.bytes(&carried).unwrap(), b"carried");
    assert_eq!(scene.bytes(&top).unwrap(), manifest);
    assert_eq!(scene.store.totals().unwrap().blobs, 3, "none is there twice");
}

#[test]
fn a_damaged_manifest_can_be_deleted() {
    let scene = scene();
    scene.push("a/b", b"config");
    let top = scene.put("a/b", &image(b"config", &[]), &by_tag("v1")).digest;
    spoil(&files::loose(scene.store.dir(), &top), 0);
    assert_eq!(scene.forget(), [top]);
    let reference = Reference::Digest(top);
    scene.store.delete_manifest(&repo("a/b"), &reference, scene.now).unwrap();
    assert!(scene.is_sound(), "nobody holds it any more");
}

#[test]
fn what_is_indexed_again_has_its_whole_grace_again() {
    let scene = scene();
    let grace = jiff::SignedDuration::from_hours(1);
    let segment = scene.adopt(&[b"abc"], Adopt::LinkOrCopy);
    let turn = scene.store.exclusive().unwrap();
    let digest = Digest::of(b"abc");
    let blobs = [(digest, 3, vec![Extent { segment, offset: 512, size: 3 }])];
    let late = scene.now + 59.minutes();
    let again = scene.store.index_blobs(&turn, &blobs, late).unwrap();
    assert_eq!(again, [Indexed::AlreadyThere]);
    scene.store.gc(&turn, Gc { grace }, scene.now + 61.minutes()).unwrap();
    assert!(scene.bytes(&digest).is_some());
    scene.store.gc(&turn, Gc { grace }, late + 60.minutes()).unwrap();
    assert!(scene.bytes(&digest).is_none());
}

#[test]
fn a_manifest_needs_its_blobs_in_its_own_repository() {
    let scene = scene();
    scene.push("a/one", b"config");
    scene.push("a/two", b"layer");
    let manifest = image(b"config", &[b"layer"]);
    let reference = by_tag("v1");
    let put = Put { reference: &reference, media_type: None, children: Children::MustBeHeld };
    let refused = scene.store.put_manifest(&repo("a/one"), &manifest, &put, scene.now);
    let missing = Digest::of(b"layer");
    assert!(
        matches!(refused, Err(StoreError::ManifestBlobUnknown { digest, .. }) if digest == missing)
    );
    assert!(scene.store.mount(&repo("a/one"), &missing, Some(&repo("a/two")), scene.now).unwrap());
    scene.put("a/one", &manifest, &reference);
    let (stored, bytes) = scene.store.manifest_bytes(&repo("a/one"), &reference).unwrap();
    assert_eq!((stored.digest, bytes), (Digest::of(&manifest), manifest));
    assert!(scene.store.manifest(&repo("a/two"), &reference).is_err());
}

#[test]
fn an_import_gives_the_repository_what_the_store_has() {
    let scene = scene();
    let manifest = image(b"config", &[b"layer"]);
    scene.adopt(&[b"config", b"layer", &manifest], Adopt::LinkOrCopy);
    let reference = by_tag("v1");
    let put = Put { reference: &reference, media_type: None, children: Children::Give };
    scene.store.put_manifest(&repo("acme/kafka"), &manifest, &put, scene.now).unwrap();
    assert_eq!(scene.store.stat_in(&repo("acme/kafka"), &Digest::of(b"layer")).unwrap(), 5);
    assert!(scene.store.stat_in(&repo("acme/other"), &Digest::of(b"layer")).is_err());
    let loose = fs::read_dir(scene.store.dir().join("blobs/sha256")).unwrap().count();
    assert_eq!(loose, 0, "the manifest lies in the segment too");
    let held = scene.store.held(None).unwrap();
    assert_eq!(held.len(), 3);
    assert!(held.iter().all(|one| one.repositories == [repo("acme/kafka")]));
    assert_eq!(held.iter().filter(|one| one.is_manifest).count(), 1);
    let last = held.last().unwrap().digest;
    assert_eq!(scene.store.held(Some(&last)).unwrap(), []);
}

#[test]
fn an_index_may_list_children_that_the_site_does_not_carry() {
    let scene = scene();
    let index = json!({"schemaVersion": 2, "mediaType": INDEX_TYPES[0], "manifests":
        [{"mediaType": MANIFEST_TYPES[0], "digest": Digest::of(b"elsewhere"), "size": 9}]})
    .to_string();
    scene.put("a/b", index.as_bytes(), &by_tag("v1"));
    let report = scene.store.fsck(Fsck { percent: 100 }, scene.now, |_| ()).unwrap();
    assert!(report.is_sound(), "{report:?}");
}

#[test]
fn what_a_push_says_and_what_a_manifest_is_must_fit() {
    let scene = scene();
    scene.push("a/b", b"config");
    let manifest = image(b"config", &[]);
    let reference = by_tag("v1");
    for said in [INDEX_TYPES[0], MANIFEST_TYPES[1], "text/plain"] {
        let put =
            Put { reference: &reference, media_type: Some(said), children: Children::MustBeHeld };
        let refused = scene.store.put_manifest(&repo("a/b"), &manifest, &put, scene.now);
        assert!(matches!(refused, Err(StoreError::MediaType { .. })), "{said}");
    }
    let wrong = Reference::Digest(Digest::of(b"another"));
    let put = Put { reference: &wrong, media_type: None, children: Children::MustBeHeld };
    let refused = scene.store.put_manifest(&repo("a/b"), &manifest, &put, scene.now);
    assert!(matches!(refused, Err(StoreError::Digest { .. })));
}

#[test]
fn a_push_goes_on_after_a_restart_where_its_bytes_end() {
    let scene = scene();
    let upload = scene.store.begin_upload(&repo("a/b"), Algorithm::Sha256, scene.now).unwrap();
    upload.append(b"first ").unwrap();
    let id = upload.id();
    let busy = scene.store.upload(&repo("a/b"), id);
    assert!(matches!(busy, Err(StoreError::UploadBusy { .. })));
    drop(upload);
    let reopened = Store::open(scene.store.dir()).unwrap();
    assert!(matches!(reopened.upload(&repo("a/c"), id), Err(StoreError::UploadUnknown { .. })));
    let upload = reopened.upload(&repo("a/b"), id).unwrap();
    let early = upload.continues_at(3);
    assert!(matches!(early, Err(StoreError::OutOfOrder { expected: 6, found: 3 })));
    upload.append(b"second").unwrap();
    let mut hasher = crate::oci::Hasher::new(Algorithm::Sha512);
    hasher.update(b"first second");
    let digest = hasher.finish();
    upload.finish(&digest, scene.now).unwrap();
    assert_eq!(scene.bytes(&digest).unwrap(), b"first second");
    assert!(matches!(reopened.upload(&repo("a/b"), id), Err(StoreError::UploadUnknown { .. })));
}

#[test]
fn a_push_with_another_digest_leaves_nothing() {
    let scene = scene();
    let upload = scene.store.begin_upload(&repo("a/b"), Algorithm::Sha256, scene.now).unwrap();
    upload.append(b"bytes").unwrap();
    let refused = upload.finish(&Digest::of(b"other"), scene.now);
    assert!(matches!(refused, Err(StoreError::Digest { .. })));
    assert_eq!(fs::read_dir(scene.store.dir().join("uploads")).unwrap().count(), 0);
    assert_eq!(scene.store.totals().unwrap().blobs, 0);
}

#[test]
fn a_collection_keeps_what_manifests_need_and_frees_the_rest() {
    let scene = scene();
    scene.push("a/b", b"config");
    scene.push("a/b", b"layer");
    let unneeded = scene.push("a/b", b"never used");
    let manifest = image(b"config", &[b"layer"]);
    let digest = scene.put("a/b", &manifest, &by_tag("v1")).digest;
    let report = scene.gc();
    assert_eq!((report.links_dropped, report.blobs_removed), (1, 1));
    assert!(report.bytes_freed > 0);
    assert_eq!(scene.bytes(&unneeded), None);
    assert_eq!(scene.bytes(&digest).unwrap(), manifest);
    // The tag goes, the manifest stays: only deleting it makes it unwanted.
    scene.store.delete_manifest(&repo("a/b"), &by_tag("v1"), scene.now).unwrap();
    assert_eq!(scene.gc().blobs_removed, 0);
    scene.store.delete_manifest(&repo("a/b"), &Reference::Digest(digest), scene.now).unwrap();
    assert_eq!(scene.gc().blobs_removed, 3);
    assert_eq!(scene.store.totals().unwrap().blobs, 0);
    assert_eq!(scene.store.repositories(None, None).unwrap().names, []);
}

#[test]
fn a_push_in_the_middle_survives_a_collection_within_its_grace() {
    let scene = scene();
    scene.push("a/b", b"config");
    let turn = scene.store.exclusive().unwrap();
    let soon = scene.now.checked_add(59.minutes()).unwrap();
    let report = scene.store.gc(&turn, Gc { grace: Gc::GRACE }, soon).unwrap();
    assert_eq!((report.links_dropped, report.blobs_removed), (0, 0));
    scene.put("a/b", &image(b"config", &[]), &by_tag("v1"));
    let later = scene.now.checked_add(3.hours()).unwrap();
    let report = scene.store.gc(&turn, Gc { grace: Gc::GRACE }, later).unwrap();
    assert_eq!((report.links_dropped, report.blobs_removed), (0, 0));
}

#[test]
fn dead_stretches_of_a_segment_become_holes_and_it_comes_back_whole_when_imported_again() {
    let scene = scene();
    let (keep, drop_) = (vec![7_u8; 300_000], vec![9_u8; 3_000_000]);
    let first = scene.adopt(&[&keep, &drop_], Adopt::Copy);
    scene.store.link_blob(&repo("a/b"), &Digest::of(&keep), scene.now).unwrap();
    let manifest = image(&keep, &[]);
    scene.put("a/b", &manifest, &by_tag("v1"));
    let path = scene.store.segment_path(first).unwrap();
    let before = holes::disk_bytes(&path);
    let report = scene.gc();
    assert_eq!(report.blobs_removed, 1);
    assert!(report.bytes_freed >= 2_900_000, "{report:?}");
    assert!(before - holes::disk_bytes(&path) >= 2_900_000);
    assert_eq!(scene.bytes(&Digest::of(&keep)).unwrap(), keep);
    assert_eq!(scene.gc().bytes_freed, 0, "twice frees nothing more");

    let second = scene.adopt(&[&keep, &drop_], Adopt::Copy);
    assert_ne!(first, second, "a segment with holes is never taken for whole");
    assert_eq!(scene.bytes(&Digest::of(&drop_)).unwrap(), drop_);
    scene
        .store
        .delete_manifest(&repo("a/b"), &Reference::Digest(Digest::of(&manifest)), scene.now)
        .unwrap();
    let report = scene.gc();
    assert_eq!(report.segments_removed, 2);
    assert_eq!(fs::read_dir(scene.store.dir().join("segments")).unwrap().count(), 0);
}

#[test]
fn a_bundle_that_somebody_still_has_is_never_punched() {
    let scene = scene();
    let (keep, drop_) = (vec![7_u8; 300_000], vec![9_u8; 3_000_000]);
    scene.adopt(&[&keep, &drop_], Adopt::LinkOrCopy);
    scene.store.link_blob(&repo("a/b"), &Digest::of(&keep), scene.now).unwrap();
    scene.put("a/b", &image(&keep, &[]), &by_tag("v1"));
    let bundle = scene.dir.path().join("north-0001.tar");
    let whole = fs::read(&bundle).unwrap();
    let report = scene.gc();
    assert!(report.bytes_shared >= 2_900_000, "{report:?}");
    assert_eq!(fs::read(&bundle).unwrap(), whole);
    fs::remove_file(&bundle).unwrap();
    assert!(scene.gc().bytes_freed >= 2_900_000);
}

#[test]
fn what_a_killed_process_left_behind_is_found() {
    let scene = scene();
    let stray = files::loose(scene.store.dir(), &Digest::of(b"stray"));
    fs::create_dir_all(stray.parent().unwrap()).unwrap();
    fs::write(&stray, b"stray").unwrap();
    fs::write(scene.store.dir().join("segments/x.partial"), b"torn").unwrap();
    fs::write(scene.store.dir().join("uploads/0"), b"torn").unwrap();
    assert_eq!(scene.gc().strays_removed, 3);
    assert!(!stray.exists());
}

#[test]
fn a_push_that_nobody_ended_is_forgotten() {
    let scene = scene();
    let upload = scene.store.begin_upload(&repo("a/b"), Algorithm::Sha256, scene.now).unwrap();
    upload.append(b"bytes").unwrap();
    let id = upload.id();
    assert_eq!(scene.gc().uploads_removed, 0, "it is being written to");
    drop(upload);
    let report = scene.gc();
    assert_eq!((report.uploads_removed, report.bytes_freed), (1, 5));
    assert!(matches!(scene.store.upload(&repo("a/b"), id), Err(StoreError::UploadUnknown { .. })));
}

#[test]
fn one_flipped_byte_is_named_by_digest_file_and_offset() {
    let scene = scene();
    let pushed = scene.push("a/b", b"loose bytes");
    let carried = vec![3_u8; 5000];
    let segment = scene.adopt(&[b"before", &carried], Adopt::Copy);
    let sound = scene.store.fsck(Fsck { percent: 100 }, scene.now, |_| ()).unwrap();
    assert!(sound.is_sound(), "{sound:?}");
    assert_eq!((sound.blobs, sound.bytes), (3, 11 + 6 + 5000));
    let flip = |path: &std::path::Path, at: usize| {
        let mut bytes = fs::read(path).unwrap();
        bytes[at] ^= 1;
        fs::remove_file(path).unwrap();
        fs::write(path, bytes).unwrap();
    };
    let loose = files::loose(scene.store.dir(), &pushed);
    let segment = scene.store.segment_path(segment).unwrap();
    flip(&loose, 3);
    flip(&segment, 1024 + 4000);
    let report = scene.store.fsck(Fsck { percent: 100 }, scene.now, |_| ()).unwrap();
    let mut named: Vec<_> = report
        .damages
        .iter()
        .map(|d| (d.digest, d.file.clone().unwrap(), d.offset.unwrap()))
        .collect();
    named.sort_by_key(|(_, file, _)| file.clone());
    assert_eq!(named, [(pushed, loose, 0), (Digest::of(&carried), segment, 1024)]);
}

#[test]
fn a_lost_file_and_a_lost_blob_are_damage() {
    let scene = scene();
    scene.push("a/b", b"config");
    scene.put("a/b", &image(b"config", &[]), &by_tag("v1"));
    let config = Digest::of(b"config");
    fs::remove_file(files::loose(scene.store.dir(), &config)).unwrap();
    let report = scene.store.fsck(Fsck { percent: 100 }, scene.now, |_| ()).unwrap();
    assert_eq!(report.damages.len(), 1);
    assert!(report.damages[0].why.contains("cannot open"), "{report:?}");
    scene.store.unlink_blob(&repo("a/b"), &config, scene.now).unwrap();
    scene.gc();
    let report = scene.store.fsck(Fsck { percent: 100 }, scene.now, |_| ()).unwrap();
    assert_eq!(report.damages.len(), 1);
    assert!(report.damages[0].why.contains("does not have it"), "{report:?}");
}

#[test]
fn a_tenth_a_day_reads_everything_in_ten_days() {
    let scene = scene();
    for n in 0_u8..60 {
        scene.push("a/b", &[n]);
    }
    let mut read = 0;
    for day in 0..10 {
        let at = scene.now.checked_add((24 * day).hours()).unwrap();
        let report = scene.store.fsck(Fsck { percent: 10 }, at, |_| ()).unwrap();
        assert_eq!(report.blobs + report.skipped, 60);
        read += report.blobs;
    }
    assert_eq!(read, 60);
}

#[test]
fn imports_and_collections_take_turns() {
    let scene = scene();
    let turn = scene.store.exclusive().unwrap();
    let other = Store::open(scene.store.dir()).unwrap();
    assert!(matches!(other.exclusive(), Err(StoreError::Busy { .. })));
    // Whoever only pushes or reads goes on.
    let upload = other.begin_upload(&repo("a/b"), Algorithm::Sha256, scene.now).unwrap();
    upload.finish(&Digest::of(b""), scene.now).unwrap();
    assert_eq!(scene.store.stat(&Digest::of(b"")).unwrap(), Some(0));
    drop(turn);
    other.exclusive().unwrap();
}

#[test]
fn a_directory_without_a_store_or_with_a_newer_one_is_refused() {
    let scene = scene();
    let absent = Store::open(scene.dir.path());
    assert!(matches!(absent, Err(StoreError::Absent { .. })));
    let conn = rusqlite::Connection::open(scene.store.dir().join("store.db")).unwrap();
    conn.pragma_update(None, "user_version", 99).unwrap();
    drop(conn);
    assert!(matches!(Store::open(scene.store.dir()), Err(StoreError::Newer { found: 99, .. })));
}

#[test]
fn tags_come_in_order_and_in_pages() {
    let scene = scene();
    let manifest = json!({"schemaVersion": 2, "manifests": []}).to_string();
    for tag in ["b", "a", "C", "d"] {
        scene.put("a/b", manifest.as_bytes(), &by_tag(tag));
    }
    let names = |after: Option<&str>, limit| {
        let page = scene.store.tags(&repo("a/b"), after, limit).unwrap();
        (page.names.iter().map(Tag::to_string).collect::<Vec<_>>(), page.more)
    };
    assert_eq!(names(None, None), (["C", "a", "b", "d"].map(str::to_owned).to_vec(), false));
    assert_eq!(names(None, Some(2)), (["C", "a"].map(str::to_owned).to_vec(), true));
    assert_eq!(names(Some("a"), Some(2)), (["b", "d"].map(str::to_owned).to_vec(), false));
    assert_eq!(names(None, Some(0)), (vec![], true));
    let unknown = scene.store.tags(&repo("a/c"), None, None);
    assert!(matches!(unknown, Err(StoreError::NameUnknown { .. })));
}

#[test]
fn referrers_are_found_before_and_after_their_subject_and_by_type() {
    let scene = scene();
    scene.push("a/b", b"{}");
    let subject = image(b"{}", &[]);
    let referrer = |kind: &str| {
        json!({"schemaVersion": 2, "mediaType": MANIFEST_TYPES[0], "artifactType": kind,
            "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": Digest::of(b"{}"), "size": 2},
            "layers": [], "annotations": {"kind": kind},
            "subject": {"mediaType": MANIFEST_TYPES[0], "digest": Digest::of(&subject), "size": subject.len()}})
        .to_string()
    };
    let (sbom, signature) = (referrer("x/sbom"), referrer("x/signature"));
    for bytes in [&sbom, &signature] {
        let put =
            scene.put("a/b", bytes.as_bytes(), &Reference::Digest(Digest::of(bytes.as_bytes())));
        assert_eq!(put.subject, Some(Digest::of(&subject)));
    }
    let list_in = |name: &str, kind| {
        let page = scene
            .store
            .referrers_after(&repo(name), &Digest::of(&subject), kind, None, 10)
            .unwrap();
        page.names
    };
    let list = |kind| list_in("a/b", kind);
    assert_eq!(list(None).len(), 2);
    let found = list(Some("x/sbom"));
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].digest, Digest::of(sbom.as_bytes()));
    assert_eq!(found[0].annotations["kind"], "x/sbom");
    assert_eq!(list(Some("x/other")), []);
    assert_eq!(list_in("a/c", None), []);
}

#[test]
fn pushes_and_collections_race_and_nothing_that_is_held_is_lost() {
    let scene = scene();
    let store = scene.store.clone();
    let other = Store::open(scene.store.dir()).unwrap();
    let now = scene.now;
    let rounds = 60_u32;
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for _ in 0..rounds {
                let turn = other.exclusive().unwrap();
                other.gc(&turn, Gc { grace: jiff::SignedDuration::ZERO }, now).unwrap();
            }
        });
        for pusher in 0..2_u32 {
            let store = store.clone();
            scope.spawn(move || {
                let repository = repo(&format!("a/{pusher}"));
                for round in 0..rounds {
                    // Both push the same bytes, and a collection may take them between any two steps.
                    let body = format!("round {}", round % 5);
                    let digest = Digest::of(body.as_bytes());
                    let upload = store.begin_upload(&repository, Algorithm::Sha256, now).unwrap();
                    upload.append(body.as_bytes()).unwrap();
                    upload.finish(&digest, now).unwrap();
                    let manifest = image(body.as_bytes(), &[]);
                    let reference = by_tag("v1");
                    let put = Put {
                        reference: &reference,
                        media_type: None,
                        children: Children::MustBeHeld,
                    };
                    match store.put_manifest(&repository, &manifest, &put, now) {
                        Ok(put) => {
                            let bytes = store.manifest_bytes(&repository, &reference).unwrap().1;
                            assert_eq!(bytes, manifest);
                            let blob = store.reader_in(&repository, &digest, None).unwrap();
                            assert_eq!(blob.read_all(100).unwrap(), body.as_bytes());
                            let by_digest = Reference::Digest(put.digest);
                            store.delete_manifest(&repository, &by_digest, now).unwrap();
                        }
                        // The blob was collected before its manifest came: the client pushes again.
                        Err(StoreError::ManifestBlobUnknown { .. }) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
            });
        }
    });
    let report = scene.store.fsck(Fsck { percent: 100 }, scene.now, |_| ()).unwrap();
    assert!(report.is_sound(), "{report:?}");
    scene.gc();
    assert_eq!(scene.store.totals().unwrap().blobs, 0);
}
