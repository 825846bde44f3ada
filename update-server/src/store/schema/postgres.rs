//! The schema of a PostgreSQL database, which several replicas may bring up to date at once: the
//! first one does, the others wait for it.
//!
//! Table `migration` has the numbers of those that ran. As with `SQLite`, a migration is never edited
//! once it was released. Numbers have gaps: the first one is all that `SQLite` had by then, and later
//! ones have the number of their twin there.

use super::super::db::{Db, DbError, Server};
use super::SchemaError;

/// Every migration, in order.
const MIGRATIONS: &[(usize, &str)] = &[
    (1, include_str!("../../../migrations/postgres/0001_first.sql")),
    (12, include_str!("../../../migrations/postgres/0012_replicas.sql")),
];

/// How long another replica's migrations are waited for.
const PATIENCE: &str = "SET LOCAL lock_timeout = '10min'";

/// Connects, and brings the schema up to date.
pub(super) fn open(server: &Server) -> Result<Db, SchemaError> {
    let db = connect(server)?;
    if !missing(&db)?.is_empty() {
        migrate(&db)?;
    }
    Ok(db)
}

/// Connects, and looks at nothing.
pub(super) fn connect(server: &Server) -> Result<Db, SchemaError> {
    let wrap = |source| SchemaError::Connect { place: server.to_string(), source };
    Db::connect(server).map_err(wrap)
}

fn failed(number: usize) -> impl Fn(DbError) -> SchemaError {
    move |source| SchemaError::MigrateServer { number, source }
}

/// The migrations that have not run; refuses a schema that a newer hub made.
fn missing(db: &Db) -> Result<Vec<(usize, &'static str)>, SchemaError> {
    let there: Option<String> = db
        .row("SELECT CAST(to_regclass('migration') AS TEXT)", &[], |row| row.get(0))
        .map_err(failed(0))?;
    if there.is_none() {
        return Ok(MIGRATIONS.to_vec());
    }
    let done: Vec<i64> = db
        .rows("SELECT number FROM migration ORDER BY number", &[], |row| row.get(0))
        .map_err(failed(0))?;
    let known = MIGRATIONS.last().map_or(0, |(number, _)| *number);
    let is_newer = |found: &i64| usize::try_from(*found).is_ok_and(|found| found > known);
    if let Some(found) = done.last().copied().filter(is_newer) {
        return Err(SchemaError::Newer { found, known });
    }
    let ran = |number: usize| done.iter().any(|done| usize::try_from(*done) == Ok(number));
    Ok(MIGRATIONS.iter().filter(|(number, _)| !ran(*number)).copied().collect())
}

fn migrate(db: &Db) -> Result<(), SchemaError> {
    let tx = db.begin().map_err(failed(0))?;
    db.is_patient(true).map_err(failed(0))?;
    db.execute_batch(PATIENCE).map_err(failed(0))?;
    db.lock_store().map_err(failed(0))?;
    let create = "CREATE TABLE IF NOT EXISTS migration (number BIGINT PRIMARY KEY)";
    db.execute_batch(create).map_err(failed(0))?;
    // Another replica may have run them meanwhile.
    for (number, sql) in missing(db)? {
        db.execute_batch(sql).map_err(failed(number))?;
        db.execute_batch(&format!("INSERT INTO migration (number) VALUES ({number})"))
            .map_err(failed(number))?;
    }
    tx.commit().map_err(failed(0))?;
    db.is_patient(false).map_err(failed(0))
}
