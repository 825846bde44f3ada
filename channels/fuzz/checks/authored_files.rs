//! Files that people write, and those of other systems that are imported. The first byte says what
//! kind of file the rest is.

use std::fs;
use std::path::Path;

use channels::cincinnati::{from_json, to_json};
use channels::compile::compile;
use channels::import::{Files, Options, Payloads, Report, fedora_coreos, graph_data};
use channels::lint::lint;
use channels::names::Arch;
use channels::repository::{ProductSource, Workspace};
use channels::rollout::Policy;
use channels::wire::Role;

/// The kinds, in the order of the first byte, from `a`.
const KINDS: [&str; 11] = [
    "fairway.toml",
    "releases/1.1.0.yaml",
    "channels/stable.yaml",
    "internal-channels/candidate.yaml",
    "blocked-edges/fault.yaml",
    "data/channels/stable.yaml",
    "data/blocked-edges/fault.yaml",
    "data/build-suggestions/1.1.yaml",
    "data/raw/metadata.json",
    "updates.json",
    "policy.yaml",
];

const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// A product and a checkout of graph data around the one file that is under test.
fn surroundings() -> Vec<(&'static str, String)> {
    let release = |version: &str, from: &str| {
        format!(
            "version: {version}\nreleased_at: 2026-01-01\npayload: a/b@{DIGEST}\ncomponents:\n\
             - {{role: node, version: {version}, image: 'a/b@{DIGEST}'}}\nupgrade_from: [{from}]\n"
        )
    };
    let settings = "vendor = \"acme\"\nproduct = \"os\"\n[defaults]\narches = [\"amd64\"]\n";
    let suggestions = "default: {minor_min: 1.0.0, minor_max: 1.0.9, minor_block_list: [], \
                       z_min: 1.1.0, z_max: 1.1.9, z_block_list: []}\n";
    vec![
        ("fairway.toml", settings.to_owned()),
        ("releases/1.0.0.yaml", release("1.0.0", "")),
        ("releases/1.1.0.yaml", release("1.1.0", "^1.0")),
        ("releases/1.2.0-rc.1.yaml", release("1.2.0-rc.1", "^1.0")),
        ("channels/stable.yaml", "name: stable\nversions: [1.0.0, 1.1.0, 1.2.0-rc.1]\n".to_owned()),
        (
            "data/channels/fast.yaml",
            "name: fast\nversions: [1.0.0, 1.1.0-rc.1, 1.1.0, 1.1.1, 1.1.2]\n".to_owned(),
        ),
        ("data/blocked-edges/one.yaml", "to: 1.1.0\nfrom: 1[.]0[.].*\n".to_owned()),
        ("data/blocked-edges/two.yaml", "to: 1.1.1\nfrom: 1[.]0[.].*\n".to_owned()),
        ("data/build-suggestions/1.1.yaml", suggestions.to_owned()),
    ]
}

fn write(root: &Path, file: &str, text: &[u8]) {
    let path = root.join(file);
    fs::create_dir_all(path.parent().expect("a folder")).expect("a folder is made");
    fs::write(path, text).expect("a file is written");
}

/// Every file has an answer. A product that is read compiles or says why; its graphs are written
/// and read back as the same. What is read as another system's data is imported, and the import
/// means the same.
pub(crate) fn check(bytes: &[u8]) {
    let Some((kind, text)) = bytes.split_first() else { return };
    let Some(kind) = KINDS.get(usize::from(kind.wrapping_sub(b'a'))) else { return };
    match *kind {
        "updates.json" => check_updates(text),
        "policy.yaml" => check_text(text),
        file => {
            let root = tempfile::tempdir().expect("a temporary directory");
            let is_data = file.starts_with("data/");
            for (other, text) in surroundings() {
                if other.starts_with("data/") == is_data {
                    write(root.path(), other, text.as_bytes());
                }
            }
            write(root.path(), file, text);
            if is_data {
                check_import(&root.path().join("data"));
            } else {
                check_product(root.path());
            }
        }
    }
}

fn check_product(root: &Path) {
    let Ok(workspace) = Workspace::load(root) else { return };
    let _findings = lint(&workspace, jiff::Timestamp::UNIX_EPOCH);
    for product in &workspace.products {
        let Ok(compiled) = compile(product) else { continue };
        for (_, _, graph) in &compiled.graphs {
            assert!(from_json(&to_json(graph)).expect("a compiled graph is read") == *graph);
        }
    }
}

fn options(payloads: Payloads) -> Options {
    Options {
        product: "acme/os".parse().expect("a product"),
        arches: vec![arch()],
        payloads,
        released_at: Some(jiff::Timestamp::UNIX_EPOCH),
        role: Role::Node,
    }
}

fn arch() -> Arch {
    "amd64".parse().expect("an architecture")
}

fn check_import(source: &Path) {
    let table =
        format!("version,arch,digest\n1.1.0,amd64,a/b@{DIGEST}\n1.0.0,s390x,a/b@{DIGEST}\n");
    let payloads = Payloads::parse(Path::new("p.csv"), &table, None).expect("a table");
    let Ok(import) = graph_data(source, &options(payloads)) else { return };
    let out = written(&import.files);
    import.check(out.path()).expect("an import means what its source means");
}

fn check_updates(text: &[u8]) {
    let Ok(text) = String::from_utf8(text.to_vec()) else { return };
    let product = "acme/os".parse().expect("a product");
    let imported = fedora_coreos(&product, &[arch()], &[("stable.json".into(), text)]);
    let Ok((files, Report { policies, .. })) = imported else { return };
    let out = written(&files);
    if let Err(faults) = ProductSource::load(out.path(), Path::new("")) {
        panic!("an import is not read back: {faults:?}");
    }
    let rollouts = files.iter().filter(|(path, _)| path.starts_with("rollouts"));
    let read = rollouts.map(|(path, text)| Policy::parse(path, text).expect("a policy"));
    assert_eq!(read.count(), policies);
}

/// A policy and both forms of a payload table: no more than an answer.
fn check_text(text: &[u8]) {
    let Ok(text) = str::from_utf8(text) else { return };
    let _policy = Policy::parse(Path::new("policy.yaml"), text);
    for file in ["payloads.csv", "payloads.json"] {
        let _payloads = Payloads::parse(Path::new(file), text, Some("a/b"));
    }
}

fn written(files: &Files) -> tempfile::TempDir {
    let out = tempfile::tempdir().expect("a temporary directory");
    for (path, text) in files {
        write(out.path(), path.to_str().expect("a path"), text.as_bytes());
    }
    out
}
