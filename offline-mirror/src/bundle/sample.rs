//! Small sets for the tests of this crate.

use std::num::NonZeroUsize;
use std::path::Path;

use signing::{KeySet, SecretKey};

use super::*;
use crate::oci::Digest;

/// Content that looks like nothing and is the same everywhere.
pub(crate) fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(1);
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..length).map(|_| next()).collect()
}

/// A directory in memory where there is one: these tests sync thousands of times.
pub(crate) fn scratch() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap()
}

pub(crate) fn key() -> SecretKey {
    SecretKey::from_seed([9; 32])
}

pub(crate) fn keys() -> KeySet {
    KeySet::one(key().public().clone())
}

pub(crate) fn size_of(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap()
}

pub(crate) fn blob(bytes: Vec<u8>) -> (PlannedEntry, Vec<u8>) {
    let (digest, size) = (Digest::of(&bytes), size_of(&bytes));
    (PlannedEntry { digest, size, what: Planned::Blob }, bytes)
}

/// Files, a manifest, an empty blob, a SHA-512 blob and one larger than an 8 KiB segment.
pub(crate) fn contents() -> Vec<(PlannedEntry, Vec<u8>)> {
    let manifest = br#"{"schemaVersion":2}"#.to_vec();
    let media_type = "application/vnd.oci.image.manifest.v1+json".to_owned();
    let (digest, size) = (Digest::of(&manifest), size_of(&manifest));
    let what = Planned::Manifest { media_type };
    let long = Digest::of(b"").layout_path();
    let deep = format!("tuf/targets/acme/edge/{long}.1.0.0.release.json");
    let file = |path: &str, bytes: &[u8]| (PlannedEntry::file(path, bytes), bytes.to_vec());
    let wide = noise(3, 700);
    let sha512 = {
        let mut hasher = crate::oci::Hasher::new(crate::oci::Algorithm::Sha512);
        hasher.update(&wide);
        hasher.finish()
    };
    let mut all = vec![
        (PlannedEntry { digest, size, what }, manifest),
        file("tuf/metadata/1.root.json", b"{}"),
        file(&deep, &noise(1, 513)),
        blob(Vec::new()),
        blob(noise(2, 512)),
        (PlannedEntry { digest: sha512, size: 700, what: Planned::Blob }, wide),
        blob(noise(4, 20_000)),
    ];
    all.extend(oci_layout_files(&[]));
    all
}

pub(crate) fn laid_out(contents: &[(PlannedEntry, Vec<u8>)], size: SegmentSize) -> Laid {
    let planned: Vec<PlannedEntry> = contents.iter().map(|(entry, _)| entry.clone()).collect();
    lay_out(&planned, size, &"sample".parse().unwrap()).unwrap()
}

/// The bytes of an item of a layout of `contents`.
pub(crate) fn bytes_of<'a>(contents: &'a [(PlannedEntry, Vec<u8>)], item: &Item) -> &'a [u8] {
    &contents.iter().find(|(entry, _)| *entry == item.planned).unwrap().1
}

pub(crate) fn manifest_of(written: Written) -> BundleManifest {
    BundleManifest {
        format: BundleManifest::FORMAT,
        name: "sample".parse().unwrap(),
        sequence: 1,
        created_at: jiff::Timestamp::UNIX_EPOCH,
        created_by: "offline-mirror test".to_owned(),
        good_until: None,
        sites: Vec::new(),
        bases: Vec::new(),
        required: Vec::new(),
        complete: true,
        missing: Vec::new(),
        releases: Vec::new(),
        images: Vec::new(),
        segments: written.segments,
        entries: written.entries,
    }
}

/// Writes and seals a set.
pub(crate) fn write_set(
    dir: &Path,
    contents: &[(PlannedEntry, Vec<u8>)],
    size: SegmentSize,
) -> BundleManifest {
    let writer = Writer::open(dir, laid_out(contents, size)).unwrap();
    for (number, item) in writer.laid().items().iter().enumerate() {
        writer.put(number, bytes_of(contents, item)).unwrap();
    }
    let manifest = manifest_of(writer.finish().unwrap());
    seal(dir, &manifest, &[&key()]).unwrap();
    manifest
}

pub(crate) fn open(dir: &Path) -> Reader {
    BundleDir::open(dir, &[]).unwrap().reader(&keys()).unwrap()
}

pub(crate) fn look(dir: &Path) -> Result<Evidence, BundleError> {
    check(&open(dir), NonZeroUsize::MIN, &|_| {})
}
