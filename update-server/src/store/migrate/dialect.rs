//! What the two databases have different words for.

use super::super::db::{Db, DbError, DbResult, Dialect};

/// Reads for as long as it takes, at one moment.
pub(super) fn reading<T, E: From<DbError>>(
    db: &Db,
    work: impl FnOnce() -> Result<T, E>,
) -> Result<T, E> {
    let tx = db.begin_reading()?;
    db.is_patient(true)?;
    if db.dialect() == Dialect::Postgres {
        // Whoever reads a table waits for the other side meanwhile.
        db.execute_batch("SET LOCAL idle_in_transaction_session_timeout = 0")?;
    }
    let result = work()?;
    tx.commit()?;
    db.is_patient(false)?;
    Ok(result)
}

/// The column that numbers rows of a table without a key: a file has it without saying so, a server has
/// it like any other.
pub(super) const ROW_NUMBER: &str = "rowid";

/// Columns of a table, in order of their names, but for the one above in a file.
pub(super) fn columns(of: &Db, table: &str) -> DbResult<Vec<String>> {
    let sql = match of.dialect() {
        Dialect::Sqlite => "SELECT name FROM pragma_table_info(?1)",
        Dialect::Postgres => {
            "SELECT column_name::text FROM information_schema.columns \
             WHERE table_schema = current_schema() AND table_name = ?1"
        }
    };
    let mut found: Vec<String> = of.rows(sql, &[&table], |row| row.get(0))?;
    found.sort();
    Ok(found)
}

/// What tells the rows of a file's table apart: its key, or what it has an index of.
pub(super) fn key(file: &Db, table: &str) -> DbResult<Vec<String>> {
    let key: Vec<String> = file.rows(
        "SELECT name FROM pragma_table_info(?1) WHERE pk > 0 ORDER BY pk",
        &[&table],
        |row| row.get(0),
    )?;
    if !key.is_empty() {
        return Ok(key);
    }
    let sql = "SELECT name FROM pragma_index_list(?1) WHERE \"unique\" = 1 ORDER BY name LIMIT 1";
    let index: Option<String> = file.row_if_any(sql, &[&table], |row| row.get(0))?;
    match index {
        Some(index) => {
            let sql = "SELECT name FROM pragma_index_info(?1) ORDER BY seqno";
            file.rows(sql, &[&index], |row| row.get(0))
        }
        None => Ok(vec![ROW_NUMBER.to_owned()]),
    }
}

/// Columns that are texts.
pub(super) fn texts(file: &Db, table: &str) -> DbResult<Vec<String>> {
    let sql = "SELECT name FROM pragma_table_info(?1) WHERE type = 'TEXT'";
    file.rows(sql, &[&table], |row| row.get(0))
}

/// A key column in the order that both databases can give: texts by their bytes.
pub(super) fn sorted(column: &str, is_text: bool, on: &Db) -> String {
    match on.dialect() {
        Dialect::Postgres if is_text => format!("\"{column}\" COLLATE \"C\""),
        Dialect::Postgres | Dialect::Sqlite => format!("\"{column}\""),
    }
}

/// Numbers that the database gives to new rows go on after the ones that were copied. A file does so
/// by itself.
pub(super) fn go_on_counting(on: &Db, table: &str) -> DbResult<()> {
    if on.dialect() == Dialect::Sqlite {
        return Ok(());
    }
    let sql = "SELECT column_name::text FROM information_schema.columns \
               WHERE table_schema = current_schema() AND table_name = ?1 AND is_identity = 'YES'";
    let counted: Vec<String> = on.rows(sql, &[&table], |row| row.get(0))?;
    for column in counted {
        on.execute_batch(&format!(
            "SELECT setval(pg_get_serial_sequence('{table}', '{column}'), \
             (SELECT coalesce(max({column}), 0) + 1 FROM {table}), false)"
        ))?;
    }
    Ok(())
}
