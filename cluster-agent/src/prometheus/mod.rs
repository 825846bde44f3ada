//! What the cluster's own Prometheus (or Thanos) says: risks, firing alerts, gates of the operator's,
//! what the hub wants measured, and removed APIs that are still in use.
//!
//! `client` asks, `answer` reads, and everything that judges is pure. The questions run in tasks of
//! their own (`task`), so that a slow Prometheus never delays a probe. An answer that is missing,
//! partial, old or of the wrong shape is *unknown*: it keeps the next unit from going, it never lets
//! one go, and it never stops a roll that is under way.

mod alert;
mod answer;
mod asker;
mod client;
mod deprecated;
mod deprecated_task;
mod error;
mod expect;
mod gate;
mod matcher;
mod material;
mod measure;
mod risk;
mod task;
#[cfg(test)]
mod tests;

pub use alert::AlertRule;
pub use answer::{Answer, AnswerError, Point, Sample, Series, Value};
pub use asker::{Asker, AskerTimes};
pub use client::{Client, Endpoint};
pub use deprecated::{ApiAnswers, ApiCheck, ApiKind, ApiSubject};
pub use error::QueryError;
pub use expect::{Comparison, Empty, Expect, ExpectError, Judged};
pub use gate::{Fresh, GateAnswers, GateMemory, GateRule};
pub use matcher::{MatcherError, Matchers};
pub use material::MaterialPaths;
pub use measure::{MeasureTimes, Measurer, Part, within_bounds};
pub use risk::risk_outcome;
pub use task::{Prometheus, PrometheusSettings};
