//! Each rule finds its fault, and nothing else.

use std::path::Path;

use super::*;
use crate::graph::tests::{graph, with_tombstones};
use crate::repository::tests::{SETTINGS, product, release, workspace};

const ANY: &str = "upgrade_from: [\">=1.0.0\"]\n";

fn now() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

/// Codes found in a product, each once.
fn codes(releases: &[(&str, &str)], channel: &str, blocks: &[(&str, &str)]) -> Vec<&'static str> {
    let source = product(releases, channel, blocks);
    let workspace = Workspace { root: PathBuf::new(), products: vec![source] };
    let mut codes: Vec<_> =
        lint(&workspace, now()).iter().map(|finding| finding.code.as_str()).collect();
    codes.dedup();
    codes
}

fn graph_codes(graph: &crate::graph::Graph) -> Vec<String> {
    lint_graph(graph, Path::new("g"))
        .iter()
        .map(|finding| format!("{} {}", finding.code, finding.message))
        .collect()
}

#[test]
fn a_sound_product_has_no_findings() {
    let releases = [("1.0.0", ANY), ("1.0.1", ANY)];
    assert_eq!(codes(&releases, "versions: [1.0.0, 1.0.1]\n", &[]), Vec::<&str>::new());
}

#[test]
fn a_channel_entry_without_a_release_is_an_error_that_names_its_file() {
    let source = product(&[("1.0.0", ANY)], "versions: [1.0.0, 1.0.1]\n", &[]);
    let workspace = Workspace { root: PathBuf::new(), products: vec![source] };
    let found = lint(&workspace, now());
    assert_eq!(
        found[0].to_string(),
        "app/channels/stable.yaml: error: 1.0.1 has no release file; add releases/1.0.1.yaml or \
         take it out [missing_release]"
    );
}

#[test]
fn a_version_that_cannot_move_on_is_found_also_when_it_is_withdrawn() {
    let releases = [("1.0.0", ANY), ("1.0.1", ANY), ("1.0.2", "upgrade_from: [\"=1.0.0\"]\n")];
    let all = "versions: [1.0.0, 1.0.1, 1.0.2]\n";
    assert_eq!(codes(&releases, all, &[]), ["no_way_out"]);
    let withdrawn = format!("{all}tombstones: [1.0.1]\n");
    assert_eq!(codes(&releases, &withdrawn, &[]), ["no_way_out"]);
}

#[test]
fn a_dead_end_is_left_in_peace_and_so_is_what_leads_only_there() {
    let releases = [("1.0.0", ANY), ("1.0.1", ANY), ("1.1.0", "upgrade_from: [\"~1.1\"]\n")];
    let channel = "versions: [1.0.0, 1.0.1, 1.1.0]\n";
    let node = "node_unreachable";
    assert_eq!(codes(&releases, channel, &[]), ["no_way_out", "head_unreachable", node]);
    let ended = format!("{channel}dead_ends: {{1.0.1: the line ends here}}\n");
    assert_eq!(codes(&releases, &ended, &[]), [node]);
}

#[test]
fn a_way_that_ends_before_the_head_and_a_node_nothing_leads_to_are_found() {
    let graph = graph(&[("1.0.0", "1.0.1"), ("1.0.1", "1.0.2"), ("1.0.3", "1.0.4")], &[]);
    let found = graph_codes(&graph);
    assert_eq!(
        found,
        [
            "no_way_out 1.0.2 has no way out: a cluster on it can never move; let a newer release \
             list it in upgrade_from, or give the reason under dead_ends",
            "head_unreachable no way leads from 1.0.0 to the head 1.0.4",
            "head_unreachable no way leads from 1.0.1 to the head 1.0.4",
            "node_unreachable nothing older in the channel leads to 1.0.3",
        ]
    );
}

#[test]
fn a_way_that_needs_a_risk_still_counts_as_a_way() {
    assert_eq!(graph_codes(&graph(&[], &[("1.0.0", "1.0.1")])), Vec::<String>::new());
}

#[test]
fn a_way_over_a_withdrawn_release_does_not_count() {
    let graph = with_tombstones(&[("1.0.0", "1.0.1"), ("1.0.1", "1.0.2")], &[], &["1.0.1"]);
    assert!(graph_codes(&graph)[0].starts_with("no_way_out 1.0.0"));
}

#[test]
fn a_circle_is_an_error_in_a_foreign_graph_and_a_note_where_downgrades_close_it() {
    let foreign = graph(
        &[("1.0.0", "1.0.1"), ("1.0.1", "1.0.2"), ("1.0.2", "1.0.1"), ("1.0.2", "1.0.3")],
        &[],
    );
    assert_eq!(graph_codes(&foreign), ["cycle edges lead in a circle: 1.0.1 -> 1.0.2 -> 1.0.1"]);
    let releases = [("1.0.0", "upgrade_from: []\ndowngrade_from: [\"=1.0.1\"]\n"), ("1.0.1", ANY)];
    assert_eq!(codes(&releases, "versions: [1.0.0, 1.0.1]\n", &[]), ["downgrade_cycle"]);
}

#[test]
fn an_edge_to_itself_is_a_circle() {
    let graph = graph(&[("1.0.0", "1.0.0")], &[]);
    assert_eq!(graph_codes(&graph), ["cycle edges lead in a circle: 1.0.0 -> 1.0.0"]);
}

#[test]
fn a_downgrade_over_a_finalize_step_is_found() {
    let level =
        |from: &str, level: &str| format!("{from}finalize:\n  summary: s\n  level: \"{level}\"\n");
    let back = "upgrade_from: []\ndowngrade_from: [\"^1\"]\n";
    let versions = "versions: [1.0.0, 1.1.0]\n";
    let same = [("1.0.0", &*level(back, "1")), ("1.1.0", &*level(ANY, "1"))];
    assert_eq!(codes(&same, versions, &[]), ["downgrade_cycle"]);
    let other = [("1.0.0", &*level(back, "1.0")), ("1.1.0", &*level(ANY, "1.1"))];
    assert_eq!(codes(&other, versions, &[]), ["downgrade_over_finalize", "downgrade_cycle"]);
}

#[test]
fn risks_are_checked_by_name_and_address_and_use() {
    let risk = |name: &str, url: &str, to: &str| {
        format!(
            "to: {to}\nfrom: .*\nname: {name}\nmessage: m\nurl: {url}\nmatchingRules: [{{type: \
             Always}}]\n"
        )
    };
    let found = |files: &[String]| {
        let names = ["a", "b", "c"];
        let blocks: Vec<(&str, &str)> =
            names.iter().copied().zip(files.iter().map(String::as_str)).collect();
        codes(&[("1.0.0", ANY), ("1.0.1", ANY)], "versions: [1.0.0, 1.0.1]\n", &blocks)
    };
    assert_eq!(found(&[risk("Good", "https://e.com/x", "1.0.1")]), Vec::<&str>::new());
    assert_eq!(found(&[risk("Not good", "https://e.com/x", "1.0.1")]), ["risk_name"]);
    assert_eq!(found(&[risk("Good", "e.com/x", "1.0.1")]), ["risk_url"]);
    assert_eq!(found(&[risk("Good", "https:///x", "1.0.1")]), ["risk_url"]);
    assert_eq!(found(&[risk("Good", "https://e.com", "1.0.2")]), ["block_matches_nothing"]);
    assert_eq!(
        found(&[risk("R", "https://e.com/1", "1.0.1"), risk("R", "https://e.com/2", "1.0.1")]),
        ["risk_name_reused"]
    );
}

#[test]
fn dependencies_are_checked_against_the_releases_known_here() {
    let needs = |product: &str, requirement: &str| {
        let more =
            format!("{ANY}dependencies:\n- product: {product}\n  requirement: {requirement}\n");
        release("1.0.0", &more)
    };
    let found = |one: &str| {
        let platform = SETTINGS.replace("app", "platform");
        let files = [
            ("app/fairway.toml", SETTINGS),
            ("app/releases/1.0.0.yaml", one),
            ("app/channels/stable.yaml", "name: stable\nversions: [1.0.0]\n"),
            ("platform/fairway.toml", &platform),
            ("platform/releases/1.31.2.yaml", &release("1.31.2", ANY)),
            ("platform/channels/stable.yaml", "name: stable\nversions: [1.31.2]\n"),
        ];
        let findings = lint(&workspace(&files).unwrap(), now());
        findings.iter().map(|finding| finding.code.as_str()).collect::<Vec<_>>()
    };
    assert_eq!(found(&needs("acme/platform", "^1.31")), Vec::<&str>::new());
    assert_eq!(found(&needs("acme/platform", "^1.32")), ["dependency_unsatisfied"]);
    assert_eq!(found(&needs("acme/other", "^1.32")), ["dependency_unknown"]);
}

#[test]
fn the_smaller_slips_are_found() {
    let versions = "versions: [1.0.0, 1.0.1, 1.0.1]\nfeeder: {name: fast, delay: P1W}\n";
    let late = "upgrade_from: [\">=1.0.0\"]\n";
    let source = product(&[("1.0.0", ANY), ("1.0.1", late), ("1.0.2", late)], versions, &[]);
    let workspace = Workspace { root: PathBuf::new(), products: vec![source] };
    let early = "2025-01-01T00:00:00Z".parse().unwrap();
    let found: Vec<_> = lint(&workspace, early).into_iter().map(|finding| finding.code).collect();
    for code in
        [Code::FeederMissing, Code::ReleasedInFuture, Code::VersionRepeated, Code::ReleaseUnlisted]
    {
        assert!(found.contains(&code), "{code} in {found:?}");
    }
}

#[test]
fn healthy_days_that_no_release_will_wait_for_are_found() {
    let mut source = product(&[("1.0.0", ANY)], "versions: [1.0.0]\n", &[]);
    let rule = crate::graph::SoakRule { days: 7, clusters: 20, max_unhealthy: 0 };
    for channel in ["stable", "stabel"] {
        source.promotions.soak.insert(channel.parse().unwrap(), rule.clone());
    }
    let fed = "versions: [1.0.0]\nfeeder: {name: stable}\n";
    let mut both = product(&[("1.0.0", ANY)], fed, &[]);
    both.promotions.soak.insert("stable".parse().unwrap(), rule);
    let found = |source| {
        let workspace = Workspace { root: PathBuf::new(), products: vec![source] };
        let all = lint(&workspace, now()).into_iter();
        let unused = all.filter(|finding| finding.code == Code::SoakUnused);
        unused.map(|finding| finding.to_string()).collect::<Vec<_>>()
    };
    let [missing, unfed] = &found(source)[..] else { panic!("two are found") };
    let file = "app/promotions.yaml: warning: soak is asked for before ";
    assert_eq!(
        *missing,
        format!("{file}stabel, which is no channel of this product [soak_unused]")
    );
    assert_eq!(*unfed, format!("{file}stable, which has no feeder [soak_unused]"));
    assert_eq!(found(both), Vec::<String>::new());
}

#[test]
fn an_end_of_life_of_no_line_or_before_its_first_release_is_found() {
    let found = |line: &str, day: &str| {
        let mut source =
            product(&[("1.0.0", ANY), ("1.0.1", ANY)], "versions: [1.0.0, 1.0.1]\n", &[]);
        source.eol.insert(line.parse().unwrap(), day.parse().unwrap());
        let workspace = Workspace { root: PathBuf::new(), products: vec![source] };
        let found: Vec<String> = lint(&workspace, now()).iter().map(ToString::to_string).collect();
        found
    };
    assert_eq!(
        found("1.1", "2027-01-01"),
        ["app/fairway.toml: warning: 1.1 ends on 2027-01-01 and has no release; correct the line \
             or remove it [eol_without_release]"]
    );
    assert_eq!(
        found("1.0", "2025-03-17"),
        ["app/fairway.toml: warning: 1.0 ends on 2025-03-17, before its first release of \
             2025-03-18T00:00:00Z; correct it [eol_before_release]"]
    );
    assert_eq!(found("1.0", "2025-03-18"), Vec::<String>::new(), "a day that has passed is one");
}

#[test]
fn one_payload_for_two_releases_is_found() {
    let mut source = product(&[("1.0.0", ANY), ("1.0.1", ANY)], "versions: [1.0.0, 1.0.1]\n", &[]);
    let first = source.releases[&"1.0.0".parse().unwrap()].document.arches.clone();
    let second = source.releases.get_mut(&"1.0.1".parse().unwrap()).unwrap();
    second.document.arches = first;
    let workspace = Workspace { root: PathBuf::new(), products: vec![source] };
    let found = lint(&workspace, now());
    assert_eq!((found.len(), found[0].code), (1, Code::DuplicateDigest));
}

#[test]
fn the_manual_lists_every_code_with_its_severity_and_meaning() {
    let manual = include_str!("../../../docs/channel-repository.md");
    let rows: Vec<(String, String, String)> = manual
        .lines()
        .filter_map(|line| {
            let cells: Vec<&str> = line.split('|').map(str::trim).collect();
            let code = cells.get(1)?.strip_prefix('`')?.strip_suffix('`')?;
            let severity = cells.get(2)?;
            ["error", "warning", "note"]
                .contains(severity)
                .then(|| (code.to_owned(), (*severity).to_owned(), cells[3].to_owned()))
        })
        .collect();
    // Those of rollout policies are in the manual of rollouts.
    let of_policies = crate::rollout::lint::Rule::ALL.map(Code::from);
    let codes: Vec<(String, String, String)> = Code::ALL
        .iter()
        .filter(|code| !of_policies.contains(code))
        .map(|code| code.rule())
        .map(|rule| (rule.code.to_owned(), rule.severity.as_str().to_owned(), rule.what.to_owned()))
        .collect();
    assert_eq!(rows, codes);
}

#[test]
fn every_code_is_found_by_its_name_and_says_what_to_do() {
    for code in Code::ALL {
        assert_eq!(code.as_str().parse(), Ok(*code));
        let rule = code.rule();
        for text in [rule.what, rule.why, rule.advice] {
            assert!(!text.is_empty() && !text.contains("  ") && !text.ends_with('.'), "{text}");
        }
    }
    let unknown = "no_way".parse::<Code>().unwrap_err();
    assert_eq!(unknown.to_string(), "\"no_way\" is no lint code");
}
