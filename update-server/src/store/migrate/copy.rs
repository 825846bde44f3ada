//! Rows from one side to the other, in order of their keys, so many in each transaction.

use rusqlite::ToSql;

use super::super::db::{Db, DbError, DbResult};
use super::table::Table;
use super::{Cell, MigrateError, db, dialect};

/// Rows read and committed at once: some megabytes of clusters.
const CHUNK: usize = 2_000;
/// Values in one statement; PostgreSQL takes 65,535, `SQLite` 32,766.
const MAX_VALUES: usize = 16_000;

/// Which side failed.
enum Stop {
    Source(DbError),
    Target(DbError),
}

impl From<DbError> for Stop {
    fn from(error: DbError) -> Self {
        Self::Source(error)
    }
}

/// Copies the rows after the last one that the target has. The source is read once, from there to its
/// end.
pub(super) fn copy(
    table: &Table,
    source: &Db,
    target: &Db,
    tell: &mut impl FnMut(&str, u64),
) -> Result<(), MigrateError> {
    let mut done = table.rows(target).map_err(db("read", "target"))?;
    tell(&table.name, done);
    let last = last_key(table, target).map_err(db("read", "target"))?.unwrap_or_default();
    let mut chunk = Vec::with_capacity(CHUNK);
    let mut flush = |chunk: &mut Vec<Vec<Cell>>| {
        write(table, target, chunk).map_err(Stop::Target)?;
        done += u64::try_from(chunk.len()).unwrap_or(0);
        tell(&table.name, done);
        chunk.clear();
        Ok::<_, Stop>(())
    };
    let (sql, width) = (after(table, source, last.len()), table.columns.len());
    let key: Vec<&dyn ToSql> = last.iter().map(|cell| -> &dyn ToSql { cell }).collect();
    dialect::reading(source, || {
        source.each(&sql, &key, |row| {
            chunk.push((0..width).map(|place| row.get(place)).collect::<DbResult<_>>()?);
            if chunk.len() == CHUNK { flush(&mut chunk) } else { Ok::<_, Stop>(()) }
        })?;
        if chunk.is_empty() { Ok(()) } else { flush(&mut chunk) }
    })
    .map_err(|stop| match stop {
        Stop::Source(source) => db("read", "source")(source),
        Stop::Target(source) => db("write", "target")(source),
    })?;
    dialect::go_on_counting(target, &table.name).map_err(db("finish", "target"))
}

fn write(table: &Table, target: &Db, rows: &[Vec<Cell>]) -> DbResult<()> {
    let tx = target.begin()?;
    insert(table, target, rows)?;
    tx.commit()
}

fn last_key(table: &Table, target: &Db) -> DbResult<Option<Vec<Cell>>> {
    let names: Vec<String> = table.key.iter().map(|key| format!("\"{}\"", key.name)).collect();
    let order: Vec<String> =
        table.order(target).into_iter().map(|column| format!("{column} DESC")).collect();
    let (names_list, order) = (names.join(", "), order.join(", "));
    let sql = format!("SELECT {names_list} FROM {} ORDER BY {order} LIMIT 1", table.name);
    target.row_if_any(&sql, &[], |row| (0..names.len()).map(|place| row.get(place)).collect())
}

/// All rows of the source after a key of so many values; from the first one on without.
fn after(table: &Table, source: &Db, values: usize) -> String {
    let order = table.order(source).join(", ");
    let beyond = if values == 0 {
        String::new()
    } else {
        let marks: Vec<String> = (1..=values).map(|place| format!("?{place}")).collect();
        format!("WHERE ({order}) > ({})", marks.join(", "))
    };
    format!("SELECT {} FROM {} {beyond} ORDER BY {order}", table.list(), table.name)
}

/// As many rows in one statement as it takes.
fn insert(table: &Table, target: &Db, rows: &[Vec<Cell>]) -> DbResult<()> {
    let width = table.columns.len().max(1);
    for some in rows.chunks((MAX_VALUES / width).max(1)) {
        let row = |number: usize| {
            let marks: Vec<String> =
                (1..=width).map(|place| format!("?{}", number * width + place)).collect();
            format!("({})", marks.join(", "))
        };
        let values: Vec<String> = (0..some.len()).map(row).collect();
        let (list, values) = (table.list(), values.join(", "));
        let sql = format!("INSERT INTO {} ({list}) VALUES {values}", table.name);
        let cells: Vec<&dyn ToSql> =
            some.iter().flatten().map(|cell| -> &dyn ToSql { cell }).collect();
        target.execute(&sql, &cells)?;
    }
    Ok(())
}
