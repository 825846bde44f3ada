//! HTTP client for a hub's `/api/v1`: bounded, with timeouts, and with its problems made readable.
//!
//! It carries no trust: what must be believed is verified by `signing` after it was fetched.

mod choice;
mod confirmed;
mod connection;
mod graph;
mod hint;
mod pages;
mod problem;
pub(crate) mod profiles;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use std::fmt::Write as _;
use std::time::Duration;

use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{Method, RequestBuilder, Response, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;
use signing::causes::innermost;

#[cfg(test)]
pub(crate) use confirmed::CONFIRMED_FILE;
pub(crate) use confirmed::confirm;
use connection::Origin;
pub(crate) use connection::{Connection, HubArgs, profiles_path, server_url};

use crate::error::{CliError, Result};

/// Time to reach the hub at all; longer means that it is not there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Silence between two pieces of an answer; a hub that verifies a large publication is silent for
/// as long as that takes.
const READ_TIMEOUT: Duration = Duration::from_mins(2);

/// Largest answer read into memory: a page of 500 clusters with their reasons stays under 4 MiB.
const MAX_ANSWER_BYTES: usize = 64 * 1024 * 1024;

/// Rows asked for in one page; the largest page the hub gives.
pub(crate) const PAGE_ROWS: usize = 500;

/// A hub and the token shown to it.
#[derive(Debug)]
pub(crate) struct Hub {
    client: reqwest::Client,
    base: Url,
    authorization: Option<HeaderValue>,
    origin: Origin,
}

impl Hub {
    /// Prepares a client; nothing is sent yet.
    pub(crate) fn new(connection: &Connection) -> Result<Self> {
        signing::source::install_tls_provider();
        let builder = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(READ_TIMEOUT)
            // A redirect could carry the token to another host.
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("fairway/", env!("CARGO_PKG_VERSION")));
        let client = builder
            .build()
            .map_err(|error| CliError::because("failed to prepare the HTTP client", &error))?;
        let authorization = match &connection.token {
            Some(token) => {
                let mut value = HeaderValue::from_str(&format!("Bearer {}", token.as_str()))
                    .map_err(|_| {
                        CliError::failed("the API token holds characters no token has")
                            .hint("check the token file: it must hold the token and nothing else")
                    })?;
                value.set_sensitive(true);
                Some(value)
            }
            None => None,
        };
        let origin = connection.origin.clone();
        Ok(Self { client, base: connection.server.clone(), authorization, origin })
    }

    /// The address all paths are below, with a trailing slash.
    pub(crate) fn base(&self) -> &Url {
        &self.base
    }

    /// Whether answers come over plain HTTP from another machine.
    pub(crate) fn is_open_to_tampering(&self) -> bool {
        offline_mirror::is_open(&self.base)
    }

    /// `GET` of a JSON document.
    pub(crate) async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, String)],
    ) -> Result<T> {
        let request = self.request(Method::GET, path, query)?;
        self.document(path, request).await
    }

    /// `POST` of one JSON document, answered by another.
    pub(crate) async fn post<B: Serialize, T: DeserializeOwned>(
        &self,
        path: &str,
        media_type: &'static str,
        body: &B,
    ) -> Result<T> {
        self.send_document(Method::POST, path, media_type, body).await
    }

    /// `PUT` of one JSON document, answered by another.
    pub(crate) async fn put<B: Serialize, T: DeserializeOwned>(
        &self,
        path: &str,
        media_type: &'static str,
        body: &B,
    ) -> Result<T> {
        self.send_document(Method::PUT, path, media_type, body).await
    }

    /// `POST` of a file as it is, answered by a JSON document.
    pub(crate) async fn post_bytes<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, String)],
        media_type: &'static str,
        body: Vec<u8>,
    ) -> Result<T> {
        let request = self
            .request(Method::POST, path, query)?
            .header(CONTENT_TYPE, HeaderValue::from_static(media_type))
            .body(body);
        self.document(path, request).await
    }

    async fn send_document<B: Serialize, T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        media_type: &'static str,
        body: &B,
    ) -> Result<T> {
        let body = serde_json::to_vec(body)
            .map_err(|error| CliError::because("failed to write the request", &error))?;
        let request = self
            .request(method, path, &[])?
            .header(CONTENT_TYPE, HeaderValue::from_static(media_type))
            .body(body);
        self.document(path, request).await
    }

    /// `DELETE`; the body of the answer, if any, is not looked at.
    pub(crate) async fn delete(&self, path: &str) -> Result<()> {
        let request = self.request(Method::DELETE, path, &[])?;
        self.send(path, request).await.map(|_body| ())
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, String)],
    ) -> Result<RequestBuilder> {
        let mut url = self.base.join(path).map_err(|error| {
            CliError::because(format!("failed to join {path:?} to {}", self.base), &error)
        })?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let accept = HeaderValue::from_static("application/json, application/problem+json");
        let request = self.client.request(method, url).header(ACCEPT, accept);
        Ok(match &self.authorization {
            Some(value) => request.header(AUTHORIZATION, value.clone()),
            None => request,
        })
    }

    async fn document<T: DeserializeOwned>(
        &self,
        path: &str,
        request: RequestBuilder,
    ) -> Result<T> {
        let body = self.send(path, request).await?;
        serde_json::from_slice(&body).map_err(|error| {
            CliError::because(format!("failed to read the hub's answer to {path}"), &error)
                .hint("is the server a fairway hub, and not much older or newer than this tool?")
        })
    }

    async fn send(&self, path: &str, request: RequestBuilder) -> Result<Vec<u8>> {
        let response = request.send().await.map_err(|error| self.unreachable(&error))?;
        let status = response.status();
        let is_problem = response.headers().get(CONTENT_TYPE).is_some_and(problem::is_problem);
        let body = self.body(response).await?;
        if status.is_success() {
            return Ok(body);
        }
        let problem: Option<channels::wire::Problem> =
            if is_problem { serde_json::from_slice(&body).ok() } else { None };
        Err(problem::to_error(path, status, problem.as_ref(), &self.origin))
    }

    async fn body(&self, mut response: Response) -> Result<Vec<u8>> {
        let mut body = Vec::new();
        while let Some(piece) = response.chunk().await.map_err(|error| self.unreachable(&error))? {
            if body.len() + piece.len() > MAX_ANSWER_BYTES {
                return Err(CliError::failed(format!(
                    "the hub's answer is larger than {MAX_ANSWER_BYTES} bytes"
                )));
            }
            body.extend_from_slice(&piece);
        }
        Ok(body)
    }

    fn unreachable(&self, error: &reqwest::Error) -> CliError {
        let what = if error.is_timeout() { "did not answer in time" } else { "cannot be reached" };
        let cause = innermost(error);
        CliError::failed(format!("the hub at {} {what}: {cause}", self.base)).hint(
            match self.origin.server.as_str() {
                "" => "is it running?".to_owned(),
                named => format!("is it running, and is that its address? It comes from {named}"),
            },
        )
    }
}

/// A text as one segment of a path, percent-encoded.
pub(crate) fn segment(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _infallible = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}
