//! When tokens and sessions were last used, until the store takes it over.
//!
//! Uses are noted in memory and written together by the maintenance timer, so that reading costs
//! no write. What a crash loses of it is a minute of a session, or one token's day.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};

use serde::{Serialize as _, Serializer};

use super::{SessionRecord, TokenRecord};

/// A session's use is written at most so often; it is short beside every idle limit.
const SESSION_GRAIN: SignedDuration = SignedDuration::from_mins(1);
/// Seconds of a day.
const DAY_S: i64 = 86_400;

/// Uses that are not written yet; at most one per token and session in force.
#[derive(Debug, Default)]
pub struct Activity(Mutex<Used>);

/// What is to be written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Used {
    /// Day since 1970 on which a token was used, by its number.
    pub tokens: BTreeMap<u64, i64>,
    /// When a session was used, by its number.
    pub sessions: BTreeMap<u64, Timestamp>,
}

impl Used {
    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.tokens.is_empty() && self.sessions.is_empty()
    }
}

/// The day since 1970 of a time.
pub fn day_of(at: Timestamp) -> i64 {
    at.as_second().div_euclid(DAY_S)
}

/// Writes a day since 1970 as a date.
#[expect(clippy::ref_option, reason = "the signature serde asks for")]
pub(super) fn as_date<S: Serializer>(day: &Option<i64>, serializer: S) -> Result<S::Ok, S::Error> {
    let start = day.and_then(|day| Timestamp::from_second(day.checked_mul(DAY_S)?).ok());
    start.map(|at| at.strftime("%Y-%m-%d").to_string()).serialize(serializer)
}

impl Activity {
    /// A token was used.
    pub fn token(&self, token: &TokenRecord, now: Timestamp) {
        let day = day_of(now);
        if token.last_used != Some(day) {
            self.used().tokens.insert(token.id, day);
        }
    }

    /// A session was used.
    pub fn session(&self, session: &SessionRecord, now: Timestamp) {
        if now.duration_since(session.active_at) >= SESSION_GRAIN {
            self.used().sessions.insert(session.id, now);
        }
    }

    /// The last use of a session that is not written yet.
    pub fn last_of(&self, session: u64) -> Option<Timestamp> {
        self.used().sessions.get(&session).copied()
    }

    /// What is to be written, once.
    pub fn take(&self) -> Used {
        std::mem::take(&mut *self.used())
    }

    /// What could not be written comes back, unless something newer was noted.
    pub fn put_back(&self, failed: Used) {
        let mut used = self.used();
        for (id, day) in failed.tokens {
            used.tokens.entry(id).or_insert(day);
        }
        for (id, at) in failed.sessions {
            used.sessions.entry(id).or_insert(at);
        }
    }

    fn used(&self) -> std::sync::MutexGuard<'_, Used> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
