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
