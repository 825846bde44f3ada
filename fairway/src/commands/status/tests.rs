//! The status of a directory whose signatures age.

use std::path::Path;

use signing::metadata::{Document, Root};
use signing::repository::Signing;
use signing::{RoleName, TopRole, keyfile};

use super::*;
use crate::out::capture;
use crate::publisher::testing::{World, content, day, secret};
use crate::publisher::{NextRoot, TrustedRoots, draft_next_root};

/// The directory that `world` would publish from, with the private keys of `seeds`.
pub(crate) fn directory(world: &World, seeds: &[u8]) -> tempfile::TempDir {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path();
    for below in ["keys", "metadata"] {
        std::fs::create_dir(dir.join(below)).unwrap();
    }
    let files =
        [(1, "root-1"), (2, "targets"), (3, "acme"), (4, "acme.releases"), (5, "acme.channels")];
    for (seed, name) in files {
        let public = secret(seed).public().to_spki_pem();
        std::fs::write(dir.join(format!("keys/{name}.pub")), public).unwrap();
        if seeds.contains(&seed) {
            let pem = keyfile::to_plain_pem(&secret(seed)).unwrap();
            keyfile::write_new(dir.join(format!("keys/{name}.pem")), &pem).unwrap();
        }
    }
    let role = |name: &str| format!("keys = [\"keys/{name}.pub\"]\nthreshold = 1\n");
    let text = format!(
        "server = \"http://hub.example\"\n[root]\n{}[targets]\n{}[vendors.acme]\n{}\
         [vendors.acme.releases]\n{}[vendors.acme.channels]\n{}",
        role("root-1"),
        role("targets"),
        role("acme"),
        role("acme.releases"),
        role("acme.channels"),
    );
    std::fs::write(dir.join("hub.toml"), text).unwrap();
    std::fs::write(dir.join("root.json"), &world.root).unwrap();
    for (name, bytes) in world.published.files() {
        let path = name.relative_path();
        if path.starts_with("metadata/") {
            std::fs::write(dir.join(path), bytes).unwrap();
        }
    }
    temp
}

fn published() -> World {
    let mut world = World::new();
    world.publish(&content(&["1.0.0"]), day(0));
    world
}

async fn status(dir: &Path, now: Timestamp) -> (Result<()>, String) {
    let args =
        StatusArgs { dir: dir.to_owned(), server: None, offline: true, output: Format::Table };
    let (mut out, stdout, _) = capture::out();
    let result = run(&args, now, &mut out).await;
    let place = dir.display().to_string();
    (result, stdout.text().replace(&place, "DIR"))
}

#[tokio::test]
async fn all_is_well_on_the_first_day() {
    let temp = directory(&published(), &[2, 3, 4, 5]);
    let (result, text) = status(temp.path(), day(1)).await;
    result.unwrap();
    insta::assert_snapshot!(text, @r"
    ROLE           VERSION  EXPIRES               DAYS-LEFT  LEVEL  SIGNS   KEYS-HERE
    root           1        2027-01-01T00:00:00Z  364        ok     1 of 1  -
    targets        1        2027-01-01T00:00:00Z  364        ok     1 of 1  keys/targets.pub
    acme           1        2027-01-01T00:00:00Z  364        ok     1 of 1  keys/acme.pub
    acme.releases  1        2027-01-01T00:00:00Z  364        ok     1 of 1  keys/acme.releases.pub
    acme.channels  1        2027-01-01T00:00:00Z  364        ok     1 of 1  keys/acme.channels.pub
    ");
}

#[tokio::test]
async fn what_is_due_names_its_command_and_needs_nobody_yet() {
    let temp = directory(&published(), &[2, 3, 5]);
    let (result, text) = status(temp.path(), day(250)).await;
    result.unwrap();
    assert!(text.contains("\nroot: fairway root new DIR --renew\n"), "{text}");
    assert!(text.contains("\ntargets: fairway publish DIR\n"), "{text}");
    assert!(text.contains("\nacme.releases: fairway publish DIR --out-requests DIR\n"), "{text}");
}

#[tokio::test]
async fn sixty_days_before_the_end_a_person_is_needed() {
    let temp = directory(&published(), &[1, 2, 3, 4, 5]);
    let (result, text) = status(temp.path(), day(310)).await;
    let error = result.unwrap_err();
    assert_eq!((error.exit().code(), error.to_string()), (1, "5 things for a person to do".into()));
    assert!(
        text.contains("alert: 60 days") && text.contains("root: fairway publish DIR"),
        "{text}"
    );
    let (_, text) = status(temp.path(), day(400)).await;
    assert!(text.contains("-35") && text.contains("EXPIRED"), "{text}");
}

#[tokio::test]
async fn edited_metadata_is_a_problem_and_not_a_date() {
    let temp = directory(&published(), &[]);
    let file = temp.path().join("metadata/1.acme.json");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("2027-01-01", "2029-01-01")).unwrap();
    let (result, text) = status(temp.path(), day(1)).await;
    assert_eq!(result.unwrap_err().exit().code(), 1);
    assert!(text.contains("is not signed by the keys that targets lists"), "{text}");
}

#[tokio::test]
async fn a_request_that_was_published_is_no_longer_open() {
    let mut world = published();
    let newest = TrustedRoots::verify(&world.published, &world.root).unwrap().newest().clone();
    let next = NextRoot {
        root: world.layout.root.keys.clone(),
        targets: world.layout.targets.clone(),
        replace_online: std::collections::BTreeMap::new(),
        days: 365,
        renew: true,
    };
    let request = draft_next_root(&newest, &next, day(1)).unwrap();
    let temp = directory(&world, &[2, 3, 4, 5]);
    let file = temp.path().join("root-2.request.json");
    crate::authoring::write_request(&file, &request).unwrap();
    let (result, text) = status(temp.path(), day(1)).await;
    assert_eq!(result.unwrap_err().to_string(), "1 thing for a person to do");
    assert!(
        text.contains("request root 2 needs 1 more, of keys/root-1.pub: fairway root sign DIR/"),
        "{text}"
    );
    let Signing::Added(signed) = request.add_signature(&secret(1), day(1)).unwrap() else {
        panic!()
    };
    let root = signed.completed().unwrap();
    world.published.put_metadata(&TopRole::Root.into(), root.clone()).unwrap();
    std::fs::write(temp.path().join("metadata/2.root.json"), root).unwrap();
    status(temp.path(), day(1)).await.0.unwrap();
}

#[tokio::test]
async fn the_hubs_own_roles_are_seen_and_expected_fresh() {
    let mut world = World::new();
    let staged = world.staged(&content(&["1.0.0"]), day(0));
    let (dir, server, pinned) = (".".to_owned(), String::new(), world.root.clone());
    let place = gather::Place { dir, server, pinned, is_hub: true };
    let look = async |now| {
        let mut status = Status {
            roles: Vec::new(),
            requests: Vec::new(),
            problems: Vec::new(),
            unseen: Vec::new(),
        };
        let looked = online::look(&mut status, &place, staged.as_source(), now).await;
        looked.map(|()| status)
    };
    let fresh = look(day(0)).await.unwrap();
    let names: Vec<&str> = fresh.roles.iter().map(|role| role.role.as_str()).collect();
    // Without a directory every role but the hub's is somebody else's.
    assert_eq!(
        names,
        ["snapshot", "timestamp", "acme", "acme.channels", "acme.releases", "targets"]
    );
    assert_eq!(fresh.open(), 0);
    let late = look(day(0) + jiff::SignedDuration::from_hours(20)).await.unwrap();
    let timestamp = late.roles.iter().find(|role| role.role == "timestamp").unwrap();
    assert_eq!((timestamp.level, timestamp.needs_a_person), (Level::Due, true));
    let frozen = look(day(2)).await.unwrap_err();
    assert_eq!(frozen.attack(), Some(signing::Attack::Freeze));
}

#[tokio::test]
async fn a_vendor_sees_its_own_three_roles() {
    let world = published();
    let temp = directory(&world, &[3, 4]);
    let dir = temp.path();
    let text = std::fs::read_to_string(dir.join("hub.toml")).unwrap();
    let (start, end) = (text.find("[root]").unwrap(), text.find("[vendors.acme]").unwrap());
    std::fs::write(dir.join("hub.toml"), format!("{}{}", &text[..start], &text[end..])).unwrap();
    std::fs::remove_file(dir.join("metadata/1.root.json")).unwrap();
    std::fs::remove_file(dir.join("metadata/1.targets.json")).unwrap();
    let (result, text) = status(dir, day(1)).await;
    result.unwrap();
    let roles: Vec<&str> = text.lines().skip(1).filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(roles, ["acme", "acme.releases", "acme.channels"]);
}

#[tokio::test]
async fn json_says_the_same_with_key_ids() {
    let world = published();
    let temp = directory(&world, &[2]);
    let (_, status) = gather::gather(temp.path(), day(1)).unwrap();
    let value = serde_json::to_value(&status).unwrap();
    let targets = &value["roles"][1];
    assert_eq!(targets["role"], "targets");
    assert_eq!(targets["level"], "ok");
    assert_eq!(targets["days_left"], 364);
    assert_eq!(targets["keys"][0]["at_hand"], true);
    let root = Document::<Root>::parse(&RoleName::from(TopRole::Root), &world.root).unwrap();
    let id = root.body.keys(TopRole::Targets).keys.keys().next().unwrap();
    assert_eq!(targets["keys"][0]["key_id"], id.as_str());
    assert_eq!(value["roles"][0]["keys"][0]["at_hand"], false);
}

#[tokio::test]
async fn a_hub_that_cannot_be_seen_is_a_problem() {
    let temp = directory(&published(), &[2, 3, 4, 5]);
    let args = StatusArgs {
        dir: temp.path().to_owned(),
        server: Some("http://127.0.0.1:9".to_owned()),
        offline: false,
        output: Format::Table,
    };
    let (mut out, stdout, _) = capture::out();
    let error = run(&args, day(1), &mut out).await.unwrap_err();
    assert_eq!((error.exit().code(), error.to_string()), (1, "1 thing for a person to do".into()));
    let text = stdout.text();
    assert!(text.contains("the hub at http://127.0.0.1:9 was not seen: "), "{text}");
}
