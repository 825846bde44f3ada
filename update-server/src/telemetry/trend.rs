//! When the fleet is noted down for trends, and how notes become the steps of a chart. Pure.
//!
//! A gap is never filled: where the hub was down, or does not know again yet how its clusters are,
//! there is no note, and a step without notes is no point.

use std::collections::BTreeMap;

use channels::wire::{TrendFigures, TrendLag, TrendPoint, TrendSeries};
use jiff::{SignedDuration, Timestamp};

use crate::fleet::SeriesName;

/// Seconds between two notes.
pub const NOTE_EVERY_S: i64 = 300;
/// From this much time without a look on the hub counts as having been down, as for rollouts.
const DOWN_AFTER: SignedDuration = SignedDuration::from_secs(60);
/// Most steps of one answer: a week of notes.
pub const MAX_STEPS: i64 = 2_016;
/// Steps of an answer that does not say how long they are, at most.
pub const USUAL_STEPS: i64 = 288;
/// Most points of one answer over all series: a dozen series of a week, 15 MB.
pub const MAX_POINTS: usize = 24_192;

/// The step of `step_s` seconds in which a moment is: its first second.
pub fn step_of(at: Timestamp, step_s: i64) -> Timestamp {
    let step_s = step_s.max(1);
    let second = at.as_second().div_euclid(step_s).saturating_mul(step_s);
    Timestamp::from_second(second).unwrap_or(at)
}

/// Remembers the last note, and how long there is none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TrendClock {
    last_note: Option<Timestamp>,
    last_look: Option<Timestamp>,
    quiet_until: Option<Timestamp>,
}

impl TrendClock {
    /// After a start: when the last note was made, and when the hub last looked at its clock.
    pub fn new(last_note: Option<Timestamp>, last_look: Option<Timestamp>) -> Self {
        Self { last_note, last_look, quiet_until: None }
    }

    /// When the last note was made.
    pub fn last_note(&self) -> Option<Timestamp> {
        self.last_note
    }

    /// The note that is due at `now`, named by the begin of its five minutes. To be asked every
    /// quarter of a minute or so. After the hub was down there is none until every cluster has had
    /// its turn to report: silence in the hub's own absence is nobody's.
    pub fn due(&mut self, interval_s: u64, now: Timestamp) -> Option<Timestamp> {
        let last_look = self.last_look.replace(now);
        if last_look.is_some_and(|last| now.duration_since(last).abs() > DOWN_AFTER) {
            let interval = SignedDuration::from_secs(i64::try_from(interval_s).unwrap_or(i64::MAX));
            self.quiet_until = now.checked_add(interval).ok();
        }
        if self.quiet_until.is_some_and(|until| now < until) {
            return None;
        }
        self.quiet_until = None;
        let at = step_of(now, NOTE_EVERY_S);
        (self.last_note != Some(at)).then_some(at)
    }

    /// A note was written.
    pub fn noted(&mut self, at: Timestamp) {
        self.last_note = Some(at);
    }
}

/// Notes while they are folded into steps; in order of time.
#[derive(Debug)]
pub struct Folding {
    step_s: i64,
    series: BTreeMap<SeriesName, Vec<TrendPoint>>,
    points: usize,
}

impl Folding {
    /// Steps of `step_s` seconds.
    pub fn new(step_s: i64) -> Self {
        Self { step_s, series: BTreeMap::new(), points: 0 }
    }

    /// Takes the next note; says whether there is room for more.
    pub fn take(&mut self, name: SeriesName, at: Timestamp, figures: TrendFigures) -> bool {
        let at = step_of(at, self.step_s);
        let points = self.series.entry(name).or_default();
        if let Some(last) = points.last_mut().filter(|last| last.at == at) {
            last.notes += 1;
            let quorum = worse(last.figures.quorum_lag, figures.quorum_lag);
            let pleg = worse(last.figures.pleg_lag, figures.pleg_lag);
            last.figures = TrendFigures { quorum_lag: quorum, pleg_lag: pleg, ..figures };
        } else {
            points.push(TrendPoint { at, notes: 1, figures });
            self.points += 1;
        }
        self.points <= MAX_POINTS
    }

    /// All series.
    pub fn series(self) -> Vec<TrendSeries> {
        let named = |(name, points): (SeriesName, Vec<TrendPoint>)| {
            let (product, channel) = name.unzip();
            TrendSeries { product, channel, points }
        };
        self.series.into_iter().map(named).collect()
    }
}

/// The newer lag, with the worst of both.
fn worse(older: TrendLag, newer: TrendLag) -> TrendLag {
    TrendLag { worst_ms: newer.worst_ms.max(older.worst_ms), ..newer }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_790_000_100 + second).unwrap()
    }

    #[test]
    fn a_note_is_due_once_in_five_minutes() {
        let mut clock = TrendClock::default();
        let first = clock.due(300, at(0)).unwrap();
        assert_eq!(first.as_second() % NOTE_EVERY_S, 0);
        clock.noted(first);
        assert_eq!([1, 15, 30].map(|s| clock.due(300, at(s))), [None; 3]);
        // One that could not be written is still due.
        let mut due = Vec::new();
        for second in (45..620).step_by(15) {
            due.extend(clock.due(300, at(second)));
        }
        assert!(due.iter().all(|note| *note > first) && due.len() > 20, "{due:?}");
    }

    #[test]
    fn a_hub_that_was_down_notes_nothing_until_everybody_could_report() {
        let mut clock = TrendClock::new(Some(at(-3_600)), Some(at(-3_600)));
        assert_eq!([0, 15, 60, 120, 180, 240, 285].map(|s| clock.due(300, at(s))), [None; 7]);
        assert!(clock.due(300, at(300)).is_some());
    }

    #[test]
    fn a_restart_of_seconds_leaves_no_hole() {
        let mut clock = TrendClock::new(Some(at(-300)), Some(at(-20)));
        assert!(clock.due(300, at(0)).is_some());
    }

    #[test]
    fn a_clock_that_went_back_does_not_end_the_notes() {
        let mut clock = TrendClock::new(Some(at(1_000_000)), Some(at(1_000_000)));
        assert_eq!(clock.due(300, at(0)), None, "nobody knows how long it was");
        let due = (0..40).filter_map(|n| clock.due(300, at(15 * n))).count();
        assert!(due > 0);
    }

    fn figures(fresh: u64, worst_ms: Option<u64>) -> TrendFigures {
        let quorum_lag = TrendLag { known: 1, p50_ms: None, p95_ms: None, worst_ms };
        TrendFigures { fresh, quorum_lag, ..TrendFigures::default() }
    }

    #[test]
    fn a_step_tells_its_newest_note_with_the_worst_lag_of_all() {
        let mut folding = Folding::new(600);
        let begin = step_of(at(0), 600);
        for (n, worst_ms) in (0..).zip([Some(10), Some(900), None, Some(5)]) {
            let note = begin + SignedDuration::from_secs(300 * n);
            let fresh = u64::try_from(n).unwrap();
            assert!(folding.take(None, note, figures(fresh, worst_ms)));
        }
        let points = folding.series().remove(0).points;
        let told = |p: &TrendPoint| (p.notes, p.figures.fresh, p.figures.quorum_lag.worst_ms);
        assert_eq!(
            points.iter().map(told).collect::<Vec<_>>(),
            [(2, 1, Some(900)), (2, 3, Some(5)),]
        );
    }

    #[test]
    fn a_step_without_notes_is_no_point() {
        let mut folding = Folding::new(300);
        for second in [0, 300, 1_500] {
            folding.take(None, at(second), figures(1, None));
        }
        assert_eq!(folding.series()[0].points.len(), 3);
    }
}
