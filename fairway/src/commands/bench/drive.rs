//! Sends what is due over keep-alive connections and counts what comes of it.
//!
//! Latency is counted from the moment a request was due, not from when it was sent: a hub that stalls
//! for a second is late with everything that was due in that second.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use channels::wire::{Problem, ReportReply};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::connection::{Answer, Connection};
use super::reporter::{Fleet, Reporter, Signed};
use super::schedule::{Due, Kind, Schedule};
use super::tally::Tally;
use crate::error::{CliError, Result};

/// How finely the schedule is kept.
const TICK: Duration = Duration::from_millis(1);
/// Signatures made before a run hold for five minutes, and making them takes some of it.
const SIGNED_FIRST_FOR: Duration = Duration::from_mins(3);
/// What is later than this is not sent any more: the hub has lost that fight.
const LATE_MAX: Duration = Duration::from_mins(1);
/// Most reports that are signed before a run: they take 1 kB each, and 3 kB with the whole state.
const SIGNED_FIRST_MAX: usize = 500_000;

/// What is the same for the whole run.
#[derive(Debug)]
pub(super) struct Plan {
    /// The hub.
    pub(super) address: SocketAddr,
    /// What is polled.
    pub(super) graph: Option<String>,
    /// What people read.
    pub(super) read: Option<String>,
    /// Connections.
    pub(super) connections: u32,
    /// All of them hang up every so often.
    pub(super) reconnect_every: Option<Duration>,
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

/// What is due, with the report if that is signed already.
struct Task {
    due: Due,
    signed: Option<Signed>,
}

/// A run that can begin.
pub(super) struct Run {
    plan: Plan,
    reporter: Reporter,
    schedule: Schedule,
    /// What of the schedule was taken out of it and signed.
    signed: Vec<Task>,
}

/// What the connections share.
struct Shared {
    plan: Plan,
    reporter: Reporter,
    etag: Mutex<Option<String>>,
    outcome: Mutex<Outcome>,
    queue: tokio::sync::Mutex<UnboundedReceiver<Task>>,
    hang_ups: AtomicU32,
    start: Instant,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Run {
    /// A run in which every report is signed when it is due, as a cluster does it.
    pub(super) fn new(plan: Plan, fleet: Fleet, schedule: Schedule) -> Result<Self> {
        Ok(Self { plan, reporter: Reporter::new(fleet)?, schedule, signed: Vec::new() })
    }

    /// Signs all reports now, so that the hub does not share its cores with the keys of the fleet.
    /// What the hub asks for in its answers comes too late for them then.
    pub(super) fn sign_first(&mut self) -> Result<()> {
        for due in self.schedule.by_ref() {
            if due.at > SIGNED_FIRST_FOR || self.signed.len() >= SIGNED_FIRST_MAX {
                let (seconds, most) = (SIGNED_FIRST_FOR.as_secs(), SIGNED_FIRST_MAX);
                return Err(CliError::failed(format!(
                    "--sign-first is for {seconds} s and {most} requests at most, and more are due"
                ))
                .hint("shorten --duration or lower --rate"));
            }
            let signed = match due.kind {
                Kind::Report(number) => self.reporter.next(number),
                Kind::Poll | Kind::Read => None,
            };
            self.signed.push(Task { due, signed });
        }
        Ok(())
    }

    /// Runs the schedule to its end.
    pub(super) async fn drive(self) -> Result<Outcome> {
        let (tell, queue) = unbounded_channel();
        let connections = self.plan.connections;
        let shared = Arc::new(Shared {
            plan: self.plan,
            reporter: self.reporter,
            etag: Mutex::default(),
            outcome: Mutex::default(),
            queue: tokio::sync::Mutex::new(queue),
            hang_ups: AtomicU32::new(0),
            start: Instant::now(),
        });
        let mut workers = JoinSet::new();
        for _ in 0..connections {
            workers.spawn(Arc::clone(&shared).work());
        }
        let unsigned = self.schedule.map(|due| Task { due, signed: None });
        shared.pace(self.signed.into_iter().chain(unsigned), tell).await;
        while let Some(joined) = workers.join_next().await {
            joined.map_err(|e| CliError::because("a connection broke the run", &e))?;
        }
        let mut outcome = std::mem::take(&mut *locked(&shared.outcome));
        outcome.took = shared.start.elapsed();
        Ok(outcome)
    }
}

impl Shared {
    /// Hands out what is due. The queue closes at the end.
    async fn pace(&self, tasks: impl Iterator<Item = Task>, tell: UnboundedSender<Task>) {
        let mut hang_up_at = self.plan.reconnect_every;
        for task in tasks {
            let due = task.due;
            while self.start.elapsed() < due.at {
                tokio::time::sleep(TICK).await;
            }
            if let (Some(at), Some(every)) = (hang_up_at, self.plan.reconnect_every)
                && due.at >= at
            {
                self.hang_ups.fetch_add(1, Ordering::Relaxed);
                hang_up_at = Some(at.saturating_add(every));
            }
            if tell.send(task).is_err() {
                return;
            }
        }
    }

    async fn work(self: Arc<Self>) {
        let mut connection = Connection::new(self.plan.address);
        let mut hang_ups = 0;
        loop {
            let task = self.queue.lock().await.recv().await;
            let Some(Task { due, signed }) = task else { return };
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
                Kind::Report(number) => {
                    let signed = signed.or_else(|| self.reporter.next(number));
                    self.report(&mut connection, due, number, signed).await;
                }
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

    async fn report(
        &self,
        connection: &mut Connection,
        due: Due,
        number: u32,
        signed: Option<Signed>,
    ) {
        let Some(Signed { request, body_bytes, full }) = signed else {
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
        self.reporter.wanted(number, wants_full.as_ref().is_ok_and(|full| *full));
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

    async fn poll(&self, connection: &mut Connection, due: Due) {
        let Some(path) = &self.plan.graph else { return };
        let etag = locked(&self.etag).clone();
        let request = get(self.reporter.host(), path, etag.as_deref());
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
        let answer = connection.exchange(&get(self.reporter.host(), path, None)).await;
        let latency = self.late_by(due);
        self.tally(due.kind, |tally| match answer {
            Ok(answer) if answer.status == 200 => tally.good(latency),
            Ok(answer) => tally.other(refusal(&answer)),
            Err(error) => tally.other(error.kind().to_string()),
        });
    }
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
