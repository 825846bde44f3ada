//! A report that changed nothing but when the cluster was last heard: most of them. Its row is touched
//! where it lies; the products stay packed.

use channels::wire::AgentInstance;
use jiff::Timestamp;

use super::row::{Product, Row, Stamp};
use super::tally::Change;
use super::{ClusterRecord, FleetIndex, Slot, freshness};

/// What such a report leaves behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Beat {
    /// Its number.
    pub seq: u64,
    /// The process that sent it.
    pub instance: Option<AgentInstance>,
    /// When it came, by the hub's clock.
    pub at: Timestamp,
}

impl Beat {
    /// Puts it on a record.
    pub fn put_on(&self, record: &mut ClusterRecord) {
        record.seq = self.seq;
        record.instance = self.instance;
        record.last_seen = Some(self.at);
    }
}

impl FleetIndex {
    /// The record of a row without its products.
    pub fn header(&self, slot: Slot) -> Option<ClusterRecord> {
        let row = self.row(slot)?;
        let (labels, settings) = (self.labels.get(row.labels), self.settings.get(row.settings));
        Some(row.unpack(labels, settings, Vec::new()))
    }

    /// Whether a product of the row was told why it may not move.
    pub fn was_told_why_not(&self, slot: Slot) -> bool {
        let has_any = |row: &Row| row.products.iter().any(Product::has_why_not);
        self.row(slot).is_some_and(has_any)
    }

    /// Takes over a committed beat.
    pub fn beat(&mut self, slot: Slot, beat: &Beat, now: Timestamp) {
        let class = freshness(Some(beat.at), self.interval_s, now);
        let Some(row) = self.rows.get_mut(slot.index()) else { return };
        row.note(beat.seq, beat.instance, Stamp::of(Some(beat.at)));
        if row.freshness != class {
            self.tally.change(slot, row, Change::Leave);
            row.freshness = class;
            self.tally.change(slot, row, Change::Enter);
        }
    }
}
