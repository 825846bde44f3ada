//! How HTTP leaves the cluster: through which proxy, and whose certificates are believed.
//!
//! Local configuration only. Without any, requests go straight to where they are addressed: what
//! the environment says about proxies counts only if the configuration says that it does.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use reqwest::{Certificate, ClientBuilder, NoProxy, Proxy, Url};

/// Largest CA file read: the bundle of a distribution has about 250 KiB.
const CA_BYTES_MAX: u64 = 1024 * 1024;

/// How the hub and its mirrors are reached.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Network {
    /// What stands in between.
    pub proxy: ProxyChoice,
    /// CA certificates (PEM) believed in place of the system's. Read at start.
    pub ca_file: Option<PathBuf>,
}

/// Which proxy requests go through.
#[derive(Clone, Default, PartialEq, Eq)]
pub enum ProxyChoice {
    /// None.
    #[default]
    Direct,
    /// What `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY` of the environment say.
    Environment,
    /// This one, for `http` and `https` alike.
    Through {
        /// Its address; may carry a name and a password.
        url: Url,
        /// Hosts and networks that are reached directly, as in `NO_PROXY`.
        except: Option<String>,
    },
}

impl std::fmt::Debug for ProxyChoice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Direct => f.write_str("Direct"),
            Self::Environment => f.write_str("Environment"),
            // The password of a proxy belongs into no log.
            Self::Through { url, except } => {
                write!(f, "Through({}, except {except:?})", without_user(url))
            }
        }
    }
}

/// Why the hub cannot be reached as configured.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// The CA file cannot be read.
    #[error("cannot read the CA certificates {}", path.display())]
    CaRead {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It holds something else.
    #[error("{} holds no usable CA certificate", path.display())]
    CaUnusable {
        /// The file.
        path: PathBuf,
        /// What the library said; `None` if there is no certificate at all.
        source: Option<reqwest::Error>,
    },
    /// The proxy's address.
    #[error("requests cannot go through proxy {url}")]
    Proxy {
        /// Its address without name and password.
        url: String,
        /// What the library said.
        source: reqwest::Error,
    },
}

/// A network that was opened: everything that can fail has been done.
#[derive(Debug, Clone)]
pub(crate) struct Transport {
    proxy: Option<Proxy>,
    environment: bool,
    certificates: Option<Vec<Certificate>>,
}

impl Network {
    /// Reads what has to be read.
    pub(crate) fn open(&self) -> Result<Transport, NetworkError> {
        let proxy = match &self.proxy {
            ProxyChoice::Direct | ProxyChoice::Environment => None,
            ProxyChoice::Through { url, except } => {
                let proxy = Proxy::all(url.clone()).map_err(|source| NetworkError::Proxy {
                    url: without_user(url).to_string(),
                    source,
                })?;
                Some(proxy.no_proxy(except.as_deref().and_then(NoProxy::from_string)))
            }
        };
        Ok(Transport {
            proxy,
            environment: self.proxy == ProxyChoice::Environment,
            certificates: self.ca_file.as_deref().map(certificates).transpose()?,
        })
    }
}

impl Transport {
    /// Gives a client its proxy and its certificates.
    pub(crate) fn apply(&self, builder: ClientBuilder) -> ClientBuilder {
        let builder = match &self.proxy {
            Some(proxy) => builder.proxy(proxy.clone()),
            None if self.environment => builder,
            None => builder.no_proxy(),
        };
        match &self.certificates {
            Some(certificates) => builder.tls_certs_only(certificates.clone()),
            None => builder,
        }
    }
}

/// The address without name and password.
fn without_user(url: &Url) -> Url {
    let mut bare = url.clone();
    // Both fail only for addresses that can have neither.
    let _ = bare.set_username("");
    let _ = bare.set_password(None);
    bare
}

fn certificates(path: &Path) -> Result<Vec<Certificate>, NetworkError> {
    let read = |source| NetworkError::CaRead { path: path.to_owned(), source };
    let mut pem = Vec::new();
    let file = std::fs::File::open(path).map_err(read)?;
    file.take(CA_BYTES_MAX).read_to_end(&mut pem).map_err(read)?;
    let found = Certificate::from_pem_bundle(&pem);
    let unusable = |source| NetworkError::CaUnusable { path: path.to_owned(), source };
    let found = found.map_err(|source| unusable(Some(source)))?;
    if found.is_empty() { Err(unusable(None)) } else { Ok(found) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxys_password_is_in_no_text() {
        let url = Url::parse("http://fleet:hunter2@proxy.example:3128").unwrap();
        let choice = ProxyChoice::Through { url, except: None };
        let text = format!("{choice:?}");
        assert!(text.contains("proxy.example:3128") && !text.contains("hunter2"), "{text}");
        assert!(!text.contains("fleet"), "{text}");
    }

    #[test]
    fn a_ca_file_without_a_certificate_is_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ca.pem");
        let network = Network { ca_file: Some(path.clone()), ..Network::default() };
        assert!(matches!(network.open(), Err(NetworkError::CaRead { .. })));
        for text in ["", "-----BEGIN CERTIFICATE-----\nnot base64\n-----END CERTIFICATE-----\n"] {
            std::fs::write(&path, text).unwrap();
            let error = network.open().unwrap_err();
            assert!(matches!(error, NetworkError::CaUnusable { .. }), "{text:?}: {error}");
        }
    }
}
