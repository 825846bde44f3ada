//! A cluster's identity after its enrolment: another key, a conflict over it, and how either ends.
//!
//! A key is replaced in one transaction with its audit row; the one before is remembered, so that
//! whoever still signs with it is refused by name. Nothing here decides whether two agents share a
//! key: that is [`super::judge`].

use std::sync::Arc;

use channels::names::ClusterId;
use channels::wire::{KeyRevocation, Report};
use jiff::{SignedDuration, Timestamp};
use rusqlite::params;
use serde_json::json;
use signing::Sha256Digest;

use super::audit::Event;
use super::db::DbResult;
use super::enrol::{Enrolment, JoinTokenRow};
use super::{Batch, Refusal, Stop, Store, int};
use crate::fleet::{ClusterKey, ClusterRecord, FormerKey, KeyEnd, Slot};

/// How long after a rotation reports with the old key are on their way: a signature is taken for a
/// minute, and an agent that lost the hub's answer asks again before its next report.
const OLD_KEY_GRACE: SignedDuration = SignedDuration::from_mins(5);

/// How long the oldest of several rotated keys is remembered: much longer than any agent is silent.
const ELDER_KEPT: SignedDuration = SignedDuration::from_hours(24);

/// A request for another key, signed by the old one, whose proof by the new one was verified.
#[derive(Debug, Clone)]
pub struct KeyRotation {
    /// Row of the cluster.
    pub slot: Slot,
    /// The key that signed the request.
    pub old: Sha256Digest,
    /// The key to be.
    pub new: ClusterKey,
    /// The statement's number; must be above every committed report.
    pub seq: u64,
    /// When, by the hub's clock.
    pub now: Timestamp,
}

/// A person takes a cluster's key out of force.
#[derive(Debug, Clone)]
pub struct Revoke {
    /// Which cluster.
    pub id: ClusterId,
    /// Why.
    pub reason: String,
    /// Who.
    pub by: String,
    /// When.
    pub now: Timestamp,
}

/// A person ends a conflict over a cluster's identity.
#[derive(Debug, Clone)]
pub struct Trust {
    /// Which cluster.
    pub id: ClusterId,
    /// What they have seen and done.
    pub acknowledge: String,
    /// Who.
    pub by: String,
    /// When.
    pub now: Timestamp,
}

impl Store {
    /// Replaces a cluster's key. The same request again is answered as before.
    pub async fn rotate_key(&self, rotation: KeyRotation) -> Result<(), Refusal> {
        self.submit(move |batch| batch.rotate_key(&rotation)).await
    }

    /// Takes a cluster's key out of force: the cluster stays in the fleet, and enrols again with
    /// another key once it is invited. A key that is revoked already stays so, without a trace.
    pub async fn revoke(&self, revoke: Revoke) -> Result<(), Refusal> {
        self.submit(move |batch| batch.revoke(&revoke)).await
    }

    /// Ends an identity conflict: the next agent to report with the key is the one believed.
    pub async fn trust(&self, trust: Trust) -> Result<(), Refusal> {
        self.submit(move |batch| batch.trust(trust)).await
    }
}

/// Whether `key` is the one in force: it may have been replaced or revoked after the request that it
/// signed was verified.
pub(super) fn check_key(record: &ClusterRecord, key: &Sha256Digest) -> Result<(), Refusal> {
    match record.ended(key) {
        Some(ended) => Err(Refusal::KeyReplaced { end: ended.end }),
        None if record.key.id != *key => Err(Refusal::UnknownCluster),
        None => match &record.revoked {
            Some(revoked) => Err(Refusal::KeyRevoked(Arc::clone(revoked))),
            None => Ok(()),
        },
    }
}

/// Requires a number that a clock can reach: one beyond it would leave the cluster's own agent,
/// which does not believe it either, no number to go on with.
pub(super) fn check_reach(record: &ClusterRecord, seq: u64, now: Timestamp) -> Result<(), Refusal> {
    let now_ms = u64::try_from(now.as_millisecond()).unwrap_or(0);
    if seq <= now_ms.saturating_add(Report::SEQ_AHEAD_MAX_MS) {
        return Ok(());
    }
    Err(Refusal::SeqOutOfReach { seq, last: record.seq })
}

/// The rotated key that is remembered beside the last one: the one whose holder may not have heard
/// of any of the rotations.
fn elder(record: &ClusterRecord, now: Timestamp) -> Option<FormerKey> {
    let lately = |ended: &FormerKey| now.duration_since(ended.at) < ELDER_KEPT;
    let rotated = |ended: &FormerKey| ended.end == KeyEnd::Rotated;
    record.elder.filter(lately).or(record.former.filter(rotated))
}

/// What whoever signs with an ended key is told.
pub(super) fn key_replaced(end: KeyEnd) -> &'static str {
    match end {
        KeyEnd::Rotated => {
            "this key was replaced: whoever had it asked for another one; if this machine did not, \
             the key was stolen: `fairway clusters reinvite`"
        }
        KeyEnd::Reenrolled => {
            "this key was replaced: its cluster enrolled again with another one, because this one \
             was lost or in wrong hands"
        }
    }
}

/// What whoever signs with a revoked key is told.
pub(super) fn key_revoked(revoked: &KeyRevocation) -> String {
    let KeyRevocation { at, by, reason } = revoked;
    format!(
        "{by} revoked this cluster's key at {at}: {reason}; after `fairway clusters reinvite`, \
         `cluster-agent enroll --new-key` lets it back in with another one"
    )
}

impl Batch<'_> {
    /// A report signed with a key before the one in force. Soon after a rotation it is one that was
    /// under way. Later it is a second agent: either somebody copied the old key, or somebody who
    /// stole it replaced it, and the one that is refused is the true one.
    pub(super) fn ended_key(
        &mut self,
        slot: Slot,
        mut record: ClusterRecord,
        key: &Sha256Digest,
        now: Timestamp,
    ) -> DbResult<()> {
        let rotated = record.ended(key).filter(|ended| ended.end == KeyEnd::Rotated);
        if rotated.is_some_and(|ended| now.duration_since(ended.at) > OLD_KEY_GRACE) {
            self.mark_conflict(slot, &mut record, "replaced_key", now)?;
            self.put_cluster(slot, record, now);
        }
        Ok(())
    }

    /// A cluster that is not retired.
    pub(super) fn in_force(&self, id: ClusterId) -> Result<(Slot, ClusterRecord), Refusal> {
        let slot = self.slot(id).ok_or(Refusal::UnknownCluster)?;
        let record = self.cluster(slot).filter(|record| record.retired_at.is_none());
        Ok((slot, record.ok_or(Refusal::UnknownCluster)?))
    }

    fn rotate_key(&mut self, rotation: &KeyRotation) -> Result<(), Stop> {
        let KeyRotation { slot, old, new, seq, now } = rotation;
        let mut record = self.cluster(*slot).ok_or(Refusal::UnknownCluster)?;
        if record.retired_at.is_some() {
            return Err(Refusal::Retired.into());
        }
        let done = record.former.is_some_and(|former| former.key.id == *old);
        if done && record.key.id == new.id {
            return Ok(());
        }
        check_key(&record, old)?;
        check_reach(&record, *seq, *now)?;
        if record.conflict_since.is_some() {
            return Err(Refusal::IdentityConflict { last_seq: None }.into());
        }
        if *seq <= record.seq {
            return Err(Refusal::Replayed { seq: *seq, last: record.seq }.into());
        }
        if self.slot_of_key(&new.id).is_some() {
            return Err(Refusal::KeyInUse.into());
        }
        let former = FormerKey { key: record.key, end: KeyEnd::Rotated, at: *now };
        let elder = elder(&record, *now);
        self.replace_key(*slot, new, &former, elder.as_ref())?;
        self.audit(&Event {
            at: *now,
            actor: record.id.to_string(),
            action: "rotate_key",
            object: record.id.to_string(),
            detail: json!({ "key_id": new.id.hex(), "former_key_id": old.hex(), "seq": int(*seq) }),
        })?;
        record.key = *new;
        record.former = Some(former);
        record.elder = elder;
        self.put_cluster(*slot, record, *now);
        Ok(())
    }

    fn replace_key(
        &mut self,
        slot: Slot,
        new: &ClusterKey,
        former: &FormerKey,
        elder: Option<&FormerKey>,
    ) -> Result<(), Stop> {
        self.row_written(slot)?;
        self.db.execute(
            "UPDATE cluster SET key = ?2, key_id = ?3, former_key = ?4, former_key_id = ?5, \
                 former_why = ?6, former_at = ?7, elder_key = ?8, elder_key_id = ?9, \
                 elder_at = ?10 WHERE id = ?1",
            params![
                slot.rowid(),
                new.bytes,
                new.id.as_bytes(),
                former.key.bytes,
                former.key.id.as_bytes(),
                former.end.as_str(),
                former.at.as_millisecond(),
                elder.map(|elder| elder.key.bytes),
                elder.map(|elder| elder.key.id.as_bytes().to_vec()),
                elder.map(|elder| elder.at.as_millisecond()),
            ],
        )?;
        Ok(())
    }

    pub(super) fn revoke(&mut self, revoke: &Revoke) -> Result<(), Stop> {
        let Revoke { id, reason, by, now } = revoke;
        let (slot, mut record) = self.in_force(*id)?;
        if record.revoked.is_some() {
            return Ok(());
        }
        let revoked = KeyRevocation { at: *now, by: by.clone(), reason: reason.clone() };
        let voids = record.ledger.current.take();
        self.row_written(slot)?;
        self.db.execute(
            "UPDATE cluster SET revoked = ?2, grant_json = NULL WHERE id = ?1",
            params![slot.rowid(), json!(revoked).to_string()],
        )?;
        // Whoever has the key may have a token for it as well.
        self.cancel_join_tokens(slot)?;
        self.audit(&Event {
            at: *now,
            actor: by.clone(),
            action: "revoke",
            object: id.to_string(),
            detail: json!({
                "name": record.name, "key_id": record.key.id.hex(), "reason": reason,
                "voids_grant": voids.map(|grant| grant.generation),
            }),
        })?;
        record.revoked = Some(Arc::new(revoked));
        self.put_cluster(slot, record, *now);
        Ok(())
    }

    /// A known cluster enrols with a new key: its history stays, its numbers begin anew, and what
    /// the old key was granted is void.
    pub(super) fn enrol_again(
        &mut self,
        slot: Slot,
        enrolment: Enrolment,
        token: &JoinTokenRow,
    ) -> Result<ClusterId, Stop> {
        let mut record = self.cluster(slot).ok_or(Refusal::UnknownCluster)?;
        if record.retired_at.is_some() {
            return Err(Refusal::Retired.into());
        }
        if record.name != enrolment.name {
            return Err(Refusal::JoinToken { why: "is for a cluster of another name" }.into());
        }
        let end = KeyEnd::Reenrolled;
        let former = FormerKey { key: record.key, end, at: enrolment.now };
        let voids = record.ledger.current.take();
        self.replace_key(slot, &enrolment.key, &former, None)?;
        self.db.execute(
            "UPDATE cluster SET seq = 0, body_digest = NULL, reply = NULL, sent_at = NULL, \
                 grant_json = NULL, revoked = NULL, agent_version = ?2 WHERE id = ?1",
            params![slot.rowid(), enrolment.agent_version],
        )?;
        self.forget_processes(slot)?;
        self.cancel_join_tokens(slot)?;
        self.audit(&Event {
            at: enrolment.now,
            actor: format!("join-token/{}", token.id),
            action: "re_enrol",
            object: record.id.to_string(),
            detail: json!({
                "name": record.name, "key_id": enrolment.key.id.hex(),
                "former_key_id": former.key.id.hex(), "former_seq": int(record.seq),
                "voids_grant": voids.map(|grant| grant.generation),
                "ends_conflict": record.conflict_since.is_some(),
                "ends_revocation": record.revoked.is_some(),
            }),
        })?;
        record.key = enrolment.key;
        record.former = Some(former);
        record.elder = None;
        record.agent_version = enrolment.agent_version;
        record.seq = 0;
        record.instance = None;
        record.conflict_since = None;
        record.revoked = None;
        let id = record.id;
        self.put_cluster(slot, record, enrolment.now);
        Ok(id)
    }

    /// Uses up every token that was minted for a cluster.
    pub(super) fn cancel_join_tokens(&self, slot: Slot) -> DbResult<()> {
        self.db
            .execute("UPDATE join_token SET used = uses WHERE cluster = ?1", params![slot.rowid()])
            .map(drop)
    }

    fn forget_processes(&mut self, slot: Slot) -> DbResult<()> {
        self.row_written(slot)?;
        self.db
            .execute(
                "UPDATE cluster SET instance = NULL, superseded = '[]', heat = 0, \
                 conflict_since = NULL WHERE id = ?1",
                params![slot.rowid()],
            )
            .map(drop)
    }

    /// Marks a conflict, once; grants end with it.
    pub(super) fn mark_conflict(
        &mut self,
        slot: Slot,
        record: &mut ClusterRecord,
        proof: &'static str,
        now: Timestamp,
    ) -> DbResult<()> {
        if record.conflict_since.is_some() {
            return Ok(());
        }
        record.conflict_since = Some(now);
        self.row_written(slot)?;
        let voids = record.ledger.current.take();
        self.db.execute(
            "UPDATE cluster SET conflict_since = ?2, grant_json = NULL WHERE id = ?1",
            params![slot.rowid(), now.as_millisecond()],
        )?;
        tracing::warn!(
            cluster.id = %record.id, cluster.name = record.name, proof,
            "more than one agent uses this cluster's key"
        );
        self.audit(&Event {
            at: now,
            actor: "hub".to_owned(),
            action: "identity_conflict",
            object: record.id.to_string(),
            detail: json!({
                "name": record.name, "key_id": record.key.id.hex(), "proof": proof,
                "voids_grant": voids.map(|grant| grant.generation),
            }),
        })
    }

    /// Ends what a number ahead of the clock blocks: whoever is believed from here on need not
    /// count on from it. Reports from before are too old to be accepted again.
    fn take_number_back(
        &mut self,
        slot: Slot,
        record: &mut ClusterRecord,
        now: Timestamp,
    ) -> DbResult<()> {
        let now_ms = u64::try_from(now.as_millisecond()).unwrap_or(0);
        if record.seq <= now_ms {
            return Ok(());
        }
        record.seq = now_ms;
        self.row_written(slot)?;
        self.db
            .execute(
                "UPDATE cluster SET seq = ?2, body_digest = NULL, reply = NULL, sent_at = NULL \
                 WHERE id = ?1",
                params![slot.rowid(), int(now_ms)],
            )
            .map(drop)
    }

    fn trust(&mut self, trust: Trust) -> Result<(), Stop> {
        let Trust { id, acknowledge, by, now } = trust;
        let (slot, mut record) = self.in_force(id)?;
        let since = record.conflict_since.take().ok_or(Refusal::NoConflict)?;
        record.instance = None;
        self.forget_processes(slot)?;
        self.take_number_back(slot, &mut record, now)?;
        self.audit(&Event {
            at: now,
            actor: by,
            action: "trust",
            object: id.to_string(),
            detail: json!({
                "name": record.name, "acknowledge": acknowledge, "since": since.to_string(),
            }),
        })?;
        self.put_cluster(slot, record, now);
        Ok(())
    }
}
