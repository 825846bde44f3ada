//! Which clusters: by what they run, how they are and what they are called.

use channels::names::{ChannelName, ProductRef, SiteName};
use channels::rollout::Selector;
use channels::version::ReleaseVersion;

/// Everything given must hold.
#[derive(Debug, clap::Args)]
pub(super) struct Filters {
    /// Only clusters whose labels match: key=value, key!=value, `key in (a,b)`, key, !key, with
    /// commas between them
    #[arg(long, short = 'l')]
    pub(super) selector: Option<Selector>,
    /// Only clusters that run this product
    #[arg(long, value_name = "VENDOR/PRODUCT")]
    pub(super) product: Option<ProductRef>,
    /// Only clusters that follow this channel
    #[arg(long)]
    pub(super) channel: Option<ChannelName>,
    /// Only clusters on this version
    #[arg(long)]
    pub(super) version: Option<ReleaseVersion>,
    /// Only clusters in this phase (idle, waiting, mutate, soak, paused, …)
    #[arg(long)]
    pub(super) phase: Option<String>,
    /// Only clusters with this verdict (healthy, unhealthy, unknown)
    #[arg(long)]
    pub(super) health: Option<String>,
    /// Only clusters with this freshness (fresh, late, silent, gone, never; carried for those of dark
    /// sites)
    #[arg(long)]
    pub(super) freshness: Option<String>,
    /// Only clusters whose name starts so
    #[arg(long, value_name = "PREFIX")]
    pub(super) name: Option<String>,
    /// Only clusters of this dark site
    #[arg(long)]
    pub(super) site: Option<SiteName>,
}

impl Filters {
    /// What is given, as parameters of the list.
    pub(super) fn query(&self) -> Vec<(&'static str, String)> {
        let filters = [
            ("product", self.product.as_ref().map(ToString::to_string)),
            ("channel", self.channel.as_ref().map(ToString::to_string)),
            ("version", self.version.as_ref().map(ToString::to_string)),
            ("phase", self.phase.clone()),
            ("health", self.health.clone()),
            ("freshness", self.freshness.clone()),
            ("name", self.name.clone()),
            ("selector", self.selector.as_ref().map(ToString::to_string)),
            ("site", self.site.as_ref().map(ToString::to_string)),
        ];
        filters.into_iter().filter_map(|(key, value)| Some((key, value?))).collect()
    }
}
