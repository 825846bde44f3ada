//! What the hub of a dark site tells the connected one: carried as a file, signed, readable.
//!
//! It travels as a `signing::Statement` of type [`SiteStatus::KIND`], signed by the site hub's
//! long-lived site key. It holds whole numbers only, because canonical JSON has no others, and no
//! unit by name. It never asks for anything: whoever reads it may show it, and nothing more.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use signing::Sha256Digest;

use super::people::{Drift, Freshness};
use super::release::{Critical, UnknownCritical};
use super::report::{HealthVerdict, Phase, Progress, Report};
use crate::names::{Arch, ChannelName, ClusterId, ProductRef, SiteName};
use crate::version::ReleaseVersion;

/// State of one site at one moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SiteStatus {
    /// Form of the document, [`SiteStatus::FORMAT`].
    pub format: u32,
    /// Fields that a reader must know.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub critical: Vec<String>,
    /// Which site.
    pub site: SiteName,
    /// Version of the site's update server.
    pub hub_version: String,
    /// Grows with every status of this site, across restored backups too: a lower one is old.
    pub sequence: u64,
    /// When it was made, by the clock of the site's hub.
    pub made_at: Timestamp,
    /// Seconds until the site means to send the next one.
    pub good_for_s: u64,
    /// What was left out before it was signed.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub redacted: BTreeSet<Redaction>,
    /// Sequence of the newest bundle that the site has imported, if its exporter said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newest_bundle: Option<u64>,
    /// What the site's mirror signed when that bundle was in, if its exporter had it at hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receipt: Option<BundleReceipt>,
    /// Sums over all clusters.
    pub counts: SiteCounts,
    /// What the site's hub serves, by product, channel and architecture.
    pub channels: Vec<SiteChannel>,
    /// Every cluster in force at the site, by id.
    pub clusters: Vec<SiteCluster>,
}

/// What the receipt of a bundle says. The receipt itself stays at the site, or goes back by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BundleReceipt {
    /// Name of the bundle.
    pub bundle: String,
    /// Its sequence.
    pub sequence: u64,
    /// Digest of its signed manifest, by which the connected side knows the bundle it made.
    pub manifest: Sha256Digest,
    /// When its import ended, by the clock of the site's mirror.
    pub imported_at: Timestamp,
    /// Whether everything that was asked for was in it and arrived.
    pub complete: bool,
    /// Digest of the signed receipt, to find it by.
    pub digest: Sha256Digest,
}

impl BundleReceipt {
    /// Checks every bound.
    ///
    /// # Errors
    /// Names what there is too much of.
    pub fn check(&self) -> Result<(), SiteStatusError> {
        word("characters of a bundle's name", &self.bundle)
    }
}

/// Something that a site may keep to itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Redaction {
    /// Names of clusters: a pseudonym stands in their place. Takes `messages` with it, because a
    /// sentence may hold a name.
    Names,
    /// Labels.
    Labels,
    /// Sentences of agents and people; the code of a reason stays.
    Messages,
    /// Something that a later release can leave out.
    #[serde(other)]
    Unknown,
}

impl Redaction {
    /// All that can be asked for.
    pub const ALL: [Self; 3] = [Self::Names, Self::Labels, Self::Messages];

    /// The name used on the wire and on command lines.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Names => "names",
            Self::Labels => "labels",
            Self::Messages => "messages",
            Self::Unknown => "unknown",
        }
    }
}

/// Not something that can be left out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{found:?} cannot be left out; names, labels and messages can")]
pub struct NotARedaction {
    /// What was read, cut to 40 characters.
    pub found: String,
}

impl std::str::FromStr for Redaction {
    type Err = NotARedaction;

    fn from_str(text: &str) -> Result<Self, NotARedaction> {
        Self::ALL
            .into_iter()
            .find(|redaction| redaction.as_str() == text)
            .ok_or_else(|| NotARedaction { found: text.chars().take(40).collect() })
    }
}

impl std::fmt::Display for Redaction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// Sums over a site's clusters.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SiteCounts {
    /// Clusters in force.
    pub clusters: u64,
    /// Heard of there within five of their report intervals; the others are silent there.
    pub active: u64,
    /// Active ones whose every product is healthy.
    pub healthy: u64,
    /// Active ones with an unhealthy product.
    pub unhealthy: u64,
    /// Active ones of which the site cannot tell.
    pub unknown: u64,
}

/// One graph that the site's hub serves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SiteChannel {
    /// Which product.
    pub product: ProductRef,
    /// Which channel.
    pub channel: ChannelName,
    /// Which architecture.
    pub arch: Arch,
    /// Its head there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head: Option<ReleaseVersion>,
    /// Digest of the graph's file: equal here and there means that the site is up to date.
    pub graph_digest: Sha256Digest,
}

/// One cluster of the site.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SiteCluster {
    /// Issued by the site's hub.
    pub id: ClusterId,
    /// Its name, or a pseudonym.
    pub name: String,
    /// What the site's people set on it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// When it enrolled there.
    pub enrolled_at: Timestamp,
    /// Its last report, by the clock of the site's hub.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_report_at: Option<Timestamp>,
    /// How fresh that was there.
    pub freshness: Freshness,
    /// Its products.
    pub products: Vec<SiteProduct>,
}

/// One product on one cluster of the site.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SiteProduct {
    /// Which product.
    pub product: ProductRef,
    /// The channel it follows.
    pub channel: ChannelName,
    /// Its architecture.
    pub arch: Arch,
    /// What it runs.
    pub version: ReleaseVersion,
    /// What it is moving to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<ReleaseVersion>,
    /// What it is doing.
    pub phase: Phase,
    /// Since when.
    pub since: Timestamp,
    /// How far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
    /// Its health.
    pub health: HealthVerdict,
    /// Distance to the head of its channel at the site.
    pub drift: Drift,
    /// Last failure that still matters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<SiteReason>,
    /// Why it is not moving, at most [`SiteStatus::MAX_REASONS`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<SiteReason>,
    /// Risks its owner takes there, at most [`Report::MAX_ACCEPTED_RISKS`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accepted_risks: Vec<SiteAcceptedRisk>,
}

/// A risk that the owner of a cluster takes there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SiteAcceptedRisk {
    /// The risk's name, as graphs have it.
    pub name: String,
    /// Why it is acceptable there, unless sentences were left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Until when; absent = until the entry is removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// One reason why a cluster is not moving.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SiteReason {
    /// Stable, `snake_case`: the gate, the hub's code or the kind of failure.
    pub code: String,
    /// The sentence for people, unless it was left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// A status that a reader must not use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SiteStatusError {
    /// A field that must not be skipped.
    #[error("it needs a newer release: {0}")]
    Critical(UnknownCritical),
    /// More of something than a reader keeps.
    #[error("{found} {what}, at most {max} are read")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// In the file.
        found: usize,
        /// The bound.
        max: usize,
    },
    /// One cluster twice.
    #[error("cluster {id} is listed twice")]
    Twice {
        /// Its id.
        id: ClusterId,
    },
}

impl SiteStatus {
    /// `_type` of the statement.
    pub const KIND: &'static str = "fairway-site-status";
    /// The form written by this version.
    pub const FORMAT: u32 = 1;
    /// Clusters of one site: many times a large one, and still a file that can be read whole.
    pub const MAX_CLUSTERS: usize = 5_000;
    /// Graphs of one site.
    pub const MAX_CHANNELS: usize = 10_000;
    /// Reasons per product: the first ones are what people look at.
    pub const MAX_REASONS: usize = 4;
    /// Longest sentence, in characters; longer ones are cut where the status is made.
    pub const MAX_MESSAGE_CHARS: usize = 400;
    /// Longest name, code, label or version in characters.
    pub const MAX_WORD_CHARS: usize = 253;
    /// Labels of one cluster.
    pub const MAX_LABELS: usize = 64;
    /// Largest file read: 3 KiB for each of [`SiteStatus::MAX_CLUSTERS`], indented for people.
    pub const MAX_BYTES: usize = 16 * 1024 * 1024;

    /// Checks the form and every bound; a status that was made by this release passes.
    ///
    /// # Errors
    /// Names the first thing that there is too much of, or that must not be skipped.
    pub fn check(&self) -> Result<(), SiteStatusError> {
        self.check_critical().map_err(SiteStatusError::Critical)?;
        at_most("clusters", self.clusters.len(), Self::MAX_CLUSTERS)?;
        at_most("channels", self.channels.len(), Self::MAX_CHANNELS)?;
        word("characters of the hub's version", &self.hub_version)?;
        self.receipt.as_ref().map_or(Ok(()), BundleReceipt::check)?;
        let mut ids = BTreeSet::new();
        for cluster in &self.clusters {
            if !ids.insert(cluster.id) {
                return Err(SiteStatusError::Twice { id: cluster.id });
            }
            word("characters of a name", &cluster.name)?;
            at_most("labels of a cluster", cluster.labels.len(), Self::MAX_LABELS)?;
            for (key, value) in &cluster.labels {
                word("characters of a label", key)?;
                word("characters of a label", value)?;
            }
            at_most("products of a cluster", cluster.products.len(), Report::MAX_PRODUCTS)?;
            cluster.products.iter().try_for_each(check_sentences)?;
        }
        Ok(())
    }
}

fn check_sentences(product: &SiteProduct) -> Result<(), SiteStatusError> {
    at_most("reasons of a product", product.reasons.len(), SiteStatus::MAX_REASONS)?;
    for reason in product.reasons.iter().chain(&product.failure) {
        word("characters of a reason's code", &reason.code)?;
        sentence(reason.message.as_deref())?;
    }
    let risks = &product.accepted_risks;
    at_most("accepted risks of a product", risks.len(), Report::MAX_ACCEPTED_RISKS)?;
    for risk in risks {
        word("characters of a risk's name", &risk.name)?;
        sentence(risk.reason.as_deref())?;
    }
    Ok(())
}

fn at_most(what: &'static str, found: usize, max: usize) -> Result<(), SiteStatusError> {
    if found <= max { Ok(()) } else { Err(SiteStatusError::TooMany { what, found, max }) }
}

fn word(what: &'static str, text: &str) -> Result<(), SiteStatusError> {
    at_most(what, text.chars().count(), SiteStatus::MAX_WORD_CHARS)
}

/// One that was left out has no characters.
fn sentence(text: Option<&str>) -> Result<(), SiteStatusError> {
    let chars = text.unwrap_or_default().chars().count();
    at_most("characters of a sentence", chars, SiteStatus::MAX_MESSAGE_CHARS)
}

impl Critical for SiteStatus {
    fn check_critical(&self) -> Result<(), UnknownCritical> {
        /// Every field of this form may be named: all of them are read.
        const KNOWN: [&str; 11] = [
            "site",
            "hub_version",
            "sequence",
            "made_at",
            "good_for_s",
            "redacted",
            "newest_bundle",
            "receipt",
            "counts",
            "channels",
            "clusters",
        ];
        if self.format != Self::FORMAT {
            return Err(UnknownCritical { field: format!("format={}", self.format) });
        }
        match self.critical.iter().find(|field| !KNOWN.contains(&field.as_str())) {
            Some(field) => Err(UnknownCritical { field: field.clone() }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn golden() -> SiteStatus {
        serde_json::from_str(include_str!("../../golden/v1/site-status.json")).unwrap()
    }

    #[test]
    fn what_is_written_today_passes_its_own_check() {
        assert_eq!(golden().check(), Ok(()));
    }

    #[test]
    fn a_form_or_a_field_nobody_knows_is_refused() {
        let newer = SiteStatus { format: 2, ..golden() };
        let field = "format=2".to_owned();
        assert_eq!(newer.check(), Err(SiteStatusError::Critical(UnknownCritical { field })));
        let field = "quarantine".to_owned();
        let newer = SiteStatus { critical: vec!["site".to_owned(), field.clone()], ..golden() };
        assert_eq!(newer.check(), Err(SiteStatusError::Critical(UnknownCritical { field })));
    }

    #[test]
    fn one_cluster_twice_is_refused() {
        let mut status = golden();
        let first = status.clusters[0].clone();
        let id = first.id;
        status.clusters.push(first);
        assert_eq!(status.check(), Err(SiteStatusError::Twice { id }));
    }

    #[test]
    fn every_bound_holds_where_it_is_and_not_one_above() {
        let max = SiteStatus::MAX_MESSAGE_CHARS;
        for (chars, good) in [(max, true), (max + 1, false)] {
            let mut status = golden();
            status.clusters[0].products[0].reasons[0].message = Some("é".repeat(chars));
            assert_eq!(status.check().is_ok(), good, "{chars} characters");
        }
        let max = SiteStatus::MAX_WORD_CHARS;
        for (chars, good) in [(max, true), (max + 1, false)] {
            let mut status = golden();
            status.clusters[0].name = "n".repeat(chars);
            assert_eq!(status.check().is_ok(), good, "{chars} characters");
        }
        for (products, good) in [(Report::MAX_PRODUCTS, true), (Report::MAX_PRODUCTS + 1, false)] {
            let mut status = golden();
            let one = status.clusters[0].products[0].clone();
            status.clusters[0].products = vec![one; products];
            assert_eq!(status.check().is_ok(), good, "{products} products");
        }
    }

    #[test]
    fn what_can_be_left_out_is_asked_for_by_its_name() {
        for redaction in Redaction::ALL {
            assert_eq!(redaction.as_str().parse(), Ok(redaction));
        }
        assert!("unknown".parse::<Redaction>().is_err());
        assert!("Names".parse::<Redaction>().is_err());
    }
}
