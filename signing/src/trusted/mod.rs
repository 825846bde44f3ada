//! The client workflow of TUF 1.0.34 §5 as a state machine without clock, file or network.
//!
//! `Roots → Timestamped → Snapshotted → Ready`: each state is made only by the one before, so a
//! step out of order does not compile. Bytes go in, a verified state or an [`Error`] comes out.

mod ready;
mod roots;
mod snapshotted;
mod timestamped;

pub use ready::Ready;
pub use roots::{MAX_SIGNED_AHEAD, Roots};
pub use snapshotted::Snapshotted;
pub use timestamped::Timestamped;

use crate::error::Error;
use crate::metadata::{Body, Document, Snapshot, TimestampMetadata};
use crate::names::{RoleName, TopRole};
use jiff::Timestamp;
use std::sync::Arc;

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
