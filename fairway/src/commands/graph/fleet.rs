//! How many clusters of the real fleet run which version, asked of the hub.

use std::collections::BTreeMap;

use channels::diff::Fleet;
use channels::names::{Arch, ChannelName, ProductRef};
use channels::wire::DriftAnswer;

use crate::error::Result;
use crate::hub::{Hub, HubArgs};
use crate::out::Out;

/// One graph of one product.
pub(super) type Key = (ProductRef, ChannelName, Arch);

/// The fleet by graph.
#[derive(Debug, Default)]
pub(crate) struct Counted {
    fleets: BTreeMap<Key, Fleet>,
    /// Clusters that are silent and in none of the counts.
    silent: u64,
}

impl Counted {
    /// The clusters on one graph.
    pub(super) fn on(&self, key: &Key) -> Option<&Fleet> {
        self.fleets.get(key)
    }

    /// Silent clusters, which are in none of the counts.
    pub(super) fn silent(&self) -> u64 {
        self.silent
    }
}

/// The fleet, where a hub is named. A hub that cannot be asked is a warning: what people decide from
/// their files they can decide without it.
pub(crate) async fn count(args: &HubArgs, out: &mut Out) -> Result<Option<Counted>> {
    if !args.names_a_hub() {
        return Ok(None);
    }
    let answer = async {
        let hub = Hub::new(&args.connection(None)?)?;
        hub.get::<DriftAnswer>("api/v1/drift", &[]).await
    };
    match answer.await {
        Ok(answer) => Ok(Some(counted(answer))),
        Err(error) => {
            out.warn(&format!("the fleet is not counted: {error}"))?;
            Ok(None)
        }
    }
}

fn counted(answer: DriftAnswer) -> Counted {
    let mut counted = Counted::default();
    for item in answer.items {
        counted.silent = counted.silent.saturating_add(item.silent);
        let counts = item.versions.into_iter().map(|count| (count.version, count.clusters));
        counted.fleets.insert((item.product, item.channel, item.arch), Fleet::new(counts));
    }
    counted
}
