//! What a path asks for. Pure.
//!
//! Repository names hold slashes, so a path is read from its end: the last segments say which
//! endpoint it is, and everything between `/v2/` and them must be a repository name.

use percent_encoding::percent_decode_str;

use crate::oci::{Digest, Repository};
use crate::store::{Reference, UploadId};

/// Longest path: a name of 200 bytes, a digest of 135, and room for percent signs.
const PATH_BYTES_MAX: usize = 2048;

/// An endpoint with its names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Route {
    /// `/v2/`
    Base,
    /// `/v2/_catalog`
    Catalog,
    /// `/v2/<name>/blobs/<digest>`
    Blob(Repository, Digest),
    /// `/v2/<name>/blobs/uploads/`
    Uploads(Repository),
    /// `/v2/<name>/blobs/uploads/<id>`
    Upload(Repository, UploadId),
    /// `/v2/<name>/manifests/<reference>`
    Manifest(Repository, Reference),
    /// `/v2/<name>/tags/list`
    Tags(Repository),
    /// `/v2/<name>/referrers/<digest>`
    Referrers(Repository, Digest),
}

/// Why a path is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum NoRoute {
    /// Nothing of ours.
    Unknown,
    /// The name cannot be one of a repository.
    Name(String),
    /// The digest cannot be checked.
    Digest(String),
    /// The tag cannot be one.
    Tag(String),
    /// The upload cannot be one of ours.
    Upload(String),
}

/// Reads a path as it stands in the request line.
pub(super) fn parse(path: &str) -> Result<Route, NoRoute> {
    if path.len() > PATH_BYTES_MAX {
        return Err(NoRoute::Unknown);
    }
    let path = percent_decode_str(path).decode_utf8().map_err(|_| NoRoute::Unknown)?;
    let rest = match path.strip_prefix("/v2") {
        Some("" | "/") => return Ok(Route::Base),
        Some(rest) => rest.strip_prefix('/').ok_or(NoRoute::Unknown)?,
        None => return Err(NoRoute::Unknown),
    };
    if rest == "_catalog" {
        return Ok(Route::Catalog);
    }
    // With and without the slash at the end.
    if let Some(name) =
        rest.strip_suffix("/blobs/uploads/").or_else(|| rest.strip_suffix("/blobs/uploads"))
    {
        return Ok(Route::Uploads(repository(name)?));
    }
    let (head, last) = rest.rsplit_once('/').ok_or(NoRoute::Unknown)?;
    if let Some(name) = head.strip_suffix("/blobs/uploads") {
        let id = last.parse().map_err(|_| NoRoute::Upload(last.to_owned()))?;
        return Ok(Route::Upload(repository(name)?, id));
    }
    let (name, kind) = head.rsplit_once('/').ok_or(NoRoute::Unknown)?;
    match kind {
        "blobs" => Ok(Route::Blob(repository(name)?, digest(last)?)),
        "manifests" => Ok(Route::Manifest(repository(name)?, reference(last)?)),
        "referrers" => Ok(Route::Referrers(repository(name)?, digest(last)?)),
        "tags" if last == "list" => Ok(Route::Tags(repository(name)?)),
        _ => Err(NoRoute::Unknown),
    }
}

fn repository(text: &str) -> Result<Repository, NoRoute> {
    text.parse().map_err(|_| NoRoute::Name(text.to_owned()))
}

pub(super) fn digest(text: &str) -> Result<Digest, NoRoute> {
    text.parse().map_err(|_| NoRoute::Digest(text.to_owned()))
}

fn reference(text: &str) -> Result<Reference, NoRoute> {
    if text.contains(':') {
        return digest(text).map(Reference::Digest);
    }
    text.parse().map(Reference::Tag).map_err(|_| NoRoute::Tag(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn repo(name: &str) -> Repository {
        name.parse().unwrap()
    }

    #[test]
    fn names_with_slashes_and_words_of_endpoints_are_names() {
        let digest = Digest::of(b"x");
        let blob = parse(&format!("/v2/a/blobs/uploads/blobs/{digest}"));
        assert_eq!(blob, Ok(Route::Blob(repo("a/blobs/uploads"), digest)));
        let encoded = digest.to_string().replace(':', "%3A");
        let manifest = parse(&format!("/v2/manifests/tags/manifests/{encoded}"));
        assert_eq!(
            manifest,
            Ok(Route::Manifest(repo("manifests/tags"), Reference::Digest(digest)))
        );
        assert_eq!(parse("/v2/tags/tags/list"), Ok(Route::Tags(repo("tags"))));
        assert_eq!(parse("/v2/a/b/blobs/uploads/"), Ok(Route::Uploads(repo("a/b"))));
        assert_eq!(parse("/v2/a/b/blobs/uploads"), Ok(Route::Uploads(repo("a/b"))));
        assert_eq!(parse("/v2/"), Ok(Route::Base));
        assert_eq!(parse("/v2"), Ok(Route::Base));
        assert_eq!(parse("/v2/_catalog"), Ok(Route::Catalog));
    }

    #[test]
    fn what_cannot_be_a_name_a_digest_or_a_tag_is_told_apart() {
        assert!(matches!(parse("/v2/A/tags/list"), Err(NoRoute::Name(_))));
        assert!(matches!(parse("/v2/../x/tags/list"), Err(NoRoute::Name(_))));
        assert!(matches!(parse("/v2/%2e%2e/x/manifests/v1"), Err(NoRoute::Name(_))));
        assert!(matches!(parse("/v2/a/blobs/sha256:00"), Err(NoRoute::Digest(_))));
        assert!(matches!(parse("/v2/a/manifests/md5:00"), Err(NoRoute::Digest(_))));
        assert!(matches!(parse("/v2/a/manifests/.x"), Err(NoRoute::Tag(_))));
        assert!(matches!(parse("/v2/a/blobs/uploads/x"), Err(NoRoute::Upload(_))));
        for unknown in
            ["", "/", "/v1/", "/v2x", "/v2/a", "/v2/a/b", "/v2/a/b/c", "/v2/%ff/tags/list"]
        {
            assert_eq!(parse(unknown), Err(NoRoute::Unknown), "{unknown}");
        }
    }

    proptest! {
        #[test]
        fn every_route_of_a_repository_is_read_back(
            name in "[a-z0-9]{1,8}(/[a-z0-9]{1,8}){0,4}", tag in "[A-Za-z0-9_][A-Za-z0-9._-]{0,20}",
            bytes: [u8; 64], is_long: bool,
        ) {
            let digest = if is_long { Digest::Sha512(bytes) } else { Digest::of(&bytes) };
            let (repository, tag): (Repository, crate::oci::Tag) =
                (name.parse().unwrap(), tag.parse().unwrap());
            for (path, route) in [
                (format!("/v2/{name}/blobs/{digest}"), Route::Blob(repository.clone(), digest)),
                (format!("/v2/{name}/referrers/{digest}"), Route::Referrers(repository.clone(), digest)),
                (format!("/v2/{name}/manifests/{digest}"),
                    Route::Manifest(repository.clone(), Reference::Digest(digest))),
                (format!("/v2/{name}/manifests/{tag}"),
                    Route::Manifest(repository.clone(), Reference::Tag(tag.clone()))),
                (format!("/v2/{name}/tags/list"), Route::Tags(repository.clone())),
                (format!("/v2/{name}/blobs/uploads/"), Route::Uploads(repository.clone())),
            ] {
                prop_assert_eq!(parse(&path), Ok(route));
            }
        }

        #[test]
        fn no_path_makes_it_panic_or_yields_a_name_that_leaves_the_store(path in "(/v2)?.{0,80}") {
            let names = match parse(&path) {
                Ok(Route::Blob(name, _) | Route::Uploads(name) | Route::Upload(name, _)
                    | Route::Manifest(name, _) | Route::Tags(name) | Route::Referrers(name, _)) => Some(name),
                Ok(Route::Base | Route::Catalog) | Err(_) => None,
            };
            if let Some(name) = names {
                prop_assert!(!name.as_str().split('/').any(|part| part.is_empty() || part.starts_with('.')));
            }
        }
    }
}
