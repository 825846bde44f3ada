//! What the memory holds of units and products that the configuration no longer has.
//!
//! An agent that went on beside them would wait for ever without a word: it refuses to start, names
//! them, and forgets one only when a person says so.

use channels::names::{PoolName, ProductRef};
use channels::version::ReleaseVersion;
use jiff::Timestamp;

use super::AgentError;
use crate::config::Settings;
use crate::history::History;
use crate::observation::UnitKey;
use crate::state::{Control, Document, StateDir};

/// Something that was begun and is no longer configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Orphan {
    /// The unit that is out.
    Unit {
        /// Which.
        key: UnitKey,
        /// The pool it was of.
        pool: PoolName,
    },
    /// A roll in which units were changed.
    Roll {
        /// Of which product.
        product: ProductRef,
        /// Where it went.
        to: ReleaseVersion,
    },
}

impl Orphan {
    /// What a person calls it by.
    pub fn name(&self) -> String {
        match self {
            Self::Unit { key, .. } => key.to_string(),
            Self::Roll { product, .. } => product.to_string(),
        }
    }
}

/// Everything in `history` that `settings` have no place for.
pub fn orphans(settings: &Settings, history: &History) -> Vec<Orphan> {
    let out = history.out.as_ref().filter(|out| {
        let pools = settings.products.get(&out.key().product).map(|product| &product.pools);
        let pool = pools.and_then(|pools| pools.iter().find(|pool| pool.name == out.pool));
        pool.is_none_or(|pool| pool.units.iter().all(|unit| unit.target.key != *out.key()))
    });
    let unit = out.map(|out| Orphan::Unit { key: out.key().clone(), pool: out.pool.clone() });
    let gone = history.products.iter().filter(|(name, _)| !settings.products.contains_key(name));
    let rolls = gone.filter_map(|(product, record)| {
        let roll = record.roll.as_ref().filter(|roll| roll.touched)?;
        Some(Orphan::Roll { product: product.clone(), to: roll.to.clone() })
    });
    unit.into_iter().chain(rolls).collect()
}

/// Forgets what a person gave up, and refuses to go on with anything else that has no place.
pub(super) fn settle_orphans(
    settings: &Settings,
    state: &StateDir,
    control: &Control,
    document: &mut Document,
    now: Timestamp,
) -> Result<(), AgentError> {
    let failed = |source| AgentError::State { source };
    let order = control.give_up_order().map_err(failed)?;
    if let Some(order) = &order {
        for orphan in orphans(settings, &document.history) {
            if orphan.name() == order.name {
                tracing::warn!(name = order.name, "given up: what was begun stays as it is");
                give_up(&mut document.history, &orphan, now);
            }
        }
        state.save(document).map_err(failed)?;
        control.give_up_taken().map_err(failed)?;
    }
    match orphans(settings, &document.history).into_iter().next() {
        None => Ok(()),
        Some(Orphan::Unit { key, pool }) => {
            Err(AgentError::OrphanedUnit { unit: key.to_string(), pool })
        }
        Some(Orphan::Roll { product, to }) => Err(AgentError::OrphanedRoll { product, to }),
    }
}

fn give_up(history: &mut History, orphan: &Orphan, now: Timestamp) {
    match orphan {
        Orphan::Unit { key, .. } => {
            history.out = None;
            history.calm.remove(key);
            history.last_step_ended_at = Some(now);
        }
        Orphan::Roll { product, .. } => {
            history.products.remove(product);
            history.calm.retain(|key, _| key.product != *product);
        }
    }
    // Nobody knows in which state it was left: others go after a green time only.
    history.baseline_owed_since = Some(now);
}
