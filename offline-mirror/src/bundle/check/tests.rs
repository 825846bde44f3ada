//! Every damaged byte is found and named.

use std::num::NonZeroUsize;
use std::os::unix::fs::FileExt;

use super::*;
use crate::bundle::sample::{blob, contents, key, keys, look, noise, open, scratch, write_set};
use crate::bundle::{BundleDir, DamageKind, SegmentSize, seal};
use crate::oci::Digest;

fn evidence_of(error: BundleError) -> Evidence {
    let BundleError::Damaged { evidence } = error else { panic!("{error}") };
    *evidence
}

#[test]
fn every_flipped_byte_is_found_in_its_file_and_place() {
    let dir = scratch();
    let manifest = write_set(dir.path(), &contents(), SegmentSize::rehearsal(0));
    assert!(manifest.segments.len() > 2);
    let reader = open(dir.path());
    check(&reader, NonZeroUsize::MIN, &|_| {}).unwrap();
    for segment in &manifest.segments {
        let path = dir.path().join(&segment.file);
        let good = std::fs::read(&path).unwrap();
        let file = std::fs::File::options().write(true).open(&path).unwrap();
        // Coprime with the length of a block: every place in a header is met.
        for at in (0..segment.size).step_by(5) {
            let byte = good[usize::try_from(at).unwrap()];
            file.write_all_at(&[byte ^ 0x20], at).unwrap();
            let error = check(&reader, NonZeroUsize::MIN, &|_| {}).unwrap_err();
            assert_eq!(error.attack(), Some(signing::Attack::ArbitrarySoftware));
            let found = evidence_of(error);
            assert_eq!(found.damage_count, 1, "{} {at}", segment.file);
            let damage = &found.damage[0];
            assert_eq!(damage.file, segment.file);
            assert!(
                (damage.offset..damage.offset + damage.within).contains(&at),
                "{damage:?} {at}"
            );
            if damage.kind == DamageKind::Framing {
                assert_eq!(damage.offset, at);
            }
            file.write_all_at(&[byte], at).unwrap();
        }
    }
    look(dir.path()).unwrap();
}

#[test]
fn damage_in_a_long_entry_is_named_to_its_chunk_and_all_entries_are_looked_at() {
    let dir = scratch();
    let long = 20 << 20;
    let set = [blob(noise(1, long)), blob(noise(2, 3000)), blob(noise(3, long))];
    let manifest = write_set(dir.path(), &set, SegmentSize::default());
    let path = dir.path().join(&manifest.segments[0].file);
    let file = std::fs::File::options().write(true).read(true).open(&path).unwrap();
    let mut expected = Vec::new();
    for entry in manifest.entries.iter().filter(|entry| entry.chunks.len() == 2) {
        let at = entry.offset + (9 << 20);
        let mut byte = [0];
        file.read_exact_at(&mut byte, at).unwrap();
        file.write_all_at(&[!byte[0]], at).unwrap();
        expected.push((entry.offset + (8 << 20), 8 << 20, entry.path.clone()));
    }
    for threads in [1, 3] {
        let threads = NonZeroUsize::new(threads).unwrap();
        let error = check(&open(dir.path()), threads, &|_| {}).unwrap_err();
        assert!(error.to_string().starts_with("sample-0001.tar in the 8388608 bytes from "));
        assert!(error.hint().unwrap().contains("copy this file again"));
        let found = evidence_of(error);
        let places: Vec<_> =
            found.damage.iter().map(|d| (d.offset, d.within, d.path.clone())).collect();
        assert_eq!(places, expected, "{threads} threads");
        assert_eq!(found.segments[0].damage_count, 2);
    }
}

#[test]
fn parts_that_are_not_their_blob_are_found_although_each_is_as_written() {
    let dir = scratch();
    let set = [blob(noise(4, 20_000))];
    let manifest = write_set(dir.path(), &set, SegmentSize::rehearsal(0));
    assert!(manifest.entries.iter().all(|entry| entry.path.contains(".part")));
    // Its signer is trusted to say what is carried, not what a digest means.
    let (old, other) = (set[0].0.digest, Digest::of(b"another blob"));
    let text = serde_json::to_string(&manifest).unwrap().replace(&old.hex(), &other.hex());
    let manifest: BundleManifest = serde_json::from_str(&text).unwrap();
    // The names in the tar headers go with it.
    for segment in &manifest.segments {
        let path = dir.path().join(&segment.file);
        let file = std::fs::File::options().write(true).open(path).unwrap();
        for entry in &manifest.entries {
            if manifest.segments[usize::try_from(entry.segment).unwrap()] == *segment {
                let headers = crate::bundle::framing::headers(&entry.path, entry.size);
                file.write_all_at(&headers, entry.offset - 512).unwrap();
            }
        }
    }
    std::fs::remove_file(dir.path().join("sample.manifest.json")).unwrap();
    seal(dir.path(), &manifest, &[&key()]).unwrap();
    let found = evidence_of(look(dir.path()).unwrap_err());
    assert_eq!((found.damage_count, found.damage[0].kind), (1, DamageKind::Whole));
}

#[test]
fn many_damaged_places_are_counted_and_the_first_are_listed() {
    let dir = scratch();
    let set: Vec<_> = (0..200).map(|seed| blob(noise(seed, 600))).collect();
    let manifest = write_set(dir.path(), &set, SegmentSize::default());
    let path = dir.path().join(&manifest.segments[0].file);
    let file = std::fs::File::options().write(true).open(path).unwrap();
    for entry in &manifest.entries {
        file.write_all_at(b"damage", entry.offset).unwrap();
    }
    let found = evidence_of(look(dir.path()).unwrap_err());
    assert_eq!((found.damage_count, found.damage.len()), (200, DAMAGE_MAX));
    let first: Vec<_> =
        manifest.entries[..DAMAGE_MAX].iter().map(|entry| entry.path.clone()).collect();
    assert!(found.damage.iter().map(|damage| damage.path.clone()).eq(first));
    assert!(found.summary().ends_with("200 damaged places in all"));
}

#[test]
fn a_segment_that_shrinks_while_it_is_looked_at_is_refused() {
    let dir = scratch();
    let manifest = write_set(dir.path(), &contents(), SegmentSize::default());
    let reader = open(dir.path());
    let path = dir.path().join(&manifest.segments[0].file);
    std::fs::File::options().write(true).open(&path).unwrap().set_len(4096).unwrap();
    let error = check(&reader, NonZeroUsize::MIN, &|_| {}).unwrap_err();
    assert!(matches!(error, BundleError::SegmentLength { found: 4096, .. }), "{error}");
    let opened = BundleDir::open(dir.path(), &[]).unwrap().reader(&keys());
    assert!(matches!(opened, Err(BundleError::SegmentLength { found: 4096, .. })));
}

#[test]
fn progress_adds_up_to_the_content() {
    let dir = scratch();
    let manifest = write_set(dir.path(), &contents(), SegmentSize::rehearsal(0));
    let told = std::sync::atomic::AtomicU64::new(0);
    let tell = |bytes| {
        told.fetch_add(bytes, Ordering::Relaxed);
    };
    let evidence = check(&open(dir.path()), NonZeroUsize::new(2).unwrap(), &tell).unwrap();
    let content: u64 = manifest.entries.iter().map(|entry| entry.size).sum();
    assert_eq!(told.into_inner(), content);
    let counted: u64 = evidence.segments.iter().map(|segment| segment.entries).sum();
    assert_eq!(usize::try_from(counted).unwrap(), manifest.entries.len());
    assert_eq!(evidence.damage_count, 0);
}
