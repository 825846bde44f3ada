//! The client workflow of TUF 1.0.34 §5 as a state machine without clock, file or network.
//!
//! `Roots → Timestamped → Snapshotted → Ready`: each state is made only by the one before, so a
//! step out of order does not compile. Bytes go in, a verified state or an [`Error`] comes out.

use crate::error::Error;
use crate::metadata::{
    Body, DelegatedRole, Document, KeySet, MetaFile, Root, Snapshot, Targets, TimestampMetadata,
};
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

/// What was trusted before: nothing older is accepted. Floors come from local copies whose
/// signatures still verify under the current root, expired or not.
#[derive(Debug, Clone, Default)]
pub struct Floors {
    timestamp: Option<Arc<Document<TimestampMetadata>>>,
    snapshot: Option<Arc<Document<Snapshot>>>,
}

impl Floors {
    /// The time to check expiry against: a clock behind the last signed time is wrong.
    pub fn effective(&self, now: Timestamp) -> Timestamp {
        let signed_at = self.timestamp.as_ref().and_then(|timestamp| timestamp.body.signed_at);
        signed_at.map_or(now, |signed_at| now.max(signed_at))
    }

    /// The trusted timestamp.
    pub fn timestamp(&self) -> Option<&Document<TimestampMetadata>> {
        self.timestamp.as_deref()
    }

    /// The trusted snapshot.
    pub fn snapshot(&self) -> Option<&Document<Snapshot>> {
        self.snapshot.as_deref()
    }

    /// Lowest snapshot version a new timestamp may name.
    fn snapshot_version(&self) -> u64 {
        let pinned = self.timestamp.as_ref().map(|timestamp| timestamp.body.snapshot().version);
        let seen = self.snapshot.as_ref().map(|snapshot| snapshot.body.version);
        pinned.max(seen).unwrap_or(0)
    }
}

fn top(role: TopRole) -> RoleName {
    role.into()
}

fn no_lower(role: TopRole, found: u64, floor: u64) -> Result<(), Error> {
    if found >= floor { Ok(()) } else { Err(Error::Rollback { role: role.into(), found, floor }) }
}

fn exactly<T: Body>(document: &Document<T>, expected: u64) -> Result<(), Error> {
    let found = document.body.version();
    if found == expected {
        return Ok(());
    }
    Err(Error::Version { role: document.role().clone(), found, expected })
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

    fn signed<T: Body>(&self, role: TopRole, bytes: &[u8]) -> Result<Arc<Document<T>>, Error> {
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
}

/// A trusted timestamp; the snapshot is next.
#[derive(Debug, Clone)]
pub struct Timestamped {
    roots: Roots,
    timestamp: Arc<Document<TimestampMetadata>>,
    /// The update's one time (§5.1), with the floor applied.
    now: Timestamp,
}

impl Timestamped {
    /// The pin of the snapshot.
    pub fn pin(&self) -> &MetaFile {
        self.timestamp.body.snapshot()
    }

    /// The name of the snapshot file.
    pub fn file(&self) -> FileName {
        self.roots.metadata_file(&top(TopRole::Snapshot), self.pin().version)
    }

    /// The bytes of the timestamp, to be kept.
    pub fn raw(&self) -> &[u8] {
        self.timestamp.raw()
    }

    /// Whether this timestamp is the one `floors` already holds.
    pub fn is_in(&self, floors: &Floors) -> bool {
        floors.timestamp.as_ref().is_some_and(|kept| Arc::ptr_eq(kept, &self.timestamp))
    }

    /// Raises the floors to this timestamp.
    pub fn raise(&self, floors: &mut Floors) {
        floors.timestamp = Some(self.timestamp.clone());
    }

    /// Takes the snapshot (§5.5).
    pub fn snapshot(&self, bytes: &[u8], floors: &Floors) -> Result<Snapshotted, Error> {
        // §5.5.2: the bytes the timestamp pins.
        self.pin().check(&self.file(), bytes)?;
        // §5.5.3: signatures.
        let snapshot = self.roots.signed::<Snapshot>(TopRole::Snapshot, bytes)?;
        // §5.5.4: the version the timestamp pins.
        exactly(&snapshot, self.pin().version)?;
        // §5.5.5: no targets role goes back or vanishes.
        if let Some(trusted) = &floors.snapshot {
            not_rolled_back(&trusted.body, &snapshot.body)?;
        }
        // §5.5.6: expiry.
        snapshot.check_expiry(self.now)?;
        Ok(Snapshotted { before: self.clone(), snapshot })
    }
}

fn not_rolled_back(trusted: &Snapshot, new: &Snapshot) -> Result<(), Error> {
    for (file, pin) in &trusted.meta {
        let role = || {
            let name = file.strip_suffix(".json").unwrap_or(file);
            RoleName::new(name).unwrap_or(top(TopRole::Targets))
        };
        let Some(found) = new.meta.get(file) else {
            return Err(Error::RoleRemoved { role: role() });
        };
        if found.version < pin.version {
            let (found, floor) = (found.version, pin.version);
            return Err(Error::Rollback { role: role(), found, floor });
        }
    }
    Ok(())
}

/// A trusted snapshot; the top-level targets are next.
#[derive(Debug, Clone)]
pub struct Snapshotted {
    before: Timestamped,
    snapshot: Arc<Document<Snapshot>>,
}

impl Snapshotted {
    /// The pin of the top-level targets.
    pub fn pin(&self) -> Result<&MetaFile, Error> {
        let role = top(TopRole::Targets);
        self.snapshot.body.pin(&role).ok_or(Error::RoleRemoved { role })
    }

    /// The name of the top-level targets file.
    pub fn file(&self) -> Result<FileName, Error> {
        Ok(self.before.roots.metadata_file(&top(TopRole::Targets), self.pin()?.version))
    }

    /// The bytes of the snapshot, to be kept.
    pub fn raw(&self) -> &[u8] {
        self.snapshot.raw()
    }

    /// Raises the floors to this snapshot.
    pub fn raise(&self, floors: &mut Floors) {
        floors.snapshot = Some(self.snapshot.clone());
    }

    /// Takes the top-level targets (§5.6).
    pub fn targets(&self, bytes: &[u8]) -> Result<Ready, Error> {
        // §5.6.2: the bytes the snapshot pins, as far as it pins bytes.
        let pin = self.pin()?;
        pin.check(&self.file()?, bytes)?;
        // §5.6.3: signatures. §5.6.4: version. §5.6.5: expiry.
        let targets = self.before.roots.signed::<Targets>(TopRole::Targets, bytes)?;
        exactly(&targets, pin.version)?;
        targets.check_expiry(self.before.now)?;
        Ok(Ready { before: self.clone(), targets })
    }
}

/// Everything that a lookup needs is trusted.
#[derive(Debug, Clone)]
pub struct Ready {
    before: Snapshotted,
    targets: Arc<Document<Targets>>,
}

impl Ready {
    /// The top-level targets.
    pub fn targets(&self) -> &Arc<Document<Targets>> {
        &self.targets
    }

    /// The root this state was built on.
    pub fn roots(&self) -> &Roots {
        &self.before.before.roots
    }

    /// The timestamp this state was built on.
    pub fn timestamp(&self) -> &Document<TimestampMetadata> {
        &self.before.before.timestamp
    }

    /// The snapshot this state was built on.
    pub fn snapshot(&self) -> &Document<Snapshot> {
        &self.before.snapshot
    }

    /// The pin of a delegated role; none means that the role does not exist.
    pub fn pin(&self, role: &RoleName) -> Option<&MetaFile> {
        self.snapshot().body.pin(role)
    }

    /// The time to check expiry against: never before the time this state was signed.
    pub fn effective(&self, now: Timestamp) -> Timestamp {
        self.timestamp().body.signed_at.map_or(now, |signed_at| now.max(signed_at))
    }

    /// Re-checks every expiry. A state that was good once is not good for ever, and neither a
    /// 304 nor a version that did not change says anything about it.
    pub fn check_fresh(&self, now: Timestamp) -> Result<(), Error> {
        let now = self.effective(now);
        self.roots().check_expiry(now)?;
        self.timestamp().check_expiry(now)?;
        self.snapshot().check_expiry(now)?;
        self.targets.check_expiry(now)
    }

    /// The earliest expiry of the top-level roles.
    pub fn expires(&self) -> Timestamp {
        let of_targets = self.targets.body.expires;
        let online = self.timestamp().body.expires.min(self.snapshot().body.expires);
        self.roots().expires().min(online).min(of_targets)
    }

    /// Takes a delegated role on the edge `delegator → role` (§5.6.7.2). The keys are those of
    /// *this* edge: what another delegator accepted says nothing here.
    pub fn delegated(
        &self,
        edge: &DelegatedRole,
        bytes: &[u8],
        now: Timestamp,
    ) -> Result<Document<Targets>, Error> {
        let pin =
            self.pin(&edge.name).ok_or_else(|| Error::UnknownRole { role: edge.name.clone() })?;
        pin.check(&self.roots().metadata_file(&edge.name, pin.version), bytes)?;
        let targets = Document::<Targets>::parse(&edge.name, bytes)?;
        targets.verify(&edge.keys)?;
        exactly(&targets, pin.version)?;
        targets.check_expiry(self.effective(now))?;
        Ok(targets)
    }
}

impl Roots {
    /// The file of a role's version (§6.2).
    pub fn metadata_file(&self, role: &RoleName, version: u64) -> FileName {
        let version = self.consistent_snapshot().then_some(version);
        FileName::Metadata { role: role.clone(), version }
    }
}
