//! The short way of a report that says that nothing has changed and asks for nothing: nothing is
//! decided, no product is looked at, and the reply says nothing about any.
//!
//! It is for what goes on as before. Whatever is unusual, such as another process, a gap in the
//! numbers, a hold or an attempt of a rollout, takes the long way, which comes to the same.

use channels::wire::{Report, ReportReply};
use jiff::Timestamp;
use signing::Sha256Digest;

use super::identity::{check_key, check_reach};
use super::ingest::{AcceptedReport, Merged, Succession};
use super::{Batch, Stop};
use crate::fleet::{Beat, ClusterRecord, Slot};

impl Batch<'_> {
    /// Commits such a report; `None` for one that must go the long way.
    pub(super) fn beat(&mut self, accepted: &AcceptedReport) -> Result<Option<ReportReply>, Stop> {
        let AcceptedReport { slot, key, report, body_digest, received_at: now } = accepted;
        let (slot, now) = (*slot, *now);
        if report.full || !report.products.is_empty() || self.has_news_for(slot) {
            return Ok(None);
        }
        let header = self.committed.fleet().header(slot);
        let Some(mut record) = header.filter(|record| goes_on(record, key, report, now)) else {
            return Ok(None);
        };
        let sent = &report.cluster;
        let beat = Beat { seq: sent.seq, instance: sent.instance, at: now };
        beat.put_on(&mut record);
        let reply = self.plain_reply(slot, &record, sent.seq, now);
        let succession = Succession {
            body_digest: *body_digest,
            sent_at: sent.sent_at.min(now),
            superseded: None,
        };
        let merged = Merged { record, units: None, full_state_wanted: false };
        self.write(slot, &[], &merged, &reply, &succession)?;
        self.changes.put_beat(slot, beat, now);
        Ok(Some(reply))
    }

    /// Whether anything may have to be said to the cluster, or was changed in this batch. An attempt
    /// that begins in this batch comes with a change of its cluster.
    fn has_news_for(&self, slot: Slot) -> bool {
        let committed = self.committed.holds();
        let holds = self.changes.holds.as_ref().unwrap_or(&committed);
        !holds.is_empty()
            || self.changes.has_cluster(slot)
            || self.committed.fleet().was_told_why_not(slot)
            || self.committed.rollouts().tracks(slot)
            || self.committed.rollouts().policies().ask_baselines()
    }
}

/// Whether the report is the next one of the process that sent the last one.
fn goes_on(record: &ClusterRecord, key: &Sha256Digest, report: &Report, now: Timestamp) -> bool {
    let header = &report.cluster;
    record.retired_at.is_none()
        && check_key(record, key).is_ok()
        && record.conflict_since.is_none()
        && record.last_seen.is_some()
        && record.instance == header.instance
        && record.seq.checked_add(1) == Some(header.seq)
        && record.agent_version == header.agent_version
        && check_reach(record, header.seq, now).is_ok()
}

#[cfg(test)]
mod tests;
