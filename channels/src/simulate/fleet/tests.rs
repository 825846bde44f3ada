//! A fleet file makes the clusters it says, or is refused with its line.

use std::path::Path;

use super::*;

fn read(text: &str) -> Result<Fleet, FleetError> {
    Fleet::from_yaml(Path::new("fleet.yaml"), text, 1)
}

#[test]
fn groups_become_clusters_with_their_labels_dealt_round() {
    let fleet = read(
        "name: shops\ngroups:\n  - name: edge\n    clusters: 6\n    labels: {tier: edge}\n    \
         spread: {region: [eu, us], site: [a, b, c]}\n    online: 90%\n",
    )
    .unwrap();
    let labels: Vec<String> = fleet
        .members()
        .iter()
        .map(|member| format!("{}{}", member.labels["region"], member.labels["site"]))
        .collect();
    assert_eq!(labels, ["eua", "usa", "eub", "usb", "euc", "usc"]);
    assert_eq!(fleet.members()[5].name, "edge-6");
    assert_eq!(fleet.members()[0].labels["tier"], "edge");
    assert_eq!(fleet.members()[0].habits.online.to_string(), "90%");
    assert_eq!(fleet.members()[0].habits.upgrade, Habits::DEFAULT.upgrade);
}

#[test]
fn the_same_seed_makes_the_same_clusters() {
    let text = "name: f\ngroups: [{name: a, clusters: 3}, {name: b, clusters: 2}]\n";
    assert_eq!(read(text), read(text));
    let other = Fleet::from_yaml(Path::new("fleet.yaml"), text, 2).unwrap();
    assert_ne!(read(text).unwrap().members()[0].id, other.members()[0].id);
}

#[test]
fn what_does_not_fit_together_is_refused_with_its_line() {
    let group = |rest: &str| format!("name: f\ngroups:\n  - name: a\n    clusters: 1\n{rest}");
    for (text, expected) in [
        ("name: f\ngroups: []\n".to_owned(), "fleet.yaml:1: the fleet has no clusters"),
        (group("    online: 101%\n"), "fleet.yaml:3: group a: `online` is 101%"),
        (group("    stretch: 1s\n"), "fleet.yaml:3: group a: `stretch` is 1s"),
        (group("    spread: {x: []}\n"), "fleet.yaml:3: group a: label \"x\" of `spread`"),
        (group("    labels: {x: y}\n    spread: {x: [z]}\n"), "fleet.yaml:3: group a: label \"x\""),
        (
            group("    upgrade: {shortest: 2h, typical: 1h, longest: 3h}\n"),
            "fleet.yaml:3: group a: an upgrade takes 2h, 1h and 3h",
        ),
        (group("  - name: a\n    clusters: 1\n"), "fleet.yaml:5: two groups are called a"),
        (group("  - name: b\n    clusters: 1000000\n"), "fleet.yaml:5: the fleet has 1000001"),
    ] {
        let error = read(&text).unwrap_err();
        assert!(matches!(error, FleetError::Content { .. }), "{error}");
        assert!(error.to_string().starts_with(expected), "{error}");
    }
}

#[test]
fn a_key_nobody_reads_is_refused_with_its_place() {
    let error = read("name: f\ngroups:\n  - name: a\n    cluster: 1\n").unwrap_err();
    let FleetError::Syntax { line, problem, .. } = &error else { panic!("{error}") };
    assert_eq!(*line, 4, "{error}");
    assert!(problem.contains("cluster"), "{error}");
}

#[test]
fn a_file_over_its_bound_is_refused() {
    let error = read(&" ".repeat(FLEET_MAX_BYTES + 1)).unwrap_err();
    assert_eq!(
        error,
        FleetError::TooLarge { file: "fleet.yaml".into(), bytes: FLEET_MAX_BYTES + 1 }
    );
}

#[test]
fn one_identity_twice_is_refused() {
    let fleet = read("name: f\ngroups: [{name: a, clusters: 1}]\n").unwrap();
    let member = fleet.members()[0].clone();
    let id = member.id;
    let twice = Fleet::new("f".to_owned(), vec![member.clone(), member]);
    assert_eq!(twice, Err(FleetFault::ClusterTwice { id }));
}
