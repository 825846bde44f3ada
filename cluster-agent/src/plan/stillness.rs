//! Whether each controller's page still moves.
//!
//! An exporter that keeps serving one old page looks calm: every lag that is computed from it is
//! zero. The leader appends twice a second even on an idle cluster, so the log end offset of every
//! voter must move all the time; one that stands still is a page from the past or a voter that is.

use std::collections::BTreeMap;

use channels::wire::Role;
use jiff::Timestamp;

use crate::observation::{Observation, UnitKey};
use crate::phase::elapsed_ms;

/// When each voter's log end offset last moved.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stillness {
    voters: BTreeMap<UnitKey, Seen>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seen {
    offset: i64,
    since: Timestamp,
    moved: bool,
}

/// A voter whose page does not move.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Still {
    /// The voter.
    pub key: UnitKey,
    /// For how long, milliseconds.
    pub for_ms: u64,
}

impl Stillness {
    /// Takes in one observation.
    pub fn note(&mut self, observation: &Observation) {
        for (key, unit) in &observation.units {
            if unit.role != Role::Controller {
                continue;
            }
            let (Some(offset), Some(at)) =
                (unit.voter.as_ref().and_then(|voter| voter.log_end_offset), unit.last_good)
            else {
                self.voters.remove(key);
                continue;
            };
            let seen = self.voters.entry(key.clone()).or_insert(Seen {
                offset,
                since: at,
                moved: false,
            });
            if seen.offset != offset {
                *seen = Seen { offset, since: at, moved: true };
            }
        }
    }

    /// Voters among `keys` that have stood still for longer than `limit_ms`, or have not been seen
    /// to move at all.
    pub fn still<'a>(
        &self,
        keys: impl Iterator<Item = &'a UnitKey>,
        observation: &Observation,
        limit_ms: u64,
    ) -> Vec<Still> {
        keys.filter_map(|key| {
            let seen = self.voters.get(key)?;
            let read_at = observation.units.get(key)?.last_good?;
            let for_ms = elapsed_ms(seen.since, read_at);
            (!seen.moved || for_ms > limit_ms).then(|| Still { key: key.clone(), for_ms })
        })
        .collect()
    }
}
