//! The worked example of `docs/bundle-format.md`, made again and compared with what stands there.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use super::sample::{bytes_of, key, manifest_of, size_of};
use super::*;
use crate::oci::Digest;

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/bundle-format.md");

/// One image of one layer, and a root.
fn contents() -> Vec<(PlannedEntry, Vec<u8>)> {
    let blob = |bytes: &[u8]| {
        let (digest, size) = (Digest::of(bytes), size_of(bytes));
        (PlannedEntry { digest, size, what: Planned::Blob }, bytes.to_vec())
    };
    let config =
        br#"{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}"#;
    let layer = b"a layer of forty-two bytes, none of a tar\n";
    let media_type = "application/vnd.oci.image.manifest.v1+json".to_owned();
    let manifest = format!(
        r#"{{"schemaVersion":2,"mediaType":"{media_type}","config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{}","size":{}}},"layers":[{{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"{}","size":{}}}]}}"#,
        Digest::of(config),
        config.len(),
        Digest::of(layer),
        layer.len(),
    );
    let manifest = manifest.into_bytes();
    let (digest, size) = (Digest::of(&manifest), size_of(&manifest));
    let listed = ListedImage {
        repository: "acme/edge".parse().unwrap(),
        tag: Some("1.2.0".parse().unwrap()),
        digest,
        size,
        media_type: media_type.clone(),
    };
    let root = br#"{"signatures":[],"signed":{"_type":"root"}}"#;
    let mut all = vec![
        (PlannedEntry { digest, size, what: Planned::Manifest { media_type } }, manifest),
        (PlannedEntry::file("tuf/metadata/1.root.json", root), root.to_vec()),
        blob(config),
        blob(layer),
    ];
    all.extend(oci_layout_files(&[listed]));
    all
}

fn make(dir: &Path) -> BundleManifest {
    let contents = contents();
    let planned: Vec<PlannedEntry> = contents.iter().map(|(entry, _)| entry.clone()).collect();
    let name: BundleName = "north-7".parse().unwrap();
    let laid = lay_out(&planned, SegmentSize::default(), &name).unwrap();
    let writer = Writer::open(dir, laid).unwrap();
    for (number, item) in writer.laid().items().iter().enumerate() {
        writer.put(number, bytes_of(&contents, item)).unwrap();
    }
    let manifest = BundleManifest {
        name,
        sequence: 7,
        sites: vec!["north".parse().unwrap()],
        created_by: "offline-mirror 0.1.0".to_owned(),
        ..manifest_of(writer.finish().unwrap())
    };
    seal(dir, &manifest, &[&key()]).unwrap();
    manifest
}

/// Listing, places, the first header, and one entry of the manifest.
fn fragments(dir: &Path, manifest: &BundleManifest) -> Vec<String> {
    let segment = dir.join("north-7-0001.tar");
    let listed = Command::new("tar").arg("tf").arg(&segment).output().unwrap();
    let listing =
        format!("$ tar tf north-7-0001.tar\n{}", String::from_utf8(listed.stdout).unwrap());
    let mut places = String::from("header at  content at  bytes  padding  entry\n");
    for entry in &manifest.entries {
        let (header, padding) = (
            entry.offset - framing::header_bytes(&entry.path),
            framing::padded(entry.size) - entry.size,
        );
        let path: String = entry.path.chars().take(24).collect();
        let Entry { offset, size, .. } = entry;
        writeln!(places, "{header:9}  {offset:10}  {size:5}  {padding:7}  {path}").unwrap();
    }
    writeln!(places, "end at {}", manifest.segments[0].size - framing::END_BYTES).unwrap();
    let bytes = std::fs::read(&segment).unwrap();
    let mut header = String::new();
    for (line, row) in bytes[..512].chunks(16).enumerate().filter(|(_, row)| **row != [0; 16]) {
        let hex: Vec<String> = row.iter().map(|byte| format!("{byte:02x}")).collect();
        let show = |b: &u8| if b.is_ascii_graphic() { char::from(*b) } else { '.' };
        let text: String = row.iter().map(show).collect();
        writeln!(header, "{:04x}  {}  {text}", line * 16, hex.join(" ")).unwrap();
    }
    let layer = serde_json::to_string_pretty(manifest.entries.last().unwrap()).unwrap();
    vec![listing, places, header, layer]
}

#[test]
fn the_worked_example_is_what_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let manifest = make(dir.path());
    let document = std::fs::read_to_string(DOCUMENT).unwrap_or_default();
    let mut lacking = fragments(dir.path(), &manifest);
    lacking.retain(|fragment| !document.contains(fragment.trim_end()));
    assert!(lacking.is_empty(), "docs/bundle-format.md lacks:\n{}", lacking.join("\n"));
}

#[test]
#[ignore = "needs skopeo"]
fn an_unpacked_bundle_is_an_image_layout_to_other_tools() {
    let dir = tempfile::tempdir().unwrap();
    make(dir.path());
    let out = dir.path().join("out");
    std::fs::create_dir(&out).unwrap();
    let segment = dir.path().join("north-7-0001.tar");
    let unpacked = Command::new("tar").arg("-C").arg(&out).arg("-xf").arg(segment).status();
    assert!(unpacked.unwrap().success());
    let image = format!("oci:{}:acme/edge:1.2.0", out.display());
    let seen = Command::new("skopeo").args(["inspect", "--raw", &image]).output().unwrap();
    assert!(seen.status.success(), "{}", String::from_utf8_lossy(&seen.stderr));
    assert!(seen.stdout == contents()[0].1);
}
