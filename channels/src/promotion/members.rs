//! Which releases are in which channel, while promotions are tried out.

use std::collections::{BTreeMap, BTreeSet};

use super::Facts;
use crate::names::ChannelName;
use crate::repository::{ChannelSource, Feeder};
use crate::version::ReleaseVersion;

/// One channel, with what was promoted into it so far.
#[derive(Debug, Clone)]
pub(super) struct Channel<'a> {
    pub(super) versions: BTreeSet<&'a ReleaseVersion>,
    tombstones: BTreeSet<&'a ReleaseVersion>,
    pub(super) feeder: Option<&'a Feeder>,
}

/// All channels of a product, those that only feed others included.
pub(super) type Channels<'a> = BTreeMap<&'a ChannelName, Channel<'a>>;

/// The channels as their files say.
pub(super) fn channels<'a>(facts: &Facts<'a>) -> Channels<'a> {
    let product = facts.product;
    let sources = product.channels.values().chain(product.internal_channels.values());
    sources.map(|source: &ChannelSource| (&source.name, channel(source))).collect()
}

fn channel(source: &ChannelSource) -> Channel<'_> {
    Channel {
        versions: source.versions.iter().collect(),
        tombstones: source.tombstones.iter().collect(),
        feeder: source.feeder.as_ref(),
    }
}

impl Channel<'_> {
    /// Whether a release is a tombstone here; `4.2.0` withdraws `4.2.0+arm64` too.
    pub(super) fn withdrew(&self, version: &ReleaseVersion) -> bool {
        self.tombstones.contains(version) || self.tombstones.contains(&version.without_build())
    }
}

/// The nearest channel a release would come through, this one included, that withdrew it.
pub(super) fn withdrawn_in<'a>(
    channels: &Channels<'a>,
    channel: &'a ChannelName,
    version: &ReleaseVersion,
) -> Option<&'a ChannelName> {
    let mut seen = BTreeSet::new();
    let mut here = Some(channel);
    // Feeders may lead in a circle; each channel is looked at once.
    while let Some(name) = here.filter(|name| seen.insert(*name)) {
        let source = channels.get(name)?;
        if source.withdrew(version) {
            return Some(name);
        }
        here = source.feeder.map(|feeder| &feeder.name);
    }
    None
}
