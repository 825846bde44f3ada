//! Requests of the doctor: every answer is a finding, whatever its status.

use std::time::Duration;

use jiff::Timestamp;
use reqwest::header::{AUTHORIZATION, ETAG, HeaderValue, IF_NONE_MATCH};
use reqwest::tls::TlsInfo;
use reqwest::{Method, Url};
use signing::causes::innermost;
use tokio::time::Instant;

use crate::error::{CliError, Result};
use crate::hub::Connection;

/// An answer that takes longer is one that no agent waits for.
const TIMEOUT: Duration = Duration::from_secs(15);

/// Largest answer read: the metrics page of a large fleet has a few megabytes.
const MAX_BODY_BYTES: usize = 16 * 1024 * 1024;

/// A hub as it is asked.
#[derive(Debug)]
pub(super) struct Probe {
    client: reqwest::Client,
    pub(super) server: Url,
    authorization: Option<HeaderValue>,
}

/// One answer.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
    pub(super) etag: Option<String>,
    pub(super) took: Duration,
    /// Of the certificate that the server showed.
    pub(super) certificate_ends: Option<Timestamp>,
}

impl Probe {
    pub(super) fn new(connection: &Connection) -> Result<Self> {
        signing::source::install_tls_provider();
        let client = reqwest::Client::builder()
            .timeout(TIMEOUT)
            .tls_info(true)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("fairway/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| CliError::because("failed to prepare the HTTP client", &error))?;
        let authorization = connection.token.as_ref().map(|token| {
            let value = HeaderValue::from_str(&format!("Bearer {}", token.as_str()));
            let mut value = value.map_err(|_| {
                CliError::failed("the API token holds characters no token has")
                    .hint("check the token file: it must hold the token and nothing else")
            })?;
            value.set_sensitive(true);
            Ok::<_, CliError>(value)
        });
        let authorization = authorization.transpose()?;
        Ok(Self { client, server: connection.server.clone(), authorization })
    }

    /// Whether there is a token to show.
    pub(super) fn has_token(&self) -> bool {
        self.authorization.is_some()
    }

    /// Asks without a token.
    pub(super) async fn public(
        &self,
        path: &str,
        known: Option<&str>,
    ) -> std::result::Result<Seen, String> {
        self.ask(path, known, None).await
    }

    /// Asks with the token, where there is one.
    pub(super) async fn with_token(&self, path: &str) -> std::result::Result<Seen, String> {
        self.ask(path, None, self.authorization.as_ref()).await
    }

    async fn ask(
        &self,
        path: &str,
        known: Option<&str>,
        authorization: Option<&HeaderValue>,
    ) -> std::result::Result<Seen, String> {
        let url = self.server.join(path).map_err(|error| error.to_string())?;
        let mut request = self.client.request(Method::GET, url);
        if let Some(value) = authorization {
            request = request.header(AUTHORIZATION, value.clone());
        }
        if let Some(etag) = known {
            request = request.header(IF_NONE_MATCH, etag);
        }
        let began = Instant::now();
        let told = |error: reqwest::Error| {
            let cause = innermost(&error);
            if error.is_timeout() { format!("no answer in time: {cause}") } else { cause.clone() }
        };
        let mut response = request.send().await.map_err(told)?;
        let certificate_ends = response
            .extensions()
            .get::<TlsInfo>()
            .and_then(TlsInfo::peer_certificate)
            .and_then(update_server::server::certificate_ends);
        let etag = response.headers().get(ETAG).and_then(|value| value.to_str().ok());
        let etag = etag.map(str::to_owned);
        let status = response.status().as_u16();
        let mut body = Vec::new();
        while let Some(piece) = response.chunk().await.map_err(told)? {
            if body.len() + piece.len() > MAX_BODY_BYTES {
                return Err(format!("the answer is larger than {MAX_BODY_BYTES} bytes"));
            }
            body.extend_from_slice(&piece);
        }
        Ok(Seen { status, body, etag, took: began.elapsed(), certificate_ends })
    }
}
