//! What the clusters of the model fleet send: their next reports, signed with their keys.

use std::sync::{Mutex, MutexGuard, PoisonError};

use channels::wire::{ClusterHeader, Report, media_type};
use signing::message::{self, RequestParts};

use super::model::{Model, draw};
use super::roster::{Roster, key};
use crate::clock;
use crate::error::{CliError, Result};

/// Where reports go.
const REPORTS: &str = "/api/v1/reports";
/// A share in millionths.
const MILLION: u64 = 1_000_000;

/// Who reports, and how.
#[derive(Debug)]
pub(super) struct Fleet {
    /// The hub's name in `Host`.
    pub(super) host: String,
    /// Names and states.
    pub(super) model: Model,
    /// Keys and ids.
    pub(super) roster: Roster,
    /// Of a million reports so many tell the whole state; the others only that it has not changed.
    pub(super) full_per_million: u64,
    /// Of a million reports so many tell of a change.
    pub(super) change_per_million: u64,
}

/// What is known of a cluster while it reports.
#[derive(Debug, Clone, Copy, Default)]
struct Member {
    sent: u32,
    changes: u16,
    full: bool,
}

/// One report, ready to be sent.
#[derive(Debug)]
pub(super) struct Signed {
    /// The whole request.
    pub(super) request: Vec<u8>,
    /// Bytes of its body.
    pub(super) body_bytes: u64,
    /// Whether it tells the whole state.
    pub(super) full: bool,
}

/// Signs reports and remembers what the hub wants of whom.
#[derive(Debug)]
pub(super) struct Reporter {
    fleet: Fleet,
    members: Mutex<Vec<Member>>,
    /// Numbers of reports count on from here, as an agent's do after a start.
    first_seq: u64,
}

impl Reporter {
    /// Nobody has reported yet.
    pub(super) fn new(fleet: Fleet) -> Result<Self> {
        let first_seq = u64::try_from(clock::now().as_millisecond())
            .map_err(|e| CliError::because("the clock is before 1970", &e))?;
        let members = Mutex::new(vec![Member::default(); fleet.roster.ids.len()]);
        Ok(Self { fleet, members, first_seq })
    }

    /// The hub's name in `Host`.
    pub(super) fn host(&self) -> &str {
        &self.fleet.host
    }

    /// The next report of a cluster; none for a number that the fleet does not have.
    pub(super) fn next(&self, number: u32) -> Option<Signed> {
        let fleet = &self.fleet;
        let now = clock::now();
        let id = *fleet.roster.ids.get(index(number))?;
        let member = self.count(number)?;
        let seq = self.first_seq + u64::from(member.sent);
        let chance = draw([fleet.roster.seed, u64::from(number), seq]) % MILLION;
        let full = member.full || chance < fleet.full_per_million;
        let header = ClusterHeader {
            id,
            seq,
            sent_at: now,
            agent_version: env!("CARGO_PKG_VERSION").to_owned(),
            instance: Some(fleet.model.instance(number)),
            heard_seq: None,
        };
        let report = if full {
            fleet.model.report(header, number, u64::from(member.changes), now)
        } else {
            Report { cluster: header, full: false, products: Vec::new() }
        };
        let body = serde_json::to_vec(&report).ok()?;
        let parts = RequestParts {
            method: "POST",
            path: REPORTS,
            query: "",
            content_type: Some(media_type::REPORT),
            body: &body,
        };
        let nonce = format!("{:016x}", draw([seq, u64::from(number), 9]));
        let signed = message::sign(&parts, &key(fleet.roster.seed, number), now, &nonce).ok()?;
        let mut request = format!(
            "POST {REPORTS} HTTP/1.1\r\nhost: {}\r\ncontent-type: {}\r\ncontent-digest: {}\r\n\
             signature-input: {}\r\nsignature: {}\r\ncontent-length: {}\r\n\r\n",
            fleet.host,
            media_type::REPORT,
            signed.content_digest.unwrap_or_default(),
            signed.signature_input,
            signed.signature,
            body.len(),
        )
        .into_bytes();
        let body_bytes = u64::try_from(body.len()).unwrap_or(0);
        request.extend(body);
        Some(Signed { request, body_bytes, full })
    }

    /// Whether the next report of a cluster has to tell everything.
    pub(super) fn wanted(&self, number: u32, full: bool) {
        if let Some(member) = self.members().get_mut(index(number)) {
            member.full = full;
        }
    }

    /// Counts a report of a cluster, and whether something has changed there.
    fn count(&self, number: u32) -> Option<Member> {
        let mut members = self.members();
        let member = members.get_mut(index(number))?;
        member.sent = member.sent.saturating_add(1);
        let chance = draw([self.fleet.roster.seed, u64::from(number), u64::from(member.sent)]);
        if chance % MILLION < self.fleet.change_per_million {
            member.changes = member.changes.wrapping_add(1);
            member.full = true;
        }
        Some(*member)
    }

    fn members(&self) -> MutexGuard<'_, Vec<Member>> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn index(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
