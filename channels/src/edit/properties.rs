//! Whatever a channel file looks like: an edit means the intended change, or is refused.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::repository::tests::{SETTINGS, workspace};
use crate::version::ReleaseVersion;

/// A channel file in one of the styles people use, with its versions and tombstones.
#[derive(Debug, Clone)]
struct Written {
    text: String,
    versions: Vec<ReleaseVersion>,
    tombstones: Vec<ReleaseVersion>,
}

fn version() -> impl Strategy<Value = String> {
    (0_u8..4, 0_u8..4, prop_oneof![Just(""), Just("+arm64"), Just("-rc.1")])
        .prop_map(|(minor, patch, tail)| format!("1.{minor}.{patch}{tail}"))
}

fn list(key: &str, items: &[String], style: u8, comment: &str) -> String {
    let quote = |item: &String| match style % 3 {
        0 => item.clone(),
        1 => format!("\"{item}\""),
        _ => format!("'{item}'"),
    };
    if style >= 9 || items.is_empty() {
        let items: Vec<String> = items.iter().map(quote).collect();
        return format!("{key}: [{}]{comment}\n", items.join(", "));
    }
    let indent = ["", "  ", "    "][usize::from(style / 3)];
    let line = |(number, item): (usize, &String)| {
        let above =
            if number % 2 == 1 { format!("{indent}# about the next\n") } else { String::new() };
        format!("{above}{indent}- {}{comment}\n", quote(item))
    };
    let lines: String = items.iter().enumerate().map(line).collect();
    format!("{key}:{comment}\n{lines}")
}

fn written() -> impl Strategy<Value = Written> {
    let versions = prop::collection::btree_set(version(), 0..8);
    let comment = prop_oneof![Just(""), Just(" # why: [1.0.0]"), Just("   #x")];
    (versions, 0_usize..3, 0_u8..12, 0_u8..12, comment, any::<bool>(), any::<bool>()).prop_map(
        |(all, withdrawn, style, other, comment, last, crlf)| {
            let all: Vec<String> = all.into_iter().collect();
            let (tombstones, versions) = all.split_at(withdrawn.min(all.len()));
            let mut lists = [
                list("versions", versions, style, comment),
                list("tombstones", tombstones, other, comment),
            ];
            if last {
                lists.reverse();
            }
            let text = format!("# Heading\n{}\nname: stable\n# between\n{}", lists[0], lists[1]);
            let text = if crlf { text.replace('\n', "\r\n") } else { text };
            let parse = |list: &[String]| list.iter().map(|v| v.parse().unwrap()).collect();
            Written { text, versions: parse(versions), tombstones: parse(tombstones) }
        },
    )
}

/// What the repository's own reader finds in the text.
fn read(text: &str) -> (BTreeSet<ReleaseVersion>, BTreeSet<ReleaseVersion>) {
    let files = [("app/fairway.toml", SETTINGS), ("app/channels/stable.yaml", text)];
    let read = workspace(&files).unwrap().products.remove(0).channels.pop_first().unwrap().1;
    (read.versions.into_iter().collect(), read.tombstones.into_iter().collect())
}

fn comments(text: &str) -> usize {
    text.matches('#').count()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn an_edit_read_again_is_the_intended_change(file in written(), pick in version()) {
        let pick: ReleaseVersion = pick.parse().unwrap();
        let mut versions: BTreeSet<_> = file.versions.iter().cloned().collect();
        let mut tombstones: BTreeSet<_> = file.tombstones.iter().cloned().collect();
        prop_assert_eq!(read(&file.text), (versions.clone(), tombstones.clone()));
        let edited = if versions.remove(&pick) {
            tombstones.insert(pick.clone());
            withdraw(&file.text, &pick).unwrap()
        } else if tombstones.contains(&pick) {
            let error = promote(&file.text, &pick).unwrap_err();
            prop_assert_eq!(error, EditError::Withdrawn { version: pick });
            return Ok(());
        } else {
            versions.insert(pick.clone());
            promote(&file.text, &pick).unwrap()
        };
        prop_assert_eq!(read(&edited), (versions, tombstones));
        // A comment may end only with a line of brackets that loses its item.
        prop_assert!(comments(&edited) >= comments(&file.text).saturating_sub(1), "{}", edited);
        let removed: Vec<&str> = file.text.lines().filter(|l| !edited.contains(l)).collect();
        prop_assert!(removed.len() <= 3, "{:?}", removed);
    }

    #[test]
    fn no_text_panics(text in "[-a-z0-9:\\[\\], .#\"'\r\n&*{}|>]{0,80}", pick in version()) {
        let pick: ReleaseVersion = pick.parse().unwrap();
        let text = format!("versions:{text}");
        for after in [promote(&text, &pick), withdraw(&text, &pick), end_range(&text, &pick)] {
            let _refused_or_verified = after;
        }
        let _refused_or_verified = record(Some(&text), &[]);
    }

    #[test]
    fn a_unified_diff_applied_gives_the_new_text(
        old in prop::collection::vec("[ab]", 0..12),
        new in prop::collection::vec("[ab]", 0..12),
    ) {
        let text = |lines: &[String]| lines.iter().flat_map(|l| [l.as_str(), "\n"]).collect::<String>();
        let (old, new) = (text(&old), text(&new));
        let diff = unified(std::path::Path::new("f"), Some(&old), Some(&new));
        prop_assert_eq!(apply(&old, &diff), new);
    }
}

/// Applies a unified diff by its line numbers.
fn apply(old: &str, diff: &str) -> String {
    let old: Vec<&str> = old.lines().collect();
    let (mut done, mut text) = (0, String::new());
    for line in diff.lines().skip(2) {
        if let Some(range) = line.strip_prefix("@@ -") {
            let range = range.split(' ').next().unwrap();
            let (first, count) = range.split_once(',').unwrap_or((range, "1"));
            let first: usize = first.parse().unwrap();
            let begin = if count == "0" { first } else { first - 1 };
            text.extend(old[done..begin].iter().flat_map(|line| [line, "\n"]));
            done = begin;
        } else if let Some(added) = line.strip_prefix('+') {
            text.extend([added, "\n"]);
        } else {
            assert_eq!(&line[1..], old[done]);
            if line.starts_with(' ') {
                text.extend([old[done], "\n"]);
            }
            done += 1;
        }
    }
    text.extend(old[done..].iter().flat_map(|line| [line, "\n"]));
    text
}
