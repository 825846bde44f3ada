//! What is to be published, before anybody signed it: target paths and their bytes.

use std::collections::BTreeMap;

use channels::cincinnati;
use channels::compile::Compiled;
use channels::graph::Graph;
use channels::names::{Arch, ChannelName, ProductRef, VendorName};
use channels::wire::ReleaseDocument;
use signing::{NameError, TargetPath};

/// Content that cannot become a target.
#[derive(Debug, thiserror::Error)]
pub enum ContentError {
    /// The name does not make a target path.
    #[error("{path} is not a usable target path")]
    Path {
        /// The path.
        path: String,
        /// Why.
        #[source]
        source: NameError,
    },
    /// The document cannot be written as JSON.
    #[error("failed to write {path} as JSON")]
    Json {
        /// The path.
        path: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
}

/// Release documents and graphs of any number of products.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Content {
    targets: BTreeMap<TargetPath, Vec<u8>>,
}

/// The two kinds of targets, each signed by a role of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Releases,
    Channels,
}

impl Content {
    /// Adds everything of a compiled product.
    pub fn add_product(&mut self, product: &Compiled) -> Result<(), ContentError> {
        for release in &product.releases {
            self.add_release(release)?;
        }
        for (channel, arch, graph) in &product.graphs {
            self.add_graph(&product.product, channel, arch, graph)?;
        }
        Ok(())
    }

    /// Adds a release document under its own vendor, product and version.
    pub fn add_release(&mut self, release: &ReleaseDocument) -> Result<(), ContentError> {
        let path = ReleaseDocument::target_path(&release.product_ref(), &release.version);
        let bytes = release
            .to_json()
            .map_err(|source| ContentError::Json { path: path.clone(), source })?;
        self.add(path, bytes)
    }

    /// Adds the graph of one channel and architecture.
    pub fn add_graph(
        &mut self,
        product: &ProductRef,
        channel: &ChannelName,
        arch: &Arch,
        graph: &Graph,
    ) -> Result<(), ContentError> {
        let path = cincinnati::target_path(product, channel, arch);
        self.add(path, cincinnati::to_json(graph))
    }

    fn add(&mut self, path: String, bytes: Vec<u8>) -> Result<(), ContentError> {
        let target =
            TargetPath::new(path.clone()).map_err(|source| ContentError::Path { path, source })?;
        self.targets.insert(target, bytes);
        Ok(())
    }

    /// All targets.
    pub fn targets(&self) -> &BTreeMap<TargetPath, Vec<u8>> {
        &self.targets
    }

    /// Targets of one kind of one vendor.
    pub(super) fn of(
        &self,
        vendor: &VendorName,
        kind: Kind,
    ) -> impl Iterator<Item = (&TargetPath, &Vec<u8>)> {
        let suffix = match kind {
            Kind::Releases => ".release.json",
            Kind::Channels => ".graph.json",
        };
        self.targets.iter().filter(move |(path, _)| {
            vendor_of(path) == vendor.as_str() && path.as_str().ends_with(suffix)
        })
    }
}

/// First segment of a target path.
pub(super) fn vendor_of(path: &TargetPath) -> &str {
    path.as_str().split('/').next().unwrap_or_default()
}
