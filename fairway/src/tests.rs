//! The command line as a person types it, against a scripted hub.

use std::fs::File;
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};

use channels::wire::{HubKeys, HubStatus, Problem, Publication, PublicationReply};
use clap::Parser as _;
use signing::{SecretKey, keyfile};

use crate::authoring::unpublished::UNPUBLISHED_FILE;
use crate::cli::Cli;
use crate::error::CliError;
use crate::files::write_local;
use crate::hub::CONFIRMED_FILE;
use crate::hub::testing::{Answer, FakeHub};
use crate::out::capture;

struct Desk {
    temp: tempfile::TempDir,
    /// Kept open: the command line reads the passphrase from its descriptor.
    passphrase: File,
}

impl Desk {
    fn new() -> Self {
        let temp = tempfile::tempdir().unwrap();
        let file = temp.path().join("passphrase");
        std::fs::write(&file, "correct horse\n").unwrap();
        Self { passphrase: File::open(&file).unwrap(), temp }
    }

    fn dir(&self) -> PathBuf {
        self.temp.path().join("acme")
    }

    /// Runs one command; words are split at spaces, `DIR` is the authoring directory.
    async fn run(&self, command: &str, hub: &str) -> (Result<(), CliError>, String, String) {
        let dir = self.dir();
        let mut words: Vec<String> = std::iter::once("fairway")
            .chain(command.split(' '))
            .map(|word| if word == "DIR" { dir.display().to_string() } else { word.to_owned() })
            .collect();
        words.extend(["--server".to_owned(), hub.to_owned()]);
        words.extend(["--passphrase-fd".to_owned(), self.passphrase.as_raw_fd().to_string()]);
        let cli = Cli::try_parse_from(words).unwrap();
        let (mut out, stdout, stderr) = capture::out();
        let result = crate::dispatch(&cli.command, crate::clock::now(), &mut out).await;
        (result, stdout.text(), stderr.text())
    }

    /// A directory as `fairway init` made it once for all tests, with keys that open at once:
    /// encrypting and decrypting them is meant to be slow.
    async fn init(&self) {
        static TEMPLATE: tokio::sync::OnceCell<Vec<(PathBuf, Vec<u8>)>> =
            tokio::sync::OnceCell::const_new();
        let make = async || {
            let desk = Self::new();
            desk.init_in_earnest().await;
            let mut files = Vec::new();
            read_all(&desk.dir(), Path::new(""), &mut files);
            files
        };
        write_all(&self.dir(), TEMPLATE.get_or_init(make).await);
    }

    async fn init_in_earnest(&self) {
        let pem = |seed| SecretKey::from_seed([seed; 32]).public().to_spki_pem();
        let status = HubStatus {
            version: "0.1.0".into(),
            at: crate::clock::now(),
            root_version: None,
            expires: None,
            products: vec![],
            default_product: None,
        };
        let hub = FakeHub::start(vec![
            ("GET /api/v1/hub", Answer::json(&status)),
            (
                "GET /api/v1/hub/keys",
                Answer::json(&HubKeys {
                    snapshot: pem(8),
                    timestamp: pem(9),
                    ..HubKeys::default()
                }),
            ),
        ])
        .await;
        self.run("init DIR --vendor acme --product app", &hub.url).await.0.unwrap();
    }

    fn metadata(&self) -> Vec<String> {
        let mut names: Vec<String> = std::fs::read_dir(self.dir().join("metadata"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

/// Writes what [`read_all`] read.
pub(crate) fn write_all(root: &Path, files: &[(PathBuf, Vec<u8>)]) {
    for (path, bytes) in files {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        if path.extension().is_some_and(|extension| extension == "pem") {
            let pem = std::str::from_utf8(bytes).unwrap();
            keyfile::write_new(&path, pem).unwrap();
        } else if [CONFIRMED_FILE, UNPUBLISHED_FILE].iter().any(|local| path.ends_with(local)) {
            write_local(&path, std::str::from_utf8(bytes).unwrap().trim()).unwrap();
        } else {
            std::fs::write(&path, bytes).unwrap();
        }
    }
}

/// All files below a directory, private keys without their encryption.
pub(crate) fn read_all(root: &Path, below: &Path, files: &mut Vec<(PathBuf, Vec<u8>)>) {
    for entry in std::fs::read_dir(root.join(below)).unwrap() {
        let entry = entry.unwrap();
        let path = below.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            read_all(root, &path, files);
        } else if path.extension().is_some_and(|extension| extension == "pem") {
            let key = keyfile::from_pem(&keyfile::read(entry.path()).unwrap(), b"correct horse");
            let pem = keyfile::to_plain_pem(&key.unwrap()).unwrap();
            files.push((path, pem.as_bytes().to_vec()));
        } else {
            files.push((path, std::fs::read(entry.path()).unwrap()));
        }
    }
}

fn reply(changed: bool) -> PublicationReply {
    PublicationReply {
        changed,
        root_version: 1,
        snapshot_version: 7,
        timestamp_version: 7,
        graphs: vec!["acme/app stable amd64".into()],
    }
}

async fn accepting(changed: bool) -> FakeHub {
    FakeHub::start(vec![("POST /api/v1/publications", Answer::json(&reply(changed)))]).await
}

fn sent(hub: &FakeHub) -> Publication {
    let seen = hub.seen();
    let body = seen[0].strip_prefix("POST /api/v1/publications - ").unwrap();
    serde_json::from_str(body).unwrap()
}

fn paths(publication: &Publication) -> Vec<&str> {
    publication.files.iter().map(|file| file.path.as_str()).collect()
}

#[test]
fn the_command_line_is_consistent() {
    <Cli as clap::CommandFactory>::command().debug_assert();
}

const FIRST: [&str; 5] = [
    "1.acme.channels.json",
    "1.acme.json",
    "1.acme.releases.json",
    "1.root.json",
    "1.targets.json",
];

/// Keys are made anew in every run.
fn without_fingerprints(text: &str) -> String {
    let line = |line: &str| match line.split_once(": ") {
        Some((key, _)) if key.starts_with("  + key of ") => format!("{key}: FINGERPRINT\n"),
        _ => format!("{line}\n"),
    };
    text.lines().map(line).collect()
}

#[tokio::test]
async fn json_tells_of_keys_and_delegations_as_well() {
    let desk = Desk::new();
    desk.init().await;
    let hub = accepting(true).await;
    let (result, stdout, _) = desk.run("publish DIR --dry-run --output json", &hub.url).await;
    result.unwrap();
    let json: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    let targets = &json["signed"][3];
    assert_eq!(targets["role"], "targets");
    assert_eq!(targets["trust"][0]["change"], "delegation_added");
    assert_eq!(targets["trust"][1]["change"], "key_added");
    assert_eq!(targets["trust"][1]["role"], "acme");
    assert_eq!(json["signed"][0]["trust"], serde_json::json!([]));
}

#[tokio::test]
async fn a_directory_whose_published_files_were_removed_does_not_publish_for_the_first_time() {
    let desk = Desk::new();
    desk.init().await;
    let hub = accepting(true).await;
    desk.run("publish DIR", &hub.url).await.0.unwrap();
    // As a commit could do it.
    for name in FIRST.iter().filter(|name| !name.ends_with(".root.json")) {
        std::fs::remove_file(desk.dir().join("metadata").join(name)).unwrap();
    }
    let mark = desk.dir().join(UNPUBLISHED_FILE);
    std::fs::write(&mark, "never published\n").unwrap();
    let again = accepting(true).await;
    let error = desk.run("publish DIR", &again.url).await.0.unwrap_err();
    assert_eq!(error.to_string(), "keys or delegations change, and nobody has agreed to it");
    assert_eq!(again.seen(), Vec::<String>::new());
}

#[tokio::test]
async fn init_then_publish_sends_the_whole_signed_set() {
    let desk = Desk::new();
    desk.init_in_earnest().await;
    let hub = accepting(true).await;
    let (result, stdout, stderr) = desk.run("publish DIR --message first", &hub.url).await;
    result.unwrap();
    insta::assert_snapshot!(without_fingerprints(&stdout), @"
    signed acme.releases 1 (new)
      + acme/app/1.0.0.release.json
    signed acme.channels 1 (new)
      + acme/app/stable.amd64.graph.json
    signed acme 1 (new)
      + delegates acme/*/*.release.json to acme.releases
      + key of acme.releases: FINGERPRINT
      + signatures that acme.releases needs: 1
      + delegates acme/*/*.graph.json to acme.channels
      + key of acme.channels: FINGERPRINT
      + signatures that acme.channels needs: 1
    signed targets 1 (new)
      + delegates acme/*/* to acme
      + key of acme: FINGERPRINT
      + signatures that acme needs: 1
    published: root 1, snapshot 7, timestamp 7
      serves acme/app stable amd64
    ");
    assert_eq!(stderr, "");
    assert_eq!(desk.metadata(), FIRST);
    let publication = sent(&hub);
    assert_eq!(publication.message, "first");
    let mut files = paths(&publication);
    files.sort_unstable();
    assert_eq!(
        files,
        [
            "metadata/1.acme.channels.json",
            "metadata/1.acme.json",
            "metadata/1.acme.releases.json",
            "metadata/1.root.json",
            "metadata/1.targets.json",
            "targets/acme/app/1.0.0.release.json",
            "targets/acme/app/stable.amd64.graph.json",
        ]
    );
}

#[tokio::test]
async fn publishing_again_signs_nothing_and_sends_the_same() {
    let desk = Desk::new();
    desk.init().await;
    let (first, second) = (accepting(true).await, accepting(false).await);
    desk.run("publish DIR", &first.url).await.0.unwrap();
    // The private keys are gone: nothing is signed, so nobody asks for them.
    for name in ["targets", "acme", "acme.releases", "acme.channels", "root-1"] {
        std::fs::remove_file(desk.dir().join(format!("keys/{name}.pem"))).unwrap();
    }
    let (result, stdout, _) = desk.run("publish DIR", &second.url).await;
    result.unwrap();
    assert_eq!(
        stdout,
        "nothing to sign: the repository is as it was published\nthe hub serves this already\n"
    );
    assert_eq!(sent(&first), sent(&second));
}

#[tokio::test]
async fn a_dry_run_signs_and_sends_nothing() {
    let desk = Desk::new();
    desk.init().await;
    let hub = accepting(true).await;
    let (result, stdout, _) = desk.run("publish DIR --dry-run", &hub.url).await;
    result.unwrap();
    assert!(stdout.starts_with("would sign acme.releases 1 (new)\n"), "{stdout}");
    assert_eq!(hub.seen().len(), 0);
    assert_eq!(desk.metadata(), ["1.root.json"]);
}

#[tokio::test]
async fn a_refused_publication_leaves_the_metadata_as_it_was() {
    let desk = Desk::new();
    desk.init().await;
    let problem = Problem {
        kind: "/problems/publication_older".into(),
        title: "Older than what is served".into(),
        status: 409,
        detail: "acme version 1 is older than version 4, which is served".into(),
        attack: Some("rollback".into()),
        last_seq: None,
    };
    let answer =
        Answer { status: 409, content_type: "application/problem+json", ..Answer::json(&problem) };
    let hub = FakeHub::start(vec![("POST /api/v1/publications", answer)]).await;
    let (result, ..) = desk.run("publish DIR", &hub.url).await;
    let error = result.unwrap_err();
    assert!(error.to_string().ends_with("(attack: rollback)"), "{error}");
    assert_eq!(desk.metadata(), ["1.root.json"]);
}

#[tokio::test]
async fn a_lost_answer_keeps_the_signed_bytes_for_the_next_try() {
    let desk = Desk::new();
    desk.init().await;
    // Bound and dropped: nobody listens on this port.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (result, ..) = desk.run("publish DIR", &format!("http://{port}")).await;
    assert_eq!(result.unwrap_err().exit().code(), 2);
    assert_eq!(desk.metadata(), FIRST);
    let before = std::fs::read(desk.dir().join("metadata/1.acme.json")).unwrap();
    let hub = accepting(true).await;
    desk.run("publish DIR", &hub.url).await.0.unwrap();
    assert_eq!(std::fs::read(desk.dir().join("metadata/1.acme.json")).unwrap(), before);
    assert_eq!(paths(&sent(&hub)).len(), 7);
}

#[tokio::test]
async fn a_new_release_replaces_the_metadata_it_changes() {
    let desk = Desk::new();
    desk.init().await;
    desk.run("publish DIR", &accepting(true).await.url).await.0.unwrap();
    release(&desk.dir(), "1.1.0");
    let (result, stdout, _) = desk.run("publish DIR", &accepting(true).await.url).await;
    result.unwrap();
    assert!(stdout.starts_with("signed acme.releases 2 (content)\n"), "{stdout}");
    assert_eq!(
        desk.metadata(),
        [
            "1.acme.json",
            "1.root.json",
            "1.targets.json",
            "2.acme.channels.json",
            "2.acme.releases.json"
        ]
    );
}

#[tokio::test]
async fn a_changed_release_is_refused_with_what_to_do() {
    let desk = Desk::new();
    desk.init().await;
    desk.run("publish DIR", &accepting(true).await.url).await.0.unwrap();
    let file = desk.dir().join("app/releases/1.0.0.yaml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("{text}severity: critical\n")).unwrap();
    let hub = accepting(true).await;
    let error = desk.run("publish DIR", &hub.url).await.0.unwrap_err();
    assert_eq!(
        error.to_string(),
        "failed to publish: acme/app/1.0.0.release.json was published with other content; \
         a release is immutable"
    );
    assert!(error.hint_text().unwrap().contains("new version"));
    assert_eq!(hub.seen().len(), 0);
}

/// Adds a release to the example product and its channel.
fn release(dir: &Path, version: &str) {
    let text = std::fs::read_to_string(dir.join("app/releases/1.0.0.yaml")).unwrap();
    let digest = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let text = text
        .replace("version: 1.0.0", &format!("version: {version}"))
        .replace("upgrade_from: []", "upgrade_from: [\">=1.0.0, <2.0.0\"]")
        .replace(digest, &digest.replace("e3b0", "1234"));
    std::fs::write(dir.join(format!("app/releases/{version}.yaml")), text).unwrap();
    let channel = format!("name: stable\nversions:\n  - 1.0.0\n  - {version}\n");
    std::fs::write(dir.join("app/channels/stable.yaml"), channel).unwrap();
}
