//! Reads OCI and Docker manifests far enough to follow them. Pure; never fetches.
//!
//! Digests are of the raw bytes, so a manifest is parsed beside its bytes and never re-serialised.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::digest::Digest;
use super::media::{INDEX_TYPES, MANIFEST_TYPES, may_be_elsewhere};

/// Registries commonly cap manifests at 4 MiB; the distribution spec asks them to take at least
/// that.
pub const MANIFEST_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Bytes that are no manifest we follow.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a manifest: {why}")]
pub struct ManifestError {
    /// What is wrong.
    pub why: String,
}

/// Points at a blob or another manifest (OCI image spec, descriptor).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// Media type.
    pub media_type: String,
    /// Digest of the bytes.
    pub digest: Digest,
    /// Their length.
    pub size: u64,
    /// Type of the artifact it points at, where a list of referrers or an index says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// Free text by key.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Other places that have the bytes; never followed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub urls: Vec<String>,
}

impl Descriptor {
    /// One with nothing beyond the required members.
    pub fn new(media_type: impl Into<String>, digest: Digest, size: u64) -> Self {
        Self {
            media_type: media_type.into(),
            digest,
            size,
            artifact_type: None,
            annotations: BTreeMap::new(),
            urls: Vec::new(),
        }
    }

    /// Whether a registry need not hold the blob (OCI image spec, non-distributable layers).
    pub fn may_be_elsewhere(&self) -> bool {
        may_be_elsewhere(&self.media_type)
    }
}

/// What a manifest points at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// An image or artifact.
    Image {
        /// Its config.
        config: Descriptor,
        /// Its layers, as it lists them; none for many artifacts.
        layers: Vec<Descriptor>,
    },
    /// An index.
    Index {
        /// The children, as it lists them.
        manifests: Vec<Descriptor>,
    },
}

/// A manifest as far as it is followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// Media type to serve and push it under.
    pub media_type: String,
    /// Its links.
    pub content: Content,
    /// The manifest that it is about, by which it becomes a referrer of that.
    pub subject: Option<Descriptor>,
    /// Type of the artifact: its own word, or else the media type of the config (distribution spec,
    /// listing referrers); none for an index without one.
    pub artifact_type: Option<String>,
    /// Free text by key.
    pub annotations: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    schema_version: u32,
    media_type: Option<String>,
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
    manifests: Option<Vec<Descriptor>>,
    subject: Option<Descriptor>,
    artifact_type: Option<String>,
    #[serde(default)]
    annotations: Option<BTreeMap<String, String>>,
}

impl Manifest {
    /// Parses manifest bytes; whoever has a digest checks it first.
    ///
    /// Refuses what could be read as two things at once: layers *and* manifests, or a media type of
    /// the other kind (GHSA-qq97-vm5h-rrhg).
    ///
    /// # Errors
    /// With the reason.
    pub fn parse(bytes: &[u8]) -> Result<Self, ManifestError> {
        let refuse = |why: String| ManifestError { why };
        if bytes.len() > MANIFEST_BYTES_MAX {
            return Err(refuse(format!("{} bytes, at most {MANIFEST_BYTES_MAX}", bytes.len())));
        }
        let raw: Raw = serde_json::from_slice(bytes).map_err(|e| refuse(e.to_string()))?;
        if raw.schema_version != 2 {
            return Err(refuse(format!("schemaVersion {}, expected 2", raw.schema_version)));
        }
        let (content, types) = match (raw.config, raw.layers, raw.manifests) {
            (None, None, Some(manifests)) => (Content::Index { manifests }, INDEX_TYPES),
            (Some(config), layers, None) => {
                (Content::Image { config, layers: layers.unwrap_or_default() }, MANIFEST_TYPES)
            }
            _ => return Err(refuse("it is neither an image nor an index".to_owned())),
        };
        let [default_type, _] = types;
        let media_type = raw.media_type.unwrap_or_else(|| default_type.to_owned());
        if !types.contains(&media_type.as_str()) {
            return Err(refuse(format!("media type {media_type:?} does not fit what it holds")));
        }
        let of_config = match &content {
            Content::Image { config, .. } => Some(config.media_type.clone()),
            Content::Index { .. } => None,
        };
        Ok(Self {
            media_type,
            content,
            subject: raw.subject,
            artifact_type: raw.artifact_type.filter(|t| !t.is_empty()).or(of_config),
            annotations: raw.annotations.unwrap_or_default(),
        })
    }

    /// The blobs that it needs, config first; none for an index. Layers that may be elsewhere are
    /// among them: whoever needs them looks at [`Descriptor::may_be_elsewhere`].
    pub fn blobs(&self) -> impl Iterator<Item = &Descriptor> {
        let (config, layers) = match &self.content {
            Content::Image { config, layers } => (Some(config), layers.as_slice()),
            Content::Index { .. } => (None, [].as_slice()),
        };
        config.into_iter().chain(layers)
    }

    /// The manifests that it lists; none for an image.
    pub fn children(&self) -> &[Descriptor] {
        match &self.content {
            Content::Image { .. } => &[],
            Content::Index { manifests } => manifests,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(text: &str) -> Result<Manifest, ManifestError> {
        Manifest::parse(text.as_bytes())
    }

    fn descriptor(text: &str) -> String {
        let digest = Digest::of(text.as_bytes());
        format!(r#"{{"mediaType":"a/b","digest":"{digest}","size":{}}}"#, text.len())
    }

    #[test]
    fn an_image_links_its_config_first() {
        let (config, layer) = (descriptor("config"), descriptor("layer"));
        let text = format!(r#"{{"schemaVersion":2,"config":{config},"layers":[{layer}]}}"#);
        let manifest = check(&text).unwrap();
        let blobs: Vec<_> = manifest.blobs().collect();
        assert_eq!(blobs[0].digest, Digest::of(b"config"));
        assert_eq!(blobs[1].size, 5);
        assert_eq!(manifest.artifact_type.as_deref(), Some("a/b"), "of the config");
    }

    #[test]
    fn an_artifact_says_what_it_is_and_about_what() {
        let (config, subject) = (descriptor("{}"), descriptor("image"));
        let text = format!(
            r#"{{"schemaVersion":2,"artifactType":"x/sbom","config":{config},"layers":[],
            "subject":{subject},"annotations":{{"k":"v"}}}}"#
        );
        let manifest = check(&text).unwrap();
        assert_eq!(manifest.artifact_type.as_deref(), Some("x/sbom"));
        assert_eq!(manifest.subject.unwrap().digest, Digest::of(b"image"));
        assert_eq!(manifest.annotations["k"], "v");
    }

    #[test]
    fn layers_beside_manifests_are_refused() {
        let one = descriptor("x");
        let text =
            format!(r#"{{"schemaVersion":2,"config":{one},"layers":[{one}],"manifests":[{one}]}}"#);
        assert!(check(&text).unwrap_err().why.contains("neither"));
    }

    #[test]
    fn an_index_that_calls_itself_an_image_is_refused() {
        let text =
            format!(r#"{{"schemaVersion":2,"mediaType":"{}","manifests":[]}}"#, MANIFEST_TYPES[0]);
        assert!(check(&text).unwrap_err().why.contains("media type"));
    }

    #[test]
    fn a_digest_that_is_no_digest_is_refused() {
        let text = r#"{"schemaVersion":2,"manifests":[{"mediaType":"a/b","digest":"sha256:../..","size":1}]}"#;
        check(text).unwrap_err();
    }

    proptest! {
        #[test]
        fn what_parses_is_of_one_kind_with_a_media_type_that_fits(
            media_type in prop::option::of(prop::sample::select(
                [MANIFEST_TYPES, INDEX_TYPES, ["text/plain", ""]].concat(),
            )),
            config: bool, layers: bool, manifests: bool, version in 1..4_u32,
        ) {
            let one = descriptor("x");
            let mut text = format!(r#"{{"schemaVersion":{version}"#);
            for (there, member) in [
                (media_type.is_some(), format!(r#""mediaType":"{}""#, media_type.unwrap_or(""))),
                (config, format!(r#""config":{one}"#)),
                (layers, format!(r#""layers":[{one}]"#)),
                (manifests, format!(r#""manifests":[{one}]"#)),
            ] {
                if there {
                    text = format!("{text},{member}");
                }
            }
            let parsed = check(&(text + "}"));
            let is_image = config && !manifests;
            let is_index = manifests && !config && !layers;
            let fits = media_type.is_none_or(|t| {
                is_image && MANIFEST_TYPES.contains(&t) || is_index && INDEX_TYPES.contains(&t)
            });
            prop_assert_eq!(parsed.is_ok(), version == 2 && (is_image || is_index) && fits);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            prop_assert!(Manifest::parse(&bytes).is_err());
        }
    }
}
