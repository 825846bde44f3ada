//! The reference of all commands in `docs/cli.md`, written from their definitions.
//!
//! `FAIRWAY_WRITE_CLI=../docs/cli.md cargo test -p fairway --lib reference` writes it anew.

use std::fmt::Write as _;

use clap::builder::PossibleValue;
use clap::{Arg, Command, CommandFactory as _};

use crate::cli::Cli;

/// Everything behind this line of the page is written from here.
const MARK: &str = "<!-- written from the definitions; see fairway/src/reference.rs -->\n";

/// Options that the page explains once.
const SHARED: [&str; 7] =
    ["server", "profile", "token_file", "token_over_http", "color", "help", "version"];

fn reference() -> String {
    let mut root = Cli::command();
    root.build();
    let mut text = String::from("\n");
    for command in root.get_subcommands().filter(|command| is_shown(command)) {
        section(command, &format!("fairway {}", command.get_name()), 2, &mut text);
    }
    text
}

fn is_shown(command: &Command) -> bool {
    !command.is_hide_set() && command.get_name() != "help"
}

fn section(command: &Command, name: &str, depth: usize, text: &mut String) {
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    let hashes = "#".repeat(depth);
    let mut clone = command.clone();
    let usage = clone.render_usage().to_string();
    let usage: Vec<&str> = usage.trim_start_matches("Usage:").lines().map(str::trim).collect();
    let _infallible = write!(
        text,
        "{hashes} {name}\n{}.\n\n```text\n{}\n```\n\n",
        plain(&about).trim_end_matches('.'),
        usage.join("\n")
    );
    let shown: Vec<&Arg> = command.get_arguments().filter(|arg| is_own(arg)).collect();
    if !shown.is_empty() {
        text.push_str("| option | what |\n|---|---|\n");
        for arg in shown {
            let _infallible =
                writeln!(text, "| `{}` | {} |", cell(&spelling(arg)), cell(&told(arg)));
        }
        text.push('\n');
    }
    for child in command.get_subcommands().filter(|command| is_shown(command)) {
        section(child, &format!("{name} {}", child.get_name()), depth + 1, text);
    }
}

fn is_own(arg: &Arg) -> bool {
    !arg.is_hide_set() && !SHARED.contains(&arg.get_id().as_str())
}

/// How it is written: `-l, --selector SELECTOR`, `CLUSTER`.
fn spelling(arg: &Arg) -> String {
    let takes = arg.get_action().takes_values();
    let values: Vec<String> = match arg.get_value_names() {
        Some(names) if takes => names.iter().map(ToString::to_string).collect(),
        None if takes => vec![arg.get_id().to_string().to_uppercase()],
        Some(_) | None => Vec::new(),
    };
    let values = values.join(" ");
    if arg.is_positional() {
        return values;
    }
    let short = arg.get_short().map_or_else(String::new, |short| format!("-{short}, "));
    let long = arg.get_long().map_or_else(String::new, |long| format!("--{long}"));
    let between = if arg.is_require_equals_set() { "[=" } else { " " };
    let end = if arg.is_require_equals_set() { "]" } else { "" };
    let values = if values.is_empty() { values } else { format!("{between}{values}{end}") };
    format!("{short}{long}{values}")
}

fn told(arg: &Arg) -> String {
    let mut text = plain(&arg.get_help().map(ToString::to_string).unwrap_or_default());
    let values: Vec<String> = arg
        .get_possible_values()
        .iter()
        .filter(|value| !value.is_hide_set() && arg.get_action().takes_values())
        .map(|value| format!("`{}`", value.get_name()))
        .collect();
    if !values.is_empty() {
        let _infallible = write!(text, ": {}", values.join(", "));
    }
    let default: Vec<String> =
        arg.get_default_values().iter().map(|v| v.to_string_lossy().into_owned()).collect();
    if !default.is_empty() && !arg.is_hide_default_value_set() && arg.get_action().takes_values() {
        let _infallible = write!(text, " (default `{}`)", default.join(" "));
    }
    if let Some(env) = arg.get_env() {
        let _infallible = write!(text, " (`{}`)", env.to_string_lossy());
    }
    text
}

/// One line.
fn plain(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

#[test]
fn the_page_has_every_command_and_option_as_it_is_defined() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/cli.md");
    let page = std::fs::read_to_string(path).unwrap();
    let (head, body) = page.split_once(MARK).expect("the mark");
    let expected = reference();
    let expected = expected.trim_end();
    if let Some(file) = std::env::var_os("FAIRWAY_WRITE_CLI") {
        std::fs::write(file, format!("{head}{MARK}{expected}\n")).unwrap();
        return;
    }
    assert!(
        body.trim_end() == expected,
        "docs/cli.md is not what the commands are: FAIRWAY_WRITE_CLI=../docs/cli.md \
         cargo test -p fairway --lib reference"
    );
}

fn outputs(command: &Command, name: &str, found: &mut Vec<(String, Vec<String>)>) {
    let output = command.get_arguments().find(|arg| arg.get_long() == Some("output"));
    let leaf = command.get_subcommands().all(|child| !is_shown(child));
    if let Some(arg) = output.filter(|arg| leaf || !arg.is_global_set()) {
        let values = arg.get_possible_values();
        let names = values.iter().flat_map(PossibleValue::get_name_and_aliases);
        found.push((name.to_owned(), names.map(str::to_owned).collect()));
    }
    for child in command.get_subcommands().filter(|command| is_shown(command)) {
        outputs(child, &format!("{name} {}", child.get_name()), found);
    }
}

fn all_outputs() -> Vec<(String, Vec<String>)> {
    let mut root = Cli::command();
    root.build();
    let mut found = Vec::new();
    outputs(&root, "fairway", &mut found);
    found
}

/// Every command that takes `--output`.
pub(crate) fn commands_with_output() -> Vec<String> {
    all_outputs().into_iter().map(|(name, _)| name).collect()
}

#[test]
fn output_means_the_same_everywhere() {
    let found = all_outputs();
    assert!(found.len() > 40, "{found:?}");
    for (name, values) in found {
        let has = |wanted: &str| values.iter().any(|value| value == wanted);
        let all = ["table", "text", "json", "csv"].into_iter().all(has);
        assert!(all, "{name}: {values:?}");
    }
}
