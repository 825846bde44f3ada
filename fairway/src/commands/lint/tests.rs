//! What `fairway lint` prints, in every format, and how it leaves.

use serde_json::Value;

use super::*;
use crate::authoring::scaffold::{Scaffold, Top, TopRoles};
use crate::out::capture;
use crate::publisher::testing::{World, content, day, secret};

fn now() -> Timestamp {
    "2026-05-01T12:00:00Z".parse().unwrap()
}

fn write(dir: &Path, path: &str, text: &str) {
    let path = dir.join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

fn example() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (path, text) in scaffold().files() {
        write(dir.path(), &path.to_string_lossy(), &text);
    }
    dir
}

/// Writes the example's product into a directory that has its hub.toml already.
pub(crate) fn product_into(dir: &Path) {
    for (path, text) in scaffold().files() {
        if path.starts_with("app") {
            write(dir, &path.to_string_lossy(), &text);
        }
    }
}

fn scaffold() -> Scaffold {
    Scaffold {
        top: Top::Own(TopRoles {
            server: "http://hub".into(),
            root_keys: vec!["root-1.pub".into()],
            root_threshold: 1,
        }),
        vendor: "acme".parse().unwrap(),
        product: "app".parse().unwrap(),
        role: "workload".into(),
        now: now(),
    }
}

const CHANNEL: &str = "app/channels/stable.yaml";

/// The example with a channel entry that has no release, and one that is there twice.
fn faulty() -> tempfile::TempDir {
    let dir = example();
    write(dir.path(), CHANNEL, "name: stable\nversions:\n- 1.0.0\n- 1.0.0\n- 1.1.0\n");
    dir
}

fn args(dir: &Path) -> LintArgs {
    LintArgs {
        dir: Some(dir.to_owned()),
        policy: Vec::new(),
        output: Format::Text,
        deny: None,
        explain: None,
    }
}

fn run_at(args: &LintArgs, now: Timestamp) -> (Result<()>, String, String) {
    let (mut out, stdout, stderr) = capture::out();
    (run(args, now, &mut out), stdout.text(), stderr.text())
}

fn fairway_lint(dir: &Path, output: Format) -> (Result<()>, String, String) {
    run_at(&LintArgs { output, ..args(dir) }, now())
}

fn json(dir: &Path, output: Format) -> Value {
    serde_json::from_str(&fairway_lint(dir, output).1).unwrap()
}

#[test]
fn the_example_of_init_lints_clean() {
    let dir = example();
    let (result, stdout, stderr) = fairway_lint(dir.path(), Format::Text);
    result.unwrap();
    assert_eq!((stdout.as_str(), stderr.as_str()), ("", "no errors, no warnings\n"));
}

#[test]
fn a_missing_release_is_an_error_with_its_file_and_line() {
    let (result, stdout, _) = fairway_lint(faulty().path(), Format::Text);
    let error = result.unwrap_err();
    assert_eq!(error.exit().code(), 1);
    assert!(error.to_string().starts_with("1 lint error in "), "{error}");
    let lines: Vec<&str> = stdout.lines().collect();
    assert!(lines[0].starts_with(&format!("{CHANNEL}:5: error: 1.1.0 has no release")), "{stdout}");
    assert!(lines[0].ends_with("[missing_release]"), "{stdout}");
    assert!(lines[1].starts_with(&format!("{CHANNEL}:4: note: ")), "{stdout}");
}

#[test]
fn a_malformed_file_names_its_line_and_is_json_too() {
    let dir = example();
    write(dir.path(), CHANNEL, "name: stable\nversion: []\n");
    let (result, stdout, _) = fairway_lint(dir.path(), Format::Json);
    assert!(result.unwrap_err().to_string().starts_with("1 unreadable file in "));
    let lines: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(lines[0]["code"], "malformed");
    assert_eq!(lines[0]["file"], CHANNEL);
    assert_eq!(lines[0]["line"], 2);
}

#[test]
fn annotations_name_the_file_as_seen_from_where_the_command_runs() {
    let dir = faulty();
    let (_, stdout, _) = fairway_lint(dir.path(), Format::Github);
    let lines: Vec<&str> = stdout.lines().collect();
    let file = format!("{}/{CHANNEL}", dir.path().display());
    let error = format!("::error file={file},line=5,title=missing_release::1.1.0 has no release ");
    assert!(lines[0].starts_with(&error), "{stdout}");
    assert!(lines[1].starts_with(&format!("::notice file={file},line=4,title=version_repeated::")));
}

#[test]
fn text_in_annotations_cannot_end_a_property_or_start_a_command() {
    let dir = example();
    let block = "to: 1.0.0\nfrom: 0[.].*\nname: \"a: 5%\\n::set\"\nurl: https://e.com\nmessage: \
                 m\nmatchingRules: [{type: Always}]\n";
    write(dir.path(), "app/blocked-edges/a,b%.yaml", block);
    let (_, stdout, _) = fairway_lint(dir.path(), Format::Github);
    let line = stdout.lines().find(|line| line.contains("title=risk_name::")).unwrap();
    assert!(line.contains("/app/blocked-edges/a%2Cb%25.yaml,line=3,"), "{line}");
    assert!(line.contains("::\"a: 5%25"), "{line}");
    assert!(stdout.lines().all(|line| line.starts_with("::warning file=")), "{stdout}");
}

#[test]
fn the_code_quality_report_has_a_fingerprint_that_survives_moved_lines() {
    let dir = faulty();
    let before = json(dir.path(), Format::Gitlab);
    assert_eq!(before[0]["check_name"], "missing_release");
    assert_eq!(before[0]["severity"], "critical");
    assert_eq!(before[0]["location"]["lines"]["begin"], 5);
    let path = before[0]["location"]["path"].as_str().unwrap();
    assert!(path.ends_with(CHANNEL), "{path}");
    assert_eq!(before[1]["severity"], "info");
    assert_ne!(before[0]["fingerprint"], before[1]["fingerprint"]);
    let text = std::fs::read_to_string(dir.path().join(CHANNEL)).unwrap();
    write(dir.path(), CHANNEL, &format!("# moved\n{text}"));
    let after = json(dir.path(), Format::Gitlab);
    assert_eq!(after[0]["location"]["lines"]["begin"], 6);
    assert_eq!(after[0]["fingerprint"], before[0]["fingerprint"]);
}

#[test]
fn sarif_names_the_rules_it_uses() {
    let log = json(faulty().path(), Format::Sarif);
    assert_eq!(log["version"], "2.1.0");
    let run = &log["runs"][0];
    let rules: Vec<&str> = run["tool"]["driver"]["rules"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| r["id"].as_str().unwrap())
        .collect();
    assert_eq!(rules, ["missing_release", "version_repeated"]);
    let result = &run["results"][0];
    assert_eq!((&result["ruleId"], &result["level"]), (&"missing_release".into(), &"error".into()));
    let place = &result["locations"][0]["physicalLocation"];
    assert_eq!(place["region"]["startLine"], 5);
    assert!(place["artifactLocation"]["uri"].as_str().unwrap().ends_with(CHANNEL));
}

#[test]
fn warnings_fail_only_where_they_are_denied() {
    let dir = example();
    write(dir.path(), CHANNEL, "name: stable\nversions: [1.0.0]\nfeeder: {name: fast}\n");
    let (result, stdout, stderr) = fairway_lint(dir.path(), Format::Text);
    result.unwrap();
    assert!(stdout.contains(":3: warning: ") && stdout.ends_with("[feeder_missing]\n"), "{stdout}");
    assert_eq!(stderr, "no errors, 1 warning\n");
    let denied = LintArgs { deny: Some(Deny::Warnings), ..args(dir.path()) };
    let error = run_at(&denied, now()).0.unwrap_err();
    assert_eq!(error.exit().code(), 1);
    assert!(error.to_string().starts_with("1 warning in "), "{error}");
}

#[test]
fn a_code_is_explained_and_an_unknown_one_names_those_there_are() {
    let (mut out, stdout, _) = capture::out();
    explain::run("no_way_out", &mut out).unwrap();
    let lines: Vec<String> = stdout.text().lines().map(str::to_owned).collect();
    assert_eq!(lines.len(), 3);
    assert!(lines[0].starts_with("no_way_out (warning): a version older than the head"));
    assert!(lines[1].starts_with("why: ") && lines[2].starts_with("what to do: "), "{lines:?}");
    let error = explain::run("nope", &mut out).unwrap_err();
    assert_eq!(error.exit().code(), 2);
    assert!(error.hint_text().unwrap().contains("start_in_past"));
}

#[test]
fn explaining_needs_no_directory_and_linting_does() {
    let parse = |words: &str| {
        <LintArgs as clap::Args>::augment_args(clap::Command::new("lint"))
            .try_get_matches_from(words.split(' '))
            .and_then(|found| <LintArgs as clap::FromArgMatches>::from_arg_matches(&found))
    };
    assert_eq!(parse("lint --explain cycle").unwrap().explain.as_deref(), Some("cycle"));
    assert!(parse("lint").is_err());
    assert!(parse("lint d --explain cycle").is_err());
    assert_eq!(parse("lint d --deny warnings").unwrap().deny, Some(Deny::Warnings));
}

/// A policy that starts long ago, and opens everything at once.
const POLICY: &str = "name: p\nstart: 2025-01-01T08:00:00Z\nrings:\n  - {name: all, rest: true}\ncurve:\n  \
                      points:\n    - {after: 1d, share: 100%}\n";

#[test]
fn policies_are_found_below_the_repository_and_where_they_are_named() {
    let dir = example();
    write(dir.path(), "rollouts/night.yaml", POLICY);
    write(dir.path(), "rollouts/README.md", "# Policies");
    let expected = |stdout: &str, file: &str| {
        let lines: Vec<&str> = stdout.lines().collect();
        assert_eq!(lines.len(), 2, "{stdout}");
        assert!(lines[0].starts_with(&format!("{file}:4: error: ")), "{stdout}");
        assert!(lines[0].ends_with("[share_at_once]"), "{stdout}");
        assert!(lines[1].starts_with(&format!("{file}:2: warning: ")), "{stdout}");
        assert!(lines[1].ends_with("[start_in_past]"), "{stdout}");
    };
    let (result, stdout, _) = fairway_lint(dir.path(), Format::Text);
    assert_eq!(result.unwrap_err().exit().code(), 1);
    expected(&stdout, "rollouts/night.yaml");
    let elsewhere = tempfile::tempdir().unwrap();
    std::fs::rename(dir.path().join("rollouts"), elsewhere.path().join("rollouts")).unwrap();
    let file = elsewhere.path().join("rollouts/night.yaml");
    let named = LintArgs { policy: vec![file.clone()], ..args(dir.path()) };
    expected(&run_at(&named, now()).1, &file.to_string_lossy());
    expected(&fairway_lint(&file, Format::Text).1, &file.to_string_lossy());
    // The directory of a fleet's owner, who publishes nothing.
    expected(&fairway_lint(elsewhere.path(), Format::Text).1, "rollouts/night.yaml");
    write(elsewhere.path(), "rollouts/day.yml", POLICY);
    let (_, stdout, _) = fairway_lint(elsewhere.path(), Format::Text);
    assert!(stdout.starts_with("rollouts/day.yml: error: is not read here"), "{stdout}");
}

#[test]
fn a_served_graph_is_linted_too() {
    let dir = tempfile::tempdir().unwrap();
    let node = |version: &str| format!("{{\"version\":\"{version}\",\"payload\":\"\"}}");
    let text = |edges: &str| {
        format!("{{\"nodes\":[{},{}],\"edges\":{edges}}}", node("1.0.0"), node("1.1.0"))
    };
    let file = dir.path().join("graph.json");
    write(dir.path(), "graph.json", &text("[[0,1],[1,0]]"));
    assert!(fairway_lint(&file, Format::Text).1.contains("1.0.0 -> 1.1.0 -> 1.0.0 [cycle]"));
    write(dir.path(), "graph.json", &text("[[0,7]]"));
    let (result, stdout, _) = fairway_lint(&file, Format::Text);
    assert_eq!(result.unwrap_err().exit().code(), 1);
    assert!(stdout.ends_with("[graph_invalid]\n"), "{stdout}");
    write(dir.path(), "graph.json", &text("[[0,1]]"));
    fairway_lint(&file, Format::Text).0.unwrap();
    let missing = fairway_lint(&dir.path().join("none"), Format::Text).0.unwrap_err();
    assert_eq!(missing.exit().code(), 1);
}

fn role(name: &str) -> String {
    format!("keys = [\"keys/{name}.pub\"]\nthreshold = 1\n")
}

/// A hub's directory: the example with signed metadata of day 0.
fn hub() -> tempfile::TempDir {
    let dir = example();
    let mut world = World::new();
    world.publish(&content(&["1.0.0"]), day(0));
    let keys =
        [(1, "root-1"), (2, "targets"), (3, "acme"), (4, "acme.releases"), (5, "acme.channels")];
    for (seed, name) in keys {
        write(dir.path(), &format!("keys/{name}.pub"), &secret(seed).public().to_spki_pem());
    }
    let text = format!(
        "server = \"http://hub.example\"\n[root]\n{}[targets]\n{}[vendors.acme]\n{}\
         [vendors.acme.releases]\n{}[vendors.acme.channels]\n{}",
        role("root-1"),
        role("targets"),
        role("acme"),
        role("acme.releases"),
        role("acme.channels"),
    );
    write(dir.path(), "hub.toml", &text);
    std::fs::write(dir.path().join("root.json"), &world.root).unwrap();
    for (name, bytes) in world.published.files() {
        let path = name.relative_path();
        if path.starts_with("metadata/") {
            write(dir.path(), &path, std::str::from_utf8(bytes).unwrap());
        }
    }
    dir
}

#[test]
fn metadata_that_expires_is_found_in_the_directory_of_a_hub() {
    let dir = hub();
    let found = |now: Timestamp| {
        let (result, stdout, _) = run_at(&args(dir.path()), now);
        let codes: Vec<String> =
            stdout.lines().filter(|line| line.contains("role_expire")).map(str::to_owned).collect();
        (result.is_ok(), codes)
    };
    assert_eq!(found(day(1)), (true, Vec::new()));
    let (passes, soon) = found(day(310));
    assert!(passes && soon.iter().any(|line| line.ends_with("[role_expires_soon]")), "{soon:?}");
    assert!(soon.iter().any(|line| line.starts_with("metadata/1.acme.channels.json: warning: ")));
    let (passes, past) = found(day(400));
    assert!(!passes && past.iter().all(|line| line.ends_with("[role_expired]")), "{past:?}");
    assert!(past.iter().any(|line| line.starts_with("metadata/1.root.json: error: root expired")));
}

/// A site's directory: `hub.toml` without a vendor of its own, and no product.
fn site() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let ceremony = World::new();
    for name in ["root-1", "targets", "zeta"] {
        let pem = ceremony.timestamp.public().to_spki_pem();
        write(dir.path(), &format!("keys/{name}.pub"), &pem);
    }
    std::fs::write(dir.path().join("root.json"), &ceremony.root).unwrap();
    let text = format!(
        "server = \"http://hub\"\n[root]\n{}[targets]\n{}[imported.zeta]\n{}paths = \
         [\"zeta/*/*\"]\nterminating = true\n",
        role("root-1"),
        role("targets"),
        role("zeta")
    );
    write(dir.path(), "hub.toml", &text);
    dir
}

#[test]
fn a_site_that_only_imports_has_nothing_to_lint() {
    let dir = site();
    let (result, stdout, stderr) = fairway_lint(dir.path(), Format::Text);
    result.unwrap();
    let expected = "this site only imports: it has no product of its own, nothing to lint\n";
    assert_eq!((stdout.as_str(), stderr.as_str()), ("", expected));
    let (result, stdout, _) = fairway_lint(dir.path(), Format::Json);
    result.unwrap();
    assert_eq!(stdout.trim(), "[]");
}

#[test]
fn a_publisher_without_a_product_is_an_error() {
    let dir = example();
    std::fs::remove_dir_all(dir.path().join("app")).unwrap();
    let (result, ..) = fairway_lint(dir.path(), Format::Text);
    assert_eq!(result.unwrap_err().exit().code(), 1);
}
