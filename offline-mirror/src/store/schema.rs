//! The database file: how it is opened, and how its schema grows.
//!
//! `PRAGMA user_version` counts the steps that ran. A step is never edited once it was released; a
//! file written by a newer version is refused.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use super::error::{During as _, StoreError};

/// Name of the database in the store's directory.
pub(super) const FILE: &str = "store.db";
/// Every step, in order.
const STEPS: &[&str] =
    &[include_str!("schema/0001_first.sql"), include_str!("schema/0002_damage.sql")];
/// A writer holds the database for one manifest or one rename; a collection for one blob. Longer
/// waits mean a stuck disk.
const BUSY_TIMEOUT: Duration = Duration::from_secs(20);
/// One per kind of statement.
const STATEMENT_CACHE: usize = 64;

/// Opens the connection that writes, and brings the schema up to date.
pub(super) fn open_writer(dir: &Path) -> Result<Connection, StoreError> {
    let operation = "be opened";
    let path = dir.join(FILE);
    let mut conn = Connection::open(&path).during(operation)?;
    conn.busy_timeout(BUSY_TIMEOUT).during(operation)?;
    conn.set_prepared_statement_cache_capacity(STATEMENT_CACHE);
    // FULL: what a client was told to be stored survives a loss of power.
    conn.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; \
         PRAGMA trusted_schema = OFF;",
    )
    .during(operation)?;
    migrate(&mut conn, &path)?;
    Ok(conn)
}

/// Opens a connection that only reads.
pub(super) fn open_reader(dir: &Path) -> Result<Connection, StoreError> {
    let operation = "be opened for reading";
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(dir.join(FILE), flags).during(operation)?;
    conn.busy_timeout(BUSY_TIMEOUT).during(operation)?;
    conn.set_prepared_statement_cache_capacity(STATEMENT_CACHE);
    Ok(conn)
}

fn migrate(conn: &mut Connection, path: &Path) -> Result<(), StoreError> {
    let operation = "bring its schema up to date";
    let version = |conn: &Connection| {
        conn.query_row("PRAGMA user_version", [], |row| row.get::<_, usize>(0)).during(operation)
    };
    if version(conn)? == STEPS.len() {
        return Ok(());
    }
    // Read again under the lock: another process may have just done it.
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate).during(operation)?;
    let found = version(&tx)?;
    if found > STEPS.len() {
        return Err(StoreError::Newer { path: path.to_owned(), found, known: STEPS.len() });
    }
    for step in STEPS.iter().skip(found) {
        tx.execute_batch(step).during(operation)?;
    }
    tx.pragma_update(None, "user_version", STEPS.len()).during(operation)?;
    tx.commit().during(operation)
}
