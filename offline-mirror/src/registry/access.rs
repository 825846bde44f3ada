//! Where a registry is and how to enter it: local configuration, never a document's word.

use std::io::Read as _;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::{Certificate, Client, ClientBuilder, Identity, NoProxy, Proxy, Url};
use serde::{Deserialize, Serialize};

use super::RegistryError;
use crate::oci::{Host, Repository};

/// A registry that accepts no connection for this long is down, not slow.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Largest certificate or key file; a bundle of every public authority has 300 KiB.
const PEM_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Largest password file; what follows the first line is not read.
const PASSWORD_BYTES_MAX: u64 = 64 * 1024;
const USER_AGENT: &str = concat!("fairway-mirror/", env!("CARGO_PKG_VERSION"));

/// A registry and everything needed to enter it.
///
/// Holds paths, never secrets, except that a proxy's URL may hold some: `Debug` shows none of it. In
/// TOML each field is a key of the same name; only `host` must be
/// there.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegistryAccess {
    /// Host, with port where it is not the scheme's own.
    pub host: Host,
    /// Path in front of every repository, for registries shared with others.
    #[serde(default)]
    pub prefix: Option<Repository>,
    /// HTTP without TLS; only when a person asked for it.
    #[serde(default)]
    pub plain_http: bool,
    /// User; goes together with `password_file`.
    #[serde(default)]
    pub user: Option<String>,
    /// File whose first line is that user's password.
    #[serde(default)]
    pub password_file: Option<PathBuf>,
    /// A Docker or Podman credential file to look into instead of the usual ones.
    #[serde(default)]
    pub auth_file: Option<PathBuf>,
    /// Never look into credential files, not even the usual ones.
    #[serde(default)]
    pub anonymous: bool,
    /// Hosts, with port where they are on their own, that may get the credentials as token services
    /// though they are not of the registry's domain.
    #[serde(default)]
    pub realm_hosts: Vec<Host>,
    /// Files with further authorities to trust, as PEM.
    #[serde(default)]
    pub ca_files: Vec<PathBuf>,
    /// File with our certificate and its chain, as PEM; goes together with `client_key`.
    #[serde(default)]
    pub client_certificate: Option<PathBuf>,
    /// File with its key, as PEM.
    #[serde(default)]
    pub client_key: Option<PathBuf>,
    /// URL of an HTTP proxy to use instead of what the environment says; `direct` for none at all.
    #[serde(default)]
    pub proxy: Option<String>,
    /// Hosts not to reach through that proxy, as `NO_PROXY` has them.
    #[serde(default)]
    pub no_proxy: Option<String>,
    /// Most requests at once; 12 where it does not say.
    #[serde(default)]
    pub requests_at_once: Option<NonZeroU32>,
}

impl std::fmt::Debug for RegistryAccess {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RegistryAccess")
            .field("host", &self.host)
            .field("prefix", &self.prefix)
            .field("plain_http", &self.plain_http)
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

impl RegistryAccess {
    /// A registry over TLS, with credentials from the usual places and nothing else.
    pub fn new(host: Host) -> Self {
        Self {
            host,
            prefix: None,
            plain_http: false,
            user: None,
            password_file: None,
            auth_file: None,
            anonymous: false,
            realm_hosts: Vec::new(),
            ca_files: Vec::new(),
            client_certificate: None,
            client_key: None,
            proxy: None,
            no_proxy: None,
            requests_at_once: None,
        }
    }

    /// Base of every URL. Docker Hub's API is not on the host that people write.
    pub(super) fn base(&self) -> Result<Url, RegistryError> {
        let scheme = if self.plain_http { "http" } else { "https" };
        let host = match self.host.as_str() {
            "docker.io" | "index.docker.io" => "registry-1.docker.io",
            host => host,
        };
        Url::parse(&format!("{scheme}://{host}/")).map_err(|e| self.wrong(e.to_string()))
    }

    /// The user's password, if a user is configured. Two ways to sign in at once are refused.
    pub(super) fn password(&self) -> Result<Option<(String, String)>, RegistryError> {
        let has_user = self.user.is_some() || self.password_file.is_some();
        let ways = [has_user, self.auth_file.is_some(), self.anonymous];
        if ways.iter().filter(|is_used| **is_used).count() > 1 {
            return Err(self.wrong("user, auth_file and anonymous exclude one another".to_owned()));
        }
        match (&self.user, &self.password_file) {
            (None, None) => Ok(None),
            (Some(user), Some(file)) => {
                let bytes = read(file, PASSWORD_BYTES_MAX)?;
                let text = String::from_utf8(bytes)
                    .map_err(|_| self.wrong(format!("{} is not UTF-8", file.display())))?;
                let password = text.lines().next().unwrap_or_default();
                Ok(Some((user.clone(), password.to_owned())))
            }
            (Some(_), None) | (None, Some(_)) => {
                Err(self.wrong("user and password_file go together".to_owned()))
            }
        }
    }

    /// The HTTP client: no redirects of its own, certificates and proxy as configured. Silence is
    /// bounded by whoever reads or sends: the client's own read time-out would also end an upload
    /// that takes longer than that.
    pub(super) fn client(&self) -> Result<Client, RegistryError> {
        signing::source::install_tls_provider();
        let registry = || self.host.to_string();
        let failed = |source| RegistryError::Setup { registry: registry(), source };
        let (builder, authorities) = (self.builder()?, self.authorities()?);
        let whole = builder.tls_certs_merge(authorities.clone()).build();
        if self.plain_http && whole.is_err() {
            // Images without CA certificates can still use plain HTTP.
            return self.builder()?.tls_certs_only(authorities).build().map_err(failed);
        }
        whole.map_err(failed)
    }

    /// Everything but whom to trust.
    fn builder(&self) -> Result<ClientBuilder, RegistryError> {
        let mut builder = Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .user_agent(USER_AGENT);
        if let Some(identity) = self.identity()? {
            builder = builder.identity(identity);
        }
        Ok(match (self.proxy.as_deref(), &self.no_proxy) {
            (None, None) => builder,
            (None | Some("direct"), Some(_)) => {
                return Err(self.wrong("no_proxy goes together with proxy".to_owned()));
            }
            (Some("direct"), None) => builder.no_proxy(),
            (Some(url), except) => {
                let proxy =
                    Proxy::all(url).map_err(|_| self.wrong("the proxy is not a URL".to_owned()))?;
                let except = except.as_deref().and_then(NoProxy::from_string);
                builder.proxy(proxy.no_proxy(except))
            }
        })
    }

    fn authorities(&self) -> Result<Vec<Certificate>, RegistryError> {
        let mut all = Vec::new();
        for file in &self.ca_files {
            let unusable = || self.wrong(format!("{} holds no certificate", file.display()));
            let pem = read(file, PEM_BYTES_MAX)?;
            let found = Certificate::from_pem_bundle(&pem).map_err(|_| unusable())?;
            if found.is_empty() {
                return Err(unusable());
            }
            all.extend(found);
        }
        Ok(all)
    }

    fn identity(&self) -> Result<Option<Identity>, RegistryError> {
        match (&self.client_certificate, &self.client_key) {
            (None, None) => Ok(None),
            (Some(certificate), Some(key)) => {
                let mut pem = read(certificate, PEM_BYTES_MAX)?;
                pem.push(b'\n');
                pem.extend(read(key, PEM_BYTES_MAX)?);
                let unusable = |_| {
                    self.wrong(format!(
                        "{} and {} are no certificate with its key",
                        certificate.display(),
                        key.display()
                    ))
                };
                Identity::from_pem(&pem).map(Some).map_err(unusable)
            }
            (Some(_), None) | (None, Some(_)) => {
                Err(self.wrong("client_certificate and client_key go together".to_owned()))
            }
        }
    }

    fn wrong(&self, why: String) -> RegistryError {
        RegistryError::Configuration { registry: self.host.to_string(), why }
    }
}

/// Reads a file of at most `most` bytes.
pub(super) fn read(path: &Path, most: u64) -> Result<Vec<u8>, RegistryError> {
    let failed = |source| RegistryError::File { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(failed)?;
    file.take(most).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_says_the_host_and_what_differs_from_the_rule() {
        let access: RegistryAccess = toml::from_str("host = \"r.example:5000\"").unwrap();
        assert_eq!(access, RegistryAccess::new("r.example:5000".parse().unwrap()));
        assert_eq!(access.base().unwrap().as_str(), "https://r.example:5000/");
        for bad in ["", "host = \"http://x\"", "host = \"x\"\nplain = true"] {
            assert!(toml::from_str::<RegistryAccess>(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn docker_hub_is_asked_where_its_api_is() {
        let access = RegistryAccess::new("docker.io".parse().unwrap());
        assert_eq!(access.base().unwrap().as_str(), "https://registry-1.docker.io/");
    }

    #[test]
    fn halves_of_a_pair_and_files_without_certificates_are_refused() {
        let mut access = RegistryAccess::new("r.example".parse().unwrap());
        access.user = Some("u".to_owned());
        assert!(matches!(access.password(), Err(RegistryError::Configuration { .. })));
        access.user = None;
        access.client_key = Some("/dev/null".into());
        assert!(matches!(access.client(), Err(RegistryError::Configuration { .. })));
        access.client_key = None;
        access.ca_files = vec!["/dev/null".into()];
        assert!(matches!(access.client(), Err(RegistryError::Configuration { .. })));
        access.ca_files.clear();
        access.no_proxy = Some("r.example".to_owned());
        assert!(matches!(access.client(), Err(RegistryError::Configuration { .. })));
    }

    #[test]
    fn two_ways_to_sign_in_at_once_are_refused() {
        for text in [
            "user = \"u\"\npassword_file = \"p\"\nanonymous = true",
            "user = \"u\"\npassword_file = \"p\"\nauth_file = \"a\"",
            "auth_file = \"a\"\nanonymous = true",
        ] {
            let text = format!("host = \"r.example\"\n{text}");
            let access: RegistryAccess = toml::from_str(&text).unwrap();
            let refused = access.password().unwrap_err();
            assert!(refused.to_string().contains("exclude one another"), "{refused}");
        }
    }
}
