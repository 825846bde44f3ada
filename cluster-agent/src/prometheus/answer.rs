//! The body of an answer of `/api/v1/query`, read into typed values.
//!
//! Never judges values. A warning makes the whole answer unusable: it is how Prometheus and Thanos
//! say that a part of the data is missing.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

/// How much of a message of the server's goes into an error.
const MESSAGE_CHARS_MAX: usize = 300;

/// A whole answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// What came.
    pub value: Value,
    /// Remarks on the query that say nothing against the answer.
    pub infos: Vec<String>,
}

/// A value of one of Prometheus's four types.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Series with one sample each.
    Vector(Vec<Sample>),
    /// A number.
    Scalar(Point),
    /// Series with several samples each.
    Matrix(Vec<Series>),
    /// Text.
    Text(String),
}

impl Value {
    /// The name of its type in Prometheus.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Vector(_) => "vector",
            Self::Scalar(_) => "scalar",
            Self::Matrix(_) => "matrix",
            Self::Text(_) => "string",
        }
    }
}

/// One series of a vector.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Its labels, `__name__` among them.
    pub labels: BTreeMap<String, String>,
    /// Its number; `None` for a native histogram.
    pub point: Option<Point>,
}

impl Sample {
    /// A label's value; empty if it has no such label, as in PromQL.
    pub fn label(&self, name: &str) -> &str {
        self.labels.get(name).map_or("", String::as_str)
    }
}

/// One series of a matrix.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its numbers, oldest first.
    pub points: Vec<Point>,
}

/// A number at a time (Prometheus's clock).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// When; for an instant query, the time it was evaluated at.
    pub at: Timestamp,
    /// The number; may be NaN or infinite.
    pub value: f64,
}

/// Why a body is no usable answer.
#[derive(Debug, thiserror::Error)]
pub enum AnswerError {
    /// Not the JSON that Prometheus answers with.
    #[error("it is not the JSON of an answer")]
    Json(#[source] serde_json::Error),
    /// It says that it failed.
    #[error("it failed: {kind}: {message}")]
    Failed {
        /// Its `errorType`.
        kind: String,
        /// Its words, shortened.
        message: String,
    },
    /// It says that it succeeded, and holds nothing.
    #[error("it holds no data")]
    NoData,
    /// It says that something is missing from it.
    #[error("it is not complete: {warning}")]
    Warning {
        /// The first warning, shortened.
        warning: String,
    },
    /// A number that is none.
    #[error("it holds {found:?} in place of a number")]
    NotANumber {
        /// What stands there, shortened.
        found: String,
    },
    /// A time outside what can be told.
    #[error("it holds a sample at {seconds} s, which is no time")]
    NotATime {
        /// What stands there.
        seconds: f64,
    },
}

/// The envelope on the wire; unknown members are ignored.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope {
    status: String,
    data: Option<Data>,
    error_type: Option<String>,
    error: Option<String>,
    #[serde(default)]
    warnings: Vec<String>,
    #[serde(default)]
    infos: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "resultType", content = "result", rename_all = "lowercase")]
enum Data {
    Vector(Vec<VectorItem>),
    Scalar((f64, String)),
    Matrix(Vec<MatrixItem>),
    String((f64, String)),
}

#[derive(Debug, Deserialize)]
struct VectorItem {
    #[serde(default)]
    metric: BTreeMap<String, String>,
    value: Option<(f64, String)>,
}

#[derive(Debug, Deserialize)]
struct MatrixItem {
    #[serde(default)]
    metric: BTreeMap<String, String>,
    #[serde(default)]
    values: Vec<(f64, String)>,
}

/// Reads a body that came with status 200.
pub(super) fn read(body: &[u8]) -> Result<Answer, AnswerError> {
    let envelope: Envelope = serde_json::from_slice(body).map_err(AnswerError::Json)?;
    if envelope.status != "success" {
        let (kind, message) = refusal(envelope);
        return Err(AnswerError::Failed { kind, message });
    }
    if let Some(warning) = envelope.warnings.first() {
        return Err(AnswerError::Warning { warning: shortened(warning) });
    }
    let value = match envelope.data.ok_or(AnswerError::NoData)? {
        Data::Vector(items) => {
            Value::Vector(items.into_iter().map(sample).collect::<Result<_, _>>()?)
        }
        Data::Scalar(pair) => Value::Scalar(point(&pair)?),
        Data::Matrix(items) => {
            Value::Matrix(items.into_iter().map(series).collect::<Result<_, _>>()?)
        }
        Data::String((_, text)) => Value::Text(text),
    };
    let infos = envelope.infos.iter().map(|info| shortened(info)).collect();
    Ok(Answer { value, infos })
}

/// Type and words of a refusal, if the body is one.
pub(super) fn read_refusal(body: &[u8]) -> Option<(String, String)> {
    let envelope: Envelope = serde_json::from_slice(body).ok()?;
    (envelope.status == "error").then(|| refusal(envelope))
}

fn refusal(envelope: Envelope) -> (String, String) {
    let kind = envelope.error_type.unwrap_or_else(|| "unknown".to_owned());
    let message = envelope.error.unwrap_or_else(|| "no reason given".to_owned());
    (shortened(&kind), shortened(&message))
}

fn sample(item: VectorItem) -> Result<Sample, AnswerError> {
    let point = item.value.as_ref().map(point).transpose()?;
    Ok(Sample { labels: item.metric, point })
}

fn series(item: MatrixItem) -> Result<Series, AnswerError> {
    let points = item.values.iter().map(point).collect::<Result<_, _>>()?;
    Ok(Series { labels: item.metric, points })
}

fn point((seconds, text): &(f64, String)) -> Result<Point, AnswerError> {
    let at = SignedDuration::try_from_secs_f64(*seconds)
        .ok()
        .and_then(|since| Timestamp::from_duration(since).ok())
        .ok_or(AnswerError::NotATime { seconds: *seconds })?;
    let value = text.parse().map_err(|_| AnswerError::NotANumber { found: shortened(text) })?;
    Ok(Point { at, value })
}

/// Words of the server's, safe to show on one line.
fn shortened(text: &str) -> String {
    let printable = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().map(printable).take(MESSAGE_CHARS_MAX).collect()
}
