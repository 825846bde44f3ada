//! The hub as this cluster meets it: what it answers to whoever asks, and to a regular report.

use channels::names::ProductRef;
use channels::wire::{Action, Directive, Grant, Reason, ReportReply};
use jiff::Timestamp;

use super::super::world::{at, cluster, product, version};
use super::court::Leave;
use super::run::Run;
use super::shape::PRODUCTS;
use crate::plan::Ask;

/// What the hub says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hub {
    /// There is none.
    Absent,
    /// Yes.
    Grants,
    /// Someone placed a hold.
    Holds,
    /// It is not this cluster's turn.
    Waits,
    /// Reports are not answered.
    Silent,
    /// It does not take this cluster's key any more.
    Disowns,
    /// It says yes, with a grant that is none.
    Misgrants(Misfit),
}

/// What is wrong with a grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Misfit {
    Missing,
    OtherCluster,
    OtherProduct,
    OtherRelease,
    OtherDocument,
    /// Older than one that was given before.
    Older,
    /// It expired before it was given.
    Expired,
}

impl Misfit {
    pub(super) const ALL: [Self; 7] = [
        Self::Missing,
        Self::OtherCluster,
        Self::OtherProduct,
        Self::OtherRelease,
        Self::OtherDocument,
        Self::Older,
        Self::Expired,
    ];
}

impl Run {
    /// Asks the hub for leave.
    pub(super) fn ask(&mut self, ask: &Ask) {
        let own = ask.product.clone();
        let answer = match self.hub {
            Hub::Absent | Hub::Silent | Hub::Disowns => return self.unanswered(),
            Hub::Holds => (Action::Hold, None),
            Hub::Waits => (Action::Wait, None),
            Hub::Misgrants(misfit) => (Action::Proceed, self.misgrant(ask, misfit)),
            Hub::Grants => (Action::Proceed, Some(self.grant(ask))),
        };
        if self.hub == Hub::Grants {
            let leave = Leave { to: ask.request.to.clone(), at_ms: self.now_ms };
            self.court.leaves.insert(own.clone(), leave);
        } else {
            self.court.leaves.remove(&own);
        }
        self.answered(vec![directive(&own, answer)], Some(&own));
    }

    /// A regular report that asks for nothing is answered, or is not.
    pub(super) fn report(&mut self) {
        let action = match self.hub {
            Hub::Absent => return,
            Hub::Silent | Hub::Disowns => return self.unanswered(),
            Hub::Holds => Action::Hold,
            // Whoever asked for nothing is told to wait.
            Hub::Grants | Hub::Waits | Hub::Misgrants(_) => Action::Wait,
        };
        let all = PRODUCTS.map(|name| directive(&product(name), (action, None)));
        self.answered(all.into(), None);
    }

    fn answered(&mut self, directives: Vec<Directive>, asked: Option<&ProductRef>) {
        self.court.disowned = false;
        for directive in &directives {
            if directive.action == Action::Hold {
                self.court.held.insert(directive.product.clone());
                self.court.leaves.remove(&directive.product);
            } else {
                self.court.held.remove(&directive.product);
            }
        }
        let now = self.now();
        self.core.hear(&reply(self.generation, now, directives), asked, now);
    }

    fn unanswered(&mut self) {
        let now = self.now();
        if self.hub == Hub::Disowns {
            self.court.disowned = true;
            self.court.leaves.clear();
            self.core.unheard("the cluster is retired".to_owned(), Some("cluster_retired"), now);
        } else {
            self.core.unheard("connection refused".to_owned(), None, now);
        }
    }

    fn grant(&mut self, ask: &Ask) -> Grant {
        self.generation += 1;
        Grant {
            cluster: cluster(),
            product: ask.product.clone(),
            to: ask.request.to.clone(),
            release_digest: ask.request.release_digest,
            generation: self.generation,
            expires_at: at(self.now_ms + self.skew_ms + self.grant_lasts_ms),
        }
    }

    fn misgrant(&mut self, ask: &Ask, misfit: Misfit) -> Option<Grant> {
        let highest = self.core.history.highest_generation;
        let good = self.grant(ask);
        match misfit {
            Misfit::Missing => None,
            Misfit::OtherCluster => {
                let cluster = channels::names::ClusterId(uuid::Uuid::from_u128(8));
                Some(Grant { cluster, ..good })
            }
            Misfit::OtherProduct => Some(Grant { product: product("acme/elsewhere"), ..good }),
            Misfit::OtherRelease => Some(Grant { to: version("99.0.0"), ..good }),
            Misfit::OtherDocument => {
                Some(Grant { release_digest: signing::Sha256Digest::of(b"another"), ..good })
            }
            // Before the first good one there is nothing to be older than.
            Misfit::Older => highest.checked_sub(1).map(|generation| Grant { generation, ..good }),
            Misfit::Expired => Some(Grant { expires_at: self.now(), ..good }),
        }
    }
}

fn directive(own: &ProductRef, (action, grant): (Action, Option<Grant>)) -> Directive {
    let reasons = match action {
        Action::Proceed => vec![],
        Action::Wait => vec![reason("not_eligible", "ring 2 has not begun")],
        Action::Hold => vec![reason("held", "drill")],
    };
    Directive { product: own.clone(), action, grant, reasons, earliest_at: None }
}

fn reason(code: &str, message: &str) -> Reason {
    Reason { code: code.to_owned(), message: message.to_owned() }
}

fn reply(seq: u64, at: Timestamp, directives: Vec<Directive>) -> ReportReply {
    ReportReply {
        seq,
        at,
        timestamp_etag: None,
        directives,
        next_report_in_s: 300,
        full_state_wanted: false,
        settings: vec![],
        measures: vec![],
    }
}
