//! Makes bundles, good and bad ones, without the program that makes them in earnest.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use offline_mirror::bundle::{
    BundleManifest, CarriedImage, CarriedRelease, ImageRole, Missing, Planned, PlannedEntry,
    Required, SegmentSize, Writer, lay_out, seal,
};
use offline_mirror::oci::{Digest, Tag};
use serde_json::json;
use signing::SecretKey;

pub(crate) const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const INDEX_TYPE: &str = "application/vnd.oci.image.index.v1+json";

/// A bundle to be made.
#[derive(Debug, Clone)]
pub(crate) struct Maker {
    pub(crate) name: String,
    pub(crate) sequence: u64,
    pub(crate) created_at: Timestamp,
    pub(crate) sites: Vec<String>,
    pub(crate) required: Vec<Required>,
    pub(crate) missing: Vec<Missing>,
    pub(crate) complete: bool,
    pub(crate) releases: Vec<CarriedRelease>,
    pub(crate) images: Vec<CarriedImage>,
    /// TUF files by their path below `tuf/`.
    pub(crate) tuf: BTreeMap<String, Vec<u8>>,
    /// Manifests with their media types.
    pub(crate) manifests: Vec<(String, Vec<u8>)>,
    pub(crate) blobs: Vec<Vec<u8>>,
    pub(crate) signer: u8,
    pub(crate) segment_bytes: u64,
}

pub(crate) fn digest(bytes: &[u8]) -> Digest {
    Digest::of(bytes)
}

/// An OCI manifest over an empty config and these layers.
pub(crate) fn image(layers: &[&[u8]], subject: Option<&[u8]>) -> Vec<u8> {
    let link = |media_type: &str, bytes: &[u8]| json!({"mediaType": media_type, "digest": digest(bytes), "size": bytes.len()});
    let layers: Vec<_> =
        layers.iter().map(|l| link("application/vnd.oci.image.layer.v1.tar", l)).collect();
    let config = link("application/vnd.oci.image.config.v1+json", b"{}");
    let mut manifest = json!({
        "schemaVersion": 2, "mediaType": MANIFEST_TYPE, "config": config, "layers": layers,
    });
    if let Some(subject) = subject {
        manifest["subject"] = link(MANIFEST_TYPE, subject);
    }
    manifest.to_string().into_bytes()
}

/// An index over image manifests.
pub(crate) fn index(children: &[&[u8]]) -> Vec<u8> {
    let manifests: Vec<_> = children
        .iter()
        .map(|c| json!({"mediaType": MANIFEST_TYPE, "digest": digest(c), "size": c.len()}))
        .collect();
    json!({"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": manifests})
        .to_string()
        .into_bytes()
}

impl Maker {
    /// Carries an image by its manifest's bytes.
    pub(crate) fn carry(
        &mut self,
        repository: &str,
        manifest: &[u8],
        tags: &[&str],
        role: ImageRole,
    ) {
        let media_type =
            if manifest.starts_with(b"{\"manifests\"") { INDEX_TYPE } else { MANIFEST_TYPE };
        self.add_manifest(media_type, manifest);
        self.images.push(CarriedImage {
            repository: repository.parse().unwrap(),
            digest: digest(manifest),
            tags: tags.iter().map(|tag| tag.parse::<Tag>().unwrap()).collect(),
            source: "registry.example.com".parse().unwrap(),
            role,
        });
    }

    pub(crate) fn add_manifest(&mut self, media_type: &str, manifest: &[u8]) {
        if !self.manifests.iter().any(|(_, bytes)| bytes == manifest) {
            self.manifests.push((media_type.to_owned(), manifest.to_vec()));
        }
    }

    pub(crate) fn add_blob(&mut self, blob: &[u8]) {
        if !self.blobs.iter().any(|known| known == blob) {
            self.blobs.push(blob.to_vec());
        }
    }

    /// Leaves a blob out and says that it must be at the site.
    pub(crate) fn require_blob(&mut self, blob: &[u8], repository: &str) {
        self.blobs.retain(|known| known != blob);
        self.required.push(Required {
            digest: digest(blob),
            size: u64::try_from(blob.len()).unwrap(),
            repositories: vec![repository.parse().unwrap()],
            is_manifest: false,
        });
        self.required.sort();
    }

    /// Writes it below `dir`; returns the folder.
    pub(crate) fn make(&self, dir: &Path) -> PathBuf {
        let mut parts: Vec<(PlannedEntry, Vec<u8>)> = Vec::new();
        for (path, bytes) in &self.tuf {
            parts.push((PlannedEntry::file(&format!("tuf/{path}"), bytes), bytes.clone()));
        }
        for (media_type, bytes) in &self.manifests {
            let what = Planned::Manifest { media_type: media_type.clone() };
            parts.push((planned(bytes, what), bytes.clone()));
        }
        for bytes in &self.blobs {
            parts.push((planned(bytes, Planned::Blob), bytes.clone()));
        }
        let name = self.name.parse().unwrap();
        let plan: Vec<PlannedEntry> = parts.iter().map(|(entry, _)| entry.clone()).collect();
        let size = SegmentSize::rehearsal(self.segment_bytes);
        let laid = lay_out(&plan, size, &name).unwrap();
        let folder = dir.join(&self.name);
        std::fs::create_dir_all(&folder).unwrap();
        let writer = Writer::open(&folder, laid).unwrap();
        for (at, item) in writer.laid().items().to_vec().iter().enumerate() {
            let (_, bytes) =
                parts.iter().find(|(entry, _)| entry.path() == item.planned.path()).unwrap();
            writer.put(at, bytes).unwrap();
        }
        let written = writer.finish().unwrap();
        let manifest = BundleManifest {
            format: BundleManifest::FORMAT,
            name,
            sequence: self.sequence,
            created_at: self.created_at,
            created_by: "test".to_owned(),
            good_until: None,
            sites: self.sites.iter().map(|site| site.parse().unwrap()).collect(),
            bases: Vec::new(),
            required: self.required.clone(),
            complete: self.complete,
            missing: self.missing.clone(),
            releases: self.releases.clone(),
            images: self.images.clone(),
            segments: written.segments,
            entries: written.entries,
        };
        seal(&folder, &manifest, &[&SecretKey::from_seed([self.signer; 32])]).unwrap();
        folder
    }
}

fn planned(bytes: &[u8], what: Planned) -> PlannedEntry {
    PlannedEntry { digest: digest(bytes), size: u64::try_from(bytes.len()).unwrap(), what }
}
