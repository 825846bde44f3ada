//! The fleet in memory: one row per cluster and counters kept incrementally.
//!
//! Every read the hub answers comes from here, except units, history and audit. It holds what is
//! committed and nothing else: the writer applies a batch after its commit, so a reader never
//! sees a report that a crash could still undo. It never does I/O and reads no clock.

mod answers;
mod drift;
mod facts;
mod freshness;
mod intern;
mod names;
mod query;
mod record;
mod row;
mod shared;
mod tally;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::BTreeMap;

use channels::names::ClusterId;
use channels::rollout::Labels;
use channels::version::ReleaseVersion;
use channels::wire::{Freshness, ProductSettings};
use jiff::Timestamp;
use signing::Sha256Digest;

use crate::directive::Ledger;
use intern::Interner;
use row::{NO_VERSION, Numbers, Product, Row, Stamp};
use shared::Shared;
use tally::{Change, Tally};

pub use answers::FleetCount;
pub(crate) use answers::{add_drift, no_totals};
pub use drift::DriftMemo;
pub use freshness::{freshness, is_active, next_report_in_s};
pub use query::{ClusterFilter, MAX_PAGE, View};
pub use record::{ClusterKey, ClusterRecord, FormerKey, GraphKey, KeyEnd, ProductRecord, Slot};
pub use shared::MAX_SHARED;

/// Rows and counters.
#[derive(Debug)]
pub struct FleetIndex {
    interval_s: u64,
    rows: Vec<Row>,
    by_id: BTreeMap<ClusterId, Slot>,
    by_key: BTreeMap<Sha256Digest, Slot>,
    by_name: BTreeMap<Box<str>, Slot>,
    graphs: Interner<GraphKey>,
    versions: Interner<ReleaseVersion>,
    labels: Shared<Labels>,
    settings: Shared<Vec<ProductSettings>>,
    tally: Tally,
}

/// A cluster's name for the signature check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// Its row.
    pub slot: Slot,
    /// Its id.
    pub id: ClusterId,
    /// The key that was asked for.
    pub key: ClusterKey,
    /// Why that key is no longer in force; `None` while it is.
    pub ended: Option<KeyEnd>,
    /// Whether it was retired.
    pub retired: bool,
}

/// The interned parts of a product, resolved.
#[derive(Debug, Clone, Copy)]
pub(super) struct ProductNames<'a> {
    pub(super) graph: &'a GraphKey,
    pub(super) version: &'a ReleaseVersion,
    pub(super) target: Option<&'a ReleaseVersion>,
}

impl FleetIndex {
    /// An empty fleet whose clusters report every `interval_s` seconds.
    pub fn new(interval_s: u64) -> Self {
        Self {
            interval_s,
            rows: Vec::new(),
            by_id: BTreeMap::new(),
            by_key: BTreeMap::new(),
            by_name: BTreeMap::new(),
            graphs: Interner::default(),
            versions: Interner::default(),
            labels: Shared::default(),
            settings: Shared::default(),
            tally: Tally::default(),
        }
    }

    /// Rows, retired ones included: the denominator of report slots.
    pub fn rows(&self) -> u32 {
        u32::try_from(self.rows.len()).unwrap_or(u32::MAX)
    }

    /// Seconds between two reports of one cluster.
    pub fn interval_s(&self) -> u64 {
        self.interval_s
    }

    /// The row of a cluster id.
    pub fn slot(&self, id: ClusterId) -> Option<Slot> {
        self.by_id.get(&id).copied()
    }

    /// The row of a name that a cluster in force has.
    pub fn slot_of_name(&self, name: &str) -> Option<Slot> {
        self.by_name.get(name).copied()
    }

    /// Who signs with the key of this id, or did so with a key before.
    pub fn identity(&self, key_id: &Sha256Digest) -> Option<Identity> {
        let slot = *self.by_key.get(key_id)?;
        let row = self.rows.get(slot.index())?;
        let former = row.ended().find(|ended| ended.key.id == *key_id);
        Some(Identity {
            slot,
            id: row.id,
            key: former.map_or(row.key, |former| former.key),
            ended: former.map(|former| former.end),
            retired: row.is_retired(),
        })
    }

    /// Seconds until the next report of a row is due.
    pub fn next_report_in_s(&self, slot: Slot, now: Timestamp) -> u64 {
        next_report_in_s(slot, self.rows().max(slot.0.saturating_add(1)), self.interval_s, now)
    }

    /// Puts a committed record in: into its row, or as the next one.
    pub fn apply(&mut self, slot: Slot, record: &ClusterRecord, now: Timestamp) {
        let row = self.pack(record, now);
        if let Some(old) = self.rows.get_mut(slot.index()) {
            let old = std::mem::replace(old, row);
            self.tally.change(slot, &old, Change::Leave);
            if self.by_name.get(&old.name) == Some(&slot) {
                self.by_name.remove(&old.name);
            }
            if old.key.id != record.key.id {
                for key in old.ended().map(|ended| ended.key).chain([old.key]) {
                    self.by_key.remove(&key.id);
                }
            }
        } else {
            self.rows.push(row);
        }
        let Some(row) = self.rows.get(slot.index()) else { return };
        self.by_id.insert(row.id, slot);
        for key in row.ended().map(|ended| ended.key).chain([row.key]) {
            self.by_key.insert(key.id, slot);
        }
        if !row.is_retired() {
            self.by_name.insert(row.name.clone(), slot);
        }
        self.tally.change(slot, row, Change::Enter);
    }

    fn pack(&mut self, record: &ClusterRecord, now: Timestamp) -> Row {
        let products = record
            .products
            .iter()
            .map(|p| {
                let numbers = Numbers {
                    graph: self.graphs.intern(&p.graph),
                    version: self.versions.intern(&p.version),
                    target: p.target.as_ref().map_or(NO_VERSION, |t| self.versions.intern(t)),
                };
                Product::pack(p, numbers)
            })
            .collect();
        Row {
            id: record.id,
            key: record.key,
            former: record.former.map(Box::new),
            elder: record.elder.map(Box::new),
            name: record.name.as_str().into(),
            labels: self.labels.intern(&record.labels),
            settings: self.settings.intern(&record.settings),
            agent_version: record.agent_version.as_str().into(),
            enrolled_at: Stamp::of(Some(record.enrolled_at)),
            retired_at: Stamp::of(record.retired_at),
            last_seen: Stamp::of(record.last_seen),
            seq: record.seq,
            instance: record.instance.map_or(0, |instance| instance.0),
            conflict_since: Stamp::of(record.conflict_since),
            generation: record.ledger.generation,
            grant: record.ledger.current.clone().map(Box::new),
            freshness: freshness(record.last_seen, self.interval_s, now),
            products,
        }
    }

    /// The record of a row.
    pub fn record(&self, slot: Slot) -> Option<ClusterRecord> {
        let row = self.rows.get(slot.index())?;
        Some(ClusterRecord {
            id: row.id,
            name: row.name.to_string(),
            labels: self.labels.get(row.labels),
            settings: self.settings.get(row.settings),
            key: row.key,
            former: row.former.as_deref().copied(),
            elder: row.elder.as_deref().copied(),
            enrolled_at: row.enrolled_at.get().unwrap_or(Timestamp::UNIX_EPOCH),
            retired_at: row.retired_at.get(),
            agent_version: row.agent_version.to_string(),
            last_seen: row.last_seen.get(),
            seq: row.seq,
            instance: row.instance(),
            conflict_since: row.conflict_since.get(),
            ledger: Ledger { generation: row.generation, current: row.grant.as_deref().cloned() },
            products: row
                .products
                .iter()
                .filter_map(|p| self.names(p).map(|names| p.unpack(names)))
                .collect(),
        })
    }

    fn names(&self, product: &Product) -> Option<ProductNames<'_>> {
        Some(ProductNames {
            graph: self.graphs.value(product.graph)?,
            version: self.versions.value(product.version)?,
            target: self.versions.value(product.target),
        })
    }

    /// Moves rows whose last report has aged into their class. One pass over the rows, 1–2 ms per
    /// million: called by the maintenance timer. Forgets names nobody has any more; says whether that
    /// made every [`DriftMemo`] of this index void.
    pub fn sweep(&mut self, now: Timestamp) -> bool {
        let interval_s = self.interval_s;
        for (number, row) in (0..).zip(&mut self.rows) {
            let class = freshness(row.last_seen.get(), interval_s, now);
            if class != row.freshness {
                self.tally.change(Slot(number), row, Change::Leave);
                row.freshness = class;
                self.tally.change(Slot(number), row, Change::Enter);
            }
        }
        self.forget_unused_shared();
        self.forget_unused_names()
    }

    /// Clusters in force.
    pub fn in_force(&self) -> u64 {
        self.tally.freshness.values().sum()
    }

    /// Silent clusters whose last word was that a unit is out: the loudest kind of silence.
    pub fn silent_while_updating(&self) -> u64 {
        self.tally.silent_rolling
    }

    /// Clusters in force whose key more than one agent uses.
    pub fn identity_conflicts(&self) -> u64 {
        self.tally.conflicts
    }

    /// Clusters in force by class of their last report.
    pub fn freshness_counts(&self) -> BTreeMap<Freshness, u64> {
        self.tally.freshness.clone()
    }
}
