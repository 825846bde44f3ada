//! The two files that make an unsplit bundle an OCI image layout, so that any OCI tool reads it once
//! it is unpacked (OCI image spec 1.1, image-layout). Pure.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::oci::{Descriptor, Digest, Repository, Tag};

use super::layout::PlannedEntry;

/// Annotation that OCI tools find an image in a layout by.
const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// An image as it is listed in `index.json`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ListedImage {
    /// Repository, without host.
    pub repository: Repository,
    /// A tag, or none for an image that only its digest names.
    pub tag: Option<Tag>,
    /// Digest of its manifest or index.
    pub digest: Digest,
    /// Length of the manifest.
    pub size: u64,
    /// Media type of the manifest.
    pub media_type: String,
}

/// Members in a fixed order: these bytes are part of the format.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Index {
    schema_version: u32,
    media_type: &'static str,
    manifests: Vec<Descriptor>,
}

impl ListedImage {
    /// `repository:tag`, or `repository@digest`.
    fn name(&self) -> String {
        match &self.tag {
            Some(tag) => format!("{}:{tag}", self.repository),
            None => format!("{}@{}", self.repository, self.digest),
        }
    }
}

/// `oci-layout` and `index.json` with their planned entries. The order of `images` does not matter.
pub fn oci_layout_files(images: &[ListedImage]) -> [(PlannedEntry, Vec<u8>); 2] {
    let mut sorted: Vec<&ListedImage> = images.iter().collect();
    sorted.sort_by_key(|image| (image.name(), image.digest));
    sorted.dedup();
    let manifests = sorted.iter().map(|image| {
        let mut descriptor = Descriptor::new(&image.media_type, image.digest, image.size);
        descriptor.annotations = BTreeMap::from([(REF_NAME.to_owned(), image.name())]);
        descriptor
    });
    let index = Index {
        schema_version: 2,
        media_type: "application/vnd.oci.image.index.v1+json",
        manifests: manifests.collect(),
    };
    // Strings, numbers and maps with text for keys: there is nothing that cannot be written.
    let index = serde_json::to_vec(&index).unwrap_or_default();
    let layout = br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec();
    [("oci-layout", layout), ("index.json", index)]
        .map(|(path, bytes)| (PlannedEntry::file(path, &bytes), bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_index_names_every_image_the_way_oci_tools_look_for_it() {
        let image = |tag: Option<&str>| ListedImage {
            repository: "acme/edge".parse().unwrap(),
            tag: tag.map(|tag| tag.parse().unwrap()),
            digest: Digest::of(b"manifest"),
            size: 8,
            media_type: "application/vnd.oci.image.manifest.v1+json".to_owned(),
        };
        let files = oci_layout_files(&[image(Some("1.2")), image(None)]);
        assert_eq!(files[0].1, br#"{"imageLayoutVersion":"1.0.0"}"#);
        let index: serde_json::Value = serde_json::from_slice(&files[1].1).unwrap();
        assert_eq!(index["manifests"][0]["annotations"][REF_NAME], "acme/edge:1.2");
        let by_digest = format!("acme/edge@{}", Digest::of(b"manifest"));
        assert_eq!(index["manifests"][1]["annotations"][REF_NAME], by_digest);
        let again = oci_layout_files(&[image(None), image(Some("1.2")), image(None)]);
        assert_eq!(again, files, "order and repetition do not matter");
    }
}
