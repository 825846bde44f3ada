//! What the fleet's owner sets for one cluster, or does to many. Each with its audit row in one
//! transaction.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use channels::names::{ClusterId, ProductRef};
use channels::rollout::{LabelPatch, labels};
use channels::wire::{ProductSettings, Report, SettingsPatch};
use jiff::Timestamp;
use rusqlite::params;
use serde_json::json;

use super::audit::Event;
use super::{Batch, NewJoinToken, Refusal, Revoke, Stop, Store};
use crate::fleet::MAX_SHARED;

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

/// A change of what is wanted of a cluster's product.
#[derive(Debug, Clone)]
pub struct SetSettings {
    /// Which cluster.
    pub id: ClusterId,
    /// Which product; it need not have been reported yet.
    pub product: ProductRef,
    /// What changes.
    pub patch: SettingsPatch,
    /// Who.
    pub by: String,
    /// When.
    pub now: Timestamp,
}

/// A part of one change to many clusters: one transaction, with one audit row per cluster.
#[derive(Debug, Clone)]
pub enum BulkWork {
    /// Changes labels.
    Label {
        /// Which clusters.
        ids: Vec<ClusterId>,
        /// What changes.
        patch: LabelPatch,
        /// Who.
        by: String,
        /// When.
        now: Timestamp,
    },
    /// Changes what is wanted of a product.
    Set {
        /// Which clusters.
        ids: Vec<ClusterId>,
        /// Which product.
        product: ProductRef,
        /// What changes.
        patch: SettingsPatch,
        /// Who.
        by: String,
        /// When.
        now: Timestamp,
    },
    /// Takes clusters out of the fleet.
    Retire {
        /// Which clusters.
        ids: Vec<ClusterId>,
        /// Who.
        by: String,
        /// When.
        now: Timestamp,
    },
    /// Takes the keys of clusters out of force.
    Revoke {
        /// Which clusters.
        ids: Vec<ClusterId>,
        /// Why.
        reason: String,
        /// Who.
        by: String,
        /// When.
        now: Timestamp,
    },
    /// Lets clusters enrol again, each with a token of its own.
    Reinvite {
        /// The tokens.
        new: Vec<NewJoinToken>,
    },
}

/// How a part of one change to many clusters went.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BulkDone {
    /// Clusters it was done to.
    pub done: u64,
    /// Clusters it was not done to, and why; they may have been retired a moment before.
    pub refused: Vec<(ClusterId, String)>,
}

impl BulkDone {
    /// Counts one cluster. What fails the database fails all.
    fn note(&mut self, id: ClusterId, outcome: Result<(), Stop>) -> Result<(), Stop> {
        match outcome {
            Ok(()) => self.done += 1,
            Err(Stop::Refused(refusal)) => self.refused.push((id, refusal.to_string())),
            Err(Stop::Sql(error)) => return Err(Stop::Sql(error)),
        }
        Ok(())
    }
}

/// Settings with one product's changed, in the order of the products' names.
pub(crate) fn changed(
    before: &[ProductSettings],
    product: &ProductRef,
    patch: &SettingsPatch,
) -> Result<Vec<ProductSettings>, Refusal> {
    let none = || ProductSettings::none(product.clone());
    let known = before.iter().find(|settings| settings.product == *product);
    let new = patch.applied(&known.cloned().unwrap_or_else(none));
    if let (Some(pin), Some(max)) = (&new.pin, &new.max_version)
        && pin.is_above(max)
    {
        let (pin, max) = (pin.to_string(), max.to_string());
        return Err(Refusal::PinAboveMax { pin, max });
    }
    let others = before.iter().filter(|settings| settings.product != *product).cloned();
    let mut after: Vec<_> = others.chain(Some(new).filter(|new| !new.is_none())).collect();
    after.sort_unstable();
    let (found, max) = (after.len(), Report::MAX_PRODUCTS);
    if found > max { Err(Refusal::TooManyProducts { found, max }) } else { Ok(after) }
}

impl Store {
    /// Changes a cluster's labels. A change that changes nothing leaves no trace.
    pub async fn set_labels(&self, change: SetLabels) -> Result<(), Refusal> {
        self.submit(move |batch| batch.set_labels(&change)).await
    }

    /// Does a part of one change to many clusters.
    pub async fn bulk(&self, work: BulkWork) -> Result<BulkDone, Refusal> {
        self.submit(move |batch| batch.bulk(work)).await
    }

    /// Changes what is wanted of a cluster's product. A change that changes nothing leaves no trace.
    pub async fn set_settings(&self, change: SetSettings) -> Result<(), Refusal> {
        self.submit(move |batch| batch.set_settings(&change)).await
    }
}

impl Batch<'_> {
    fn bulk(&mut self, work: BulkWork) -> Result<BulkDone, Stop> {
        let mut done = BulkDone::default();
        match work {
            BulkWork::Label { ids, patch, by, now } => {
                let mut change = SetLabels { id: ClusterId(uuid::Uuid::nil()), patch, by, now };
                for id in ids {
                    change.id = id;
                    let outcome = self.set_labels(&change);
                    done.note(id, outcome)?;
                }
            }
            BulkWork::Set { ids, product, patch, by, now } => {
                let id = ClusterId(uuid::Uuid::nil());
                let mut change = SetSettings { id, product, patch, by, now };
                for id in ids {
                    change.id = id;
                    let outcome = self.set_settings(&change);
                    done.note(id, outcome)?;
                }
            }
            BulkWork::Retire { ids, by, now } => {
                for id in ids {
                    let outcome = self.retire(id, by.clone(), now);
                    done.note(id, outcome)?;
                }
            }
            BulkWork::Revoke { ids, reason, by, now } => {
                let mut revoke = Revoke { id: ClusterId(uuid::Uuid::nil()), reason, by, now };
                for id in ids {
                    revoke.id = id;
                    let outcome = self.revoke(&revoke);
                    done.note(id, outcome)?;
                }
            }
            BulkWork::Reinvite { new } => {
                for new in new {
                    let Some(id) = new.cluster else { continue };
                    let outcome = self.create_join_token(&new);
                    done.note(id, outcome)?;
                }
            }
        }
        Ok(done)
    }

    pub(super) fn set_labels(&mut self, change: &SetLabels) -> Result<(), Stop> {
        let SetLabels { id, patch, by, now } = change;
        let (slot, mut record) = self.in_force(*id)?;
        let after = labels::patched(&record.labels, patch).map_err(Refusal::Labels)?;
        if *record.labels == after {
            return Ok(());
        }
        let after = Arc::new(after);
        if !self.committed.fleet().has_room_for_labels(&after, self.changed_clusters()) {
            return Err(Refusal::TooManyLabelSets { max: MAX_SHARED }.into());
        }
        self.db.execute(
            "UPDATE cluster SET labels = ?2 WHERE id = ?1",
            params![slot.rowid(), json!(*after).to_string()],
        )?;
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

    pub(super) fn set_settings(&mut self, change: &SetSettings) -> Result<(), Stop> {
        let SetSettings { id, product, patch, by, now } = change;
        let (slot, mut record) = self.in_force(*id)?;
        let after = changed(&record.settings, product, patch)?;
        if *record.settings == after {
            return Ok(());
        }
        let after = Arc::new(after);
        if !self.committed.fleet().has_room_for_settings(&after, self.changed_clusters()) {
            return Err(Refusal::TooManySettings { max: MAX_SHARED }.into());
        }
        self.db.execute(
            "UPDATE cluster SET settings = ?2 WHERE id = ?1",
            params![slot.rowid(), json!(*after).to_string()],
        )?;
        let of = |all: &[ProductSettings]| all.iter().find(|s| s.product == *product).cloned();
        self.audit(&Event {
            at: *now,
            actor: by.clone(),
            action: "set",
            object: id.to_string(),
            detail: json!({
                "name": record.name, "product": product, "before": of(&record.settings),
                "after": of(&after),
            }),
        })?;
        record.settings = after;
        self.put_cluster(slot, record, *now);
        Ok(())
    }
}
