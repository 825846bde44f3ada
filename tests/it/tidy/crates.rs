//! The crates form the strict DAG of design §2, and versions stand in one place.

use std::collections::{BTreeMap, BTreeSet};

use super::{assert_none, root};

/// Which workspace crates each crate may depend on outside its tests.
fn allowed() -> BTreeMap<&'static str, &'static [&'static str]> {
    BTreeMap::from([
        ("signing", &[][..]),
        ("channels", &["signing"][..]),
        ("update-server", &["signing", "channels"][..]),
        ("cluster-agent", &["signing", "channels"][..]),
        ("offline-mirror", &["signing", "channels"][..]),
        (
            "fairway",
            &["signing", "channels", "update-server", "cluster-agent", "offline-mirror"][..],
        ),
        (
            "tests",
            &["signing", "channels", "update-server", "cluster-agent", "offline-mirror", "fairway"]
                [..],
        ),
    ])
}

fn manifest(folder: &str) -> toml::Table {
    let path = root().join(folder).join("Cargo.toml");
    std::fs::read_to_string(&path).expect("a manifest").parse().expect("valid TOML")
}

#[test]
fn arrows_between_crates_point_one_way() {
    let allowed = allowed();
    let mut faults = Vec::new();
    for (folder, may) in &allowed {
        let manifest = manifest(folder);
        for section in ["dependencies", "dev-dependencies", "build-dependencies"] {
            let Some(table) = manifest.get(section).and_then(toml::Value::as_table) else {
                continue;
            };
            for name in table.keys() {
                if allowed.contains_key(name.as_str()) && !may.contains(&name.as_str()) {
                    faults.push(format!("{folder} must not depend on {name} ({section})"));
                }
            }
        }
    }
    assert_none("arrows against the grain", &faults);
}

#[test]
fn versions_stand_in_the_workspace_manifest_only() {
    let mut faults = Vec::new();
    for folder in allowed().keys() {
        let manifest = manifest(folder);
        for section in ["dependencies", "dev-dependencies", "build-dependencies"] {
            let Some(table) = manifest.get(section).and_then(toml::Value::as_table) else {
                continue;
            };
            for (name, value) in table {
                let inherited = value.get("workspace").and_then(toml::Value::as_bool);
                if inherited != Some(true) {
                    faults.push(format!("{folder}: {name} does not say workspace = true"));
                }
            }
        }
    }
    assert_none("versions outside the workspace manifest", &faults);
}

#[test]
fn every_folder_with_a_manifest_is_a_member() {
    let workspace = root().join("Cargo.toml");
    let table: toml::Table =
        std::fs::read_to_string(workspace).expect("a manifest").parse().expect("valid TOML");
    let members: BTreeSet<String> = table["workspace"]["members"]
        .as_array()
        .expect("members")
        .iter()
        .map(|m| m.as_str().expect("a name").to_owned())
        .collect();
    let known: BTreeSet<String> = allowed().keys().map(|&k| k.to_owned()).collect();
    assert_eq!(members, known, "a new crate needs its arrows written down here");
}
