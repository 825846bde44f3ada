//! The book in `docs/`: every chapter is in its table of contents, every link leads to its place,
//! every command in a sentence is one that a program has.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::quoted;
use super::{assert_none, files_below, root};

/// Programs whose commands stand in back quotes within sentences.
const PROGRAMS: [&str; 4] = ["fairway ", "cluster-agent ", "update-server ", "offline-mirror "];

pub(super) fn text_of(path: impl AsRef<Path>) -> String {
    std::fs::read_to_string(root().join(path)).expect("utf-8 text")
}

/// Lines outside of fenced blocks, numbered from 1.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fenced = false;
    text.lines().enumerate().filter_map(move |(at, line)| {
        let is_fence = line.trim_start().starts_with("```");
        fenced ^= is_fence;
        (!fenced && !is_fence).then_some((at + 1, line))
    })
}

/// Headings with their depth, in order.
pub(super) fn headings(text: &str) -> impl Iterator<Item = (usize, &str)> {
    prose(text).filter_map(|(_, line)| {
        let depth = line.bytes().take_while(|byte| *byte == b'#').count();
        let title = line.get(depth..)?.strip_prefix(' ')?;
        (1..=6).contains(&depth).then_some((depth, title.trim()))
    })
}

/// What a heading is called in a link, as the places that show Markdown make it.
fn anchor(title: &str) -> String {
    title
        .to_lowercase()
        .chars()
        .filter(|c| c.is_alphanumeric() || ['-', '_', ' '].contains(c))
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}

/// All anchors of a document; a title that comes again gets a number.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    headings(text)
        .map(|(_, title)| {
            let name = anchor(title);
            let times = seen.entry(name.clone()).or_default();
            *times += 1;
            if *times == 1 { name } else { format!("{name}-{}", *times - 1) }
        })
        .collect()
}

fn links(text: &str) -> impl Iterator<Item = (usize, &str)> {
    prose(text).flat_map(|(at, line)| {
        let rest = line.split("](").skip(1);
        rest.filter_map(move |rest| Some((at, rest.split(')').next()?)))
    })
}

fn documents() -> Vec<PathBuf> {
    files_below(&root(), &["md"])
}

#[test]
fn links_to_a_section_lead_to_a_section() {
    let (mut faults, mut checked) = (Vec::new(), 0_usize);
    for path in documents() {
        let text = text_of(&path);
        for (at, link) in links(&text) {
            let Some((file, section)) = link.split_once('#') else { continue };
            let target = path.parent().expect("a folder").join(file);
            let target = if file.is_empty() { path.clone() } else { target };
            if link.contains("://") || target.extension().is_none_or(|kind| kind != "md") {
                continue;
            }
            checked += 1;
            let known =
                std::fs::read_to_string(&target).is_ok_and(|t| anchors(&t).contains(section));
            if !known {
                faults.push(format!("{}:{at}: {link}", path.display()));
            }
        }
    }
    assert_none("links to sections that are not there", &faults);
    assert!(checked > 200, "only {checked} links to sections were found");
}

#[test]
fn every_chapter_is_in_the_table_of_contents() {
    let contents = text_of("docs/README.md");
    let listed: BTreeSet<&str> = links(&contents).map(|(_, link)| link).collect();
    let missing: Vec<String> = std::fs::read_dir(root().join("docs"))
        .expect("a readable folder")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .filter(|name| Path::new(name).extension().is_some_and(|kind| kind == "md"))
        .filter(|name| name != "README.md" && !listed.contains(name.as_str()))
        .collect();
    assert_none("chapters that docs/README.md does not list", &missing);
}

/// What stands in back quotes in a line.
pub(super) fn spans(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

#[test]
fn commands_in_sentences_are_ones_the_programs_have() {
    let (mut faults, mut checked) = (Vec::new(), 0_usize);
    let chapters = files_below(&root().join("docs"), &["md"]);
    for path in chapters.into_iter().chain([root().join("README.md")]) {
        let text = text_of(&path);
        for (at, line) in prose(&text) {
            for span in spans(line).filter(|span| PROGRAMS.iter().any(|p| span.starts_with(p))) {
                // "`fairway agent …`" stands for whatever follows.
                let span = span.split('…').next().unwrap_or_default();
                // So does a word in capitals where a command would stand.
                if span.split(' ').nth(1).is_some_and(|word| word == word.to_uppercase()) {
                    continue;
                }
                checked += 1;
                if let Err(fault) = quoted::check_in_passing(span) {
                    faults.push(format!("{}:{at}: {fault}: {span}", path.display()));
                }
            }
        }
    }
    assert_none("commands in sentences that nobody takes", &faults);
    assert!(checked > 100, "only {checked} commands were found in sentences");
}

#[test]
fn anchors_are_made_as_readers_of_markdown_make_them() {
    let text =
        "# Is it well?\n## `risk`\n```sh\n# no heading\n```\n## A [link](b.md) here\n## `risk`\n";
    let found: Vec<String> = anchors(text).into_iter().collect();
    assert_eq!(found, ["a-linkbmd-here", "is-it-well", "risk", "risk-1"]);
}
