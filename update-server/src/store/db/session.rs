//! One connection to PostgreSQL. Every answer is waited for so long at most; a connection that did
//! not answer, or that the server ended, is lost for good: whoever owns it makes another one.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

use futures_util::StreamExt as _;
use rusqlite::ToSql;
use tokio_postgres::types::ToSql as NativeToSql;
use tokio_postgres::{Client, NoTls, Row, Statement};

use super::address::Server;
use super::tls::Encrypt;
use super::value::Given;
use super::wait::{driver, wait};
use super::{DbError, DbResult};

/// How long connecting may take, all addresses and the handshakes included.
const CONNECT_PATIENCE: Duration = Duration::from_secs(8);
/// How long an answer, or the next row of one, is waited for. Longer than the server's own limit
/// below, so that its word comes first while it can be heard.
const ANSWER_PATIENCE: Duration = Duration::from_secs(10);
/// For what takes long by its nature: the first statements of a schema, a million rows.
const LONG_PATIENCE: Duration = Duration::from_mins(10);
/// What the server keeps to: a statement, the wait for a lock, and how long a transaction may stay
/// silent. The last one ends a replica that hangs while the others wait for its lock.
const LIMITS: &str = "SET statement_timeout = '8s'; SET lock_timeout = '5s'; \
     SET idle_in_transaction_session_timeout = '10s'; SET synchronous_commit = on; \
     SET client_min_messages = warning; SET standard_conforming_strings = on";
/// Statements kept prepared: the store has some eighty, and one per day of history. Above it all are
/// forgotten and prepared again.
const STATEMENTS_MAX: usize = 256;

/// A connection.
pub(crate) struct Session {
    client: Client,
    statements: RefCell<BTreeMap<String, Statement>>,
    lost: Cell<bool>,
    patience: Cell<Duration>,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("lost", &self.is_lost()).finish_non_exhaustive()
    }
}

impl Session {
    /// Connects. Blocks.
    pub(super) fn open(server: &Server) -> DbResult<Self> {
        let driver = driver().map_err(DbError::Driver)?;
        let config = server.config();
        let encrypt = server
            .is_encrypted()
            .then(|| Encrypt::with(server.root_cert.as_deref()))
            .transpose()
            .map_err(DbError::Roots)?;
        let connecting = driver.spawn(async move {
            if let Some(encrypt) = encrypt {
                let (client, connection) = config.connect(encrypt).await?;
                tokio::spawn(ended(connection));
                return Ok(client);
            }
            let (client, connection) = config.connect(NoTls).await?;
            tokio::spawn(ended(connection));
            Ok::<_, tokio_postgres::Error>(client)
        });
        let client = match wait(connecting, CONNECT_PATIENCE) {
            Some(Ok(connected)) => connected.map_err(DbError::Connect)?,
            Some(Err(_)) | None => return Err(DbError::Silent),
        };
        let session = Self {
            client,
            statements: RefCell::default(),
            lost: Cell::new(false),
            patience: Cell::new(ANSWER_PATIENCE),
        };
        session.batch(LIMITS)?;
        Ok(session)
    }

    /// Whether it is of no use any more.
    pub(super) fn is_lost(&self) -> bool {
        self.lost.get() || self.client.is_closed()
    }

    /// It is of no use any more.
    pub(super) fn lose(&self) {
        self.lost.set(true);
    }

    /// From here on answers may take minutes; the server's own limit is taken away until the
    /// transaction ends.
    pub(super) fn is_patient(&self, patient: bool) -> DbResult<()> {
        self.patience.set(if patient { LONG_PATIENCE } else { ANSWER_PATIENCE });
        if patient { self.batch("SET LOCAL statement_timeout = 0") } else { Ok(()) }
    }

    fn answer<T>(
        &self,
        asked: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> DbResult<T> {
        if self.lost.get() {
            return Err(DbError::Lost);
        }
        let Some(answer) = wait(asked, self.patience.get()) else {
            // What it is doing nobody knows.
            self.lose();
            return Err(DbError::Silent);
        };
        answer.map_err(|error| {
            // Before it closes the connection the server says why, if it can.
            let fatal = error.as_db_error().is_some_and(|said| said.severity() != "ERROR");
            if fatal || self.client.is_closed() || error.is_closed() {
                self.lose();
            }
            // A plan may be of a schema that a newer hub has changed since.
            self.statements.borrow_mut().clear();
            DbError::Postgres(error)
        })
    }

    /// Statements without parameters, in one message.
    pub(super) fn batch(&self, sql: &str) -> DbResult<()> {
        self.answer(self.client.batch_execute(sql))
    }

    fn statement(&self, sql: &str) -> DbResult<Statement> {
        if let Some(known) = self.statements.borrow().get(sql) {
            return Ok(known.clone());
        }
        let made = self.answer(self.client.prepare(&numbered(sql)))?;
        let mut statements = self.statements.borrow_mut();
        if statements.len() >= STATEMENTS_MAX {
            statements.clear();
        }
        statements.insert(sql.to_owned(), made.clone());
        Ok(made)
    }

    pub(super) fn execute(&self, sql: &str, params: &[&dyn ToSql]) -> DbResult<usize> {
        let given = given(params)?;
        self.execute_native(sql, &natives(&given))
    }

    /// The same with values of PostgreSQL's own kinds, such as arrays.
    pub(crate) fn execute_native(
        &self,
        sql: &str,
        params: &[&(dyn NativeToSql + Sync)],
    ) -> DbResult<usize> {
        let statement = self.statement(sql)?;
        let done = self.answer(self.client.execute(&statement, params))?;
        Ok(usize::try_from(done).unwrap_or(usize::MAX))
    }

    pub(super) fn query(&self, sql: &str, params: &[&dyn ToSql]) -> DbResult<Vec<Row>> {
        let given = given(params)?;
        self.query_native(sql, &natives(&given))
    }

    /// The same with values of PostgreSQL's own kinds, such as arrays.
    pub(super) fn query_native(
        &self,
        sql: &str,
        params: &[&(dyn NativeToSql + Sync)],
    ) -> DbResult<Vec<Row>> {
        let statement = self.statement(sql)?;
        self.answer(self.client.query(&statement, params))
    }

    /// Every row of a statement with such values.
    pub(crate) fn rows_native<T, E: From<DbError>>(
        &self,
        sql: &str,
        params: &[&(dyn NativeToSql + Sync)],
        mut read: impl FnMut(&super::Row<'_>) -> Result<T, E>,
    ) -> Result<Vec<T>, E> {
        let rows = self.query_native(sql, params)?;
        rows.iter().map(|row| read(&super::Row::Postgres(row))).collect()
    }

    /// Rows as they come.
    pub(super) fn each<E: From<DbError>>(
        &self,
        sql: &str,
        params: &[&dyn ToSql],
        mut look: impl FnMut(&Row) -> Result<(), E>,
    ) -> Result<(), E> {
        let statement = self.statement(sql)?;
        let given = given(params)?;
        let asked = self.client.query_raw(&statement, natives(&given));
        let mut rows = Box::pin(self.answer(asked)?);
        while let Some(row) = self.answer(async { rows.next().await.transpose() })? {
            look(&row)?;
        }
        Ok(())
    }
}

/// Drives a connection to its end.
async fn ended<S, T>(connection: tokio_postgres::Connection<S, T>)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    if let Err(error) = connection.await {
        tracing::warn!(error = %error, "a connection to the database ended");
    }
}

fn given<'p>(params: &'p [&'p dyn ToSql]) -> DbResult<Vec<Given<'p>>> {
    params.iter().map(|param| Ok(Given(param.to_sql()?))).collect()
}

fn natives<'g>(given: &'g [Given<'g>]) -> Vec<&'g (dyn NativeToSql + Sync)> {
    let native = |one: &'g Given<'g>| -> &'g (dyn NativeToSql + Sync) { one };
    given.iter().map(native).collect()
}

/// `?1` as PostgreSQL writes it, `$1`. No statement of ours has a question mark in a text.
fn numbered(sql: &str) -> String {
    sql.replace('?', "$")
}
