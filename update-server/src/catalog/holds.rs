//! Holds and halted rollouts as plain Cincinnati clients see them: an `Always` risk on the edges they
//! cover.
//!
//! Only the body of the Cincinnati endpoint changes. The signed graph under `/tuf/` never does, and
//! agents learn of holds from the hub's directives.

use std::collections::{BTreeMap, BTreeSet};

use channels::graph::{Graph, GraphError, MatchingRule, Risk};
use channels::version::ReleaseVersion;
use channels::wire::{Hold, HoldScope};

use super::content::GraphKey;

/// Name of the risk; operators of plain clients accept or silence it by this name.
pub const HOLD_RISK: &str = "FairwayHold";

/// Page that explains the risk; Cincinnati clients refuse a risk without an address.
const HOLD_URL: &str = "https://fairway.dev/risks/hold";

/// A release whose rollout stands still, because a person or a gate stopped it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleaseStop {
    /// Graphs in which it is rolled out.
    pub graphs: BTreeSet<GraphKey>,
    /// The release.
    pub version: ReleaseVersion,
    /// What stopped it, for people.
    pub reason: String,
}

/// The holds that touch one graph, as reasons.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Held {
    /// Reasons to stop every move.
    everything: Vec<String>,
    /// Reasons to stop moves to one release.
    releases: BTreeMap<ReleaseVersion, Vec<String>>,
}

impl Held {
    /// Picks the active holds and stopped rollouts that touch the graph. Holds of one cluster touch
    /// none: a plain client does not say which cluster it is.
    pub(crate) fn on(key: &GraphKey, holds: &[Hold], stops: &[ReleaseStop]) -> Self {
        let mut held = Self::default();
        for stop in stops.iter().filter(|stop| stop.graphs.contains(key)) {
            held.releases.entry(stop.version.clone()).or_default().push(stop.reason.clone());
        }
        for hold in holds.iter().filter(|hold| hold.resumed_at.is_none()) {
            let reason = || hold.reason.clone();
            match &hold.scope {
                HoldScope::Fleet => held.everything.push(reason()),
                HoldScope::Product { product } if *product == key.product => {
                    held.everything.push(reason());
                }
                HoldScope::Channel { product, channel }
                    if *product == key.product && *channel == key.channel =>
                {
                    held.everything.push(reason());
                }
                HoldScope::Release { product, version } if *product == key.product => {
                    held.releases.entry(version.clone()).or_default().push(reason());
                }
                HoldScope::Product { .. }
                | HoldScope::Channel { .. }
                | HoldScope::Release { .. }
                | HoldScope::Cluster { .. } => {}
            }
        }
        held
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.everything.is_empty() && self.releases.is_empty()
    }

    /// What stops moves, for people: the release that nothing may move to, or none where every move
    /// is stopped, and why.
    pub(crate) fn reasons(&self) -> Vec<(Option<ReleaseVersion>, String)> {
        let everything = self.everything.iter().map(|reason| (None, reason.clone()));
        let releases = self.releases.iter().flat_map(|(version, reasons)| {
            reasons.iter().map(|reason| (Some(version.clone()), reason.clone()))
        });
        everything.chain(releases).collect()
    }

    /// The graph with one risk on every held edge, whose message names every reason.
    pub(crate) fn apply(&self, graph: &Graph) -> Result<Graph, GraphError> {
        let mut held = graph.clone();
        for (version, reasons) in &self.releases {
            let all = self.everything.iter().chain(reasons);
            held = held.with_risk(&risk(all), &|_, to| to == version)?;
        }
        if !self.everything.is_empty() {
            let elsewhere =
                |_: &ReleaseVersion, to: &ReleaseVersion| !self.releases.contains_key(to);
            held = held.with_risk(&risk(self.everything.iter()), &elsewhere)?;
        }
        Ok(held)
    }
}

fn risk<'a>(reasons: impl Iterator<Item = &'a String>) -> Risk {
    let reasons: Vec<&str> = reasons.map(String::as_str).collect();
    Risk {
        name: HOLD_RISK.to_owned(),
        message: reasons.join("; "),
        url: HOLD_URL.to_owned(),
        matching_rules: vec![MatchingRule::Always],
    }
}
