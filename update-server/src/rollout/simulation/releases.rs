//! What is served in a simulated world: one product, one graph, up to three releases.

use channels::version::ReleaseVersion;
use channels::wire::Drift;
use jiff::Timestamp;
use signing::{Sha256Digest, Sha256Hasher};

use crate::directive::ReleaseFacts;
use crate::fleet::GraphKey;
use crate::rollout::Offer;
use crate::served::Served;

#[derive(Debug, Clone)]
pub(in crate::rollout) struct Releases {
    pub(in crate::rollout) graph: GraphKey,
    pub(in crate::rollout) edges: Vec<(ReleaseVersion, ReleaseVersion)>,
}

pub(in crate::rollout) fn version(text: &str) -> ReleaseVersion {
    text.parse().unwrap()
}

impl Releases {
    pub(in crate::rollout) fn new() -> Self {
        let graph = GraphKey {
            product: "acme/kafka".parse().unwrap(),
            channel: "stable".parse().unwrap(),
            arch: "amd64".parse().unwrap(),
        };
        Self { graph, edges: vec![(version("1.0.0"), version("1.1.0"))] }
    }

    pub(in crate::rollout) fn head(&self) -> ReleaseVersion {
        self.edges.iter().map(|(_, to)| to.clone()).max().unwrap()
    }

    pub(in crate::rollout) fn best_from(&self, from: &ReleaseVersion) -> Option<ReleaseVersion> {
        self.edges.iter().filter(|(own, _)| own == from).map(|(_, to)| to.clone()).max()
    }

    pub(in crate::rollout) fn digest(&self, of: &ReleaseVersion) -> Option<Sha256Digest> {
        let known = self.edges.iter().any(|(from, to)| from == of || to == of);
        let mut hasher = Sha256Hasher::new();
        hasher.update(of.to_string().as_bytes());
        known.then(|| hasher.finish())
    }

    pub(in crate::rollout) fn heads(&self) -> Vec<Offer> {
        let version = self.head();
        let digest = self.digest(&version).unwrap();
        vec![Offer { graph: self.graph.clone(), version, digest }]
    }
}

impl Served for Releases {
    fn facts(&self, graph: &GraphKey, from: &ReleaseVersion, to: &ReleaseVersion) -> ReleaseFacts {
        let offered = *graph == self.graph && self.edges.iter().any(|(a, b)| a == from && b == to);
        ReleaseFacts { digest: self.digest(to), allowed: offered, offered }
    }

    fn drift(&self, _: &GraphKey, _: &ReleaseVersion, _: Timestamp) -> Drift {
        Drift::no_graph()
    }

    fn has_graph(&self, graph: &GraphKey) -> bool {
        *graph == self.graph
    }

    fn has_version(&self, _: &GraphKey, version: &ReleaseVersion) -> bool {
        self.digest(version).is_some()
    }

    fn generation(&self) -> u64 {
        0
    }

    fn timestamp_etag(&self) -> Option<String> {
        None
    }
}
