//! Content comes back as it went in, from any offset.

use futures_util::StreamExt;

use super::*;
use crate::bundle::SegmentSize;
use crate::bundle::sample::{blob, contents, noise, open, write_set};

#[test]
fn blobs_are_read_from_any_offset_across_their_parts() {
    let dir = tempfile::tempdir().unwrap();
    write_set(dir.path(), &contents(), SegmentSize::rehearsal(0));
    let reader = open(dir.path());
    for (entry, bytes) in contents().iter().filter(|(entry, _)| reader.has(&entry.digest)) {
        assert_eq!(reader.size_of(&entry.digest), Some(entry.size));
        let extents = reader.locate(&entry.digest);
        assert_eq!(extents.iter().map(|extent| extent.size).sum::<u64>(), entry.size);
        for from in (0..=bytes.len()).step_by(97).chain([bytes.len()]) {
            let pieces = reader.blob(&entry.digest, u64::try_from(from).unwrap()).unwrap();
            let read: Vec<u8> = pieces.flat_map(|piece| piece.unwrap()).collect();
            assert!(read == bytes[from..], "{} from {from}", entry.path());
        }
    }
}

#[test]
fn a_stream_reads_the_same_in_bounded_pieces() {
    let dir = tempfile::tempdir().unwrap();
    let (entry, bytes) = blob(noise(5, 3 * PIECE_BYTES + 17));
    write_set(dir.path(), &[(entry.clone(), bytes.clone())], SegmentSize::default());
    let reader = open(dir.path());
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let pieces: Vec<Bytes> = runtime.block_on(async {
        let stream = reader.blob_stream(&entry.digest, 5).unwrap();
        stream.map(Result::unwrap).collect().await
    });
    let lengths: Vec<usize> = pieces.iter().map(Bytes::len).collect();
    assert_eq!(lengths, [PIECE_BYTES, PIECE_BYTES, PIECE_BYTES, 12]);
    assert!(pieces.concat() == bytes[5..]);
}

#[test]
fn manifests_are_compared_with_their_digest() {
    let dir = tempfile::tempdir().unwrap();
    let set = contents();
    let manifest = write_set(dir.path(), &set, SegmentSize::default());
    let reader = open(dir.path());
    assert_eq!(reader.image_manifest(&set[0].0.digest).unwrap(), set[0].1);
    assert_eq!(reader.files().unwrap().len(), 4);
    let layer = reader.image_manifest(&set[4].0.digest).unwrap_err();
    assert!(matches!(layer, BundleError::NotCarried { .. }), "{layer}");
    let missing = reader.blob(&Digest::of(b"absent"), 0).unwrap_err();
    assert!(matches!(missing, BundleError::NotCarried { .. }), "{missing}");
    let entry = manifest.entries.iter().find(|entry| entry.digest == set[0].0.digest).unwrap();
    let path = reader.segment_path(entry.segment).unwrap();
    let mut bytes = std::fs::read(path).unwrap();
    bytes[usize::try_from(entry.offset).unwrap()] ^= 1;
    std::fs::write(path, bytes).unwrap();
    let error = reader.image_manifest(&entry.digest).unwrap_err();
    assert!(matches!(error, BundleError::Damaged { .. }), "{error}");
}
