//! The status of this hub's own site: made of what the hub shows its people, less what the site
//! keeps to itself. Pure.

use std::collections::{BTreeMap, BTreeSet};

use channels::names::{ClusterId, SiteName};
use channels::wire::{
    AcceptedRisk, BundleReceipt, ClusterRow, Freshness, HealthVerdict, ProductRow, Redaction,
    SiteAcceptedRisk, SiteChannel, SiteCluster, SiteCounts, SiteProduct, SiteReason, SiteStatus,
};
use jiff::Timestamp;
use signing::{BuildError, SecretKey, Sha256Digest, statement};

use crate::fleet::is_active;

/// Signed by the site's key, whose signatures are deterministic and of which this one is never
/// shown: so it is a secret that only this site has, and has for ever.
const PSEUDONYM_LABEL: &[u8] = b"fairway-site-pseudonyms-v1";
/// Hexadecimal digits of a pseudonym: no two of a site's clusters will meet.
const PSEUDONYM_DIGITS: usize = 12;
/// Longest code of a reason.
const MAX_CODE_BYTES: usize = 64;

/// What the hub knows besides its clusters.
#[derive(Debug, Clone)]
pub struct Facts {
    /// Its site.
    pub site: SiteName,
    /// Sequence of the status to make.
    pub sequence: u64,
    /// The hub's time.
    pub now: Timestamp,
    /// Seconds until the next one is meant to be sent.
    pub good_for_s: u64,
    /// Sequence of the newest bundle, if whoever asks knows.
    pub newest_bundle: Option<u64>,
    /// What its receipt says, if whoever asks has it.
    pub receipt: Option<BundleReceipt>,
    /// What to leave out.
    pub redact: BTreeSet<Redaction>,
}

/// A status that cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// More clusters than a reader takes.
    #[error("the site has {found} clusters, a status holds {max}", max = SiteStatus::MAX_CLUSTERS)]
    TooManyClusters {
        /// How many.
        found: usize,
    },
    /// A file that no reader takes.
    #[error(
        "the status has {found} bytes, at most {max} are read: leave messages out",
        max = SiteStatus::MAX_BYTES
    )]
    TooLarge {
        /// How many.
        found: usize,
    },
    /// It cannot be signed.
    #[error("failed to sign the status")]
    Sign(#[from] BuildError),
    /// It cannot be written out.
    #[error("failed to write the status")]
    Write(#[from] serde_json::Error),
}

/// Names for clusters that mean nothing outside, and stay the same from file to file.
pub struct Pseudonyms(Sha256Digest);

impl std::fmt::Debug for Pseudonyms {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pseudonyms(…)")
    }
}

impl Pseudonyms {
    /// Those of the site with this key.
    pub fn of(key: &SecretKey) -> Self {
        Self(Sha256Digest::of(&key.sign(PSEUDONYM_LABEL)))
    }

    pub(super) fn name_of(&self, id: ClusterId) -> String {
        let mut text = self.0.as_bytes().to_vec();
        text.extend(id.0.as_bytes());
        let hex = Sha256Digest::of(&text).hex();
        format!("cluster-{}", hex.chars().take(PSEUDONYM_DIGITS).collect::<String>())
    }
}

/// Makes the status. The same state and facts make the same status.
///
/// # Errors
/// [`ExportError::TooManyClusters`].
pub fn build(
    facts: Facts,
    rows: &[ClusterRow],
    mut channels: Vec<SiteChannel>,
    pseudonyms: &Pseudonyms,
) -> Result<SiteStatus, ExportError> {
    if rows.len() > SiteStatus::MAX_CLUSTERS {
        return Err(ExportError::TooManyClusters { found: rows.len() });
    }
    let mut redacted = facts.redact;
    if redacted.contains(&Redaction::Names) {
        // A sentence may hold a name.
        redacted.insert(Redaction::Messages);
    }
    let mut clusters: Vec<SiteCluster> =
        rows.iter().map(|row| cluster(row, &redacted, pseudonyms)).collect();
    clusters.sort_by_key(|cluster| cluster.id);
    channels
        .sort_by(|a, b| (&a.product, &a.channel, &a.arch).cmp(&(&b.product, &b.channel, &b.arch)));
    Ok(SiteStatus {
        format: SiteStatus::FORMAT,
        critical: Vec::new(),
        site: facts.site,
        hub_version: env!("CARGO_PKG_VERSION").to_owned(),
        sequence: facts.sequence,
        made_at: whole_seconds(facts.now),
        good_for_s: facts.good_for_s,
        redacted,
        newest_bundle: facts.newest_bundle,
        receipt: facts.receipt,
        counts: counts(rows),
        channels,
        clusters,
    })
}

/// Signs a status and writes it so that a person can read it.
///
/// # Errors
/// When it cannot be signed or is larger than any reader takes.
pub fn seal(status: &SiteStatus, key: &SecretKey) -> Result<Vec<u8>, ExportError> {
    let compact = statement::sign(SiteStatus::KIND, status, &[key])?;
    let value: serde_json::Value = serde_json::from_slice(&compact)?;
    let mut text = serde_json::to_vec_pretty(&value)?;
    text.push(b'\n');
    if text.len() > SiteStatus::MAX_BYTES {
        return Err(ExportError::TooLarge { found: text.len() });
    }
    Ok(text)
}

fn whole_seconds(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}

fn cluster(
    row: &ClusterRow,
    redacted: &BTreeSet<Redaction>,
    pseudonyms: &Pseudonyms,
) -> SiteCluster {
    let name = if redacted.contains(&Redaction::Names) {
        pseudonyms.name_of(row.id)
    } else {
        cut(&row.name, SiteStatus::MAX_WORD_CHARS)
    };
    let messages = !redacted.contains(&Redaction::Messages);
    SiteCluster {
        id: row.id,
        name,
        // This hub keeps none.
        labels: BTreeMap::new(),
        enrolled_at: row.enrolled_at,
        last_report_at: row.last_seen,
        freshness: row.freshness,
        products: row.products.iter().map(|product| of_product(product, messages)).collect(),
    }
}

fn of_product(row: &ProductRow, messages: bool) -> SiteProduct {
    let reason = |code: &str, message: &str| SiteReason {
        code: stable(code),
        message: messages.then(|| cut(message, SiteStatus::MAX_MESSAGE_CHARS)),
    };
    let waiting = row.waiting_on.iter().map(|waiting| reason(&waiting.gate, &waiting.message));
    let refused = row.why_not.iter().map(|why_not| reason(&why_not.code, &why_not.message));
    SiteProduct {
        product: row.product.clone(),
        channel: row.channel.clone(),
        arch: row.arch.clone(),
        version: row.version.clone(),
        target: row.target.clone(),
        phase: row.phase,
        since: row.since,
        progress: row.progress,
        health: row.health.verdict,
        drift: row.drift.clone(),
        failure: row.failure.as_ref().map(|failure| reason(&failure.kind, &failure.message)),
        reasons: waiting.chain(refused).take(SiteStatus::MAX_REASONS).collect(),
        accepted_risks: row.accepted_risks.iter().map(|risk| accepted(risk, messages)).collect(),
    }
}

/// Graphs name risks by one word; people of the site write into their agents what they like.
fn accepted(risk: &AcceptedRisk, messages: bool) -> SiteAcceptedRisk {
    SiteAcceptedRisk {
        name: if messages {
            cut(&risk.name, SiteStatus::MAX_WORD_CHARS)
        } else {
            word(&risk.name, |b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
        },
        reason: messages.then(|| cut(&risk.reason, SiteStatus::MAX_MESSAGE_CHARS)),
        until: risk.until,
    }
}

/// Codes come from agents: what is none is not let out as one.
fn stable(code: &str) -> String {
    word(code, |b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

/// A text that is one word of these bytes, and `other` for any other.
fn word(text: &str, belongs: impl Fn(u8) -> bool) -> String {
    let is_word = !text.is_empty() && text.len() <= MAX_CODE_BYTES && text.bytes().all(belongs);
    if is_word { text.to_owned() } else { "other".to_owned() }
}

fn cut(text: &str, max_chars: usize) -> String {
    if text.chars().count() <= max_chars {
        return text.to_owned();
    }
    let mut cut: String = text.chars().take(max_chars.saturating_sub(1)).collect();
    cut.push('…');
    cut
}

fn counts(rows: &[ClusterRow]) -> SiteCounts {
    let mut counts = SiteCounts::default();
    for row in rows {
        counts.clusters += 1;
        if !is_active(row.freshness) {
            continue;
        }
        counts.active += 1;
        match row.products.iter().map(|p| p.health.verdict).reduce(HealthVerdict::worst) {
            Some(HealthVerdict::Healthy) => counts.healthy += 1,
            Some(HealthVerdict::Unhealthy) => counts.unhealthy += 1,
            Some(HealthVerdict::Unknown) | None => counts.unknown += 1,
        }
    }
    counts
}

/// Which of two classes says less: what was silent at the site is silent here, however young the
/// file.
pub(super) fn staler(a: Freshness, b: Freshness) -> Freshness {
    let rank = |class| match class {
        Freshness::Fresh => 0,
        Freshness::Carried => 1,
        Freshness::Late => 2,
        Freshness::Silent => 3,
        Freshness::Gone => 4,
        Freshness::Never => 5,
        Freshness::Unknown => 6,
    };
    if rank(a) >= rank(b) { a } else { b }
}
