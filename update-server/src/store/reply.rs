//! The reply to a cluster's last report, kept for an agent that did not hear it.
//!
//! Most replies say nothing that could not be worked out again: nothing was asked for, so nothing is
//! granted. Those are not kept. A retry brings the very report that they answered.

use channels::wire::{Action, Directive, Report, ReportReply};
use jiff::Timestamp;
use rusqlite::params;

use super::{Batch, Stop};
use crate::directive::not_asked;
use crate::fleet::{ClusterRecord, Slot};

/// What is written; `None` for a reply that is worked out again.
pub(super) fn kept(reply: &ReportReply) -> Option<String> {
    let plain = |directive: &Directive| {
        directive.action == Action::Wait
            && directive.grant.is_none()
            && directive.earliest_at.is_none()
            && directive.reasons == [not_asked()]
    };
    if !reply.full_state_wanted && reply.directives.iter().all(plain) {
        return None;
    }
    // What is to be measured is worked out again: it may be longer than all the rest of the row.
    let short = ReportReply { measures: Vec::new(), ..reply.clone() };
    // Names, numbers and sentences: always serialises.
    Some(serde_json::to_string(&short).unwrap_or_default())
}

impl Batch<'_> {
    /// The reply to the last report, which came again.
    pub(super) fn reply_again(
        &mut self,
        slot: Slot,
        before: &ClusterRecord,
        report: &Report,
    ) -> Result<Option<ReportReply>, Stop> {
        self.row_written(slot)?;
        let stored: Option<Option<String>> = self.db.row_if_any(
            "SELECT reply FROM cluster WHERE id = ?1",
            params![slot.rowid()],
            |row| row.get(0),
        )?;
        Ok(match stored.flatten() {
            Some(reply) => {
                let reply = serde_json::from_str(&reply).ok();
                reply.map(|reply| ReportReply { measures: self.measures(slot, before), ..reply })
            }
            None => before.last_seen.map(|at| ReportReply {
                directives: waits(report),
                measures: self.measures(slot, before),
                ..self.plain_reply(slot, before, report.cluster.seq, at)
            }),
        })
    }

    /// The reply that asks nothing of the cluster and grants it nothing.
    pub(super) fn plain_reply(
        &self,
        slot: Slot,
        record: &ClusterRecord,
        seq: u64,
        at: Timestamp,
    ) -> ReportReply {
        ReportReply {
            seq,
            at,
            timestamp_etag: self.served.timestamp_etag(),
            directives: Vec::new(),
            next_report_in_s: self.committed.fleet().next_report_in_s(slot, at),
            full_state_wanted: false,
            settings: record.settings.to_vec(),
            measures: Vec::new(),
        }
    }
}

/// What products that ask for nothing are told.
fn waits(report: &Report) -> Vec<Directive> {
    let wait = |state: &channels::wire::ProductState| Directive {
        product: state.product.clone(),
        action: Action::Wait,
        grant: None,
        reasons: vec![not_asked()],
        earliest_at: None,
    };
    report.products.iter().map(wait).collect()
}
