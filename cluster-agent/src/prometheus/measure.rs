//! What the hub's rollout policy wants measured: which query is asked when, and what its answers say.
//!
//! Pure. Bounds are the hub's (`wire::Measure`) and are kept here as well: a hub may be wrong. A number
//! that is missing, old or no number is left out with the reason, and never guessed.

use std::collections::{BTreeMap, BTreeSet};

use channels::wire::{Measure, MeasureId, Measured};
use jiff::Timestamp;

use super::answer::{Answer, Point};
use super::expect::{away, numbers};
use crate::phase::elapsed_ms;

/// Longest reason in a report.
const WHY_CHARS_MAX: usize = 200;
/// Points that a mean is taken over, at most: what Prometheus evaluates for one query.
const MEAN_POINTS: u64 = 60;
/// Closer points than this say nothing more: scrapes are no closer.
const MEAN_STEP_MIN_S: u64 = 15;

/// The pace, milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MeasureTimes {
    /// Least time between two queries.
    pub between_ms: u64,
    /// Age at which a value is asked for again.
    pub value_ms: u64,
    /// The same of a mean, which is a dearer query and changes slowly.
    pub mean_ms: u64,
}

impl Default for MeasureTimes {
    fn default() -> Self {
        Self { between_ms: 250, value_ms: 60_000, mean_ms: 300_000 }
    }
}

impl MeasureTimes {
    /// Age at which a number no longer counts: two askings were missed.
    fn oldest_ms(&self, part: Part) -> u64 {
        self.every_ms(part).saturating_mul(3)
    }

    fn every_ms(&self, part: Part) -> u64 {
        match part {
            Part::Value => self.value_ms,
            Part::Mean => self.mean_ms,
        }
    }
}

/// The two numbers of a measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// Now.
    Value,
    /// Over the time before.
    Mean,
}

/// What is known of one number.
#[derive(Debug, Clone, Default)]
struct Known {
    asked_at: Option<Timestamp>,
    number: Option<(f64, Timestamp)>,
    why: Option<String>,
}

/// Remembers numbers, and says what to ask next.
#[derive(Debug, Clone)]
pub struct Measurer {
    times: MeasureTimes,
    skew_ms: u64,
    known: BTreeMap<(MeasureId, Part), Known>,
    last_asked: Option<Timestamp>,
}

impl Measurer {
    /// Knows nothing yet.
    pub fn new(times: MeasureTimes, skew_ms: u64) -> Self {
        Self { times, skew_ms, known: BTreeMap::new(), last_asked: None }
    }

    /// The query to ask now, if one is due: the one that waited longest first.
    pub fn next(
        &mut self,
        wanted: &[Measure],
        now: Timestamp,
    ) -> Option<(MeasureId, Part, String)> {
        let ids: BTreeSet<&MeasureId> = wanted.iter().map(|measure| &measure.id).collect();
        self.known.retain(|(id, _), _| ids.contains(id));
        // A clock that went back must not stop the questions.
        let paused = self
            .last_asked
            .is_some_and(|last| last <= now && elapsed_ms(last, now) < self.times.between_ms);
        if paused {
            return None;
        }
        let due = |(measure, part): &(&Measure, Part)| {
            let known = self.known.get(&(measure.id.clone(), *part));
            known
                .and_then(|known| known.asked_at)
                .is_none_or(|at| at > now || elapsed_ms(at, now) >= self.times.every_ms(*part))
        };
        let asked_at = |(measure, part): &(&Measure, Part)| {
            self.known.get(&(measure.id.clone(), *part)).and_then(|known| known.asked_at)
        };
        let all = wanted.iter().flat_map(|m| [Part::Value, Part::Mean].map(|part| (m, part)));
        let (measure, part) = all.filter(due).min_by_key(asked_at)?;
        self.last_asked = Some(now);
        self.known.entry((measure.id.clone(), part)).or_default().asked_at = Some(now);
        Some((measure.id.clone(), part, query(measure, part)))
    }

    /// Takes what came of a query.
    pub fn take(
        &mut self,
        id: MeasureId,
        part: Part,
        answer: Result<&Answer, String>,
        now: Timestamp,
    ) {
        let Some(known) = self.known.get_mut(&(id, part)) else { return };
        match answer.and_then(|answer| one_number(answer, self.skew_ms, now)) {
            Ok(number) => (known.number, known.why) = (Some((number, now)), None),
            // A moment without Prometheus: the last number stands until it is too old.
            Err(why) => known.why = Some(why.chars().take(WHY_CHARS_MAX).collect()),
        }
    }

    /// What is known at `now`. A measure of which something has not been answered yet is left out:
    /// that is not the same as one that cannot be told.
    pub fn measured(&self, now: Timestamp) -> BTreeMap<MeasureId, Measured> {
        let ids: BTreeSet<&MeasureId> = self.known.keys().map(|(id, _)| id).collect();
        let told = |id: &MeasureId| {
            let value = self.known.get(&(id.clone(), Part::Value))?;
            let mean = self.known.get(&(id.clone(), Part::Mean))?;
            let is_answered = |known: &Known| known.number.is_some() || known.why.is_some();
            if !is_answered(value) || !is_answered(mean) {
                return None;
            }
            let value_now = self.fresh(value, Part::Value, now);
            let mean_now = self.fresh(mean, Part::Mean, now);
            let missing = [(value_now, value), (mean_now, mean)];
            let why = missing.into_iter().find(|(number, _)| number.is_none()).map(|(_, known)| {
                known.why.clone().unwrap_or_else(|| "the last answer is too old".to_owned())
            });
            Some(Measured { id: id.clone(), value: value_now, mean: mean_now, why })
        };
        ids.into_iter().filter_map(|id| Some((id.clone(), told(id)?))).collect()
    }

    fn fresh(&self, known: &Known, part: Part, now: Timestamp) -> Option<f64> {
        let (number, at) = known.number?;
        (at <= now && elapsed_ms(at, now) <= self.times.oldest_ms(part)).then_some(number)
    }
}

/// What is taken on of what the hub wants, in its order.
pub fn within_bounds(wanted: &[Measure]) -> Vec<Measure> {
    let mut bytes = 0;
    let fits = |measure: &&Measure| {
        bytes += measure.query.len();
        bytes <= Measure::MAX_QUERY_BYTES && measure.over_s > 0
    };
    wanted.iter().take(Measure::MAX).filter(fits).cloned().collect()
}

/// The `PromQL` of one number. The line end closes a comment that a query may end in.
fn query(measure: &Measure, part: Part) -> String {
    let Measure { query, over_s, .. } = measure;
    match part {
        Part::Value => query.clone(),
        Part::Mean => {
            let step_s = over_s.div_ceil(MEAN_POINTS).max(MEAN_STEP_MIN_S).min(*over_s);
            format!("avg_over_time((\n{query}\n)[{over_s}s:{step_s}s])")
        }
    }
}

fn one_number(answer: &Answer, skew_ms: u64, now: Timestamp) -> Result<f64, String> {
    let found = numbers(answer)?;
    let [(_, point)] = found.as_slice() else {
        return Err(format!("{} samples in place of one", found.len()));
    };
    if let Some(why) = away(*point, skew_ms, now) {
        return Err(why);
    }
    let Point { value, .. } = point;
    if value.is_finite() { Ok(*value) } else { Err(format!("the answer is {value}")) }
}

#[cfg(test)]
mod tests {
    use super::super::answer::{Sample, Value};
    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millisecond(1_790_000_000_000 + ms).unwrap()
    }

    fn measure(query: &str) -> Measure {
        Measure {
            product: "acme/kafka".parse().unwrap(),
            id: MeasureId::of(query, 3_600),
            name: "errors".to_owned(),
            query: query.to_owned(),
            over_s: 3_600,
        }
    }

    fn answer(values: &[f64], now: Timestamp) -> Answer {
        let point = |value: &f64| Some(Point { at: now, value: *value });
        let sample = |value| Sample { labels: BTreeMap::new(), point: point(value) };
        Answer { value: Value::Vector(values.iter().map(sample).collect()), infos: vec![] }
    }

    /// Asks everything that is due at a moment; `reply` answers a query.
    fn round(
        measurer: &mut Measurer,
        wanted: &[Measure],
        now: Timestamp,
        reply: impl Fn(&str) -> Result<Answer, String>,
    ) -> Vec<String> {
        let mut asked = vec![];
        measurer.times.between_ms = 0;
        while let Some((id, part, query)) = measurer.next(wanted, now) {
            let answered = reply(&query);
            measurer.take(id, part, answered.as_ref().map_err(Clone::clone), now);
            asked.push(query);
        }
        asked
    }

    #[test]
    fn a_measure_is_its_value_and_its_mean_over_the_time_asked_for() {
        let wanted = [measure("errors # all")];
        let mut measurer = Measurer::new(MeasureTimes::default(), 1_000);
        assert_eq!(measurer.measured(at(0)), BTreeMap::new());
        let asked = round(&mut measurer, &wanted, at(0), |query| {
            Ok(answer(&[if query.starts_with("avg_over_time") { 2.0 } else { 5.0 }], at(0)))
        });
        assert_eq!(asked, ["errors # all", "avg_over_time((\nerrors # all\n)[3600s:60s])"]);
        let told = measurer.measured(at(1)).remove(&wanted[0].id).unwrap();
        assert_eq!((told.value, told.mean, told.why), (Some(5.0), Some(2.0), None));
        let later = round(&mut measurer, &wanted, at(61_000), |_| Ok(answer(&[6.0], at(61_000))));
        assert_eq!(later, ["errors # all"], "the mean only every five minutes");
    }

    #[test]
    fn answers_that_are_no_number_of_now_leave_the_number_out_and_say_why() {
        let wanted = [measure("errors")];
        for (bad, why) in [
            (Ok(answer(&[], at(0))), "0 samples in place of one"),
            (Ok(answer(&[1.0, 2.0], at(0))), "2 samples in place of one"),
            (Ok(answer(&[f64::NAN], at(0))), "the answer is NaN"),
            (Ok(answer(&[1.0], at(-60_000))), "it was evaluated 60000 ms"),
            (Err("refused".to_owned()), "refused"),
        ] {
            let mut measurer = Measurer::new(MeasureTimes::default(), 1_000);
            round(&mut measurer, &wanted, at(0), |_| bad.clone());
            let told = measurer.measured(at(0)).remove(&wanted[0].id).unwrap();
            assert_eq!((told.value, told.mean), (None, None));
            assert!(told.why.as_ref().unwrap().starts_with(why), "{told:?}");
        }
    }

    #[test]
    fn a_number_outlives_a_moment_without_prometheus_and_no_more() {
        let wanted = [measure("errors")];
        let mut measurer = Measurer::new(MeasureTimes::default(), 1_000);
        round(&mut measurer, &wanted, at(0), |_| Ok(answer(&[1.0], at(0))));
        round(&mut measurer, &wanted, at(60_000), |_| Err("refused".to_owned()));
        let told = |at_ms| measurer.measured(at(at_ms)).remove(&wanted[0].id).unwrap();
        assert_eq!(told(60_000).value, Some(1.0));
        let old = told(181_000);
        assert_eq!((old.value, old.why.as_deref()), (None, Some("refused")));
    }

    #[test]
    fn what_is_wanted_no_more_is_forgotten_and_too_much_is_not_taken_on() {
        let (one, other) = (measure("a"), measure("b"));
        let mut measurer = Measurer::new(MeasureTimes::default(), 1_000);
        round(&mut measurer, &[one, other.clone()], at(0), |_| Ok(answer(&[1.0], at(0))));
        assert_eq!(measurer.next(std::slice::from_ref(&other), at(1)), None);
        let left: Vec<MeasureId> = measurer.measured(at(1)).into_keys().collect();
        assert_eq!(left, std::slice::from_ref(&other.id));
        assert_eq!(within_bounds(&vec![other.clone(); 100]).len(), Measure::MAX);
        let long = Measure { query: "x".repeat(Measure::MAX_QUERY_BYTES + 1), ..other };
        assert_eq!(within_bounds(&[long]), []);
    }

    #[test]
    fn queries_keep_their_distance() {
        let wanted = [measure("a"), measure("b")];
        let mut measurer = Measurer::new(MeasureTimes::default(), 1_000);
        assert!(measurer.next(&wanted, at(0)).is_some());
        assert!(measurer.next(&wanted, at(249)).is_none());
        assert!(measurer.next(&wanted, at(250)).is_some());
    }
}
