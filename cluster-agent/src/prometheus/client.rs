//! Instant queries over HTTP, with bounds on time and bytes.
//!
//! Never judges an answer, never follows a redirect (a token is for one address), never retries:
//! whoever asks asks again in its own time.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{Certificate, Identity, Method, Response, StatusCode, Url};
use signing::causes::innermost;

use super::QueryError;
use super::answer::{self, Answer};
use super::material::{MaterialPaths, TlsMaterial};

/// Longest wait for a connection within the cluster; the rest of the time is the query's.
const CONNECT_TIMEOUT_MS_MAX: u64 = 3_000;

/// Time for a connection and for the bytes on their way, beyond what Prometheus gives the query.
const TRANSFER_MS: u64 = 1_000;

/// Longest query that goes into an address, where only `GET` is allowed.
const GET_QUERY_BYTES_MAX: usize = 6 * 1024;

/// Where and how to ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Base address; `api/v1/query` lies below it.
    pub url: Url,
    /// Credentials.
    pub material: MaterialPaths,
    /// Longest wait for one answer, milliseconds.
    pub timeout_ms: u64,
    /// Largest answer read, bytes.
    pub body_max_bytes: usize,
}

/// Asks one Prometheus; cheap to clone.
#[derive(Debug, Clone)]
pub struct Client {
    endpoint: Arc<Endpoint>,
    built: Arc<Mutex<Option<(TlsMaterial, reqwest::Client)>>>,
}

impl Client {
    /// A client that has not read its credentials yet.
    pub fn new(endpoint: Endpoint) -> Self {
        Self { endpoint: Arc::new(endpoint), built: Arc::default() }
    }

    /// Evaluates `query` at Prometheus's own time.
    pub async fn query(&self, query: &str) -> Result<Answer, QueryError> {
        let bearer = self.endpoint.material.bearer().await?;
        let http = self.http().await?;
        let answered = self.send(&http, Method::POST, query, bearer.clone()).await?;
        let unposted = matches!(
            answered.status(),
            StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED
        );
        // Some proxies let only GET through.
        let answered = if unposted && query.len() <= GET_QUERY_BYTES_MAX {
            self.send(&http, Method::GET, query, bearer).await?
        } else {
            answered
        };
        self.take(answered).await
    }

    async fn send(
        &self,
        http: &reqwest::Client,
        method: Method,
        query: &str,
        bearer: Option<HeaderValue>,
    ) -> Result<Response, QueryError> {
        let limit = format!("{}ms", self.endpoint.timeout_ms);
        let mut url = self.endpoint.url.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(["api", "v1", "query"]);
        }
        let mut form = Url::clone(&url);
        form.query_pairs_mut().append_pair("query", query).append_pair("timeout", &limit);
        let encoded = form.query().unwrap_or_default().to_owned();
        let request = if method == Method::POST {
            http.post(url).header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(encoded)
        } else {
            http.get(form)
        };
        let mut request =
            request.header(ACCEPT, "application/json").header(ACCEPT_ENCODING, "identity");
        if let Some(bearer) = bearer {
            request = request.header(AUTHORIZATION, bearer);
        }
        request.send().await.map_err(|error| self.failure(&error))
    }

    async fn take(&self, response: Response) -> Result<Answer, QueryError> {
        let status = response.status();
        if status.is_redirection() {
            return Err(QueryError::Redirected { status: status.as_u16() });
        }
        let found = response.headers().get(CONTENT_TYPE).and_then(|v| v.to_str().ok());
        let found = found.unwrap_or_default().to_owned();
        let essence = found.split(';').next().unwrap_or_default().trim();
        let json = essence.eq_ignore_ascii_case("application/json");
        if !json && status == StatusCode::OK {
            return Err(QueryError::ContentType { found: found.chars().take(100).collect() });
        }
        if !json {
            return Err(QueryError::Status { status: status.as_u16() });
        }
        let body = self.body(response).await?;
        if status == StatusCode::OK {
            return answer::read(&body).map_err(QueryError::Answer);
        }
        let status = status.as_u16();
        Err(match answer::read_refusal(&body) {
            Some((kind, message)) => QueryError::Refused { status, kind, message },
            None => QueryError::Status { status },
        })
    }

    async fn body(&self, mut response: Response) -> Result<Vec<u8>, QueryError> {
        let limit_bytes = self.endpoint.body_max_bytes;
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.failure(&error))? {
            if body.len() + chunk.len() > limit_bytes {
                return Err(QueryError::TooLarge { limit_bytes });
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    /// The client for the certificates that lie on disk at this moment.
    async fn http(&self) -> Result<reqwest::Client, QueryError> {
        let material = self.endpoint.material.tls().await?;
        let mut built = self.built.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((of, http)) = &*built
            && *of == material
        {
            return Ok(http.clone());
        }
        let http = self.build(&material)?;
        *built = Some((material, http.clone()));
        Ok(http)
    }

    fn build(&self, material: &TlsMaterial) -> Result<reqwest::Client, QueryError> {
        signing::source::install_tls_provider();
        let Endpoint { url, material: paths, timeout_ms, .. } = &*self.endpoint;
        let bad = |what, path: &Option<std::path::PathBuf>, source| QueryError::Certificate {
            what,
            path: path.as_deref().unwrap_or(Path::new("")).to_owned(),
            source,
        };
        let mut builder = reqwest::Client::builder()
            .connect_timeout(Duration::from_millis((*timeout_ms).min(CONNECT_TIMEOUT_MS_MAX)))
            .timeout(Duration::from_millis(timeout_ms.saturating_add(TRANSFER_MS)))
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .user_agent(concat!("fairway-cluster-agent/", env!("CARGO_PKG_VERSION")));
        if let Some(ca) = &material.ca {
            let found = Certificate::from_pem_bundle(ca);
            let certs = found.map_err(|source| bad("CA certificate", &paths.ca, source))?;
            if certs.is_empty() {
                let path = paths.ca.clone().unwrap_or_default();
                let (what, why) = ("CA certificate", "it holds no certificate");
                return Err(QueryError::CredentialsUnusable { what, path, why });
            }
            builder = builder.tls_certs_only(certs);
        } else if url.scheme() == "http" {
            // Images without CA certificates can still use plain HTTP.
            builder = builder.tls_certs_only([]);
        }
        if let Some(pem) = &material.identity {
            let identity = Identity::from_pem(pem);
            builder =
                builder.identity(identity.map_err(|source| bad("client key", &paths.key, source))?);
        }
        builder.build().map_err(QueryError::Client)
    }

    fn failure(&self, error: &reqwest::Error) -> QueryError {
        if error.is_timeout() {
            return QueryError::Timeout { limit_ms: self.endpoint.timeout_ms };
        }
        QueryError::Transport { why: innermost(error) }
    }
}
