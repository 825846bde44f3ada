//! One release as a node: payload and metadata.

use std::collections::BTreeMap;

use super::members::Place;
use super::{CHANNELS_KEY, MANIFEST_KEY, SEVERITY_KEY, URL_KEY};
use crate::graph::{BARRIER_KEY, DEAD_END_KEY, Node, TOMBSTONE_KEY};
use crate::names::Arch;
use crate::repository::ReleaseSource;
use crate::wire::Severity;

/// The node of a release; `channels` are those it is in, as metadata shows them.
pub(super) fn node(
    release: &ReleaseSource,
    arch: &Arch,
    channels: &str,
    place: &Place<'_>,
) -> Node {
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
    if let Some(word) = severity(document.severity) {
        add(SEVERITY_KEY, word);
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
