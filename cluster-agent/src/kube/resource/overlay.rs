//! Orders laid over the configured policy.
//!
//! Pure. The file says what there is (products, pools, drivers, limits); an order says where a
//! product is to go and when. What an order leaves out is as the file says.

use std::collections::BTreeMap;

use channels::names::ProductRef;
use jiff::Timestamp;

use super::order::Order;
use super::spec::Hold;
use crate::history::History;
use crate::plan::{Policy, ProductPolicy};
use crate::state::{Approval, FinalizeApproval, LocalHold, ResumeOrder};

/// What is known about one product's resource.
#[derive(Debug, Clone, PartialEq)]
pub enum Standing {
    /// It is followed. Since when its holds are known, by generation.
    Followed {
        /// What it says.
        order: Box<Order>,
        /// When this generation was first read.
        since: Timestamp,
    },
    /// It is refused, and no valid one was ever read: nothing says what its owner wants.
    Refused {
        /// Why.
        why: String,
        /// When it was first read.
        since: Timestamp,
    },
}

/// What is known about the resources of all products that have one.
pub type Standings = BTreeMap<ProductRef, Standing>;

/// The policy with orders laid over it.
pub fn policy(configured: &Policy, standings: &Standings, now: Timestamp) -> Policy {
    let mut policy = configured.clone();
    for (product, standing) in standings {
        let Some(own) = policy.products.get_mut(product) else { continue };
        match standing {
            Standing::Followed { order, since } => lay(own, order, *since, now),
            Standing::Refused { why, since } => {
                let reason = format!("its ClusterUpdate cannot be followed: {why}");
                own.rules.hold = Some(LocalHold { reason, since: *since });
            }
        }
    }
    policy
}

fn lay(own: &mut ProductPolicy, order: &Order, since: Timestamp, now: Timestamp) {
    if let Some(channel) = &order.channel {
        own.channel = channel.clone();
    }
    if let Some(mode) = order.mode {
        own.mode = mode;
    }
    if let Some(pin) = &order.pin {
        own.pin = Some(pin.clone());
    }
    if let Some(calendar) = &order.calendar {
        own.rules.windows = calendar.clone();
    }
    own.accepted_risks.extend(order.accepted_risks.iter().cloned());
    let stands = |hold: &&Hold| hold.until.is_none_or(|until| until > now);
    let reasons: Vec<String> = order
        .holds
        .iter()
        .filter(stands)
        .map(|hold| format!("{}: {}", hold.name, hold.reason))
        .collect();
    if !reasons.is_empty() {
        own.rules.hold = Some(LocalHold { reason: reasons.join("; "), since });
    }
}

/// Approved moves: a newer release that a resource desires stands before one of the order file. A
/// desired release that runs already, or is older, is a wish of the past and approves nothing; and
/// an order back to an older release stands until the file says otherwise.
pub fn approvals(file: Vec<Approval>, standings: &Standings, history: &History) -> Vec<Approval> {
    let mut approvals = file;
    for (product, standing) in standings {
        let Standing::Followed { order, since } = standing else { continue };
        let Some(to) = &order.desired else { continue };
        let record = history.products.get(product);
        let newer = record.is_some_and(|record| record.version < *to);
        let back = approvals.iter().any(|given| given.product == *product && given.back);
        if !newer || back {
            continue;
        }
        approvals.retain(|given| given.product != *product);
        let (product, to) = (product.clone(), to.clone());
        approvals.push(Approval { product, to, at: *since, back: false });
    }
    approvals
}

/// Approved finalize steps: of file and resource the newer one, never both, so that one approval
/// is good for one try. The resource names the release; its document is the one that runs.
pub fn finalize_approvals(
    file: Vec<FinalizeApproval>,
    standings: &Standings,
    history: &History,
) -> Vec<FinalizeApproval> {
    let mut approvals = file;
    for (product, standing) in standings {
        let Standing::Followed { order, .. } = standing else { continue };
        let Some((release, at, by)) = order.finalize.clone() else { continue };
        let pending = history.products.get(product).and_then(|record| record.finalization.as_ref());
        let Some(pending) = pending.filter(|pending| pending.release == release) else { continue };
        if approvals.iter().any(|given| given.product == *product && given.at >= at) {
            continue;
        }
        approvals.retain(|given| given.product != *product);
        approvals.push(FinalizeApproval {
            product: product.clone(),
            release,
            release_digest: pending.release_digest,
            at,
            by,
        });
    }
    approvals
}

/// The resume that is due: of a pause that began before the time a resource names, once that time
/// has come. `None` when there is nothing to resume, so that an old order is carried out once.
pub fn resume(standings: &Standings, history: &History, now: Timestamp) -> Option<ResumeOrder> {
    let pause = history.pause.as_ref()?;
    let paused = |product: &ProductRef| match &history.out {
        Some(out) => out.key().product == *product,
        None => history.products.get(product).is_some_and(|record| record.roll.is_some()),
    };
    standings
        .iter()
        .filter(|(product, _)| paused(product))
        .filter_map(|(_, standing)| match standing {
            Standing::Followed { order, .. } => order.resume,
            Standing::Refused { .. } => None,
        })
        .filter(|at| *at <= now && *at >= pause.at)
        .max()
        .map(|at| ResumeOrder { at })
}
