//! Sets as they arrive: on several sticks, cut, mixed, replaced by devices.

use std::fs;
use std::os::unix::fs::symlink;

use proptest::prelude::*;

use super::*;
use crate::bundle::sample::{contents, key, keys, laid_out, write_set};
use crate::bundle::{SegmentSize, Writer};

fn set() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    write_set(dir.path(), &contents(), SegmentSize::rehearsal(0));
    dir
}

fn open(path: &Path) -> Result<BundleDir, BundleError> {
    BundleDir::open(path, &[])
}

#[test]
fn a_set_is_found_by_its_directory_or_its_manifest() {
    let dir = set();
    let file = dir.path().join("sample.manifest.json");
    for path in [dir.path(), file.as_path()] {
        let found = open(path).unwrap();
        assert_eq!(found.manifest_path(), file);
        assert_eq!(found.claims().sequence, 1);
        let verified = found.verify(&keys()).unwrap();
        assert_eq!(*verified, *found.claims());
        assert!(found.missing_segments().is_empty() && found.stale().is_empty());
    }
}

#[test]
fn files_are_read_before_anybody_vouches_for_them_and_compared_with_their_digest() {
    let dir = set();
    let files = open(dir.path()).unwrap().files().unwrap();
    assert_eq!(files["tuf/metadata/1.root.json"], b"{}");
    assert_eq!(files["oci-layout"], br#"{"imageLayoutVersion":"1.0.0"}"#);
    assert_eq!(files.len(), 4);
    let path = dir.path().join("sample-0001.tar");
    let bytes = fs::read(&path).unwrap();
    let at = bytes.windows(18).position(|w| w == b"imageLayoutVersion").unwrap();
    let mut bad = bytes;
    bad[at] ^= 1;
    fs::write(path, bad).unwrap();
    let error = open(dir.path()).unwrap().files().unwrap_err();
    assert!(error.to_string().starts_with("sample-0001.tar in the 30 bytes from 512 "), "{error}");
}

#[test]
fn no_manifest_is_told_from_a_bundle_that_was_begun() {
    let dir = tempfile::tempdir().unwrap();
    let error = open(dir.path()).unwrap_err();
    assert!(matches!(error, BundleError::NoManifest { is_begun: false, .. }));
    drop(Writer::open(dir.path(), laid_out(&contents(), SegmentSize::default())).unwrap());
    let error = open(dir.path()).unwrap_err();
    assert_eq!(
        error.hint().unwrap(),
        "create did not finish; run it again with the same directory"
    );
}

#[test]
fn two_bundles_in_one_directory_are_named() {
    let dir = set();
    fs::copy(dir.path().join("sample.manifest.json"), dir.path().join("b.manifest.json")).unwrap();
    let error = open(dir.path()).unwrap_err();
    assert!(error.to_string().ends_with("b.manifest.json, sample.manifest.json"), "{error}");
}

#[test]
fn segments_on_several_sticks_are_found_and_missing_ones_named() {
    let (dir, stick) = (set(), tempfile::tempdir().unwrap());
    for file in ["sample-0002.tar", "sample-0004.tar"] {
        fs::rename(dir.path().join(file), stick.path().join(file)).unwrap();
    }
    let alone = open(dir.path()).unwrap();
    assert_eq!(alone.missing_segments(), ["sample-0002.tar", "sample-0004.tar"]);
    let error = alone.reader(&keys()).unwrap_err();
    assert_eq!(error.to_string(), "missing: sample-0002.tar, sample-0004.tar");
    assert!(error.is_refusal());
    let both = BundleDir::open(dir.path(), &[stick.path().to_owned()]).unwrap();
    let reader = both.reader(&keys()).unwrap();
    assert_eq!(reader.segment_path(1).unwrap(), stick.path().join("sample-0002.tar"));
    // A copy that broke off on one stick does not hide the whole one on the other.
    fs::write(dir.path().join("sample-0002.tar"), b"cut").unwrap();
    BundleDir::open(dir.path(), &[stick.path().to_owned()]).unwrap().reader(&keys()).unwrap();
}

#[test]
fn segments_of_an_earlier_set_with_this_name_are_named() {
    let dir = set();
    for file in ["sample-0099.tar", "sample-b-0001.tar", "sample-1.tar", "other-0001.tar"] {
        fs::write(dir.path().join(file), b"old").unwrap();
    }
    assert_eq!(open(dir.path()).unwrap().stale(), [dir.path().join("sample-0099.tar")]);
}

#[test]
fn only_regular_files_are_read() {
    let dir = set();
    let segment = dir.path().join("sample-0001.tar");
    fs::remove_file(&segment).unwrap();
    symlink("/dev/zero", &segment).unwrap();
    let error = open(dir.path()).unwrap().files().unwrap_err();
    assert!(matches!(error, BundleError::NotAFile { .. }), "{error}");
    fs::remove_file(&segment).unwrap();
    let made = std::process::Command::new("mkfifo").arg(&segment).status().unwrap();
    assert!(made.success());
    let error = open(dir.path()).unwrap().reader(&keys()).unwrap_err();
    assert!(matches!(error, BundleError::NotAFile { .. }), "{error}");
    let manifest = dir.path().join("sample.manifest.json");
    fs::remove_file(&manifest).unwrap();
    symlink("/dev/zero", &manifest).unwrap();
    assert!(matches!(open(dir.path()), Err(BundleError::NotAFile { .. })));
}

#[test]
fn a_manifest_without_end_is_not_read() {
    let dir = set();
    let manifest = dir.path().join("sample.manifest.json");
    fs::File::create(&manifest).unwrap().set_len(MANIFEST_BYTES_MAX + 1).unwrap();
    let error = open(dir.path()).unwrap_err();
    assert_eq!(error.attack(), Some(signing::Attack::EndlessData), "{error}");
}

#[test]
fn another_key_is_refused() {
    let dir = set();
    let other = signing::SecretKey::from_seed([1; 32]);
    let error = open(dir.path()).unwrap().reader(&KeySet::one(other.public().clone()));
    let error = error.unwrap_err();
    assert_eq!(error.attack(), Some(signing::Attack::ArbitrarySoftware));
    assert!(error.hint().unwrap().contains("pinned root"));
}

#[test]
fn a_later_form_is_named_whatever_its_shape() {
    let dir = tempfile::tempdir().unwrap();
    let body = serde_json::json!({"format": 2, "segments": "elsewhere"});
    let bytes = signing::statement::sign(BundleManifest::KIND, &body, &[&key()]).unwrap();
    fs::write(dir.path().join("x.manifest.json"), bytes).unwrap();
    let error = open(dir.path()).unwrap_err();
    assert!(error.to_string().ends_with("format 2, this program reads 1"), "{error}");
}

#[test]
fn every_flipped_byte_of_the_manifest_is_refused_and_broken_json_is_named_by_offset() {
    let dir = set();
    let path = dir.path().join("sample.manifest.json");
    let good = fs::read(&path).unwrap();
    for at in (0..good.len()).step_by(7) {
        let mut bad = good.clone();
        bad[at] ^= 0x02;
        fs::write(&path, bad).unwrap();
        let error = open(dir.path()).and_then(|set| set.reader(&keys())).unwrap_err();
        assert!(error.to_string().contains("sample.manifest.json"), "byte {at}: {error}");
        assert!(error.is_refusal(), "byte {at}: {error}");
    }
    for at in [0, 40, good.len() - 2] {
        let mut bad = good.clone();
        bad[at] = 0;
        fs::write(&path, bad).unwrap();
        let error = open(dir.path()).unwrap_err();
        let BundleError::Statement { offset: Some(offset), .. } = error else {
            panic!("byte {at}: {error}")
        };
        assert_eq!(usize::try_from(offset).unwrap(), at);
    }
}

proptest! {
    #[test]
    fn any_manifest_is_read_or_refused_without_a_panic(
        noise in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 0..8),
        end in any::<proptest::sample::Index>(),
    ) {
        thread_local!(static MANIFEST: Vec<u8> = {
            fs::read(set().path().join("sample.manifest.json")).unwrap()
        });
        let mut bytes = MANIFEST.with(Clone::clone);
        for (at, byte) in noise {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        for bytes in [&bytes[..], &bytes[..end.index(bytes.len())]] {
            let read = read(Path::new("x"), bytes);
            let at = offset_of_fault(bytes);
            prop_assert!(at.is_none() || read.is_err());
            prop_assert!(at.is_none_or(|at| usize::try_from(at).unwrap() <= bytes.len()));
        }
    }
}
