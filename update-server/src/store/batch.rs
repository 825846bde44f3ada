//! One transaction of the writer, and what it will change in memory once it is durable.
//!
//! Jobs of one batch see each other's changes here, while readers do not.

use std::collections::BTreeMap;

use channels::names::ClusterId;
use channels::wire::Hold;
use jiff::{SignedDuration, Timestamp};
use rusqlite::params;
use signing::Sha256Digest;

use super::audit::{self, Event, Head};
use super::db::{Db, DbResult, Dialect};
use super::follow::{self, Change};
use super::rollouts::{RolloutBatch, last_tick};
use super::row::ClusterWrite;
use super::{Committed, Stop, StoreSettings, history};
use crate::auth::{SessionTable, TokenTable};
use crate::fleet::{ClusterRecord, Slot};
use crate::served::Served;
use crate::site::Sites;

/// The open transaction.
pub(crate) struct Batch<'t> {
    pub(super) db: &'t Db,
    pub(super) committed: &'t Committed,
    pub(super) served: &'t dyn Served,
    pub(super) settings: &'t StoreSettings,
    pub(super) changes: Changes,
}

/// What memory takes over after the commit.
pub(super) struct Changes {
    pub(super) head: Head,
    clusters: BTreeMap<Slot, (ClusterRecord, Timestamp)>,
    /// Of units that were written, see [`Committed::unit_mark`].
    pub(super) unit_marks: BTreeMap<Slot, u64>,
    pub(super) rows: u32,
    pub(super) holds: Option<Vec<Hold>>,
    pub(super) tokens: Option<TokenTable>,
    pub(super) sessions: Option<SessionTable>,
    pub(super) sites: Option<Sites>,
    pub(super) rollouts: RolloutBatch,
    /// For the log, and for those who listen.
    told: Vec<Event>,
    /// Reports whose rows are not written yet.
    pub(super) writes: BTreeMap<Slot, ClusterWrite>,
    /// Changes that history keeps, and has not got yet.
    pub(super) history: history::Waiting,
    sweep: Option<Timestamp>,
    history_day: Option<i64>,
}

impl Changes {
    pub(super) fn new(head: Head, rows: u32) -> Self {
        Self {
            head,
            clusters: BTreeMap::new(),
            unit_marks: BTreeMap::new(),
            rows,
            holds: None,
            tokens: None,
            sessions: None,
            sites: None,
            rollouts: RolloutBatch::default(),
            told: Vec::new(),
            writes: BTreeMap::new(),
            history: history::Waiting::default(),
            sweep: None,
            history_day: None,
        }
    }

    /// Whether a maintenance tick was in the batch.
    pub(super) fn ticked(&self) -> bool {
        self.sweep.is_some()
    }

    /// Puts the changes where readers see them.
    pub(super) fn publish(self, committed: &Committed) -> Head {
        if let Some(holds) = self.holds {
            committed.set_holds(holds);
        }
        if let Some(tokens) = self.tokens {
            committed.set_tokens(tokens);
        }
        if let Some(sessions) = self.sessions {
            committed.set_sessions(sessions);
        }
        if let Some(sites) = self.sites {
            committed.set_sites(sites);
        }
        if let Some(generation) = self.rollouts.offered {
            committed.set_offered(generation);
        }
        if let Some(overlay) = self.rollouts.into_overlay() {
            committed.apply_rollouts(overlay);
        }
        committed.set_unit_marks(self.unit_marks);
        if !self.clusters.is_empty() || self.sweep.is_some() {
            let mut fleet = committed.fleet_mut();
            for (slot, (record, now)) in &self.clusters {
                fleet.apply(*slot, record, *now);
            }
            if let Some(now) = self.sweep {
                let renumbered = fleet.sweep(now);
                if renumbered {
                    committed.memo().clear();
                }
            }
        }
        committed.changed();
        committed.events().publish(self.told);
        self.head
    }
}

impl Batch<'_> {
    /// Adds an audit row.
    pub(super) fn audit(&mut self, event: &Event) -> DbResult<()> {
        audit::append(self.db, &mut self.changes.head, event)?;
        self.changes.told.push(event.clone());
        Ok(())
    }

    /// A cluster as of this point of the batch.
    pub(super) fn cluster(&self, slot: Slot) -> Option<ClusterRecord> {
        match self.changes.clusters.get(&slot) {
            Some((record, _)) => Some(record.clone()),
            None => self.committed.fleet().record(slot),
        }
    }

    /// Keeps a cluster's record for memory.
    pub(super) fn put_cluster(&mut self, slot: Slot, record: ClusterRecord, now: Timestamp) {
        self.changes.clusters.insert(slot, (record, now));
    }

    /// How many clusters this batch changes so far.
    pub(super) fn changed_clusters(&self) -> usize {
        self.changes.clusters.len()
    }

    fn find(&self, matches: impl Fn(&ClusterRecord) -> bool) -> Option<Slot> {
        self.changes.clusters.iter().find(|(_, (r, _))| matches(r)).map(|(slot, _)| *slot)
    }

    /// The row of a cluster id.
    pub(super) fn slot(&self, id: ClusterId) -> Option<Slot> {
        self.committed.fleet().slot(id).or_else(|| self.find(|r| r.id == id))
    }

    /// The row of a key in force, or of one before it.
    pub(super) fn slot_of_key(&self, key_id: &Sha256Digest) -> Option<Slot> {
        let known = self.committed.fleet().identity(key_id).map(|i| i.slot);
        let is_its = |r: &ClusterRecord| r.key.id == *key_id || r.ended(key_id).is_some();
        known.or_else(|| self.find(is_its))
    }

    /// The row of a name in force.
    pub(super) fn slot_of_name(&self, name: &str) -> Option<Slot> {
        // Two statements: the fleet must not be locked twice at once.
        let known = self.committed.fleet().slot_of_name(name);
        let known =
            known.filter(|slot| self.cluster(*slot).is_some_and(|r| r.retired_at.is_none()));
        known.or_else(|| self.find(|r| r.name == name && r.retired_at.is_none()))
    }

    /// Holds as of this point of the batch.
    pub(super) fn holds(&self) -> Vec<Hold> {
        match &self.changes.holds {
            Some(holds) => holds.clone(),
            None => self.committed.holds().as_ref().clone(),
        }
    }

    /// Tokens as of this point of the batch.
    pub(super) fn tokens(&self) -> TokenTable {
        match &self.changes.tokens {
            Some(tokens) => tokens.clone(),
            None => self.committed.tokens().as_ref().clone(),
        }
    }

    /// Sessions as of this point of the batch.
    pub(super) fn sessions(&self) -> SessionTable {
        match &self.changes.sessions {
            Some(sessions) => sessions.clone(),
            None => self.committed.sessions().as_ref().clone(),
        }
    }

    /// Dark sites as of this point of the batch.
    pub(super) fn sites(&self) -> Sites {
        match &self.changes.sites {
            Some(sites) => sites.clone(),
            None => self.committed.sites().as_ref().clone(),
        }
    }

    /// Writes what waits for the end of the batch; the last thing before the commit.
    pub(super) fn write_rest(&mut self) -> DbResult<()> {
        self.write_rows()?;
        history::write(self.db, &self.changes.history)?;
        self.write_rollouts()
    }

    /// What replicas that follow take over; after [`Batch::write_rest`].
    pub(super) fn change(&self, head_before: u64) -> Change {
        let changes = &self.changes;
        Change {
            clusters: changes.clusters.keys().map(|slot| slot.rowid()).collect(),
            holds: changes.holds.is_some(),
            tokens: changes.tokens.is_some(),
            sessions: changes.sessions.is_some(),
            sites: changes.sites.is_some(),
            audit: changes.head.id() != head_before,
            ..changes.rollouts.change()
        }
    }

    /// Makes sure the history table of the day exists in this transaction.
    pub(super) fn history_day(&mut self, at: Timestamp) -> DbResult<()> {
        let day = at.as_second().div_euclid(86_400);
        if self.changes.history_day != Some(day) {
            history::create(self.db, at)?;
            self.changes.history_day = Some(day);
        }
        Ok(())
    }

    /// Maintenance inside the transaction; see `Store::tick`.
    pub(super) fn tick(&mut self, now: Timestamp) -> Result<(), Stop> {
        let since = self.since_last_tick(now)?;
        self.tick_rollouts(since, now);
        if since < history::CLOCK_JUMP {
            history::prune(self.db, self.settings.history_days, now)?;
        } else {
            tracing::warn!(%now, "the clock is days past the last tick: history kept this once");
        }
        if self.db.dialect() == Dialect::Postgres {
            follow::prune(self.db, now)?;
        }
        self.db.execute(
            "INSERT INTO meta (name, value) VALUES ('last_tick', ?1) \
                 ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            params![now.to_string()],
        )?;
        self.changes.sweep = Some(now);
        Ok(())
    }

    /// What a replica does that leaves the rest of the maintenance to another one: see
    /// `Store::sweep`.
    pub(super) fn sweep(&mut self, now: Timestamp) {
        self.count_rollouts(now);
        self.changes.sweep = Some(now);
    }

    /// Time since the last tick, of this process or one before; zero at the very first.
    fn since_last_tick(&self, now: Timestamp) -> DbResult<SignedDuration> {
        Ok(now.duration_since(last_tick(self.db)?.unwrap_or(now)))
    }

    /// Fails as a broken disk would.
    #[cfg(test)]
    pub(crate) fn break_database(&self) -> DbResult<()> {
        self.db.execute("INSERT INTO no_such_table VALUES (1)", &[]).map(drop)
    }
}
