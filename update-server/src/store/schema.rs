//! The database: how it is opened, and how its schema grows. The file is here, the server in its own
//! module.
//!
//! `PRAGMA user_version` counts the migrations that ran. A migration is never edited once it has
//! been released; a file written by a newer hub is refused, not guessed at.

mod postgres;

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::DATABASE_FILE;
use super::db::{Database, Db, DbError};

/// Every migration, in order; `user_version` is how many of them ran.
const MIGRATIONS: &[&str] = &[
    include_str!("../../migrations/sqlite/0001_first.sql"),
    include_str!("../../migrations/sqlite/0002_identity.sql"),
    include_str!("../../migrations/sqlite/0003_former_keys.sql"),
    include_str!("../../migrations/sqlite/0004_sites.sql"),
    include_str!("../../migrations/sqlite/0005_labels.sql"),
    include_str!("../../migrations/sqlite/0006_rollouts.sql"),
    include_str!("../../migrations/sqlite/0007_ingest.sql"),
    include_str!("../../migrations/sqlite/0008_access.sql"),
    include_str!("../../migrations/sqlite/0009_webhooks.sql"),
];

/// Only a person's `sqlite3` on the same file ever makes the writer wait.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// 64 MiB of log before `SQLite` copies it back by itself; the maintenance tick does it earlier.
const WAL_AUTOCHECKPOINT_PAGES: u32 = 16_384;
/// Statements of the writer: one per kind of write, and one per day of history.
const STATEMENT_CACHE: usize = 128;

/// The database cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// `SQLite` refused.
    #[error("failed to open the database {path}", path = path.display())]
    Open {
        /// Which file.
        path: PathBuf,
        /// What `SQLite` says.
        source: rusqlite::Error,
    },
    /// The server cannot be reached.
    #[error("failed to connect to the database {place}")]
    Connect {
        /// Which, without a password.
        place: String,
        /// What was tried.
        source: DbError,
    },
    /// A migration failed; the schema is as it was before all of them.
    #[error("failed to run migration {number} on the database")]
    MigrateServer {
        /// Which one; 0 = finding out which ran.
        number: usize,
        /// What PostgreSQL says.
        source: DbError,
    },
    /// The file cannot be made.
    #[error("failed to create the database {path}", path = path.display())]
    Create {
        /// Which file.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// A migration failed; the file is as it was before it.
    #[error("failed to run migration {number} on the database")]
    Migrate {
        /// Which one, from 1.
        number: usize,
        /// What `SQLite` says.
        source: rusqlite::Error,
    },
    /// The file was written by a newer hub.
    #[error("the database has schema {found}, this hub knows up to {known}: use a newer hub")]
    Newer {
        /// `user_version` of the file.
        found: i64,
        /// Migrations this hub has.
        known: usize,
    },
}

/// Opens a connection that writes, and brings the schema up to date.
pub(super) fn open(database: &Database) -> Result<Db, SchemaError> {
    match database {
        Database::Directory(dir) => Ok(open_writer(&dir.join(DATABASE_FILE))?.into()),
        Database::Server(server) => postgres::open(server),
    }
}

/// Opens a connection for reads only.
pub(super) fn open_for_reading(database: &Database) -> Result<Db, SchemaError> {
    match database {
        Database::Directory(dir) => Ok(open_reader(&dir.join(DATABASE_FILE))?.into()),
        Database::Server(server) => postgres::connect(server),
    }
}

/// Opens the one connection that writes, and brings the schema up to date.
pub(super) fn open_writer(path: &Path) -> Result<Connection, SchemaError> {
    let wrap = |source| SchemaError::Open { path: path.to_owned(), source };
    make_private(path).map_err(|source| SchemaError::Create { path: path.to_owned(), source })?;
    let mut conn = Connection::open(path).map_err(wrap)?;
    conn.busy_timeout(BUSY_TIMEOUT).map_err(wrap)?;
    conn.set_prepared_statement_cache_capacity(STATEMENT_CACHE);
    // FULL: an acknowledged report survives power loss. Grouped commits make it cheap.
    conn.execute_batch(&format!(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; \
         PRAGMA trusted_schema = OFF; PRAGMA wal_autocheckpoint = {WAL_AUTOCHECKPOINT_PAGES};"
    ))
    .map_err(wrap)?;
    migrate(&mut conn)?;
    Ok(conn)
}

/// Makes the file for its owner only; the log and its index inherit that.
fn make_private(path: &Path) -> std::io::Result<()> {
    OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path).map(drop)
}

/// Opens a connection that can only read.
pub(super) fn open_reader(path: &Path) -> Result<Connection, SchemaError> {
    let wrap = |source| SchemaError::Open { path: path.to_owned(), source };
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags).map_err(wrap)?;
    conn.busy_timeout(BUSY_TIMEOUT).map_err(wrap)?;
    Ok(conn)
}

/// How many migrations ran on a file; refuses one that a newer hub wrote.
pub(super) fn version(conn: &Connection) -> Result<usize, SchemaError> {
    let failed = |source| SchemaError::Migrate { number: 0, source };
    let found: i64 = conn.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(failed)?;
    let known = MIGRATIONS.len();
    let done = usize::try_from(found).unwrap_or(usize::MAX);
    if done > known { Err(SchemaError::Newer { found, known }) } else { Ok(done) }
}

fn migrate(conn: &mut Connection) -> Result<(), SchemaError> {
    let failed = |number| move |source| SchemaError::Migrate { number, source };
    let done = version(conn)?;
    for (number, sql) in (1..).zip(MIGRATIONS).skip(done) {
        let tx = conn.transaction().map_err(failed(number))?;
        tx.execute_batch(sql).map_err(failed(number))?;
        tx.execute_batch(&format!("PRAGMA user_version = {number}")).map_err(failed(number))?;
        tx.commit().map_err(failed(number))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opening_twice_migrates_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("hub.sqlite3");
        drop(open_writer(&path).unwrap());
        let conn = open_writer(&path).unwrap();
        let version: i64 = conn.query_row("PRAGMA user_version", [], |r| r.get(0)).unwrap();
        assert_eq!(usize::try_from(version).unwrap(), MIGRATIONS.len());
        let mode: String = conn.query_row("PRAGMA journal_mode", [], |r| r.get(0)).unwrap();
        let sync: i64 = conn.query_row("PRAGMA synchronous", [], |r| r.get(0)).unwrap();
        assert_eq!((mode.as_str(), sync), ("wal", 2), "2 = FULL");
    }

    #[test]
    fn a_database_of_the_first_hub_is_brought_up_to_date_with_its_rows() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("hub.sqlite3");
        let old = Connection::open(&path).unwrap();
        old.execute_batch(MIGRATIONS[0]).unwrap();
        old.execute_batch(
            "PRAGMA user_version = 1; INSERT INTO cluster (id, uuid, name, key, key_id, \
             join_token, enrolled_at, agent_version, seq) VALUES (1, x'00', 'east', x'01', x'02', \
             1, 0, '0.1.0', 7);",
        )
        .unwrap();
        drop(old);
        let conn = open_writer(&path).unwrap();
        let row: (i64, String, Option<String>) = conn
            .query_row("SELECT seq, superseded, instance FROM cluster", [], |r| {
                Ok((r.get(0)?, r.get(1)?, r.get(2)?))
            })
            .unwrap();
        assert_eq!(row, (7, "[]".to_owned(), None));
    }

    #[test]
    fn a_database_from_before_dark_sites_gets_their_tables_and_keeps_its_rows() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("hub.sqlite3");
        let old = Connection::open(&path).unwrap();
        for sql in &MIGRATIONS[..3] {
            old.execute_batch(sql).unwrap();
        }
        old.execute_batch(
            "PRAGMA user_version = 3; INSERT INTO hold (scope, reason, by, at) \
             VALUES ('{}', 'storm', 'ann', 0);",
        )
        .unwrap();
        drop(old);
        let conn = open_writer(&path).unwrap();
        let one = |sql: &str| conn.query_row::<i64, _, _>(sql, [], |r| r.get(0)).unwrap();
        assert_eq!(one("SELECT count(*) FROM hold WHERE reason = 'storm'"), 1);
        assert_eq!(one("SELECT count(*) FROM site"), 0);
        assert_eq!(one("SELECT count(*) FROM site_import"), 0);
    }

    #[test]
    fn a_database_of_a_newer_hub_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("hub.sqlite3");
        open_writer(&path).unwrap().execute_batch("PRAGMA user_version = 999").unwrap();
        let error = open_writer(&path).unwrap_err();
        assert!(matches!(error, SchemaError::Newer { found: 999, .. }), "{error}");
    }

    #[test]
    fn a_reader_cannot_write() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("hub.sqlite3");
        let _writer = open_writer(&path).unwrap();
        let reader = open_reader(&path).unwrap();
        assert!(reader.execute("DELETE FROM meta", []).is_err());
    }
}
