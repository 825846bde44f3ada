//! Keeps `README.md` true: every attack has its row, and every test named there exists.

use std::path::{Path, PathBuf};

const ATTACKS: [&str; 13] = [
    "arbitrary install",
    "rollback",
    "indefinite freeze",
    "mix-and-match",
    "fast-forward",
    "endless data",
    "slow retrieval",
    "extraneous dependencies",
    "wrong software",
    "key compromise",
    "malicious mirror",
    "vendor against vendor",
    "partial bundle",
];
const HOLES: usize = 12;

fn here() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/attacks")
}

/// First cell and named tests of every row.
fn rows() -> Vec<(String, Vec<String>)> {
    let text = std::fs::read_to_string(here().join("README.md")).unwrap();
    let rows = text.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"));
    rows.filter_map(|row| {
        let (first, rest) = row.split_once(" | ")?;
        let names = rest.split('`').skip(1).step_by(2).filter(|name| name.contains("::"));
        Some((first.to_owned(), names.map(str::to_owned).collect()))
    })
    .collect()
}

/// The source that a name is said to be in: a file of this folder, or one from the workspace.
fn source(file: &str) -> PathBuf {
    if file.contains('/') {
        return here().join("../../..").join(file);
    }
    here().join(format!("{file}.rs"))
}

#[test]
fn every_attack_and_every_hole_has_its_row_and_at_least_one_test() {
    let rows = rows();
    let with_tests = |first: &str| {
        let mut found = rows.iter().filter(|(cell, _)| cell == first);
        found.next().is_some_and(|(_, tests)| !tests.is_empty()) && found.next().is_none()
    };
    for attack in ATTACKS {
        assert!(with_tests(attack), "{attack}");
    }
    for hole in 1..=HOLES {
        assert!(with_tests(&hole.to_string()), "hole {hole}");
    }
}

#[test]
fn every_test_named_in_the_table_exists() {
    let mut named = 0;
    for (row, tests) in rows() {
        for test in tests {
            let (file, name) = test.rsplit_once("::").unwrap();
            let text = std::fs::read_to_string(source(file))
                .unwrap_or_else(|error| panic!("{row}: {test}: {error}"));
            let lines: Vec<_> = text.lines().map(str::trim).collect();
            let function = |line: &str| {
                let line = line.strip_prefix("async ").unwrap_or(line);
                line.strip_prefix("fn ").is_some_and(|rest| rest.starts_with(&format!("{name}(")))
            };
            let is_test = lines.windows(2).any(|pair| {
                pair[0].starts_with("#[") && pair[0].contains("test") && function(pair[1])
            });
            assert!(is_test, "{row}: no test {test}");
            named += 1;
        }
    }
    assert!(named >= 60, "only {named} tests were found: is the reader of the table broken?");
}
