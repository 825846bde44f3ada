//! What people write for an image: `docker.io/library/busybox:1.36`, by tag or by digest.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::oci::{Digest, Host, Repository, Tag};

/// How a manifest is asked for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reference {
    /// By a tag, which may point elsewhere tomorrow.
    Tag(Tag),
    /// By its digest.
    Digest(Digest),
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(tag) => tag.fmt(f),
            Self::Digest(digest) => digest.fmt(f),
        }
    }
}

impl From<Digest> for Reference {
    fn from(digest: Digest) -> Self {
        Self::Digest(digest)
    }
}

impl From<Tag> for Reference {
    fn from(tag: Tag) -> Self {
        Self::Tag(tag)
    }
}

/// Text that names no image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an image name: {text:?}: {why}")]
pub struct ImageNameError {
    /// What was read.
    pub text: String,
    /// What is wrong.
    pub why: String,
}

/// An image with its registry. Short names mean what Docker means by them: `busybox` is
/// `docker.io/library/busybox:latest`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ImageName {
    /// Registry.
    pub host: Host,
    /// Repository.
    pub repository: Repository,
    /// Tag, if one is written or nothing at all is.
    pub tag: Option<Tag>,
    /// Digest, if one is written.
    pub digest: Option<Digest>,
}

impl ImageName {
    /// What to ask for: the digest where there is one.
    pub fn reference(&self) -> Option<Reference> {
        let tag = || self.tag.clone().map(Reference::Tag);
        self.digest.map(Reference::Digest).or_else(tag)
    }
}

impl FromStr for ImageName {
    type Err = ImageNameError;

    fn from_str(text: &str) -> Result<Self, ImageNameError> {
        let refuse = |why: String| ImageNameError { text: text.to_owned(), why };
        let name: oci_distribution::Reference =
            text.parse().map_err(|e: oci_distribution::ParseError| refuse(e.to_string()))?;
        let wrong = |e: crate::oci::NameError| refuse(e.to_string());
        let digest = name.digest().map(str::parse).transpose();
        Ok(Self {
            host: name.registry().parse().map_err(wrong)?,
            repository: name.repository().parse().map_err(wrong)?,
            tag: name.tag().map(str::parse).transpose().map_err(wrong)?,
            digest: digest.map_err(|e: crate::oci::DigestError| refuse(e.to_string()))?,
        })
    }
}

impl TryFrom<String> for ImageName {
    type Error = ImageNameError;

    fn try_from(text: String) -> Result<Self, ImageNameError> {
        text.parse()
    }
}

impl From<ImageName> for String {
    fn from(name: ImageName) -> Self {
        name.to_string()
    }
}

impl fmt::Display for ImageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.host, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        match &self.digest {
            Some(digest) => write!(f, "@{digest}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_names_mean_what_docker_means_and_digests_go_before_tags() {
        let short: ImageName = "busybox".parse().unwrap();
        assert_eq!(short.to_string(), "docker.io/library/busybox:latest");
        let digest = Digest::of(b"x");
        let text = format!("localhost:5000/a/b:v1@{digest}");
        let full: ImageName = text.parse().unwrap();
        assert_eq!(full.to_string(), text);
        assert_eq!(full.reference(), Some(Reference::Digest(digest)));
        assert_eq!(full.tag, Some("v1".parse().unwrap()));
        for bad in ["", "A", "a@sha256:1", "http://a/b", "a b", "a/../b"] {
            assert!(bad.parse::<ImageName>().is_err(), "{bad}");
        }
    }
}
