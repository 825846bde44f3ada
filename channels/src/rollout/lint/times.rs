//! Rules about starts, windows and freezes.

use jiff::{SignedDuration, Timestamp};

use super::{Found, OPENS_WITHIN, Rule};
use crate::rollout::calendar::Freeze;
use crate::rollout::policy::{Policy, Start};

pub(super) fn check(policy: &Policy, now: Timestamp, found: &mut Found<'_>) {
    if let Start::At(start) = policy.start
        && start < now
    {
        found.add(
            Rule::StartInPast,
            "start",
            format!(
                "`start: {start}` lies in the past, so a release starts as soon as it is \
                 published; check the year, or write `start: publication`"
            ),
        );
    }
    let start = policy.starts_at(now);
    check_windows(policy, start, found);
    check_freezes(policy, start, found);
}

fn check_windows(policy: &Policy, start: Timestamp, found: &mut Found<'_>) {
    let calendar = &policy.calendar;
    let soon = start.saturating_add(OPENS_WITHIN.duration()).unwrap_or(Timestamp::MAX);
    let opens = calendar.next_open(start).filter(|at| *at < soon);
    let unit = policy.deadlines.unit;
    for window in calendar.windows().iter().filter(|window| window.duration < unit) {
        let (at, length) = (window.start, window.duration);
        found.add(
            Rule::WindowTooShort,
            "windows",
            format!(
                "the window at {at:.0} is open for {length}, and one unit may take {unit} \
                 (`deadlines.unit`); no unit starts that cannot finish inside its window, so \
                 lengthen the window or shorten the deadline"
            ),
        );
    }
    if opens.is_none() {
        found.add(
            Rule::WindowsNeverOpen,
            "freezes",
            format!(
                "no window opens within a year from {start}: freezes cover them all; shorten the \
                 freezes"
            ),
        );
        return;
    }
    let lengths = policy.rings.iter().map(|ring| ring.curve.length().duration());
    let needed = lengths.fold(SignedDuration::ZERO, SignedDuration::saturating_add);
    if calendar.after(start, needed).is_none() {
        found.add(
            Rule::NeverEnds,
            "windows",
            format!(
                "the curves need {} hours in open windows, which do not pass within three years \
                 from {start}; widen the windows or take faster curves",
                needed.as_hours()
            ),
        );
    }
}

fn check_freezes(policy: &Policy, start: Timestamp, found: &mut Found<'_>) {
    let lengths = policy.rings.iter().map(|ring| ring.curve.length().duration());
    let needed = lengths.fold(SignedDuration::ZERO, SignedDuration::saturating_add);
    let end = start.saturating_add(needed).unwrap_or(Timestamp::MAX);
    for Freeze { from, until, reason, .. } in policy.calendar.freezes() {
        if *from <= start && end <= *until {
            found.add(
                Rule::FreezeCoversCurve,
                "freezes",
                format!(
                    "the freeze {reason:?} from {from} to {until} covers the whole rollout, which \
                     would last from {start} to {end}; nothing moves before it ends"
                ),
            );
        }
    }
}
