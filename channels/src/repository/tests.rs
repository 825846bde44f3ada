//! Reader tests, and the small repositories other modules' tests read.

use std::fs;

use super::*;
use crate::graph::{Feeding, MatchingRule};
use crate::wire::{Role, Severity};

pub(crate) const SETTINGS: &str = "vendor = \"acme\"\nproduct = \"app\"\n[defaults]\narches = \
                                   [\"amd64\"]\nregistry = \"registry.acme.example\"\n";

/// Reads a repository made of these files.
pub(crate) fn workspace(files: &[(&str, &str)]) -> Result<Workspace, Vec<RepositoryError>> {
    let root = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = root.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    Workspace::load(root.path())
}

/// A release file with one broker component and the lines in `more`.
pub(crate) fn release(version: &str, more: &str) -> String {
    let digest = signing::Sha256Digest::of(version.as_bytes());
    format!(
        "version: {version}\nreleased_at: 2025-03-18\npayload: acme/app-release@{digest}\n\
         components:\n- role: broker\n  version: {version}\n  image: acme/app@{digest}\n{more}"
    )
}

/// A product `acme/app` of releases (version, extra lines) with one channel `stable` and blocks.
pub(crate) fn product(
    releases: &[(&str, &str)],
    channel: &str,
    blocks: &[(&str, &str)],
) -> ProductSource {
    let mut files = vec![("app/fairway.toml".to_owned(), SETTINGS.to_owned())];
    for (version, more) in releases {
        files.push((format!("app/releases/{version}.yaml"), release(version, more)));
    }
    files.push(("app/channels/stable.yaml".to_owned(), format!("name: stable\n{channel}")));
    for (name, text) in blocks {
        files.push((format!("app/blocked-edges/{name}.yaml"), (*text).to_owned()));
    }
    let files: Vec<(&str, &str)> = files.iter().map(|(n, t)| (n.as_str(), t.as_str())).collect();
    workspace(&files).unwrap().products.remove(0)
}

/// The one fault of a product with one release, one channel and one more file.
fn fault(name: &str, text: &str) -> String {
    let good = release("1.0.0", "upgrade_from: []\n");
    let mut files = vec![("app/fairway.toml", SETTINGS)];
    if name != "app/releases/1.0.0.yaml" {
        files.push(("app/releases/1.0.0.yaml", good.as_str()));
    }
    files.retain(|(file, _)| *file != name);
    files.push((name, text));
    let errors = workspace(&files).unwrap_err();
    assert_eq!(errors.len(), 1, "{errors:?}");
    errors[0].to_string()
}

fn starts_with(error: &str, start: &str) {
    assert!(error.starts_with(start), "{error:?} does not start with {start:?}");
}

#[test]
fn a_release_file_becomes_a_document_without_a_registry_host() {
    let digest = signing::Sha256Digest::of(b"x");
    let more = format!(
        "severity: important\nadvisories: [CVE-2025-1]\nurl: https://acme.example/2\n\
         upgrade_from: [\">=1.0.0, <2.0.0\"]\ndowngrade_from: [\"=2.0.1\"]\n\
         dependencies:\n- product: acme/platform\n  requirement: ^1.31\n\
         finalize:\n  summary: raises the level\n  level: \"2.0\"\n\
         arches:\n  arm64:\n    payload: other.example:5000/acme/app-arm@{digest}\n"
    );
    let product = product(&[("2.0.0", &more)], "versions: [2.0.0]\n", &[]);
    let source = &product.releases[&"2.0.0".parse().unwrap()];
    let document = &source.document;
    assert_eq!(document.product_ref().to_string(), "acme/app");
    assert_eq!(document.released_at.to_string(), "2025-03-18T00:00:00Z");
    assert_eq!((document.severity, document.advisories.len()), (Severity::Important, 1));
    assert!(document.allows_from(&"1.5.0".parse().unwrap()));
    assert!(document.allows_from(&"2.0.1".parse().unwrap()));
    assert_eq!(document.finalize.as_ref().unwrap().level, "2.0");
    let arm = &document.arches[&"arm64".parse().unwrap()];
    assert_eq!(arm.payload.repository, "acme/app-arm");
    assert_eq!(arm.components[0].role, Role::Broker, "components are those of the release");
    let payload = |arch: &str| source.payloads[&arch.parse().unwrap()].as_str();
    assert!(payload("amd64").starts_with("registry.acme.example/acme/app-release@sha256:"));
    assert!(payload("arm64").starts_with("other.example:5000/acme/app-arm@sha256:"));
}

#[test]
fn a_risk_file_may_use_ranges_or_the_schema_of_graph_data() {
    let range = "to: \">=4.0.0\"\nfixedIn: 4.0.2\nfrom: \">=3.0.0, <4.0.0\"\nname: R\nurl: \
                 https://e.com\nmessage: bad\nmatchingRules:\n- type: PromQL\n  promql:\n    \
                 promql: up\n- type: Always\n";
    let plain = "to: 4.0.0+arm64\nfrom: 4[.]0[.].*\n";
    let product = product(&[], "versions: []\n", &[("a", range), ("b", plain)]);
    let arch = |name: &str| -> crate::names::Arch { name.parse().unwrap() };
    let version = |text: &str| -> crate::version::ReleaseVersion { text.parse().unwrap() };
    let [risk, plain] = product.blocks.as_slice() else { panic!("two blocks") };
    let covers =
        |block: &BlockSource, to: &str, on: &str| block.covers_target(&version(to), &arch(on));
    assert!(covers(risk, "4.0.1", "amd64") && !covers(risk, "4.0.2", "amd64"), "fixedIn ends it");
    assert!(risk.from.cover(&version("3.9.0"), &arch("amd64")));
    assert!(!risk.from.cover(&version("4.0.0"), &arch("amd64")));
    let rules = &risk.risk.as_ref().unwrap().matching_rules;
    assert_eq!(rules[0], MatchingRule::PromQl { promql: "up".to_owned() });
    assert_eq!(rules[1], MatchingRule::Always);
    assert!(plain.risk.is_none());
    assert!(covers(plain, "4.0.0", "arm64") && !covers(plain, "4.0.0", "amd64"));
}

#[test]
fn an_expression_sees_the_architecture_and_is_not_anchored_by_itself() {
    let blocks = [("a", "to: 4.0.0\nfrom: ^3[.](8[.].*|9[.][01])[+]amd64$\n")];
    let product = product(&[], "versions: []\n", &blocks);
    let covers = |version: &str, arch: &str| {
        product.blocks[0].from.cover(&version.parse().unwrap(), &arch.parse().unwrap())
    };
    assert!(covers("3.9.1", "amd64") && covers("3.8.7", "amd64"));
    assert!(!covers("3.9.1", "arm64") && !covers("3.9.10", "amd64"));
}

#[test]
fn each_fault_names_its_file_and_line_and_what_to_do() {
    let channel = fault("app/channels/stable.yaml", "name: stable\nversions:\n- 1.0\n");
    starts_with(&channel, "app/channels/stable.yaml:3:3: \"1.0\" is not a version");
    assert!(channel.contains("see \"Channels\" in docs/channel-repository.md"), "{channel}");

    let unknown = fault("app/releases/1.0.0.yaml", &release("1.0.0", "upgrade_form: []\n"));
    starts_with(&unknown, "app/releases/1.0.0.yaml:8:1: unknown field `upgrade_form`");

    let block = fault("app/blocked-edges/x.yaml", "to: 1.0.0\nfrm: .*\n");
    starts_with(&block, "app/blocked-edges/x.yaml:2:1: unknown field `frm`");

    let settings = fault("app/fairway.toml", "vendor = \"acme\"\nproduct = \"App\"\n");
    starts_with(&settings, "app/fairway.toml:2:11: \"App\" is not a product name");

    let severity = release("1.0.0", "upgrade_from: []\nseverity: hihg\n");
    starts_with(
        &fault("app/releases/1.0.0.yaml", &severity),
        "app/releases/1.0.0.yaml:9:11: unknown variant `hihg`",
    );
}

#[test]
fn values_that_do_not_fit_together_are_faults() {
    let name = fault("app/releases/1.0.1.yaml", &release("1.0.2", "upgrade_from: []\n"));
    starts_with(&name, "app/releases/1.0.1.yaml: the file says version 1.0.2; rename it");

    let from = fault("app/releases/1.0.0.yaml", &release("1.0.0", ""));
    starts_with(&from, "app/releases/1.0.0.yaml: upgrade_from is missing");

    let half = "to: 1.0.0\nfrom: .*\nname: R\nmessage: bad\nmatchingRules: []\n";
    let risk = fault("app/blocked-edges/x.yaml", half);
    starts_with(&risk, "app/blocked-edges/x.yaml: a risk needs name, message, url");

    let loose = fault("app/blocked-edges/x.yaml", "to: \"4.0\"\nfrom: .*\n");
    starts_with(&loose, "app/blocked-edges/x.yaml: to: \"4.0\" is neither a version nor");

    let pattern = fault("app/blocked-edges/x.yaml", "to: 1.0.0\nfrom: 4[.\n");
    starts_with(&pattern, "app/blocked-edges/x.yaml: from: \"4[.\" is neither a regular");

    let image = "role: broker\n  version: 1\n  image: acme/app:latest";
    let tagged = release("1.0.0", "upgrade_from: []\n");
    let tail = tagged.find("role: broker").unwrap();
    let tagged = format!("{}{image}\nupgrade_from: []\n", &tagged[..tail]);
    let tagged = fault("app/releases/1.0.0.yaml", &tagged);
    assert!(tagged.contains("is not a pull specification: it must end with"), "{tagged}");

    let roles = release("1.0.0", "upgrade_from: []\n")
        .replace("components:\n", &format!("components:\n{}", component()));
    let roles = fault("app/releases/1.0.0.yaml", &roles);
    starts_with(&roles, "app/releases/1.0.0.yaml: amd64 has two components of the role broker");
}

fn component() -> String {
    let digest = signing::Sha256Digest::of(b"x");
    format!("- role: broker\n  version: x\n  image: acme/app@{digest}\n")
}

#[test]
fn a_file_that_would_be_skipped_is_a_fault() {
    for (name, text) in [
        ("app/blocked-edges/x.yml", "to: 1.0.0\nfrom: .*\n"),
        ("app/blocked_edges/x.yaml", "to: 1.0.0\nfrom: .*\n"),
        ("app/channels/stable", "name: stable\n"),
    ] {
        assert!(fault(name, text).contains("is not read here"), "{name}");
    }
    let readme = [("app/fairway.toml", SETTINGS), ("app/releases/README.md", "# Releases")];
    assert!(workspace(&readme).is_ok());
}

#[test]
fn every_fault_is_reported_at_once() {
    let errors = workspace(&[
        ("app/fairway.toml", SETTINGS),
        ("app/channels/a.yaml", "nme: a\n"),
        ("app/channels/b.yaml", "name: c\n"),
        ("app/blocked-edges/x.yaml", "to: 1\nfrom: .*\n"),
    ])
    .unwrap_err();
    let files: Vec<_> = errors.iter().map(|error| error.file().display().to_string()).collect();
    assert_eq!(files, ["app/channels/a.yaml", "app/channels/b.yaml", "app/blocked-edges/x.yaml"]);
    assert_eq!(errors[0].line(), Some(1));
}

#[test]
fn products_are_found_below_the_root_and_may_not_be_declared_twice() {
    let other = SETTINGS.replace("app", "web");
    let found = workspace(&[("v/web/fairway.toml", &other), ("app/fairway.toml", SETTINGS)]);
    let names: Vec<String> =
        found.unwrap().products.iter().map(|product| product.product.to_string()).collect();
    assert_eq!(names, ["acme/app", "acme/web"]);
    let twice = workspace(&[("a/fairway.toml", SETTINGS), ("b/fairway.toml", SETTINGS)]);
    assert!(twice.unwrap_err()[0].to_string().contains("acme/app is also declared in a"));
    let none = workspace(&[("a/b/c/d/fairway.toml", SETTINGS)]).unwrap_err();
    assert!(matches!(none.as_slice(), [RepositoryError::NoProduct { .. }]));
    assert_eq!(workspace(&[("fairway.toml", SETTINGS)]).unwrap().products.len(), 1);
}

#[test]
fn an_expression_over_its_bound_and_a_folder_with_too_many_files_are_refused() {
    let big = fault("app/blocked-edges/x.yaml", "to: 1.0.0\nfrom: '([0-9]{1000}){1000}'\n");
    assert!(big.contains("is neither a regular expression nor"), "{big}");
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("fairway.toml"), SETTINGS).unwrap();
    let folder = root.path().join("blocked-edges");
    fs::create_dir(&folder).unwrap();
    for number in 0..=files::MAX_FILES {
        fs::write(folder.join(format!("{number}.yaml")), "").unwrap();
    }
    let errors = Workspace::load(root.path()).unwrap_err();
    assert_eq!(errors.len(), 1, "the files are not read one by one");
    starts_with(&errors[0].to_string(), "blocked-edges: it holds 20001 files; at most 20000");
}

#[test]
fn a_file_over_the_size_bound_is_not_parsed() {
    let big = format!("name: stable\n{}", "# x\n".repeat(300_000));
    let error = workspace(&[("fairway.toml", SETTINGS), ("channels/stable.yaml", &big)]);
    assert!(matches!(error.unwrap_err().as_slice(), [RepositoryError::TooLarge { .. }]));
}

#[test]
fn marks_of_a_channel_need_a_reason_and_a_version_that_is_there() {
    let channel = |more: &str| {
        let text = format!("name: stable\nversions: [1.0.0, 1.0.1]\ntombstones: [1.0.1]\n{more}");
        fault("app/channels/stable.yaml", &text)
    };
    let blank = channel("barriers: {1.0.0: \" \"}\n");
    starts_with(&blank, "app/channels/stable.yaml: barriers: 1.0.0 has no reason");
    let gone = channel("dead_ends: {1.0.2: why}\n");
    starts_with(&gone, "app/channels/stable.yaml: dead_ends: 1.0.2 is not in the channel");
    let withdrawn = channel("barriers: {1.0.1: why}\n");
    starts_with(&withdrawn, "app/channels/stable.yaml: 1.0.1 is a barrier and a tombstone");
}

#[test]
fn internal_channels_feed_others_and_are_told_apart_from_them() {
    let internal = "name: all\nversions: [1.0.0]\n";
    let fed = "name: stable\nfeeder: {name: all, delay: P1W, filter: '1[.].*'}\nversions: []\n";
    let files = [
        ("app/fairway.toml", SETTINGS),
        ("app/channels/stable.yaml", fed),
        ("app/internal-channels/all.yaml", internal),
    ];
    let read = workspace(&files).unwrap();
    let product = &read.products[0];
    assert_eq!(product.internal_channels[&"all".parse().unwrap()].versions.len(), 1);
    let feeder = product.channels[&"stable".parse().unwrap()].feeder.as_ref().unwrap();
    assert_eq!((feeder.name.as_str(), feeder.delay.unwrap().get_weeks()), ("all", 1));
    let twice =
        [files[0], files[1], files[2], ("app/internal-channels/stable.yaml", "name: stable\n")];
    let same = workspace(&twice).unwrap_err();
    starts_with(
        &same[0].to_string(),
        "app/internal-channels/stable.yaml: stable is also the name of app/channels/stable.yaml",
    );
    let near = fault("app/internal_channels/all.yaml", internal);
    assert!(near.contains("is not read here"), "{near}");
}

#[test]
fn a_record_that_cannot_be_read_and_a_filter_too_long_to_show_are_named_with_their_file() {
    starts_with(
        &fault("app/promotions.yaml", "soak:\n  stable: {day: 7}\n"),
        "app/promotions.yaml:2:12: unknown field `day`",
    );
    let filter = "1".repeat(Feeding::MAX_WORD_CHARS + 1);
    let long = format!("name: stable\nfeeder: {{name: fast, filter: '{filter}'}}\n");
    starts_with(
        &fault("app/channels/stable.yaml", &long),
        "app/channels/stable.yaml: feeder.filter has 1001 characters; say it in 1000 at most",
    );
}

#[test]
fn rules_for_the_edges_are_settings_of_the_product() {
    let settings = format!("{SETTINGS}[rules]\nminor_hops = 1\n");
    let read = workspace(&[("app/fairway.toml", &settings)]).unwrap();
    assert_eq!(read.products[0].rules.minor_hops, Some(1));
    let unknown = settings.replace("minor_hops", "hops");
    starts_with(&fault("app/fairway.toml", &unknown), "app/fairway.toml:7:1: unknown field `hops`");
}

#[test]
fn ends_of_life_are_days_of_minor_lines() {
    let day = |text: &str| text.parse::<crate::eol::EndOfLife>().unwrap();
    let line = |text: &str| text.parse::<crate::version::Minor>().unwrap();
    let settings = format!("{SETTINGS}[eol]\n\"3.9\" = 2026-12-31\n'3.10' = \"2027-06-30\"\n");
    let read = workspace(&[("app/fairway.toml", &settings)]).unwrap();
    let expected = [(line("3.9"), day("2026-12-31")), (line("3.10"), day("2027-06-30"))];
    assert_eq!(read.products[0].eol, expected.into());
    let without = workspace(&[("app/fairway.toml", SETTINGS)]).unwrap();
    assert!(without.products[0].eol.is_empty());
}

#[test]
fn each_fault_of_an_end_of_life_names_its_place_and_what_to_do() {
    let fault = |lines: &str| fault("app/fairway.toml", &format!("{SETTINGS}[eol]\n{lines}\n"));
    for (lines, start) in [
        ("3.9 = 2026-12-31", "7:1: \"3\" is not a minor: write major.minor in quotes, such as"),
        ("\"3.9.1\" = 2026-12-31", "7:1: \"3.9.1\" is not a minor: write major.minor in quotes"),
        ("\"3.09\" = 2026-12-31", "7:1: \"3.09\" is not a minor: write major.minor in quotes"),
        ("stable = 2026-12-31", "7:1: \"stable\" is not a minor: write major.minor in quotes"),
        ("\"3.9\" = 2026-02-30", "7:9: "),
        ("\"3.9\" = \"31.12.2026\"", "7:9: \"31.12.2026\" is not a day: it must read 2026-12-31"),
        ("\"3.9\" = 2026-12-31T00:00:00Z", "7:9: \"2026-12-31T00:00:00Z\" is not a day: it must"),
        ("\"3.9\" = 10:00:00", "7:9: \"10:00:00\" is not a day: it must read 2026-12-31"),
        ("\"3.9\" = 2026", "7:9: invalid type: integer `2026`, expected a day such as 2026-12-31"),
        ("\"3.9\" = {day = 2026-12-31}", "7:9: invalid type: map, expected a day such as"),
        ("\"3.9\" = 2026-12-31\n'3.9' = 2026-12-31", "8:1: duplicate key"),
    ] {
        let error = fault(lines);
        starts_with(&error, &format!("app/fairway.toml:{start}"));
        assert!(error.ends_with("; see \"fairway.toml\" in docs/channel-repository.md"), "{error}");
    }
}
