//! A copy of the database while the hub writes to it, and the check of such a copy.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::db::{Db, DbError};
use super::{DATABASE_FILE, SchemaError, audit, schema};

/// A database cannot be copied, or is none of ours.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// It cannot be opened, or it was written by a newer hub.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// `SQLite` refused.
    #[error("failed to {action} the database")]
    Sql {
        /// What was tried.
        action: &'static str,
        /// What `SQLite` says.
        source: rusqlite::Error,
    },
    /// Its rows.
    #[error("failed to count the rows of the database")]
    Count(#[source] DbError),
    /// The copy's file.
    #[error("failed to create the copy of the database")]
    Create(#[source] std::io::Error),
    /// The file is damaged.
    #[error("the database is damaged: {finding}")]
    Damaged {
        /// The first thing that was found.
        finding: String,
    },
    /// The audit log was tampered with.
    #[error("the audit log's hash chain is broken at row {row}")]
    Audit {
        /// The first row that does not fit.
        row: u64,
    },
}

/// What is in a database: for people, and to compare a copy with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Content {
    /// Migrations that ran.
    pub schema: usize,
    /// Clusters, retired ones included.
    pub clusters: u64,
    /// Rows of the audit log.
    pub audit_rows: u64,
    /// Hash of its last row.
    pub audit_head: String,
}

fn sql(action: &'static str) -> impl FnOnce(rusqlite::Error) -> SnapshotError {
    move |source| SnapshotError::Sql { action, source }
}

/// Copies the committed state of `<data_dir>/hub.sqlite3` into the file `to`, which must not exist,
/// as one transaction sees it. The hub goes on meanwhile; only its log is not cut until this ends.
///
/// # Errors
/// The database or the new file cannot be used.
pub fn copy_database(data_dir: &Path, to: &Path) -> Result<(), SnapshotError> {
    let conn = schema::open_reader(&data_dir.join(DATABASE_FILE))?;
    // Made here, because `SQLite` would make it for everybody to read.
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(to)
        .map_err(SnapshotError::Create)?;
    let path = to.to_string_lossy();
    conn.execute("VACUUM INTO ?1", [path.as_ref()]).map_err(sql("copy"))?;
    Ok(())
}

/// Checks a copy that no hub uses: its pages, its schema, its audit log. Changes nothing.
///
/// # Errors
/// The first thing that is wrong with it.
pub fn check_database(path: &Path) -> Result<Content, SnapshotError> {
    let conn = schema::open_reader(path)?;
    let finding: String =
        conn.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(sql("check"))?;
    if finding != "ok" {
        return Err(SnapshotError::Damaged { finding });
    }
    let schema = schema::version(&conn)?;
    let db = Db::from(conn);
    let chain = audit::verify_chain(&db)
        .map_err(|error| SnapshotError::Damaged { finding: error.to_string() })?;
    if let Some(row) = chain.broken_at {
        return Err(SnapshotError::Audit { row });
    }
    Ok(Content {
        schema,
        clusters: count(&db, "SELECT count(*) FROM cluster")?,
        audit_rows: chain.rows,
        audit_head: chain.head,
    })
}

fn count(db: &Db, query: &str) -> Result<u64, SnapshotError> {
    let found: i64 = db.row(query, &[], |row| row.get(0)).map_err(SnapshotError::Count)?;
    Ok(u64::try_from(found).unwrap_or(0))
}
