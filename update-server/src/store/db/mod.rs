//! The database behind the store: one face for both, so that a statement is written once.
//!
//! Statements are plain SQL with numbered parameters (`?1`), values go in by rusqlite's `ToSql` and
//! come out by its `FromSql`, whatever the database: columns are integers of 64 bits, texts and
//! bytes. Every statement is kept prepared. Nothing here knows a table.

mod address;
mod passfile;
mod row;
mod session;
mod tls;
mod value;
mod wait;

use rusqlite::{Connection, ToSql};

pub use address::{AddressError, Database, Server};
pub(super) use row::Row;
pub(super) use session::Session;
pub(super) use value::storable;

/// What comes of asking the database.
pub(crate) type DbResult<T> = Result<T, DbError>;

/// Taken by whoever writes what replicas keep in memory, until the transaction ends: one batch at a
/// time over all of them. `FAIRWAY` in ASCII, and a byte for what is locked.
const STORE_LOCK: i64 = 0x4641_4952_5741_5901;

/// The database refused, or could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// `SQLite` says so.
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    /// PostgreSQL says so, or the connection to it ended.
    #[error(transparent)]
    Postgres(tokio_postgres::Error),
    /// No connection.
    #[error("failed to connect to the database")]
    Connect(#[source] tokio_postgres::Error),
    /// The authorities that sign the server's certificate cannot be read.
    #[error("failed to read the authorities that sign the database's certificate")]
    Roots(#[source] std::io::Error),
    /// No thread for the sockets.
    #[error("failed to start the thread of the database's connections")]
    Driver(#[source] std::io::Error),
    /// It did not answer in time; the connection is given up.
    #[error("the database does not answer")]
    Silent,
    /// The connection was given up before.
    #[error("the connection to the database is lost")]
    Lost,
    /// A row was asked for that there must be.
    #[error("the row that was asked for is missing")]
    NoRow,
    /// The answer has no such column.
    #[error("the answer has no column {name}")]
    NoColumn {
        /// Which.
        name: String,
    },
    /// A value of another kind than it must be.
    #[error("a column has a value of the wrong kind")]
    Value(#[from] rusqlite::types::FromSqlError),
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
    /// To a server.
    Postgres(Session),
}

impl From<Connection> for Db {
    fn from(conn: Connection) -> Self {
        Self::Sqlite(conn)
    }
}

impl Db {
    /// Connects to a server; its schema is not looked at. Blocks.
    pub(super) fn connect(server: &Server) -> DbResult<Self> {
        Session::open(server).map(Self::Postgres)
    }

    /// Which database it is.
    pub(super) fn dialect(&self) -> Dialect {
        match self {
            Self::Sqlite(_) => Dialect::Sqlite,
            Self::Postgres(_) => Dialect::Postgres,
        }
    }

    /// Whether the connection is of no use any more.
    pub(super) fn is_lost(&self) -> bool {
        match self {
            Self::Sqlite(_) => false,
            Self::Postgres(session) => session.is_lost(),
        }
    }

    /// From here to the end of the transaction, answers may take minutes.
    pub(super) fn is_patient(&self, patient: bool) -> DbResult<()> {
        match self {
            Self::Sqlite(_) => Ok(()),
            Self::Postgres(session) => session.is_patient(patient),
        }
    }

    /// Does it, and says how many rows it was done to.
    pub(super) fn execute(&self, sql: &str, params: &[&dyn ToSql]) -> DbResult<usize> {
        match self {
            Self::Sqlite(conn) => Ok(conn.prepare_cached(sql)?.execute(params)?),
            Self::Postgres(session) => session.execute(sql, params),
        }
    }

    /// Several statements without parameters.
    pub(super) fn execute_batch(&self, sql: &str) -> DbResult<()> {
        match self {
            Self::Sqlite(conn) => Ok(conn.execute_batch(sql)?),
            Self::Postgres(session) => session.batch(sql),
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
            Self::Postgres(session) => {
                let rows = session.query(sql, params)?;
                rows.first().map(|row| read(&Row::Postgres(row))).transpose()
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
            Self::Postgres(session) => session.each(sql, params, |row| look(&Row::Postgres(row))),
        }
    }

    /// Begins a transaction; it is undone unless it is committed. Of a file nobody else can write to
    /// it meanwhile.
    pub(super) fn begin(&self) -> DbResult<Tx<'_>> {
        match self {
            Self::Sqlite(conn) => conn.execute_batch("BEGIN IMMEDIATE")?,
            Self::Postgres(session) => session.batch("BEGIN")?,
        }
        Ok(Tx { db: self, open: true })
    }

    /// Begins a transaction in which nobody else writes what replicas keep in memory, and which sees
    /// all that was committed before.
    pub(super) fn begin_alone(&self) -> DbResult<Tx<'_>> {
        match self {
            Self::Sqlite(_) => self.begin(),
            Self::Postgres(session) => {
                let tx = Tx { db: self, open: true };
                // Each statement sees what was committed before it began; with one view for the
                // whole transaction it would be that of before the wait for the lock.
                session.batch(&format!("BEGIN ISOLATION LEVEL READ COMMITTED; {}", lock()))?;
                Ok(tx)
            }
        }
    }

    /// Waits until nobody else writes what replicas keep in memory; to the end of the transaction.
    pub(super) fn lock_store(&self) -> DbResult<()> {
        match self {
            Self::Sqlite(_) => Ok(()),
            Self::Postgres(session) => session.batch(&lock()),
        }
    }

    /// Begins a transaction that only reads, and sees one moment.
    pub(super) fn begin_reading(&self) -> DbResult<Tx<'_>> {
        match self {
            Self::Sqlite(conn) => conn.execute_batch("BEGIN")?,
            Self::Postgres(session) => {
                session.batch("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")?;
            }
        }
        Ok(Tx { db: self, open: true })
    }

    /// Names of tables that begin so, in order.
    pub(super) fn tables(&self, prefix: &str) -> DbResult<Vec<String>> {
        let sql = match self {
            Self::Sqlite(_) => {
                "SELECT name FROM sqlite_schema WHERE type = 'table' \
                 AND substr(name, 1, length(?1)) = ?1 ORDER BY name"
            }
            Self::Postgres(_) => {
                "SELECT tablename::text FROM pg_tables WHERE schemaname = current_schema() \
                 AND starts_with(tablename::text, ?1) ORDER BY tablename::text COLLATE \"C\""
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
            Self::Postgres(_) => {}
        }
    }
}

fn lock() -> String {
    format!("SELECT pg_advisory_xact_lock({STORE_LOCK})")
}

/// An open transaction.
#[derive(Debug)]
pub(super) struct Tx<'d> {
    db: &'d Db,
    open: bool,
}

impl Tx<'_> {
    /// Makes it durable. After an error of a server nobody can say whether it is.
    pub(super) fn commit(mut self) -> DbResult<()> {
        match self.db {
            Db::Sqlite(conn) => conn.execute_batch("COMMIT")?,
            Db::Postgres(session) => session.batch("COMMIT").inspect_err(|_| session.lose())?,
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
            Db::Postgres(session) if session.is_lost() => {}
            Db::Postgres(session) => {
                // The server undoes what a lost connection leaves behind.
                if session.batch("ROLLBACK").is_err() {
                    session.lose();
                }
            }
        }
    }
}
