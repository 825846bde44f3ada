//! The etcd members behind the API server: asked by their metrics pages before a control-plane node
//! goes. All must answer, know a leader, and have nothing pending; one must be the leader.

use std::path::Path;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::join_all;
use jiff::Timestamp;
use signing::causes::innermost;

use crate::config::EtcdSettings;
use crate::observation::Finding;
use crate::pem;
use crate::phase::elapsed_ms;

/// A member's page has some hundred kilobytes; this bounds a wrong address.
const PAGE_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Largest certificate or key file.
const PEM_BYTES_MAX: u64 = 1024 * 1024;

/// Certificates are read again after this long: they rotate.
const CLIENT_AGE_MAX_MS: u64 = 10 * 60_000;

/// Asks the members.
#[derive(Debug)]
pub(crate) struct EtcdWatch {
    settings: EtcdSettings,
    timeout: Duration,
    client: Option<(reqwest::Client, Timestamp)>,
}

impl EtcdWatch {
    pub(crate) fn new(settings: EtcdSettings, timeout: Duration) -> Self {
        Self { settings, timeout, client: None }
    }

    /// What stands against a control-plane node's going.
    pub(crate) async fn look(&mut self, now: Timestamp) -> Vec<Finding> {
        let client = match self.client(now) {
            Ok(client) => client,
            Err(why) => return vec![Finding::Etcd { why }],
        };
        let mut asked = Vec::new();
        for url in &self.settings.metrics_urls {
            asked.push(page(client.clone(), url.clone()));
        }
        let pages = join_all(asked).await;
        judge(&pages, self.settings.max_pending)
    }

    fn client(&mut self, now: Timestamp) -> Result<reqwest::Client, String> {
        if let Some((client, made)) = &self.client
            && elapsed_ms(*made, now) < CLIENT_AGE_MAX_MS
        {
            return Ok(client.clone());
        }
        let client = make(&self.settings, self.timeout)?;
        self.client = Some((client.clone(), now));
        Ok(client)
    }
}

fn make(settings: &EtcdSettings, timeout: Duration) -> Result<reqwest::Client, String> {
    signing::source::install_tls_provider();
    let mut builder = reqwest::Client::builder()
        .connect_timeout(timeout)
        .timeout(timeout)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy();
    if let Some(path) = &settings.ca {
        let found = reqwest::Certificate::from_pem_bundle(&pem(path)?);
        let certificates =
            found.map_err(|_| format!("{} holds no certificates", path.display()))?;
        builder = builder.tls_certs_only(certificates);
    }
    if let Some((cert, key)) = &settings.identity {
        let mut both = pem(cert)?;
        both.push(b'\n');
        both.extend(pem(key)?);
        let identity = reqwest::Identity::from_pem(&both);
        let why = |_| format!("{} and {} are no identity", cert.display(), key.display());
        builder = builder.identity(identity.map_err(why)?);
    }
    builder.build().map_err(|error| format!("no client for its pages: {error}"))
}

fn pem(path: &Path) -> Result<Vec<u8>, String> {
    pem::bytes(path, PEM_BYTES_MAX).map_err(|why| format!("{}: {why}", path.display()))
}

async fn page(client: reqwest::Client, url: String) -> (String, Result<String, String>) {
    let text = text_of(&client, &url).await;
    (url, text)
}

async fn text_of(client: &reqwest::Client, url: &str) -> Result<String, String> {
    let answer = client.get(url).send().await.map_err(|error| innermost(&error))?;
    if answer.status() != reqwest::StatusCode::OK {
        return Err(format!("it answers {}", answer.status().as_u16()));
    }
    let mut body = Vec::new();
    let mut chunks = answer.bytes_stream();
    while let Some(chunk) = chunks.next().await {
        body.extend_from_slice(&chunk.map_err(|error| innermost(&error))?);
        if body.len() > PAGE_BYTES_MAX {
            return Err(format!("its page has more than {PAGE_BYTES_MAX} bytes"));
        }
    }
    String::from_utf8(body).map_err(|_| "its page is no text".to_owned())
}

/// Judges all members' pages.
pub(super) fn judge(pages: &[(String, Result<String, String>)], max_pending: u64) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut leaders = 0;
    let mut find = |why: String| findings.push(Finding::Etcd { why });
    for (url, outcome) in pages {
        let text = match outcome {
            Ok(text) => text,
            Err(why) => {
                find(format!("member {url} does not answer: {why}"));
                continue;
            }
        };
        match gauge(text, "etcd_server_has_leader") {
            Some(1.0..) => {}
            Some(_) => find(format!("member {url} knows no leader")),
            None => find(format!("{url} has no metric etcd_server_has_leader")),
        }
        match gauge(text, "etcd_server_is_leader") {
            Some(1.0..) => leaders += 1,
            Some(_) => {}
            None => find(format!("{url} has no metric etcd_server_is_leader")),
        }
        match gauge(text, "etcd_server_proposals_pending") {
            Some(pending) if pending <= wide(max_pending) => {}
            Some(pending) => {
                find(format!("member {url} has {pending} pending proposals, limit {max_pending}"));
            }
            None => find(format!("{url} has no metric etcd_server_proposals_pending")),
        }
    }
    if leaders != 1 {
        find(format!("{leaders} of {} members say that they lead, 1 expected", pages.len()));
    }
    findings
}

/// The value of a metric without labels. Not a number counts as absent.
fn gauge(text: &str, name: &str) -> Option<f64> {
    let mut samples = text.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    let value: f64 = samples.next()?.split_ascii_whitespace().next()?.parse().ok()?;
    (samples.next().is_none() && !value.is_nan()).then_some(value)
}

#[expect(clippy::as_conversions, clippy::cast_precision_loss, reason = "the limit is at most 1000")]
fn wide(limit: u64) -> f64 {
    limit as f64
}
