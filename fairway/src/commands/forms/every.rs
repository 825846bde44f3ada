//! No command that takes `--output` is without golden text of every form.

use std::collections::BTreeMap;
use std::path::Path;

/// Commands without golden text here, and where it is instead, or why there cannot be any.
const ELSEWHERE: [(&str, &str); 4] = [
    ("fairway bench fleet", "figures of the machine it runs on; bench/tests.rs holds the columns"),
    ("fairway bench paths", "figures of the machine it runs on; bench/tests.rs holds the columns"),
    ("fairway doctor", "it measures times; doctor/tests.rs holds every form without them"),
    ("fairway explain", "explain/tests.rs holds the page, the rows and the document"),
];

/// Golden text by the name of its test.
fn golden_texts() -> BTreeMap<String, String> {
    let commands = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/commands");
    let mut texts = BTreeMap::new();
    for folder in ["snapshots", "forms/snapshots"] {
        for entry in std::fs::read_dir(commands.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            let name = name.rsplit("__").next().unwrap().to_owned();
            if path.extension().is_some_and(|kind| kind == "snap") {
                texts.insert(name, std::fs::read_to_string(&path).unwrap());
            }
        }
    }
    texts
}

/// `fairway graph why` as a test is called.
fn test_name(command: &str) -> String {
    command.trim_start_matches("fairway ").replace([' ', '-'], "_")
}

#[test]
fn every_command_with_output_has_golden_text_of_every_form() {
    let texts = golden_texts();
    let commands = crate::reference::commands_with_output();
    assert!(commands.len() > 60, "{commands:?}");
    let mut faults = Vec::new();
    for command in &commands {
        let elsewhere = ELSEWHERE.iter().any(|(name, _)| name == command);
        let text = texts.get(&test_name(command));
        match (text, elsewhere) {
            (Some(_), true) => faults.push(format!("{command}: has golden text, and an excuse")),
            (None, true) => {}
            (None, false) => faults.push(format!("{command}: no test {}", test_name(command))),
            (Some(text), false) => {
                let lacking = ["table", "csv", "json"]
                    .into_iter()
                    .filter(|form| !text.contains(&format!("--- {form}\n")));
                faults.extend(lacking.map(|form| format!("{command}: no {form}")));
            }
        }
    }
    for (name, _) in ELSEWHERE {
        if !commands.iter().any(|command| command == name) {
            faults.push(format!("{name}: an excuse for a command that is not there"));
        }
    }
    assert!(faults.is_empty(), "add a test to commands/forms:\n  {}", faults.join("\n  "));
}

#[test]
fn golden_text_belongs_to_a_test_that_is_there() {
    let sources = [
        include_str!("../forms.rs"),
        include_str!("files.rs"),
        include_str!("keys.rs"),
        include_str!("verbs.rs"),
    ]
    .concat();
    let is_there = |name: &String| {
        sources.contains(&format!("    {name}: [")) || sources.contains(&format!("fn {name}("))
    };
    let dead: Vec<String> = golden_texts().into_keys().filter(|name| !is_there(name)).collect();
    assert_eq!(dead, Vec::<String>::new(), "golden text that no test writes");
}
