//! Sends what is due over keep-alive connections and counts what comes of it.
//!
//! Latency is counted from the moment a request was due, not from when it was sent: a hub that stalls
//! for a second is late with everything that was due in that second.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use channels::wire::{ClusterHeader, Problem, Report, ReportReply, media_type};
use signing::message::{self, RequestParts};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::connection::{Answer, Connection};
use super::model::{Model, draw};
use super::roster::{Roster, key};
use super::schedule::{Due, Kind, Schedule};
use super::tally::Tally;
use crate::clock;
use crate::error::{CliError, Result};

/// How finely the schedule is kept.
const TICK: Duration = Duration::from_millis(1);
/// What is later than this is not sent any more: the hub has lost that fight.
const LATE_MAX: Duration = Duration::from_mins(1);
/// Where reports go.
const REPORTS: &str = "/api/v1/reports";
/// A share in millionths.
const MILLION: u64 = 1_000_000;

/// What is the same for the whole run.
#[derive(Debug)]
pub(super) struct Plan {
    /// The hub.
    pub(super) address: SocketAddr,
    /// Its name in `Host`.
    pub(super) host: String,
    /// Names and states.
    pub(super) model: Model,
    /// Keys and ids.
    pub(super) roster: Roster,
    /// Of a million reports so many tell the whole state; the others only that it has not changed.
    pub(super) full_per_million: u64,
    /// Of a million reports so many tell of a change.
    pub(super) change_per_million: u64,
    /// What is polled.
    pub(super) graph: Option<String>,
    /// What people read.
    pub(super) read: Option<String>,
    /// Connections.
    pub(super) connections: u32,
    /// All of them hang up every so often.
    pub(super) reconnect_every: Option<Duration>,
}

/// What is known of a cluster while it reports.
#[derive(Debug, Clone, Copy, Default)]
struct Member {
    sent: u32,
    changes: u16,
    full: bool,
}

/// What came of it all.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// Reports.
    pub(super) reports: Tally,
    /// Looks at the graph.
    pub(super) polls: Tally,
    /// Looks at the fleet.
    pub(super) reads: Tally,
    /// Reports that told the whole state.
    pub(super) full: u64,
    /// Bytes of the reports' bodies.
    pub(super) body_bytes: u64,
    /// From the first request to the last answer.
    pub(super) took: Duration,
}

/// What the connections share.
struct Shared {
    plan: Plan,
    members: Mutex<Vec<Member>>,
    etag: Mutex<Option<String>>,
    outcome: Mutex<Outcome>,
    queue: tokio::sync::Mutex<UnboundedReceiver<Due>>,
    hang_ups: AtomicU32,
    start: Instant,
    /// Numbers of reports count on from here, as an agent's do after a start.
    first_seq: u64,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs the schedule to its end.
pub(super) async fn drive(plan: Plan, schedule: Schedule) -> Result<Outcome> {
    let (tell, queue) = unbounded_channel();
    let connections = plan.connections;
    let first_seq = u64::try_from(clock::now().as_millisecond())
        .map_err(|e| CliError::because("the clock is before 1970", &e))?;
    let members = vec![Member::default(); plan.roster.ids.len()];
    let shared = Arc::new(Shared {
        plan,
        members: Mutex::new(members),
        etag: Mutex::default(),
        outcome: Mutex::default(),
        queue: tokio::sync::Mutex::new(queue),
        hang_ups: AtomicU32::new(0),
        start: Instant::now(),
        first_seq,
    });
    let mut workers = JoinSet::new();
    for _ in 0..connections {
        workers.spawn(Arc::clone(&shared).work());
    }
    shared.pace(schedule, tell).await;
    while let Some(joined) = workers.join_next().await {
        joined.map_err(|e| CliError::because("a connection broke the run", &e))?;
    }
    let mut outcome = std::mem::take(&mut *locked(&shared.outcome));
    outcome.took = shared.start.elapsed();
    Ok(outcome)
}

impl Shared {
    /// Hands out what is due. The queue closes at the end.
    async fn pace(&self, schedule: Schedule, tell: UnboundedSender<Due>) {
        let mut hang_up_at = self.plan.reconnect_every;
        for due in schedule {
            while self.start.elapsed() < due.at {
                tokio::time::sleep(TICK).await;
            }
            if let (Some(at), Some(every)) = (hang_up_at, self.plan.reconnect_every)
                && due.at >= at
            {
                self.hang_ups.fetch_add(1, Ordering::Relaxed);
                hang_up_at = Some(at.saturating_add(every));
            }
            if tell.send(due).is_err() {
                return;
            }
        }
    }

    async fn work(self: Arc<Self>) {
        let mut connection = Connection::new(self.plan.address);
        let mut hang_ups = 0;
        loop {
            let due = self.queue.lock().await.recv().await;
            let Some(due) = due else { return };
            let seen = self.hang_ups.load(Ordering::Relaxed);
            if seen != hang_ups {
                hang_ups = seen;
                connection.close();
            }
            if self.start.elapsed().saturating_sub(due.at) > LATE_MAX {
                self.tally(due.kind, |tally| tally.other("not sent: too late".to_owned()));
                continue;
            }
            match due.kind {
                Kind::Report(number) => self.report(&mut connection, due, number).await,
                Kind::Poll => self.poll(&mut connection, due).await,
                Kind::Read => self.read(&mut connection, due).await,
            }
        }
    }

    fn tally(&self, kind: Kind, count: impl FnOnce(&mut Tally)) {
        let mut outcome = locked(&self.outcome);
        count(match kind {
            Kind::Report(_) => &mut outcome.reports,
            Kind::Poll => &mut outcome.polls,
            Kind::Read => &mut outcome.reads,
        });
    }

    fn late_by(&self, due: Due) -> Duration {
        self.start.elapsed().saturating_sub(due.at)
    }

    async fn report(&self, connection: &mut Connection, due: Due, number: u32) {
        let Some((request, body_bytes, full)) = self.signed_report(number) else {
            self.tally(due.kind, |tally| tally.other("not sent: cannot be signed".to_owned()));
            return;
        };
        let answer = connection.exchange(&request).await;
        let latency = self.late_by(due);
        let wants_full = match &answer {
            Ok(answer) if answer.status == 200 => {
                serde_json::from_slice::<ReportReply>(&answer.body).map(|r| r.full_state_wanted)
            }
            // Whether it was committed is not known: the next one tells everything.
            Ok(_) | Err(_) => Ok(true),
        };
        if let Some(member) = locked(&self.members).get_mut(index(number)) {
            member.full = wants_full.as_ref().is_ok_and(|full| *full);
        }
        {
            let mut outcome = locked(&self.outcome);
            outcome.full += u64::from(full);
            outcome.body_bytes += body_bytes;
        }
        self.tally(due.kind, |tally| match (answer, wants_full) {
            (Ok(answer), Ok(_)) if answer.status == 200 => tally.good(latency),
            (Ok(answer), _) => tally.other(refusal(&answer)),
            (Err(error), _) => tally.other(error.kind().to_string()),
        });
    }

    /// The bytes of the next report of a cluster.
    fn signed_report(&self, number: u32) -> Option<(Vec<u8>, u64, bool)> {
        let plan = &self.plan;
        let now = clock::now();
        let id = *plan.roster.ids.get(index(number))?;
        let member = self.next(number)?;
        let seq = self.first_seq + u64::from(member.sent);
        let chance = draw([plan.roster.seed, u64::from(number), seq]) % MILLION;
        let full = member.full || chance < plan.full_per_million;
        let header = ClusterHeader {
            id,
            seq,
            sent_at: now,
            agent_version: env!("CARGO_PKG_VERSION").to_owned(),
            instance: Some(plan.model.instance(number)),
            heard_seq: None,
        };
        let report = if full {
            plan.model.report(header, number, u64::from(member.changes), now)
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
        let signed = message::sign(&parts, &key(plan.roster.seed, number), now, &nonce).ok()?;
        let mut request = format!(
            "POST {REPORTS} HTTP/1.1\r\nhost: {}\r\ncontent-type: {}\r\ncontent-digest: {}\r\n\
             signature-input: {}\r\nsignature: {}\r\ncontent-length: {}\r\n\r\n",
            plan.host,
            media_type::REPORT,
            signed.content_digest.unwrap_or_default(),
            signed.signature_input,
            signed.signature,
            body.len(),
        )
        .into_bytes();
        let body_bytes = u64::try_from(body.len()).unwrap_or(0);
        request.extend(body);
        Some((request, body_bytes, full))
    }

    /// Counts a report of a cluster, and whether something has changed there.
    fn next(&self, number: u32) -> Option<Member> {
        let mut members = locked(&self.members);
        let member = members.get_mut(index(number))?;
        member.sent = member.sent.saturating_add(1);
        let chance = draw([self.plan.roster.seed, u64::from(number), u64::from(member.sent)]);
        if chance % MILLION < self.plan.change_per_million {
            member.changes = member.changes.wrapping_add(1);
            member.full = true;
        }
        Some(*member)
    }

    async fn poll(&self, connection: &mut Connection, due: Due) {
        let Some(path) = &self.plan.graph else { return };
        let etag = locked(&self.etag).clone();
        let request = get(&self.plan.host, path, etag.as_deref());
        let answer = connection.exchange(&request).await;
        let latency = self.late_by(due);
        self.tally(due.kind, |tally| match answer {
            Ok(answer) if matches!(answer.status, 200 | 304) => {
                if answer.etag.is_some() {
                    *locked(&self.etag) = answer.etag;
                }
                tally.good(latency);
            }
            Ok(answer) => tally.other(refusal(&answer)),
            Err(error) => tally.other(error.kind().to_string()),
        });
    }

    async fn read(&self, connection: &mut Connection, due: Due) {
        let Some(path) = &self.plan.read else { return };
        let answer = connection.exchange(&get(&self.plan.host, path, None)).await;
        let latency = self.late_by(due);
        self.tally(due.kind, |tally| match answer {
            Ok(answer) if answer.status == 200 => tally.good(latency),
            Ok(answer) => tally.other(refusal(&answer)),
            Err(error) => tally.other(error.kind().to_string()),
        });
    }
}

fn index(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// A plain request, as an agent or a person sends it.
pub(super) fn get(host: &str, path: &str, etag: Option<&str>) -> Vec<u8> {
    let known = etag.map(|etag| format!("if-none-match: {etag}\r\n")).unwrap_or_default();
    format!(
        "GET {path} HTTP/1.1\r\nhost: {host}\r\naccept: application/json\r\n\
         accept-encoding: gzip\r\n{known}\r\n"
    )
    .into_bytes()
}

/// The slug of a problem, or the bare status.
fn refusal(answer: &Answer) -> String {
    let slug = serde_json::from_slice::<Problem>(&answer.body)
        .ok()
        .and_then(|problem| problem.kind.rsplit('/').next().map(str::to_owned));
    slug.unwrap_or_else(|| format!("status {}", answer.status))
}
