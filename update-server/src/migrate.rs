//! A hub moves: from a data directory to a database that replicas share, or back. The repository moves
//! with it; private keys never do, they are files on both sides.
//!
//! Blocking; no runtime is needed.

use std::path::PathBuf;
use std::str::FromStr;

use jiff::Timestamp;
use signing::Sha256Digest;

use crate::publish::{self, PublishError};
use crate::server::{DataDir, RunError};
use crate::store::{
    AddressError, DATABASE_FILE, MigrateError, Migration, Server, SharedRepository,
};

/// Where a hub is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// All in a data directory.
    Directory(PathBuf),
    /// In a database.
    Database(Server),
}

impl FromStr for Place {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        match text.strip_prefix("sqlite:") {
            Some(dir) => Ok(Self::Directory(PathBuf::from(dir))),
            None => text.parse().map(Self::Database),
        }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Directory(dir) => write!(f, "sqlite:{}", dir.display()),
            Self::Database(server) => server.fmt(f),
        }
    }
}

/// A hub that does not move.
#[derive(Debug, thiserror::Error)]
pub enum MoveError {
    /// Both sides are of one kind.
    #[error("one of the two must be sqlite:DIR and the other postgres://…")]
    SameKind,
    /// No hub there.
    #[error("{} holds no hub", path.display())]
    NoHub {
        /// The directory.
        path: PathBuf,
    },
    /// The data directory is in use or cannot be used.
    #[error("failed to take the data directory")]
    DataDir(#[from] RunError),
    /// The database's tables.
    #[error(transparent)]
    Tables(#[from] MigrateError),
    /// The repository.
    #[error("failed to move the repository")]
    Repository(#[from] PublishError),
}

/// One line of what moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    /// A table's name, or what else it is.
    pub what: String,
    /// Rows, or files.
    pub count: u64,
    /// SHA-256 over all of it, the same on both sides.
    pub digest: Sha256Digest,
}

/// Moves a hub that is stopped. The source stays as it was. Run again after an interruption, it goes
/// on where it was. `tell` hears how far each table is.
///
/// # Errors
/// Either side cannot be used, is in use, holds something else, or differs in the end.
pub fn migrate(
    from: &Place,
    to: &Place,
    now: Timestamp,
    tell: impl FnMut(&str, u64),
) -> Result<Vec<Moved>, MoveError> {
    match (from, to) {
        (Place::Directory(dir), Place::Database(server)) => {
            if !dir.join(DATABASE_FILE).is_file() {
                return Err(MoveError::NoHub { path: dir.clone() });
            }
            let _lock = DataDir::open(dir)?;
            let migration = Migration::to_database(dir, server)?;
            let mut moved = rows(&migration, tell)?;
            let shared = SharedRepository::new(server.clone());
            moved.push(files(publish::files_to_rows(dir, &shared, now)?));
            migration.finish()?;
            Ok(moved)
        }
        (Place::Database(server), Place::Directory(dir)) => {
            let _lock = DataDir::open(dir)?;
            let migration = Migration::to_directory(server, dir)?;
            let mut moved = rows(&migration, tell)?;
            let shared = SharedRepository::new(server.clone());
            moved.push(files(publish::rows_to_files(&shared, dir)?));
            migration.finish()?;
            Ok(moved)
        }
        _ => Err(MoveError::SameKind),
    }
}

fn rows(migration: &Migration, tell: impl FnMut(&str, u64)) -> Result<Vec<Moved>, MigrateError> {
    let tables = migration.run(tell)?.into_iter();
    Ok(tables
        .map(|table| Moved { what: table.name, count: table.rows, digest: table.digest })
        .collect())
}

fn files(moved: publish::MovedFiles) -> Moved {
    Moved { what: "repository (files)".to_owned(), count: moved.files, digest: moved.digest }
}

/// What moved, for people: one line each.
pub fn table(moved: &[Moved]) -> String {
    let width = moved.iter().map(|one| one.what.len()).max().unwrap_or(0).max("table".len());
    let mut lines = vec![format!("{:width$}  {:>12}  sha256\n", "table", "rows")];
    lines.extend(moved.iter().map(|Moved { what, count, digest }| {
        format!("{what:width$}  {count:>12}  {}\n", digest.hex())
    }));
    lines.concat()
}

/// What a person does next.
pub fn next(from: &Place, to: &Place) -> String {
    match to {
        Place::Directory(dir) => format!(
            "start the hub with data_dir = \"{}\" and no `database`, and with the keys of a replica in \
             its keys folder; {from} stays as it was: nothing may serve it any more",
            dir.display()
        ),
        Place::Database(_) => format!(
            "start the hub with database = \"{to}\" and the same data directory; {DATABASE_FILE} in {from} stays \
             as it was: nothing may serve it any more"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_moved_is_a_table_that_people_and_scripts_read() {
        let moved = |what: &str, count| Moved {
            what: what.to_owned(),
            count,
            digest: Sha256Digest::of(what.as_bytes()),
        };
        let text = table(&[
            moved("audit", 12),
            moved("cluster", 1_000_000),
            moved("repository (files)", 9),
        ]);
        let expected = "\
table                       rows  sha256
audit                         12  b81f37a043a6f767e7c94d105f4bd31282f3ecc20680bb9d09bd93461cf4c863
cluster                  1000000  164cf1ca8391532e4f239c556c0c19589ae8877cb25ecfaf0b310c6c3713ba1f
repository (files)             9  e102913c535d67268a42b798f5cd7b0379bfb3fc9cd19f823bdddb2df9bb7654
";
        assert_eq!(text, expected);
    }

    #[test]
    fn one_side_is_a_directory_and_the_other_a_database() {
        let here: Place = "sqlite:/var/lib/fairway".parse().unwrap();
        assert_eq!(here.to_string(), "sqlite:/var/lib/fairway");
        assert!("mysql://x/y".parse::<Place>().is_err());
        let moved = migrate(&here, &here, Timestamp::UNIX_EPOCH, |_, _| {});
        assert!(matches!(moved, Err(MoveError::SameKind)));
    }

    #[test]
    fn a_directory_without_a_hub_is_not_moved() {
        let dir = tempfile::tempdir().unwrap();
        let from = Place::Directory(dir.path().to_owned());
        let to: Place = "postgres://localhost/none".parse().unwrap();
        let moved = migrate(&from, &to, Timestamp::UNIX_EPOCH, |_, _| {});
        assert!(matches!(moved, Err(MoveError::NoHub { .. })));
    }
}
