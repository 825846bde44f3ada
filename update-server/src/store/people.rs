//! What people write: holds and join tokens. Each with its audit row in one transaction.

use channels::names::ClusterId;
use channels::rollout::Labels;
use channels::wire::{Hold, HoldScope};
use jiff::Timestamp;
use rusqlite::params;
use serde_json::json;
use signing::Sha256Digest;

use super::audit::Event;
use super::{Batch, Refusal, Stop, Store};
use crate::fleet::Slot;

/// A hold to place.
#[derive(Debug, Clone)]
pub struct NewHold {
    /// What to stop.
    pub scope: HoldScope,
    /// Why.
    pub reason: String,
    /// Who places it.
    pub by: String,
    /// When.
    pub now: Timestamp,
}

/// A join token to make.
#[derive(Debug, Clone)]
pub struct NewJoinToken {
    /// SHA-256 of the secret.
    pub digest: Sha256Digest,
    /// How many clusters may enrol with it.
    pub uses: u32,
    /// The one cluster that may enrol again with it; `None` admits new ones.
    pub cluster: Option<ClusterId>,
    /// When it stops working.
    pub expires_at: Timestamp,
    /// What it is for.
    pub note: String,
    /// Labels of the clusters that enrol with it.
    pub labels: Labels,
    /// Who makes it.
    pub by: String,
    /// When.
    pub now: Timestamp,
}

impl Store {
    /// Places a hold.
    pub async fn hold(&self, new: NewHold) -> Result<Hold, Refusal> {
        self.submit(move |batch| batch.hold(new)).await
    }

    /// Lifts a hold.
    pub async fn resume(
        &self,
        id: u64,
        acknowledge: String,
        by: String,
        now: Timestamp,
    ) -> Result<Hold, Refusal> {
        self.submit(move |batch| batch.resume(id, &acknowledge, by, now)).await
    }

    /// Ends a join token that is open.
    pub async fn end_join_token(&self, id: u64, by: String, now: Timestamp) -> Result<(), Refusal> {
        self.submit(move |batch| batch.end_join_token(id, by, now)).await
    }

    /// Makes a join token.
    pub async fn create_join_token(&self, new: NewJoinToken) -> Result<(), Refusal> {
        self.submit(move |batch| batch.create_join_token(&new)).await
    }
}

impl Batch<'_> {
    fn hold(&mut self, new: NewHold) -> Result<Hold, Stop> {
        let scope = json!(new.scope);
        let id = self.db.insert(
            "INSERT INTO hold (scope, reason, by, at) VALUES (?1, ?2, ?3, ?4) RETURNING id",
            params![scope.to_string(), new.reason, new.by, new.now.as_millisecond()],
        )?;
        let hold = Hold {
            id: super::id_of(id),
            scope: new.scope,
            reason: new.reason,
            by: new.by,
            at: new.now,
            resumed_at: None,
            resumed_by: None,
        };
        self.audit(&Event {
            at: hold.at,
            actor: hold.by.clone(),
            action: "hold",
            object: format!("hold/{}", hold.id),
            detail: json!({ "scope": scope, "reason": hold.reason }),
        })?;
        let mut holds = self.holds();
        holds.push(hold.clone());
        self.changes.holds = Some(holds);
        self.rollouts_note_holds(hold.at);
        Ok(hold)
    }

    fn resume(
        &mut self,
        id: u64,
        acknowledge: &str,
        by: String,
        now: Timestamp,
    ) -> Result<Hold, Stop> {
        let mut holds = self.holds();
        let Some(position) = holds.iter().position(|h| h.id == id) else {
            let known: i64 = self.db.row(
                "SELECT count(*) FROM hold WHERE id = ?1",
                params![super::int(id)],
                |row| row.get(0),
            )?;
            return Err(if known == 0 {
                Refusal::UnknownHold { id }.into()
            } else {
                Refusal::AlreadyResumed { id }.into()
            });
        };
        let mut hold = holds.remove(position);
        self.db.execute(
            "UPDATE hold SET resumed_at = ?2, resumed_by = ?3 WHERE id = ?1",
            params![super::int(id), now.as_millisecond(), by],
        )?;
        self.audit(&Event {
            at: now,
            actor: by.clone(),
            action: "resume",
            object: format!("hold/{id}"),
            detail: json!({ "acknowledge": acknowledge, "reason": hold.reason }),
        })?;
        hold.resumed_at = Some(now);
        hold.resumed_by = Some(by);
        self.changes.holds = Some(holds);
        self.rollouts_note_holds(now);
        Ok(hold)
    }

    fn end_join_token(&mut self, id: u64, by: String, now: Timestamp) -> Result<(), Stop> {
        let ended = self.db.execute(
            "UPDATE join_token SET used = uses \
                 WHERE id = ?1 AND used < uses AND expires_at > ?2",
            params![super::int(id), now.as_millisecond()],
        )?;
        if ended == 0 {
            return Err(Refusal::UnknownJoinToken { id }.into());
        }
        self.audit(&Event {
            at: now,
            actor: by,
            action: "end_join_token",
            object: format!("join-token/{id}"),
            detail: json!({}),
        })?;
        Ok(())
    }

    pub(super) fn create_join_token(&mut self, new: &NewJoinToken) -> Result<(), Stop> {
        let cluster = new.cluster.map(|id| self.in_force(id)).transpose()?;
        let cluster = cluster.map(|(slot, _)| slot);
        if let Some(slot) = cluster {
            self.cancel_join_tokens(slot)?;
        }
        let id = self.db.insert(
            "INSERT INTO join_token (digest, uses, expires_at, note, created_at, created_by, \
                 cluster, labels) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) RETURNING id",
            params![
                new.digest.as_bytes(),
                new.uses,
                new.expires_at.as_millisecond(),
                new.note,
                new.now.as_millisecond(),
                new.by,
                cluster.map(Slot::rowid),
                json!(new.labels).to_string(),
            ],
        )?;
        self.audit(&Event {
            at: new.now,
            actor: new.by.clone(),
            action: if cluster.is_some() { "reinvite" } else { "create_join_token" },
            object: new.cluster.map_or_else(|| format!("join-token/{id}"), |c| c.to_string()),
            detail: json!({
                "join_token": id, "uses": new.uses, "expires_at": new.expires_at.to_string(),
                "note": new.note, "labels": new.labels,
            }),
        })?;
        Ok(())
    }
}
