//! `docs/troubleshooting.md` has a section for every reason, refusal and alert there is, and none
//! for what nobody says.

use std::collections::{BTreeMap, BTreeSet};

use super::book::{headings, text_of};
use super::{assert_none, files_below, root};

/// What a person on duty needs of a reason or an alert.
const PARTS: [&str; 4] = ["Means", "Causes", "Look", "Do"];
/// What whoever sent a request that was refused needs.
const PARTS_OF_A_REFUSAL: [&str; 2] = ["Means", "Do"];

/// Files that name reasons, what stands before a name there, and how many names there are at least:
/// a reader that finds fewer is broken.
const NAMED: [(&str, &[&str], usize); 12] = [
    ("cluster-agent/src/plan/waiting_on.rs", &["=> \"", ": &str = \""], 45),
    ("cluster-agent/src/observation/finding.rs", &["=> \"", "=> { \""], 50),
    ("cluster-agent/src/hub/trust/error.rs", &["=> \"", "=> { \""], 8),
    ("cluster-agent/src/hub/error.rs", &["=> \""], 6),
    ("cluster-agent/src/phase/table.rs", &["_ms, \"", "limit_ms, \""], 2),
    ("cluster-agent/src/history.rs", &["BACK_ORDERED: &str = \""], 1),
    ("cluster-agent/src/agent/resume.rs", &["RUNS_ANOTHER: &str = \""], 1),
    ("cluster-agent/src/agent/pausing.rs", &["STAGE_NOT_STARTED: &str = \""], 1),
    ("signing/src/attack.rs", &["=> \""], 7),
    ("channels/src/rollout/why.rs", &["=> \""], 13),
    ("update-server/src/directive/mod.rs", &["reason(\"", "reason( \"", ": &str = \""], 9),
    ("update-server/src/http/api/probes.rs", &["reason(\""], 6),
];

/// Folders all of whose files are searched for reasons made on the spot.
const ON_THE_SPOT: [(&str, &str, usize); 2] =
    [("cluster-agent/src", "gate: \"", 5), ("update-server/src", "code: \"", 8)];

/// Enums whose variants are names, in snake case.
const VARIANTS: [(&str, &str, usize); 2] = [
    ("channels/src/rollout/judge.rs", "enum WaitReason {", 6),
    ("channels/src/rollout/attempt.rs", "enum FailureKind {", 5),
];

/// Files whose sentences are quoted.
const SENTENCES: [&str; 9] = [
    "cluster-agent/src/plan/waiting_on.rs",
    "cluster-agent/src/observation/finding.rs",
    "cluster-agent/src/phase/table.rs",
    "cluster-agent/src/agent/events.rs",
    "cluster-agent/src/cli/check.rs",
    "channels/src/rollout/why.rs",
    "channels/src/rollout/judge.rs",
    "update-server/src/directive/mod.rs",
    "update-server/src/rollout/ask.rs",
];

/// Letters of its own that a sentence must have, its placeholders left out.
const WORDS_MIN: usize = 6;

/// Source without its tests, every run of white space as one blank.
fn source(path: impl AsRef<std::path::Path>) -> String {
    let text = text_of(path);
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    code.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn is_name(word: &str) -> bool {
    word.len() > 2 && word.chars().all(|c| c.is_ascii_lowercase() || c == '_')
}

fn names_after(text: &str, before: &str) -> BTreeSet<String> {
    let words = text.split(before).skip(1).filter_map(|rest| rest.split('"').next());
    words.filter(|word| is_name(word)).map(str::to_owned).collect()
}

fn snake(variant: &str) -> String {
    let mut name = String::new();
    for c in variant.chars() {
        if c.is_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.extend(c.to_lowercase());
    }
    name
}

/// The variants of an enum, by their lines.
fn variants(text: &str, opening: &str) -> BTreeSet<String> {
    let body = text.split_once(opening).expect("the enum").1.split("\n}").next();
    let lines = body.unwrap_or_default().lines().filter_map(|line| line.strip_prefix("    "));
    lines
        .filter(|line| line.starts_with(|c: char| c.is_ascii_uppercase()))
        .map(|line| snake(line.trim_end_matches([',', '{', ' '])))
        .collect()
}

/// Stages of a step that can fail: `{stage}_failed` is the reason's name.
fn failed_stages() -> BTreeSet<String> {
    let text = source("cluster-agent/src/phase/table.rs");
    let mut found = names_after(&text, "command_failed(\"");
    for part in text.split("fails(phase, Failed::").skip(1) {
        found.extend(part.split('"').nth(1).map(str::to_owned));
    }
    assert!(found.len() >= 6, "stages of a step are not found: {found:?}");
    found.into_iter().map(|stage| format!("{stage}_failed")).collect()
}

/// Every stable name of a reason, as the code writes it.
fn reasons() -> BTreeSet<String> {
    let mut all = failed_stages();
    for (file, before, least) in NAMED {
        let text = source(file);
        let found: BTreeSet<String> = before.iter().flat_map(|b| names_after(&text, b)).collect();
        assert!(found.len() >= least, "{file} names {} reasons: {found:?}", found.len());
        all.extend(found);
    }
    for (folder, before, least) in ON_THE_SPOT {
        let files = files_below(&root().join(folder), &["rs"]);
        let tests = |path: &String| path.contains("/tests") || path.contains("/simulation");
        let paths = files.iter().map(|path| path.display().to_string());
        let found: BTreeSet<String> =
            paths.filter(|p| !tests(p)).flat_map(|p| names_after(&source(p), before)).collect();
        assert!(found.len() >= least, "{folder} makes {} reasons: {found:?}", found.len());
        all.extend(found);
    }
    for (file, opening, least) in VARIANTS {
        let found = variants(&text_of(file), opening);
        assert!(found.len() >= least, "{file} has {} variants: {found:?}", found.len());
        all.extend(found);
    }
    // The one check that comes with the agent; others have the names that their owners give.
    let check =
        names_after(&source("cluster-agent/src/prometheus/deprecated.rs"), "NAME: &str = \"");
    all.extend(check.into_iter().map(|name| format!("check_{name}")));
    all
}

fn problems() -> BTreeSet<String> {
    update_server::http::problem::Code::ALL.iter().map(|code| code.slug().to_owned()).collect()
}

fn alerts() -> BTreeSet<String> {
    let rules = files_below(&root().join("deploy/monitoring"), &["yaml", "yml"]);
    let texts: Vec<String> = rules.iter().map(text_of).collect();
    let found: BTreeSet<String> = texts
        .iter()
        .flat_map(|text| text.lines())
        .filter_map(|line| line.trim().strip_prefix("- alert: "))
        .map(|name| name.trim().to_owned())
        .collect();
    assert!(found.len() >= 25, "only {} alerts were found", found.len());
    found
}

/// Sections of the chapter about single names.
fn sections() -> BTreeMap<String, String> {
    let text = text_of("docs/troubleshooting.md");
    let titles: Vec<(usize, &str)> = headings(&text).collect();
    let mut found = BTreeMap::new();
    for (depth, title) in titles {
        let heading = format!("\n{} {title}\n", "#".repeat(depth));
        let after = text.split_once(&heading).map(|(_, after)| after).unwrap_or_default();
        let body = after.split("\n#").next().unwrap_or_default().to_owned();
        if depth >= 3 && !title.contains(' ') {
            assert!(found.insert(title.to_owned(), body).is_none(), "{title} has two sections");
        }
    }
    found
}

fn lacking(section: &str, parts: &[&str]) -> Option<String> {
    let has = |part: &&&str| {
        let label = format!("- **{part}:** ");
        section.lines().any(|line| line.strip_prefix(&label).is_some_and(|text| text.len() > 3))
    };
    parts.iter().find(|part| !has(part)).map(|part| (*part).to_owned())
}

#[test]
fn every_reason_refusal_and_alert_has_its_section() {
    let sections = sections();
    let whole = reasons().into_iter().chain(alerts()).map(|name| (name, &PARTS[..]));
    let short = problems().into_iter().map(|name| (name, &PARTS_OF_A_REFUSAL[..]));
    let mut faults = Vec::new();
    for (name, parts) in whole.chain(short) {
        match sections.get(&name) {
            None => faults.push(format!("{name} has no section")),
            Some(section) => {
                faults.extend(lacking(section, parts).map(|part| format!("{name} lacks {part}")));
            }
        }
    }
    assert_none("troubleshooting.md is not complete", &faults);
}

#[test]
fn nothing_has_a_section_that_nobody_says() {
    let known: BTreeSet<String> = [reasons(), problems(), alerts()].into_iter().flatten().collect();
    let stale: Vec<String> = sections().into_keys().filter(|name| !known.contains(name)).collect();
    assert_none("sections of names that are gone", &stale);
}

#[test]
fn alerts_lead_to_their_sections() {
    let sections = sections();
    let anchors: BTreeSet<String> = sections.keys().map(|name| name.to_lowercase()).collect();
    let mut faults = Vec::new();
    for rules in files_below(&root().join("deploy/monitoring"), &["yaml", "yml"]) {
        let text = text_of(&rules);
        for link in text.split("troubleshooting.md#").skip(1) {
            let end = link.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
            let anchor = link.get(..end.unwrap_or(link.len())).unwrap_or_default();
            // A template, `…#{{ $labels.gate }}`, is filled in when the alert fires.
            if !anchor.is_empty() && !anchors.contains(anchor) {
                faults.push(format!("{}: {anchor}", rules.display()));
            }
        }
    }
    assert_none("alerts that lead nowhere", &faults);
}

/// String literals of a source file that are sentences, cut at their placeholders.
fn templates() -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for file in SENTENCES {
        let text = source(file);
        for literal in text.replace("\\\"", "\u{1}").split('"').skip(1) {
            let joined = literal.replace("\\ ", "").replace('\u{1}', "\"");
            let pieces = joined.split('{').enumerate().map(|(at, piece)| {
                let cut = piece.split_once('}').filter(|_| at > 0);
                cut.map_or(piece, |(_, after)| after).to_owned()
            });
            let pieces: Vec<String> = pieces.collect();
            // What is nearly all placeholders fits everything.
            if pieces.iter().flat_map(|p| p.chars()).filter(|c| c.is_alphabetic()).count()
                >= WORDS_MIN
            {
                found.push(pieces);
            }
        }
    }
    assert!(found.len() > 120, "only {} sentences were found", found.len());
    found
}

fn fits(sentence: &str, template: &[String]) -> bool {
    let (Some(first), Some(last)) = (template.first(), template.last()) else { return false };
    let Some(mut rest) = sentence.strip_prefix(first.as_str()) else { return false };
    for piece in template.iter().skip(1) {
        let Some((_, after)) = rest.split_once(piece.as_str()) else { return false };
        rest = after;
    }
    (template.len() > 1 && sentence.ends_with(last.as_str())) || rest.is_empty()
}

#[test]
fn sentences_that_people_search_for_are_those_that_the_programs_say() {
    let templates = templates();
    let (mut faults, mut checked) = (Vec::new(), 0_usize);
    for (name, section) in sections() {
        for line in section.lines() {
            let Some(sentence) = line.strip_prefix('`').and_then(|rest| rest.strip_suffix('`'))
            else {
                continue;
            };
            // What is left out stands for anything, and is not held against a template.
            if sentence.contains('…') {
                continue;
            }
            checked += 1;
            if !templates.iter().any(|template| fits(sentence, template)) {
                faults.push(format!("{name}: {sentence}"));
            }
        }
    }
    assert_none("sentences that nobody says", &faults);
    assert!(checked > 80, "only {checked} sentences were found");
}
