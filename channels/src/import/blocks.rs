//! The texts of folded blocks: the newest file's own, with another target.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::fold::{Fold, fold, range_text};
use super::{Files, Note, NoteKind, quoted};
use crate::repository::{BlockSource, Sources, Targets};
use crate::version::ReleaseVersion;

/// Where blocks are written.
const FOLDER: &str = "blocked-edges";

/// Longest file name made of a risk's name; file systems take 255 bytes.
const STEM_MAX_CHARS: usize = 150;

/// Writes blocks as few files; `texts` are the source files by their path.
pub(super) fn write(
    blocks: &[BlockSource],
    known: &BTreeSet<ReleaseVersion>,
    texts: &BTreeMap<PathBuf, String>,
    notes: &mut Vec<Note>,
) -> Files {
    let folds = fold(blocks, known);
    let mut pieces: BTreeMap<String, usize> = BTreeMap::new();
    for fold in folds.iter().filter(|fold| fold.range.is_some()) {
        *pieces.entry(stem(members(blocks, fold).next())).or_default() += 1;
    }
    let mut files = Files::new();
    for fold in &folds {
        let Some(newest) = members(blocks, fold).last() else { continue };
        let own = texts.get(&newest.file);
        let Some((first, last)) = &fold.range else {
            if matches!(&newest.to, Targets::Version(to) if !to.semver().build.is_empty()) {
                let message = "it is about one architecture, which a range cannot say";
                notes.push(Note::new(NoteKind::KeptApart, newest.file.display(), message));
            }
            let name = own.and_then(|_| newest.file.file_stem()).and_then(|stem| stem.to_str());
            let name = name.map_or_else(|| named(newest), str::to_owned);
            insert(&mut files, &name, own.cloned().unwrap_or_else(|| generated(newest)));
            continue;
        };
        let fixed_in = fixed_in(blocks, fold, notes);
        let to = range_text(first, last);
        let text = own.and_then(|text| edited(text, &to, fixed_in.as_ref()));
        let text = text.unwrap_or_else(|| written(newest, &to, fixed_in.as_ref()));
        let bodies: BTreeSet<String> =
            members(blocks, fold).filter_map(|block| Some(body(texts.get(&block.file)?))).collect();
        let stem = stem(Some(newest));
        if bodies.len() > 1 {
            let message = format!(
                "{} files to {to} became one and differ in comments or layout; that of {} was kept",
                fold.blocks.len(),
                newest.file.display()
            );
            notes.push(Note::new(NoteKind::TextsDiffer, &stem, message));
        }
        let alone = pieces.get(&stem) == Some(&1);
        let name = if alone { stem } else { format!("{stem}-{first}") };
        insert(&mut files, &name, text);
    }
    files
}

fn members<'b>(
    blocks: &'b [BlockSource],
    fold: &'b Fold,
) -> impl DoubleEndedIterator<Item = &'b BlockSource> {
    fold.blocks.iter().filter_map(|index| blocks.get(*index))
}

/// What files about a block are called: its risk, or `removed`.
fn stem(block: Option<&BlockSource>) -> String {
    let name = block.and_then(|block| block.risk.as_ref()).map_or("removed", |risk| &risk.name);
    let plain = |c: char| if c.is_ascii_alphanumeric() || "-_".contains(c) { c } else { '-' };
    let stem: String = name.chars().take(STEM_MAX_CHARS).map(plain).collect();
    if stem.is_empty() { "risk".to_owned() } else { stem }
}

fn named(block: &BlockSource) -> String {
    match &block.to {
        Targets::Version(to) => format!("{}-{to}", stem(Some(block))),
        Targets::Range(_) => stem(Some(block)),
    }
}

/// Adds a file, under a free name.
fn insert(files: &mut Files, name: &str, text: String) {
    let path = |name: &str| Path::new(FOLDER).join(format!("{name}.yaml"));
    let mut free = path(name);
    let mut number = 2_u32;
    while files.contains_key(&free) {
        free = path(&format!("{name}-{number}"));
        number += 1;
    }
    files.insert(free, text);
}

/// The fix all members agree on, if the range does not reach it.
fn fixed_in(blocks: &[BlockSource], fold: &Fold, notes: &mut Vec<Note>) -> Option<ReleaseVersion> {
    let fixes: BTreeSet<&ReleaseVersion> =
        members(blocks, fold).filter_map(|block| block.fixed_in.as_ref()).collect();
    let last = fold.range.as_ref().map(|(_, last)| last)?;
    match fixes.first() {
        Some(fix) if fixes.len() == 1 && *fix > last => Some((*fix).clone()),
        Some(_) => {
            let fixes: Vec<String> = fixes.iter().map(ToString::to_string).collect();
            let message = format!(
                "the files up to {last} name {} as the fix; the range ends without one",
                fixes.join(", ")
            );
            notes.push(Note::new(
                NoteKind::FixesDiffer,
                stem(members(blocks, fold).next()),
                message,
            ));
            None
        }
        None => None,
    }
}

/// Whether a line is the one of a key at the top level.
fn is_key(line: &str, key: &str) -> bool {
    line.strip_prefix(key).is_some_and(|rest| rest.starts_with(':'))
}

/// The text without what differs between the files of one fault.
fn body(text: &str) -> String {
    let lines = text.lines().filter(|line| !is_key(line, "to") && !is_key(line, "fixedIn"));
    lines.map(str::trim_end).collect::<Vec<_>>().join("\n")
}

/// A file's own text with another target and fix; `None` where its lines are not plain.
fn edited(text: &str, to: &str, fixed_in: Option<&ReleaseVersion>) -> Option<String> {
    if text.lines().filter(|line| is_key(line, "to")).count() != 1 {
        return None;
    }
    let mut edited = String::new();
    for line in text.lines() {
        if is_key(line, "to") {
            edited.push_str("to: ");
            edited.push_str(&quoted(to));
            edited.push('\n');
            edited.push_str(&fix_line(fixed_in));
        } else if !is_key(line, "fixedIn") {
            edited.push_str(line);
            edited.push('\n');
        }
    }
    Some(edited)
}

/// The text of a block that is no file in the source.
fn generated(block: &BlockSource) -> String {
    let to = match &block.to {
        Targets::Version(to) => to.to_string(),
        Targets::Range(to) => to.to_string(),
    };
    written(block, &to, block.fixed_in.as_ref())
}

fn written(block: &BlockSource, to: &str, fixed_in: Option<&ReleaseVersion>) -> String {
    let from = match &block.from {
        Sources::Pattern(from) => from.as_str().to_owned(),
        Sources::Range(from) => from.to_string(),
    };
    let fix = fix_line(fixed_in);
    let text = format!("to: {}\nfrom: {}\n{fix}", quoted(to), quoted(&from));
    let Some(risk) = &block.risk else { return text };
    let (name, url, message) = (quoted(&risk.name), quoted(&risk.url), quoted(&risk.message));
    let rules: Vec<String> = risk.matching_rules.iter().map(rule_text).collect();
    format!(
        "{text}name: {name}\nurl: {url}\nmessage: {message}\nmatchingRules:\n{}",
        rules.concat()
    )
}

fn fix_line(fixed_in: Option<&ReleaseVersion>) -> String {
    fixed_in.map_or(String::new(), |fixed_in| format!("fixedIn: {fixed_in}\n"))
}

fn rule_text(rule: &crate::graph::MatchingRule) -> String {
    use crate::graph::MatchingRule;
    match rule {
        MatchingRule::Always => "- type: Always\n".to_owned(),
        MatchingRule::PromQl { promql } => {
            format!("- type: PromQL\n  promql:\n    promql: {}\n", quoted(promql))
        }
        MatchingRule::Unknown { kind } => format!("- type: {}\n", quoted(kind)),
    }
}
