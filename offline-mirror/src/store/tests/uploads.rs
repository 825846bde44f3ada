//! Pushes under way: who may write to one, and when one is forgotten.

use super::*;

#[test]
fn two_processes_on_one_store_never_hash_other_bytes_than_the_file_has() {
    let scene = scene();
    let (one, two) = (scene.store.clone(), Store::open(scene.store.dir()).unwrap());
    let repository = repo("a/b");
    let begun = one.begin_upload(&repository, Algorithm::Sha256, scene.now).unwrap();
    let id = begun.id();
    drop(begun);
    assert_eq!(two.upload(&repository, id).unwrap().offset(), 0);
    one.upload(&repository, id).unwrap().append(b"what was said").unwrap();
    let other = two.upload(&repository, id).unwrap();
    assert_eq!(other.offset(), 13, "what the first process took in is there");
    other.append(b"what was sent").unwrap();
    drop(other);
    let said = Digest::of(b"what was said");
    let refused = one.upload(&repository, id).unwrap().finish(&said, scene.now);
    assert!(matches!(refused, Err(StoreError::Digest { .. })), "{refused:?}");
    assert_eq!(scene.bytes(&said), None);
}

#[test]
fn a_push_that_one_process_writes_to_is_busy_for_another() {
    let scene = scene();
    let other = Store::open(scene.store.dir()).unwrap();
    let upload = scene.store.begin_upload(&repo("a/b"), Algorithm::Sha256, scene.now).unwrap();
    let id = upload.id();
    let busy = other.upload(&repo("a/b"), id);
    assert!(matches!(busy, Err(StoreError::UploadBusy { .. })), "{busy:?}");
    drop(upload);
    other.upload(&repo("a/b"), id).unwrap();
}

#[test]
fn a_push_that_was_given_up_elsewhere_becomes_no_blob() {
    let scene = scene();
    let other = Store::open(scene.store.dir()).unwrap();
    let upload = scene.store.begin_upload(&repo("a/b"), Algorithm::Sha256, scene.now).unwrap();
    upload.append(b"bytes").unwrap();
    other.cancel_upload(&repo("a/b"), upload.id()).unwrap();
    let refused = upload.finish(&Digest::of(b"bytes"), scene.now);
    assert!(matches!(refused, Err(StoreError::UploadUnknown { .. })), "{refused:?}");
    assert_eq!(scene.store.totals().unwrap().blobs, 0);
}

impl Scene {
    /// A push with one byte that was sent at `at`.
    fn idle_upload(&self, at: jiff::Timestamp) -> UploadId {
        let begun = self.now.checked_sub(100.hours()).unwrap();
        let upload = self.store.begin_upload(&repo("a/b"), Algorithm::Sha256, begun).unwrap();
        upload.append(b"x").unwrap();
        let path = self.store.upload_path(upload.id());
        fs::File::open(path).unwrap().set_modified(at.into()).unwrap();
        upload.id()
    }

    /// Fills the store with pushes that began at `at` and that have no byte.
    fn fill(&self, count: u32, at: jiff::Timestamp) {
        self.store
            .write("fill", |tx| {
                let repository = blobs::repository_id(tx, &repo("a/b"))?;
                for _ in 0..count {
                    let row = (uuid::Uuid::new_v4().to_string(), repository, at.as_second());
                    tx.execute("INSERT INTO uploads VALUES (?, ?, ?)", row).unwrap();
                }
                Ok(())
            })
            .unwrap();
    }
}

#[test]
fn a_collection_forgets_pushes_that_rest_longer_than_its_grace_and_no_others() {
    let scene = scene();
    let ago = |minutes: i64| scene.now.checked_sub(minutes.minutes()).unwrap();
    let resting = scene.idle_upload(ago(61));
    let moving = scene.idle_upload(ago(59));
    let written = scene.idle_upload(ago(61));
    let upload = scene.store.upload(&repo("a/b"), written).unwrap();
    let turn = scene.store.exclusive().unwrap();
    let report = scene.store.gc(&turn, Gc { grace: Gc::GRACE }, scene.now).unwrap();
    assert_eq!((report.uploads_removed, report.bytes_freed), (1, 1));
    drop(upload);
    let gone = scene.store.upload(&repo("a/b"), resting);
    assert!(matches!(gone, Err(StoreError::UploadUnknown { .. })));
    for id in [moving, written] {
        assert_eq!(scene.store.upload(&repo("a/b"), id).unwrap().offset(), 1);
    }
}

#[test]
fn a_slow_push_outlives_two_days_as_long_as_bytes_come() {
    let scene = scene();
    let id = scene.idle_upload(scene.now.checked_sub(47.hours()).unwrap());
    assert_eq!(scene.store.forget_abandoned_uploads(scene.now).unwrap(), (0, 0));
    let later = scene.now.checked_add(2.hours()).unwrap();
    assert_eq!(scene.store.forget_abandoned_uploads(later).unwrap(), (1, 1));
    assert!(scene.store.upload(&repo("a/b"), id).is_err());
}

#[test]
fn a_thousand_pushes_that_nobody_goes_on_with_block_the_next_one_for_minutes_only() {
    let scene = scene();
    scene.fill(1023, scene.now);
    let oldest = scene.idle_upload(scene.now.checked_sub(15.minutes()).unwrap());
    let begin = |at| scene.store.begin_upload(&repo("a/b"), Algorithm::Sha256, at);
    let _being_written = begin(scene.now).unwrap();
    assert!(scene.store.upload(&repo("a/b"), oldest).is_err(), "the oldest made room");
    let refused = begin(scene.now);
    assert!(matches!(refused, Err(StoreError::TooMuch { .. })), "{refused:?}");
    begin(scene.now.checked_add(11.minutes()).unwrap()).unwrap();
}
