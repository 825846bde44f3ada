//! One release as a node: payload and metadata.

use std::collections::BTreeMap;

use super::members::Place;
use super::{CHANNELS_KEY, MANIFEST_KEY, SEVERITY_KEY, URL_KEY};
use crate::eol::EndOfLife;
use crate::graph::{BARRIER_KEY, DEAD_END_KEY, EOL_KEY, Node, RELEASE_KEY, TOMBSTONE_KEY};
use crate::names::Arch;
use crate::repository::ReleaseSource;
use crate::version::Minor;
use crate::wire::Severity;
use signing::Sha256Digest;

/// What all nodes of a release have in common.
#[derive(Debug)]
pub(super) struct About {
    /// The channels it is in, as metadata shows them.
    channels: String,
    /// Digest of its document as it is signed.
    document: Option<String>,
    /// The last day its line is supported.
    eol: Option<EndOfLife>,
}

/// The same for all releases; `listed` are the channels of each, `eol` the ends of their lines.
pub(super) fn about(
    releases: &[&ReleaseSource],
    listed: Vec<String>,
    eol: &BTreeMap<Minor, EndOfLife>,
) -> Vec<About> {
    // A document of ours can always be written; one that could not is never signed either.
    let digest = |bytes: Vec<u8>| Sha256Digest::of(&bytes).to_string();
    let document = |release: &&ReleaseSource| release.document.to_json().ok().map(digest);
    let about = |(release, channels): (&&ReleaseSource, String)| About {
        channels,
        document: document(release),
        eol: eol.get(&Minor::of(&release.document.version)).copied(),
    };
    releases.iter().zip(listed).map(about).collect()
}

/// The node of a release.
pub(super) fn node(release: &ReleaseSource, arch: &Arch, about: &About, place: &Place<'_>) -> Node {
    let About { channels, document: release_document, eol } = about;
    let document = &release.document;
    let mut metadata = BTreeMap::new();
    let mut add = |key: &str, value: &str| metadata.insert(key.to_owned(), value.to_owned());
    if let Some(url) = &document.url {
        add(URL_KEY, url);
    }
    if let Some(content) = document.arches.get(arch) {
        add(MANIFEST_KEY, &content.payload.digest.to_string());
    }
    if !channels.is_empty() {
        add(CHANNELS_KEY, channels);
    }
    if let Some(digest) = release_document {
        add(RELEASE_KEY, digest);
    }
    if let Some(word) = severity(document.severity) {
        add(SEVERITY_KEY, word);
    }
    if let Some(day) = eol {
        add(EOL_KEY, &day.to_string());
    }
    if place.tombstone {
        add(TOMBSTONE_KEY, "true");
    }
    if let Some(reason) = place.barrier {
        add(BARRIER_KEY, reason);
    }
    if let Some(reason) = place.dead_end {
        add(DEAD_END_KEY, reason);
    }
    let payload = release.payloads.get(arch).cloned().unwrap_or_default();
    Node { version: document.version.clone(), payload, metadata }
}

fn severity(severity: Severity) -> Option<&'static str> {
    match severity {
        Severity::None | Severity::Unknown => None,
        Severity::Low => Some("low"),
        Severity::Moderate => Some("moderate"),
        Severity::Important => Some("important"),
        Severity::Critical => Some("critical"),
    }
}
