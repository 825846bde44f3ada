//! The database behind the store: one face for every dialect, so that a statement is written once.
//!
//! Statements are plain SQL with numbered parameters (`?1`), values go in by rusqlite's `ToSql` and
//! come out by its `FromSql`, whatever the database: columns are integers of 64 bits, texts and
//! bytes. Every statement is kept prepared. Nothing here knows a table.

mod row;

use std::path::{Path, PathBuf};

use rusqlite::{Connection, ToSql};

pub(super) use row::Row;

/// What comes of asking the database.
pub(crate) type DbResult<T> = Result<T, DbError>;

/// The database refused, or could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// `SQLite` says so.
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    /// A row was asked for that there must be.
    #[error("the row that was asked for is missing")]
    NoRow,
}

/// Where the store keeps everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Database {
    /// A `SQLite` file in this directory.
    Directory(PathBuf),
}

impl From<&Path> for Database {
    fn from(dir: &Path) -> Self {
        Self::Directory(dir.to_owned())
    }
}

/// What a statement must be written twice for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    /// A file.
    Sqlite,
    /// A server.
    Postgres,
}

/// A connection.
#[derive(Debug)]
pub(crate) enum Db {
    /// To a file.
    Sqlite(Connection),
}

impl From<Connection> for Db {
    fn from(conn: Connection) -> Self {
        Self::Sqlite(conn)
    }
}

impl Db {
    /// Which database it is.
    pub(super) fn dialect(&self) -> Dialect {
        match self {
            Self::Sqlite(_) => Dialect::Sqlite,
        }
    }

    /// Does it, and says how many rows it was done to.
    pub(super) fn execute(&self, sql: &str, params: &[&dyn ToSql]) -> DbResult<usize> {
        match self {
            Self::Sqlite(conn) => Ok(conn.prepare_cached(sql)?.execute(params)?),
        }
    }

    /// Several statements without parameters.
    pub(super) fn execute_batch(&self, sql: &str) -> DbResult<()> {
        match self {
            Self::Sqlite(conn) => Ok(conn.execute_batch(sql)?),
        }
    }

    /// Adds a row by a statement that ends in `RETURNING id`, and says its number.
    pub(super) fn insert(&self, sql: &str, params: &[&dyn ToSql]) -> DbResult<i64> {
        self.row(sql, params, |row| row.get(0))
    }

    /// The first row, which there must be.
    pub(super) fn row<T>(
        &self,
        sql: &str,
        params: &[&dyn ToSql],
        read: impl FnOnce(&Row<'_>) -> DbResult<T>,
    ) -> DbResult<T> {
        self.row_if_any(sql, params, read)?.ok_or(DbError::NoRow)
    }

    /// The first row, if there is one.
    pub(super) fn row_if_any<T>(
        &self,
        sql: &str,
        params: &[&dyn ToSql],
        read: impl FnOnce(&Row<'_>) -> DbResult<T>,
    ) -> DbResult<Option<T>> {
        match self {
            Self::Sqlite(conn) => {
                let mut statement = conn.prepare_cached(sql)?;
                let mut rows = statement.query(params)?;
                let found = rows.next()?;
                found.map(|row| read(&Row::Sqlite(row))).transpose()
            }
        }
    }

    /// Every row.
    pub(super) fn rows<T, E: From<DbError>>(
        &self,
        sql: &str,
        params: &[&dyn ToSql],
        mut read: impl FnMut(&Row<'_>) -> Result<T, E>,
    ) -> Result<Vec<T>, E> {
        let mut found = Vec::new();
        self.each(sql, params, |row| {
            found.push(read(row)?);
            Ok::<_, E>(())
        })?;
        Ok(found)
    }

    /// Looks at every row as it comes, so that a million of them are never held at once. `look` must
    /// not use this connection.
    pub(super) fn each<E: From<DbError>>(
        &self,
        sql: &str,
        params: &[&dyn ToSql],
        mut look: impl FnMut(&Row<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        match self {
            Self::Sqlite(conn) => {
                let mut statement = conn.prepare_cached(sql).map_err(DbError::from)?;
                let mut rows = statement.query(params).map_err(DbError::from)?;
                while let Some(row) = rows.next().map_err(DbError::from)? {
                    look(&Row::Sqlite(row))?;
                }
                Ok(())
            }
        }
    }

    /// Begins the transaction of a writer; it is undone unless it is committed.
    pub(super) fn begin(&self) -> DbResult<Tx<'_>> {
        match self {
            Self::Sqlite(conn) => conn.execute_batch("BEGIN IMMEDIATE")?,
        }
        Ok(Tx { db: self, open: true })
    }

    /// Names of tables that begin so, in order. `prefix` has no character that a pattern knows but
    /// the underscore.
    pub(super) fn tables(&self, prefix: &str) -> DbResult<Vec<String>> {
        let sql = match self {
            Self::Sqlite(_) => {
                "SELECT name FROM sqlite_schema WHERE type = 'table' \
                 AND substr(name, 1, length(?1)) = ?1 ORDER BY name"
            }
        };
        self.rows(sql, &[&prefix], |row| row.get(0))
    }

    /// Cuts the log, if this database has one of its own. Only saves disk; a reader in the way is no
    /// failure.
    pub(super) fn checkpoint(&self) {
        match self {
            Self::Sqlite(conn) => {
                let done = conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
                if let Err(error) = done {
                    tracing::debug!(error = %error, "checkpoint skipped");
                }
            }
        }
    }
}

/// An open transaction.
#[derive(Debug)]
pub(super) struct Tx<'d> {
    db: &'d Db,
    open: bool,
}

impl Tx<'_> {
    /// Makes it durable.
    pub(super) fn commit(mut self) -> DbResult<()> {
        match self.db {
            Db::Sqlite(conn) => conn.execute_batch("COMMIT")?,
        }
        self.open = false;
        Ok(())
    }
}

impl Drop for Tx<'_> {
    fn drop(&mut self) {
        if !self.open {
            return;
        }
        match self.db {
            // Some failures have undone it already.
            Db::Sqlite(conn) if conn.is_autocommit() => {}
            Db::Sqlite(conn) => {
                if let Err(error) = conn.execute_batch("ROLLBACK") {
                    tracing::error!(error = %error, "a transaction could not be undone");
                }
            }
        }
    }
}
