//! A graph as a hub serves it.

use channels::cincinnati;
use channels::diff::without_risk;
use channels::graph::Graph;
use channels::names::{Arch, ChannelName, ProductRef};

use super::{Hub, segment};
use crate::error::{CliError, Result};

impl Hub {
    /// The graph of a channel as it was signed: a hold is shown to plain clients as a risk, and that
    /// one is taken out.
    pub(crate) async fn graph(
        &self,
        product: &ProductRef,
        channel: &ChannelName,
        arch: &Arch,
    ) -> Result<Graph> {
        let (vendor, name) = (segment(product.vendor.as_str()), segment(product.product.as_str()));
        let path = format!("api/upgrades_info/{vendor}/{name}/v1/graph");
        let query = [("channel", channel.to_string()), ("arch", arch.to_string())];
        let document: serde_json::Value = self.get(&path, &query).await?;
        let unusable = |error: &(dyn std::error::Error + 'static)| {
            CliError::because(format!("the hub's graph {product} {channel} {arch}"), error)
        };
        let bytes = serde_json::to_vec(&document).map_err(|error| unusable(&error))?;
        let graph = cincinnati::from_json(&bytes).map_err(|error| unusable(&error))?;
        without_risk(&graph, update_server::catalog::HOLD_RISK).map_err(|error| unusable(&error))
    }
}
