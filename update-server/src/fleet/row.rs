//! A cluster in memory: small fixed fields for filters and counters, the rest as JSON.
//!
//! Times are kept to the millisecond and lags as 32 bits with a marker for "absent": at a million
//! clusters every eight bytes per product are 16 MB.

use channels::names::{ClusterId, UnitName};
use channels::wire::{
    AgentInstance, Failure, Freshness, Grant, HealthSummary, HealthVerdict, Phase, Progress,
    Reason, WaitingOn,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::record::{ClusterKey, FormerKey, ProductRecord};

/// Marks an absent time; no real timestamp in milliseconds reaches it.
const NO_TIME: i64 = i64::MIN;
/// Marks an absent lag; a real one saturates one below (49 days).
const NO_LAG: u32 = u32::MAX;
/// Marks an absent version number.
pub(super) const NO_VERSION: u32 = u32::MAX;

/// A time in 8 bytes, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp(i64);

impl Stamp {
    pub(super) fn of(time: Option<Timestamp>) -> Self {
        Self(time.map_or(NO_TIME, Timestamp::as_millisecond))
    }

    pub(super) fn get(self) -> Option<Timestamp> {
        if self.0 == NO_TIME { None } else { Timestamp::from_millisecond(self.0).ok() }
    }
}

#[derive(Debug, Clone, Copy)]
struct Lag(u32);

impl Lag {
    fn of(lag_ms: Option<u64>) -> Self {
        Self(lag_ms.map_or(NO_LAG, |ms| u32::try_from(ms).unwrap_or(NO_LAG).min(NO_LAG - 1)))
    }

    fn get(self) -> Option<u64> {
        (self.0 != NO_LAG).then(|| u64::from(self.0))
    }
}

/// One cluster.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) id: ClusterId,
    pub(super) key: ClusterKey,
    /// Few clusters ever have another key: a pointer's width for the others.
    pub(super) former: Option<Box<FormerKey>>,
    pub(super) elder: Option<Box<FormerKey>>,
    pub(super) name: Box<str>,
    /// Number of its label set.
    pub(super) labels: u32,
    /// Number of its settings.
    pub(super) settings: u32,
    pub(super) agent_version: Box<str>,
    pub(super) enrolled_at: Stamp,
    pub(super) retired_at: Stamp,
    pub(super) last_seen: Stamp,
    pub(super) seq: u64,
    /// 0 stands for none: an agent that draws it is one that names none.
    pub(super) instance: u64,
    pub(super) conflict_since: Stamp,
    pub(super) generation: u64,
    pub(super) grant: Option<Box<Grant>>,
    /// Class at the last report or sweep: what the counters counted it as.
    pub(super) freshness: Freshness,
    pub(super) products: Box<[Product]>,
}

impl Row {
    /// The keys before the one in force.
    pub(super) fn ended(&self) -> impl Iterator<Item = &FormerKey> {
        self.former.as_deref().into_iter().chain(self.elder.as_deref())
    }

    pub(super) fn is_retired(&self) -> bool {
        self.retired_at.get().is_some()
    }

    pub(super) fn instance(&self) -> Option<AgentInstance> {
        (self.instance != 0).then_some(AgentInstance(self.instance))
    }

    /// Worst verdict over its products; `None` without products.
    pub(super) fn verdict(&self) -> Option<HealthVerdict> {
        self.products.iter().map(|p| p.verdict).reduce(HealthVerdict::worst)
    }
}

/// One product of a cluster.
#[derive(Debug, Clone)]
pub(super) struct Product {
    pub(super) graph: u32,
    pub(super) version: u32,
    pub(super) target: u32,
    pub(super) phase: Phase,
    pub(super) verdict: HealthVerdict,
    pub(super) stopped: bool,
    progress: Option<Progress>,
    since: Stamp,
    health_since: Stamp,
    quorum_lag: Lag,
    pleg_lag: Lag,
    rest: Box<[u8]>,
}

/// What few products have, as JSON.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Rest {
    #[serde(default, rename = "u", skip_serializing_if = "Option::is_none")]
    unit: Option<UnitName>,
    #[serde(default, rename = "q", skip_serializing_if = "Option::is_none")]
    quorum_lag_unit: Option<UnitName>,
    #[serde(default, rename = "p", skip_serializing_if = "Option::is_none")]
    pleg_lag_unit: Option<UnitName>,
    #[serde(default, rename = "w", skip_serializing_if = "Vec::is_empty")]
    waiting_on: Vec<WaitingOn>,
    #[serde(default, rename = "n", skip_serializing_if = "Vec::is_empty")]
    why_not: Vec<Reason>,
    #[serde(default, rename = "f", skip_serializing_if = "Option::is_none")]
    failure: Option<Failure>,
}

/// The interned parts of a product.
#[derive(Debug, Clone, Copy)]
pub(super) struct Numbers {
    pub(super) graph: u32,
    pub(super) version: u32,
    pub(super) target: u32,
}

impl Product {
    pub(super) fn pack(record: &ProductRecord, numbers: Numbers) -> Self {
        let health = &record.health;
        let rest = Rest {
            unit: record.unit.clone(),
            quorum_lag_unit: health.quorum_lag_unit.clone(),
            pleg_lag_unit: health.pleg_lag_unit.clone(),
            waiting_on: record.waiting_on.clone(),
            why_not: record.why_not.clone(),
            failure: record.failure.clone(),
        };
        Self {
            graph: numbers.graph,
            version: numbers.version,
            target: numbers.target,
            phase: record.phase,
            verdict: health.verdict,
            stopped: record.is_stopped(),
            progress: record.progress,
            since: Stamp::of(Some(record.since)),
            health_since: Stamp::of(health.since),
            quorum_lag: Lag::of(health.quorum_lag_ms),
            pleg_lag: Lag::of(health.pleg_lag_ms),
            // Strings, numbers and lists of them always serialise.
            rest: serde_json::to_vec(&rest).unwrap_or_default().into_boxed_slice(),
        }
    }

    /// The record again; `names` resolves graph, version and target.
    pub(super) fn unpack(&self, names: super::ProductNames<'_>) -> ProductRecord {
        let rest: Rest = serde_json::from_slice(&self.rest).unwrap_or_default();
        ProductRecord {
            graph: names.graph.clone(),
            version: names.version.clone(),
            target: names.target.cloned(),
            phase: self.phase,
            since: self.since.get().unwrap_or(Timestamp::UNIX_EPOCH),
            unit: rest.unit,
            progress: self.progress,
            health: HealthSummary {
                verdict: self.verdict,
                since: self.health_since.get(),
                quorum_lag_ms: self.quorum_lag.get(),
                quorum_lag_unit: rest.quorum_lag_unit,
                pleg_lag_ms: self.pleg_lag.get(),
                pleg_lag_unit: rest.pleg_lag_unit,
            },
            waiting_on: rest.waiting_on,
            why_not: rest.why_not,
            failure: rest.failure,
        }
    }
}
