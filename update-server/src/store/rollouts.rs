//! Rollouts inside the transaction: what a report says of them, what people order, what time does.
//!
//! Every decision is `crate::rollout`'s. Here its draft lives as long as the batch, its rows are
//! written and its events audited in the transaction of whatever caused them, and memory takes it
//! over after the commit. A batch that fails takes its draft with it.

mod people;
mod rows;
#[cfg(test)]
mod tests;

use channels::wire::{GrantRequest, Measure};
use jiff::{SignedDuration, Timestamp};

pub use self::people::{AppliedPolicy, Governed, NewPolicy, RemovedPolicy, Steer};
pub(super) use self::rows::salt;
use super::audit::{self, Event};
use super::db::{Db, DbResult, Dialect};
use super::follow::Change;
use super::ingest::Said;
use super::{Batch, LoadError};
use crate::directive::{Decision, Limits};
use crate::fleet::{ClusterRecord, ProductRecord, Slot};
use crate::rollout::{
    Ask, Draft, Heard, Overlay, PolicyRow, RolloutEvent, RolloutId, Rollouts, Turn, Went,
};
use crate::served::Served;

/// From this much time without a tick on, the hub counts as having been down: four times the
/// maintenance interval, so that one slow disk does not count.
const DOWN_AFTER: SignedDuration = SignedDuration::from_secs(60);

/// What a batch keeps of rollouts.
#[derive(Debug, Default)]
pub(super) struct RolloutBatch {
    overlay: Overlay,
    /// The latest time any job of the batch gave: when its rows are said to have changed.
    at: Option<Timestamp>,
    /// The catalog's generation whose heads were offered in this batch.
    pub(super) offered: Option<u64>,
    /// Keys of the rows that were written, once they were.
    written: Change,
}

impl RolloutBatch {
    /// What was written of rollouts.
    pub(super) fn change(&self) -> Change {
        self.written.clone()
    }

    /// What memory takes over, if anything changed.
    pub(super) fn into_overlay(self) -> Option<Overlay> {
        self.at.is_some().then_some(self.overlay)
    }
}

/// Reads everything back.
pub(super) fn load(db: &Db, now: Timestamp) -> Result<Rollouts, LoadError> {
    let salt = salt(db)?;
    let rows = rows::load(db, now)?;
    Ok(Rollouts::restore(salt, rows.policies, rows.rollouts, rows.attempts)?)
}

/// When maintenance last ran, in this process or one before.
pub(super) fn last_tick(db: &Db) -> DbResult<Option<Timestamp>> {
    let last: Option<String> =
        db.row_if_any("SELECT value FROM meta WHERE name = 'last_tick'", &[], |row| row.get(0))?;
    Ok(last.and_then(|last| last.parse().ok()))
}

/// Every version of a policy, newest first; or one version.
pub(super) fn policy_versions(
    db: &Db,
    name: &channels::rollout::Name,
    version: Option<u64>,
) -> Result<Vec<PolicyRow>, LoadError> {
    rows::policy_versions(db, name, version)
}

/// When the clusters of a rollout went.
pub(super) fn went(db: &Db, id: RolloutId) -> Result<Vec<Went>, LoadError> {
    rows::went(db, id)
}

fn audited(event: &RolloutEvent) -> Event {
    Event {
        at: event.at,
        actor: event.by.clone().unwrap_or_else(|| "hub".to_owned()),
        action: event.kind.code(),
        object: format!("rollout/{}", event.rollout),
        detail: event.kind.detail(),
    }
}

/// Rows that another replica changed.
pub(super) fn changed(db: &Db, change: &Change) -> Result<rows::Changed, LoadError> {
    rows::changed(db, change)
}

impl Batch<'_> {
    /// What must be known before the first report: that the hub was down, and what it serves now.
    pub(super) fn wake(&mut self, now: Timestamp) -> DbResult<()> {
        // Of replicas others may have ticked until a moment ago.
        let least = match self.db.dialect() {
            Dialect::Sqlite => SignedDuration::ZERO,
            Dialect::Postgres => DOWN_AFTER,
        };
        if let Some(from) = last_tick(self.db)?.filter(|from| now.duration_since(*from) > least) {
            self.draft(now, |draft| draft.hub_was_down(from, now));
        }
        let offers = self.served.offers();
        self.draft(now, |draft| draft.offered(&offers, now));
        self.look_at_rollouts(now);
        self.changes.rollouts.offered = Some(self.served.generation());
        Ok(())
    }

    /// Works on the batch's draft at `now`.
    pub(super) fn draft<T>(&mut self, now: Timestamp, work: impl FnOnce(&mut Draft<'_>) -> T) -> T {
        let kept = &mut self.changes.rollouts;
        kept.at = kept.at.max(Some(now));
        let committed = self.committed.rollouts();
        work(&mut kept.overlay.on(&committed))
    }

    /// Writes what the draft changed; the last thing before the commit.
    pub(super) fn write_rollouts(&mut self) -> DbResult<()> {
        let Some(now) = self.changes.rollouts.at else { return Ok(()) };
        let changes = self.changes.rollouts.overlay.changes(now);
        rows::write(self.db, &changes)?;
        // Their own audit rows, which listeners hear of by them.
        for event in &changes.events {
            audit::append(self.db, &mut self.changes.head, &audited(event))?;
        }
        self.changes.rollouts.written = rows::change(&changes);
        Ok(())
    }

    /// A report says what became of attempts.
    pub(super) fn rollouts_heard(
        &mut self,
        slot: Slot,
        record: &ClusterRecord,
        products: &[ProductRecord],
        now: Timestamp,
    ) {
        if self.no_rollouts() {
            return;
        }
        let heard = Heard { slot, cluster: record.id, labels: &record.labels, products };
        self.draft(now, |draft| draft.heard(&heard, now));
    }

    /// Whether no rollout and no policy exists: then reports cost nothing more than without.
    fn no_rollouts(&self) -> bool {
        let committed = self.committed.rollouts();
        committed.is_idle()
            && committed.policies().in_force().next().is_none()
            && self.changes.rollouts.overlay.is_empty()
    }

    /// What the cluster is to measure for the policies in force.
    pub(super) fn measures(&self, slot: Slot, record: &ClusterRecord) -> Vec<Measure> {
        self.committed.rollouts().measures(slot, &record.labels, &record.products)
    }

    /// The planner's word on every product of a report that asks.
    pub(super) fn turns(
        &mut self,
        slot: Slot,
        record: &ClusterRecord,
        said: &Said,
        now: Timestamp,
    ) -> Vec<Turn> {
        let none = self.no_rollouts();
        let served = self.served;
        said.questions()
            .map(|question| match ask(slot, record, question, served) {
                Some(ask) if !none => self.draft(now, |draft| draft.may_go(&ask, now)),
                Some(_) | None => Turn::Ungoverned,
            })
            .collect()
    }

    /// Tells the planner which of its words became a grant.
    pub(super) fn rollouts_granted(
        &mut self,
        slot: Slot,
        record: &ClusterRecord,
        said: &Said,
        turns: &[Turn],
        decision: &Decision,
        now: Timestamp,
    ) {
        let served = self.served;
        for ((question, turn), directive) in said.questions().zip(turns).zip(&decision.directives) {
            let (Turn::Go { rollout }, Some(grant)) = (turn, &directive.grant) else { continue };
            if let Some(ask) = ask(slot, record, question, served) {
                self.draft(now, |draft| draft.granted(&ask, *rollout, grant, now));
            }
        }
    }

    /// Forgets attempts of rollouts that are over for longer than history is kept: a part of one
    /// rollout's at a time.
    pub(super) fn forget_attempts(&self, now: Timestamp) -> DbResult<()> {
        let keep = SignedDuration::from_hours(24 * i64::from(self.settings.history_days));
        let over = self.committed.rollouts().over_for(keep, now);
        for (id, before) in over {
            if rows::forget(self.db, id, before)? {
                break;
            }
        }
        Ok(())
    }

    /// What time does to rollouts, in the maintenance tick; `since` is the time since the last one.
    pub(super) fn tick_rollouts(&mut self, since: SignedDuration, now: Timestamp) {
        self.offer_heads(now);
        if self.no_rollouts() {
            return;
        }
        if since > DOWN_AFTER
            && let Ok(from) = now.checked_sub(since)
        {
            self.draft(now, |draft| draft.hub_was_down(from, now));
        }
        self.look_at_rollouts(now);
    }

    /// Counts the members of rollouts anew, where another replica does all else that time does.
    pub(super) fn count_rollouts(&mut self, now: Timestamp) {
        if !self.no_rollouts() {
            self.look_at_rollouts(now);
        }
    }

    /// Opens rollouts for what is served now, if that changed.
    pub(super) fn offer_heads(&mut self, now: Timestamp) {
        let generation = self.served.generation();
        let known = self.changes.rollouts.offered.or_else(|| self.committed.offered());
        if known != Some(generation) {
            self.offer_heads_anew(now);
            self.changes.rollouts.offered = Some(generation);
        }
    }

    fn offer_heads_anew(&mut self, now: Timestamp) {
        if self.no_rollouts() {
            return;
        }
        let offers = self.served.offers();
        self.draft(now, |draft| draft.offered(&offers, now));
        // Nobody is granted in a rollout before its members were counted.
        self.look_at_rollouts(now);
    }

    fn look_at_rollouts(&mut self, now: Timestamp) {
        let holds = self.holds();
        let (committed, served) = (self.committed, self.served);
        self.draft(now, |draft| draft.tick(&*committed.fleet(), served, &holds, now));
    }

    /// Holds changed: rollouts that one covers stand still, or go on.
    pub(super) fn rollouts_note_holds(&mut self, now: Timestamp) {
        if !self.no_rollouts() {
            let holds = self.holds();
            self.draft(now, |draft| draft.note_holds(&holds, now));
        }
    }
}

/// The question of a product that asks for a grant.
fn ask<'a>(
    slot: Slot,
    record: &'a ClusterRecord,
    question: (&'a ProductRecord, &'a Option<GrantRequest>),
    served: &'a dyn Served,
) -> Option<Ask<'a>> {
    let (product, wants) = question;
    let limits = Limits::of(record.settings_of(&product.graph.product));
    Some(Ask::by((slot, record), product, wants.as_ref()?, limits.ceiling(), served))
}
