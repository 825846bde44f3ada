//! The root chain and the timestamp step (TUF 1.0.34 §5.3, §5.4).

use super::{Floors, Timestamped, exactly, no_lower, top};
use crate::error::Error;
use crate::metadata::{Body, Document, KeySet, Root, TimestampMetadata};
use crate::names::{FileName, RoleName, TopRole};
use jiff::{SignedDuration, Timestamp};
use std::sync::Arc;

/// How far a timestamp's signed time may be ahead of the local clock. A larger jump would let a
/// thief of the timestamp key expire everything at once.
pub const MAX_SIGNED_AHEAD: SignedDuration = SignedDuration::from_hours(30 * 24);

/// The newest trusted root.
#[derive(Debug, Clone)]
pub struct Roots {
    root: Arc<Document<Root>>,
}

impl Roots {
    /// Starts from the root that came with the software (§5.2). It must carry the signatures it
    /// asks for itself, so that a damaged copy is noticed.
    pub fn pinned(bytes: &[u8]) -> Result<Self, Error> {
        let root = Document::<Root>::parse(&top(TopRole::Root), bytes)?;
        root.verify(root.body.keys(TopRole::Root))?;
        Ok(Self { root: Arc::new(root) })
    }

    /// One step of the chain (§5.3.4, §5.3.5): signed by the thresholds of the old and of the new
    /// root, version exactly one higher. Expiry does not matter on the way.
    pub fn next(&self, bytes: &[u8]) -> Result<Self, Error> {
        let role = top(TopRole::Root);
        let root = Document::<Root>::parse(&role, bytes)?;
        root.verify(self.keys(TopRole::Root))?;
        root.verify(root.body.keys(TopRole::Root))?;
        let expected = self.next_version()?;
        let found = root.body.version;
        no_lower(TopRole::Root, found, expected)?;
        exactly(&root, expected)?;
        Ok(Self { root: Arc::new(root) })
    }

    /// The version the next root must have (§5.3.3).
    pub fn next_version(&self) -> Result<u64, Error> {
        self.version().checked_add(1).ok_or_else(|| Error::Malformed {
            role: top(TopRole::Root),
            reason: "version cannot grow any further".to_owned(),
        })
    }

    /// Version of this root.
    pub fn version(&self) -> u64 {
        self.root.body.version
    }

    /// When this root expires.
    pub fn expires(&self) -> Timestamp {
        self.root.body.expires
    }

    /// Whether file names carry versions and hashes (§5.3.11, §6.2).
    pub fn consistent_snapshot(&self) -> bool {
        self.root.body.consistent_snapshot
    }

    /// Who may sign for a top-level role.
    pub fn keys(&self, role: TopRole) -> &KeySet {
        self.root.body.keys(role)
    }

    /// Whether a timestamp or snapshot key of `before` is gone (§5.3.11): then both floors are
    /// dropped, which is how a repository recovers from versions that were run up to the limit.
    pub fn rotated_since(&self, before: &Self) -> bool {
        [TopRole::Timestamp, TopRole::Snapshot]
            .into_iter()
            .any(|role| self.keys(role).lost_a_key_since(before.keys(role)))
    }

    /// Takes local copies as floors, as far as they verify under this root (§5.3.11). A copy
    /// that does not is as good as none; expiry does not matter for a floor.
    pub fn floors(&self, timestamp: Option<&[u8]>, snapshot: Option<&[u8]>) -> Floors {
        Floors {
            timestamp: timestamp.and_then(|bytes| self.signed(TopRole::Timestamp, bytes).ok()),
            snapshot: snapshot.and_then(|bytes| self.signed(TopRole::Snapshot, bytes).ok()),
        }
    }

    pub(super) fn signed<T: Body>(
        &self,
        role: TopRole,
        bytes: &[u8],
    ) -> Result<Arc<Document<T>>, Error> {
        let document = Document::<T>::parse(&top(role), bytes)?;
        document.verify(self.keys(role))?;
        Ok(Arc::new(document))
    }

    /// Ends the root step (§5.3.10): the newest root must not have expired.
    pub fn check_expiry(&self, now: Timestamp) -> Result<(), Error> {
        self.root.check_expiry(now)
    }

    /// Takes a timestamp (§5.4). An equal version leaves the trusted one in place (§5.4.3.1).
    pub fn timestamp(
        &self,
        bytes: &[u8],
        floors: &Floors,
        now: Timestamp,
    ) -> Result<Timestamped, Error> {
        let effective = floors.effective(now);
        self.check_expiry(effective)?;
        // §5.4.2: signatures.
        let mut timestamp = self.signed::<TimestampMetadata>(TopRole::Timestamp, bytes)?;
        // §5.4.3: neither its version nor the snapshot's may go back.
        if let Some(trusted) = &floors.timestamp {
            no_lower(TopRole::Timestamp, timestamp.body.version, trusted.body.version)?;
            if timestamp.body.version == trusted.body.version {
                timestamp = trusted.clone();
            }
        }
        let snapshot = timestamp.body.snapshot().version;
        no_lower(TopRole::Snapshot, snapshot, floors.snapshot_version())?;
        let now = Self::signed_time(&timestamp, floors, now)?;
        // §5.4.4: expiry, also of one that was kept.
        self.check_expiry(now)?;
        timestamp.check_expiry(now)?;
        Ok(Timestamped { roots: self.clone(), timestamp, now })
    }

    /// The time floor after `timestamp`: its signed time counts unless it is absurdly far ahead
    /// of the local clock. One that was accepted earlier stays accepted when the clock falls
    /// back.
    fn signed_time(
        timestamp: &Arc<Document<TimestampMetadata>>,
        floors: &Floors,
        now: Timestamp,
    ) -> Result<Timestamp, Error> {
        let effective = floors.effective(now);
        let Some(signed_at) = timestamp.body.signed_at else { return Ok(effective) };
        let kept = floors.timestamp.as_ref().is_some_and(|trusted| Arc::ptr_eq(trusted, timestamp));
        if !kept && signed_at.duration_since(now) > MAX_SIGNED_AHEAD {
            return Err(Error::SignedInFuture { signed_at, now });
        }
        Ok(effective.max(signed_at))
    }

    /// The file of a role's version (§6.2).
    pub fn metadata_file(&self, role: &RoleName, version: u64) -> FileName {
        let version = self.consistent_snapshot().then_some(version);
        FileName::Metadata { role: role.clone(), version }
    }
}
