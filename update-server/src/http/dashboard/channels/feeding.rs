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
    let siblings = catalog.siblings(&here.key).into_iter();
    let fed = siblings.filter(|other| {
        other.graph.feeding().is_some_and(|feeding| feeding.name == here.key.channel)
    });
    let mut fed: Vec<ChannelName> = fed.map(|other| other.key.channel.clone()).collect();
    fed.sort_by_cached_key(|channel| natural(channel.as_str()));
    fed
}
