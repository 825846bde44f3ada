//! What contradicts itself is refused by name; what is not refused can be followed.

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::bundle::sample::{contents, write_set};
use crate::bundle::{Missing, SegmentSize};

fn manifest() -> BundleManifest {
    let dir = tempfile::tempdir().unwrap();
    write_set(dir.path(), &contents(), SegmentSize::rehearsal(0))
}

fn check(change: impl FnOnce(&mut BundleManifest)) -> Fault {
    let mut manifest = manifest();
    change(&mut manifest);
    validate(&manifest).unwrap_err()
}

/// The first entry of a kind.
fn first(manifest: &mut BundleManifest, is: fn(&Content) -> bool) -> &mut Entry {
    manifest.entries.iter_mut().find(|entry| is(&entry.content)).unwrap()
}

fn is_part(content: &Content) -> bool {
    matches!(content, Content::Blob { part: Some(_), .. })
}

fn is_whole(content: &Content) -> bool {
    matches!(content, Content::Blob { part: None, .. })
}

#[test]
fn paths_lead_nowhere_else() {
    for bad in ["../x", "/etc/passwd", "tuf/../../x", "blobs/sha256/00", "tuf/metadata/", "c:\\x"] {
        let fault = check(|m| m.entries[2].path = bad.to_owned());
        assert!(matches!(fault, Fault::Path { .. }), "{bad}: {fault}");
    }
    let fault = check(|m| first(m, is_whole).path = "tuf/x".to_owned());
    assert!(matches!(fault, Fault::Path { .. }), "{fault}");
    let fault = check(|m| first(m, |c| matches!(c, Content::Manifest { .. })).path += "0");
    assert!(matches!(fault, Fault::Path { .. }), "{fault}");
    let fault = check(|m| m.segments[0].file = "../sample-0001.tar".to_owned());
    assert!(matches!(fault, Fault::SegmentName { number: 1, .. }), "{fault}");
}

#[test]
fn places_are_where_the_lengths_put_them() {
    let fault = check(|m| m.entries[1].offset += 512);
    assert!(matches!(fault, Fault::Offset { .. }), "{fault}");
    let fault = check(|m| m.entries[1].offset = u64::MAX);
    assert!(matches!(fault, Fault::Offset { .. }), "{fault}");
    let fault = check(|m| m.entries[0].size += 512);
    assert!(matches!(fault, Fault::Offset { .. }), "{fault}");
    let fault = check(|m| m.segments[0].size += 512);
    assert!(matches!(fault, Fault::SegmentSize { .. }), "{fault}");
    let fault = check(|m| m.segments.push(m.segments[0].clone()));
    assert!(matches!(fault, Fault::SegmentName { .. }), "{fault}");
    let fault = check(|m| drop(m.segments.pop()));
    assert!(matches!(fault, Fault::Order { .. }), "{fault}");
    let fault = check(|m| m.entries[1].segment = 7);
    assert!(matches!(fault, Fault::SegmentSize { .. } | Fault::Offset { .. }), "{fault}");
}

#[test]
fn entries_stand_in_order_and_once() {
    let fault = check(|m| m.entries.swap(2, 3));
    assert!(matches!(fault, Fault::Order { .. }), "{fault}");
    let fault = check(|m| m.entries.insert(1, m.entries[1].clone()));
    assert!(matches!(fault, Fault::Order { .. }), "{fault}");
    let twice = |m: &mut BundleManifest| {
        let manifest = first(m, |c| matches!(c, Content::Manifest { .. })).clone();
        let (blob, encoding) = (manifest.digest, Encoding::Identity);
        let content = Content::Blob { blob, encoding, part: None };
        m.entries.push(Entry { content, ..manifest });
        m.entries.sort_by_key(|e| (rank(&e.path, &e.content), e.path.clone()));
    };
    assert!(matches!(check(twice), Fault::Twice { .. }));
    let fault = check(|m| {
        let part = first(m, is_part).clone();
        let Content::Blob { blob, .. } = part.content else { return };
        let content = Content::Blob { blob, encoding: Encoding::Identity, part: None };
        let (path, digest) = (blob.layout_path(), blob);
        m.entries.push(Entry { path, digest, content, ..part });
        m.entries.sort_by_key(|e| (rank(&e.path, &e.content), e.path.clone()));
    });
    assert!(matches!(fault, Fault::Twice { .. }), "{fault}");
}

#[test]
fn digests_of_prefixes_are_as_many_as_chunks() {
    let fault = check(|m| m.entries[0].chunks.push(Digest::of(b"")));
    assert!(matches!(fault, Fault::Chunks { expected: 0, found: 1, .. }), "{fault}");
    let fault = check(|m| first(m, is_part).size = (9 << 20) + 1);
    assert!(matches!(fault, Fault::Chunks { expected: 1, found: 0, .. }), "{fault}");
    for (size, expected) in [(0, 0), (1, 0), (CHUNK_BYTES, 0), (CHUNK_BYTES + 1, 1)] {
        assert_eq!(prefixes(size, CHUNK_BYTES), expected, "{size}");
    }
}

#[test]
fn parts_make_up_their_blob() {
    let change = |change: fn(&mut Entry)| check(|m| change(first(m, is_part)));
    let fault = change(|entry| {
        if let Content::Blob { part: Some(part), .. } = &mut entry.content {
            part.from = 512;
        }
    });
    assert!(matches!(fault, Fault::Parts { .. }), "{fault}");
    let fault = change(|entry| {
        if let Content::Blob { part: Some(part), .. } = &mut entry.content {
            part.of += 1;
        }
    });
    assert!(matches!(fault, Fault::Parts { .. }), "{fault}");
    let fault = change(|entry| entry.path = entry.path.replace("part0001", "part0000"));
    assert!(matches!(fault, Fault::Parts { .. }), "{fault}");
    let only = check(|m| {
        let part = first(m, is_part).clone();
        let mut seen = false;
        m.entries.retain(|entry| !is_part(&entry.content) || !std::mem::replace(&mut seen, true));
        drop(part);
        let mut kept = m.entries.clone();
        relocate(m, &mut kept);
    });
    assert!(matches!(only, Fault::Parts { .. }), "{only}");
}

/// Puts entries where they must be, in one segment.
fn relocate(manifest: &mut BundleManifest, entries: &mut [Entry]) {
    let mut at = 0;
    for entry in entries.iter_mut() {
        entry.segment = 0;
        entry.offset = at + header_bytes(&entry.path);
        at = entry.offset + padded(entry.size);
    }
    manifest.segments.truncate(1);
    manifest.segments[0].size = at + END_BYTES;
    manifest.entries = entries.to_vec();
}

#[test]
fn a_bundle_is_complete_or_says_what_is_missing() {
    let fault = check(|m| m.complete = false);
    assert!(matches!(fault, Fault::Complete { complete: false, missing: 0 }), "{fault}");
    let missing = Missing { what: "an image".to_owned(), why: "not found".to_owned() };
    let fault = check(|m| m.missing.push(missing));
    assert!(matches!(fault, Fault::Complete { complete: true, missing: 1 }), "{fault}");
}

#[test]
fn counts_are_bounded() {
    let fault = check(|m| m.entries = vec![m.entries[0].clone(); ENTRIES_MAX + 1]);
    assert!(matches!(fault, Fault::TooMany { what: "entries", .. }), "{fault}");
    let fault = check(|m| m.segments = vec![m.segments[0].clone(); SEGMENTS_MAX + 1]);
    assert!(matches!(fault, Fault::TooMany { what: "segments", .. }), "{fault}");
    let fault = check(|m| m.entries[2].size = FILES_BYTES_MAX + 1);
    assert!(matches!(fault, Fault::TooLarge { .. }), "{fault}");
}

/// Places in a document, in a fixed order.
fn leaves(value: &Value, path: &str, found: &mut Vec<String>) {
    match value {
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                leaves(item, &format!("{path}/{index}"), found);
            }
        }
        Value::Object(members) => {
            for (key, item) in members {
                leaves(item, &format!("{path}/{key}"), found);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            found.push(path.to_owned());
        }
    }
}

fn replacement() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<u64>().prop_map(Value::from),
        (0_u64..60_000).prop_map(Value::from),
        Just(Value::Null),
        "[ -~]{0,20}".prop_map(Value::from),
        "(tuf/|blobs/sha256/)[a-f0-9./]{0,80}".prop_map(Value::from),
        "sha(256|512):[a-f0-9]{64}".prop_map(Value::from),
    ]
}

proptest! {
    /// Whatever a manifest says, either it is refused or every entry lies inside its segment and
    /// none on another.
    #[test]
    fn what_is_not_refused_can_be_taken_at_its_word(
        changes in proptest::collection::vec((any::<proptest::sample::Index>(), replacement()), 1..4)
    ) {
        thread_local!(static DOCUMENT: Value = serde_json::to_value(manifest()).unwrap());
        let mut document = DOCUMENT.with(Value::clone);
        let mut places = Vec::new();
        leaves(&document, "", &mut places);
        for (at, value) in changes {
            *document.pointer_mut(at.get::<String>(&places)).unwrap() = value;
        }
        let Ok(manifest) = serde_json::from_value::<BundleManifest>(document) else {
            return Ok(());
        };
        if validate(&manifest).is_ok() {
            let mut end = (0, 0);
            for entry in &manifest.entries {
                let segment = usize::try_from(entry.segment).unwrap();
                prop_assert!((segment, entry.offset) > end);
                end = (segment, entry.offset + entry.size);
                prop_assert!(end.1 <= manifest.segments[segment].size);
            }
        }
    }
}
