//! What is read, what is absent, and the bounds.

use crate::telemetry::filter::{BODY_MAX_BYTES, LINE_MAX_BYTES, SAMPLES_PER_FAMILY_MAX};
use crate::telemetry::{FamilyKind, FamilyReading, Page, PageError, Sample, SampleValue, Wanted};

fn wanted() -> Wanted {
    Wanted::new([
        ("foo", FamilyKind::Number),
        ("lat", FamilyKind::Histogram),
        ("old", FamilyKind::Summary),
    ])
    .unwrap()
}

fn page(text: &str) -> Page {
    Page::read(text.as_bytes(), &wanted()).unwrap()
}

fn samples(page: &Page, family: &str) -> Vec<Sample> {
    match page.family(family) {
        FamilyReading::Read(samples) => samples.clone(),
        other => panic!("{family} is {other:?}"),
    }
}

fn why(page: &Page, family: &str) -> String {
    match page.family(family) {
        FamilyReading::Unreadable { why, .. } => why.clone(),
        other => panic!("{family} is {other:?}"),
    }
}

#[test]
fn what_the_crate_reads_right_passes() {
    for (text, number) in [
        ("foo 1\n", 1.0),
        ("foo{a=\"x y\"} 2\n", 2.0),
        ("foo{a=\"1\",} 3\n", 3.0),
        ("foo 4\r\n", 4.0),
        ("  foo\t5\n", 5.0),
        ("foo 6 1700000000000\n", 6.0),
        ("foo 7 -5\n", 7.0),
        ("foo 8 # {trace_id=\"a}b,c\"} 0.5\n", 8.0),
        ("foo +Inf\n", f64::INFINITY),
        ("foo -Inf\n", f64::NEG_INFINITY),
        ("foo{a=\"{x\"} 1e3\n", 1000.0),
    ] {
        let read = samples(&page(text), "foo");
        assert_eq!(read.len(), 1, "{text:?}");
        assert_eq!(read.first().and_then(Sample::number), Some(number), "{text:?}");
    }
    let nan = samples(&page("foo NaN\n"), "foo");
    assert!(nan.iter().all(|sample| sample.number().is_some_and(f64::is_nan)));
}

#[test]
fn buckets_are_folded_in_order_whether_the_page_types_them_or_not() {
    let lines = "lat_bucket{le=\"+Inf\"} 3\nlat_bucket{le=\"0.1\"} 2\nlat_sum 0.4\nlat_count 3\n";
    for text in [lines.to_owned(), format!("# HELP lat x\n# TYPE lat histogram\n{lines}")] {
        let read = samples(&page(&text), "lat");
        let folded = read.iter().find(|sample| sample.name == "lat").unwrap();
        assert_eq!(folded.value, SampleValue::Buckets(vec![(0.1, 2.0), (f64::INFINITY, 3.0)]));
        assert_eq!(read.len(), 3);
    }
    let read = samples(&page("old{quantile=\"0.99\"} 7\nold_sum 9\nold_count 2\n"), "old");
    assert!(read.iter().any(|s| s.value == SampleValue::Quantiles(vec![(0.99, 7.0)])));
}

#[test]
fn one_bucket_under_two_spellings_is_a_duplicate() {
    let page = page("lat_bucket{le=\"1\"} 2\nlat_bucket{le=\"1.0\"} 2\n");
    assert_eq!(why(&page, "lat"), "a sample appears twice");
}

#[test]
fn absent_is_not_unreadable_and_one_bad_family_spoils_no_other() {
    let page = page("foo{} 1\nother 4\nlat_count 3\n");
    assert_eq!(why(&page, "foo"), "the braces are empty");
    assert_eq!(*page.family("old"), FamilyReading::Absent);
    assert_eq!(samples(&page, "lat").len(), 1);
    assert_eq!(*page.family("other"), FamilyReading::Absent, "it was not asked for");
}

#[test]
fn one_bad_line_makes_the_whole_family_unreadable() {
    let page = page("foo{a=\"1\"} 1\nfoo{a=\"2,3\"} 1\nfoo{a=\"4\"} 1\n");
    let why = "a label value holds ',', '=', '}' or a backslash".to_owned();
    assert_eq!(*page.family("foo"), FamilyReading::Unreadable { why, line_no: 2 });
}

#[test]
fn a_family_of_another_type_is_unreadable() {
    let unexpected = "its TYPE is not the expected one";
    assert_eq!(why(&page("# TYPE foo summary\nfoo{quantile=\"1\"} 1\n"), "foo"), unexpected);
    assert_eq!(why(&page("# TYPE lat counter\nlat_count 1\n"), "lat"), unexpected);
    let twice = page("# TYPE foo gauge\n# TYPE foo counter\nfoo 1\n");
    assert_eq!(why(&twice, "foo"), "the family has a second TYPE line");
    assert_eq!(samples(&page("# TYPE lat untyped\nlat_count 1\n"), "lat").len(), 1);
}

#[test]
fn a_page_that_is_cut_off_is_refused_whole() {
    assert_eq!(Page::read(b"foo 1\nfo", &wanted()), Err(PageError::Truncated));
    assert_eq!(Page::read(b"foo 1", &wanted()), Err(PageError::Truncated));
    assert_eq!(*page("").family("foo"), FamilyReading::Absent);
}

#[test]
fn bounds_on_page_line_and_family_are_kept() {
    let large = vec![b'\n'; BODY_MAX_BYTES + 1];
    let limit_bytes = BODY_MAX_BYTES;
    assert_eq!(Page::read(&large, &wanted()), Err(PageError::TooLarge { limit_bytes }));
    let long = "x".repeat(LINE_MAX_BYTES);
    let text = page(&format!("foo{{a=\"{long}\"}} 1\n# HELP {long}\n{long} 1\nlat_count 1\n"));
    assert_eq!(why(&text, "foo"), "the line is longer than 64 KiB");
    assert_eq!(samples(&text, "lat").len(), 1, "long lines of others are skipped");
    let many: String =
        (0..=SAMPLES_PER_FAMILY_MAX).map(|n| format!("foo{{a=\"{n}\"}} 1\n")).collect();
    assert_eq!(why(&page(&many), "foo"), "the family has more than 4096 samples");
    let labels: String = (0..65).map(|n| format!("l{n}=\"1\",")).collect();
    assert_eq!(why(&page(&format!("foo{{{labels}}} 1\n")), "foo"), "there are more than 64 labels");
}

#[test]
fn bytes_that_are_no_text_spoil_only_the_family_they_stand_in() {
    let mut body = b"foo{a=\"\xff\"} 1\nlat_count 1\n\xfe\xff\n".to_vec();
    let read = Page::read(&body, &wanted()).unwrap();
    assert_eq!(why(&read, "foo"), "the line is not UTF-8");
    assert_eq!(samples(&read, "lat").len(), 1);
    body.extend_from_slice("\u{a0}lat_count 7\n".as_bytes());
    let read = Page::read(&body, &wanted()).unwrap();
    assert_eq!(why(&read, "lat"), "a line names it but does not start with the bare name");
}

#[test]
fn the_oldest_explicit_timestamp_of_wanted_families_is_kept() {
    let text = "foo{a=\"1\"} 1 2000\nfoo{a=\"2\"} 1 1000\nother 1 5\nlat_count 3\n";
    assert_eq!(page(text).oldest_timestamp_ms(), Some(1000));
    assert_eq!(page("foo 1\n").oldest_timestamp_ms(), None);
}

#[test]
fn families_that_claim_the_same_lines_cannot_be_wanted_together() {
    let both = [("lat", FamilyKind::Histogram), ("lat_count", FamilyKind::Number)];
    assert!(Wanted::new(both).is_err());
    for bad in ["", "1st", "a b", "é", "a-b"] {
        assert!(Wanted::new([(bad, FamilyKind::Number)]).is_err(), "{bad:?}");
    }
    let twice = [("foo", FamilyKind::Number), ("foo", FamilyKind::Number)];
    assert_eq!(Wanted::new(twice).unwrap().families().count(), 1);
}
