//! The rollout's clock: running time that stands still while the rollout is held, halted or
//! outside its windows.
//!
//! A value with transitions; it reads no clock itself. Time that was counted is never taken back:
//! not by a `now` that jumps back, not by a changed calendar (count up to the change first, with
//! [`RolloutClock::settled`]).

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::calendar::Calendar;

/// Why a clock stands still, the calendar aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stop {
    /// Somebody holds the rollout.
    Held,
    /// A gate halted it, until a person acknowledges why.
    Halted,
    /// The health of too many clusters is unknown, until it is known again.
    Blind,
}

/// Running time of one rollout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolloutClock {
    starts_at: Timestamp,
    counted: SignedDuration,
    counted_to: Timestamp,
    stops: BTreeSet<Stop>,
}

impl RolloutClock {
    /// A clock at zero that begins to run at `starts_at`.
    pub fn starting_at(starts_at: Timestamp) -> Self {
        let counted = SignedDuration::ZERO;
        Self { starts_at, counted, counted_to: starts_at, stops: BTreeSet::new() }
    }

    /// When it begins to run.
    pub fn starts_at(&self) -> Timestamp {
        self.starts_at
    }

    /// Why it stands still, whatever the calendar says; empty = it does not.
    pub fn stops(&self) -> &BTreeSet<Stop> {
        &self.stops
    }

    /// Running time at `now`.
    pub fn running(&self, now: Timestamp, calendar: &Calendar) -> SignedDuration {
        if !self.stops.is_empty() {
            return self.counted;
        }
        self.counted.saturating_add(calendar.open_time(self.counted_to, now))
    }

    /// The same clock with everything up to `now` counted under this calendar. Call it before a
    /// calendar is replaced, and now and then to keep counting cheap.
    #[must_use]
    pub fn settled(&self, now: Timestamp, calendar: &Calendar) -> Self {
        let counted = self.running(now, calendar);
        Self { counted, counted_to: self.counted_to.max(now), ..self.clone() }
    }

    /// The clock stopped for this reason.
    #[must_use]
    pub fn stopped(&self, stop: Stop, now: Timestamp, calendar: &Calendar) -> Self {
        let mut clock = self.settled(now, calendar);
        clock.stops.insert(stop);
        clock
    }

    /// The clock without this reason to stand still; it runs when no other is left.
    #[must_use]
    pub fn released(&self, stop: Stop, now: Timestamp, calendar: &Calendar) -> Self {
        let mut clock = self.settled(now, calendar);
        clock.stops.remove(&stop);
        clock
    }

    /// The first open moment at which the running time is `running` or more, as things stand:
    /// `None` while the clock is stopped, and when it is too far off to say.
    pub fn reaches(
        &self,
        running: SignedDuration,
        now: Timestamp,
        calendar: &Calendar,
    ) -> Option<Timestamp> {
        if !self.stops.is_empty() {
            return None;
        }
        let settled = self.settled(now, calendar);
        let missing = running.saturating_sub(settled.counted).max(SignedDuration::ZERO);
        calendar.after(settled.counted_to, missing)
    }
}
