//! The directory members share. Every file is replaced as a whole, so readers never see half.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use channels::names::UnitName;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::MemberError;
use super::ledger::{LEDGER_FILE, LedgerEntry};
use super::rules::{Fetch, Lease};

/// Leases of old epochs kept before they are removed.
const LEASES_KEPT: u64 = 3;

/// How a member was started: enough to start it again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, serde::Deserialize)]
pub(super) struct StartCommand {
    pub(super) program: PathBuf,
    pub(super) arguments: Vec<String>,
    /// Where relative arguments are relative to.
    pub(super) directory: PathBuf,
}

/// The directory, as one writer sees it.
#[derive(Debug, Clone)]
pub(super) struct Files {
    dir: PathBuf,
    /// Distinguishes this writer's temporary files.
    writer: String,
}

impl Files {
    pub(super) fn open(dir: &Path, writer: &str) -> Result<Self, MemberError> {
        fs::create_dir_all(dir).map_err(|source| file_error("create", dir, source))?;
        Ok(Self { dir: dir.to_owned(), writer: writer.to_owned() })
    }

    pub(super) fn version(&self, unit: &UnitName) -> Result<String, MemberError> {
        let path = self.dir.join(format!("{unit}.version"));
        let text = fs::read_to_string(&path).map_err(|s| file_error("read", &path, s))?;
        Ok(text.trim().to_owned())
    }

    /// Gives a member its first version; one that it has is kept.
    pub(super) fn set_first_version(&self, unit: &UnitName, to: &str) -> Result<(), MemberError> {
        if self.dir.join(format!("{unit}.version")).exists() {
            return Ok(());
        }
        self.set_version(unit, to)
    }

    pub(super) fn set_version(&self, unit: &UnitName, version: &str) -> Result<(), MemberError> {
        self.replace(&format!("{unit}.version"), version.as_bytes())
    }

    pub(super) fn process(&self, unit: &UnitName) -> Result<String, MemberError> {
        let path = self.dir.join(format!("{unit}.process"));
        fs::read_to_string(&path).map_err(|source| file_error("read", &path, source))
    }

    pub(super) fn set_process(&self, unit: &UnitName, record: &str) -> Result<(), MemberError> {
        self.replace(&format!("{unit}.process"), record.as_bytes())
    }

    pub(super) fn command(&self, unit: &UnitName) -> Result<StartCommand, MemberError> {
        let name = format!("{unit}.command");
        let damaged = || MemberError::Damaged { path: self.dir.join(&name) };
        self.read_json(&name)?.ok_or_else(damaged)
    }

    pub(super) fn set_command(
        &self,
        unit: &UnitName,
        command: &StartCommand,
    ) -> Result<(), MemberError> {
        self.write_json(&format!("{unit}.command"), command)
    }

    pub(super) fn log_file(&self, unit: &UnitName) -> PathBuf {
        self.dir.join(format!("{unit}.log"))
    }

    pub(super) fn fetch(&self, id: u32) -> Result<Option<Fetch>, MemberError> {
        self.read_json(&format!("fetch-{id}"))
    }

    pub(super) fn set_fetch(&self, id: u32, fetch: &Fetch) -> Result<(), MemberError> {
        self.write_json(&format!("fetch-{id}"), fetch)
    }

    /// The signs of life of all voters but one.
    pub(super) fn others(&self, me: u32, voters: u32) -> Result<BTreeMap<u32, Fetch>, MemberError> {
        let mut others = BTreeMap::new();
        for id in (1..=voters).filter(|id| *id != me) {
            if let Some(fetch) = self.fetch(id)? {
                others.insert(id, fetch);
            }
        }
        Ok(others)
    }

    /// The lease of the newest epoch.
    pub(super) fn lease(&self) -> Result<Option<Lease>, MemberError> {
        match self.epochs()?.last() {
            Some(epoch) => self.read_json(&lease_name(*epoch)),
            None => Ok(None),
        }
    }

    pub(super) fn renew(&self, lease: &Lease) -> Result<(), MemberError> {
        self.write_json(&lease_name(lease.epoch), lease)
    }

    /// Makes a lease; false if its epoch has one. A link appears with its whole content or not.
    pub(super) fn claim(&self, lease: &Lease) -> Result<bool, MemberError> {
        let draft = format!("draft-{}", self.writer);
        self.write_json(&draft, lease)?;
        let path = self.dir.join(lease_name(lease.epoch));
        match fs::hard_link(self.dir.join(&draft), &path) {
            Ok(()) => {
                for old in self.epochs()?.into_iter().filter(|e| e + LEASES_KEPT < lease.epoch) {
                    // Nobody reads it any more; the next leader tries again.
                    let _ = fs::remove_file(self.dir.join(lease_name(old)));
                }
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(source) => Err(file_error("create", &path, source)),
        }
    }

    /// Appends a line to the ledger; lines this short are never torn.
    pub(super) fn enter(&self, entry: &LedgerEntry) -> Result<(), MemberError> {
        let path = self.dir.join(LEDGER_FILE);
        let damaged = |_| MemberError::Damaged { path: path.clone() };
        let mut line = serde_json::to_vec(entry).map_err(damaged)?;
        line.push(b'\n');
        fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&path)
            .and_then(|mut file| file.write_all(&line))
            .map_err(|source| file_error("write", &path, source))
    }

    fn epochs(&self) -> Result<Vec<u64>, MemberError> {
        let read = |source| file_error("read", &self.dir, source);
        let mut epochs: Vec<u64> = fs::read_dir(&self.dir)
            .map_err(read)?
            .filter_map(Result::ok)
            .filter_map(|e| e.file_name().to_str()?.strip_prefix("lease-")?.parse().ok())
            .collect();
        epochs.sort_unstable();
        Ok(epochs)
    }

    fn read_json<V: DeserializeOwned>(&self, name: &str) -> Result<Option<V>, MemberError> {
        let path = self.dir.join(name);
        match fs::read(&path) {
            Ok(bytes) => {
                serde_json::from_slice(&bytes).map(Some).map_err(|_| MemberError::Damaged { path })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(file_error("read", &path, source)),
        }
    }

    fn write_json(&self, name: &str, value: &impl Serialize) -> Result<(), MemberError> {
        let damaged = |_| MemberError::Damaged { path: self.dir.join(name) };
        let bytes = serde_json::to_vec(value).map_err(damaged)?;
        self.replace(name, &bytes)
    }

    fn replace(&self, name: &str, bytes: &[u8]) -> Result<(), MemberError> {
        let new = self.dir.join(format!("new-{}-{name}", self.writer));
        fs::write(&new, bytes).map_err(|source| file_error("write", &new, source))?;
        let path = self.dir.join(name);
        fs::rename(&new, &path).map_err(|source| file_error("write", &path, source))
    }
}

fn lease_name(epoch: u64) -> String {
    format!("lease-{epoch}")
}

pub(super) fn file_error(action: &'static str, path: &Path, source: io::Error) -> MemberError {
    MemberError::File { action, path: path.to_owned(), source }
}
