//! People who are signed in with a browser.
//!
//! A session is 256 random bits in a cookie; the hub keeps their SHA-256, as for tokens. It ends
//! at its expiry, after a while without a request, or when somebody ends it.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use signing::Sha256Digest;

use super::{Access, Scope};

/// Sessions at a time: people of one organisation, with a few browsers each. The one that was
/// active longest ago makes room.
pub const SESSIONS_MAX: usize = 10_000;

/// One session as the hub keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SessionRecord {
    /// Its number.
    pub id: u64,
    /// Who it is; the actor of audit rows.
    pub name: String,
    /// What they may do.
    pub access: Access,
    /// For which clusters.
    #[serde(rename = "selector", skip_serializing_if = "Scope::is_whole")]
    pub scope: Scope,
    /// When they signed in.
    pub created_at: Timestamp,
    /// When it ends at the latest.
    pub expires_at: Timestamp,
    /// About when it was last used.
    pub active_at: Timestamp,
}

impl SessionRecord {
    /// Whether it is over at `now`, if its last request was at `last`.
    pub fn is_over(&self, last: Timestamp, idle: SignedDuration, now: Timestamp) -> bool {
        now >= self.expires_at || now.duration_since(last.max(self.active_at)) >= idle
    }
}

/// All sessions, by hash.
#[derive(Debug, Clone, Default)]
pub struct SessionTable {
    by_digest: BTreeMap<Sha256Digest, SessionRecord>,
}

impl SessionTable {
    /// The session whose secret hashes to `digest`.
    pub fn find(&self, digest: &Sha256Digest) -> Option<&SessionRecord> {
        self.by_digest.get(digest)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_digest.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.by_digest.is_empty()
    }

    /// Adds one.
    pub fn insert(&mut self, digest: Sha256Digest, record: SessionRecord) {
        self.by_digest.insert(digest, record);
    }

    /// Changes the one of this number.
    pub fn change(&mut self, id: u64, change: impl FnOnce(&mut SessionRecord)) {
        if let Some(record) = self.by_digest.values_mut().find(|record| record.id == id) {
            change(record);
        }
    }

    /// Takes one away.
    pub fn remove(&mut self, id: u64) -> Option<SessionRecord> {
        let digest = self.by_digest.iter().find(|(_, s)| s.id == id).map(|(d, _)| *d)?;
        self.by_digest.remove(&digest)
    }

    /// The number of the one that was active longest ago.
    pub fn idlest(&self) -> Option<u64> {
        self.by_digest.values().min_by_key(|s| (s.active_at, s.id)).map(|s| s.id)
    }

    /// All, by number.
    pub fn list(&self) -> Vec<SessionRecord> {
        let mut all: Vec<SessionRecord> = self.by_digest.values().cloned().collect();
        all.sort_by_key(|s| s.id);
        all
    }
}
