//! A recorded scrape: one graph of all architectures, whose nodes are `x.y.z+arch`.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::convert::{Content, KnownRelease};
use super::suggestions::exactly;
use crate::compile::URL_KEY;
use crate::graph::{Graph, Node};
use crate::names::Arch;
use crate::repository::PullSpec;
use crate::version::ReleaseVersion;

/// Node metadata: the architecture, where a scrape says it.
const ARCH_KEY: &str = "io.openshift.upgrades.graph.release.arch";

/// What a scrape knows.
#[derive(Debug, Clone)]
pub struct Scrape {
    /// Releases by version without architecture.
    pub releases: BTreeMap<ReleaseVersion, KnownRelease>,
    /// Nodes that are left out: no architecture, or content that nothing tells.
    pub left_out: Vec<ReleaseVersion>,
    /// Edges `(from, to)` that are left out because they lead to an older version, or to the same:
    /// a way back is for the vendor to declare, not to be taken from a slip in an image.
    pub backward: Vec<(ReleaseVersion, ReleaseVersion)>,
}

/// Reads releases and their predecessors from a scrape.
///
/// A node without a payload (a version that only other releases name) takes its content from
/// `content`; where that knows nothing either, the node is left out and named in the answer.
/// A scrape holds no dates: all releases take `released_at`.
pub fn scraped_releases(scrape: &Graph, released_at: Timestamp, content: Content<'_>) -> Scrape {
    let mut releases: BTreeMap<ReleaseVersion, KnownRelease> = BTreeMap::new();
    let (mut left_out, mut backward) = (Vec::new(), Vec::new());
    let mut before: Vec<BTreeSet<ReleaseVersion>> = vec![BTreeSet::new(); scrape.nodes().len()];
    for (from, node) in scrape.nodes().iter().enumerate() {
        for (to, _) in scrape.offers_at(from) {
            let target = &scrape.nodes()[to].version;
            if node.version.semver().cmp_precedence(target.semver()).is_lt() {
                before[to].insert(node.version.without_build());
            } else {
                backward.push((node.version.clone(), target.clone()));
            }
        }
    }
    for (node, before) in scrape.nodes().iter().zip(before) {
        let version = node.version.without_build();
        let found = arch(node).and_then(|arch| {
            let payload: Option<PullSpec> = node.payload.parse().ok();
            let payload = payload.or_else(|| content(&version, &arch))?;
            Some((arch, payload))
        });
        let Some((arch, payload)) = found else {
            left_out.push(node.version.clone());
            continue;
        };
        let release =
            releases.entry(version).or_insert_with(|| KnownRelease::released_at(released_at));
        release.url = release.url.take().or_else(|| node.metadata.get(URL_KEY).cloned());
        release.payloads.insert(arch.clone(), payload);
        release.upgrade_from.insert(arch, before.iter().filter_map(exactly).collect());
    }
    Scrape { releases, left_out, backward }
}

fn arch(node: &Node) -> Option<Arch> {
    let named = node.metadata.get(ARCH_KEY).and_then(|name| name.parse().ok());
    named.or_else(|| node.version.semver().build.as_str().parse().ok())
}
