//! What the fleet's owner sets for one cluster. Each with its audit row in one transaction.

use std::sync::Arc;

use channels::names::{ClusterId, ProductRef};
use channels::rollout::{LabelPatch, labels};
use channels::wire::{ProductSettings, Report, SettingsPatch};
use jiff::Timestamp;
use rusqlite::params;
use serde_json::json;

use super::audit::Event;
use super::{Batch, Refusal, Stop, Store};
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
        && pin > max
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

    /// Changes what is wanted of a cluster's product. A change that changes nothing leaves no trace.
    pub async fn set_settings(&self, change: SetSettings) -> Result<(), Refusal> {
        self.submit(move |batch| batch.set_settings(&change)).await
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
            return Err(Refusal::TooManyLabelSets { max: MAX_SHARED }.into());
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
        self.conn
            .prepare_cached("UPDATE cluster SET settings = ?2 WHERE id = ?1")?
            .execute(params![slot.rowid(), json!(*after).to_string()])?;
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
