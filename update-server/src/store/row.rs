//! The row of a cluster as a report leaves it: one narrow update, and in it only what changed of the
//! parts that are long. Rows are kept until the end of the batch and written in order of their slots.

use channels::wire::ReportReply;
use jiff::Timestamp;
use rusqlite::params;

use super::db::{Db, DbError, DbResult, Session, storable};
use super::ingest::{Merged, Succession};
use super::units::{self, Units};
use super::{Batch, int, reply, state};
use crate::fleet::{ProductRecord, Slot};

/// Parts as JSON: names, numbers and sentences always serialise.
fn json<T: serde::Serialize + ?Sized>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// What a report writes.
#[derive(Debug)]
pub(super) struct ClusterWrite {
    agent_version: String,
    last_seen: Option<i64>,
    seq: i64,
    body_digest: [u8; 32],
    reply: Option<String>,
    generation: i64,
    grant: Option<String>,
    /// `None` leaves what is stored; so do the next one and `superseded`.
    state: Option<Vec<u8>>,
    units: Option<Vec<u8>>,
    instance: Option<String>,
    superseded: Option<String>,
    sent_at: i64,
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
        self.row_written(slot)?;
        let record = &merged.record;
        let changed = before != record.products;
        let units = merged.units.as_ref().and_then(|units| self.new_units(slot, units));
        let write = ClusterWrite {
            agent_version: record.agent_version.clone(),
            last_seen: record.last_seen.map(Timestamp::as_millisecond),
            seq: int(record.seq),
            body_digest: *succession.body_digest.as_bytes(),
            reply: reply::kept(reply),
            generation: int(record.ledger.generation),
            grant: record.ledger.current.as_ref().map(json),
            state: changed.then(|| state::encode(&record.products)),
            units,
            instance: record.instance.map(|instance| instance.to_string()),
            superseded: succession.superseded.as_ref().map(json),
            sent_at: succession.sent_at.as_millisecond(),
        };
        self.changes.writes.insert(slot, write);
        Ok(())
    }

    /// To be called before anything else reads or writes what a report writes of this row: an earlier
    /// report of this batch may wait to be written.
    pub(super) fn row_written(&mut self, slot: Slot) -> DbResult<()> {
        if self.changes.writes.contains_key(&slot) { self.write_rows() } else { Ok(()) }
    }

    /// Writes the rows that wait.
    pub(super) fn write_rows(&mut self) -> DbResult<()> {
        if self.changes.writes.is_empty() {
            return Ok(());
        }
        let writes = std::mem::take(&mut self.changes.writes);
        let expected = writes.len();
        let done = match self.db {
            Db::Sqlite(_) => writes
                .iter()
                .map(|(slot, write)| one(self.db, *slot, write))
                .sum::<DbResult<usize>>()?,
            Db::Postgres(session) => many(session, writes.iter())?,
        };
        // A report is not acknowledged on the strength of a row that somebody deleted.
        if done == expected { Ok(()) } else { Err(DbError::NoRow) }
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

fn one(db: &Db, slot: Slot, write: &ClusterWrite) -> DbResult<usize> {
    db.execute(
        "UPDATE cluster SET agent_version = ?2, last_seen = ?3, seq = ?4, \
         body_digest = ?5, reply = ?6, generation = ?7, grant_json = ?8, \
         products = CASE WHEN ?9 IS NULL THEN products ELSE '[]' END, \
         state = coalesce(?9, state), units = coalesce(?10, units), instance = ?11, \
         superseded = coalesce(?12, superseded), sent_at = ?13, \
         heat = CASE WHEN heat > 0 THEN heat - 1 ELSE 0 END WHERE id = ?1",
        params![
            slot.rowid(),
            write.agent_version,
            write.last_seen,
            write.seq,
            write.body_digest,
            write.reply,
            write.generation,
            write.grant,
            write.state,
            write.units,
            write.instance,
            write.superseded,
            write.sent_at,
        ],
    )
}

/// All in one statement: a column of the rows is an array.
fn many<'w>(
    session: &Session,
    writes: impl Iterator<Item = (&'w Slot, &'w ClusterWrite)>,
) -> DbResult<usize> {
    let mut columns = Columns::default();
    for (slot, write) in writes {
        columns.push(*slot, write);
    }
    let Columns { ids, agents, seen, seqs, digests, replies, generations, grants, .. } = &columns;
    let Columns { states, units, instances, superseded, sent, .. } = &columns;
    session.execute_native(
        "UPDATE cluster SET agent_version = w.agent_version, last_seen = w.last_seen, \
         seq = w.seq, body_digest = w.body_digest, reply = w.reply, generation = w.generation, \
         grant_json = w.grant_json, \
         products = CASE WHEN w.state IS NULL THEN cluster.products ELSE '[]' END, \
         state = coalesce(w.state, cluster.state), units = coalesce(w.units, cluster.units), \
         instance = w.instance, superseded = coalesce(w.superseded, cluster.superseded), \
         sent_at = w.sent_at, \
         heat = CASE WHEN cluster.heat > 0 THEN cluster.heat - 1 ELSE 0 END \
         FROM unnest($1::bigint[], $2::text[], $3::bigint[], $4::bigint[], $5::bytea[], \
         $6::text[], $7::bigint[], $8::text[], $9::bytea[], $10::bytea[], $11::text[], \
         $12::text[], $13::bigint[]) AS w (id, agent_version, last_seen, seq, body_digest, reply, \
         generation, grant_json, state, units, instance, superseded, sent_at) \
         WHERE cluster.id = w.id",
        &[
            ids,
            agents,
            seen,
            seqs,
            digests,
            replies,
            generations,
            grants,
            states,
            units,
            instances,
            superseded,
            sent,
        ],
    )
}

/// Reports side by side.
#[derive(Default)]
struct Columns<'w> {
    ids: Vec<i64>,
    agents: Vec<std::borrow::Cow<'w, str>>,
    seen: Vec<Option<i64>>,
    seqs: Vec<i64>,
    digests: Vec<&'w [u8]>,
    replies: Vec<Option<&'w str>>,
    generations: Vec<i64>,
    grants: Vec<Option<&'w str>>,
    states: Vec<Option<&'w [u8]>>,
    units: Vec<Option<&'w [u8]>>,
    instances: Vec<Option<&'w str>>,
    superseded: Vec<Option<&'w str>>,
    sent: Vec<i64>,
}

impl<'w> Columns<'w> {
    fn push(&mut self, slot: Slot, write: &'w ClusterWrite) {
        self.ids.push(slot.rowid());
        self.agents.push(storable(&write.agent_version));
        self.seen.push(write.last_seen);
        self.seqs.push(write.seq);
        self.digests.push(&write.body_digest);
        self.replies.push(write.reply.as_deref());
        self.generations.push(write.generation);
        self.grants.push(write.grant.as_deref());
        self.states.push(write.state.as_deref());
        self.units.push(write.units.as_deref());
        self.instances.push(write.instance.as_deref());
        self.superseded.push(write.superseded.as_deref());
        self.sent.push(write.sent_at);
    }
}
