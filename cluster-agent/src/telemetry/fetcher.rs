//! The HTTP client for metrics pages: bounds what one connection may hold in memory.
//!
//! A client for all purposes lets a connection's read buffer grow with what arrives, to almost half
//! a megabyte for a page of two; with eight pages in flight that is more than all else an agent
//! keeps. Never follows redirects, never uses proxies, keeps no connection for later.

use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::header::{ACCEPT, AUTHORIZATION, HeaderValue, USER_AGENT};
use hyper::http::uri::Scheme;
use hyper::{Request, Response, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use percent_encoding::percent_decode_str;
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt as _;
use signing::causes::innermost;

use super::anybody::Anybody;
use super::scrape::ScrapeError;
use crate::pem;

/// Bytes that one connection reads at once.
const READ_BYTES: usize = 16 * 1024;

/// What the program calls itself.
const NAME: &str = concat!("fairway-cluster-agent/", env!("CARGO_PKG_VERSION"));

/// Plain text before anything else.
const PLAIN_TEXT: &str = "text/plain;version=0.0.4, */*;q=0.1";

/// Whose certificates are believed.
#[derive(Debug, Clone, Copy)]
pub(super) enum Trust<'a> {
    /// No certificate is believed.
    Nobody,
    /// The system's authorities.
    System,
    /// Those of a file alone.
    File(&'a Path),
    /// Nobody's is checked.
    Anybody,
}

type Connections = Client<HttpsConnector<HttpConnector>, Empty<Bytes>>;

/// Sends requests for pages; cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Fetcher {
    connect_timeout: Duration,
    plain: Connections,
    /// Made when the first page wants it: most pages of a cluster are plain HTTP, and the system's
    /// authorities are a lot to keep, or are not there at all.
    secure: Arc<OnceLock<Connections>>,
}

impl Fetcher {
    /// # Errors
    /// [`ScrapeError::Tls`] where rustls cannot be set up.
    pub(super) fn new(connect_timeout: Duration) -> Result<Self, ScrapeError> {
        // Believes in no authority: for addresses that need none.
        let plain = connections(connect_timeout, tls(Trust::Nobody)?);
        Ok(Self { connect_timeout, plain, secure: Arc::default() })
    }

    /// Reads what is to be believed at once.
    ///
    /// # Errors
    /// [`ScrapeError::Credentials`] where the file cannot be used, [`ScrapeError::Tls`] where the
    /// system has no usable authorities.
    pub(super) fn trusting(self, trust: Trust<'_>) -> Result<Self, ScrapeError> {
        let made = connections(self.connect_timeout, tls(trust)?);
        Ok(Self { secure: Arc::new(OnceLock::from(made)), ..self })
    }

    fn connections(&self, uri: &Uri) -> Result<&Connections, ScrapeError> {
        if uri.scheme() != Some(&Scheme::HTTPS) {
            return Ok(&self.plain);
        }
        if let Some(made) = self.secure.get() {
            return Ok(made);
        }
        let made = connections(self.connect_timeout, tls(Trust::System)?);
        Ok(self.secure.get_or_init(|| made))
    }

    /// The head of the answer; its body comes as it is read.
    ///
    /// # Errors
    /// [`ScrapeError::Address`] for a text that is no address, [`ScrapeError::Tls`] where the system
    /// has no usable authorities, [`ScrapeError::Transport`] where nothing answers.
    pub(super) async fn get(
        &self,
        url: &str,
        bearer: Option<&str>,
    ) -> Result<Response<Incoming>, ScrapeError> {
        let request = request(url, bearer)?;
        let connections = self.connections(request.uri())?;
        connections.request(request).await.map_err(|error| broken(&error))
    }
}

/// What went wrong underneath, for people.
pub(super) fn broken(error: &(dyn std::error::Error + 'static)) -> ScrapeError {
    ScrapeError::Transport { why: innermost(error) }
}

fn request(url: &str, bearer: Option<&str>) -> Result<Request<Empty<Bytes>>, ScrapeError> {
    let refused = |why: String| ScrapeError::Address { why };
    let mut parsed = reqwest::Url::parse(url).map_err(|e| refused(e.to_string()))?;
    let credentials = bearer.map(|token| format!("Bearer {token}")).or_else(|| basic(&parsed));
    // They went into a header; an address without an authority has none to take away.
    let _no_user = parsed.set_username("");
    let _no_password = parsed.set_password(None);
    parsed.set_fragment(None);
    let uri: Uri = parsed.as_str().parse().map_err(|e| refused(format!("{e}")))?;
    let mut request = Request::get(uri).header(ACCEPT, PLAIN_TEXT).header(USER_AGENT, NAME);
    if let Some(text) = credentials {
        let mut value = HeaderValue::try_from(text).map_err(|e| refused(e.to_string()))?;
        value.set_sensitive(true);
        request = request.header(AUTHORIZATION, value);
    }
    request.body(Empty::new()).map_err(|e| refused(e.to_string()))
}

/// The user and password that an address names, as a header.
fn basic(url: &reqwest::Url) -> Option<String> {
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    let plain = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let both = format!("{}:{}", plain(url.username()), plain(url.password().unwrap_or_default()));
    Some(format!("Basic {}", STANDARD.encode(both)))
}

fn connections(connect_timeout: Duration, tls: ClientConfig) -> Connections {
    let mut connector = HttpConnector::new();
    connector.enforce_http(false);
    connector.set_connect_timeout(Some(connect_timeout));
    connector.set_nodelay(true);
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config(tls)
        .https_or_http()
        .enable_http1()
        .wrap_connector(connector);
    Client::builder(TokioExecutor::new())
        .pool_max_idle_per_host(0)
        .http1_read_buf_exact_size(READ_BYTES)
        .build(connector)
}

fn tls(trust: Trust<'_>) -> Result<ClientConfig, ScrapeError> {
    let setup = |e: rustls::Error| ScrapeError::Tls { why: e.to_string() };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(setup)?;
    let builder = match trust {
        Trust::Nobody => builder.with_root_certificates(RootCertStore::empty()),
        Trust::System => builder.with_platform_verifier().map_err(setup)?,
        Trust::File(path) => {
            let refused = |why| ScrapeError::Credentials { path: path.to_owned(), why };
            builder.with_root_certificates(pem::authorities(path).map_err(refused)?)
        }
        Trust::Anybody => {
            builder.dangerous().with_custom_certificate_verifier(Arc::new(Anybody::new(&provider)))
        }
    };
    Ok(builder.with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(url: &str, bearer: Option<&str>) -> Option<String> {
        let request = request(url, bearer).unwrap();
        let value = request.headers().get(AUTHORIZATION)?;
        assert!(value.is_sensitive());
        Some(value.to_str().unwrap().to_owned())
    }

    #[test]
    fn a_user_in_an_address_becomes_a_header_and_leaves_the_address() {
        let request = request("http://me:p%40ss@host:9404/metrics?a=b#c", None).unwrap();
        assert_eq!(request.uri().to_string(), "http://host:9404/metrics?a=b");
        let expected = format!("Basic {}", STANDARD.encode("me:p@ss"));
        assert_eq!(header("http://me:p%40ss@host:9404/", None), Some(expected));
        assert_eq!(header("http://host:9404/", None), None);
    }

    #[test]
    fn a_token_is_what_is_sent_where_there_is_one() {
        assert_eq!(header("https://me@host/", Some("t")), Some("Bearer t".to_owned()));
    }

    #[test]
    fn what_is_no_address_or_no_token_is_refused_without_being_told() {
        assert!(matches!(request("http://", None), Err(ScrapeError::Address { .. })));
        let refused = request("http://host/", Some("secret\n")).map(drop).unwrap_err();
        assert!(!refused.to_string().contains("secret"), "{refused}");
    }
}
