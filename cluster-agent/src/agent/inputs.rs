//! What the core is told: orders of people, verified metadata, the hub's words, facts of the moment.
//!
//! Pure; part of [`Core`]. Nothing here begins anything: what is taken in counts at the next plan.

use std::collections::BTreeMap;

use channels::names::ProductRef;
use channels::wire::{self, ReportReply};
use jiff::Timestamp;

use super::core::Core;
use crate::driver::Task;
use crate::plan::{
    Basis, CheckResult, CheckSource, Disowned, Heard, HubError, Known, LeaseFact, Policy,
    QuorumChange, documents_needed,
};
use crate::state::{Approval, FinalizeApproval, LocalHold};

impl Core {
    /// Resolves where products want to go; only between units does it matter (I12).
    pub(super) fn retarget(&mut self, now: Timestamp) {
        let basis = Basis {
            known: &self.known,
            policy: &self.policy,
            history: &self.history,
            approvals: &self.approvals,
            answers: &self.answers,
            now,
        };
        self.targets = basis.targets();
    }

    /// Takes in the policy in force. Says whether a product follows another channel by it: what was
    /// known about that product is of the old one.
    pub(super) fn govern(&mut self, policy: Policy) -> bool {
        let mut other_channel = false;
        for (product, new) in &policy.products {
            let old = self.policy.products.get(product);
            if old.is_some_and(|old| old.channel != new.channel) {
                tracing::info!(%product, channel = %new.channel, "follows another channel");
                self.known.remove(product);
                other_channel = true;
            }
        }
        self.policy = policy;
        other_channel
    }

    /// Takes in what people on the cluster ordered.
    pub fn orders(&mut self, hold: Option<LocalHold>, approvals: Vec<Approval>) {
        self.standing.hold = hold;
        self.approvals = approvals;
    }

    /// Takes in what was verified. A failure that was there before keeps its time.
    pub fn learn(&mut self, mut known: Known, now: Timestamp) {
        for (product, new) in &mut known {
            let old = self.known.get(product).and_then(|old| old.failure.as_ref());
            if let (Some(new), Some(old)) = (&mut new.failure, old)
                && (&new.failure.kind, &new.failure.message)
                    == (&old.failure.kind, &old.failure.message)
            {
                new.failure.at = old.failure.at;
            }
        }
        self.known = known;
        self.retarget(now);
    }

    /// Whether a decision waits for a document that nobody has tried to fetch.
    pub fn lacks_documents(&self, now: Timestamp) -> bool {
        self.policy.products.iter().any(|(product, policy)| {
            let Some(known) = self.known.get(product) else { return false };
            let Some(graph) = &known.graph else { return false };
            let exposure = policy.exposure(&self.answers, now);
            documents_needed(product, graph, policy, &self.history, &self.approvals, &exposure)
                .iter()
                .any(|version| !known.releases.contains_key(version))
        })
    }

    /// Takes in that the driver cannot say how a stage stands.
    pub fn driver_silent(&mut self, stage: Task, why: &str) {
        self.current_wait = Some(wire::WaitingOn {
            gate: "driver".to_owned(),
            unit: self.history.out.as_ref().map(|out| out.order.key.unit.clone()),
            message: format!("the driver cannot say how stage {stage} stands: {why}"),
            observed: None,
            limit: None,
            since: None,
        });
    }

    /// Takes in how starting a stage went: `Some` says why it failed.
    pub fn start_ended(&mut self, error: Option<String>) {
        self.start_error = error;
    }

    /// Takes in that the hub answers. The reply to a report that left the products out says nothing
    /// about them: whether one is held must be heard in answer to another.
    pub fn answered(&mut self) {
        self.standing.hub_error = None;
        self.standing.disowned = None;
    }

    /// Takes in the hub's reply to a report that was sent at `sent_at` and asked for `asked`.
    ///
    /// A reply to a report that asked for nothing says `wait`; it must not hide what was said to a
    /// report that did ask, but it does end a hold.
    pub fn hear(&mut self, reply: &ReportReply, asked: Option<&ProductRef>, sent_at: Timestamp) {
        self.answered();
        self.standing.answered_report_at = Some(sent_at);
        for directive in &reply.directives {
            let product = &directive.product;
            if directive.action == wire::Action::Wait && asked != Some(product) {
                let held = self.standing.directives.get(product);
                if held.is_some_and(|heard| heard.directive.action == wire::Action::Hold) {
                    self.standing.directives.remove(product);
                }
                continue;
            }
            let heard = Heard { directive: directive.clone(), at: sent_at };
            self.standing.directives.insert(product.clone(), heard);
        }
    }

    /// Takes in that a report was not answered; `refused` names a refusal of the cluster's key.
    pub fn unheard(&mut self, why: String, refused: Option<&'static str>, now: Timestamp) {
        if let Some(code) = refused {
            // What was granted to the key is void with it.
            self.standing.directives.clear();
            let since = self.standing.disowned.as_ref().map_or(now, |disowned| disowned.since);
            let disowned = Disowned { code: code.to_owned(), why: why.clone(), since };
            self.standing.disowned = Some(disowned);
        }
        let since = self.standing.hub_error.as_ref().map_or(now, |error| error.since);
        self.standing.hub_error = Some(HubError { why, since });
    }

    /// Whether people hold the cluster, or this product of it.
    pub(super) fn is_held(&self, product: &ProductRef) -> bool {
        let own = self.policy.products.get(product).and_then(|own| own.rules.hold.as_ref());
        self.standing.hold.as_ref().or(own).is_some()
    }

    /// Takes in which finalize steps people approved.
    pub fn finalize_approved(&mut self, approvals: Vec<FinalizeApproval>) {
        self.standing.finalize_approvals = approvals;
    }

    /// Takes in how it stands with the lease; `None` = this cluster has none. A shell that needs a
    /// lease says [`LeaseFact::Unknown`] before its first decision.
    pub fn leased(&mut self, fact: Option<LeaseFact>) {
        self.standing.lease = fact;
    }

    /// Takes in whether a guided command changes the voters of a quorum at the moment.
    pub fn quorum_change(&mut self, change: Option<QuorumChange>) {
        self.standing.quorum_change = change;
    }

    /// Takes in what one source of checks found; replaces all that this source said before.
    pub fn checks(&mut self, source: CheckSource, results: BTreeMap<ProductRef, Vec<CheckResult>>) {
        self.standing.checks.insert(source, results);
    }
}
