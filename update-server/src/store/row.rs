//! The row of a cluster as a report leaves it: one narrow update, and in it only what changed of the
//! parts that are long.

use jiff::Timestamp;
use rusqlite::params;

use super::db::DbResult;
use super::ingest::{Merged, Succession};
use super::units::{self, Units};
use super::{Batch, int, reply, state};
use crate::fleet::{ProductRecord, Slot};
use channels::wire::ReportReply;

/// Parts as JSON: names, numbers and sentences always serialise.
fn json<T: serde::Serialize + ?Sized>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

impl Batch<'_> {
    /// Writes what a report has changed. `before` is what the row says of its products.
    pub(super) fn write(
        &mut self,
        slot: Slot,
        before: &[ProductRecord],
        merged: &Merged,
        reply: &ReportReply,
        succession: &Succession,
    ) -> DbResult<()> {
        let record = &merged.record;
        let changed = before != record.products;
        let units = merged.units.as_ref().and_then(|units| self.new_units(slot, units));
        self.db.execute(
            "UPDATE cluster SET agent_version = ?2, last_seen = ?3, seq = ?4, \
                 body_digest = ?5, reply = ?6, generation = ?7, grant_json = ?8, \
                 products = CASE WHEN ?9 IS NULL THEN products ELSE '[]' END, \
                 state = coalesce(?9, state), units = coalesce(?10, units), instance = ?11, \
                 superseded = coalesce(?12, superseded), sent_at = ?13, \
                 heat = CASE WHEN heat > 0 THEN heat - 1 ELSE 0 END WHERE id = ?1",
            params![
                slot.rowid(),
                record.agent_version,
                record.last_seen.map(Timestamp::as_millisecond),
                int(record.seq),
                succession.body_digest.as_bytes(),
                reply::kept(reply),
                int(record.ledger.generation),
                record.ledger.current.as_ref().map(json),
                changed.then(|| state::encode(&record.products)),
                units,
                record.instance.map(|instance| instance.to_string()),
                succession.superseded.as_ref().map(json),
                succession.sent_at.as_millisecond(),
            ],
        )?;
        Ok(())
    }

    /// The blob of the units, unless it is the one that the row has. What it has is known by a mark
    /// from the first report after a start on.
    fn new_units(&mut self, slot: Slot, units: &Units) -> Option<Vec<u8>> {
        let mark = units::mark(units);
        let known = self.changes.unit_marks.get(&slot).copied();
        if known.or_else(|| self.committed.unit_mark(slot)) == Some(mark) {
            return None;
        }
        self.changes.unit_marks.insert(slot, mark);
        Some(units::encode(units))
    }
}
