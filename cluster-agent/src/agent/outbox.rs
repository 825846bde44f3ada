//! When a report is due, and when the hub is asked again: slots, changes, grants, back-off.
//!
//! Pure.

use std::collections::{BTreeMap, BTreeSet};

use channels::names::ProductRef;
use channels::wire::{Action, Phase, ProductState, ReportReply};
use jiff::{SignedDuration, Timestamp};

use crate::phase::elapsed_ms;

/// First wait after a report that was not answered; doubles up to [`BACKOFF_MAX_S`].
const BACKOFF_FIRST_S: i64 = 2;

/// Longest wait after reports that were not answered.
const BACKOFF_MAX_S: i64 = 60;

/// Whatever there is to tell waits as long as a busy hub asks for, but no longer than this: the hub
/// counts a cluster that rolls and says nothing as one in trouble.
const QUIET_MAX_S: u64 = 60;
/// A hub that refuses the key for good is not asked again, but looked at this rarely: it may be
/// restored from before, or somebody in between said it.
const GIVEN_UP_S: u64 = 3_600;

/// While the hub does not answer, changes of phase are told this far apart: often enough to follow
/// a roll, rarely enough for a hub that is overloaded.
const URGENT_APART_S: i64 = 5;

/// Longest slot that is believed; a hub that says more is asked at this pace anyway.
const SLOT_MAX_S: u64 = 3_600;

/// A hub that wants the whole state gets it this soon: it may have to say that a product is held, or
/// is so no more. By then it takes another report of the same cluster.
const WHOLE_SOON_S: i64 = 5;

/// A refused request is not repeated sooner than this, whatever the hub says.
const ASK_AGAIN_MIN_S: i64 = 1;

/// Changes are told at least this far apart, so that several at once make one report.
const NEWS_APART_S: i64 = 5;

/// So many changes are told without waiting for more; a roll has phases of its own that are
/// reported anyway.
const NEWS_BURST: u32 = 6;

/// After a burst one change is told in this time: a gate that flaps must not become a load for the
/// hub. What is left out meanwhile is in the next report, whichever it is.
const NEWS_REFILL_S: i64 = 30;

/// Gates that come and go with a single probe.
const FLICKERS: [&str; 2] = ["observation_old", "gate_once"];

/// What a reader of the fleet would want to know at once when it changes.
pub(super) type Shape = BTreeMap<ProductRef, (Phase, BTreeSet<String>)>;

/// The shape of what would be reported: phases and the names of closed gates.
pub(super) fn shape(states: &[ProductState]) -> Shape {
    let gates = |state: &ProductState| {
        let names = state.waiting_on.iter().map(|why| why.gate.clone());
        names.filter(|gate| !FLICKERS.contains(&gate.as_str())).collect()
    };
    states.iter().map(|s| (s.product.clone(), (s.phase, gates(s)))).collect()
}

/// A time to wait for.
#[derive(Debug, Clone, Copy)]
struct Due {
    set_at: Timestamp,
    at: Timestamp,
}

impl Due {
    fn after(now: Timestamp, seconds: i64) -> Self {
        Self { set_at: now, at: later(now, seconds) }
    }

    /// Also if it was set in what is the future: then the clock was set back meanwhile, and the
    /// time may be hours away.
    fn has_come(self, now: Timestamp) -> bool {
        now >= self.at || now < self.set_at
    }
}

/// What is due.
#[derive(Debug)]
pub(super) struct Outbox {
    slot_at: Option<Due>,
    backoff_s: i64,
    failed_at: Option<Timestamp>,
    quiet_until: Option<Due>,
    given_up: bool,
    urged: bool,
    ask_not_before: Option<Due>,
    asking: Option<ProductRef>,
    told: Option<(Shape, Timestamp)>,
    news_left: u32,
    news_since: Option<Timestamp>,
    etag: Option<(String, Timestamp)>,
}

impl Default for Outbox {
    fn default() -> Self {
        Self {
            slot_at: None,
            backoff_s: 0,
            failed_at: None,
            quiet_until: None,
            given_up: false,
            urged: false,
            ask_not_before: None,
            asking: None,
            told: None,
            news_left: NEWS_BURST,
            news_since: None,
            etag: None,
        }
    }
}

impl Outbox {
    /// Whether the regular report is due.
    pub(super) fn is_slot(&self, now: Timestamp) -> bool {
        self.slot_at.is_none_or(|due| due.has_come(now))
    }

    /// Whether a busy hub asked not to be spoken to yet, whatever there is to tell.
    pub(super) fn is_quiet(&self, now: Timestamp) -> bool {
        self.quiet_until.is_some_and(|due| !due.has_come(now))
    }

    /// A phase changed: that is told without waiting for the slot.
    pub(super) fn urge(&mut self) {
        self.urged = true;
    }

    /// Whether a change of phase is to be told now: at once, but while the hub does not answer not
    /// right after the report or the failure before.
    pub(super) fn is_urgent(&self, now: Timestamp) -> bool {
        let told_at = self.told.as_ref().map(|(_, at)| *at);
        let mut last = told_at.into_iter().chain(self.failed_at);
        let calm = last.all(|last| Due::after(last, URGENT_APART_S).has_come(now));
        self.urged && !self.given_up && (self.backoff_s == 0 || calm)
    }

    /// Whether something changed since the last report that is worth one of its own, at a bounded
    /// rate. Says yes at most once per change it lets through.
    pub(super) fn has_news(&mut self, shape: &Shape, now: Timestamp) -> bool {
        let Some((told, told_at)) = &self.told else { return false };
        // A hub that does not answer is told at the pace of the back-off.
        let apart = Due::after(*told_at, NEWS_APART_S).has_come(now);
        if told == shape || self.backoff_s > 0 || !apart {
            return false;
        }
        if self.news_since.is_none_or(|since| Due::after(since, NEWS_REFILL_S).has_come(now)) {
            let refilled = self.news_since.map_or(NEWS_BURST, |since| {
                let periods = now.duration_since(since).as_secs() / NEWS_REFILL_S;
                u32::try_from(periods).unwrap_or(NEWS_BURST)
            });
            self.news_left = self.news_left.saturating_add(refilled).min(NEWS_BURST);
            self.news_since = Some(now);
        }
        if self.news_left == 0 {
            return false;
        }
        self.news_left -= 1;
        true
    }

    /// What the hub said about `timestamp.json`, if it said so within the refresh period. An older
    /// word must not stand in for a look: reports may be much rarer than refreshes.
    pub(super) fn hint(&self, refresh_ms: u64, now: Timestamp) -> Option<String> {
        let (etag, at) = self.etag.as_ref()?;
        (now >= *at && elapsed_ms(*at, now) < refresh_ms).then(|| etag.clone())
    }

    /// Whether the hub may be asked for a grant now: not while it is being asked, and not sooner
    /// than it said.
    pub(super) fn may_ask(&self, now: Timestamp) -> bool {
        self.asking.is_none() && self.ask_not_before.is_none_or(|due| due.has_come(now))
    }

    /// A report was handed to the reporter.
    pub(super) fn sent(&mut self, asks: Option<&ProductRef>, shape: Shape, now: Timestamp) {
        self.told = Some((shape, now));
        self.urged = false;
        if let Some(product) = asks {
            self.asking = Some(product.clone());
        }
        // Replaced by the reply; without one, by the back-off.
        self.slot_at = Some(Due::after(now, BACKOFF_MAX_S));
    }

    /// A report was answered; says whether metadata changed since the answer before.
    pub(super) fn answered(
        &mut self,
        reply: &ReportReply,
        asked: Option<&ProductRef>,
        now: Timestamp,
    ) -> bool {
        self.backoff_s = 0;
        self.quiet_until = None;
        self.given_up = false;
        let known = self.etag.take();
        let changed = reply
            .timestamp_etag
            .as_ref()
            .is_some_and(|new| known.as_ref().is_none_or(|(old, _)| old != new));
        self.etag = reply.timestamp_etag.clone().map(|etag| (etag, now)).or(known);
        let slot_s = i64::try_from(reply.next_report_in_s.clamp(1, SLOT_MAX_S)).unwrap_or(60);
        let slot_s = if reply.full_state_wanted { slot_s.min(WHOLE_SOON_S) } else { slot_s };
        let slot = Due::after(now, slot_s);
        self.slot_at = Some(slot);
        let Some(asked) = asked else { return changed };
        self.asking = None;
        let directive = reply.directives.iter().find(|d| d.product == *asked);
        self.ask_not_before = match directive {
            Some(directive) if directive.action == Action::Proceed => None,
            Some(directive) => {
                let soonest = later(now, ASK_AGAIN_MIN_S);
                let named = directive.earliest_at.map_or(slot.at, |at| at.max(soonest));
                Some(Due { set_at: now, at: named.min(slot.at) })
            }
            None => Some(slot),
        };
        changed
    }

    /// A report was not answered; a busy hub may have said when to come back. `spread` lengthens a
    /// wait in milliseconds by chance, so that a fleet does not come back in step.
    pub(super) fn failed(
        &mut self,
        asked: Option<&ProductRef>,
        retry_after_s: Option<u64>,
        spread: impl Fn(u64) -> SignedDuration,
        now: Timestamp,
    ) {
        self.backoff_s = (self.backoff_s * 2).clamp(BACKOFF_FIRST_S, BACKOFF_MAX_S);
        self.failed_at = Some(now);
        self.quiet_until = retry_after_s
            .map(|quiet_s| Due::after(now, i64::try_from(quiet_s.min(QUIET_MAX_S)).unwrap_or(0)));
        let wait_s = u64::try_from(self.backoff_s).unwrap_or(0).max(retry_after_s.unwrap_or(0));
        let at = now.checked_add(spread(wait_s.saturating_mul(1_000))).unwrap_or(now);
        let again = Due { set_at: now, at };
        self.slot_at = Some(again);
        // Asking is a report like any other: it waits as well, whichever report failed.
        if asked.is_some() || self.ask_not_before.is_none_or(|due| due.at < at) {
            self.ask_not_before = Some(again);
        }
        if asked.is_some() {
            self.asking = None;
        }
    }

    /// The hub refuses the key for good: nothing is worth telling it, and nothing is asked of it.
    pub(super) fn give_up(&mut self, spread: impl Fn(u64) -> SignedDuration, now: Timestamp) {
        let at = now.checked_add(spread(GIVEN_UP_S.saturating_mul(1_000))).unwrap_or(now);
        let again = Some(Due { set_at: now, at });
        self.given_up = true;
        (self.slot_at, self.ask_not_before) = (again, again);
    }

    /// What made the last report fail is mended: a failure of the next one is the first of its kind.
    pub(super) fn mended(&mut self) {
        self.backoff_s = 0;
    }

    /// A person changed something: what the hub said before is no longer worth waiting for.
    pub(super) fn hurry(&mut self) {
        self.ask_not_before = None;
    }
}

fn later(now: Timestamp, seconds: i64) -> Timestamp {
    now.checked_add(SignedDuration::from_secs(seconds)).unwrap_or(now)
}

#[cfg(test)]
mod tests;
