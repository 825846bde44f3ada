//! Graphs as Fedora `CoreOS` machines (Zincati and its like) ask for them.
//!
//! Such a client knows neither risks nor grants: it moves along any edge it is shown. So it is shown
//! plain edges alone, never one that carries a risk, a hold or a halt among them; and a release that
//! a rollout has opened to a share of the fleet is shown to that share of the clients. Everything
//! but [`Fcos`] is pure. What a client claims about itself decides nothing but its own place in the
//! line.

mod bodies;
mod document;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use channels::names::{Arch, ClusterId, NameError};
use channels::rollout::order::{self, FleetSalt};
use channels::rollout::share::Share;
use channels::version::ReleaseVersion;
use jiff::Timestamp;
use signing::Sha256Digest;

use crate::catalog::{Body, GraphEntry};
use crate::store::Committed;
use bodies::Bodies;

/// A release that is not open to everybody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limit {
    /// The release.
    pub release: ReleaseVersion,
    /// SHA-256 of its document: what places are drawn from.
    pub document: Sha256Digest,
    /// The share of plain clients that may see it; nobody at [`Share::NONE`].
    pub open: Share,
}

/// How far the rollouts of one graph have come.
#[derive(Debug, Clone)]
pub struct Limits {
    /// What makes places unpredictable to outsiders.
    pub salt: FleetSalt,
    /// Releases that are not open to everybody.
    pub releases: Vec<Limit>,
}

impl Limits {
    /// No policy governs the graph: everybody sees every release.
    pub fn none() -> Self {
        Self { salt: FleetSalt::from_bytes([0; 32]), releases: Vec::new() }
    }
}

/// Whoever knows how far rollouts have come.
pub trait OpenShares: Send + Sync {
    /// The limits in force for a graph at `now`. Called for every request: must be cheap.
    fn limits(&self, graph: &GraphEntry, now: Timestamp) -> Limits;
}

/// No rollouts: every release is open to everybody.
#[derive(Debug, Clone, Copy, Default)]
pub struct AllOpen;

impl OpenShares for AllOpen {
    fn limits(&self, _: &GraphEntry, _: Timestamp) -> Limits {
        Limits::none()
    }
}

/// Where a client stands in the line for a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// It said so itself: 0 first, 1 last.
    Chosen(Share),
    /// Drawn from its identity and the release, anew for every release.
    Drawn(ClusterId),
    /// It named neither: last.
    Last,
}

/// Millionths: the precision of a wariness.
const WARINESS_STEPS: u32 = 1_000_000;

/// The last place that there is: eligible only once everything is open.
fn last() -> Share {
    Share::from_steps(Share::ALL.steps() - 1)
}

impl Place {
    /// The place of a client with these parameters. As with the original, a wariness that is no
    /// number counts as none, and one out of range as the nearest in range.
    pub fn of(wariness: Option<&str>, node_uuid: Option<&str>) -> Self {
        if let Some(share) = wariness.and_then(parse_wariness) {
            return Self::Chosen(share);
        }
        match node_uuid.filter(|text| !text.is_empty()) {
            Some(text) => Self::Drawn(node(text)),
            None => Self::Last,
        }
    }

    fn share(self, limit: &Limit, salt: &FleetSalt) -> Share {
        match self {
            Self::Chosen(share) => share,
            Self::Drawn(node) => order::place(&limit.document, salt, node),
            Self::Last => last(),
        }
    }

    /// The releases this client may not see yet.
    pub fn hidden(self, limits: &Limits) -> BTreeSet<ReleaseVersion> {
        let closed = |limit: &&Limit| self.share(limit, &limits.salt) >= limit.open;
        limits.releases.iter().filter(closed).map(|limit| limit.release.clone()).collect()
    }
}

/// A number from 0 to 1 as a place.
fn parse_wariness(text: &str) -> Option<Share> {
    let number: f64 = text.trim().parse().ok().filter(|number: &f64| !number.is_nan())?;
    let steps = (number.clamp(0.0, 1.0) * f64::from(WARINESS_STEPS)).round();
    #[expect(
        clippy::as_conversions,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a whole number from 0 to a million"
    )]
    let share = Share::of_ratio(steps as u64, u64::from(WARINESS_STEPS));
    Some(share.min(last()))
}

/// A machine's identity: a UUID with or without dashes, else the first half of a digest.
fn node(text: &str) -> ClusterId {
    text.parse().unwrap_or_else(|_: NameError| {
        let digest = Sha256Digest::of(text.as_bytes());
        let mut bytes = [0; 16];
        bytes.iter_mut().zip(digest.as_bytes()).for_each(|(to, from)| *to = *from);
        ClusterId(uuid::Uuid::from_bytes(bytes))
    })
}

/// RPM's name of an architecture as Go's; one that is the same in both, or is Go's already, stays.
pub fn arch(basearch: &str) -> Result<Arch, NameError> {
    match basearch {
        "x86_64" => "amd64".parse(),
        "aarch64" => "arm64".parse(),
        other => other.parse(),
    }
}

impl OpenShares for Committed {
    fn limits(&self, graph: &GraphEntry, now: Timestamp) -> Limits {
        self.rollouts().limits(graph, now)
    }
}

/// Makes and keeps what such clients are answered. Cheap to clone; all clones share the bodies.
#[derive(Clone)]
pub struct Fcos {
    shares: Arc<dyn OpenShares>,
    bodies: Arc<Bodies>,
}

impl fmt::Debug for Fcos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fcos")
    }
}

impl Default for Fcos {
    fn default() -> Self {
        Self::new(Arc::new(AllOpen))
    }
}

impl Fcos {
    /// Graphs under the rollouts that `shares` knows of.
    pub fn new(shares: Arc<dyn OpenShares>) -> Self {
        Self { shares, bodies: Arc::default() }
    }

    /// The releases that a client in this place may not see yet.
    pub(crate) fn hidden(
        &self,
        place: Place,
        graph: &GraphEntry,
        now: Timestamp,
    ) -> BTreeSet<ReleaseVersion> {
        place.hidden(&self.shares.limits(graph, now))
    }

    /// The answer that was made of `shown` before, if it is still kept.
    pub(crate) fn ready(
        &self,
        shown: &Body,
        hidden: &BTreeSet<ReleaseVersion>,
    ) -> Option<Arc<Body>> {
        self.bodies.get(shown, hidden)
    }

    /// Makes the answer of `shown`, a graph as plain Cincinnati clients see it, and keeps it.
    /// Compresses: call it from a thread that may block.
    pub(crate) fn make(&self, shown: &Body, hidden: &BTreeSet<ReleaseVersion>) -> Arc<Body> {
        self.bodies.make(shown, hidden)
    }
}
