//! What refers to a manifest: signatures, SBOMs, attestations (distribution spec, "listing
//! referrers"; cosign's tag scheme).

use std::collections::BTreeSet;

use reqwest::Method;
use reqwest::header::ACCEPT;
use serde::Deserialize;
use serde_json::json;

use super::auth::Action;
use super::manifests::{PAGE_BYTES_MAX, PAGES_MAX};
use super::{Reference, Registry, RegistryError, accepted};
use crate::oci::{Content, Descriptor, Digest, INDEX_TYPES, Manifest, Repository, Tag};

/// Referrers of one manifest; images with many signers have dozens.
const REFERRERS_MAX: usize = 10_000;
/// Suffixes of the tags under which cosign keeps what belongs to an image.
const COSIGN_SUFFIXES: [&str; 3] = ["sig", "att", "sbom"];
/// Times a fallback tag is written again when someone else's write took ours away.
const FALLBACK_WRITES_MAX: u32 = 5;

impl Registry {
    /// Everything that refers to the manifest: by the API, or where the registry has none, by the
    /// fallback tag. Each once, in the registry's order.
    ///
    /// # Errors
    /// By name.
    pub async fn referrers(
        &self,
        repository: &Repository,
        digest: &Digest,
    ) -> Result<Vec<Descriptor>, RegistryError> {
        let what = self.describe("referrers", repository, digest);
        let rest = format!("referrers/{digest}");
        let mut call = self.call(Method::GET, Action::Pull, repository, &rest, what);
        call.headers.insert(ACCEPT, accepted());
        let (mut found, mut known) = (Vec::new(), BTreeSet::new());
        for _ in 0..PAGES_MAX {
            let answer = self.send(&call).await?;
            match answer.status().as_u16() {
                200 => {}
                // By the spec the registry has no such API; some say so in other words.
                404 | 405 => return self.by_fallback_tag(repository, digest).await,
                _ => return Err(self.refused(&call, answer).await),
            }
            let next = self.next_page(&call, &answer)?;
            let bytes = answer.bytes(PAGE_BYTES_MAX, &call.what).await?;
            let page: Page = serde_json::from_slice(&bytes).map_err(|e| {
                let why = format!("not a list of referrers: {e}");
                RegistryError::Protocol { what: call.what.clone(), why }
            })?;
            found.extend(page.manifests.into_iter().filter(|one| known.insert(one.digest)));
            if found.len() > REFERRERS_MAX {
                let limit = u64::try_from(REFERRERS_MAX).unwrap_or(u64::MAX);
                let what = call.what;
                return Err(RegistryError::Endless { what, limit, unit: "referrers" });
            }
            match next {
                Some(next) => call.url = next,
                None => return Ok(found),
            }
        }
        Err(RegistryError::Endless { what: call.what, limit: PAGES_MAX.into(), unit: "pages" })
    }

    /// The tags of cosign's scheme that are there for a manifest: `sha256-<hex>.sig` and the like,
    /// each a manifest of its own.
    ///
    /// # Errors
    /// When the registry cannot be asked.
    pub async fn cosign_tags(
        &self,
        repository: &Repository,
        digest: &Digest,
    ) -> Result<Vec<Tag>, RegistryError> {
        let mut found = Vec::new();
        for suffix in COSIGN_SUFFIXES {
            let Some(tag) = tag(&format!("{}.{suffix}", dashed(digest))) else { continue };
            if self.has_manifest(repository, &Reference::Tag(tag.clone())).await? {
                found.push(tag);
            }
        }
        Ok(found)
    }

    async fn by_fallback_tag(
        &self,
        repository: &Repository,
        digest: &Digest,
    ) -> Result<Vec<Descriptor>, RegistryError> {
        let Some(tag) = referrers_tag(digest) else { return Ok(Vec::new()) };
        match self.manifest(repository, &Reference::Tag(tag)).await {
            Ok(fetched) => match fetched.manifest.content {
                Content::Index { manifests } => Ok(manifests),
                // A tag that looks like one and is an image is somebody's own.
                Content::Image { .. } => Ok(Vec::new()),
            },
            Err(RegistryError::NotFound { .. }) => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// Enters a pushed manifest into the fallback index of its subject. There is no compare-and-set:
    /// it is read again, and written again when someone else's write took ours away.
    pub(super) async fn refer(
        &self,
        repository: &Repository,
        subject: &Descriptor,
        manifest: &Manifest,
        digest: Digest,
        bytes: usize,
    ) -> Result<(), RegistryError> {
        let Some(tag) = referrers_tag(&subject.digest) else { return Ok(()) };
        let size = u64::try_from(bytes).unwrap_or(u64::MAX);
        let mut entry = Descriptor::new(&manifest.media_type, digest, size);
        entry.artifact_type.clone_from(&manifest.artifact_type);
        entry.annotations.clone_from(&manifest.annotations);
        let reference = Reference::Tag(tag);
        for _ in 0..FALLBACK_WRITES_MAX {
            let mut listed = self.by_fallback_tag(repository, &subject.digest).await?;
            if listed.iter().any(|one| one.digest == digest) {
                return Ok(());
            }
            listed.push(entry.clone());
            let [index_type, _] = INDEX_TYPES;
            let index = json!({"schemaVersion": 2, "mediaType": index_type, "manifests": listed});
            let call = self.manifest_call(Method::PUT, Action::Push, repository, &reference);
            self.put_manifest(call, index_type, index.to_string().into_bytes()).await?;
        }
        let what = self.describe("referrers", repository, subject.digest);
        let why = "the fallback tag loses what is written to it".to_owned();
        Err(RegistryError::Protocol { what, why })
    }
}

/// The tag under which referrers are listed where a registry has no API for them; none for digests
/// that are too long for a tag.
pub fn referrers_tag(digest: &Digest) -> Option<Tag> {
    /// Of the digest's hex digits; the spec cuts longer ones.
    const HEX_MAX: usize = 64;
    let hex = digest.hex();
    tag(&format!("{}-{}", digest.algorithm().as_str(), hex.get(..HEX_MAX).unwrap_or(&hex)))
}

fn dashed(digest: &Digest) -> String {
    format!("{}-{}", digest.algorithm().as_str(), digest.hex())
}

fn tag(text: &str) -> Option<Tag> {
    text.parse().ok()
}

#[derive(Deserialize)]
struct Page {
    #[serde(default)]
    manifests: Vec<Descriptor>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fallback_tags_of_both_algorithms_are_tags() {
        use crate::oci::{Algorithm, Hasher};
        let short = referrers_tag(&Digest::of(b"x")).unwrap();
        assert!(short.as_str().starts_with("sha256-") && short.as_str().len() == 71);
        let long = referrers_tag(&Hasher::new(Algorithm::Sha512).finish()).unwrap();
        assert!(long.as_str().starts_with("sha512-") && long.as_str().len() == 71);
    }
}
