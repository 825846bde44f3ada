//! `fairway init`: what it makes, and what it refuses.

use clap::Parser as _;

use super::*;
use crate::authoring::Authoring;
use crate::hub::testing::{Answer, FakeHub};
use crate::out::capture;
use crate::publisher::{Content, Keyring as _, plan};

#[derive(Debug, clap::Parser)]
pub(super) struct Cli {
    #[command(flatten)]
    pub(super) args: InitArgs,
}

pub(super) fn now() -> Timestamp {
    "2026-05-01T12:00:00Z".parse().unwrap()
}

fn status(root_version: Option<u64>) -> Answer {
    Answer::json(&HubStatus {
        version: "0.1.0".into(),
        at: now(),
        root_version,
        expires: None,
        products: vec![],
        default_product: None,
    })
}

pub(super) async fn hub(root_version: Option<u64>) -> FakeHub {
    let pem = |seed| SecretKey::from_seed([seed; 32]).public().to_spki_pem();
    let keys = HubKeys { snapshot: pem(8), timestamp: pem(9), ..HubKeys::default() };
    FakeHub::start(vec![
        ("GET /api/v1/hub", status(root_version)),
        ("GET /api/v1/hub/keys", Answer::json(&keys)),
    ])
    .await
}

async fn init(hub: &FakeHub, dir: &Path, more: &[&str]) -> (Result<()>, String, String) {
    let words = ["init", dir.to_str().unwrap(), "--server", &hub.url];
    let names = ["--vendor", "acme", "--product", "app"];
    let words = words.iter().chain(&names).chain(more);
    let args = Cli::try_parse_from(words).unwrap().args;
    let (mut out, stdout, stderr) = capture::out();
    let result = run(&args, Passphrases::given("pass"), now(), &mut out).await;
    (result, stdout.text(), stderr.text())
}

#[tokio::test]
async fn a_new_directory_is_ready_to_publish() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("hub");
    let hub = hub(None).await;
    let (result, stdout, stderr) =
        init(&hub, &dir, &["--root-keys", "3", "--root-threshold", "2"]).await;
    result.unwrap();
    assert!(stdout.starts_with("root 1       sha256:"), "{stdout}");
    assert!(stderr.contains("fairway publish"), "{stderr}");

    let authoring = Authoring::open(&dir).unwrap();
    let previous = authoring.metadata().load().unwrap();
    let pinned = std::fs::read(dir.join("root.json")).unwrap();
    assert_eq!(previous.files().next().unwrap().1.as_ref(), pinned);
    let planned =
        plan(&Content::default(), authoring.layout(), &previous, &authoring.terms(), now());
    assert_eq!(planned.unwrap().len(), 4);
    let mut keyring = authoring.keyring(Passphrases::given("pass"));
    let targets = crate::publisher::targets_role();
    assert_eq!(keyring.open(&targets, &authoring.layout().targets).unwrap().len(), 1);
}

#[tokio::test]
async fn private_keys_are_encrypted_and_left_out_of_git() {
    use std::os::unix::fs::PermissionsExt as _;
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("hub");
    init(&hub(None).await, &dir, &[]).await.0.unwrap();
    let mut private = 0;
    for entry in std::fs::read_dir(dir.join("keys")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().unwrap() == "pem" {
            let text = std::fs::read_to_string(&path).unwrap();
            assert!(text.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----"));
            assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
            private += 1;
        }
    }
    assert_eq!(private, 5);
    let ignored = std::fs::read_to_string(dir.join(".gitignore")).unwrap();
    assert!(ignored.lines().any(|line| line == "keys/*.pem"));
    assert!(ignored.lines().any(|line| line == "keys/*.signer"));
    for local in [crate::hub::CONFIRMED_FILE, crate::authoring::unpublished::UNPUBLISHED_FILE] {
        assert!(ignored.lines().any(|line| line == local), "{local}");
        let mode = dir.join(local).metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o400, "{local}");
    }
}

#[tokio::test]
async fn a_hub_that_has_a_root_is_left_alone() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("hub");
    let error = init(&hub(Some(4)).await, &dir, &[]).await.0.unwrap_err();
    assert!(error.to_string().ends_with("already has a root (version 4)"), "{error}");
    assert_eq!(error.exit().code(), 1);
    assert!(!dir.exists());
}

#[tokio::test]
async fn a_directory_with_something_in_it_is_left_alone() {
    let temp = tempfile::tempdir().unwrap();
    std::fs::write(temp.path().join("thesis.txt"), "").unwrap();
    let error = init(&hub(None).await, temp.path(), &[]).await.0.unwrap_err();
    assert!(error.to_string().ends_with("is not empty"), "{error}");
    assert_eq!(std::fs::read_dir(temp.path()).unwrap().count(), 1);
}

#[tokio::test]
async fn a_root_nobody_could_sign_is_refused() {
    let temp = tempfile::tempdir().unwrap();
    let (result, ..) =
        init(&hub(None).await, &temp.path().join("x"), &["--root-threshold", "2"]).await;
    assert_eq!(result.unwrap_err().to_string(), "1 root keys cannot give 2 signatures");
}
