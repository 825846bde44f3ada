//! Names that become parts of URLs and paths: registry hosts, repositories, tags.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Longest repository name. The distribution spec warns that clients limit host and name together
/// to 255 bytes.
const REPOSITORY_BYTES_MAX: usize = 200;
/// Longest tag (distribution spec 1.1).
const TAG_BYTES_MAX: usize = 128;
/// Longest host with its port: a DNS name and six more.
const HOST_BYTES_MAX: usize = 260;

/// A name that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} {value:?}: {why}")]
pub struct NameError {
    /// Which kind of name.
    pub what: &'static str,
    /// The name.
    pub value: String,
    /// What is wrong.
    pub why: &'static str,
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $check:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $type(String);

        impl $type {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $type {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                $check(text)?;
                Ok(Self(text.to_owned()))
            }
        }

        impl TryFrom<String> for $type {
            type Error = NameError;

            fn try_from(text: String) -> Result<Self, NameError> {
                $check(&text)?;
                Ok(Self(text))
            }
        }

        impl From<$type> for String {
            fn from(name: $type) -> Self {
                name.0
            }
        }
    };
}

name!(
    /// A registry: `host` or `host:port`, nothing that could turn into a path, a user or another
    /// host. Always local configuration, never a document's word.
    Host,
    check_host
);
name!(
    /// A repository below a registry, as the distribution spec's pattern for `<name>` has it.
    Repository,
    check_repository
);
name!(
    /// A tag, as the distribution spec's pattern for `<reference>` has it.
    Tag,
    check_tag
);

fn check_host(text: &str) -> Result<(), NameError> {
    let refuse = |why| Err(NameError { what: "registry", value: text.to_owned(), why });
    if text.is_empty() || text.len() > HOST_BYTES_MAX {
        return refuse("it is empty or too long");
    }
    let plain = |b: u8| b.is_ascii_alphanumeric() || b".-:[]".contains(&b);
    if !text.bytes().all(plain) {
        return refuse("it must be host or host:port, without scheme or path");
    }
    Ok(())
}

fn check_repository(text: &str) -> Result<(), NameError> {
    let refuse = |why| Err(NameError { what: "repository", value: text.to_owned(), why });
    if text.len() > REPOSITORY_BYTES_MAX {
        return refuse("it is too long");
    }
    if text.split('/').all(is_component) { Ok(()) } else { refuse("it is not a repository name") }
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`
fn is_component(text: &str) -> bool {
    let alphanumeric = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = text.as_bytes();
    let ends = |b: Option<&u8>| b.is_some_and(alphanumeric);
    let separators = text.split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
    ends(bytes.first())
        && ends(bytes.last())
        && separators
            .into_iter()
            .all(|s| matches!(s, "" | "." | "_" | "__") || s.bytes().all(|b| b == b'-'))
}

fn check_tag(text: &str) -> Result<(), NameError> {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let later = |b: u8| word(b) || b == b'.' || b == b'-';
    let first = text.bytes().next().is_some_and(word);
    if first && text.len() <= TAG_BYTES_MAX && text.bytes().all(later) {
        return Ok(());
    }
    Err(NameError { what: "tag", value: text.to_owned(), why: "it is not a tag" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_would_leave_the_registry_are_refused() {
        let bad = [
            "", "/a", "a/", "a//b", "../a", "a/../b", "A", "a?x", "a b", "a/.b", "a%2e", "a___b",
            "a._b",
        ];
        for bad in bad {
            assert!(bad.parse::<Repository>().is_err(), "{bad}");
        }
        for good in ["a", "acme/kafka", "a/b/c-d_e.f", "a__b", "a---b"] {
            good.parse::<Repository>().unwrap();
        }
        for bad in ["", "http://a", "a/b", "user@a", "a?b", "a#b"] {
            assert!(bad.parse::<Host>().is_err(), "{bad}");
        }
        for good in ["localhost:5000", "registry.example", "[::1]:5000"] {
            good.parse::<Host>().unwrap();
        }
        for bad in ["", ".a", "-a", "a/b", "a:b", &"a".repeat(129)] {
            assert!(bad.parse::<Tag>().is_err(), "{bad}");
        }
        for good in ["latest", "v1.2.3-rc_1", "_x", "sha256-0a.sig"] {
            good.parse::<Tag>().unwrap();
        }
    }
}
