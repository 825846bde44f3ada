//! The agent's mind at one moment, as far as it is shown. Pure values, made once per turn.

use channels::names::{PoolName, ProductRef};
use channels::wire::{HealthVerdict, ProductState, Role};
use jiff::Timestamp;

use super::tally::{GateTally, ScrapeTally};
use crate::agent::Core;
use crate::history::{Completed, Roll};
use crate::kube::resource::{ClusterUpdateStatus, Condition, ConditionStatus, SpecView, View};
use crate::observation::UnitKey;

/// Completed moves shown: the newest, and the oldest for the version it all began with.
#[derive(Debug, Clone, PartialEq)]
pub struct Moves {
    /// The newest completed one.
    pub newest: Option<Completed>,
    /// The oldest one remembered.
    pub oldest: Option<Completed>,
    /// The one under way.
    pub roll: Option<Roll>,
}

/// One of the six conditions of a `ClusterVersion`, where it can be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConditionSnapshot {
    /// Its name.
    pub name: String,
    /// Whether it holds.
    pub holds: bool,
    /// Why, in one word.
    pub reason: String,
}

/// One product.
#[derive(Debug, Clone, PartialEq)]
pub struct ProductSnapshot {
    /// As it is reported, without its units.
    pub state: ProductState,
    /// Its moves.
    pub moves: Moves,
    /// Releases its channel offers without a risk; `None` while no graph is verified.
    pub available: Option<usize>,
    /// Whether the last look at its metadata failed.
    pub metadata_failed: bool,
    /// Its conditions, but those that are unknown.
    pub conditions: Vec<ConditionSnapshot>,
}

/// One unit.
#[derive(Debug, Clone, PartialEq)]
pub struct UnitSnapshot {
    /// Which.
    pub key: UnitKey,
    /// Its role.
    pub role: Role,
    /// Its pool.
    pub pool: PoolName,
    /// Its health.
    pub verdict: HealthVerdict,
    /// The version it reports.
    pub version: Option<String>,
    /// Its quorum lag, milliseconds.
    pub quorum_lag_ms: Option<u64>,
    /// Its PLEG lag, milliseconds.
    pub pleg_lag_ms: Option<u64>,
    /// When its page was last read.
    pub last_page_at: Option<Timestamp>,
}

/// What the loop knows beside its core.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Facts {
    /// The configured name of the cluster.
    pub cluster: String,
    /// Where metadata comes from.
    pub upstream: String,
    /// Whether the agent reports, and so needs grants.
    pub reports: bool,
    /// When the agent started.
    pub started_at: Option<Timestamp>,
    /// When a report was last answered.
    pub answered_at: Option<Timestamp>,
    /// When metadata last verified.
    pub verified_at: Option<Timestamp>,
    /// Fetches of pages.
    pub scrapes: ScrapeTally,
    /// Decisions of gates.
    pub gates: GateTally,
}

/// Everything that is shown.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a gauge of its own")]
pub struct Snapshot {
    /// When it was made.
    pub at: Timestamp,
    /// What the loop knows.
    pub facts: Facts,
    /// When the cluster was last observed.
    pub observed_at: Option<Timestamp>,
    /// Whether the roll is paused until a person resumes it.
    pub paused: bool,
    /// Whether a person holds the cluster.
    pub held: bool,
    /// Whether the last report was not answered.
    pub hub_silent: bool,
    /// Whether the hub refuses the cluster's key.
    pub key_refused: bool,
    /// The unit that is out.
    pub out: Option<UnitKey>,
    /// Products by name.
    pub products: Vec<ProductSnapshot>,
    /// Units by name.
    pub units: Vec<UnitSnapshot>,
}

impl Snapshot {
    /// The core as it is, with the states it reports.
    pub fn of(core: &Core, states: &[ProductState], facts: Facts, now: Timestamp) -> Self {
        let units = core.observation.iter().flat_map(|seen| &seen.units);
        Self {
            at: now,
            facts,
            observed_at: core.observation.as_ref().map(|seen| seen.at),
            paused: core.history.pause.is_some(),
            held: core.standing.hold.is_some(),
            hub_silent: core.standing.hub_error.is_some(),
            key_refused: core.standing.disowned.is_some(),
            out: core.history.out.as_ref().map(|out| out.key().clone()),
            products: states.iter().map(|state| product(core, state)).collect(),
            units: units
                .map(|(key, unit)| UnitSnapshot {
                    key: key.clone(),
                    role: unit.role,
                    pool: unit.pool.clone(),
                    verdict: unit.verdict,
                    version: unit.version.clone(),
                    quorum_lag_ms: unit.quorum_lag_ms,
                    pleg_lag_ms: unit.pleg_lag_ms,
                    last_page_at: unit.last_good,
                })
                .collect(),
        }
    }

    /// What is missing before the agent can do its work; empty = it is ready.
    pub fn unready(&self) -> Vec<&'static str> {
        let missing = [
            (self.observed_at.is_none(), "the cluster has not been observed yet"),
            (self.facts.verified_at.is_none(), "no metadata has been verified since the start"),
            (self.key_refused, "the hub refuses this cluster's key"),
        ];
        missing.into_iter().filter_map(|(is_missing, why)| is_missing.then_some(why)).collect()
    }
}

fn product(core: &Core, state: &ProductState) -> ProductSnapshot {
    let name: &ProductRef = &state.product;
    let record = core.history.products.get(name);
    let known = core.known.get(name);
    let graph = known.and_then(|known| known.graph.as_ref());
    let offered = |graph: &channels::graph::Graph| {
        graph.targets_of(&state.version).iter().filter(|offer| offer.risks.is_empty()).count()
    };
    ProductSnapshot {
        state: ProductState { units: vec![], ..state.clone() },
        moves: Moves {
            newest: record.and_then(|record| record.completed.last().cloned()),
            oldest: record.and_then(|record| record.completed.first().cloned()),
            roll: record.and_then(|record| record.roll.clone()),
        },
        available: graph.map(|graph| offered(graph)),
        metadata_failed: known.is_some_and(|known| known.failure.is_some()),
        conditions: conditions(core, state),
    }
}

/// Judged as for the resource, whether or not there is one.
fn conditions(core: &Core, state: &ProductState) -> Vec<ConditionSnapshot> {
    let Some(view) = View::of(core, state, SpecView::default(), "") else { return vec![] };
    let status = ClusterUpdateStatus::of(&view, None, state.since);
    let known = |condition: Condition| {
        let holds = match condition.status {
            ConditionStatus::True => true,
            ConditionStatus::False => false,
            ConditionStatus::Unknown => return None,
        };
        Some(ConditionSnapshot { name: condition.type_, holds, reason: condition.reason })
    };
    status.conditions.into_iter().filter_map(known).collect()
}
