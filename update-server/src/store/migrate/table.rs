//! A table as both sides have it: its columns, the order of its rows, and a hash over them.

use rusqlite::types::Value;
use signing::{Sha256Digest, Sha256Hasher};

use super::super::db::{Db, DbError, DbResult, Dialect};
use super::super::history;
use super::{Cell, MigrateError, dialect};

/// A column that is part of the key.
#[derive(Debug, Clone)]
pub(super) struct KeyColumn {
    pub(super) name: String,
    is_text: bool,
}

/// A table and how its rows are ordered.
#[derive(Debug, Clone)]
pub(super) struct Table {
    pub(super) name: String,
    /// In order of their names.
    pub(super) columns: Vec<String>,
    pub(super) key: Vec<KeyColumn>,
}

impl Table {
    /// Asks the side that is a file.
    pub(super) fn of(file: &Db, name: String) -> DbResult<Self> {
        let texts = dialect::texts(file, &name)?;
        let key: Vec<KeyColumn> = dialect::key(file, &name)?
            .into_iter()
            .map(|name| KeyColumn { is_text: texts.contains(&name), name })
            .collect();
        let mut columns = dialect::columns(file, &name)?;
        if key.iter().any(|key| key.name == dialect::ROW_NUMBER) {
            columns.push(dialect::ROW_NUMBER.to_owned());
            columns.sort();
        }
        Ok(Self { name, columns, key })
    }

    /// How many rows there are.
    pub(super) fn rows(&self, of: &Db) -> DbResult<u64> {
        let sql = format!("SELECT count(*) FROM {}", self.name);
        dialect::reading(of, || of.row(&sql, &[], |row| Ok(super::super::id_of(row.get(0)?))))
    }

    /// The columns of the key as both databases sort them alike.
    pub(super) fn order(&self, on: &Db) -> Vec<String> {
        self.key.iter().map(|key| dialect::sorted(&key.name, key.is_text, on)).collect()
    }

    /// All columns, for `SELECT` and `INSERT`.
    pub(super) fn list(&self) -> String {
        self.columns.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ")
    }

    /// Rows and a hash over them in order of the key. Every cell goes in with its kind and length, so
    /// that no two different tables have the same input.
    pub(super) fn digest(&self, of: &Db) -> DbResult<(u64, Sha256Digest)> {
        let (mut rows, mut hasher) = (0, Sha256Hasher::new());
        let order = self.order(of).join(", ");
        let sql = format!("SELECT {} FROM {} ORDER BY {order}", self.list(), self.name);
        dialect::reading(of, || {
            of.each(&sql, &[], |row| {
                rows += 1;
                for place in 0..self.columns.len() {
                    feed(&mut hasher, &row.get::<usize, Cell>(place)?);
                }
                Ok::<_, DbError>(())
            })
        })?;
        Ok((rows, hasher.finish()))
    }

    /// Requires that both sides know the same columns of this table.
    pub(super) fn require_same_columns(
        &self,
        source: &Db,
        target: &Db,
    ) -> Result<(), MigrateError> {
        for (side, conn) in [("source", source), ("target", target)] {
            let mut found = dialect::columns(conn, &self.name).map_err(super::db("read", side))?;
            if conn.dialect() == Dialect::Sqlite {
                let numbers = self.columns.iter().filter(|name| *name == dialect::ROW_NUMBER);
                found.extend(numbers.cloned());
                found.sort();
            }
            if found != self.columns {
                let what = format!("the {side} has the columns {}", found.join(", "));
                return Err(MigrateError::Shape { table: self.name.clone(), what });
            }
        }
        Ok(())
    }
}

fn feed(hasher: &mut Sha256Hasher, cell: &Cell) {
    let mut put = |kind: u8, bytes: &[u8]| {
        hasher.update(&[kind]);
        hasher.update(&u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_be_bytes());
        hasher.update(bytes);
    };
    match cell {
        Value::Null => put(0, &[]),
        Value::Integer(number) => put(1, &number.to_be_bytes()),
        Value::Text(text) => put(2, text.as_bytes()),
        Value::Blob(bytes) => put(3, bytes),
        Value::Real(number) => put(4, &number.to_be_bytes()),
    }
}

/// Makes the table of a day, if the name is that of one.
pub(super) fn create_daily(on: &Db, name: &str) -> DbResult<()> {
    match history::day_of(name) {
        Some(at) => history::create(on, at),
        None => Ok(()),
    }
}
