//! How clusters come and go: join tokens, enrolment, retirement.

use std::sync::Arc;

use channels::names::ClusterId;
use channels::rollout::Labels;
use channels::wire::EnrolmentReply;
use jiff::Timestamp;
use rusqlite::params;
use serde_json::json;
use signing::Sha256Digest;

use super::audit::Event;
use super::db::DbResult;
use super::identity::check_key;
use super::{Batch, Refusal, Stop, Store, int};
use crate::directive::Ledger;
use crate::fleet::{ClusterKey, ClusterRecord, MAX_SHARED, Slot};

/// An enrolment whose signature by its own key was verified.
#[derive(Debug, Clone)]
pub struct Enrolment {
    /// SHA-256 of the join token.
    pub token_digest: Sha256Digest,
    /// The key it registers.
    pub key: ClusterKey,
    /// A name for people.
    pub name: String,
    /// Version of the agent.
    pub agent_version: String,
    /// When, by the hub's clock.
    pub now: Timestamp,
}

/// A join token as the hub keeps it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct JoinTokenRow {
    /// Its number.
    pub id: i64,
    /// How many clusters may enrol with it.
    pub uses: u32,
    /// How many did.
    pub used: u32,
    /// When it stops working.
    pub expires_at: Timestamp,
    /// The cluster it was minted for, if for one that is known already.
    #[serde(skip)]
    pub cluster: Option<Slot>,
    /// Labels of whoever enrols with it.
    #[serde(skip)]
    pub labels: Arc<Labels>,
}

impl Store {
    /// Makes a cluster known; idempotent by key.
    pub async fn enrol(&self, enrolment: Enrolment) -> Result<EnrolmentReply, Refusal> {
        self.submit(move |batch| batch.enrol(enrolment)).await
    }

    /// Takes a cluster out of the fleet for good; its key works no more.
    pub async fn retire(&self, id: ClusterId, by: String, now: Timestamp) -> Result<(), Refusal> {
        self.submit(move |batch| batch.retire(id, by, now)).await
    }
}

impl Batch<'_> {
    fn enrol(&mut self, enrolment: Enrolment) -> Result<EnrolmentReply, Stop> {
        let now = enrolment.now;
        let token = self.join_token(&enrolment.token_digest, now)?;
        if let Some(slot) = self.slot_of_key(&enrolment.key.id) {
            let known = self.cluster(slot).ok_or(Refusal::UnknownCluster)?;
            if known.retired_at.is_some() {
                return Err(Refusal::Retired.into());
            }
            check_key(&known, &enrolment.key.id)?;
            if token.cluster.is_some_and(|only| only != slot) {
                return Err(Refusal::JoinToken { why: "is for another cluster" }.into());
            }
            // A token for this cluster replaces the key; after it did, the key is the new one.
            if token.cluster.is_some() && token.used < token.uses {
                return Err(Refusal::KeyInUse.into());
            }
            return Ok(self.welcome(slot, known.id, now));
        }
        if token.used >= token.uses {
            return Err(Refusal::JoinToken { why: "has no uses left" }.into());
        }
        if let Some(slot) = token.cluster {
            let id = self.enrol_again(slot, enrolment, &token)?;
            return Ok(self.welcome(slot, id, now));
        }
        if self.slot_of_name(&enrolment.name).is_some() {
            return Err(Refusal::NameTaken { name: enrolment.name }.into());
        }
        if !self.committed.fleet().has_room_for_labels(&token.labels, self.changed_clusters()) {
            return Err(Refusal::TooManyLabelSets { max: MAX_SHARED }.into());
        }
        let slot = Slot(self.changes.rows);
        let record = ClusterRecord {
            id: ClusterId(uuid::Uuid::new_v4()),
            name: enrolment.name,
            labels: Arc::clone(&token.labels),
            settings: Arc::default(),
            key: enrolment.key,
            former: None,
            elder: None,
            enrolled_at: now,
            retired_at: None,
            agent_version: enrolment.agent_version,
            last_seen: None,
            seq: 0,
            instance: None,
            conflict_since: None,
            revoked: None,
            ledger: Ledger::default(),
            products: Vec::new(),
        };
        self.insert(slot, &record, &token)?;
        self.changes.rows += 1;
        let id = record.id;
        self.put_cluster(slot, record, now);
        Ok(self.welcome(slot, id, now))
    }

    fn welcome(&self, slot: Slot, cluster_id: ClusterId, now: Timestamp) -> EnrolmentReply {
        let next_report_in_s = self.committed.fleet().next_report_in_s(slot, now);
        EnrolmentReply { cluster_id, next_report_in_s }
    }

    fn insert(&mut self, slot: Slot, record: &ClusterRecord, token: &JoinTokenRow) -> DbResult<()> {
        self.db
            .execute("UPDATE join_token SET used = used + 1 WHERE id = ?1", params![token.id])?;
        self.db.execute(
            "INSERT INTO cluster (id, uuid, name, key, key_id, join_token, enrolled_at, \
                 agent_version, labels) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            params![
                slot.rowid(),
                record.id.0.as_bytes(),
                record.name,
                record.key.bytes,
                record.key.id.as_bytes(),
                token.id,
                record.enrolled_at.as_millisecond(),
                record.agent_version,
                json!(*record.labels).to_string(),
            ],
        )?;
        self.audit(&Event {
            at: record.enrolled_at,
            actor: format!("join-token/{}", token.id),
            action: "enrol",
            object: record.id.to_string(),
            detail: json!({
                "name": record.name, "key_id": record.key.id.hex(), "labels": *record.labels,
            }),
        })
    }

    /// A join token that is known and has not expired. Whether it has uses left is asked only for
    /// a new key: a retry after a lost answer must succeed.
    fn join_token(&self, digest: &Sha256Digest, now: Timestamp) -> Result<JoinTokenRow, Stop> {
        let row: Option<(i64, u32, u32, i64, Option<i64>, String)> = self.db.row_if_any(
            "SELECT id, uses, used, expires_at, cluster, labels FROM join_token \
                 WHERE digest = ?1",
            params![digest.as_bytes()],
            |row| {
                let cluster = row.get(4)?;
                Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, cluster, row.get(5)?))
            },
        )?;
        let (id, uses, used, expires_at, cluster, labels) =
            row.ok_or(Refusal::JoinToken { why: "is unknown" })?;
        if expires_at <= now.as_millisecond() {
            return Err(Refusal::JoinToken { why: "has expired" }.into());
        }
        let expires_at = Timestamp::from_millisecond(expires_at).unwrap_or(Timestamp::MIN);
        let cluster = match cluster {
            None => None,
            Some(rowid) => Some(Slot::from_rowid(rowid).ok_or(Refusal::UnknownCluster)?),
        };
        let labels = serde_json::from_str(&labels).map_err(|_| Refusal::JoinToken {
            why: "has labels that this hub cannot read; mint another one",
        })?;
        Ok(JoinTokenRow { id, uses, used, expires_at, cluster, labels: Arc::new(labels) })
    }

    pub(super) fn retire(&mut self, id: ClusterId, by: String, now: Timestamp) -> Result<(), Stop> {
        let slot = self.slot(id).ok_or(Refusal::UnknownCluster)?;
        let mut record = self.cluster(slot).ok_or(Refusal::UnknownCluster)?;
        if record.retired_at.is_some() {
            return Err(Refusal::UnknownCluster.into());
        }
        record.retired_at = Some(now);
        record.ledger.current = None;
        self.row_written(slot)?;
        self.db.execute(
            "UPDATE cluster SET retired_at = ?2, grant_json = NULL WHERE id = ?1",
            params![slot.rowid(), now.as_millisecond()],
        )?;
        self.audit(&Event {
            at: now,
            actor: by,
            action: "retire",
            object: id.to_string(),
            detail: json!({ "name": record.name, "seq": int(record.seq) }),
        })?;
        self.put_cluster(slot, record, now);
        Ok(())
    }
}
