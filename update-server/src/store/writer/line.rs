//! The writer's connection, made anew when it is lost: at once, then after growing pauses. In a pause
//! whoever writes is refused at once rather than made to wait.

use std::time::Duration;

use signing::causes::chain;
use tokio::time::Instant;

use super::super::db::{Database, Db, DbError, DbResult, Server};

/// Pause after the first attempt that failed; it doubles with each.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// And never grows beyond this: a database that is back is found within seconds.
const LONGEST_PAUSE: Duration = Duration::from_secs(3);

pub(super) struct Line {
    db: Db,
    /// Where it goes; a file is never lost.
    server: Option<Server>,
    pause: Duration,
    not_before: Option<Instant>,
}

impl Line {
    pub(super) fn new(db: Db, database: &Database) -> Self {
        let server = match database {
            Database::Directory(_) => None,
            Database::Server(server) => Some(server.clone()),
        };
        Self { db, server, pause: FIRST_PAUSE, not_before: None }
    }

    pub(super) fn db(&self) -> &Db {
        &self.db
    }

    /// Makes the connection anew if it is lost.
    pub(super) fn mend(&mut self) -> DbResult<()> {
        let Some(server) = self.server.as_ref().filter(|_| self.db.is_lost()) else {
            return Ok(());
        };
        if self.not_before.is_some_and(|at| Instant::now() < at) {
            return Err(DbError::Lost);
        }
        match Db::connect(server) {
            Ok(db) => {
                *self =
                    Self { db, server: self.server.take(), pause: FIRST_PAUSE, not_before: None };
                tracing::info!("connected to the database again");
                Ok(())
            }
            Err(error) => {
                tracing::debug!(error = chain(&error), "not connected yet");
                self.not_before = Some(Instant::now() + self.pause);
                self.pause = self.pause.saturating_mul(2).min(LONGEST_PAUSE);
                Err(error)
            }
        }
    }
}
