//! One row of an answer.

use rusqlite::types::FromSql;

use super::value::Found;
use super::{DbError, DbResult};

/// A row; its columns by place or by name.
pub(crate) enum Row<'r> {
    /// Of `SQLite`.
    Sqlite(&'r rusqlite::Row<'r>),
    /// Of PostgreSQL.
    Postgres(&'r tokio_postgres::Row),
}

/// Names a column.
pub(crate) trait Column: rusqlite::RowIndex + Copy + std::fmt::Display {
    /// Its place in a row of PostgreSQL.
    fn place(self, row: &tokio_postgres::Row) -> Option<usize>;
}

impl Column for usize {
    fn place(self, row: &tokio_postgres::Row) -> Option<usize> {
        (self < row.len()).then_some(self)
    }
}

impl Column for &str {
    fn place(self, row: &tokio_postgres::Row) -> Option<usize> {
        row.columns().iter().position(|column| column.name() == self)
    }
}

impl Row<'_> {
    /// The value of a column.
    pub(crate) fn get<C: Column, T: FromSql>(&self, column: C) -> DbResult<T> {
        match self {
            Self::Sqlite(row) => Ok(row.get(column)?),
            Self::Postgres(row) => {
                let place = column.place(row);
                let place = place.ok_or_else(|| DbError::NoColumn { name: column.to_string() })?;
                let found: Found<'_> = row.try_get(place).map_err(DbError::Postgres)?;
                Ok(T::column_result(found.value())?)
            }
        }
    }
}
