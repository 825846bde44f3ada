//! Gates of the operator's own: a query, what it must answer, and for how long.
//!
//! Pure: answers and `now` in, gates out. Three-valued: a gate that holds is silent, one that fails
//! or cannot be told is a finding.

use jiff::Timestamp;

use super::answer::Answer;
use super::expect::{Comparison, Empty, Expect, Judged};
use super::matcher::Matchers;
use crate::observation::{ClusterGate, Finding, GateScope};
use crate::phase::elapsed_ms;

/// One gate as configured.
#[derive(Debug, Clone, PartialEq)]
pub struct GateRule {
    /// Its name, for people.
    pub name: String,
    /// The query.
    pub query: String,
    /// What its answer must be.
    pub expect: Expect,
    /// What an answer without samples means.
    pub empty: Empty,
    /// How long it must have held without a gap, milliseconds.
    pub for_ms: u64,
    /// Whose units it concerns.
    pub scope: GateScope,
    /// Whether a roll under way pauses when it fails.
    pub stops: bool,
    /// For how long it must have failed before it pauses a roll, milliseconds.
    pub stops_after_ms: u64,
    /// What proves that the numbers are not from the past.
    pub fresh: Fresh,
}

/// What proves that the series behind a query are alive. An instant query answers with samples of
/// up to five minutes ago as if they were of this moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fresh {
    /// Matchers of `up`: there must be such targets, and every one of them must be scraped well.
    pub up: Option<Matchers>,
    /// A selector whose newest samples must be young; every series counts.
    pub newest: Option<String>,
    /// How young, milliseconds.
    pub max_age_ms: u64,
}

impl Fresh {
    /// The query whose every sample must be 1.
    pub fn up_query(&self) -> Option<String> {
        self.up.as_ref().map(|matchers| format!("up{{{matchers}}}"))
    }

    /// The query that answers with the age of samples in seconds.
    pub fn age_query(&self) -> Option<String> {
        self.newest.as_ref().map(|selector| format!("time() - timestamp({selector})"))
    }
}

/// The answers to one gate's queries; errors as people read them.
#[derive(Debug, Default)]
pub struct GateAnswers {
    /// To [`GateRule::query`].
    pub value: Option<Result<Answer, String>>,
    /// To [`Fresh::up_query`].
    pub up: Option<Result<Answer, String>>,
    /// To [`Fresh::age_query`].
    pub age: Option<Result<Answer, String>>,
}

/// What must be remembered of a gate between looks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GateMemory {
    /// Since when it holds.
    holds_since: Option<Timestamp>,
    /// Since when it has not held, as far as it could be told.
    fails_since: Option<Timestamp>,
}

impl GateRule {
    /// Judges one look: `None` = the gate holds, and long enough.
    pub fn judge(
        &self,
        answers: &GateAnswers,
        memory: &mut GateMemory,
        skew_ms: u64,
        now: Timestamp,
    ) -> Option<ClusterGate> {
        let judged = self.verdict(answers, skew_ms, now);
        match judged {
            Judged::Holds => {
                memory.fails_since = None;
                // A clock that went back begins the wait again.
                let since = memory.holds_since.filter(|since| *since <= now).unwrap_or(now);
                memory.holds_since = Some(since);
                let held_ms = elapsed_ms(since, now);
                let why = format!("it has held for {held_ms} ms of {} ms", self.for_ms);
                (held_ms < self.for_ms).then(|| self.unknown(why))
            }
            Judged::Fails { why, observed, limit } => {
                memory.holds_since = None;
                let since = memory.fails_since.filter(|since| *since <= now).unwrap_or(now);
                memory.fails_since = Some(since);
                let stops = self.stops && elapsed_ms(since, now) >= self.stops_after_ms;
                let gate = self.name.clone();
                let finding = Finding::QueryFails { gate, why, observed, limit };
                Some(ClusterGate { scope: self.scope.clone(), finding, stops })
            }
            Judged::Unknown { why } => {
                // Nobody saw it recover, so what failed before still has.
                memory.holds_since = None;
                Some(self.unknown(why))
            }
        }
    }

    /// The gate when it cannot be told.
    pub fn unknown(&self, why: String) -> ClusterGate {
        let finding = Finding::QueryUnknown { gate: self.name.clone(), why };
        ClusterGate { scope: self.scope.clone(), finding, stops: self.stops }
    }

    fn verdict(&self, answers: &GateAnswers, skew_ms: u64, now: Timestamp) -> Judged {
        if self.fresh.up.is_some() {
            let all_up = Expect::Each(Comparison::Equal, 1.0);
            let what = "whether its targets are scraped";
            if let Some(unknown) = proof(&all_up, answers.up.as_ref(), what, skew_ms, now) {
                return unknown;
            }
        }
        if self.fresh.newest.is_some() {
            let limit_s = crate::phase::number(self.fresh.max_age_ms) / 1000.0;
            let young = Expect::Each(Comparison::AtMost, limit_s);
            let what = "how old its samples are";
            if let Some(unknown) = proof(&young, answers.age.as_ref(), what, skew_ms, now) {
                return unknown;
            }
        }
        match &answers.value {
            None => Judged::unknown("it has not been asked yet"),
            Some(Err(why)) => Judged::unknown(why.clone()),
            Some(Ok(answer)) => self.expect.judge(answer, self.empty, skew_ms, now),
        }
    }
}

/// Why the numbers prove nothing; `None` if they are alive.
fn proof(
    expect: &Expect,
    answer: Option<&Result<Answer, String>>,
    what: &str,
    skew_ms: u64,
    now: Timestamp,
) -> Option<Judged> {
    let judged = match answer {
        None => Judged::unknown("it has not been asked yet"),
        Some(Err(why)) => Judged::unknown(why.clone()),
        Some(Ok(answer)) => expect.judge(answer, Empty::Unknown, skew_ms, now),
    };
    match judged {
        Judged::Holds => None,
        Judged::Fails { why, .. } | Judged::Unknown { why } => {
            Some(Judged::Unknown { why: format!("{what}: {why}") })
        }
    }
}
