//! What the fleet's owner sets for one cluster. Each with its audit row in one transaction.

use std::sync::Arc;

use channels::names::ClusterId;
use channels::rollout::{LabelPatch, labels};
use jiff::Timestamp;
use rusqlite::params;
use serde_json::json;

use super::audit::Event;
use super::{Batch, Refusal, Stop, Store};
use crate::fleet::MAX_LABEL_SETS;

/// A change of a cluster's labels.
#[derive(Debug, Clone)]
pub struct SetLabels {
    /// Which cluster.
    pub id: ClusterId,
    /// What changes.
    pub patch: LabelPatch,
    /// Who.
    pub by: String,
    /// When.
    pub now: Timestamp,
}

impl Store {
    /// Changes a cluster's labels. A change that changes nothing leaves no trace.
    pub async fn set_labels(&self, change: SetLabels) -> Result<(), Refusal> {
        self.submit(move |batch| batch.set_labels(&change)).await
    }
}

impl Batch<'_> {
    pub(super) fn set_labels(&mut self, change: &SetLabels) -> Result<(), Stop> {
        let SetLabels { id, patch, by, now } = change;
        let (slot, mut record) = self.in_force(*id)?;
        let after = labels::patched(&record.labels, patch).map_err(Refusal::Labels)?;
        if *record.labels == after {
            return Ok(());
        }
        let after = Arc::new(after);
        if !self.committed.fleet().has_room_for_labels(&after, self.changed_clusters()) {
            return Err(Refusal::TooManyLabelSets { max: MAX_LABEL_SETS }.into());
        }
        self.conn
            .prepare_cached("UPDATE cluster SET labels = ?2 WHERE id = ?1")?
            .execute(params![slot.rowid(), json!(*after).to_string()])?;
        self.audit(&Event {
            at: *now,
            actor: by.clone(),
            action: "label",
            object: id.to_string(),
            detail: json!({ "name": record.name, "before": *record.labels, "after": *after }),
        })?;
        record.labels = after;
        self.put_cluster(slot, record, *now);
        Ok(())
    }
}
