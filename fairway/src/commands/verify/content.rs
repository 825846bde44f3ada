//! Reads verified targets as an agent does: a document must be what its path says.

use std::collections::BTreeMap;

use channels::cincinnati::{self, TargetKind};
use channels::graph::Graph;
use channels::names::ProductRef;
use channels::version::ReleaseVersion;
use channels::wire::{Critical as _, ReleaseDocument};
use signing::Attack;

use super::Fault;
use crate::error::chain;

/// Everything readable.
#[derive(Debug, Default)]
pub(super) struct Contents {
    releases: BTreeMap<(ProductRef, ReleaseVersion), ReleaseDocument>,
    graphs: Vec<(String, ProductRef, Graph)>,
}

impl Contents {
    /// Reads one target; what cannot be used becomes a fault.
    pub(super) fn add(&mut self, path: &str, bytes: &[u8], faults: &mut Vec<Fault>) {
        if let Err((message, attack)) = self.read(path, bytes) {
            let attack = attack.map(|attack| attack.to_string());
            faults.push(Fault { what: path.to_owned(), message, attack });
        }
    }

    fn read(&mut self, path: &str, bytes: &[u8]) -> Result<(), (String, Option<Attack>)> {
        let malformed = |error: &(dyn std::error::Error + 'static)| (chain(error), None);
        match cincinnati::parse_target_path(path) {
            Some(TargetKind::Release { product, version }) => {
                let document: ReleaseDocument =
                    serde_json::from_slice(bytes).map_err(|error| malformed(&error))?;
                document.check_critical().map_err(|error| malformed(&error))?;
                if document.product_ref() != product || document.version != version {
                    let found = format!("{} {}", document.product_ref(), document.version);
                    let message = format!("the document is about {found}");
                    return Err((message, Some(Attack::WrongSoftware)));
                }
                self.releases.insert((product, version), document);
            }
            Some(TargetKind::Graph { product, channel, arch }) => {
                let graph = cincinnati::from_json(bytes).map_err(|error| malformed(&error))?;
                let fits = graph.origin().is_none_or(|origin| {
                    origin.product == product && origin.channel == channel && origin.arch == arch
                });
                if !fits {
                    let message = "the graph says it is another one".to_owned();
                    return Err((message, Some(Attack::WrongSoftware)));
                }
                self.graphs.push((path.to_owned(), product, graph));
            }
            None => return Err(("no agent asks for a file of this name".to_owned(), None)),
        }
        Ok(())
    }

    /// How many release documents were read.
    pub(super) fn releases(&self) -> usize {
        self.releases.len()
    }

    /// How many graphs were read.
    pub(super) fn graphs(&self) -> usize {
        self.graphs.len()
    }

    /// Edges offered and not allowed by the target's release document, or to no release at all.
    pub(super) fn refused_edges(&self) -> Vec<String> {
        let mut refused = Vec::new();
        for (path, product, graph) in &self.graphs {
            let version = |index: usize| graph.nodes().get(index).map(|node| &node.version);
            let conditional = graph.conditional().iter().flat_map(|group| &group.edges);
            for &(from, to) in graph.edges().iter().chain(conditional) {
                let (Some(from), Some(to)) = (version(from), version(to)) else { continue };
                let release = self.releases.get(&(product.clone(), to.clone()));
                if !release.is_some_and(|release| release.allows_from(from)) {
                    refused.push(format!("{from} -> {to} of {path}"));
                }
            }
        }
        refused
    }
}
