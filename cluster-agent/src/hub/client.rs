//! Enrolment, keys and reports: signed requests with bounded answers.

use std::time::Duration;

use channels::names::ClusterId;
use channels::wire::{
    EnrolmentReply, EnrolmentRequest, KeyRotationReply, KeyRotationRequest, Problem, Report,
    ReportReply, media_type,
};
use jiff::Timestamp;
use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use reqwest::{Response, StatusCode, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;
use signing::message::{self, RequestParts};
use signing::{KeyId, SecretKey};

use super::error::HubError;
use super::http::http_client_over;
use super::network::Network;

/// A hub behind a slow link answers a handshake in seconds.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// For the whole exchange. A report is answered after one group commit; more than this is a hub
/// that is as good as away, and the next slot comes.
const OVERALL_TIMEOUT: Duration = Duration::from_secs(30);

/// Largest answer read: eight directives with their reasons are a few kilobytes.
const ANSWER_MAX_BYTES: usize = 256 * 1024;

/// How much of a body that is no problem document goes into an error.
const ERROR_BODY_CHARS: usize = 200;

/// Longest `Retry-After` that is believed: as long as the longest slot.
const RETRY_AFTER_MAX_S: u64 = 3600;

/// `Retry-After` where the hub gives none that can be read.
const RETRY_AFTER_DEFAULT_S: u64 = 30;

/// Speaks for one cluster.
#[derive(Debug)]
pub struct HubClient {
    base: Url,
    http: reqwest::Client,
    key: SecretKey,
}

impl HubClient {
    /// A client for the hub at `base_url` (`https://hub.example`), signing with the cluster's key,
    /// without a proxy.
    pub fn new(base_url: &str, key: SecretKey) -> Result<Self, HubError> {
        Self::over(&Network::default(), base_url, key)
    }

    /// The same, over a network.
    pub fn over(network: &Network, base_url: &str, key: SecretKey) -> Result<Self, HubError> {
        let base = base_address(base_url)?;
        let transport = network.open().map_err(|source| HubError::Network { source })?;
        let http = http_client_over(&transport, CONNECT_TIMEOUT, OVERALL_TIMEOUT)
            .map_err(|source| HubError::Client { source })?;
        Ok(Self { base, http, key })
    }

    /// Registers this cluster's key with a join token. Safe to repeat: the same key gets the same
    /// cluster id.
    pub async fn enrol(
        &self,
        join_token: &str,
        name: &str,
        agent_version: &str,
        now: Timestamp,
    ) -> Result<EnrolmentReply, HubError> {
        let request = EnrolmentRequest {
            join_token: join_token.to_owned(),
            public_key: self.key.public().to_spki_pem(),
            name: name.to_owned(),
            agent_version: agent_version.to_owned(),
        };
        self.post("enrolments", "enrolment", media_type::ENROLMENT, &request, now).await
    }

    /// Sends a report; returns after the hub has committed it.
    pub async fn report(&self, report: &Report, now: Timestamp) -> Result<ReportReply, HubError> {
        self.post("reports", "report", media_type::REPORT, report, now).await
    }

    /// Asks for another key, signed by both. Safe to repeat: the same keys get the same answer.
    pub async fn rotate_key(
        &self,
        cluster: ClusterId,
        next: &SecretKey,
        seq: u64,
        now: Timestamp,
    ) -> Result<KeyRotationReply, HubError> {
        let id = |key: &SecretKey| key.public().key_id().to_string();
        let statement = KeyRotationRequest::statement(cluster, &id(&self.key), &id(next), seq);
        let request = KeyRotationRequest {
            cluster_id: cluster,
            public_key: next.public().to_spki_pem(),
            seq,
            proof: hex::encode(next.sign(&statement)),
        };
        let path = "clusters/self/key";
        self.post(path, "key rotation", media_type::KEY_ROTATION, &request, now).await
    }

    /// Which key it signs with.
    pub(crate) fn key_id(&self) -> KeyId {
        self.key.public().key_id()
    }

    /// Signs with another key from here on.
    pub(crate) fn sign_with(&mut self, key: SecretKey) {
        self.key = key;
    }

    async fn post<Q: Serialize + Sync, A: DeserializeOwned>(
        &self,
        path: &str,
        document: &'static str,
        content_type: &'static str,
        body: &Q,
        now: Timestamp,
    ) -> Result<A, HubError> {
        let body =
            serde_json::to_vec(body).map_err(|source| HubError::Encode { document, source })?;
        if body.len() > Report::MAX_BYTES {
            let (bytes, limit) = (body.len(), Report::MAX_BYTES);
            return Err(HubError::TooLargeToSend { document, bytes, limit });
        }
        let url = self.url(path)?;
        let parts = RequestParts {
            method: "POST",
            path: url.path(),
            query: "",
            content_type: Some(content_type),
            body: &body,
        };
        let nonce = uuid::Uuid::new_v4().to_string();
        let signed = message::sign(&parts, &self.key, now, &nonce)
            .map_err(|source| HubError::Sign { document, source })?;
        let mut request = self
            .http
            .post(url.clone())
            .header(CONTENT_TYPE, content_type)
            .header("signature-input", signed.signature_input)
            .header("signature", signed.signature);
        if let Some(digest) = signed.content_digest {
            request = request.header("content-digest", digest);
        }
        let unreachable = |source| HubError::Unreachable { url: url.to_string(), source };
        let answer = request.body(body).send().await.map_err(unreachable)?;
        let status = answer.status();
        let retry_after_s = retry_after_s(&answer);
        let Some(body) = bounded(answer).await.map_err(unreachable)? else {
            return Err(HubError::TooLargeToRead { document, limit: ANSWER_MAX_BYTES });
        };
        if status.is_success() {
            return serde_json::from_slice(&body)
                .map_err(|source| HubError::Decode { document, source });
        }
        if matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) {
            return Err(HubError::Busy { retry_after_s });
        }
        Err(refusal(document, status, &body))
    }

    fn url(&self, path: &str) -> Result<Url, HubError> {
        let bad = |_| HubError::Address { url: self.base.to_string() };
        self.base.join(&format!("api/v1/{path}")).map_err(bad)
    }
}

/// An `http` or `https` URL that ends in `/`, so that paths can be joined to it.
fn base_address(base_url: &str) -> Result<Url, HubError> {
    // What stands before an @ may be a password.
    let shown = base_url.rsplit_once('@').map_or(base_url, |(_, host)| host);
    let bad = || HubError::Address { url: shown.chars().take(200).collect() };
    let url = Url::parse(&format!("{}/", base_url.trim_end_matches('/'))).map_err(|_| bad())?;
    let usable = matches!(url.scheme(), "http" | "https")
        && url.has_host()
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none();
    if usable { Ok(url) } else { Err(bad()) }
}

fn retry_after_s(answer: &Response) -> u64 {
    let header = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    let seconds = header.and_then(|value| value.trim().parse().ok());
    seconds.unwrap_or(RETRY_AFTER_DEFAULT_S).min(RETRY_AFTER_MAX_S)
}

/// The body, or `None` if it is larger than [`ANSWER_MAX_BYTES`].
async fn bounded(mut answer: Response) -> Result<Option<Vec<u8>>, reqwest::Error> {
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await? {
        if body.len() + chunk.len() > ANSWER_MAX_BYTES {
            return Ok(None);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Some(body))
}

fn refusal(document: &'static str, status: StatusCode, body: &[u8]) -> HubError {
    if let Ok(problem) = serde_json::from_slice::<Problem>(body) {
        return HubError::Refused { document, problem: Box::new(problem) };
    }
    let body = String::from_utf8_lossy(body).chars().take(ERROR_BODY_CHARS).collect();
    HubError::Status { document, status: status.as_u16(), body }
}

#[cfg(test)]
mod tests;
