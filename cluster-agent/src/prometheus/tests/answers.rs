//! Bodies of `/api/v1/query`.

use proptest::prelude::*;

use super::{NOW_S, now, scalar, success, vector};
use crate::plan::RiskOutcome;
use crate::prometheus::answer::{AnswerError, Value, read, read_refusal};
use crate::prometheus::risk_outcome;

fn refused(body: &str) -> AnswerError {
    read(body.as_bytes()).unwrap_err()
}

#[test]
fn the_four_types_are_read_with_their_labels_and_times() {
    let Value::Vector(samples) = vector(&[(r#"{"job":"a"}"#, "1.5")]).value else { panic!() };
    assert_eq!((samples[0].label("job"), samples[0].label("gone")), ("a", ""));
    assert_eq!(samples[0].point.unwrap().at, now());
    assert!(matches!(scalar("2").value, Value::Scalar(point) if point.value > 1.9));
    let matrix = r#"{"resultType":"matrix","result":[{"metric":{},"values":[[1.5,"1"],[2,"2"]]}]}"#;
    let Value::Matrix(series) = success(matrix).value else { panic!() };
    assert_eq!(series[0].points.len(), 2);
    assert_eq!(series[0].points[0].at.as_millisecond(), 1500);
    let text = success(r#"{"resultType":"string","result":[1,"x"]}"#).value;
    assert_eq!(text, Value::Text("x".to_owned()));
}

#[test]
fn numbers_are_read_as_prometheus_writes_them() {
    for (text, expected) in
        [("+Inf", f64::INFINITY), ("-Inf", f64::NEG_INFINITY), ("1e+09", 1e9), ("-0", 0.0)]
    {
        let Value::Scalar(point) = scalar(text).value else { panic!() };
        assert_eq!(point.value.partial_cmp(&expected), Some(std::cmp::Ordering::Equal), "{text}");
    }
    let Value::Scalar(point) = scalar("NaN").value else { panic!() };
    assert!(point.value.is_nan());
}

#[test]
fn a_native_histogram_has_no_number() {
    let answer = success(
        r#"{"resultType":"vector","result":[{"metric":{},"histogram":[1,{"count":"3","sum":"1"}]}]}"#,
    );
    let Value::Vector(samples) = &answer.value else { panic!() };
    assert_eq!(samples[0].point, None);
    assert!(
        matches!(risk_outcome(&answer), RiskOutcome::Failed { why } if why.contains("histogram"))
    );
}

#[test]
fn a_warning_makes_the_answer_incomplete_and_an_info_does_not() {
    let body = |extra: &str| {
        format!(
            r#"{{"status":"success","data":{{"resultType":"scalar","result":[{NOW_S},"1"]}}{extra}}}"#
        )
    };
    let error = refused(&body(r#","warnings":["store gateway is away"]"#));
    assert!(
        matches!(&error, AnswerError::Warning { warning } if warning == "store gateway is away")
    );
    let answer =
        read(body(r#","infos":["it might not be a counter"],"new":1"#).as_bytes()).unwrap();
    assert_eq!(answer.infos, ["it might not be a counter"]);
}

#[test]
fn what_is_no_answer_is_refused_by_what_it_is() {
    assert!(matches!(refused("{\"status\":\"succ"), AnswerError::Json(_)));
    assert!(matches!(refused("<html>"), AnswerError::Json(_)));
    assert!(matches!(refused(r#"{"status":"success"}"#), AnswerError::NoData));
    let other = r#"{"status":"success","data":{"resultType":"streams","result":[]}}"#;
    assert!(matches!(refused(other), AnswerError::Json(_)));
    let failed = r#"{"status":"error","errorType":"execution","error":"too many\nsamples"}"#;
    assert!(matches!(
        refused(failed),
        AnswerError::Failed { kind, message } if kind == "execution" && message == "too many samples"
    ));
    let number = r#"{"status":"success","data":{"resultType":"scalar","result":[1,"one"]}}"#;
    assert!(matches!(refused(number), AnswerError::NotANumber { found } if found == "one"));
    let time = r#"{"status":"success","data":{"resultType":"scalar","result":[1e300,"1"]}}"#;
    assert!(matches!(refused(time), AnswerError::NotATime { .. }));
    assert_eq!(read_refusal(br#"{"status":"success"}"#), None);
}

#[test]
fn a_risks_answer_is_a_vector_of_one_that_is_0_or_1() {
    let outcome = |samples: &[(&str, &str)]| risk_outcome(&vector(samples));
    assert_eq!(outcome(&[("{}", "1")]), RiskOutcome::Matches);
    assert_eq!(outcome(&[("{}", "0")]), RiskOutcome::Clear);
    let why = |outcome| match outcome {
        RiskOutcome::Failed { why } => why,
        RiskOutcome::Matches | RiskOutcome::Clear => panic!("{outcome:?}"),
    };
    assert_eq!(why(outcome(&[])), "the answer has 0 samples in place of one");
    let two = [(r#"{"a":"1"}"#, "0"), (r#"{"a":"2"}"#, "0")];
    assert_eq!(why(outcome(&two)), "the answer has 2 samples in place of one");
    for odd in ["0.5", "NaN", "+Inf", "-1", "2"] {
        assert!(why(outcome(&[("{}", odd)])).contains("neither 0 nor 1"), "{odd}");
    }
    assert_eq!(why(risk_outcome(&scalar("0"))), "the answer is a scalar, not a vector");
}

proptest! {
    #[test]
    fn no_body_makes_the_reader_panic(body in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = read(&body);
        let _ = read_refusal(&body);
    }

    #[test]
    fn no_damage_to_an_answer_makes_it_another_number(cut in 0_usize..90, flip in any::<u8>()) {
        let body = br#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1,"1"]}]}}"#;
        // Cut short, it is never read as an answer.
        prop_assert!(read(&body[..cut.min(body.len() - 1)]).is_err());
        let mut damaged = body.to_vec();
        let at = cut.min(body.len() - 1);
        damaged[at] ^= flip;
        if let Ok(answer) = read(&damaged) {
            // What still reads is judged like any other answer, without a panic.
            let _ = risk_outcome(&answer);
        }
    }
}
