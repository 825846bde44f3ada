//! Where signed metadata comes from: a hub, mirrors of it, or a directory at a site without one.
//!
//! None of them is trusted; which of them served a file changes nothing about what is believed.

use std::fmt;
use std::path::{Path, PathBuf};

use reqwest::Url;
use signing::source::{Fetched, HttpLimits, Mirrors, MirrorsError, Source};
use signing::{DirSource, FileName, HttpSource, SourceError};

use super::network::{Network, Transport};

/// How a directory is told from a URL.
const DIRECTORY: &str = "dir:";

/// Where one copy of the repository lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// Below `<url>/tuf/` of a hub or of any web server that carries its files.
    Http(Url),
    /// `metadata/` and `targets/` below this directory.
    Directory(PathBuf),
}

/// Not the address of a repository.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadAddress {
    /// Not an address at all, or one with a query.
    #[error("{given:?} must begin with https://, http:// or dir:")]
    Form {
        /// What was configured, cut to 200 characters.
        given: String,
    },
    /// It carries a user or a password. The address is shown in status, reports and logs, so it is
    /// not repeated here either.
    #[error(
        "it must name no user and no password, because it is shown in status and logs: remove \
         what stands before the @. The agent proves itself with its own key; a proxy that wants a \
         password belongs into hub.proxy"
    )]
    User,
}

impl Address {
    /// Reads `https://hub.example`, `dir:///srv/fairway` or `dir:mirror`; a directory that is not
    /// absolute is relative to `base`.
    pub fn parse(text: &str, base: &Path) -> Result<Self, BadAddress> {
        let bad = || BadAddress::Form { given: without_secrets(text) };
        if let Some(path) = text.strip_prefix(DIRECTORY) {
            let path = path.strip_prefix("//").unwrap_or(path);
            return if path.is_empty() { Err(bad()) } else { Ok(Self::Directory(base.join(path))) };
        }
        let url = Url::parse(text).map_err(|_| bad())?;
        let usable = matches!(url.scheme(), "http" | "https")
            && url.has_host()
            && url.query().is_none()
            && url.fragment().is_none();
        if !url.username().is_empty() || url.password().is_some() {
            return Err(BadAddress::User);
        }
        if usable { Ok(Self::Http(url)) } else { Err(bad()) }
    }
}

/// What was given, cut to 200 characters; of what has an `@` nothing is repeated.
fn without_secrets(text: &str) -> String {
    if text.contains('@') { "…@…".to_owned() } else { text.chars().take(200).collect() }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http(url) => f.write_str(url.as_str().trim_end_matches('/')),
            Self::Directory(path) => write!(f, "{DIRECTORY}{}", path.display()),
        }
    }
}

/// One copy of the repository, opened.
#[derive(Debug)]
pub enum HubSource {
    /// Over HTTP.
    Http(HttpSource),
    /// In a directory.
    Directory(Directory),
}

/// A directory that somebody fills: a stick, a sync job, an unpacked export.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    files: DirSource,
}

impl Directory {
    fn at(path: &Path) -> Self {
        Self { path: path.to_owned(), files: DirSource::new(path) }
    }
}

impl HubSource {
    fn open(address: &Address, transport: &Transport) -> Result<Self, SourceError> {
        Ok(match address {
            Address::Http(url) => {
                let base = format!("{}/tuf/", url.as_str().trim_end_matches('/'));
                let limits = HttpLimits::default();
                Self::Http(HttpSource::reached_by(&base, limits, |b| transport.apply(b))?)
            }
            Address::Directory(path) => Self::Directory(Directory::at(path)),
        })
    }
}

impl Source for HubSource {
    async fn fetch(
        &self,
        file: &FileName,
        max_bytes: u64,
        if_none_match: Option<&str>,
    ) -> Result<Fetched, SourceError> {
        match self {
            Self::Http(http) => http.fetch(file, max_bytes, if_none_match).await,
            Self::Directory(dir) => {
                let fetched = dir.files.fetch(file, max_bytes, if_none_match).await?;
                if fetched == Fetched::NotFound {
                    is_repository(&dir.path)?;
                }
                Ok(fetched)
            }
        }
    }
}

/// A file that is missing from a repository means something; one that is missing because nothing
/// is mounted does not.
fn is_repository(path: &Path) -> Result<(), SourceError> {
    let metadata = path.join("metadata");
    match std::fs::metadata(&metadata) {
        Ok(found) if found.is_dir() => Ok(()),
        Ok(_) => {
            let source = std::io::Error::from(std::io::ErrorKind::NotADirectory);
            Err(SourceError::Io { path: metadata, source })
        }
        Err(source) => Err(SourceError::Io { path: metadata, source }),
    }
}

/// Every copy of the repository in order of preference.
pub(crate) fn open_all(
    addresses: &[Address],
    network: &Network,
) -> Result<Mirrors<HubSource>, UpstreamError> {
    let transport = network.open().map_err(|source| UpstreamError::Network { source })?;
    let open = |address: &Address| {
        let source = HubSource::open(address, &transport)
            .map_err(|source| UpstreamError::Address { address: address.to_string(), source })?;
        Ok((address.to_string(), source))
    };
    let sources = addresses.iter().map(open).collect::<Result<_, _>>()?;
    Mirrors::new(sources).map_err(|source| UpstreamError::Mirrors { source })
}

/// Why the repository's copies cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// Proxy or certificates.
    #[error("the network to the hub is not usable")]
    Network {
        /// Why.
        source: super::NetworkError,
    },
    /// One address.
    #[error("{address} is not the address of a repository")]
    Address {
        /// Which.
        address: String,
        /// What is wrong with it.
        source: SourceError,
    },
    /// All of them together.
    #[error("the mirrors cannot be used together")]
    Mirrors {
        /// Why not.
        source: MirrorsError,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_urls_or_directories_and_nothing_else() {
        let base = Path::new("/etc/fairway");
        let parse = |text: &str| Address::parse(text, base);
        let dir = |path: &str| Ok(Address::Directory(path.into()));
        assert_eq!(parse("dir:///srv/fairway"), dir("/srv/fairway"));
        assert_eq!(parse("dir:/srv/fairway"), dir("/srv/fairway"));
        assert_eq!(parse("dir:mirror"), dir("/etc/fairway/mirror"));
        assert!(matches!(parse("https://hub.example/behind/"), Ok(Address::Http(_))));
        for bad in ["", "dir:", "dir://", "ftp://hub.example", "/srv/fairway", "https://h/?a=b"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_address_with_a_user_is_refused_and_not_repeated() {
        for given in [
            "https://fleet:hunter2@hub.example/",
            "https://hunter2@hub.example",
            "https://:hunter2@hub.example",
        ] {
            let error = Address::parse(given, Path::new("/")).unwrap_err();
            assert_eq!(error, BadAddress::User, "{given}");
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
        let odd = Address::parse("ftp://fleet:hunter2@hub.example/", Path::new("/")).unwrap_err();
        assert!(!odd.to_string().contains("hunter2"), "{odd}");
    }

    #[tokio::test]
    async fn a_directory_that_is_not_there_is_not_an_empty_repository() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("stick");
        let source = HubSource::Directory(Directory::at(&path));
        let timestamp = FileName::timestamp();
        let absent = source.fetch(&timestamp, 9, None).await;
        assert!(
            matches!(&absent, Err(SourceError::Io { path: p, .. }) if *p == path.join("metadata"))
        );
        std::fs::create_dir_all(path.join("metadata")).unwrap();
        assert_eq!(source.fetch(&timestamp, 9, None).await.unwrap(), Fetched::NotFound);
        std::fs::write(path.join("metadata/timestamp.json"), b"t").unwrap();
        assert!(matches!(source.fetch(&timestamp, 9, None).await, Ok(Fetched::Body { .. })));
    }
}
