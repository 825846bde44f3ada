//! Whatever is read equals what an independent parser reads, for pages made of odd lines.

use std::collections::BTreeMap;

use proptest::prelude::*;

use crate::telemetry::{FamilyKind, FamilyReading, Page, SampleValue, Wanted};

/// One sample line: name, labels, bits of the value.
type Leaf = (String, BTreeMap<String, String>, u64);

/// Reads exposition text letter by letter, with escapes, as the format describes it.
fn parse_line(line: &str) -> Option<Leaf> {
    let mut letters = line.trim_matches([' ', '\t', '\r']).chars().peekable();
    let is_name = |c: &char| c.is_ascii_alphanumeric() || *c == '_' || *c == ':';
    let mut name = String::new();
    while let Some(letter) = letters.next_if(is_name) {
        name.push(letter);
    }
    let mut labels = BTreeMap::new();
    if letters.next_if_eq(&'{').is_some() {
        loop {
            while letters.next_if_eq(&' ').is_some() {}
            if letters.next_if_eq(&'}').is_some() {
                break;
            }
            let mut label = String::new();
            while let Some(letter) = letters.next_if(is_name) {
                label.push(letter);
            }
            let opened = letters.next() == Some('=') && letters.next() == Some('"');
            if !opened || label.is_empty() {
                return None;
            }
            let mut value = String::new();
            loop {
                match letters.next()? {
                    '"' => break,
                    '\\' => match letters.next()? {
                        'n' => value.push('\n'),
                        other => value.push(other),
                    },
                    other => value.push(other),
                }
            }
            labels.insert(label, value).is_none().then_some(())?;
            while letters.next_if_eq(&' ').is_some() {}
            if letters.next_if_eq(&',').is_none() && letters.peek() != Some(&'}') {
                return None;
            }
        }
    }
    let rest: String = letters.collect();
    let mut words = rest.split_whitespace();
    let value: f64 = words.next()?.parse().ok()?;
    let stamp_is_whole = words.next().is_none_or(|stamp| stamp.parse::<i64>().is_ok());
    (stamp_is_whole && words.next().is_none()).then_some((name, labels, bits(value)))
}

/// One bit pattern for every `NaN`.
fn bits(value: f64) -> u64 {
    if value.is_nan() { u64::MAX } else { value.to_bits() }
}

fn leaves(reading: &FamilyReading) -> Option<Vec<Leaf>> {
    let FamilyReading::Read(samples) = reading else { return None };
    let mut leaves = Vec::new();
    for sample in samples {
        let name = &sample.name;
        let mut folded = |suffix: &str, label: &str, of: &[(f64, f64)]| {
            for (bound, value) in of {
                let mut labels = sample.labels.clone();
                labels.insert(label.to_owned(), format!("{bound:?}"));
                leaves.push((format!("{name}{suffix}"), labels, bits(*value)));
            }
        };
        match &sample.value {
            SampleValue::Buckets(of) => folded("_bucket", "le", of),
            SampleValue::Quantiles(of) => folded("", "quantile", of),
            SampleValue::Number(n) => leaves.push((name.clone(), sample.labels.clone(), bits(*n))),
        }
    }
    leaves.sort();
    Some(leaves)
}

/// Bounds as numbers, so that `1` and `1.0` compare equal.
fn with_bounds_as_numbers((name, mut labels, value): Leaf) -> Leaf {
    let bound = if name.ends_with("_bucket") { "le" } else { "quantile" };
    let folds = name.ends_with("_bucket") || name == "old";
    if let Some(text) = labels.get_mut(bound).filter(|_| folds)
        && let Ok(number) = text.parse::<f64>()
    {
        *text = format!("{number:?}");
    }
    (name, labels, value)
}

const FAMILIES: [(&str, FamilyKind, &[&str]); 4] = [
    ("num", FamilyKind::Number, &["num"]),
    ("rec:x", FamilyKind::Number, &["rec:x"]),
    ("lat", FamilyKind::Histogram, &["lat_bucket", "lat_sum", "lat_count"]),
    ("old", FamilyKind::Summary, &["old", "old_sum", "old_count"]),
];

fn line() -> impl Strategy<Value = String> {
    let names = ["num", "rec:x", "lat_bucket", "lat_sum", "lat_count", "old", "old_sum", "numb"];
    let name = prop::sample::select(names.to_vec());
    let label = prop::sample::select(vec!["a", "b", "le", "quantile"]);
    let texts =
        ["1", "1.0", "+Inf", "0.99", "x y", "", "x,y", "x=y", "{", "}", "\\\\", "\\\"", "é", "#"];
    let text = prop::sample::select(texts.to_vec());
    let labels = prop::collection::vec((label, text), 0..4);
    let number = prop_oneof![
        any::<f64>().prop_map(|number| number.to_string()),
        prop::sample::select(vec!["NaN", "+Inf", "-Inf", "1e3", "abc", "", "0x1"])
            .prop_map(str::to_owned),
    ];
    let stamp = prop::sample::select(vec!["", "", " 1700000000000", " 1.5", " 1 2"]);
    let comma = prop::sample::select(vec![",", ",", ",", ", "]);
    let braces = prop::sample::select(vec![false, false, true]);
    (name, labels, number, stamp, comma, braces).prop_map(
        |(name, labels, number, stamp, comma, braces)| {
            let inside: Vec<String> =
                labels.iter().map(|(label, text)| format!("{label}=\"{text}\"")).collect();
            let labels = if inside.is_empty() && !braces {
                String::new()
            } else {
                format!("{{{}}}", inside.join(comma))
            };
            format!("{name}{labels} {number}{stamp}\n")
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn what_is_read_equals_an_independent_parser(lines in prop::collection::vec(line(), 0..5)) {
        let text = lines.concat();
        let wanted = Wanted::new(FAMILIES.map(|(name, kind, _)| (name, kind))).unwrap();
        let page = Page::read(text.as_bytes(), &wanted).unwrap();
        for (family, _, names) in FAMILIES {
            let of_family: Vec<&String> = lines
                .iter()
                .filter(|line| names.contains(&line.split(['{', ' ']).next().unwrap_or("")))
                .collect();
            let expected: Option<Vec<Leaf>> =
                of_family.iter().map(|line| parse_line(line)).collect();
            match page.family(family) {
                FamilyReading::Absent => prop_assert!(of_family.is_empty(), "{text}"),
                FamilyReading::Unreadable { .. } => prop_assert!(!of_family.is_empty(), "{text}"),
                read @ FamilyReading::Read(_) => {
                    let mut expected: Vec<Leaf> = expected
                        .unwrap_or_default()
                        .into_iter()
                        .map(with_bounds_as_numbers)
                        .collect();
                    expected.sort();
                    prop_assert_eq!(leaves(read), Some(expected), "{}", text);
                }
            }
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(mut body in prop::collection::vec(any::<u8>(), 0..400)) {
        body.push(b'\n');
        let wanted = Wanted::new(FAMILIES.map(|(name, kind, _)| (name, kind))).unwrap();
        prop_assert!(Page::read(&body, &wanted).is_ok());
    }
}

#[test]
fn plain_lines_of_the_generator_are_read() {
    // Guards the property above against refusing everything.
    let text = "num{a=\"1\"} 1\nlat_bucket{le=\"1\"} 2\nlat_count 2\nold{quantile=\"0.99\"} NaN\n";
    let wanted = Wanted::new(FAMILIES.map(|(name, kind, _)| (name, kind))).unwrap();
    let page = Page::read(text.as_bytes(), &wanted).unwrap();
    for family in ["num", "lat", "old"] {
        assert!(leaves(page.family(family)).is_some(), "{family}");
    }
}
