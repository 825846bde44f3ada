//! Each way in which `prometheus-parse` mangles valid or broken lines (telemetry.md §2): the crate
//! is shown to do it, and the filter is shown to refuse it. A crate that is repaired fails here.

use prometheus_parse::{Scrape, Value};

use crate::telemetry::{FamilyKind, FamilyReading, Page, Wanted};

/// What the crate alone makes of a page: name, labels, number and timestamp of each plain sample.
fn crate_alone(text: &str) -> Vec<(String, Vec<(String, String)>, f64, i64)> {
    let lines = text.lines().map(|line| Ok(line.to_owned()));
    let scrape = Scrape::parse_at(lines, Default::default()).unwrap();
    scrape
        .samples
        .into_iter()
        .map(|sample| {
            let mut labels: Vec<_> = (*sample.labels).clone().into_iter().collect();
            labels.sort();
            let number = match sample.value {
                Value::Counter(n) | Value::Gauge(n) | Value::Untyped(n) => n,
                Value::Histogram(_) | Value::Summary(_) => f64::NAN,
            };
            (sample.metric, labels, number, sample.timestamp.timestamp_millis())
        })
        .collect()
}

fn refusal(text: &str, family: &str, kind: FamilyKind) -> String {
    let page = Page::read(text.as_bytes(), &Wanted::new([(family, kind)]).unwrap()).unwrap();
    match page.family(family) {
        FamilyReading::Unreadable { why, line_no } => {
            assert_eq!(*line_no, 1);
            why.clone()
        }
        other => panic!("{text:?} was not refused but {other:?}"),
    }
}

fn refused(text: &str) -> String {
    refusal(text, "foo", FamilyKind::Number)
}

fn labels_by_crate(text: &str) -> Vec<(String, String)> {
    let mut samples = crate_alone(text);
    assert_eq!(samples.len(), 1, "{text:?}");
    samples.remove(0).1
}

fn pair(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

#[test]
fn names_with_a_colon_are_dropped_by_the_crate_and_refused_here() {
    let text = "cluster:usage:sum 3\n";
    assert!(crate_alone(text).is_empty());
    let why = refusal(text, "cluster:usage:sum", FamilyKind::Number);
    assert_eq!(why, "the name holds ':'");
}

#[test]
fn empty_braces_are_dropped_by_the_crate_and_refused_here() {
    assert!(crate_alone("foo{} 1\n").is_empty());
    assert_eq!(refused("foo{} 1\n"), "the braces are empty");
}

const IN_VALUE: &str = "a label value holds ',', '=', '}' or a backslash";

#[test]
fn a_brace_in_a_label_value_is_dropped_by_the_crate_and_refused_here() {
    let text = "foo{path=\"/api/{id}\"} 1\n";
    assert!(crate_alone(text).is_empty());
    assert_eq!(refused(text), IN_VALUE);
}

#[test]
fn a_comma_in_a_label_value_is_cut_by_the_crate_and_refused_here() {
    let text = "foo{a=\"x,y\"} 1\n";
    assert_eq!(labels_by_crate(text), [pair("a", "x")]);
    assert_eq!(refused(text), IN_VALUE);
}

#[test]
fn an_equals_sign_in_a_label_value_loses_the_label_in_the_crate_and_is_refused_here() {
    let text = "foo{a=\"x=y\"} 1\n";
    assert!(labels_by_crate(text).is_empty());
    assert_eq!(refused(text), IN_VALUE);
}

#[test]
fn escapes_are_left_raw_by_the_crate_and_refused_here() {
    let backslash = r#"foo{a="x\\y"} 1"#.to_owned() + "\n";
    assert_eq!(labels_by_crate(&backslash), [pair("a", r"x\\y")]);
    assert_eq!(refused(&backslash), IN_VALUE);
    let quote = r#"foo{a="\""} 1"#.to_owned() + "\n";
    assert_eq!(labels_by_crate(&quote), [pair("a", "\\")]);
    assert_eq!(refused(&quote), IN_VALUE);
}

#[test]
fn a_space_after_a_comma_becomes_part_of_the_name_in_the_crate_and_is_refused_here() {
    let text = "foo{a=\"1\", b=\"2\"} 1\n";
    assert_eq!(labels_by_crate(text), [pair(" b", "2"), pair("a", "1")]);
    assert_eq!(refused(text), "a label name is not plain letters, digits and '_'");
}

#[test]
fn a_float_timestamp_is_replaced_by_the_crate_and_refused_here() {
    let text = "foo 1 1700000000.5\n";
    assert_eq!(crate_alone(text), [("foo".to_owned(), vec![], 1.0, 0)]);
    assert_eq!(refused(text), "the timestamp is not a whole number of milliseconds");
    let huge = "foo 1 9223372036854775807\n";
    assert_eq!(crate_alone(huge), [("foo".to_owned(), vec![], 1.0, 0)]);
    assert_eq!(refused(huge), "the timestamp is out of range");
}

#[test]
fn a_name_that_is_not_ascii_is_accepted_by_the_crate_and_refused_here() {
    let text = "fooé 1\n";
    assert_eq!(crate_alone(text).len(), 1);
    assert_eq!(refused(text), "no space between name or labels and value");
}

#[test]
fn a_quoted_name_is_dropped_by_the_crate_and_refused_here() {
    let text = "{\"foo\",a=\"1\"} 1\n";
    assert!(crate_alone(text).is_empty());
    assert_eq!(refused(text), "a line names it but does not start with the bare name");
}

#[test]
fn the_last_of_two_equal_labels_wins_in_the_crate_and_is_refused_here() {
    let text = "foo{a=\"1\",a=\"2\"} 1\n";
    assert_eq!(labels_by_crate(text), [pair("a", "2")]);
    assert_eq!(refused(text), "a label appears twice");
}

#[test]
fn broken_lines_vanish_in_the_crate_and_are_refused_here() {
    for (text, why) in [
        ("foo abc\n", "the value is not a number"),
        ("foo\n", "no space between name or labels and value"),
        ("foo{a=\"1\"}1\n", "no space between name or labels and value"),
        ("foo{a=\"1\" 1\n", "labels are not separated by a single ','"),
        ("foo{a=1} abc\n", "a label value is not quoted"),
    ] {
        assert!(crate_alone(text).is_empty(), "{text:?}");
        assert_eq!(refused(text), why);
    }
}

#[test]
fn trailing_text_is_ignored_by_the_crate_and_refused_here() {
    assert_eq!(crate_alone("foo 1 2 3\n").len(), 1);
    assert_eq!(refused("foo 1 2 3\n"), "there is text after value and timestamp");
}

#[test]
fn a_bucket_without_a_bound_vanishes_in_the_crate_and_is_refused_here() {
    let lines = "foo_bucket{a=\"1\"} 5\n";
    assert!(crate_alone(&format!("# TYPE foo histogram\n{lines}")).is_empty());
    let why = refusal(lines, "foo", FamilyKind::Histogram);
    assert_eq!(why, "a bucket without a number in its le label");
    let lines = "foo{a=\"1\"} 5\n";
    assert!(crate_alone(&format!("# TYPE foo summary\n{lines}")).is_empty());
    let why = refusal(lines, "foo", FamilyKind::Summary);
    assert_eq!(why, "a quantile without a number in its label");
}

#[test]
fn a_sample_that_appears_twice_is_kept_twice_by_the_crate_and_refused_here() {
    let page = "foo{a=\"1\",b=\"2\"} 1\nfoo{b=\"2\",a=\"1\"} 7\n";
    assert_eq!(crate_alone(page).len(), 2);
    let wanted = Wanted::new([("foo", FamilyKind::Number)]).unwrap();
    let page = Page::read(page.as_bytes(), &wanted).unwrap();
    let why = "a sample appears twice".to_owned();
    assert_eq!(*page.family("foo"), FamilyReading::Unreadable { why, line_no: 2 });
}
