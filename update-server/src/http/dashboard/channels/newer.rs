//! Releases that wait elsewhere: newer than a channel's head, in other channels that go on from it.

use std::collections::BTreeMap;

use channels::names::ChannelName;
use channels::version::ReleaseVersion;

use crate::catalog::{Catalog, GraphEntry};
use crate::http::dashboard::natural::natural;

/// Oldest first, with the channels that have each. A channel without this one's head is another line,
/// whose releases are no news here; withdrawn ones wait for nothing.
pub(super) fn newer(
    catalog: &Catalog,
    here: &GraphEntry,
) -> Vec<(ReleaseVersion, Vec<ChannelName>)> {
    let Some(head) = here.graph.head() else { return Vec::new() };
    let mut found: BTreeMap<ReleaseVersion, Vec<ChannelName>> = BTreeMap::new();
    for entry in catalog.siblings(&here.key) {
        if entry.graph.node_index(head).is_none() {
            continue;
        }
        let ahead = entry.graph.nodes().iter().rev().take_while(|node| node.version > *head);
        let new = ahead
            .filter(|node| !node.is_tombstone() && here.graph.node_index(&node.version).is_none());
        for node in new {
            found.entry(node.version.clone()).or_default().push(entry.key.channel.clone());
        }
    }
    for channels in found.values_mut() {
        channels.sort_by_cached_key(|channel| natural(channel.as_str()));
    }
    found.into_iter().collect()
}
