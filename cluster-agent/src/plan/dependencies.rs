//! Dependencies between products of one cluster, in both directions.
//!
//! A release may need others to run already, and must not take from others what they need. A
//! product in mid-roll satisfies nobody: nobody knows yet where it ends.

use channels::names::ProductRef;
use channels::version::ReleaseVersion;
use channels::wire::ReleaseDocument;

use super::target::Known;
use super::waiting_on::WaitingOn;
use crate::history::History;

/// What the release needs and does not find.
pub(super) fn unmet(
    history: &History,
    to: &ReleaseVersion,
    document: &ReleaseDocument,
) -> Option<WaitingOn> {
    document.dependencies.iter().find_map(|dependency| {
        let running = history.products.get(&dependency.product);
        let satisfied = running.is_some_and(|record| {
            record.roll.is_none() && dependency.requirement.matches(&record.version)
        });
        (!satisfied).then(|| WaitingOn::Dependency {
            to: to.clone(),
            product: dependency.product.clone(),
            requirement: dependency.requirement.clone(),
            running: running.map(|record| record.version.to_string()),
        })
    })
}

/// Another product whose running release needs something of `product` that `to` is not. A release
/// that was never verified here says nothing about its needs.
pub(super) fn broken(
    known: &Known,
    history: &History,
    product: &ProductRef,
    to: &ReleaseVersion,
) -> Option<WaitingOn> {
    history.products.iter().filter(|(other, _)| *other != product).find_map(|(other, record)| {
        let release = known.get(other)?.releases.get(&record.version)?.as_ref().ok()?;
        let mut needs = release.document.dependencies.iter();
        let need = needs.find(|d| d.product == *product && !d.requirement.matches(to))?;
        Some(WaitingOn::Dependant {
            to: to.clone(),
            product: other.clone(),
            version: record.version.clone(),
            requirement: need.requirement.clone(),
        })
    })
}
