//! Who may act: the rules of one Lease, without its I/O.
//!
//! Clocks of two machines are never compared. A holder trusts its lease for [`HOLD`] from the
//! moment it *asked* for the renewal; another agent takes it over only after it has itself watched
//! the record stand still for the whole duration, which is longer. Times are of one process's
//! monotonic clock, counted from any beginning.

use std::time::Duration;

/// How long a record must stand still before another agent takes the lease: longer than a restart
/// of the API server, shorter than a person's patience.
pub const DURATION: Duration = Duration::from_secs(30);

/// How long the holder trusts a renewal: ten seconds less, so that requests that are on their way
/// when it ends have ended before another agent begins.
pub const HOLD: Duration = Duration::from_secs(20);

/// How often the lease is looked at and renewed: three renewals may fail before it is lost.
pub const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Longest duration of a stranger's record that is waited for: a typing error must not stop
/// updates for ever.
const STRANGER_MAX: Duration = Duration::from_mins(10);

/// What a Lease object says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    /// Who holds it; `None` if it was released.
    pub(super) holder: Option<String>,
    /// When its holder last renewed it, as written: only ever compared for being the same.
    pub(super) renewed: Option<String>,
    /// How long its holder asks others to wait.
    pub(super) duration: Duration,
}

/// What to do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Move {
    /// There is no Lease object: make one.
    Create,
    /// It is free or its holder is dead: take it.
    Take,
    /// It is ours: renew it.
    Renew,
    /// It is another's.
    Wait,
}

/// How it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Term {
    /// It is ours until this time of the process's clock.
    Held {
        /// The end, unless it is renewed.
        until: Duration,
    },
    /// Another agent holds it.
    Elsewhere {
        /// Who.
        holder: String,
        /// Since when it has been seen, by the process's clock.
        since: Duration,
    },
    /// Nobody could be asked, or nothing has been heard yet.
    Unknown {
        /// Why.
        why: String,
    },
}

/// One agent's view of the lease.
#[derive(Debug)]
pub(super) struct Tenancy {
    me: String,
    still: Option<(Record, Duration)>,
    elsewhere_since: Option<(String, Duration)>,
    until: Option<Duration>,
    trouble: Option<String>,
}

impl Tenancy {
    /// Of the agent that calls itself `me` on the lease; no two processes may share the name.
    pub(super) fn new(me: String) -> Self {
        let trouble = Some("it has not been looked at yet".to_owned());
        Self { me, still: None, elsewhere_since: None, until: None, trouble }
    }

    /// Judges what the Lease object says at `at`.
    pub(super) fn judge(&mut self, record: Option<Record>, at: Duration) -> Move {
        let Some(record) = record else {
            self.still = None;
            return Move::Create;
        };
        let Some(holder) = record.holder.clone() else {
            self.still = None;
            return Move::Take;
        };
        if holder == self.me {
            self.still = None;
            return Move::Renew;
        }
        // Whatever we believed: it says another name.
        self.until = None;
        let known = self.elsewhere_since.take().filter(|(name, _)| *name == holder);
        self.elsewhere_since = Some(known.unwrap_or((holder, at)));
        self.trouble = None;
        let since = match self.still.take() {
            Some((seen, since)) if seen == record => since,
            Some(_) | None => at,
        };
        let wait = record.duration.clamp(DURATION, STRANGER_MAX);
        self.still = Some((record, since));
        if at.saturating_sub(since) >= wait { Move::Take } else { Move::Wait }
    }

    /// The write that was asked for at `asked_at` was accepted.
    pub(super) fn accepted(&mut self, asked_at: Duration) {
        self.until = Some(asked_at.saturating_add(HOLD));
        self.elsewhere_since = None;
        self.still = None;
        self.trouble = None;
    }

    /// The lease could not be read or written. What was held stays held until it runs out.
    pub(super) fn failed(&mut self, why: String) {
        self.trouble = Some(why);
    }

    /// How it stands at `at`.
    pub(super) fn term(&self, at: Duration) -> Term {
        if let Some(until) = self.until.filter(|until| at < *until) {
            return Term::Held { until };
        }
        match (&self.trouble, &self.elsewhere_since) {
            (None, Some((holder, since))) => {
                Term::Elsewhere { holder: holder.clone(), since: *since }
            }
            (Some(why), _) => Term::Unknown { why: why.clone() },
            (None, None) => Term::Unknown { why: "it ran out before it was renewed".to_owned() },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn record(holder: &str, renewed: &str) -> Record {
        let holder = (!holder.is_empty()).then(|| holder.to_owned());
        Record { holder, renewed: Some(renewed.to_owned()), duration: DURATION }
    }

    #[test]
    fn a_free_lease_is_taken_and_trusted_for_less_than_others_wait() {
        let mut mine = Tenancy::new("a".into());
        assert!(matches!(mine.term(s(0)), Term::Unknown { .. }));
        assert_eq!(mine.judge(None, s(1)), Move::Create);
        mine.accepted(s(1));
        assert_eq!(mine.term(s(20)), Term::Held { until: s(21) });
        assert!(matches!(mine.term(s(21)), Term::Unknown { .. }));
        assert!(HOLD < DURATION);
        assert_eq!(mine.judge(Some(record("", "t")), s(22)), Move::Take);
    }

    #[test]
    fn a_dead_holder_is_taken_over_after_the_duration_by_the_watchers_own_clock() {
        let mut other = Tenancy::new("b".into());
        // The renewal time says nothing about our clock, however old it looks.
        for at in [5, 10, 34] {
            assert_eq!(other.judge(Some(record("a", "1970")), s(at)), Move::Wait, "{at}");
        }
        assert_eq!(other.term(s(34)), Term::Elsewhere { holder: "a".into(), since: s(5) });
        assert_eq!(other.judge(Some(record("a", "1970")), s(35)), Move::Take);
        other.accepted(s(35));
        assert!(matches!(other.term(s(36)), Term::Held { .. }));
    }

    #[test]
    fn a_holder_that_renews_keeps_others_out() {
        let mut other = Tenancy::new("b".into());
        for at in 0..100 {
            let renewed = (at / 20).to_string();
            assert_eq!(other.judge(Some(record("a", &renewed)), s(at)), Move::Wait, "{at}");
        }
    }

    #[test]
    fn an_agent_whose_lease_was_taken_knows_at_its_next_look() {
        let mut mine = Tenancy::new("a".into());
        assert_eq!(mine.judge(Some(record("", "t")), s(0)), Move::Take);
        mine.accepted(s(0));
        assert_eq!(mine.judge(Some(record("b", "t")), s(5)), Move::Wait);
        assert_eq!(mine.term(s(5)), Term::Elsewhere { holder: "b".into(), since: s(5) });
    }

    #[test]
    fn an_api_server_that_is_away_costs_the_lease_only_once_it_has_run_out() {
        let mut mine = Tenancy::new("a".into());
        assert_eq!(mine.judge(None, s(0)), Move::Create);
        mine.accepted(s(0));
        mine.failed("away".into());
        assert!(matches!(mine.term(s(19)), Term::Held { .. }));
        assert_eq!(mine.term(s(20)), Term::Unknown { why: "away".into() });
    }

    #[test]
    fn a_strangers_duration_is_respected_within_reason() {
        let mut other = Tenancy::new("b".into());
        let long = Record { duration: s(90_000), ..record("a", "t") };
        assert_eq!(other.judge(Some(long.clone()), s(0)), Move::Wait);
        assert_eq!(other.judge(Some(long.clone()), s(599)), Move::Wait);
        assert_eq!(other.judge(Some(long), s(600)), Move::Take);
    }
}
