//! When members of a quorum started and ended: the witness for tests that restart them.
//!
//! Written by the members themselves, so it says what happened and not what somebody ordered.

use std::path::Path;

use channels::names::UnitName;
use serde::{Deserialize, Serialize};

use super::MemberError;
use super::files::file_error;

/// The ledger's name in the shared directory; one JSON object per line.
pub(super) const LEDGER_FILE: &str = "ledger.jsonl";

/// One thing that happened to a member's process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerEntry {
    /// When, milliseconds since 1970.
    pub at_ms: i64,
    /// Whose process.
    pub unit: UnitName,
    /// Its process id.
    pub process: u32,
    /// The version it runs.
    pub version: String,
    /// What happened.
    pub event: LedgerEvent,
    /// Whether it led the quorum at that moment.
    pub led: bool,
}

/// What can happen to a member's process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LedgerEvent {
    /// It serves its page.
    Up,
    /// It was told to end. (A process that is killed enters nothing.)
    Down,
}

/// Reads the ledger of the quorum in `dir`, in the order it was written; empty if there is none.
pub fn read_ledger(dir: &Path) -> Result<Vec<LedgerEntry>, MemberError> {
    let path = dir.join(LEDGER_FILE);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(file_error("read", &path, source)),
    };
    text.lines()
        .map(|line| {
            serde_json::from_str(line).map_err(|_| MemberError::Damaged { path: path.clone() })
        })
        .collect()
}
