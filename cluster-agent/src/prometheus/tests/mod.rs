//! Answers as Prometheus writes them, and what the parts make of them.

mod alerts;
mod answers;
mod apis;
mod asking;
pub(in crate::prometheus) mod faults;
mod gates;
mod material;

use jiff::Timestamp;

use super::Answer;
use super::answer::read;

/// When everything in these tests is evaluated, Unix seconds.
const NOW_S: i64 = 1_800_000_000;

/// How far an evaluation may be from that.
const SKEW_MS: u64 = 60_000;

fn now() -> Timestamp {
    after_s(0)
}

fn after_s(seconds: i64) -> Timestamp {
    Timestamp::from_second(NOW_S + seconds).unwrap()
}

/// A vector whose samples are evaluated at [`now`]: labels as JSON, and the number as text.
fn vector(samples: &[(&str, &str)]) -> Answer {
    vector_at(NOW_S, samples)
}

fn vector_at(second: i64, samples: &[(&str, &str)]) -> Answer {
    let items: Vec<String> = samples
        .iter()
        .map(|(labels, value)| format!(r#"{{"metric":{labels},"value":[{second},"{value}"]}}"#))
        .collect();
    let data = format!(r#"{{"resultType":"vector","result":[{}]}}"#, items.join(","));
    success(&data)
}

fn scalar(value: &str) -> Answer {
    success(&format!(r#"{{"resultType":"scalar","result":[{NOW_S},"{value}"]}}"#))
}

fn success(data: &str) -> Answer {
    read(format!(r#"{{"status":"success","data":{data}}}"#).as_bytes()).unwrap()
}
