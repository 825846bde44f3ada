//! Every byte has one place; the bytes of a fixed set never change; the system's tar reads them.

use proptest::prelude::*;

use super::*;
use crate::bundle::sample::{self, blob, contents, laid_out, noise};
use crate::bundle::validate;
use crate::oci::Digest;

fn name() -> BundleName {
    "sample".parse().unwrap()
}

fn planned(seed: u64, size: u64) -> PlannedEntry {
    let digest = Digest::of(&seed.to_le_bytes());
    PlannedEntry { digest, size, what: Planned::Blob }
}

/// Every byte of every segment as what it belongs to.
fn owners(laid: &Laid) -> Vec<Vec<u8>> {
    let size = |bytes: u64| usize::try_from(bytes).unwrap();
    let mut owners: Vec<Vec<u8>> = laid.segments().iter().map(|s| vec![0; size(s.size)]).collect();
    let mut own = |segment: u32, from: u64, to: u64| {
        for owner in &mut owners[usize::try_from(segment).unwrap()][size(from)..size(to)] {
            *owner += 1;
        }
    };
    for piece in laid.items().iter().flat_map(|item| &item.pieces) {
        let header = header_bytes(&piece.path);
        own(piece.segment, piece.offset - header, piece.offset);
        own(piece.segment, piece.offset, piece.offset + padded(piece.size));
    }
    for (index, segment) in (0_u32..).zip(laid.segments()) {
        own(index, segment.size - END_BYTES, segment.size);
    }
    owners
}

proptest! {
    #[test]
    fn every_byte_belongs_to_exactly_one_header_content_padding_or_end(
        sizes in proptest::collection::vec(0_u64..40_000, 1..30), segment in 8_192_u64..30_000
    ) {
        let files: Vec<PlannedEntry> = (0..).zip(&sizes).map(|(n, s)| planned(n, *s)).collect();
        let size = SegmentSize::rehearsal(segment);
        let laid = lay_out(&files, size, &name()).unwrap();
        for (owners, segment) in owners(&laid).iter().zip(laid.segments()) {
            prop_assert!(owners.iter().all(|count| *count == 1));
            prop_assert!(segment.size <= size.bytes());
        }
        for item in laid.items() {
            let mut next = 0;
            for piece in &item.pieces {
                prop_assert_eq!(piece.from, next);
                next += piece.size;
            }
            prop_assert_eq!(next, item.planned.size);
            prop_assert_eq!(item.pieces.len() > 1, item.planned.size > size.content_bytes_max());
        }
        let mut reversed = files;
        reversed.reverse();
        prop_assert_eq!(lay_out(&reversed, size, &name()).unwrap(), laid, "order does not matter");
    }

    #[test]
    fn terabytes_are_laid_out_as_readers_want_them(
        sizes in proptest::collection::vec(0_u64..30_000_000_000, 1..20)
    ) {
        let files: Vec<PlannedEntry> = (0..).zip(&sizes).map(|(n, s)| planned(n, *s)).collect();
        let laid = lay_out(&files, "bd25".parse().unwrap(), &name()).unwrap();
        for piece in laid.items().iter().flat_map(|item| &item.pieces) {
            prop_assert!(piece.size <= crate::bundle::framing::CONTENT_BYTES_MAX);
            let is_last = laid.items().iter().any(|item| item.pieces.last() == Some(piece));
            prop_assert!(is_last || piece.size.is_multiple_of(64 * 1024 * 1024));
        }
    }
}

#[test]
fn files_come_first_then_manifests_then_blobs() {
    let laid = laid_out(&contents(), SegmentSize::default());
    let paths: Vec<&str> = laid.items().iter().map(|item| item.pieces[0].path.as_str()).collect();
    assert_eq!(&paths[..2], ["oci-layout", "index.json"]);
    assert!(paths[2].starts_with("tuf/metadata/") && paths[3].starts_with("tuf/targets/"));
    assert!(matches!(laid.items()[4].planned.what, Planned::Manifest { .. }));
    assert!(laid.items()[5..].iter().all(|item| item.planned.what == Planned::Blob));
    assert_eq!(laid.segments().len(), 1);
}

#[test]
fn what_readers_refuse_is_not_planned() {
    let lay = |files: &[PlannedEntry]| lay_out(files, SegmentSize::default(), &name());
    for bad in ["/tuf/x", "tuf/../x", "tuf//x", "tuf/", "x", "tuf/\u{e9}", "tuf/a b", "blobs/x"] {
        let entry = PlannedEntry::file(bad, b"");
        assert!(matches!(lay(&[entry]), Err(BundleError::Path { .. })), "{bad}");
    }
    let (one, _) = blob(noise(1, 10));
    assert!(matches!(lay(&[one.clone(), one]), Err(BundleError::Twice { .. })));
    let what = Planned::Manifest { media_type: String::new() };
    let manifest = PlannedEntry { size: 5_000_000, what, ..planned(1, 0) };
    assert!(matches!(lay(&[manifest]), Err(BundleError::TooLarge { .. })));
    let files: Vec<PlannedEntry> = (0..3_u8)
        .map(|n| PlannedEntry { size: 30 << 20, ..PlannedEntry::file(&format!("tuf/{n}"), b"") })
        .collect();
    assert!(matches!(lay(&files), Err(BundleError::TooLarge { .. })), "together");
    let (small, huge) = (SegmentSize::rehearsal(0), planned(1, 1 << 40));
    assert!(matches!(lay_out(&[huge], small, &name()), Err(BundleError::TooMany { .. })));
}

/// The format cannot drift: whoever changes this digest makes bundles that sites in the field do not
/// read.
#[test]
fn segments_of_a_fixed_set_have_fixed_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let manifest = sample::write_set(dir.path(), &contents(), SegmentSize::rehearsal(0));
    validate(&manifest).unwrap();
    let read = |segment: &Segment| std::fs::read(dir.path().join(&segment.file)).unwrap();
    let bytes: Vec<u8> = manifest.segments.iter().flat_map(read).collect();
    assert_eq!((manifest.segments.len(), bytes.len()), (5, 39_936));
    assert_eq!(
        Digest::of(&bytes).hex(),
        "877c8c73e9cdbe379585844d82d54915bd29956b2dac3d769faade8525d5bfd8"
    );
}

#[test]
fn the_systems_tar_lists_and_unpacks_a_set_and_parts_make_up_their_blob() {
    let dir = tempfile::tempdir().unwrap();
    let manifest = sample::write_set(dir.path(), &contents(), SegmentSize::rehearsal(0));
    let (mut listed, out) = (String::new(), dir.path().join("out"));
    std::fs::create_dir(&out).unwrap();
    for segment in &manifest.segments {
        let file = dir.path().join(&segment.file);
        let tar = |arguments: &[&str]| {
            let mut command = std::process::Command::new("tar");
            let done = command.args(arguments).arg(&file).output().unwrap();
            assert!(done.status.success() && done.stderr.is_empty(), "{done:?}");
            String::from_utf8(done.stdout).unwrap()
        };
        listed += &tar(&["--list", "--file"]);
        tar(&["-C", out.to_str().unwrap(), "-x", "-f"]);
    }
    let paths: Vec<&str> = manifest.entries.iter().map(|entry| entry.path.as_str()).collect();
    assert_eq!(listed.lines().collect::<Vec<_>>(), paths);
    for (entry, bytes) in contents() {
        let laid = laid_out(&contents(), SegmentSize::rehearsal(0));
        let item = laid.items().iter().find(|item| item.planned == entry).unwrap();
        let read = |path: &str| std::fs::read(out.join(path)).unwrap();
        let joined: Vec<u8> = item.pieces.iter().flat_map(|piece| read(&piece.path)).collect();
        assert!(joined == bytes, "{}", entry.path());
    }
}
