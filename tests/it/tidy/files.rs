//! File lengths, module docs, names of folders and files.

use super::{assert_none, files_below, root};

/// Longest source file, tests inside included.
const SOURCE_LINES_MAX: usize = 500;
/// Longest file that holds only tests.
const TEST_LINES_MAX: usize = 800;
/// Names that say nothing about what is inside.
const EMPTY_NAMES: [&str; 5] = ["utils", "util", "helpers", "common", "misc"];

#[test]
fn source_files_stay_short() {
    let mut faults = Vec::new();
    for path in files_below(&root(), &["rs"]) {
        let lines = std::fs::read_to_string(&path).expect("utf-8 source").lines().count();
        let text = path.to_string_lossy();
        let only_tests =
            text.contains("/tests/") || text.ends_with("tests.rs") || text.contains("/benches/");
        let max = if only_tests { TEST_LINES_MAX } else { SOURCE_LINES_MAX };
        if lines > max {
            faults.push(format!("{text}: {lines} lines, at most {max}"));
        }
    }
    assert_none("files over their length", &faults);
}

#[test]
fn every_module_says_what_it_is_for() {
    let mut faults = Vec::new();
    for path in files_below(&root(), &["rs"]) {
        let text = std::fs::read_to_string(&path).expect("utf-8 source");
        let first = text.lines().find(|line| !line.trim().is_empty() && !line.starts_with("#!"));
        if !first.is_some_and(|line| line.starts_with("//!")) {
            faults.push(path.display().to_string());
        }
    }
    assert_none("modules without a //! head", &faults);
}

#[test]
fn names_say_what_is_inside() {
    let faults: Vec<_> = files_below(&root(), &["rs"])
        .into_iter()
        .filter(|path| {
            path.with_extension("")
                .components()
                .any(|c| EMPTY_NAMES.contains(&c.as_os_str().to_string_lossy().as_ref()))
        })
        .map(|path| path.display().to_string())
        .collect();
    assert_none("names that say nothing", &faults);
}
