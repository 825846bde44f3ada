//! Risks that a cluster's owner accepts there, as the page shows them. Pure.

use channels::wire::{AcceptedRisk, ProductRow};
use jiff::Timestamp;

use super::super::shell::When;

/// A line of the table.
#[derive(Debug)]
pub(super) struct Accepted {
    pub(super) name: String,
    pub(super) reason: String,
    /// `None` = until the entry is removed.
    pub(super) until: Option<When>,
    pub(super) is_over: bool,
}

impl Accepted {
    pub(super) fn new(risk: &AcceptedRisk, now: Timestamp) -> Self {
        Self {
            name: risk.name.clone(),
            reason: risk.reason.clone(),
            until: risk.until.map(|until| When::new(now, until)),
            is_over: !risk.is_in_force(now),
        }
    }
}

/// Whether a risk of this name is accepted for a product now.
pub(super) fn is_accepted(product: &ProductRow, risk: &str, now: Timestamp) -> bool {
    product.accepted_risks.iter().any(|known| known.name == risk && known.is_in_force(now))
}
