//! Rows from one side to the other, in order of their keys, so many in each transaction.

use rusqlite::ToSql;

use super::super::db::{Db, DbResult};
use super::table::Table;
use super::{Cell, MigrateError, db, dialect};

/// Rows read and committed at once: some megabytes of clusters.
const CHUNK: usize = 2_000;
/// Values in one statement; PostgreSQL takes 65,535, `SQLite` 32,766.
const MAX_VALUES: usize = 16_000;

/// Copies the rows after the last one that the target has.
pub(super) fn copy(
    table: &Table,
    source: &Db,
    target: &Db,
    tell: &mut impl FnMut(&str, u64),
) -> Result<(), MigrateError> {
    let mut done = table.rows(target).map_err(db("read", "target"))?;
    let mut last = last_key(table, target).map_err(db("read", "target"))?;
    loop {
        tell(&table.name, done);
        let rows = after(table, source, last.as_deref()).map_err(db("read", "source"))?;
        let Some(newest) = rows.last() else { break };
        last = Some(key_of(table, newest));
        let tx = target.begin().map_err(db("write", "target"))?;
        insert(table, target, &rows).map_err(db("write", "target"))?;
        tx.commit().map_err(db("write", "target"))?;
        done += u64::try_from(rows.len()).unwrap_or(0);
    }
    dialect::go_on_counting(target, &table.name).map_err(db("finish", "target"))
}

/// The key of a row, in the key's own order.
fn key_of(table: &Table, row: &[Cell]) -> Vec<Cell> {
    let cell = |name: &str| {
        let place = table.columns.iter().position(|column| column == name);
        place.and_then(|place| row.get(place)).cloned().unwrap_or(Cell::Null)
    };
    table.key.iter().map(|column| cell(&column.name)).collect()
}

fn last_key(table: &Table, target: &Db) -> DbResult<Option<Vec<Cell>>> {
    let names: Vec<String> = table.key.iter().map(|key| format!("\"{}\"", key.name)).collect();
    let order: Vec<String> =
        table.order(target).into_iter().map(|column| format!("{column} DESC")).collect();
    let (names_list, order) = (names.join(", "), order.join(", "));
    let sql = format!("SELECT {names_list} FROM {} ORDER BY {order} LIMIT 1", table.name);
    target.row_if_any(&sql, &[], |row| (0..names.len()).map(|place| row.get(place)).collect())
}

/// The next rows of the source.
fn after(table: &Table, source: &Db, last: Option<&[Cell]>) -> DbResult<Vec<Vec<Cell>>> {
    let order = table.order(source).join(", ");
    let key: Vec<&dyn ToSql> =
        last.unwrap_or_default().iter().map(|cell| -> &dyn ToSql { cell }).collect();
    let beyond = if key.is_empty() {
        String::new()
    } else {
        let marks: Vec<String> = (1..=key.len()).map(|place| format!("?{place}")).collect();
        format!("WHERE ({order}) > ({})", marks.join(", "))
    };
    let (list, name, width) = (table.list(), &table.name, table.columns.len());
    let sql = format!("SELECT {list} FROM {name} {beyond} ORDER BY {order} LIMIT {CHUNK}");
    source.rows(&sql, &key, |row| (0..width).map(|place| row.get(place)).collect())
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
