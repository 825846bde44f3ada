//! One row of an answer.

use rusqlite::types::FromSql;

use super::DbResult;

/// A row; its columns by place or by name.
pub(crate) enum Row<'r> {
    /// Of `SQLite`.
    Sqlite(&'r rusqlite::Row<'r>),
}

/// Names a column.
pub(crate) trait Column: rusqlite::RowIndex + Copy {}

impl Column for usize {}
impl Column for &str {}

impl Row<'_> {
    /// The value of a column.
    pub(crate) fn get<C: Column, T: FromSql>(&self, column: C) -> DbResult<T> {
        match self {
            Self::Sqlite(row) => Ok(row.get(column)?),
        }
    }
}
