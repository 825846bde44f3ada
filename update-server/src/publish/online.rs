//! The two roles the hub signs itself: when they are due, and what is known of the last ones.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use signing::metadata::{Body as _, Document, Snapshot, TimestampMetadata};
use signing::repository::{SNAPSHOT_LIFETIME, TIMESTAMP_LIFETIME};
use signing::{FileName, StagedRepository, TopRole, Versions};

use super::error::PublishError;

/// How far ahead of the clock a signature may be before it is replaced: a clock that is kept in
/// step goes back by seconds.
const CLOCK_STEP: SignedDuration = SignedDuration::from_mins(1);

/// A signed snapshot and the timestamp over it.
#[derive(Debug, Clone)]
pub(super) struct Online {
    pub(super) snapshot: Signed,
    pub(super) timestamp: Signed,
    /// The signer's clock at the last timestamp.
    pub(super) signed_at: Timestamp,
}

/// One of the two files.
#[derive(Debug, Clone)]
pub(super) struct Signed {
    pub(super) version: u64,
    pub(super) expires: Timestamp,
    pub(super) bytes: Arc<[u8]>,
}

/// What has to be signed again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    /// Both are young enough.
    Nothing,
    /// The timestamp alone, so that clients fetch nothing else.
    Timestamp,
    /// Both.
    Snapshot,
}

impl Online {
    /// Reads the newest snapshot and the timestamp of a staged repository.
    pub(super) fn of(staged: &StagedRepository) -> Result<Self, PublishError> {
        let missing = |what: &str| PublishError::Damaged { what: format!("no {what}") };
        let (_, snapshot) =
            staged.newest(&TopRole::Snapshot.into()).ok_or_else(|| missing("snapshot"))?;
        let timestamp =
            staged.get(&FileName::timestamp()).ok_or_else(|| missing("timestamp.json"))?;
        Self::read(snapshot.clone(), timestamp.clone())
    }

    /// Reads the two files.
    pub(super) fn read(snapshot: Arc<[u8]>, timestamp: Arc<[u8]>) -> Result<Self, PublishError> {
        let parsed = parse_timestamp(&timestamp)?;
        // Repositories of others do not say when they signed; ours always do.
        let signed_at = parsed.body.signed_at.unwrap_or(Timestamp::UNIX_EPOCH);
        let (version, expires) = (parsed.body.version(), parsed.body.expires());
        let timestamp = Signed { version, expires, bytes: timestamp };
        let parsed = parse_snapshot(&snapshot)?;
        let (version, expires) = (parsed.body.version(), parsed.body.expires());
        let snapshot = Signed { version, expires, bytes: snapshot };
        Ok(Self { snapshot, timestamp, signed_at })
    }

    /// The versions that the next ones must exceed.
    pub(super) fn versions(&self) -> Versions {
        let (snapshot, timestamp) = (self.snapshot.version, self.timestamp.version);
        Versions { snapshot, timestamp, ..Versions::default() }
    }

    /// Whether a third of either life is over (two more attempts fit before it ends), or either
    /// was signed by a clock that ran ahead: its end then says nothing, and clients whose clocks
    /// are right refuse it.
    pub(super) fn due(&self, now: Timestamp) -> Due {
        let ahead = self.signed_at.duration_since(now) > CLOCK_STEP
            || self.snapshot.expires.duration_since(now) > SNAPSHOT_LIFETIME + CLOCK_STEP;
        if ahead || is_due(&self.snapshot, SNAPSHOT_LIFETIME, now) {
            Due::Snapshot
        } else if is_due(&self.timestamp, TIMESTAMP_LIFETIME, now) {
            Due::Timestamp
        } else {
            Due::Nothing
        }
    }
}

fn is_due(signed: &Signed, lifetime: SignedDuration, now: Timestamp) -> bool {
    signed.expires.duration_since(now) <= lifetime * 2 / 3
}

/// Parses `timestamp.json`.
pub(super) fn parse_timestamp(bytes: &[u8]) -> Result<Document<TimestampMetadata>, PublishError> {
    Document::parse(&TopRole::Timestamp.into(), bytes)
        .map_err(|error| PublishError::Damaged { what: format!("timestamp.json: {error}") })
}

/// Parses a snapshot.
pub(super) fn parse_snapshot(bytes: &[u8]) -> Result<Document<Snapshot>, PublishError> {
    Document::parse(&TopRole::Snapshot.into(), bytes)
        .map_err(|error| PublishError::Damaged { what: format!("snapshot: {error}") })
}
