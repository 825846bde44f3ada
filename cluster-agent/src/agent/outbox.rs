//! When a report is due, and when the hub is asked again: slots, phase changes, grants, back-off.
//!
//! Pure.

use channels::names::ProductRef;
use channels::wire::{Action, ReportReply};
use jiff::{SignedDuration, Timestamp};

/// First wait after a report that was not answered; doubles up to [`BACKOFF_MAX_S`].
const BACKOFF_FIRST_S: i64 = 2;

/// Longest wait after reports that were not answered.
const BACKOFF_MAX_S: i64 = 60;

/// Longest slot that is believed; a hub that says more is asked at this pace anyway.
const SLOT_MAX_S: u64 = 3_600;

/// A refused request is not repeated sooner than this, whatever the hub says.
const ASK_AGAIN_MIN_S: i64 = 1;

/// What is due.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    slot_at: Option<Timestamp>,
    backoff_s: i64,
    ask_not_before: Option<Timestamp>,
    asking: Option<ProductRef>,
}

impl Outbox {
    /// Whether the regular report is due.
    pub(super) fn is_slot(&self, now: Timestamp) -> bool {
        self.slot_at.is_none_or(|at| now >= at)
    }

    /// Whether the hub may be asked for a grant now: not while it is being asked, and not sooner
    /// than it said.
    pub(super) fn may_ask(&self, now: Timestamp) -> bool {
        self.asking.is_none() && self.ask_not_before.is_none_or(|at| now >= at)
    }

    /// A report was handed to the reporter.
    pub(super) fn sent(&mut self, asks: Option<&ProductRef>, now: Timestamp) {
        if let Some(product) = asks {
            self.asking = Some(product.clone());
        }
        // Replaced by the reply; without one, by the back-off.
        self.slot_at = Some(later(now, BACKOFF_MAX_S));
    }

    /// A report was answered.
    pub(super) fn answered(&mut self, reply: &ReportReply, asked: Option<&ProductRef>, now: Timestamp) {
        self.backoff_s = 0;
        let slot_s = i64::try_from(reply.next_report_in_s.clamp(1, SLOT_MAX_S)).unwrap_or(60);
        let slot_at = later(now, slot_s);
        self.slot_at = Some(slot_at);
        let Some(asked) = asked else { return };
        self.asking = None;
        let directive = reply.directives.iter().find(|d| d.product == *asked);
        self.ask_not_before = match directive {
            Some(directive) if directive.action == Action::Proceed => None,
            Some(directive) => {
                let soonest = later(now, ASK_AGAIN_MIN_S);
                let named = directive.earliest_at.map_or(slot_at, |at| at.max(soonest));
                Some(named.min(slot_at))
            }
            None => Some(slot_at),
        };
    }

    /// A report was not answered.
    pub(super) fn failed(&mut self, asked: Option<&ProductRef>, now: Timestamp) {
        self.backoff_s = (self.backoff_s * 2).clamp(BACKOFF_FIRST_S, BACKOFF_MAX_S);
        let again = later(now, self.backoff_s);
        self.slot_at = Some(again);
        if asked.is_some() {
            self.asking = None;
            self.ask_not_before = Some(again);
        }
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
mod tests {
    use super::*;
    use channels::wire::Directive;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn product() -> ProductRef {
        "acme/kafka".parse().unwrap()
    }

    fn reply(action: Action, earliest_at: Option<Timestamp>) -> ReportReply {
        ReportReply {
            seq: 1,
            at: at(0),
            timestamp_etag: None,
            directives: vec![Directive {
                product: product(),
                action,
                grant: None,
                reasons: vec![],
                earliest_at,
            }],
            next_report_in_s: 300,
            full_state_wanted: false,
        }
    }

    #[test]
    fn a_refused_request_waits_for_the_time_the_hub_names_or_the_slot() {
        let mut outbox = Outbox::default();
        outbox.sent(Some(&product()), at(0));
        assert!(!outbox.may_ask(at(0)));
        outbox.answered(&reply(Action::Wait, Some(at(40))), Some(&product()), at(0));
        assert!(!outbox.may_ask(at(39)));
        assert!(outbox.may_ask(at(40)));
        outbox.answered(&reply(Action::Hold, None), Some(&product()), at(100));
        assert!(!outbox.may_ask(at(399)));
        assert!(outbox.may_ask(at(400)));
    }

    #[test]
    fn a_granted_request_may_be_renewed_at_once() {
        let mut outbox = Outbox::default();
        outbox.sent(Some(&product()), at(0));
        outbox.answered(&reply(Action::Proceed, None), Some(&product()), at(0));
        assert!(outbox.may_ask(at(0)));
    }

    #[test]
    fn unanswered_reports_back_off_and_recover() {
        let mut outbox = Outbox::default();
        assert!(outbox.is_slot(at(0)));
        outbox.failed(None, at(0));
        assert!(!outbox.is_slot(at(1)));
        assert!(outbox.is_slot(at(2)));
        for _ in 0..10 {
            outbox.failed(None, at(100));
        }
        assert!(outbox.is_slot(at(160)));
        assert!(!outbox.is_slot(at(159)));
        outbox.answered(&reply(Action::Wait, None), None, at(200));
        assert!(outbox.is_slot(at(500)));
    }
}
