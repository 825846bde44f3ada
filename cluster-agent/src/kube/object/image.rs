//! Values of a signed release, held to narrow alphabets before they go into an object.

use channels::wire::Image;

use crate::config::Registry;
use crate::driver::DriverError;

/// Longest repository: the distribution specification's limit for a name.
const REPOSITORY_MAX_BYTES: usize = 255;

/// Longest version of a component; it becomes an annotation and a field of a resource.
const VERSION_MAX_BYTES: usize = 128;

fn unsafe_value(placeholder: &'static str, value: &str, why: &'static str) -> DriverError {
    DriverError::UnsafeValue { placeholder, value: value.chars().take(80).collect(), why }
}

/// `registry/repository@digest`: the registry is local configuration, the rest a document's.
pub(crate) fn image_name(registry: &Registry, image: &Image) -> Result<String, DriverError> {
    let repository = &image.repository;
    let refuse = |why| unsafe_value("repository", repository, why);
    if repository.is_empty() || repository.len() > REPOSITORY_MAX_BYTES {
        return Err(refuse("it must have 1 to 255 characters"));
    }
    let edge = |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    let inner = |b: &u8| edge(Some(b)) || b"._-".contains(b);
    let component = |part: &str| {
        let bytes = part.as_bytes();
        bytes.iter().all(inner) && edge(bytes.first()) && edge(bytes.last())
    };
    if !repository.split('/').all(component) {
        return Err(refuse("it is not a repository path of the distribution specification"));
    }
    Ok(format!("{registry}/{repository}@{}", image.digest))
}

/// A component's version, fit for an annotation and for a field of a custom resource.
pub(crate) fn checked_version(version: &str) -> Result<&str, DriverError> {
    let refuse = |why| unsafe_value("version", version, why);
    if version.is_empty() || version.len() > VERSION_MAX_BYTES {
        return Err(refuse("it must have 1 to 128 characters"));
    }
    if !version.bytes().all(|b| b.is_ascii_alphanumeric() || b"._+-~".contains(&b)) {
        return Err(refuse("only letters, digits and ._+-~ are allowed"));
    }
    Ok(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(repository: &str) -> Image {
        Image { repository: repository.to_owned(), digest: signing::Sha256Digest::of(b"image") }
    }

    #[test]
    fn an_image_is_named_by_registry_repository_and_digest() {
        let registry: Registry = "registry.example:5000/mirror".parse().unwrap();
        let named = image_name(&registry, &image("acme/kafka")).unwrap();
        let digest = signing::Sha256Digest::of(b"image");
        assert_eq!(named, format!("registry.example:5000/mirror/acme/kafka@{digest}"));
    }

    #[test]
    fn a_repository_that_names_a_host_a_tag_or_another_place_is_refused() {
        let registry: Registry = "registry.example".parse().unwrap();
        for bad in ["", "evil.example:5000/x", "../x", "acme//kafka", "acme/k:latest", "A", "a/-x"]
        {
            let refused = image_name(&registry, &image(bad)).unwrap_err();
            assert!(matches!(refused, DriverError::UnsafeValue { placeholder: "repository", .. }));
        }
    }

    #[test]
    fn a_version_that_is_more_than_a_version_is_refused() {
        assert_eq!(checked_version("v1.33.1+k3s1").unwrap(), "v1.33.1+k3s1");
        for bad in ["", "1.0 ", "1.0\n", "{}", "a/b"] {
            let refused = checked_version(bad).unwrap_err();
            assert!(matches!(refused, DriverError::UnsafeValue { placeholder: "version", .. }));
        }
    }
}
