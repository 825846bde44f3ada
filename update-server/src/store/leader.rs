//! Which of the replicas leads: the one whose connection holds the lock. The database lets go of it
//! when the connection ends, so a replica that dies is replaced without anybody deciding it.
//!
//! The word of the database is good for a while only. A replica that is cut off hears nothing of the
//! lock's loss; it stops leading when the last good answer is too old.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::db::{Db, DbError, Server};
use super::locks;
use super::migrate::MOVING;

/// How often the leader shows that it is alive, and the others look whether the place is free.
const PULSE: Duration = Duration::from_secs(2);
/// How long an answer of the database is good for: a few pulses, so that one slow answer changes
/// nothing.
const LEASE: Duration = Duration::from_secs(8);

/// Makes the server end a session that it has not heard of for longer than the lease, whatever the
/// network says of the connection: only then is the lock free for another replica.
const SILENCE: &str = "SET idle_session_timeout = '10s'";

/// A hub cannot join the others.
#[derive(Debug, thiserror::Error)]
pub enum LeaderError {
    /// The database.
    #[error("failed to join the replicas of this database")]
    Db(#[from] DbError),
    /// Somebody moves the hub.
    #[error(
        "the hub in this database is being moved by `update-server migrate`: start it when that has ended"
    )]
    Moving,
    /// A move that was interrupted.
    #[error(
        "a hub was being moved into this database, which did not end: run the same `update-server \
         migrate` again"
    )]
    Unfinished,
    /// No thread.
    #[error("failed to start the thread that asks who leads")]
    Thread(#[source] std::io::Error),
}

/// Until when this replica leads; `None` = it does not.
pub type Lease = Option<Instant>;

/// Asks for the lead until it is dropped or stopped.
#[derive(Debug)]
pub struct LeaderThread {
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

impl LeaderThread {
    /// Joins the replicas of a database and asks for the lead whenever this one is `fit` for it.
    /// Blocks until the first answer.
    ///
    /// # Errors
    /// The database cannot be reached, or the hub in it is being moved.
    pub fn start(
        server: Server,
        fit: impl Fn() -> bool + Send + 'static,
    ) -> Result<(Self, watch::Receiver<Lease>), LeaderError> {
        let (tell, told) = watch::channel(None);
        let mut seat = Seat { conn: Some(join(&server)?), leads: false, server, tell };
        seat.pulse(&fit);
        let (stop, stopped) = channel();
        let thread = std::thread::Builder::new()
            .name("leader".to_owned())
            .spawn(move || seat.run(&fit, &stopped))
            .map_err(LeaderError::Thread)?;
        Ok((Self { stop, thread }, told))
    }

    /// Leaves the place to another replica. Blocks for a moment.
    pub fn stop(self) {
        drop(self.stop);
        // Whatever it died of, it leads no more.
        let _ = self.thread.join();
    }
}

/// A connection that says to whoever would move the hub that one runs.
fn join(server: &Server) -> Result<Db, LeaderError> {
    let conn = Db::connect(server)?;
    conn.execute_batch(SILENCE)?;
    if !asked(&conn, &format!("pg_try_advisory_lock_shared({})", locks::RUNNING))? {
        return Err(LeaderError::Moving);
    }
    if conn.tables(MOVING)?.iter().any(|table| table == MOVING) {
        return Err(LeaderError::Unfinished);
    }
    Ok(conn)
}

/// The answer of a function that says yes or no.
pub(super) fn asked(conn: &Db, function: &str) -> Result<bool, DbError> {
    conn.row(&format!("SELECT CASE WHEN {function} THEN 1 ELSE 0 END::bigint"), &[], |row| {
        row.get::<_, i64>(0).map(|found| found == 1)
    })
}

struct Seat {
    server: Server,
    conn: Option<Db>,
    leads: bool,
    tell: watch::Sender<Lease>,
}

impl Seat {
    fn run(mut self, fit: &impl Fn() -> bool, stopped: &Receiver<()>) {
        while stopped.recv_timeout(PULSE) == Err(RecvTimeoutError::Timeout) {
            self.pulse(fit);
        }
        self.say(None);
    }

    /// One question to the database, and what follows from its answer.
    fn pulse(&mut self, fit: &impl Fn() -> bool) {
        let asked_at = Instant::now();
        match self.ask(fit()) {
            Ok(true) => self.say(Some(asked_at + LEASE)),
            Ok(false) => self.say(None),
            Err(error) => {
                self.conn = None;
                self.say(None);
                tracing::warn!(error = signing::causes::chain(&error), "nobody says who leads");
            }
        }
    }

    fn ask(&mut self, fit: bool) -> Result<bool, LeaderError> {
        let conn = if let Some(conn) = self.conn.take() {
            conn
        } else {
            // The lock went with the old connection.
            self.leads = false;
            join(&self.server)?
        };
        let leads = match (self.leads, fit) {
            (true, true) => asked(&conn, "true")?,
            (true, false) => {
                asked(&conn, &format!("pg_advisory_unlock({})", locks::LEAD))?;
                false
            }
            (false, true) => asked(&conn, &format!("pg_try_advisory_lock({})", locks::LEAD))?,
            (false, false) => {
                asked(&conn, "true")?;
                false
            }
        };
        self.leads = leads;
        self.conn = Some(conn);
        Ok(leads)
    }

    fn say(&self, lease: Lease) {
        let was = self.tell.send_replace(lease);
        match (was.is_some(), lease.is_some()) {
            (false, true) => tracing::info!("this replica leads"),
            (true, false) => tracing::info!("this replica leads no more"),
            (true, true) | (false, false) => {}
        }
    }
}
