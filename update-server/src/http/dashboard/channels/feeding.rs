//! Which channels feed which.

use channels::names::ChannelName;

use crate::catalog::{Catalog, GraphEntry};
use crate::http::dashboard::natural::natural;

/// Whether the channel that feeds this one has a graph for the same architecture; an internal one
/// has none.
pub(super) fn feeder_has_graph(catalog: &Catalog, here: &GraphEntry) -> bool {
    let key = &here.key;
    here.graph
        .feeding()
        .is_some_and(|feeding| catalog.graph(&key.product, &feeding.name, &key.arch).is_some())
}

/// The channels of the product that name this one as their feeder.
pub(super) fn feeds(catalog: &Catalog, here: &GraphEntry) -> Vec<ChannelName> {
    let key = &here.key;
    let siblings =
        catalog.graphs().filter(|other| other.product == key.product && other.arch == key.arch);
    let fed = siblings.filter(|other| {
        let entry = catalog.graph(&other.product, &other.channel, &other.arch);
        let feeding = entry.as_ref().and_then(|entry| entry.graph.feeding());
        feeding.is_some_and(|feeding| feeding.name == key.channel)
    });
    let mut fed: Vec<ChannelName> = fed.map(|other| other.channel).collect();
    fed.sort_by_cached_key(|channel| natural(channel.as_str()));
    fed
}
