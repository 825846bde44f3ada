//! The published repository as replicas share it: its files are rows, and one replica at a time
//! publishes. Private keys are never here; the public halves are, so that no replica starts with
//! keys of its own.
//!
//! A publication is one transaction under a lock of its own, apart from the writer's: verifying a
//! large set takes seconds, in which reports go on. Blocking, and never to be called from a thread
//! that drives other tasks.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use signing::Sha256Digest;
use tokio_postgres::error::SqlState;

use super::db::{Db, DbError, Server, Tx};
use super::locks;

/// A publication waits so often, and so long each time, for another replica's: the largest ones take
/// half of it.
const TURN_ATTEMPTS: u32 = 15;
const TURN_ATTEMPT: &str = "4s";
/// Longest pause between two statements of a publication: verifying the largest sets.
const TURN_THINKING: &str = "120s";

/// The shared repository cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum RepositoryError {
    /// The database.
    #[error("failed to {action} the repository in the database")]
    Db {
        /// What was tried.
        action: &'static str,
        /// What the database says.
        source: DbError,
    },
    /// It cannot be reached.
    #[error("failed to reach the database")]
    Reach(#[source] DbError),
    /// Another replica has the right to publish, and does not end.
    #[error("another replica has been publishing for a minute")]
    Busy,
    /// A row that no hub wrote.
    #[error("the repository in the database is damaged: {what}")]
    Damaged {
        /// Which row, and how.
        what: String,
    },
}

fn db(action: &'static str) -> impl FnOnce(DbError) -> RepositoryError {
    move |source| RepositoryError::Db { action, source }
}

/// One file.
#[derive(Debug, Clone)]
pub struct StoredFile {
    /// Below the repository's directory.
    pub path: String,
    /// Of its bytes.
    pub digest: Sha256Digest,
    /// The generation that no longer has it; `None` = it is part of the newest set.
    pub until: Option<u64>,
    /// The bytes, unless whoever asked has them.
    pub content: Option<Vec<u8>>,
}

/// The newest set, and what is still kept of those before it.
#[derive(Debug, Clone, Default)]
pub struct StoredSet {
    /// Counts sets, from 1; 0 = nothing was ever published.
    pub generation: u64,
    /// In order of their paths.
    pub files: Vec<StoredFile>,
}

/// Files that somebody has already, by path.
pub type KnownFiles = BTreeMap<String, Sha256Digest>;

/// The repository in a database. One connection, made when it is first needed and again after any
/// failure.
#[derive(Debug)]
pub struct SharedRepository {
    server: Server,
    conn: Mutex<Option<Db>>,
}

impl SharedRepository {
    /// Connects to nothing yet.
    pub fn new(server: Server) -> Self {
        Self { server, conn: Mutex::default() }
    }

    fn with<T, E: From<RepositoryError>>(
        &self,
        work: impl FnOnce(&Db) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut conn = self.conn();
        let open = match conn.take() {
            Some(open) => open,
            None => Db::connect(&self.server).map_err(RepositoryError::Reach)?,
        };
        let result = work(&open);
        // After a failure nobody knows what state it is in.
        if result.is_ok() {
            *conn = Some(open);
        }
        result
    }

    fn conn(&self) -> MutexGuard<'_, Option<Db>> {
        self.conn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Number of the newest set; 0 = none.
    ///
    /// # Errors
    /// The database.
    pub fn generation(&self) -> Result<u64, RepositoryError> {
        self.with(generation)
    }

    /// The newest set as one transaction sees it.
    ///
    /// # Errors
    /// The database, or what is in it.
    pub fn read(&self, known: &KnownFiles) -> Result<StoredSet, RepositoryError> {
        self.with(|conn| {
            let tx = conn.begin_reading().map_err(db("read"))?;
            let set = read(conn, known)?;
            tx.commit().map_err(db("read"))?;
            Ok(set)
        })
    }

    /// Works while no other replica publishes. What `work` does not commit is undone.
    ///
    /// # Errors
    /// Those of `work`, or the database's.
    pub fn in_turn<T, E: From<RepositoryError>>(
        &self,
        work: impl FnOnce(PublishTurn<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        self.with(|conn| work(PublishTurn { conn, tx: wait_for_turn(conn)? }))
    }
}

/// A transaction that has the lock. Each attempt is short, so that a database that is gone is noticed.
fn wait_for_turn(conn: &Db) -> Result<Tx<'_>, RepositoryError> {
    for _ in 0..TURN_ATTEMPTS {
        let tx = conn.begin().map_err(db("lock"))?;
        let locked = conn.execute_batch(&format!(
            "SET LOCAL lock_timeout = '{TURN_ATTEMPT}'; \
             SET LOCAL idle_in_transaction_session_timeout = '{TURN_THINKING}'; \
             SELECT pg_advisory_xact_lock({})",
            locks::PUBLISH
        ));
        match locked {
            Ok(()) => return Ok(tx),
            Err(DbError::Postgres(error))
                if error.code() == Some(&SqlState::LOCK_NOT_AVAILABLE) => {}
            Err(error) => return Err(db("lock")(error)),
        }
    }
    Err(RepositoryError::Busy)
}

/// The right to publish, until it is committed or dropped.
#[derive(Debug)]
pub struct PublishTurn<'d> {
    conn: &'d Db,
    tx: Tx<'d>,
}

impl PublishTurn<'_> {
    /// Number of the newest set; 0 = none.
    ///
    /// # Errors
    /// The database.
    pub fn generation(&self) -> Result<u64, RepositoryError> {
        generation(self.conn)
    }

    /// The newest set.
    ///
    /// # Errors
    /// The database, or what is in it.
    pub fn read(&self, known: &KnownFiles) -> Result<StoredSet, RepositoryError> {
        read(self.conn, known)
    }

    /// Public halves of the keys that all replicas have, by file name without `.pem`.
    ///
    /// # Errors
    /// The database.
    pub fn public_keys(&self) -> Result<BTreeMap<String, String>, RepositoryError> {
        let rows: Result<Vec<(String, String)>, DbError> =
            self.conn.rows("SELECT name, public FROM hub_key ORDER BY name", &[], |row| {
                Ok((row.get(0)?, row.get(1)?))
            });
        Ok(rows.map_err(db("read"))?.into_iter().collect())
    }

    /// Keeps public halves for the other replicas, and ends the turn.
    ///
    /// # Errors
    /// The database. Then nothing is kept.
    pub fn keep_public_keys(self, keys: &[(&str, String)]) -> Result<(), RepositoryError> {
        for (name, public) in keys {
            self.conn
                .execute("INSERT INTO hub_key (name, public) VALUES (?1, ?2)", &[name, public])
                .map_err(db("write"))?;
        }
        self.tx.commit().map_err(db("write"))
    }

    /// Makes a set the newest one: `files` (path and bytes) are new in it, `gone` are no longer part
    /// of it and stay readable for `keep` further sets. Ends the turn and gives the set's number.
    ///
    /// # Errors
    /// The database. The set before still counts then, unless the connection broke in the commit
    /// itself: then nobody can say, and whoever reads next sees.
    pub fn commit(
        self,
        files: &[(String, Arc<[u8]>)],
        gone: &BTreeSet<String>,
        keep: u64,
        now: Timestamp,
    ) -> Result<u64, RepositoryError> {
        let next = self.generation()?.saturating_add(1);
        let write = |sql: &str, params: &[&dyn rusqlite::ToSql]| {
            self.conn.execute(sql, params).map_err(db("write")).map(drop)
        };
        for (path, bytes) in files {
            let digest = Sha256Digest::of(bytes);
            write(
                "INSERT INTO repository_file (path, digest, content) VALUES (?1, ?2, ?3) \
                 ON CONFLICT (path) DO UPDATE SET digest = excluded.digest, \
                 content = excluded.content, gone = NULL",
                &[path, digest.as_bytes(), &&bytes[..]],
            )?;
        }
        for path in gone {
            write(
                "UPDATE repository_file SET gone = ?2 WHERE path = ?1",
                &[path, &super::int(next)],
            )?;
        }
        write(
            "DELETE FROM repository_file WHERE gone <= ?1",
            &[&super::int(next.saturating_sub(keep))],
        )?;
        write(
            "INSERT INTO repository (id, generation, at) VALUES (1, ?1, ?2) \
             ON CONFLICT (id) DO UPDATE SET generation = excluded.generation, at = excluded.at",
            &[&super::int(next), &now.as_millisecond()],
        )?;
        self.tx.commit().map_err(db("commit"))?;
        Ok(next)
    }
}

fn generation(conn: &Db) -> Result<u64, RepositoryError> {
    let found: Result<Option<i64>, DbError> =
        conn.row_if_any("SELECT generation FROM repository WHERE id = 1", &[], |row| row.get(0));
    Ok(found.map_err(db("read"))?.map_or(0, super::id_of))
}

/// Path, digest, and the set that no longer has it.
type Listed = (String, [u8; 32], Option<i64>);

fn read(conn: &Db, known: &KnownFiles) -> Result<StoredSet, RepositoryError> {
    let generation = generation(conn)?;
    let rows: Result<Vec<Listed>, DbError> =
        conn.rows("SELECT path, digest, gone FROM repository_file ORDER BY path", &[], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        });
    let mut files = Vec::new();
    for (path, digest, gone) in rows.map_err(db("read"))? {
        let digest = Sha256Digest::from(digest);
        let content = match known.get(&path) {
            Some(have) if *have == digest => None,
            Some(_) | None => Some(content(conn, &path, digest)?),
        };
        files.push(StoredFile { path, digest, until: gone.map(super::id_of), content });
    }
    Ok(StoredSet { generation, files })
}

/// One file at a time: a set may be hundreds of megabytes, which no answer should hold twice.
fn content(conn: &Db, path: &str, digest: Sha256Digest) -> Result<Vec<u8>, RepositoryError> {
    let sql = "SELECT content FROM repository_file WHERE path = ?1";
    let bytes: Result<Vec<u8>, DbError> = conn.row(sql, &[&path], |row| row.get(0));
    let bytes = bytes.map_err(db("read"))?;
    if Sha256Digest::of(&bytes) != digest {
        let what = format!("the bytes of {path} are not those of its digest");
        return Err(RepositoryError::Damaged { what });
    }
    Ok(bytes)
}
