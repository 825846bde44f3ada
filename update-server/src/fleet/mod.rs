//! The fleet in memory: one row per cluster and counters kept incrementally.
//!
//! Every read the hub answers comes from here, except units, history and audit. It holds what is
//! committed and nothing else: the writer applies a batch after its commit, so a reader never
//! sees a report that a crash could still undo. It never does I/O and reads no clock.

mod answers;
mod beat;
mod day;
mod distance;
mod drift;
mod facts;
mod freshness;
mod health;
mod heat;
mod hurry;
mod intern;
mod look;
mod lookup;
mod names;
mod query;
mod record;
mod rest;
mod rollup;
mod row;
mod scoped;
mod shared;
mod tally;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::BTreeMap;

use channels::names::ClusterId;
use channels::rollout::Labels;
use channels::version::ReleaseVersion;
use channels::wire::{Freshness, HealthVerdict, ProductSettings};
use jiff::Timestamp;
use signing::Sha256Digest;

use intern::Interner;
use lookup::Ways;
use row::{NO_VERSION, Numbers, Product, Row, SharedNumbers};
use shared::Shared;
use tally::{Change, Tally};

pub use answers::FleetCount;
pub(crate) use answers::Summing;
pub use beat::Beat;
pub use day::DayCount;
pub use distance::{Activity, Between, Distance};
pub use drift::DriftMemo;
pub use freshness::{freshness, is_active, next_report_in_s};
pub use health::{FleetHealth, HealthQuestion, MAX_WORST_LAGS};
pub use heat::{Heat, HeatBy, HeatCell, HeatGroup, HeatMark, HeatQuestion, MAX_NEAR_HOPS};
pub use look::Look;
pub(crate) use query::why_revoked;
pub use query::{ClusterFilter, MAX_PAGE, View};
pub use record::{ClusterKey, ClusterRecord, FormerKey, GraphKey, KeyEnd, ProductRecord, Slot};
pub use rollup::{MAX_TREND_SERIES, MAX_TREND_VERSIONS, SeriesName};
pub use scoped::{Overview, Standing};
pub use shared::MAX_SHARED;

/// Rows and counters.
#[derive(Debug)]
pub struct FleetIndex {
    interval_s: u64,
    rows: Vec<Row>,
    ways: Ways,
    graphs: Interner<GraphKey>,
    versions: Interner<ReleaseVersion>,
    labels: Shared<Labels>,
    settings: Shared<Vec<ProductSettings>>,
    tally: Tally,
    day: day::Day,
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
            ways: Ways::default(),
            graphs: Interner::default(),
            versions: Interner::default(),
            labels: Shared::default(),
            settings: Shared::default(),
            tally: Tally::default(),
            day: day::Day::default(),
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
        self.ways.id.get(&id.0, |slot| self.row(slot).is_some_and(|row| row.id == id))
    }

    /// The row of a name that a cluster in force has.
    pub fn slot_of_name(&self, name: &str) -> Option<Slot> {
        self.ways.name.get(name, |slot| self.row(slot).is_some_and(|row| row.name() == name))
    }

    /// Who signs with the key of this id, or did so with a key before.
    pub fn identity(&self, key_id: &Sha256Digest) -> Option<Identity> {
        let has = |slot| self.row(slot).is_some_and(|row| row.has_key(key_id));
        let slot = self.ways.key.get(key_id.as_bytes(), has)?;
        let row = self.row(slot)?;
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

    fn row(&self, slot: Slot) -> Option<&Row> {
        self.rows.get(slot.index())
    }

    /// Puts a committed record in: into its row, or as the next one.
    pub fn apply(&mut self, slot: Slot, record: &ClusterRecord, now: Timestamp) {
        let mut new = self.pack(record, now);
        self.carry_day(slot, &mut new);
        let old = if let Some(row) = self.rows.get_mut(slot.index()) {
            Some(std::mem::replace(row, new))
        } else {
            self.rows.push(new);
            None
        };
        let Some(new) = self.rows.get(slot.index()) else { return };
        self.ways.moved(slot, old.as_ref(), new);
        if old.as_ref().is_none_or(|old| !old.counts_like(new)) {
            if let Some(old) = &old {
                self.tally.change(slot, old, Change::Leave);
            }
            self.tally.change(slot, new, Change::Enter);
        }
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
                let wanted = record.settings_of(&p.graph.product).and_then(|s| s.channel.as_ref());
                Product::pack(p, numbers, wanted.is_some_and(|wanted| *wanted != p.graph.channel))
            })
            .collect();
        let labels = self.labels.intern(&record.labels);
        let settings = self.settings.intern(&record.settings);
        let class = freshness(record.last_seen, self.interval_s, now);
        Row::pack(record, class, SharedNumbers { labels, settings }, products)
    }

    /// The record of a row.
    pub fn record(&self, slot: Slot) -> Option<ClusterRecord> {
        let row = self.row(slot)?;
        let products = row.products.iter();
        let products = products.filter_map(|p| self.names(p).map(|names| p.unpack(names)));
        let (labels, settings) = (self.labels.get(row.labels), self.settings.get(row.settings));
        Some(row.unpack(labels, settings, products.collect()))
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
                if !is_active(class) {
                    row.breaks_its_day();
                }
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

    /// Products of clusters in force that follow another channel than the hub wants.
    pub fn channel_mismatches(&self) -> u64 {
        self.tally.off_channel
    }

    /// Active clusters by their worst product.
    pub fn verdict_counts(&self) -> BTreeMap<HealthVerdict, u64> {
        self.tally.verdicts.clone()
    }

    /// Clusters in force by class of their last report.
    pub fn freshness_counts(&self) -> BTreeMap<Freshness, u64> {
        self.tally.freshness.clone()
    }
}
