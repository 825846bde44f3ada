//! Fetches the signed status of a dark site from the site's own hub, for carrying it out.
//!
//! What comes is checked before it is written: that it is signed by the key the hub names, and that
//! what was to stay at the site is said to have stayed. It never talks to anybody but that hub.

mod error;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use channels::wire::{BundleReceipt, Problem, Redaction, SiteKey, SiteStatus};
use reqwest::header::ACCEPT;
use signing::{Attack, KeySet, PublicKey, Statement};

use crate::server::ServerAccess;

pub use error::StatusError;

/// The hub signs thousands of clusters at once.
const ANSWER_TIMEOUT: Duration = Duration::from_mins(2);
/// A key document, or the problem of a hub that refuses.
const SHORT_ANSWER_BYTES_MAX: usize = 64 * 1024;
/// Longest problem text shown of a server that is no hub.
const REFUSAL_CHARS_MAX: usize = 2_000;

/// What to ask the site's hub for.
#[derive(Debug, Clone, Default)]
pub struct StatusRequest {
    /// What stays at the site.
    pub redact: BTreeSet<Redaction>,
    /// Sequence of the newest bundle that was imported at the site; the hub sees no bundles.
    pub newest_bundle: Option<u64>,
    /// What the receipt of that bundle says.
    pub receipt: Option<BundleReceipt>,
    /// Seconds until the next status is meant to be sent; the hub's default if absent.
    pub good_for_s: Option<u64>,
}

/// A status that was checked.
#[derive(Debug, Clone)]
pub struct ExportedStatus {
    /// The file, as signed.
    pub bytes: Vec<u8>,
    /// What it says.
    pub status: SiteStatus,
    /// Who signed it.
    pub key: SiteKey,
}

/// The hub of a dark site.
pub struct SiteHub {
    http: reqwest::Client,
    server: ServerAccess,
}

impl std::fmt::Debug for SiteHub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SiteHub").field("server", &self.server).finish_non_exhaustive()
    }
}

impl SiteHub {
    /// The token needs the role operator there.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn new(server: ServerAccess) -> Result<Self, StatusError> {
        let http =
            ServerAccess::client(ANSWER_TIMEOUT).map_err(|source| StatusError::Http { source })?;
        Ok(Self { http, server })
    }

    /// The status of the site, checked.
    ///
    /// # Errors
    /// When the hub cannot be reached or refuses, or what it gives cannot be carried out.
    pub async fn export(&self, request: &StatusRequest) -> Result<ExportedStatus, StatusError> {
        let key = self.get("/api/v1/status-export/key", &[], SHORT_ANSWER_BYTES_MAX).await?;
        let key: SiteKey = serde_json::from_slice(&key)
            .map_err(|error| StatusError::NoHub { why: error.to_string() })?;
        let query = request.query();
        let bytes = self.get("/api/v1/status-export", &query, SiteStatus::MAX_BYTES).await?;
        let status = check(&bytes, &key, &request.redact)?;
        Ok(ExportedStatus { bytes, status, key })
    }

    async fn get(
        &self,
        path: &str,
        query: &[(&str, String)],
        limit: usize,
    ) -> Result<Vec<u8>, StatusError> {
        let url = format!("{}{path}", self.server.base());
        let unreachable = |source| StatusError::Unreachable { url: url.clone(), source };
        let mut response = self
            .http
            .get(&url)
            .query(query)
            .bearer_auth(self.server.token())
            .header(ACCEPT, "application/json, application/problem+json")
            .send()
            .await
            .map_err(unreachable)?;
        let status = response.status();
        let limit = if status.is_success() { limit } else { SHORT_ANSWER_BYTES_MAX };
        let mut body = Vec::new();
        while let Some(piece) = response.chunk().await.map_err(unreachable)? {
            if body.len() + piece.len() > limit {
                return Err(StatusError::TooLarge { url, limit });
            }
            body.extend_from_slice(&piece);
        }
        if status.is_success() { Ok(body) } else { Err(refusal(status.as_u16(), &body)) }
    }
}

fn refusal(status: u16, body: &[u8]) -> StatusError {
    let Ok(problem) = serde_json::from_slice::<Problem>(body) else {
        let text = String::from_utf8_lossy(body);
        let detail = text.chars().take(REFUSAL_CHARS_MAX).collect();
        return StatusError::Refused { status, detail, attack: None };
    };
    let attack = problem.attack.map(serde_json::Value::String);
    // A hub newer than we are may name attacks that we have no name for.
    let attack = attack.and_then(|name| serde_json::from_value::<Attack>(name).ok());
    StatusError::Refused { status, detail: problem.detail, attack }
}

impl StatusRequest {
    fn query(&self) -> Vec<(&'static str, String)> {
        let redact: Vec<&str> = self.redact.iter().map(|redaction| redaction.as_str()).collect();
        let fields = [
            ("redact", (!redact.is_empty()).then(|| redact.join(","))),
            ("newest_bundle", self.newest_bundle.map(|sequence| sequence.to_string())),
            // Names, numbers and digests: it can always be written.
            ("receipt", self.receipt.as_ref().and_then(|r| serde_json::to_string(r).ok())),
            ("good_for_s", self.good_for_s.map(|seconds| seconds.to_string())),
        ];
        fields.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }
}

/// Whether the file may be carried out: signed by `key`, of its site, within every bound, and with
/// everything left out that was to be.
fn check(
    bytes: &[u8],
    key: &SiteKey,
    redact: &BTreeSet<Redaction>,
) -> Result<SiteStatus, StatusError> {
    let public = PublicKey::from_spki_pem(&key.public_key)
        .map_err(|error| StatusError::NoHub { why: error.to_string() })?;
    let status = Statement::parse(SiteStatus::KIND, bytes)
        .and_then(|statement| statement.verify::<SiteStatus>(&KeySet::one(public)))
        .map_err(|source| StatusError::Unverified { source })?
        .into_inner();
    if status.site != key.site {
        let (found, expected) = (status.site, key.site.clone());
        return Err(StatusError::OtherSite { found, expected });
    }
    status.check().map_err(|source| StatusError::Unusable { source })?;
    match redact.iter().find(|redaction| !status.redacted.contains(redaction)) {
        Some(redaction) => Err(StatusError::NotLeftOut { what: *redaction }),
        None => Ok(status),
    }
}

/// Puts a file where it belongs as a whole or not at all.
///
/// # Errors
/// When the disk does not take it.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), StatusError> {
    let failed = |source| StatusError::Write { path: path.to_owned(), source };
    let mut draft = path.as_os_str().to_owned();
    draft.push(".new");
    let mut file = File::create(&draft).map_err(failed)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(failed)?;
    fs::rename(&draft, path).map_err(failed)
}
