//! TUF target paths of graphs and release documents.

use crate::names::{Arch, ChannelName, ProductRef};
use crate::version::ReleaseVersion;

/// What a target path holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TargetKind {
    /// `<vendor>/<product>/<version>.release.json`, signed by `<vendor>.releases`.
    Release {
        /// The product.
        product: ProductRef,
        /// The release.
        version: ReleaseVersion,
    },
    /// `<vendor>/<product>/<channel>.<arch>.graph.json`, signed by `<vendor>.channels`.
    Graph {
        /// The product.
        product: ProductRef,
        /// The channel.
        channel: ChannelName,
        /// The architecture.
        arch: Arch,
    },
}

/// The target path of a graph.
pub fn target_path(product: &ProductRef, channel: &ChannelName, arch: &Arch) -> String {
    format!("{product}/{channel}.{arch}.graph.json")
}

/// Reads a target path; `None` for anything that is not exactly one of the two shapes.
pub fn parse_target_path(path: &str) -> Option<TargetKind> {
    let (product, file) = path.rsplit_once('/')?;
    let product: ProductRef = product.parse().ok()?;
    if let Some(version) = file.strip_suffix(".release.json") {
        return Some(TargetKind::Release { product, version: version.parse().ok()? });
    }
    let (channel, arch) = file.strip_suffix(".graph.json")?.rsplit_once('.')?;
    Some(TargetKind::Graph { product, channel: channel.parse().ok()?, arch: arch.parse().ok()? })
}
