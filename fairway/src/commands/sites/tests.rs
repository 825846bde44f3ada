//! What `fairway sites` asks and prints.

use channels::wire::{Freshness, Redaction, SiteCounts, SiteStatusHead};
use clap::Parser as _;
use signing::{SecretKey, Sha256Digest};

use super::*;
use crate::hub::testing::{Answer, FakeHub};
use crate::out::capture;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn north() -> SiteRow {
    SiteRow {
        name: "north".parse().unwrap(),
        description: "the rig".to_owned(),
        key_id: "ab".repeat(32),
        expected_interval_s: Some(604_800),
        registered_at: at("2026-04-01T00:00:00Z"),
        registered_by: "ann".to_owned(),
        freshness: Freshness::Late,
        status: Some(SiteStatusHead {
            sequence: 1_790_000_000,
            made_at: at("2026-04-20T12:00:00Z"),
            imported_at: at("2026-04-22T12:00:00Z"),
            imported_by: "ann".to_owned(),
            hub_version: "0.1.0".to_owned(),
            redacted: [Redaction::Names, Redaction::Messages].into(),
            newest_bundle: Some(4),
            receipt: None,
            counts: SiteCounts { clusters: 3, active: 2, healthy: 1, unhealthy: 1, unknown: 0 },
            live_here: 0,
        }),
    }
}

fn south() -> SiteRow {
    SiteRow {
        name: "south".parse().unwrap(),
        description: String::new(),
        freshness: Freshness::Never,
        status: None,
        ..north()
    }
}

#[derive(clap::Parser)]
struct Cli {
    #[command(flatten)]
    args: SitesArgs,
}

async fn sites(hub: &FakeHub, words: &[&str]) -> (Result<()>, String, String) {
    let server = ["sites", "--server", &hub.url];
    let args = Cli::try_parse_from(server.iter().chain(words)).unwrap().args;
    let (mut out, stdout, stderr) = capture::out();
    let result = run(&args, at("2026-05-01T12:00:00Z"), &mut out).await;
    (result, stdout.text(), stderr.text())
}

#[tokio::test]
async fn the_list_shows_how_old_what_is_known_is() {
    let page = Page { items: vec![north(), south()], next: None };
    let hub = FakeHub::start(vec![("GET /api/v1/sites", Answer::json(&page))]).await;
    insta::assert_snapshot!(sites(&hub, &[]).await.1, @"
    SITE   AS-OF  FRESHNESS  CLUSTERS  ACTIVE  HEALTHY  UNHEALTHY  UNKNOWN  SEQUENCE    BUNDLE  LEFT-OUT        HUB    DESCRIPTION
    north  11d    late       3         2       1        1          0        1790000000  4       names messages  0.1.0  the rig
    south  never  never      -         -       -        -          -        -           -       -               -      -
    ");
}

#[tokio::test]
async fn a_site_is_added_with_its_key_as_pem_or_as_its_hub_gives_it() {
    let key = SecretKey::from_seed([3; 32]);
    let (public_key, key_id) =
        (key.public().to_spki_pem(), key.public().key_id().as_str().to_owned());
    let document =
        SiteKey { site: "north".parse().unwrap(), public_key: public_key.clone(), key_id };
    let document = serde_json::to_string(&document).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("north.pub");
    let path = file.to_str().unwrap();
    for text in [&public_key, &document] {
        std::fs::write(&file, text).unwrap();
        let hub = FakeHub::start(vec![("PUT /api/v1/sites/north", Answer::json(&north()))]).await;
        let words = ["add", "north", "--key", path, "--interval", "7d", "--description", "the rig"];
        let (result, _, stderr) = sites(&hub, &words).await;
        result.unwrap();
        assert!(stderr.contains(&fingerprint(key.public())), "{stderr}");
        let sent = hub.seen().remove(0);
        let body: serde_json::Value =
            serde_json::from_str(sent.strip_prefix("PUT /api/v1/sites/north - ").unwrap()).unwrap();
        assert_eq!(body["public_key"], public_key.as_str());
        assert_eq!(body["expected_interval_s"], 604_800);
    }
    let hub = FakeHub::start(vec![]).await;
    let (result, ..) = sites(&hub, &["add", "south", "--key", path]).await;
    let error = result.unwrap_err().to_string();
    assert!(error.ends_with("holds the key of site north, not of south"), "{error}");
    assert_eq!(hub.seen().len(), 0, "nothing was asked");
}

#[tokio::test]
async fn a_file_is_sent_as_it_is_and_what_came_of_it_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("north.status.json");
    std::fs::write(&file, "{\n \"signed\": {}}\n").unwrap();
    let reply = StatusImportReply {
        site: "north".parse().unwrap(),
        sequence: 7,
        made_at: at("2026-04-30T12:00:00Z"),
        clusters: 3,
        live_here: vec![channels::names::ClusterId(uuid::Uuid::from_u128(1))],
        changed: true,
    };
    let request = "POST /api/v1/status-imports?site=north";
    let hub = FakeHub::start(vec![(request, Answer::json(&reply))]).await;
    let words = ["import", file.to_str().unwrap(), "--site", "north"];
    let (result, stdout, stderr) = sites(&hub, &words).await;
    result.unwrap();
    assert_eq!(stdout, "");
    insta::assert_snapshot!(stderr, @"
    status 7 of site north (3 clusters, made 24h ago) is shown from now on
    warning: left out, because they report to this hub themselves: 00000000-0000-0000-0000-000000000001
    ");
    assert_eq!(hub.seen(), [format!("{request} - {}", "{\n \"signed\": {}}")]);
}

#[tokio::test]
async fn imports_are_listed_with_who_and_when() {
    let import = SiteImport {
        id: 3,
        sequence: 7,
        made_at: at("2026-04-28T12:00:00Z"),
        imported_at: at("2026-04-30T12:00:00Z"),
        imported_by: "ann".to_owned(),
        digest: Sha256Digest::of(b""),
        clusters: 3,
    };
    let page = Page { items: vec![import], next: None };
    let hub = FakeHub::start(vec![("GET /api/v1/sites/north/imports", Answer::json(&page))]).await;
    insta::assert_snapshot!(sites(&hub, &["imports", "north"]).await.1, @"
    ID  SEQUENCE  MADE  IMPORTED  IMPORTED-BY  CLUSTERS  DIGEST
    3   7         3d    24h       ann          3         sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
    ");
}
