//! Copies between two files: interrupted ones, tables without a key, and differences that are found.

use rusqlite::{Connection, params};

use super::super::db::Db;
use super::super::schema;
use super::table::Table;
use super::{MigrateError, copy};

fn hub() -> (tempfile::TempDir, Db) {
    let dir = tempfile::tempdir().unwrap();
    let conn = schema::open_writer(&dir.path().join("hub.sqlite3")).unwrap();
    (dir, conn.into())
}

fn raw(db: &Db) -> &Connection {
    match db {
        Db::Sqlite(conn) => conn,
        Db::Postgres(_) => unreachable!("a file"),
    }
}

fn table(of: &Db, name: &str) -> Table {
    Table::of(of, name.to_owned()).unwrap()
}

/// Policies and attempts: keys of several columns, texts among them, more rows than one chunk.
fn fill(db: &Db) {
    let conn = raw(db);
    for version in 0..2_500_i64 {
        let name = ["B", "a", "ä", "z-1"][usize::try_from(version % 4).unwrap()];
        conn.execute(
            "INSERT INTO rollout_policy (name, version, text, deleted, at, by) \
             VALUES (?1, ?2, ?3, 0, ?2, 'ann')",
            params![name, version, format!("text of {version}")],
        )
        .unwrap();
    }
    conn.execute_batch("CREATE TABLE history_20261120 (cluster INTEGER NOT NULL, at INTEGER NOT NULL, \
         seq INTEGER NOT NULL, row TEXT NOT NULL) STRICT; \
         INSERT INTO history_20261120 (rowid, cluster, at, seq, row) VALUES (7, 1, 2, 3, 'x'), (9, 1, 2, 3, 'x')")
        .unwrap();
}

#[test]
fn a_copy_that_was_interrupted_goes_on_and_has_every_row_once() {
    let ((_a, source), (_b, target)) = (hub(), hub());
    fill(&source);
    let policies = table(&source, "rollout_policy");
    assert_eq!(policies.key.len(), 2);
    let mut told = Vec::new();
    copy::copy(&policies, &source, &target, &mut |_, rows| told.push(rows)).unwrap();
    assert_eq!(told, [0, 2_000, 2_500], "in chunks");
    // As if it had been killed in the middle.
    raw(&target).execute("DELETE FROM rollout_policy WHERE name > 'a'", []).unwrap();
    let left = policies.rows(&target).unwrap();
    copy::copy(&policies, &source, &target, &mut |_, _| ()).unwrap();
    assert!(left > 0 && policies.digest(&source).unwrap() == policies.digest(&target).unwrap());
}

#[test]
fn rows_without_a_key_keep_their_numbers() {
    let ((_a, source), (_b, target)) = (hub(), hub());
    fill(&source);
    super::table::create_daily(&target, "history_20261120").unwrap();
    let day = table(&source, "history_20261120");
    day.require_same_columns(&source, &target).unwrap();
    copy::copy(&day, &source, &target, &mut |_, _| ()).unwrap();
    assert_eq!(day.digest(&source).unwrap(), day.digest(&target).unwrap());
    let newest: i64 = raw(&target)
        .query_row("SELECT max(rowid) FROM history_20261120", [], |row| row.get(0))
        .unwrap();
    assert_eq!(newest, 9);
}

#[test]
fn a_digest_tells_a_changed_cell_and_null_from_empty() {
    let (_a, db) = hub();
    let holds = table(&db, "hold");
    let put = |resumed_by: Option<&str>| {
        raw(&db)
            .execute(
                "INSERT OR REPLACE INTO hold (id, scope, reason, by, at, resumed_by) \
                 VALUES (1, '{}', 'storm', 'ann', 0, ?1)",
                [resumed_by],
            )
            .unwrap();
        holds.digest(&db).unwrap()
    };
    let all = [put(None), put(Some("")), put(Some("bob"))];
    assert!(all[0] != all[1] && all[1] != all[2] && all[0] != all[2]);
}

#[test]
fn a_table_that_differs_in_shape_is_named() {
    let ((_a, source), (_b, target)) = (hub(), hub());
    raw(&target).execute_batch("ALTER TABLE hold ADD COLUMN colour TEXT").unwrap();
    let error = table(&source, "hold").require_same_columns(&source, &target).unwrap_err();
    assert!(matches!(&error, MigrateError::Shape { table, .. } if table == "hold"), "{error}");
    assert!(error.to_string().contains("colour"), "{error}");
}
