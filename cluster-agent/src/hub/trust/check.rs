//! The checks beyond TUF, each a pure function.

use channels::cincinnati;
use channels::graph::{Graph, Node, Origin};
use channels::names::{Arch, ChannelName, ProductRef};
use channels::version::ReleaseVersion;
use channels::wire::{Critical as _, ReleaseDocument, UnknownCritical};
use serde::Deserialize;
use signing::{RoleName, TargetPath};

use super::{TrustError, VerifiedGraph, VerifiedRelease};

/// What can be read of a release document of any form.
#[derive(Deserialize)]
struct Form {
    format: u32,
}

/// Only the vendor's role for this kind of document may sign it: a stolen channels key must not
/// be able to add a release, whatever the delegations let it list.
pub(super) fn signer(
    path: &TargetPath,
    found: &RoleName,
    expected: &str,
) -> Result<(), TrustError> {
    if super::role(expected).as_ref() == Some(found) {
        return Ok(());
    }
    let (path, found, expected) = (path.clone(), found.clone(), expected.to_owned());
    Err(TrustError::WrongSigner { path, found, expected })
}

/// Reads a release document and compares it with the path it came under.
pub(super) fn release(
    path: &TargetPath,
    bytes: &[u8],
    product: &ProductRef,
    version: &ReleaseVersion,
) -> Result<ReleaseDocument, TrustError> {
    let critical = |source| TrustError::Critical { path: path.clone(), source };
    let document: ReleaseDocument = match serde_json::from_slice(bytes) {
        Ok(document) => document,
        Err(source) => {
            // A later form may not even read; its number says more than the reader's complaint.
            if let Ok(Form { format }) = serde_json::from_slice(bytes)
                && format != ReleaseDocument::FORMAT
            {
                return Err(critical(UnknownCritical { field: format!("format={format}") }));
            }
            return Err(TrustError::Malformed { path: path.clone(), source });
        }
    };
    document.check_critical().map_err(critical)?;
    if document.product_ref() != *product || document.version != *version {
        let found = format!("{} {}", document.product_ref(), document.version);
        return Err(TrustError::WrongSoftware { path: path.clone(), found });
    }
    Ok(document)
}

/// Reads a graph and compares it with the path it came under.
pub(super) fn graph(
    path: &TargetPath,
    bytes: &[u8],
    product: &ProductRef,
    channel: &ChannelName,
    arch: &Arch,
) -> Result<Graph, TrustError> {
    let graph = cincinnati::from_json(bytes)
        .map_err(|source| TrustError::Graph { path: path.clone(), source })?;
    let expected =
        Origin { product: product.clone(), channel: channel.clone(), arch: arch.clone() };
    match graph.origin() {
        Some(origin) if *origin != expected => {
            let found = format!("{} {} {}", origin.product, origin.channel, origin.arch);
            Err(TrustError::WrongSoftware { path: path.clone(), found })
        }
        Some(_) | None => Ok(graph),
    }
}

/// Where the graph names the release document, it must be this one: a thief of the releases key
/// alone could otherwise exchange a release that is offered already. Graphs of older publishers
/// name none.
pub(super) fn pinned(graph: &VerifiedGraph, release: &VerifiedRelease) -> Result<(), TrustError> {
    let version = &release.document.version;
    let named = graph.graph.node(version).and_then(Node::release_document);
    let found = release.digest.to_string();
    match named {
        Some(named) if named != found => {
            let (version, expected) = (version.clone(), named.to_owned());
            Err(TrustError::OtherRelease { version, found, expected })
        }
        Some(_) | None => Ok(()),
    }
}

/// An edge needs both: the channel's offer and the release's consent.
pub(super) fn edge(
    graph: &VerifiedGraph,
    from: &ReleaseVersion,
    release: &VerifiedRelease,
) -> Result<(), TrustError> {
    let document = &release.document;
    let to = &document.version;
    if document.product_ref() != graph.product {
        let (release, graph) = (document.product_ref(), graph.product.clone());
        return Err(TrustError::OtherProduct { release, graph });
    }
    if !graph.graph.targets_of(from).iter().any(|offer| offer.to == to) {
        return Err(TrustError::NotOffered { from: from.clone(), to: to.clone() });
    }
    pinned(graph, release)?;
    if !document.allows_from(from) {
        return Err(TrustError::NotInUpgradeFrom { from: from.clone(), to: to.clone() });
    }
    Ok(())
}
