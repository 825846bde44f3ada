//! Every quoted command is run by a test that is named in `commands.toml`, or has a reason there why
//! none runs it. Whether the programs take its words is asked by `docs`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::book::text_of;
use super::{assert_none, files_below, quoted, root};

const LIST: &str = include_str!("commands.toml");

/// Beginnings of the attributes that make a function a test.
const TESTS: [&str; 3] = ["#[test]", "#[tokio::test", "#[actix_web::test]"];

/// A reason shorter than this says nothing.
const REASON_CHARS_MIN: usize = 15;

/// Who runs which command, and why nobody runs the others.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    /// `FILE::FUNCTION` by command.
    run: BTreeMap<String, String>,
    /// The same, of tests that are ignored where nobody asks for them.
    run_with_peers: BTreeMap<String, String>,
    /// Reasons by command.
    not_run: BTreeMap<String, String>,
}

fn list() -> List {
    toml::from_str(LIST).expect("commands.toml")
}

/// What people follow: the front page, the book, and what lies beside what is deployed.
fn manuals() -> Vec<PathBuf> {
    let book = files_below(&root().join("docs"), &["md"]);
    let beside = files_below(&root().join("deploy"), &["md"]);
    book.into_iter().chain(beside).chain([root().join("README.md")]).collect()
}

/// Where each command is quoted first, by its name.
fn quoted_commands() -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for path in manuals() {
        for quoted in quoted::every_command(&text_of(&path)) {
            // What a substitution names is a command of its own.
            let named = quoted::name(&quoted.words).filter(|name| !name.starts_with('$'));
            if let Some(name) = named {
                let place = format!("{}:{}", path.display(), quoted.line);
                found.entry(name).or_insert(place);
            }
        }
    }
    found
}

#[test]
fn every_quoted_command_is_run_by_a_test_or_has_a_reason() {
    let (List { run, run_with_peers, not_run }, quoted) = (list(), quoted_commands());
    let tables: [BTreeSet<&String>; 3] =
        [run.keys().collect(), run_with_peers.keys().collect(), not_run.keys().collect()];
    assert!(quoted.len() > 80, "only {} commands were found", quoted.len());
    let mut faults = Vec::new();
    for (name, place) in &quoted {
        match tables.iter().filter(|table| table.contains(name)).count() {
            0 => faults.push(format!("{place}: {name}: in no table")),
            1 => {}
            _ => faults.push(format!("{name}: in more than one table")),
        }
    }
    let dead = tables.iter().flatten().filter(|name| !quoted.contains_key(**name));
    faults.extend(dead.map(|name| format!("{name}: listed, and quoted nowhere")));
    for (name, reason) in not_run.iter().filter(|(_, reason)| reason.len() < REASON_CHARS_MIN) {
        faults.push(format!("{name}: {reason:?} is no reason"));
    }
    assert_none("commands of the manuals and tests/it/tidy/commands.toml differ", &faults);
}

#[test]
fn the_tests_named_for_commands_are_there_and_run_them() {
    let List { run, run_with_peers, .. } = list();
    let mut faults = Vec::new();
    for (table, is_ignored) in [(run, false), (run_with_peers, true)] {
        for (name, test) in table {
            let fault = missing(&name, &test, is_ignored);
            faults.extend(fault.map(|fault| format!("{name}: {test}: {fault}")));
        }
    }
    assert_none("tests of commands.toml", &faults);
}

/// What is wrong with a test that should run a command.
fn missing(name: &str, test: &str, is_ignored: bool) -> Option<&'static str> {
    let Some((file, function)) = test.split_once("::") else { return Some("is not FILE::TEST") };
    let Ok(source) = std::fs::read_to_string(root().join(file)) else {
        return Some("no such file");
    };
    // A function under its attributes, or an entry of a macro that makes one.
    match attributes_of(&source, function) {
        Some(attributes) if attributes.contains("#[ignore") != is_ignored => {
            return Some("ignored, and not in the table of those, or the other way about");
        }
        None if !source.contains(&format!("\n    {function}: [")) => return Some("no such test"),
        Some(_) | None => {}
    }
    let verb = name.rsplit(' ').next().unwrap_or_default();
    // Tests that follow a manual have its words there.
    let follows = |manual: &PathBuf| {
        let file = manual.file_name().unwrap_or_default().to_string_lossy().into_owned();
        source.contains(&format!("docs/{file}")) && text_of(manual).contains(verb)
    };
    let names_it = source.contains(verb) || manuals().iter().any(follows);
    (!names_it).then_some("nothing there names the command")
}

/// The attributes of a test function, if there is one of that name.
fn attributes_of(source: &str, function: &str) -> Option<String> {
    let lines: Vec<&str> = source.lines().map(str::trim_start).collect();
    let head = format!("fn {function}(");
    let is_head =
        |line: &&str| line.starts_with(&head) || line.starts_with(&format!("async {head}"));
    let at = lines.iter().position(is_head)?;
    let above = lines.get(..at)?.iter().rev().take_while(|line| line.starts_with("#["));
    let attributes = above.copied().collect::<Vec<_>>().join("\n");
    TESTS.iter().any(|attribute| attributes.contains(attribute)).then_some(attributes)
}

#[test]
fn a_test_that_is_not_there_is_found_missing() {
    let here = "tests/it/tidy/commands.rs";
    let this = format!("{here}::a_test_that_is_not_there_is_found_missing");
    let missing = |name: &str, test: &str| missing(name, test, false);
    assert_eq!(missing("fairway missing", &this), None);
    assert!(
        super::commands::missing("fairway missing", &this, true).is_some(),
        "it is not ignored"
    );
    assert_eq!(missing("fairway missing", &format!("{here}::list")), Some("no such test"));
    assert_eq!(missing("fairway missing", "tests/it/none.rs::x"), Some("no such file"));
    let unnamed = ["q", "z"].concat() + "y";
    assert_eq!(missing(&unnamed, &this), Some("nothing there names the command"));
}
