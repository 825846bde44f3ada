//! Which risk's query is asked when: at most one a second, none again before its answer is an hour
//! old, the one that waited longest first.
//!
//! Pure. The figures are those of OpenShift's cluster version operator, which protects the cluster's
//! Prometheus the same way; only a query that failed is asked again sooner than there, because a
//! moment without Prometheus must not leave a cluster in doubt for an hour.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::phase::elapsed_ms;
use crate::plan::{RiskAnswer, RiskAnswers, RiskOutcome};

/// Queries remembered. A channel of OpenShift has some dozens; what goes beyond is asked in turn.
const QUERIES_MAX: usize = 512;

/// The pace of questions, milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AskerTimes {
    /// Least time between two queries.
    pub between_ms: u64,
    /// Age at which an answer is asked for again.
    pub refresh_ms: u64,
    /// The same for a query that failed.
    pub retry_ms: u64,
    /// An answer that nobody has wanted for this long is forgotten.
    pub forget_ms: u64,
}

impl Default for AskerTimes {
    fn default() -> Self {
        Self {
            between_ms: 1_000,
            refresh_ms: 3_600_000,
            retry_ms: 60_000,
            forget_ms: 24 * 3_600_000,
        }
    }
}

impl AskerTimes {
    /// Age at which an answer no longer counts: two refreshes were missed.
    pub fn answer_max_ms(&self) -> u64 {
        self.refresh_ms.saturating_mul(2)
    }
}

#[derive(Debug)]
struct Entry {
    answer: RiskAnswer,
    wanted_at: Timestamp,
}

/// Remembers answers, and says what to ask next.
#[derive(Debug)]
pub struct Asker {
    times: AskerTimes,
    entries: BTreeMap<String, Entry>,
    last_asked: Option<Timestamp>,
}

impl Asker {
    /// Knows nothing yet.
    pub fn new(times: AskerTimes) -> Self {
        Self { times, entries: BTreeMap::new(), last_asked: None }
    }

    /// The query to ask now, if one is due. Asking counts from here, whatever comes of it.
    pub fn next(&mut self, questions: &BTreeSet<String>, now: Timestamp) -> Option<String> {
        self.note_wanted(questions, now);
        // A clock that went back must not stop the questions.
        let paused = self
            .last_asked
            .is_some_and(|last| last <= now && elapsed_ms(last, now) < self.times.between_ms);
        if paused {
            return None;
        }
        let query = questions
            .iter()
            .filter(|query| self.is_due(query, now))
            .min_by_key(|query| self.entries.get(*query).map(|entry| entry.answer.at))?;
        self.last_asked = Some(now);
        Some(query.clone())
    }

    /// Takes what came of a query.
    pub fn take(&mut self, query: String, outcome: RiskOutcome, now: Timestamp) {
        let answer = RiskAnswer { outcome, at: now };
        self.entries.insert(query, Entry { answer, wanted_at: now });
        while self.entries.len() > QUERIES_MAX {
            let unwanted = self.entries.iter().min_by_key(|(_, entry)| entry.wanted_at);
            let Some(query) = unwanted.map(|(query, _)| query.clone()) else { return };
            self.entries.remove(&query);
        }
    }

    /// All answers there are.
    pub fn answers(&self) -> RiskAnswers {
        let by_query =
            self.entries.iter().map(|(query, entry)| (query.clone(), entry.answer.clone()));
        RiskAnswers {
            asked: true,
            max_age_ms: self.times.answer_max_ms(),
            by_query: by_query.collect(),
        }
    }

    fn is_due(&self, query: &str, now: Timestamp) -> bool {
        let Some(Entry { answer, .. }) = self.entries.get(query) else { return true };
        let period_ms = match answer.outcome {
            RiskOutcome::Matches | RiskOutcome::Clear => self.times.refresh_ms,
            RiskOutcome::Failed { .. } => self.times.retry_ms,
        };
        answer.at > now || elapsed_ms(answer.at, now) >= period_ms
    }

    fn note_wanted(&mut self, questions: &BTreeSet<String>, now: Timestamp) {
        for query in questions {
            if let Some(entry) = self.entries.get_mut(query) {
                entry.wanted_at = now;
            }
        }
        let forget_ms = self.times.forget_ms;
        self.entries.retain(|_, entry| elapsed_ms(entry.wanted_at, now) < forget_ms);
    }
}
