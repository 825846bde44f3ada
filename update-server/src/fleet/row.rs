//! A cluster in memory: small fixed fields for filters and counters, the rest packed.
//!
//! Times are kept to the millisecond and lags as 32 bits with a marker for "absent": at a million
//! clusters every eight bytes per product are 16 MB.

use std::sync::Arc;

use channels::names::ClusterId;
use channels::rollout::Labels;
use channels::wire::{
    AgentInstance, Freshness, Grant, HealthSummary, HealthVerdict, KeyRevocation, Phase,
    ProductSettings, Progress,
};
use jiff::Timestamp;
use signing::Sha256Digest;

use super::day::Today;
use super::record::{ClusterKey, ClusterRecord, FormerKey, ProductRecord};
use super::rest::{self, Parts, Rest};
use crate::directive::Ledger;

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
    /// Name and agent version, one after the other.
    texts: Box<str>,
    name_bytes: u16,
    /// Number of its label set.
    pub(super) labels: u32,
    /// Number of its settings.
    pub(super) settings: u32,
    /// Class at the last report or sweep: what the counters counted it as.
    pub(super) freshness: Freshness,
    pub(super) enrolled_at: Stamp,
    pub(super) last_seen: Stamp,
    pub(super) seq: u64,
    /// 0 stands for none: an agent that draws it is one that names none.
    instance: u64,
    generation: u64,
    rare: Option<Box<Rare>>,
    pub(super) products: Box<[Product]>,
}

/// What few clusters have at any one time: a pointer's width for the others.
#[derive(Debug, Clone, Default, PartialEq)]
struct Rare {
    former: Option<FormerKey>,
    elder: Option<FormerKey>,
    retired_at: Option<Timestamp>,
    conflict_since: Option<Timestamp>,
    revoked: Option<Arc<KeyRevocation>>,
    grant: Option<Grant>,
}

/// Numbers of what many clusters have alike.
#[derive(Debug, Clone, Copy)]
pub(super) struct SharedNumbers {
    pub(super) labels: u32,
    pub(super) settings: u32,
}

impl Row {
    /// Notes a report that changes nothing else.
    pub(super) fn note(&mut self, seq: u64, instance: Option<AgentInstance>, last_seen: Stamp) {
        self.seq = seq;
        self.instance = instance.map_or(0, |instance| instance.0);
        self.last_seen = last_seen;
    }

    /// The caller interns what has numbers.
    pub(super) fn pack(
        record: &ClusterRecord,
        class: Freshness,
        shared: SharedNumbers,
        products: Box<[Product]>,
    ) -> Self {
        let rare = Rare {
            former: record.former,
            elder: record.elder,
            retired_at: record.retired_at,
            conflict_since: record.conflict_since,
            revoked: record.revoked.clone(),
            grant: record.ledger.current.clone(),
        };
        let mut texts = String::with_capacity(record.name.len() + record.agent_version.len());
        texts.push_str(&record.name);
        texts.push_str(&record.agent_version);
        Self {
            id: record.id,
            key: record.key,
            texts: texts.into_boxed_str(),
            // 253 characters at most.
            name_bytes: u16::try_from(record.name.len()).unwrap_or(u16::MAX),
            labels: shared.labels,
            settings: shared.settings,
            freshness: class,
            enrolled_at: Stamp::of(Some(record.enrolled_at)),
            last_seen: Stamp::of(record.last_seen),
            seq: record.seq,
            instance: record.instance.map_or(0, |instance| instance.0),
            generation: record.ledger.generation,
            rare: (rare != Rare::default()).then(|| Box::new(rare)),
            products,
        }
    }

    /// The record again, with what the caller finds by its numbers.
    pub(super) fn unpack(
        &self,
        labels: Arc<Labels>,
        settings: Arc<Vec<ProductSettings>>,
        products: Vec<ProductRecord>,
    ) -> ClusterRecord {
        let rare = self.rare.as_deref();
        ClusterRecord {
            id: self.id,
            name: self.name().to_owned(),
            labels,
            settings,
            key: self.key,
            former: rare.and_then(|rare| rare.former),
            elder: rare.and_then(|rare| rare.elder),
            enrolled_at: self.enrolled_at.get().unwrap_or(Timestamp::UNIX_EPOCH),
            retired_at: rare.and_then(|rare| rare.retired_at),
            agent_version: self.agent_version().to_owned(),
            last_seen: self.last_seen.get(),
            seq: self.seq,
            instance: (self.instance != 0).then_some(AgentInstance(self.instance)),
            conflict_since: self.conflict_since(),
            revoked: self.revoked().cloned(),
            ledger: Ledger {
                generation: self.generation,
                current: rare.and_then(|rare| rare.grant.clone()),
            },
            products,
        }
    }

    fn texts(&self) -> (&str, &str) {
        self.texts.split_at_checked(usize::from(self.name_bytes)).unwrap_or((&self.texts, ""))
    }

    /// Its name for people.
    pub(super) fn name(&self) -> &str {
        self.texts().0
    }

    /// Version of its agent.
    pub(super) fn agent_version(&self) -> &str {
        self.texts().1
    }

    /// The keys before the one in force.
    pub(super) fn ended(&self) -> impl Iterator<Item = &FormerKey> {
        self.rare.iter().flat_map(|rare| rare.former.iter().chain(&rare.elder))
    }

    /// Whether it has or had the key of this id.
    pub(super) fn has_key(&self, id: &Sha256Digest) -> bool {
        self.key.id == *id || self.ended().any(|ended| ended.key.id == *id)
    }

    pub(super) fn is_retired(&self) -> bool {
        self.rare.as_deref().is_some_and(|rare| rare.retired_at.is_some())
    }

    /// Since when two agents are known to use its key.
    pub(super) fn conflict_since(&self) -> Option<Timestamp> {
        self.rare.as_deref().and_then(|rare| rare.conflict_since)
    }

    /// That a person took its key out of force.
    pub(super) fn revoked(&self) -> Option<&Arc<KeyRevocation>> {
        self.rare.as_deref().and_then(|rare| rare.revoked.as_ref())
    }

    /// Worst verdict over its products; `None` without products.
    pub(super) fn verdict(&self) -> Option<HealthVerdict> {
        self.products.iter().map(|p| p.verdict).reduce(HealthVerdict::worst)
    }

    /// Whether the counters see no difference between the two.
    pub(super) fn counts_like(&self, other: &Self) -> bool {
        let counted = |p: &Product| (p.graph, p.version, p.phase, p.verdict, p.marks);
        self.freshness == other.freshness
            && self.is_retired() == other.is_retired()
            && self.conflict_since().is_some() == other.conflict_since().is_some()
            && self.products.iter().map(counted).eq(other.products.iter().map(counted))
    }
}

/// Two answers in the one byte that there is room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Marks(u8);

impl Marks {
    const STOPPED: u8 = 1;
    const OFF_CHANNEL: u8 = 2;

    fn of(stopped: bool, off_channel: bool) -> Self {
        let bit = |is: bool, bit: u8| if is { bit } else { 0 };
        Self(bit(stopped, Self::STOPPED) | bit(off_channel, Self::OFF_CHANNEL))
    }
}

/// One product of a cluster.
#[derive(Debug, Clone)]
pub(super) struct Product {
    pub(super) graph: u32,
    pub(super) version: u32,
    pub(super) target: u32,
    progress: Share,
    since: Stamp,
    health_since: Stamp,
    quorum_lag: Lag,
    pleg_lag: Lag,
    pub(super) phase: Phase,
    pub(super) verdict: HealthVerdict,
    marks: Marks,
    /// What the day has shown so far.
    pub(super) today: Today,
    rest: Box<[u8]>,
}

/// How far, or none: more done than there are.
#[derive(Debug, Clone, Copy)]
struct Share {
    done: u32,
    total: u32,
}

impl Share {
    fn of(progress: Option<Progress>) -> Self {
        progress.map_or(Self { done: u32::MAX, total: 0 }, |p| Self {
            // A report that counts more done than there are says that all are.
            done: p.done.min(p.total),
            total: p.total,
        })
    }

    fn get(self) -> Option<Progress> {
        (self.done <= self.total).then_some(Progress { done: self.done, total: self.total })
    }
}

/// The interned parts of a product.
#[derive(Debug, Clone, Copy)]
pub(super) struct Numbers {
    pub(super) graph: u32,
    pub(super) version: u32,
    pub(super) target: u32,
}

impl Product {
    pub(super) fn pack(record: &ProductRecord, numbers: Numbers, off_channel: bool) -> Self {
        let health = &record.health;
        let rest = Parts {
            unit: record.unit.as_ref(),
            quorum_lag_unit: health.quorum_lag_unit.as_ref(),
            pleg_lag_unit: health.pleg_lag_unit.as_ref(),
            waiting_on: &record.waiting_on,
            why_not: &record.why_not,
            failure: record.failure.as_ref(),
            accepted_risks: &record.accepted_risks,
        };
        Self {
            graph: numbers.graph,
            version: numbers.version,
            target: numbers.target,
            phase: record.phase,
            verdict: health.verdict,
            marks: Marks::of(record.is_stopped(), off_channel),
            today: Today::unseen(),
            progress: Share::of(record.progress),
            since: Stamp::of(Some(record.since)),
            health_since: Stamp::of(health.since),
            quorum_lag: Lag::of(health.quorum_lag_ms),
            pleg_lag: Lag::of(health.pleg_lag_ms),
            rest: rest.pack(),
        }
    }

    /// Worst quorum lag, milliseconds.
    pub(super) fn quorum_lag_ms(&self) -> Option<u64> {
        self.quorum_lag.get()
    }

    /// Worst PLEG lag, milliseconds.
    pub(super) fn pleg_lag_ms(&self) -> Option<u64> {
        self.pleg_lag.get()
    }

    /// Whether it waits, is paused or failed.
    pub(super) fn is_stopped(&self) -> bool {
        self.marks.0 & Marks::STOPPED != 0
    }

    /// Whether it follows another channel than the hub wants.
    pub(super) fn is_off_channel(&self) -> bool {
        self.marks.0 & Marks::OFF_CHANNEL != 0
    }

    /// Whether the hub has said why it may not move.
    pub(super) fn has_why_not(&self) -> bool {
        rest::has_why_not(&self.rest)
    }

    /// Since when it is in its phase, by the agent's clock.
    pub(super) fn phase_since(&self) -> Option<Timestamp> {
        self.since.get()
    }

    /// The record again; `names` resolves graph, version and target.
    pub(super) fn unpack(&self, names: super::ProductNames<'_>) -> ProductRecord {
        let rest = Rest::unpack(&self.rest);
        ProductRecord {
            graph: names.graph.clone(),
            version: names.version.clone(),
            target: names.target.cloned(),
            phase: self.phase,
            since: self.since.get().unwrap_or(Timestamp::UNIX_EPOCH),
            unit: rest.unit,
            progress: self.progress.get(),
            health: HealthSummary {
                verdict: self.verdict,
                since: self.health_since.get(),
                quorum_lag_ms: self.quorum_lag.get(),
                quorum_lag_unit: rest.quorum_lag_unit,
                pleg_lag_ms: self.pleg_lag.get(),
                pleg_lag_unit: rest.pleg_lag_unit,
                // Judged when it is heard, and in no row.
                measured: Vec::new(),
            },
            waiting_on: rest.waiting_on,
            why_not: rest.why_not,
            failure: rest.failure,
            accepted_risks: rest.accepted_risks,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_and_a_product_take_no_more_than_they_were_given() {
        // A million clusters with two products each: 304 MB.
        assert_eq!((size_of::<Row>(), size_of::<Product>()), (176, 64));
    }

    #[test]
    fn progress_comes_back_and_never_passes_its_total() {
        for (done, total) in [(0, 0), (3, 7), (7, 7)] {
            let progress = Some(Progress { done, total });
            assert_eq!(Share::of(progress).get(), progress);
        }
        assert_eq!(Share::of(None).get(), None);
        let odd = Share::of(Some(Progress { done: u32::MAX, total: 2 }));
        assert_eq!(odd.get(), Some(Progress { done: 2, total: 2 }));
    }
}
