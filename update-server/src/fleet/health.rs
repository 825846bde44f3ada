//! How the fleet is: verdicts, the worst lags per channel, and who is stuck. One pass over the rows,
//! a few milliseconds per million; only rows that are shown are unpacked.

use std::collections::{BTreeMap, BinaryHeap};

use channels::names::{ChannelName, ProductRef, UnitName};
use channels::wire::{HealthVerdict, LagRow, LagTotals, Phase, StuckRow};
use jiff::{SignedDuration, Timestamp};

use super::row::{Product, Row};
use super::scoped::is_seen;
use super::{FleetIndex, GraphKey, ProductRecord, is_active};
use crate::auth::Scope;

/// Most of the worst that are listed per channel and kind of lag.
pub const MAX_WORST_LAGS: usize = 50;
/// Rows of stuck products in one answer: a page for a person.
const MAX_STUCK: usize = 200;
/// Candidates whose reasons are looked at, longest first: reasons are packed, and a million of them
/// would take a second.
const MAX_STUCK_CANDIDATES: usize = 2000;

/// Gates by which a person, a plan or the hub says "not now": who waits for those is not stuck.
const ORDERED: [&str; 13] = [
    "approval",
    "finalize_approval",
    "freeze",
    "grant",
    "grant_renewal",
    "hold",
    "hub_hold",
    "hub_wait",
    "other_product",
    "pin",
    "policy_patch",
    "pool_paused",
    "window",
];

/// What is asked about health.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthQuestion {
    /// Only this product.
    pub product: Option<ProductRef>,
    /// Only this channel.
    pub channel: Option<ChannelName>,
    /// How many of the worst per channel and kind of lag, up to [`MAX_WORST_LAGS`].
    pub worst: usize,
    /// Standing still for longer than this is being stuck.
    pub stuck_after: SignedDuration,
    /// Only these clusters.
    pub scope: Scope,
}

impl Default for HealthQuestion {
    fn default() -> Self {
        // The longest phase of a unit that is well, with room: a node's drain.
        Self {
            product: None,
            channel: None,
            worst: 5,
            stuck_after: SignedDuration::from_hours(1),
            scope: Scope::whole(),
        }
    }
}

impl HealthQuestion {
    /// Whether it is about this product and channel.
    pub fn is_about(&self, product: &ProductRef, channel: &ChannelName) -> bool {
        self.product.as_ref().is_none_or(|wanted| wanted == product)
            && self.channel.as_ref().is_none_or(|wanted| wanted == channel)
    }
}

/// What one pass over the rows finds.
#[derive(Debug, Clone, PartialEq)]
pub struct FleetHealth {
    /// One entry per product and channel that anybody follows.
    pub lags: Vec<LagTotals>,
    /// Stuck products, longest first.
    pub stuck: Vec<StuckRow>,
    /// How many are stuck; more than are listed, maybe.
    pub stuck_total: u64,
    /// Whether there are so many that stand still that not all were looked at.
    pub stuck_more: bool,
}

/// The worst few of one kind of lag: lag and row, worst first.
#[derive(Debug, Clone)]
struct Worst {
    keep: usize,
    known: u64,
    rows: Vec<(u64, usize, usize)>,
}

impl Worst {
    fn new(keep: usize) -> Self {
        Self { keep, known: 0, rows: Vec::new() }
    }

    fn see(&mut self, lag_ms: Option<u64>, row: usize, product: usize) {
        let Some(lag_ms) = lag_ms else { return };
        self.known += 1;
        let is_full = self.rows.len() >= self.keep;
        if is_full && self.rows.last().is_none_or(|(least, ..)| *least >= lag_ms) {
            return;
        }
        let place = self.rows.partition_point(|(lag, ..)| *lag >= lag_ms);
        self.rows.insert(place, (lag_ms, row, product));
        self.rows.truncate(self.keep);
    }
}

#[derive(Debug, Clone)]
struct Group {
    active: u64,
    silent: u64,
    healthy: u64,
    unhealthy: u64,
    unknown: u64,
    quorum: Worst,
    pleg: Worst,
}

impl Group {
    fn new(keep: usize) -> Self {
        Self {
            active: 0,
            silent: 0,
            healthy: 0,
            unhealthy: 0,
            unknown: 0,
            quorum: Worst::new(keep),
            pleg: Worst::new(keep),
        }
    }

    fn see(&mut self, product: &Product, row: usize, place: usize) {
        self.active += 1;
        match product.verdict {
            HealthVerdict::Healthy => self.healthy += 1,
            HealthVerdict::Unhealthy => self.unhealthy += 1,
            HealthVerdict::Unknown => self.unknown += 1,
        }
        self.quorum.see(product.quorum_lag_ms(), row, place);
        self.pleg.see(product.pleg_lag_ms(), row, place);
    }
}

/// A product by its row and its place there.
pub(super) type Place = (usize, usize);

/// Those that stand still for the longest time, since when. The heap's top is the one to drop first.
#[derive(Debug)]
struct Still {
    /// Those that stand still since before are candidates.
    limit: Timestamp,
    oldest: BinaryHeap<(Timestamp, Place)>,
    more: bool,
}

impl Still {
    fn new(question: &HealthQuestion, now: Timestamp) -> Self {
        let limit = now.checked_sub(question.stuck_after).unwrap_or(Timestamp::MIN);
        Self { limit, oldest: BinaryHeap::new(), more: false }
    }

    fn see(&mut self, product: &Product, place: Place) {
        let since = product.stands_still_since().filter(|since| *since < self.limit);
        let Some(since) = since else { return };
        self.oldest.push((since, place));
        if self.oldest.len() > MAX_STUCK_CANDIDATES {
            self.oldest.pop();
            self.more = true;
        }
    }

    /// Each, longest first.
    fn places(self) -> impl Iterator<Item = Place> {
        self.oldest.into_sorted_vec().into_iter().map(|(_, place)| place)
    }
}

/// Lags and stuck products while rows are looked at, one after the other.
#[derive(Debug)]
pub(super) struct HealthPass<'i> {
    names: BTreeMap<(&'i ProductRef, &'i ChannelName), usize>,
    /// By number of the graph, if it is asked about.
    group_of: Vec<Option<usize>>,
    groups: Vec<Group>,
    still: Still,
}

impl<'i> HealthPass<'i> {
    /// Before any row.
    pub(super) fn new(index: &'i FleetIndex, question: &HealthQuestion, now: Timestamp) -> Self {
        // Architectures of one channel are one group: people ask by channel.
        let mut names: BTreeMap<(&ProductRef, &ChannelName), usize> = BTreeMap::new();
        let mut group_of: Vec<Option<usize>> = vec![None; index.graphs.len()];
        for (key, number) in index.graphs.iter() {
            if !question.is_about(&key.product, &key.channel) {
                continue;
            }
            let next = names.len();
            let group = *names.entry((&key.product, &key.channel)).or_insert(next);
            if let Some(place) = usize::try_from(number).ok().and_then(|n| group_of.get_mut(n)) {
                *place = Some(group);
            }
        }
        let keep = question.worst.clamp(1, MAX_WORST_LAGS);
        let groups = vec![Group::new(keep); names.len()];
        Self { names, group_of, groups, still: Still::new(question, now) }
    }

    /// A row in force that is asked about.
    pub(super) fn see(&mut self, number: usize, row: &Row) {
        let active = is_active(row.freshness);
        for (place, product) in row.products.iter().enumerate() {
            let graph = usize::try_from(product.graph).unwrap_or(usize::MAX);
            let group = self.group_of.get(graph).copied().flatten();
            let Some(group) = group.and_then(|group| self.groups.get_mut(group)) else { continue };
            if !active {
                group.silent += 1;
                continue;
            }
            group.see(product, number, place);
            self.still.see(product, (number, place));
        }
    }

    /// After the last row: what was found, and where all that are stuck are.
    pub(super) fn end(self, index: &FleetIndex) -> (FleetHealth, Vec<Place>) {
        let lags = self.names.into_iter().filter_map(|((product, channel), group)| {
            let group = self.groups.get(group).filter(|group| group.active + group.silent > 0)?;
            Some(index.lag_totals(product, channel, group))
        });
        let lags = lags.collect();
        let stuck_more = self.still.more;
        let (mut places, mut stuck) = (Vec::new(), Vec::new());
        for place in self.still.places() {
            let Some(row) = index.stuck_row(place) else { continue };
            places.push(place);
            if stuck.len() < MAX_STUCK {
                stuck.push(row);
            }
        }
        let stuck_total = u64::try_from(places.len()).unwrap_or(u64::MAX);
        (FleetHealth { lags, stuck, stuck_total, stuck_more }, places)
    }
}

impl FleetIndex {
    /// Lags and stuck products, outside rollouts too.
    pub fn health_of(&self, question: &HealthQuestion, now: Timestamp) -> FleetHealth {
        let marks = self.marks(&question.scope);
        let mut pass = HealthPass::new(self, question, now);
        for (number, row) in self.rows.iter().enumerate() {
            if is_seen(marks.as_deref(), row) {
                pass.see(number, row);
            }
        }
        pass.end(self).0
    }

    fn lag_totals(&self, product: &ProductRef, channel: &ChannelName, group: &Group) -> LagTotals {
        let rows = |worst: &Worst, gate: &str, unit: fn(&ProductRecord) -> Option<UnitName>| {
            let rows = worst.rows.iter();
            rows.filter_map(|(lag, row, place)| self.lag_row(*lag, (*row, *place), gate, unit))
                .collect()
        };
        LagTotals {
            product: product.clone(),
            channel: channel.clone(),
            active: group.active,
            silent: group.silent,
            healthy: group.healthy,
            unhealthy: group.unhealthy,
            unknown: group.unknown,
            quorum_lag_known: group.quorum.known,
            quorum_lag: rows(&group.quorum, "quorum_lag", |p| p.health.quorum_lag_unit.clone()),
            pleg_lag_known: group.pleg.known,
            pleg_lag: rows(&group.pleg, "pleg_lag", |p| p.health.pleg_lag_unit.clone()),
        }
    }

    fn unpacked(&self, row: usize, place: usize) -> Option<(&Row, ProductRecord)> {
        let row = self.rows.get(row)?;
        let product = row.products.get(place)?;
        Some((row, product.unpack(self.names(product)?)))
    }

    fn lag_row(
        &self,
        lag_ms: u64,
        (row, place): Place,
        gate: &str,
        unit: fn(&ProductRecord) -> Option<UnitName>,
    ) -> Option<LagRow> {
        let (row, record) = self.unpacked(row, place)?;
        let over = record.waiting_on.iter().find(|reason| reason.gate == gate);
        Some(LagRow {
            lag_ms,
            unit: unit(&record),
            cluster: row.id,
            name: row.name().to_owned(),
            verdict: record.health.verdict,
            since: over.and_then(|reason| reason.since).or(record.health.since),
        })
    }

    fn stuck_row(&self, (row, place): Place) -> Option<StuckRow> {
        let (row, record) = self.unpacked(row, place)?;
        let ordered = |gate: &str| ORDERED.contains(&gate);
        if record.failure.is_none()
            && (!record.why_not.is_empty()
                || record.waiting_on.first().is_some_and(|reason| ordered(&reason.gate)))
        {
            return None;
        }
        let first = record.waiting_on.first();
        let (gate, message) = match (first, &record.failure) {
            (Some(reason), _) => (Some(reason.gate.clone()), Some(reason.message.clone())),
            (None, Some(failure)) => (Some(failure.kind.clone()), Some(failure.message.clone())),
            (None, None) => (None, None),
        };
        let GraphKey { product, channel, .. } = record.graph;
        Some(StuckRow {
            cluster: row.id,
            name: row.name().to_owned(),
            product,
            channel,
            version: record.version,
            target: record.target,
            phase: record.phase,
            since: record.since,
            unit: record.unit.or_else(|| first.and_then(|reason| reason.unit.clone())),
            progress: record.progress,
            gate,
            message,
        })
    }
}

impl Product {
    /// Since when the product has been in a phase that it wants to leave.
    fn stands_still_since(&self) -> Option<Timestamp> {
        match self.phase {
            Phase::Idle | Phase::Unknown => None,
            Phase::Waiting
            | Phase::Preflight
            | Phase::Quiesce
            | Phase::Mutate
            | Phase::AwaitReturn
            | Phase::AwaitHealth
            | Phase::Soak
            | Phase::Paused => self.phase_since(),
        }
    }
}
