//! What an operator expects of a query's answer, and what the answer says to it.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;

use super::answer::{Answer, Point, Sample, Value};
use crate::phase::elapsed_ms;

/// Why an expectation cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a comparison like \">= 0.99\" (>=, >, <=, <, ==, !=)")]
pub struct ExpectError {
    /// What was written.
    text: String,
}

/// How an observed number is compared with the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// At least.
    AtLeast,
    /// More than.
    Above,
    /// At most.
    AtMost,
    /// Less than.
    Below,
    /// Exactly.
    Equal,
    /// Anything but.
    Unequal,
}

const COMPARISONS: [(&str, Comparison); 6] = [
    (">=", Comparison::AtLeast),
    ("<=", Comparison::AtMost),
    ("==", Comparison::Equal),
    ("!=", Comparison::Unequal),
    (">", Comparison::Above),
    ("<", Comparison::Below),
];

/// What every sample of the answer must be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Expect {
    /// Exactly one sample: 1 holds, 0 fails, as the rules of a risk are written.
    OneIsTrue,
    /// Each number compared with a limit.
    Each(Comparison, f64),
}

impl FromStr for Expect {
    type Err = ExpectError;

    fn from_str(text: &str) -> Result<Self, ExpectError> {
        let wrong = || ExpectError { text: text.chars().take(60).collect() };
        let trimmed = text.trim();
        let (sign, comparison) =
            COMPARISONS.iter().find(|(sign, _)| trimmed.starts_with(sign)).ok_or_else(wrong)?;
        let number = trimmed.strip_prefix(sign).unwrap_or_default().trim();
        let limit: f64 = number.parse().map_err(|_| wrong())?;
        if !limit.is_finite() {
            return Err(wrong());
        }
        Ok(Self::Each(*comparison, limit))
    }
}

impl fmt::Display for Expect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OneIsTrue => f.pad("one sample of value 1"),
            Self::Each(comparison, limit) => {
                let sign = COMPARISONS.iter().find(|(_, c)| c == comparison).map_or("", |(s, _)| s);
                write!(f, "{sign} {limit}")
            }
        }
    }
}

/// What an answer without samples means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Empty {
    /// Nothing is known: the series may be gone.
    #[default]
    Unknown,
    /// The query selects what is wrong, and nothing is.
    Holds,
    /// The query selects what must be there, and it is not.
    Fails,
}

/// What an answer says to an expectation.
#[derive(Debug, Clone, PartialEq)]
pub enum Judged {
    /// It is met.
    Holds,
    /// It is not.
    Fails {
        /// By what.
        why: String,
        /// The number observed, where there is one.
        observed: Option<f64>,
        /// The number it is compared with.
        limit: Option<f64>,
    },
    /// It cannot be told.
    Unknown {
        /// Why not.
        why: String,
    },
}

impl Judged {
    pub(super) fn unknown(why: impl Into<String>) -> Self {
        Self::Unknown { why: why.into() }
    }
}

impl Expect {
    /// Judges an answer evaluated `skew_ms` from `now` at most.
    pub fn judge(&self, answer: &Answer, empty: Empty, skew_ms: u64, now: Timestamp) -> Judged {
        let samples = match numbers(answer) {
            Ok(samples) => samples,
            Err(why) => return Judged::Unknown { why },
        };
        if let Some(why) = samples.iter().find_map(|(_, point)| away(*point, skew_ms, now)) {
            return Judged::Unknown { why };
        }
        if samples.is_empty() {
            return match empty {
                Empty::Unknown => Judged::unknown("the answer has no sample"),
                Empty::Holds => Judged::Holds,
                Empty::Fails => Judged::Fails {
                    why: "the answer has no sample".to_owned(),
                    observed: None,
                    limit: None,
                },
            };
        }
        match self {
            Self::OneIsTrue => one_is_true(&samples),
            Self::Each(comparison, limit) => self.each(&samples, *comparison, *limit),
        }
    }

    fn each(&self, samples: &[(String, Point)], comparison: Comparison, limit: f64) -> Judged {
        if let Some((name, _)) = samples.iter().find(|(_, point)| point.value.is_nan()) {
            return Judged::Unknown { why: format!("{name}the number is NaN") };
        }
        match samples.iter().find(|(_, point)| !comparison.met(point.value, limit)) {
            None => Judged::Holds,
            Some((name, point)) => Judged::Fails {
                why: format!("{name}observed {}, expected {self}", point.value),
                observed: Some(point.value),
                limit: Some(limit),
            },
        }
    }
}

impl Comparison {
    /// Whether `observed` is as the comparison with `limit` wants it; NaN never is.
    pub(super) fn met(self, observed: f64, limit: f64) -> bool {
        let Some(ordering) = observed.partial_cmp(&limit) else { return false };
        match self {
            Self::AtLeast => ordering != Ordering::Less,
            Self::Above => ordering == Ordering::Greater,
            Self::AtMost => ordering != Ordering::Greater,
            Self::Below => ordering == Ordering::Less,
            Self::Equal => ordering == Ordering::Equal,
            Self::Unequal => ordering != Ordering::Equal,
        }
    }
}

/// What a number of a yes-or-no query says.
pub(super) fn yes_or_no(value: f64) -> Option<bool> {
    if Comparison::Equal.met(value, 1.0) {
        return Some(true);
    }
    Comparison::Equal.met(value, 0.0).then_some(false)
}

fn one_is_true(samples: &[(String, Point)]) -> Judged {
    let [(_, point)] = samples else {
        return Judged::Unknown { why: format!("{} samples in place of one", samples.len()) };
    };
    match yes_or_no(point.value) {
        Some(true) => Judged::Holds,
        Some(false) => Judged::Fails {
            why: "the query answers 0".to_owned(),
            observed: Some(point.value),
            limit: Some(1.0),
        },
        None => Judged::Unknown { why: format!("{} is neither 0 nor 1", point.value) },
    }
}

/// The numbers of an instant query, each with the name of its series and a colon.
pub(super) fn numbers(answer: &Answer) -> Result<Vec<(String, Point)>, String> {
    match &answer.value {
        Value::Scalar(point) => Ok(vec![(String::new(), *point)]),
        Value::Vector(samples) => samples
            .iter()
            .map(|sample| {
                let point = sample.point.ok_or_else(|| "the answer is a histogram".to_owned())?;
                Ok((named(sample), point))
            })
            .collect(),
        Value::Matrix(_) | Value::Text(_) => {
            Err(format!("the answer is a {}, not a vector or scalar", answer.value.kind()))
        }
    }
}

/// Most labels of a series that a message shows.
const LABELS_SHOWN_MAX: usize = 4;

fn named(sample: &Sample) -> String {
    let labels: Vec<String> = sample
        .labels
        .iter()
        .take(LABELS_SHOWN_MAX)
        .map(|(name, value)| format!("{name}={value:?}"))
        .collect();
    if labels.is_empty() { String::new() } else { format!("{{{}}}: ", labels.join(",")) }
}

/// Why a sample was not evaluated near `now`: an answer out of a cache, or clocks apart.
pub(super) fn away(point: Point, skew_ms: u64, now: Timestamp) -> Option<String> {
    let (early, late) = if point.at <= now { (point.at, now) } else { (now, point.at) };
    let apart_ms = elapsed_ms(early, late);
    (apart_ms > skew_ms).then(|| {
        format!("it was evaluated {apart_ms} ms from the agent's time, limit {skew_ms} ms")
    })
}
