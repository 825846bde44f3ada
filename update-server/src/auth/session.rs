//! People who are signed in with a browser.
//!
//! A session is 256 random bits in a cookie; the hub keeps their SHA-256, as for tokens. It ends
//! at its expiry, after a while without a request, or when somebody ends it.

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::{Access, Numbered, Scope, SecretTable};

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
pub type SessionTable = SecretTable<SessionRecord>;

impl Numbered for SessionRecord {
    fn number(&self) -> u64 {
        self.id
    }
}

impl SessionTable {
    /// The number of the one that was active longest ago.
    pub fn idlest(&self) -> Option<u64> {
        self.records().min_by_key(|s| (s.active_at, s.id)).map(|s| s.id)
    }
}
