//! What an answer says to a PromQL rule of a risk, exactly as OpenShift's cluster version operator
//! reads it: a vector of one sample, 1 = the cluster is exposed, 0 = it is not, all else an error.

use super::answer::{Answer, Value};
use super::expect::yes_or_no;
use crate::plan::RiskOutcome;

/// Judges the answer of a risk's query. Everything but a clear 0 leaves the risk standing.
pub fn risk_outcome(answer: &Answer) -> RiskOutcome {
    let failed = |why: String| RiskOutcome::Failed { why };
    let Value::Vector(samples) = &answer.value else {
        return failed(format!("the answer is a {}, not a vector", answer.value.kind()));
    };
    let [sample] = samples.as_slice() else {
        return failed(format!("the answer has {} samples in place of one", samples.len()));
    };
    let Some(point) = sample.point else {
        return failed("the answer is a histogram".to_owned());
    };
    match yes_or_no(point.value) {
        Some(true) => RiskOutcome::Matches,
        Some(false) => RiskOutcome::Clear,
        None => failed(format!("the answer is {}, neither 0 nor 1", point.value)),
    }
}
