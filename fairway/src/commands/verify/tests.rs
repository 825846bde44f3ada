//! `fairway verify` over repositories served in memory, good and bad.

use signing::StagedRepository;

use super::*;
use crate::publisher::testing::{World, content, day};

async fn check(world: &World, staged: StagedRepository, now: Timestamp) -> Result<Verified> {
    verify(&world.root, staged.as_source(), now).await
}

#[tokio::test]
async fn a_good_repository_shows_every_role_and_until_when_it_is_valid() {
    let mut world = World::new();
    let staged = world.staged(&content(&["1.0.0", "1.1.0"]), day(0));
    let verified = check(&world, staged, day(0)).await.unwrap();
    assert!(verified.faults.is_empty(), "{:?}", verified.faults);
    assert_eq!((verified.releases, verified.graphs), (2, 1));
    let roles: Vec<(&str, usize, Option<Timestamp>)> = verified
        .roles
        .iter()
        .map(|role| (role.name.as_str(), role.targets, role.expires))
        .collect();
    let year = Some(day(365));
    assert_eq!(
        roles,
        [
            ("acme", 0, year),
            ("acme.channels", 1, year),
            ("acme.releases", 2, year),
            ("targets", 0, year)
        ]
    );
    assert_eq!(verified.expires, day(1));
}

#[tokio::test]
async fn an_expired_timestamp_is_a_freeze() {
    let mut world = World::new();
    let staged = world.staged(&content(&["1.0.0"]), day(0));
    let error = check(&world, staged, day(2)).await.unwrap_err();
    assert!(error.to_string().ends_with("(attack: freeze)"), "{error}");
    assert_eq!(error.exit().code(), 1);
}

#[tokio::test]
async fn another_root_is_arbitrary_software() {
    let mut world = World::new();
    let staged = world.staged(&content(&["1.0.0"]), day(0));
    let other = World::with_seed(70);
    let error = check(&other, staged, day(0)).await.unwrap_err();
    assert!(error.to_string().ends_with("(attack: arbitrary_software)"), "{error}");
}

#[tokio::test]
async fn a_document_under_another_name_is_wrong_software() {
    let mut contents = Contents::default();
    let mut faults = Vec::new();
    let good = content(&["1.0.0"]);
    for (path, bytes) in good.targets() {
        let path = path.as_str().replace("1.0.0", "2.0.0").replace("stable", "fast");
        contents.add(&path, bytes, &mut faults);
    }
    let attacks: Vec<Option<&str>> = faults.iter().map(|fault| fault.attack.as_deref()).collect();
    assert_eq!(attacks, [Some("wrong_software"), Some("wrong_software")]);
}

#[tokio::test]
async fn an_edge_the_release_does_not_allow_is_listed() {
    let mut contents = Contents::default();
    let mut faults = Vec::new();
    let graph = br#"{"nodes":[{"version":"1.0.0","payload":"x"},{"version":"1.1.0","payload":"y"}],
        "edges":[[1,0],[0,1]]}"#;
    for (path, bytes) in content(&["1.0.0", "1.1.0"]).targets() {
        let bytes =
            if path.as_str().ends_with(".graph.json") { graph.to_vec() } else { bytes.clone() };
        contents.add(path.as_str(), &bytes, &mut faults);
    }
    assert!(faults.is_empty(), "{faults:?}");
    assert_eq!(contents.refused_edges(), ["1.1.0 -> 1.0.0 of acme/app/stable.amd64.graph.json"]);
}
