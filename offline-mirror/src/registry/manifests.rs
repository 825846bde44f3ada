//! Manifests and tags: fetched with their digest checked, pushed, deleted, listed.

use bytes::Bytes;
use reqwest::Method;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderValue, LINK};
use serde::Deserialize;

use super::auth::Action;
use super::request::{Answer, Call};
use super::{Reference, Registry, RegistryError, accepted, headers};
use crate::oci::{Digest, MANIFEST_BYTES_MAX, Manifest, Repository, Tag};

/// Largest page of a listing; a page of a thousand tags has a hundred kilobytes.
pub(super) const PAGE_BYTES_MAX: usize = MANIFEST_BYTES_MAX;
/// Pages followed: with the page size asked for, a million tags.
pub(super) const PAGES_MAX: u32 = 1000;
/// Tags asked for per page.
const TAGS_PER_PAGE: u32 = 1000;
/// Digest that the registry computed (distribution spec, "pulling manifests").
const CONTENT_DIGEST: &str = "docker-content-digest";

/// A manifest as the registry has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// The bytes its digest is of.
    pub bytes: Vec<u8>,
    /// Its media type.
    pub media_type: String,
    /// Digest of the bytes: the one asked for, or the one that the tag points at.
    pub digest: Digest,
    /// What the bytes say.
    pub manifest: Manifest,
}

impl Registry {
    /// Fetches a manifest or index and checks its digest over the raw bytes.
    ///
    /// # Errors
    /// By name; [`RegistryError::NotFound`] when the registry has none.
    pub async fn manifest(
        &self,
        repository: &Repository,
        reference: &Reference,
    ) -> Result<Fetched, RegistryError> {
        let call = self.manifest_call(Method::GET, Action::Pull, repository, reference);
        let answer = self.send(&call).await?;
        if !answer.status().is_success() {
            return Err(self.refused(&call, answer).await);
        }
        let served = answer.header(CONTENT_TYPE).map(bare).unwrap_or_default();
        let claimed = answer.header(CONTENT_DIGEST).map(str::to_owned);
        let bytes = answer.bytes(MANIFEST_BYTES_MAX, &call.what).await?;
        let digest = match reference {
            Reference::Digest(digest) => {
                same(&call, digest, &bytes)?;
                *digest
            }
            Reference::Tag(_) => {
                // A header of an algorithm that we do not know says nothing.
                if let Some(claimed) = claimed.and_then(|text| text.parse().ok()) {
                    same(&call, &claimed, &bytes)?;
                }
                Digest::of(&bytes)
            }
        };
        let manifest = parse(&call, &bytes)?;
        if !served.is_empty() && served != manifest.media_type {
            let (what, declared) = (call.what, manifest.media_type);
            return Err(RegistryError::MediaType { what, declared, served });
        }
        Ok(Fetched { bytes, media_type: manifest.media_type.clone(), digest, manifest })
    }

    /// Pushes a manifest under its digest or a tag. One that is about another (`subject`) becomes a
    /// referrer of that, at registries without the referrers API by the fallback tag.
    ///
    /// # Errors
    /// By name; when the bytes are no manifest, nothing is sent.
    pub async fn push_manifest(
        &self,
        repository: &Repository,
        reference: &Reference,
        media_type: &str,
        bytes: Vec<u8>,
    ) -> Result<Digest, RegistryError> {
        let call = self.manifest_call(Method::PUT, Action::Push, repository, reference);
        let manifest = parse(&call, &bytes)?;
        let digest = match reference {
            Reference::Digest(digest) => {
                same(&call, digest, &bytes)?;
                *digest
            }
            Reference::Tag(_) => Digest::of(&bytes),
        };
        let answer = self.put_manifest(call, media_type, bytes.clone()).await?;
        let has_api = answer.header("oci-subject").is_some();
        drop(answer);
        if let Some(subject) = manifest.subject.as_ref().filter(|_| !has_api) {
            self.refer(repository, subject, &manifest, digest, bytes.len()).await?;
        }
        Ok(digest)
    }

    /// One PUT of a manifest, and the digest that the registry says it has compared.
    pub(super) async fn put_manifest(
        &self,
        mut call: Call,
        media_type: &str,
        bytes: Vec<u8>,
    ) -> Result<Answer, RegistryError> {
        let media_type = HeaderValue::try_from(media_type).map_err(|_| {
            let why = format!("media type {media_type:?} cannot be a header");
            RegistryError::Protocol { what: call.what.clone(), why }
        })?;
        call.headers.insert(CONTENT_TYPE, media_type);
        call.body = Bytes::from(bytes);
        let answer = self.send(&call).await?;
        if !answer.status().is_success() {
            return Err(self.refused(&call, answer).await);
        }
        if let Some(claimed) = answer.header(CONTENT_DIGEST).and_then(|text| text.parse().ok()) {
            same(&call, &claimed, &call.body)?;
        }
        Ok(answer)
    }

    /// Deletes a manifest; whoever pointed at it by tag points at nothing. Answers whether it was
    /// there.
    ///
    /// # Errors
    /// [`RegistryError::Unsupported`] where deleting is switched off.
    pub async fn delete_manifest(
        &self,
        repository: &Repository,
        reference: &Reference,
    ) -> Result<bool, RegistryError> {
        let mut call = self.manifest_call(Method::DELETE, Action::Delete, repository, reference);
        call.what = format!("deletion of {}", call.what);
        let answer = self.send(&call).await?;
        match answer.status().as_u16() {
            200..=299 => Ok(true),
            404 => Ok(false),
            _ => Err(self.refused(&call, answer).await),
        }
    }

    /// All tags of a repository, in the registry's order; none where it has no such repository.
    ///
    /// # Errors
    /// By name.
    pub async fn tags(&self, repository: &Repository) -> Result<Vec<Tag>, RegistryError> {
        let what = self.describe("tags", repository, "list");
        let mut call = self.call(Method::GET, Action::Pull, repository, "tags/list", what);
        call.url.set_query(Some(&format!("n={TAGS_PER_PAGE}")));
        let mut tags = Vec::new();
        for _ in 0..PAGES_MAX {
            let answer = self.send(&call).await?;
            match answer.status().as_u16() {
                200 => {}
                404 => return Ok(tags),
                _ => return Err(self.refused(&call, answer).await),
            }
            let next = self.next_page(&call, &answer)?;
            let bytes = answer.bytes(PAGE_BYTES_MAX, &call.what).await?;
            let page: TagPage = serde_json::from_slice(&bytes).map_err(|e| {
                let why = format!("not a list of tags: {e}");
                RegistryError::Protocol { what: call.what.clone(), why }
            })?;
            // What is no tag by the spec cannot be asked for either.
            let page = page.tags.unwrap_or_default();
            tags.extend(page.iter().filter_map(|tag| tag.parse::<Tag>().ok()));
            match next {
                Some(next) => call.url = next,
                None => return Ok(tags),
            }
        }
        Err(RegistryError::Endless { what: call.what, limit: PAGES_MAX.into(), unit: "pages" })
    }

    /// The next page of a listing, which must be at the same registry.
    pub(super) fn next_page(
        &self,
        call: &Call,
        answer: &Answer,
    ) -> Result<Option<reqwest::Url>, RegistryError> {
        let Some(link) = answer.header(LINK).and_then(headers::next_link) else { return Ok(None) };
        let next = Self::target(call, &call.url, Some(link))?;
        if self.is_own(&next) {
            return Ok(Some(next));
        }
        let why = "its next page is at another host".to_owned();
        Err(RegistryError::Protocol { what: call.what.clone(), why })
    }

    pub(super) fn manifest_call(
        &self,
        method: Method,
        action: Action,
        repository: &Repository,
        reference: &Reference,
    ) -> Call {
        let what = self.describe("manifest", repository, reference);
        let rest = format!("manifests/{reference}");
        let mut call = self.call(method, action, repository, &rest, what);
        if call.method == Method::GET {
            call.headers.insert(ACCEPT, accepted());
        }
        call
    }
}

fn parse(call: &Call, bytes: &[u8]) -> Result<Manifest, RegistryError> {
    let unusable = |source| RegistryError::Manifest { what: call.what.clone(), source };
    Manifest::parse(bytes).map_err(unusable)
}

/// A media type without its parameters.
fn bare(text: &str) -> String {
    text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

fn same(call: &Call, expected: &Digest, bytes: &[u8]) -> Result<(), RegistryError> {
    let found = expected.same_of(bytes);
    if found == *expected {
        return Ok(());
    }
    Err(RegistryError::Digest { what: call.what.clone(), expected: *expected, found })
}

#[derive(Deserialize)]
struct TagPage {
    tags: Option<Vec<String>>,
}
