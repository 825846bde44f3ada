//! After the top-level targets: delegated roles (TUF 1.0.34 §5.6.7), and freshness at every use.

use super::{Roots, Snapshotted, exactly};
use crate::error::Error;
use crate::metadata::{DelegatedRole, Document, MetaFile, Snapshot, Targets, TimestampMetadata};
use crate::names::RoleName;
use jiff::Timestamp;
use std::sync::Arc;

/// Everything that a lookup needs is trusted.
#[derive(Debug, Clone)]
pub struct Ready {
    pub(super) before: Snapshotted,
    pub(super) targets: Arc<Document<Targets>>,
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
