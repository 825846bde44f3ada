//! Reads OCI and Docker manifests far enough to follow them. Pure; never fetches.
//!
//! Digests are of the raw bytes, so a manifest is parsed beside its bytes and never re-serialised.

use serde::Deserialize;
use signing::Sha256Digest;

use crate::error::Error;

/// Registries commonly cap manifests at 4 MiB; the OCI distribution spec asks them to take at least
/// that.
pub(crate) const MANIFEST_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Media types of images, the default first.
pub(crate) const IMAGE_TYPES: [&str; 2] = [
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
];
/// Media types of indexes, the default first.
pub(crate) const INDEX_TYPES: [&str; 2] = [
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
];

/// Points at a blob or another manifest.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Descriptor {
    /// Media type.
    pub(crate) media_type: String,
    /// Digest of the bytes.
    pub(crate) digest: Sha256Digest,
    /// Their length.
    pub(crate) size: u64,
}

/// What a manifest points at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Manifest {
    /// An image or artifact: its config and layers.
    Image {
        /// Config first, then layers, as the manifest lists them.
        blobs: Vec<Descriptor>,
    },
    /// An index: other manifests.
    Index {
        /// The children.
        manifests: Vec<Descriptor>,
    },
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    schema_version: u32,
    media_type: Option<String>,
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
    manifests: Option<Vec<Descriptor>>,
}

/// A manifest's media type with the links it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ParsedManifest {
    /// Media type to push it under.
    pub(crate) media_type: String,
    /// Its links.
    pub(crate) manifest: Manifest,
}

/// Parses manifest bytes whose digest was checked already.
///
/// Refuses what could be read as two things at once: layers *and* manifests, or a media type of the
/// other kind (GHSA-qq97-vm5h-rrhg).
pub(crate) fn parse(digest: &Sha256Digest, bytes: &[u8]) -> Result<ParsedManifest, Error> {
    let refuse = |why: String| Error::Manifest { digest: digest.to_string(), why };
    if bytes.len() > MANIFEST_BYTES_MAX {
        return Err(refuse(format!("{} bytes, at most {MANIFEST_BYTES_MAX}", bytes.len())));
    }
    let raw: Raw = serde_json::from_slice(bytes).map_err(|e| refuse(e.to_string()))?;
    if raw.schema_version != 2 {
        return Err(refuse(format!("schemaVersion {}, expected 2", raw.schema_version)));
    }
    let (manifest, types) = match (raw.config, raw.layers, raw.manifests) {
        (None, None, Some(manifests)) => (Manifest::Index { manifests }, INDEX_TYPES),
        (Some(config), layers, None) => {
            let blobs = std::iter::once(config).chain(layers.unwrap_or_default()).collect();
            (Manifest::Image { blobs }, IMAGE_TYPES)
        }
        _ => return Err(refuse("it is neither an image nor an index".to_owned())),
    };
    let [default_type, _] = types;
    let media_type = raw.media_type.unwrap_or_else(|| default_type.to_owned());
    if !types.contains(&media_type.as_str()) {
        return Err(refuse(format!("media type {media_type:?} does not fit what it holds")));
    }
    Ok(ParsedManifest { media_type, manifest })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Result<ParsedManifest, Error> {
        parse(&Sha256Digest::of(text.as_bytes()), text.as_bytes())
    }

    fn descriptor(text: &str) -> String {
        let digest = Sha256Digest::of(text.as_bytes());
        format!(r#"{{"mediaType":"a/b","digest":"{digest}","size":{}}}"#, text.len())
    }

    #[test]
    fn an_image_links_its_config_first() {
        let (config, layer) = (descriptor("config"), descriptor("layer"));
        let text = format!(r#"{{"schemaVersion":2,"config":{config},"layers":[{layer}]}}"#);
        let Manifest::Image { blobs } = check(&text).unwrap().manifest else {
            panic!("an image");
        };
        assert_eq!(blobs[0].digest, Sha256Digest::of(b"config"));
        assert_eq!(blobs[1].size, 5);
    }

    #[test]
    fn layers_beside_manifests_are_refused() {
        let one = descriptor("x");
        let text =
            format!(r#"{{"schemaVersion":2,"config":{one},"layers":[{one}],"manifests":[{one}]}}"#);
        let error = check(&text).unwrap_err();
        assert!(matches!(error, Error::Manifest { ref why, .. } if why.contains("neither")));
    }

    #[test]
    fn an_index_that_calls_itself_an_image_is_refused() {
        let text =
            format!(r#"{{"schemaVersion":2,"mediaType":"{}","manifests":[]}}"#, IMAGE_TYPES[0]);
        let error = check(&text).unwrap_err();
        assert!(matches!(error, Error::Manifest { ref why, .. } if why.contains("media type")));
    }

    #[test]
    fn a_digest_that_is_no_digest_is_refused() {
        let text = r#"{"schemaVersion":2,"manifests":[{"mediaType":"a/b","digest":"sha256:../..","size":1}]}"#;
        assert!(matches!(check(text), Err(Error::Manifest { .. })));
    }
}
