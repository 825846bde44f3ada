//! A hub's database moves into another kind of database: every table, row by row, checked on both
//! sides by counting and hashing.
//!
//! One of the two is always a `SQLite` file, and its schema says which columns and keys there are.
//! What was copied is in the target with its progress, in one transaction: whoever is interrupted goes
//! on there. A target that is not whole is never one that a hub would start on: a file has another
//! name until the end, a database has a table that says so.

mod copy;
mod dialect;
mod table;
#[cfg(test)]
mod tests;

use std::path::Path;

use rusqlite::types::Value;
use signing::Sha256Digest;

use super::db::{Database, Db, DbError, Server};
use super::leader::asked;
use super::{DATABASE_FILE, SchemaError, locks, schema};
use table::Table;

/// Name of a `SQLite` target until it is whole.
const UNFINISHED_FILE: &str = "hub.sqlite3.moving";
/// The table that a target has until it is whole.
pub(super) const MOVING: &str = "moving";
/// Tables that are not moved: what replicas tell each other, and the repository, which is files on
/// the other side.
const LEFT_OUT: &[&str] =
    &["change", "migration", "repository", "repository_file", "hub_key", MOVING];

/// A hub cannot be moved.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// A database.
    #[error("failed to {action} the {side}")]
    Db {
        /// What was tried.
        action: &'static str,
        /// `source` or `target`.
        side: &'static str,
        /// What it says.
        source: DbError,
    },
    /// A schema.
    #[error("failed to open the {side}")]
    Schema {
        /// `source` or `target`.
        side: &'static str,
        /// Why.
        source: SchemaError,
    },
    /// There is nothing to move.
    #[error("the source holds no hub")]
    NoHub,
    /// A hub runs on the database.
    #[error("a hub uses the {side}: stop every replica of it first")]
    InUse {
        /// `source` or `target`.
        side: &'static str,
    },
    /// There is something else in the target.
    #[error("the target holds a hub already (table {table} has rows): give an empty one")]
    NotEmpty {
        /// The first table with rows.
        table: String,
    },
    /// The target was begun with another source, or with this one before it changed.
    #[error(
        "the target was begun from another hub, or from this one before it went on: remove what is \
         there and begin again"
    )]
    OtherSource,
    /// Tables do not fit.
    #[error("table {table} differs between source and target: {what}")]
    Shape {
        /// Which one.
        table: String,
        /// How.
        what: String,
    },
    /// Both sides were read again, and are not the same.
    #[error("table {table} is not the same on both sides after copying: {what}")]
    Differs {
        /// Which one.
        table: String,
        /// Counts or digests.
        what: String,
    },
}

/// What was moved of one table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MovedTable {
    /// Its name.
    pub name: String,
    /// Rows on either side.
    pub rows: u64,
    /// SHA-256 over all of them, in order of their keys.
    pub digest: Sha256Digest,
}

/// The two sides, open and nobody else's.
#[derive(Debug)]
pub struct Migration {
    source: Db,
    target: Db,
    /// The file, if the target is one.
    unfinished: Option<std::path::PathBuf>,
}

fn db(action: &'static str, side: &'static str) -> impl FnOnce(DbError) -> MigrateError {
    move |source| MigrateError::Db { action, side, source }
}

impl Migration {
    /// From the file of a data directory, whose lock the caller has, to a database.
    ///
    /// # Errors
    /// Either side cannot be opened or is in use, or the target holds something else.
    pub fn to_database(data_dir: &Path, server: &Server) -> Result<Self, MigrateError> {
        let failed = |source| MigrateError::Schema { side: "source", source };
        let source = schema::open(&Database::from(data_dir)).map_err(failed)?;
        let target = take_alone(server, "target")?;
        let this = Self { source, target, unfinished: None };
        this.begin()?;
        Ok(this)
    }

    /// From a database to a data directory, whose lock the caller has.
    ///
    /// # Errors
    /// As above.
    pub fn to_directory(server: &Server, data_dir: &Path) -> Result<Self, MigrateError> {
        let failed = |source| MigrateError::Schema { side: "target", source };
        let there = Db::connect(server).and_then(|conn| conn.tables("cluster"));
        if !there.map_err(db("read", "source"))?.iter().any(|table| table == "cluster") {
            return Err(MigrateError::NoHub);
        }
        let source = take_alone(server, "source")?;
        if data_dir.join(DATABASE_FILE).exists() {
            return Err(MigrateError::NotEmpty { table: DATABASE_FILE.to_owned() });
        }
        let path = data_dir.join(UNFINISHED_FILE);
        let target = schema::open_writer(&path).map_err(failed)?.into();
        let this = Self { source, target, unfinished: Some(path) };
        this.begin()?;
        Ok(this)
    }

    /// Marks an empty target as begun, or finds out that it was begun from the same source.
    fn begin(&self) -> Result<(), MigrateError> {
        let mark = self.mark()?;
        let begun = self.target.tables(MOVING).map_err(db("read", "target"))?;
        if begun.iter().any(|table| table == MOVING) {
            let sql = format!("SELECT source FROM {MOVING}");
            let known: String =
                self.target.row(&sql, &[], |row| row.get(0)).map_err(db("read", "target"))?;
            return if known == mark { Ok(()) } else { Err(MigrateError::OtherSource) };
        }
        for table in self.tables()? {
            let name = &table.name;
            if self.target.tables(name).map_err(db("read", "target"))?.contains(name)
                && table.rows(&self.target).map_err(db("read", "target"))? > 0
            {
                return Err(MigrateError::NotEmpty { table: name.clone() });
            }
        }
        let tx = self.target.begin().map_err(db("write", "target"))?;
        self.target
            .execute_batch(&format!("CREATE TABLE {MOVING} (source TEXT NOT NULL)"))
            .map_err(db("write", "target"))?;
        self.target
            .execute(&format!("INSERT INTO {MOVING} (source) VALUES (?1)"), &[&mark])
            .map_err(db("write", "target"))?;
        tx.commit().map_err(db("write", "target"))
    }

    /// What tells this source from every other, and from itself after it went on: the head of its
    /// audit log, and how many reports it took.
    fn mark(&self) -> Result<String, MigrateError> {
        let last = "SELECT coalesce((SELECT hash FROM audit ORDER BY id DESC LIMIT 1), '')";
        let head: String =
            self.source.row(last, &[], |row| row.get(0)).map_err(db("read", "source"))?;
        let seen: Option<i64> = self
            .source
            .row("SELECT CAST(sum(seq % 1000003) AS BIGINT) FROM cluster", &[], |row| row.get(0))
            .map_err(db("read", "source"))?;
        Ok(format!("{head}-{}", seen.unwrap_or(0)))
    }

    /// The tables of the source, by the schema of the side that is a file.
    fn tables(&self) -> Result<Vec<Table>, MigrateError> {
        let file = if self.unfinished.is_some() { &self.target } else { &self.source };
        let mut names = self.source.tables("").map_err(db("read", "source"))?;
        names.retain(|name| !LEFT_OUT.contains(&name.as_str()) && !name.starts_with("sqlite_"));
        if self.unfinished.is_some() {
            // The file has those of every day only once they are made.
            for name in &names {
                table::create_daily(&self.target, name).map_err(db("write", "target"))?;
            }
        }
        names.into_iter().map(|name| Table::of(file, name).map_err(db("read", "file"))).collect()
    }

    /// Copies what is not copied yet, and then reads both sides again. `tell` hears of every table
    /// with the rows it has by then.
    ///
    /// # Errors
    /// A database, or two sides that differ.
    pub fn run(&self, mut tell: impl FnMut(&str, u64)) -> Result<Vec<MovedTable>, MigrateError> {
        let tables = self.tables()?;
        for table in &tables {
            if self.unfinished.is_none() {
                table::create_daily(&self.target, &table.name).map_err(db("write", "target"))?;
            }
            table.require_same_columns(&self.source, &self.target)?;
            copy::copy(table, &self.source, &self.target, &mut tell)?;
        }
        tables.iter().map(|table| self.compare(table)).collect()
    }

    fn compare(&self, table: &Table) -> Result<MovedTable, MigrateError> {
        let (rows, digest) = table.digest(&self.source).map_err(db("read", "source"))?;
        let (there, digest_there) = table.digest(&self.target).map_err(db("read", "target"))?;
        let name = table.name.clone();
        if rows != there {
            let what = format!("{rows} rows in the source, {there} in the target");
            return Err(MigrateError::Differs { table: name, what });
        }
        if digest != digest_there {
            let what =
                format!("{} in the source, {} in the target", digest.hex(), digest_there.hex());
            return Err(MigrateError::Differs { table: name, what });
        }
        Ok(MovedTable { name, rows, digest })
    }

    /// Makes the target one that a hub starts on.
    ///
    /// # Errors
    /// The target cannot be written.
    pub fn finish(self) -> Result<(), MigrateError> {
        self.target
            .execute_batch(&format!("DROP TABLE {MOVING}"))
            .map_err(db("finish", "target"))?;
        let Some(unfinished) = self.unfinished else { return Ok(()) };
        self.target.checkpoint();
        drop(self.target);
        let whole = unfinished.with_file_name(DATABASE_FILE);
        std::fs::rename(&unfinished, &whole).map_err(|source| MigrateError::Schema {
            side: "target",
            source: SchemaError::Create { path: whole, source },
        })
    }
}

/// A database that no hub uses until this connection ends; its schema is brought up to date.
fn take_alone(server: &Server, side: &'static str) -> Result<Db, MigrateError> {
    let conn = schema::open(&Database::Server(server.clone()))
        .map_err(|source| MigrateError::Schema { side, source })?;
    let free = asked(&conn, &format!("pg_try_advisory_lock({})", locks::RUNNING));
    if free.map_err(db("lock", side))? { Ok(conn) } else { Err(MigrateError::InUse { side }) }
}

/// One cell.
type Cell = Value;
