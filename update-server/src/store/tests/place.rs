//! Where a test's hub keeps everything: a directory, or a database of its own on a server.

use super::super::db::{Database, Db};
use super::super::{DATABASE_FILE, schema};

/// A server on which tests that ask for it make databases.
const SERVER: &str = "FAIRWAY_POSTGRES";
/// Set for a run of the store's tests that is to be on such a server.
const ON_SERVER: &str = "FAIRWAY_STORE_TESTS_ON_POSTGRES";

pub(crate) struct Place {
    /// Kept until the end.
    _dir: tempfile::TempDir,
    pub(crate) database: Database,
    made: Option<String>,
}

impl Place {
    /// A file, or what this run of the tests asks for.
    pub(crate) fn new() -> Self {
        if std::env::var_os(ON_SERVER).is_some() {
            return Self::on_server();
        }
        let dir = tempfile::tempdir().unwrap();
        let database = Database::from(dir.path());
        Self { _dir: dir, database, made: None }
    }

    /// A new database on the server.
    pub(crate) fn on_server() -> Self {
        let name = format!("t_{}", uuid::Uuid::new_v4().simple());
        admin().execute_batch(&format!("CREATE DATABASE {name}")).unwrap();
        let database = Database::Server(url(&name).parse().unwrap());
        let dir = tempfile::tempdir().unwrap();
        Self { _dir: dir, database, made: Some(name) }
    }

    pub(crate) fn is_server(&self) -> bool {
        self.made.is_some()
    }

    /// A connection that may do anything, as somebody who tampers has one.
    pub(crate) fn connection(&self) -> Db {
        match &self.database {
            Database::Directory(dir) => {
                rusqlite::Connection::open(dir.join(DATABASE_FILE)).unwrap().into()
            }
            Database::Server(_) => schema::open_for_reading(&self.database).unwrap(),
        }
    }

    /// Ends every connection to it, as a server that restarts does.
    pub(crate) fn cut(&self) {
        let name = self.made.as_deref().unwrap();
        let sql = "SELECT count(pg_terminate_backend(pid)) FROM \
                   (SELECT pid FROM pg_stat_activity WHERE datname = ?1 OFFSET 0) AS its";
        let ended: i64 = admin().row(sql, &[&name], |row| row.get(0)).unwrap();
        assert!(ended > 0);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(name) = &self.made {
            admin().execute_batch(&format!("DROP DATABASE {name} WITH (FORCE)")).unwrap();
        }
    }
}

fn admin() -> Db {
    let url = std::env::var(SERVER).unwrap();
    schema::open_for_reading(&Database::Server(url.parse().unwrap())).unwrap()
}

/// The server's URL with this database in place of its own.
fn url(database: &str) -> String {
    let url = std::env::var(SERVER).unwrap();
    let (place, query) = url.split_once('?').unwrap_or((&url, ""));
    let (server, _) = place.rsplit_once('/').unwrap();
    format!("{server}/{database}?{query}")
}

/// The tests of the store that make a hub, once more over a server.
#[test]
#[ignore = "needs PostgreSQL: FAIRWAY_POSTGRES=postgres://…"]
fn the_store_keeps_its_promises_over_postgresql() {
    let url = std::env::var(SERVER).unwrap();
    let run = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["store::", "--test-threads", "4"])
        .args(["--skip", "schema::", "--skip", "audit::tests"])
        .env(ON_SERVER, "1")
        .env(SERVER, url)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success(), "{said}");
    assert!(said.contains("a_failed_commit_acknowledges_nobody_and_leaves_memory"), "{said}");
}
