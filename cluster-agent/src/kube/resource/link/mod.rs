//! Between the loop and the API server: what was read, what is shown, what is told.
//!
//! A task of its own ([`publisher`]) talks to the server, so that a slow one never delays a probe.

mod object;
mod publisher;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use channels::names::ProductRef;
use tokio::sync::{mpsc, watch};

use super::order::SpecError;
use super::spec::ClusterUpdateSpec;
use super::status::AgentStatus;
use super::transitions::Note;
use super::view::View;
use crate::kube::Kube;
use publisher::Publisher;

/// Moves of units that may wait to be told: a step has eight, and a round takes a second.
const TOLD_MAX: usize = 64;

/// One resource as it was read.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// Identity of the object.
    pub uid: String,
    /// Generation of its spec.
    pub generation: i64,
    /// Its spec, or why it is none.
    pub spec: Result<ClusterUpdateSpec, SpecError>,
}

/// What the last look found.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Read {
    /// A look has succeeded since the agent started: what is not found does not exist.
    pub complete: bool,
    /// Resources by the product that their name says.
    pub found: BTreeMap<ProductRef, Found>,
    /// Why the last look failed, if it did.
    pub trouble: Option<String>,
}

/// What is to be shown.
#[derive(Debug, Clone, PartialEq)]
pub struct Shown {
    /// This agent is the one that writes.
    pub acting: bool,
    /// Who it is.
    pub agent: AgentStatus,
    /// What is known of each product; a product that is missing is not shown yet.
    pub views: BTreeMap<ProductRef, View>,
    /// Products this agent is configured for.
    pub products: Vec<ProductRef>,
}

/// The loop's ends of the task.
#[derive(Debug)]
pub struct Link {
    read: watch::Receiver<Read>,
    shown: watch::Sender<Shown>,
    told: mpsc::Sender<(ProductRef, Note)>,
}

impl Link {
    /// Starts the task; it ends when the link is dropped. Resources are read every `period`.
    pub fn start(kube: Kube, period: Duration, shown: Shown) -> Self {
        let (reads, read) = watch::channel(Read::default());
        let (shown, showing) = watch::channel(shown);
        let (told, telling) = mpsc::channel(TOLD_MAX);
        tokio::spawn(Publisher::new(kube, period, reads, showing, telling).run());
        Self { read, shown, told }
    }

    /// What the last look found, if it found anything new since the last call.
    pub fn news(&mut self) -> Option<Read> {
        // An error means that the task is gone; then there is never news again.
        let changed = self.read.has_changed().unwrap_or(false);
        changed.then(|| self.read.borrow_and_update().clone())
    }

    /// Tells something that happened to a product. What does not fit is in the status all the same.
    pub fn tell(&self, product: &ProductRef, note: Note) {
        if self.told.try_send((product.clone(), note)).is_err() {
            tracing::debug!(%product, "too many events wait, one is dropped");
        }
    }

    /// Shows this from now on.
    pub fn show(&self, shown: Shown) {
        self.shown.send_if_modified(|old| {
            let differs = *old != shown;
            *old = shown;
            differs
        });
    }
}
