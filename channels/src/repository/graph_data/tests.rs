//! Reading graph data, and what it makes of releases.

use std::fs;

use proptest::prelude::*;

use super::*;
use crate::compile::compile;
use crate::graph::Graph;
use crate::names::Arch;
use crate::repository::{ProductSource, PullSpec};

fn load(files: &[(&str, &str)]) -> Result<GraphData, Vec<RepositoryError>> {
    let root = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = root.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    load_graph_data(root.path())
}

fn fault(name: &str, text: &str) -> String {
    let errors = load(&[(name, text)]).unwrap_err();
    assert_eq!(errors.len(), 1, "{errors:?}");
    errors[0].to_string()
}

fn content(version: &ReleaseVersion, arch: &Arch) -> Option<PullSpec> {
    let digest = signing::Sha256Digest::of(format!("{version}+{arch}").as_bytes());
    format!("example.com/ocp/release@{digest}").parse().ok()
}

fn arches(names: &[&str]) -> Vec<Arch> {
    names.iter().map(|name| name.parse().unwrap()).collect()
}

fn product(data: GraphData, names: &[&str]) -> ProductSource {
    let at = "2026-01-01T00:00:00Z".parse().unwrap();
    let releases = data.suggested_releases(&arches(names), at, &content);
    data.into_product("redhat/ocp".parse().unwrap(), releases)
}

/// The edges of every graph, as `arch: from>to`.
fn edges(product: &ProductSource) -> Vec<String> {
    let mut edges = Vec::new();
    for (_, arch, graph) in compile(product).unwrap().graphs {
        let name = |index: usize| &graph.nodes()[index].version;
        let all = graph.edges().iter();
        edges.extend(all.map(|(from, to)| format!("{arch}: {}>{}", name(*from), name(*to))));
    }
    edges
}

const SUGGESTED: &str = "default:\n  minor_min: 4.1.2\n  minor_max: 4.1.9999\n  \
                         minor_block_list: [4.1.4]\n  z_min: 4.2.0\n  z_max: 4.2.9999\n  \
                         z_block_list: []\n";

#[test]
fn suggestions_name_the_versions_that_may_move_to_a_minor() {
    let channel = "name: stable\nversions: [4.1.1, 4.1.2, 4.1.4, 4.1.5-0.hotfix-1, 4.2.0-rc.1, \
                   4.2.0, 4.2.1]\n";
    let data =
        load(&[("channels/stable.yaml", channel), ("build-suggestions/4.2.yaml", SUGGESTED)]);
    let product = product(data.unwrap(), &["amd64"]);
    assert_eq!(
        edges(&product),
        [
            "amd64: 4.1.2>4.2.0-rc.1",
            "amd64: 4.1.2>4.2.0",
            "amd64: 4.1.2>4.2.1",
            "amd64: 4.1.5-0.hotfix-1>4.2.0-rc.1",
            "amd64: 4.1.5-0.hotfix-1>4.2.0",
            "amd64: 4.1.5-0.hotfix-1>4.2.1",
            "amd64: 4.2.0>4.2.1",
        ]
    );
    let document = &product.releases[&"4.2.0".parse().unwrap()].document;
    let from: Vec<String> = document.upgrade_from.iter().map(ToString::to_string).collect();
    assert_eq!(
        from,
        [">=4.1.2, <4.1.4", ">4.1.4, <=4.1.9999", ">=4.2.0, <=4.2.9999", "=4.1.5-0.hotfix-1"]
    );
    let oldest = &product.releases[&"4.1.1".parse().unwrap()].document;
    assert!(oldest.upgrade_from.is_empty(), "no file for its minor: nothing is known");
}

#[test]
fn an_architecture_with_a_suggestion_of_its_own_takes_only_that() {
    let channel = "name: stable\nversions: [4.1.2, 4.1.3, 4.2.0]\n";
    let more =
        SUGGESTED.replace("default:", "s390x:").replace("minor_min: 4.1.2", "minor_min: 4.1.3");
    let text = format!("{SUGGESTED}{more}");
    let data = load(&[("channels/stable.yaml", channel), ("build-suggestions/4.2.yaml", &text)]);
    let product = product(data.unwrap(), &["amd64", "s390x"]);
    assert_eq!(edges(&product), ["amd64: 4.1.2>4.2.0", "amd64: 4.1.3>4.2.0", "s390x: 4.1.3>4.2.0"]);
    let document = &product.releases[&"4.2.0".parse().unwrap()].document;
    assert!(
        document.allows_from(&"4.1.2".parse().unwrap()),
        "the one document lists what any architecture takes"
    );
}

#[test]
fn patches_add_and_remove_edges() {
    let channel = "name: stable\nversions: [4.1.0, 4.1.1, 4.1.2, 4.1.3]\n";
    let suggested =
        SUGGESTED.replace("4.2", "4.1").replace("4.1.2", "4.0.0").replace("4.1.4", "4.0.4");
    let suggested = suggested.replace("minor_max: 4.1.9999", "minor_max: 4.0.9999");
    let key = |name: &str, value: &str| {
        format!("{{\"io.openshift.upgrades.graph.{name}\": \"{value}\"}}")
    };
    let raw = format!(
        "{{\"4.1.2\": {}, \"4.1.3\": {}, \"4.1.0\": {}}}",
        key("previous.remove", "4.1.0"),
        key("previous.remove_regex", "4[.]1[.][12].*"),
        key("next.remove", "4.1.1"),
    );
    let files = [("channels/stable.yaml", channel), ("build-suggestions/4.1.yaml", &suggested)];
    let with = |raw: &str| {
        let data = load(&[files[0], files[1], ("raw/metadata.json", raw)]);
        edges(&product(data.unwrap(), &["amd64"]))
    };
    assert_eq!(with(&raw), ["amd64: 4.1.0>4.1.3", "amd64: 4.1.1>4.1.2"]);
    let only = [files[0]];
    let add = format!(
        "{{\"4.1.1\": {}, \"4.1.2\": {}}}",
        key("previous.add", "4.1.0"),
        key("next.add", "4.1.3")
    );
    let data = load(&[only[0], ("raw/metadata.json", &add)]).unwrap();
    assert_eq!(edges(&product(data, &["amd64"])), ["amd64: 4.1.0>4.1.1", "amd64: 4.1.2>4.1.3"]);
}

#[test]
fn a_scrape_gives_releases_their_payloads_and_predecessors_by_architecture() {
    let digest = signing::Sha256Digest::of(b"x");
    let scrape = format!(
        "{{\"nodes\":[{{\"version\":\"4.1.0+amd64\",\"payload\":\"q.io/o/r@{digest}\"}},\
         {{\"version\":\"4.1.1+amd64\",\"payload\":\"q.io/o/r@{digest}\",\
         \"metadata\":{{\"url\":\"https://e.com/1\"}}}},\
         {{\"version\":\"4.1.0+s390x\"}},{{\"version\":\"4.1.1+s390x\"}},{{\"version\":\"0.0.0\"}}],\
         \"edges\":[[0,1],[3,2]]}}"
    );
    let scrape: Graph = crate::cincinnati::from_json(scrape.as_bytes()).unwrap();
    let at = "2021-11-24T00:00:00Z".parse().unwrap();
    let found = scraped_releases(&scrape, at, &content);
    let out: Vec<String> = found.left_out.iter().map(ToString::to_string).collect();
    assert_eq!(out, ["0.0.0"], "it is for no architecture");
    let back: Vec<String> = found.backward.iter().map(|(a, b)| format!("{a}>{b}")).collect();
    assert_eq!(back, ["4.1.1+s390x>4.1.0+s390x"]);
    let data = load(&[("channels/stable.yaml", "name: stable\nversions: [4.1.0, 4.1.1]\n")]);
    let product = data.unwrap().into_product("redhat/ocp".parse().unwrap(), found.releases.clone());
    assert_eq!(edges(&product), ["amd64: 4.1.0>4.1.1"]);
    let newer = &product.releases[&"4.1.1".parse().unwrap()];
    assert_eq!(newer.document.url.as_deref(), Some("https://e.com/1"));
    let amd64: Arch = "amd64".parse().unwrap();
    assert_eq!(newer.payloads[&amd64], format!("q.io/o/r@{digest}"));
    let nothing = scraped_releases(&scrape, at, &|_, _| None);
    assert_eq!(nothing.left_out.len(), 3, "nothing tells the content of these");
}

#[test]
fn what_is_not_understood_fails_the_read() {
    let form = fault("version", "2.0.0\n");
    assert!(form.starts_with("version: \"2.0.0\" is not a form of graph data"), "{form}");
    let key = fault("raw/metadata.json", "{\"4.1.0\": {\"previous.add\": \"4.0.0\"}}");
    assert!(key.contains("has the key \"previous.add\", which is not known"), "{key}");
    let json = fault("raw/metadata.json", "{\"4.1.0\":\n 3}");
    assert!(json.starts_with("raw/metadata.json:2:"), "{json}");
    let name = fault("build-suggestions/four.yaml", SUGGESTED);
    assert!(name.contains("is not a minor"), "{name}");
    let none = fault("build-suggestions/4.2.yaml", &SUGGESTED.replace("default", "amd64"));
    assert!(none.contains("has no default entry"), "{none}");
    let empty = SUGGESTED.replace("z_max: 4.2.9999", "z_max: 4.1.0");
    let empty = fault("build-suggestions/4.2.yaml", &empty);
    assert!(empty.contains("the range from 4.2.0 to 4.1.0 is empty"), "{empty}");
    assert!(load(&[("build-suggestions/OWNERS", "approvers: []\n")]).is_ok());
}

fn any_version() -> impl Strategy<Value = ReleaseVersion> {
    let tail = prop_oneof![3 => Just(""), 1 => Just("-ec.1"), 1 => Just("-rc.1")];
    (1_u64..4, 0_u64..3, tail)
        .prop_map(|(minor, patch, tail)| format!("4.{minor}.{patch}{tail}").parse().unwrap())
}

fn any_suggestion() -> impl Strategy<Value = Suggestion> {
    let ends = || (any_version(), any_version());
    let without = || prop::collection::btree_set(any_version(), 0..4);
    (ends(), without(), ends(), without()).prop_map(|(minor, minor_out, z, z_out)| Suggestion {
        minor_min: minor.0.clone().min(minor.1.clone()),
        minor_max: minor.0.max(minor.1),
        minor_block_list: minor_out,
        z_min: z.0.clone().min(z.1.clone()),
        z_max: z.0.max(z.1),
        z_block_list: z_out,
    })
}

proptest! {
    #[test]
    fn requirements_match_exactly_the_known_versions_of_a_suggestion(
        suggestion in any_suggestion(),
        known in prop::collection::btree_set(any_version(), 0..12),
    ) {
        let requirements = suggestion.requirements(&known);
        for version in &known {
            let matched = requirements.iter().any(|requirement| requirement.matches(version));
            prop_assert_eq!(matched, suggestion.includes(version), "{}", version);
        }
    }

    #[test]
    fn no_text_makes_the_readers_panic(text in "\\PC{0,60}", version in "[0-9.+a-z-]{0,12}") {
        let file = Path::new("build-suggestions/4.1.yaml");
        let _ = suggestions::parse(file, &text);
        let mut known = block::Patterns::new();
        let _ = patches::parse(file, &text, &mut known);
        let key = "io.openshift.upgrades.graph.previous.add";
        let raw = format!("{{\"{version}\":{{\"{key}\":\"{version}\"}}}}");
        let _ = patches::parse(file, &raw, &mut known);
        let _ = text.parse::<Minor>();
    }
}
