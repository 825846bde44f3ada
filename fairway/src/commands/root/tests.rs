//! Ceremonies as people hold them: every holder in a directory of their own, an agent as the judge.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use channels::wire::{HubKeys, HubStatus, Publication, PublicationReply};
use clap::Parser as _;
use signing::client::Versions;
use signing::{MemStore, SecretKey, StagedRepository, TargetPath, TopRole, keyfile, verify_staged};

use crate::cli::Cli;
use crate::error::CliError;
use crate::hub::testing::{Answer, FakeHub};
use crate::out::capture;
use crate::tests::{read_all, write_all};

/// Seeds of the holders' root keys.
const HOLDERS: [(&str, u8); 4] = [("alice", 101), ("bob", 102), ("carol", 103), ("dave", 104)];

fn secret(seed: u8) -> SecretKey {
    SecretKey::from_seed([seed; 32])
}

/// One table, several rooms.
struct Rooms {
    temp: tempfile::TempDir,
}

impl Rooms {
    /// Every holder alone with their key.
    fn new() -> Self {
        let temp = tempfile::tempdir().unwrap();
        for (name, seed) in HOLDERS {
            let room = temp.path().join(name);
            std::fs::create_dir(&room).unwrap();
            let pem = keyfile::to_plain_pem(&secret(seed)).unwrap();
            keyfile::write_new(room.join(format!("{name}.pem")), &pem).unwrap();
            let public = secret(seed).public().to_spki_pem();
            std::fs::write(room.join(format!("{name}.pub")), public).unwrap();
        }
        std::fs::write(temp.path().join("passphrase"), "correct horse\n").unwrap();
        Self { temp }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.temp.path().join(name)
    }

    /// Runs one command; `@x` is a path in these rooms.
    async fn run(&self, command: &str, hub: Option<&FakeHub>) -> Result<String, CliError> {
        let (result, stdout, stderr) = self.run_all(command, hub).await;
        result.map(|()| format!("{stdout}{stderr}"))
    }

    async fn run_all(
        &self,
        command: &str,
        hub: Option<&FakeHub>,
    ) -> (Result<(), CliError>, String, String) {
        use std::os::fd::AsRawFd as _;
        let passphrase = std::fs::File::open(self.path("passphrase")).unwrap();
        let mut words: Vec<String> = std::iter::once("fairway")
            .chain(command.split(' '))
            .map(|word| match word.strip_prefix('@') {
                Some(name) => self.path(name).display().to_string(),
                None => word.to_owned(),
            })
            .collect();
        if let Some(hub) = hub {
            words.extend(["--server".to_owned(), hub.url.clone()]);
        }
        if !command.starts_with("status") {
            words.extend(["--passphrase-fd".to_owned(), passphrase.as_raw_fd().to_string()]);
        }
        let cli = Cli::try_parse_from(words).unwrap();
        let (mut out, stdout, stderr) = capture::out();
        let result = crate::dispatch(&cli.command, crate::clock::now(), &mut out).await;
        (result, stdout.text(), stderr.text())
    }

    /// Carries a file from one room to another.
    fn carry(&self, from: &str, to: &str) {
        std::fs::copy(self.path(from), self.path(to)).unwrap();
    }

    /// Copies of a request are signed in two rooms at once and joined again.
    async fn sign_apart(&self, request: &str, holders: [&str; 2]) {
        for name in holders {
            self.carry(request, &format!("{name}/copy.json"));
            let sign = format!("root sign @{name}/copy.json --key @{name}/{name}.pem --yes");
            self.run(&sign, None).await.unwrap();
        }
        let [a, b] = holders;
        let merge = format!("root merge @{a}/copy.json @{b}/copy.json @{request} --out @{request}");
        self.run(&merge, None).await.unwrap();
    }

    /// A directory as init made it once for all tests, with keys that open at once: encrypting and
    /// decrypting them is meant to be slow.
    async fn init(&self) {
        static TEMPLATE: tokio::sync::OnceCell<Vec<(PathBuf, Vec<u8>)>> =
            tokio::sync::OnceCell::const_new();
        let make = async || {
            let rooms = Self::new();
            rooms.init_in_earnest().await;
            let mut files = Vec::new();
            read_all(&rooms.path("hub"), Path::new(""), &mut files);
            files
        };
        let hub = self.path("hub");
        write_all(&hub, TEMPLATE.get_or_init(make).await);
        std::fs::create_dir_all(hub.join("metadata")).unwrap();
    }

    async fn init_in_earnest(&self) {
        let command = "init @hub --vendor acme --product app --root-threshold 2 \
                       --root-key @alice/alice.pub --root-key @bob/bob.pub --root-key @carol/carol.pub";
        let command = command.split_whitespace().collect::<Vec<_>>().join(" ");
        self.run(&command, Some(&hub(None).await)).await.unwrap();
    }

    /// Init, root 1 and the first publication; an agent's view of it.
    async fn published(&self) -> Agent {
        self.init().await;
        self.sign_apart("hub/root-1.request.json", ["alice", "bob"]).await;
        self.run("root publish @hub @hub/root-1.request.json", None).await.unwrap();
        let hub = hub(None).await;
        self.run("publish @hub", Some(&hub)).await.unwrap();
        let mut agent = Agent::new(&std::fs::read(self.path("hub/root.json")).unwrap());
        agent.takes(&hub);
        agent
    }

    /// Edits hub.toml: carol leaves, dave comes.
    fn replace_carol_by_dave(&self) {
        self.carry("dave/dave.pub", "hub/keys/dave.pub");
        let file = self.path("hub/hub.toml");
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.contains("keys/carol.pub"));
        std::fs::write(&file, text.replace("keys/carol.pub", "keys/dave.pub")).unwrap();
    }
}

/// A hub with the online keys 8 and 9.
async fn hub(root_version: Option<u64>) -> FakeHub {
    let pem = |seed| secret(seed).public().to_spki_pem();
    let status = HubStatus {
        version: "0.1.0".into(),
        at: crate::clock::now(),
        root_version,
        expires: None,
        products: vec![],
        default_product: None,
    };
    let reply = PublicationReply {
        changed: true,
        root_version: 1,
        snapshot_version: 7,
        timestamp_version: 7,
        graphs: vec![],
    };
    let keys = HubKeys { snapshot: pem(8), timestamp: pem(9), ..HubKeys::default() };
    FakeHub::start(vec![
        ("GET /api/v1/hub", Answer::json(&status)),
        ("GET /api/v1/hub/keys", Answer::json(&keys)),
        ("POST /api/v1/publications", Answer::json(&reply)),
    ])
    .await
}

/// What the last `POST` to a hub brought.
fn sent(hub: &FakeHub) -> Publication {
    let seen = hub.seen();
    let posted =
        seen.iter().rev().find_map(|line| line.strip_prefix("POST /api/v1/publications - "));
    serde_json::from_str(posted.unwrap()).unwrap()
}

/// An agent that pinned root 1, and the hub's files as they grow.
struct Agent {
    pinned: Vec<u8>,
    served: StagedRepository,
    versions: Versions,
}

impl Agent {
    fn new(pinned: &[u8]) -> Self {
        Self {
            pinned: pinned.to_vec(),
            served: StagedRepository::new(),
            versions: Versions::default(),
        }
    }

    /// The hub serves what was sent on top of what it had; the agent updates from it.
    fn takes(&mut self, hub: &FakeHub) {
        for file in sent(hub).files {
            let bytes = base64::engine::general_purpose::STANDARD.decode(&file.base64).unwrap();
            match file.path.strip_prefix("targets/") {
                Some(path) => {
                    self.served.put_target(&TargetPath::new(path).unwrap(), bytes);
                }
                None => self.served.put_file(&file.path, bytes).unwrap(),
            }
        }
        let now = crate::clock::now();
        let staged = self.served.clone();
        let staged = staged.with_online_roles(&secret(8), &secret(9), now, self.versions);
        let verified = verify_staged(&self.pinned, &staged.unwrap(), MemStore::new(), now).unwrap();
        assert!(verified.broken.is_empty(), "{:?}", verified.broken);
        self.versions = verified.versions;
    }
}

#[tokio::test]
async fn three_people_in_three_rooms_make_a_root_and_change_a_key_and_agents_follow() {
    let rooms = Rooms::new();
    let mut agent = rooms.published().await;
    assert_eq!(agent.versions.root, 1);

    rooms.replace_carol_by_dave();
    let drafted = rooms.run("root new @hub", None).await.unwrap();
    assert!(drafted.contains("root: 2 of 3 must sign"), "{drafted}");
    rooms.sign_apart("hub/root-2.request.json", ["bob", "alice"]).await;
    let verify = "root verify @hub/root-2.request.json --from @hub/root.json";
    let verified = rooms.run(verify, None).await.unwrap();
    assert!(verified.ends_with("agents accept root 2\n"), "{verified}");

    let hub = hub(Some(1)).await;
    rooms.run("root publish @hub @hub/root-2.request.json", Some(&hub)).await.unwrap();
    let paths: Vec<String> = sent(&hub).files.into_iter().map(|file| file.path).collect();
    assert_eq!(paths, ["metadata/1.root.json", "metadata/2.root.json"]);
    agent.takes(&hub);
    assert_eq!(agent.versions.root, 2);
    let pinned = std::fs::read(rooms.path("hub/root.json")).unwrap();
    assert_eq!(pinned, agent.pinned, "what agents pin never changes");
    let again = rooms.run("publish @hub", Some(&hub)).await.unwrap();
    assert!(again.starts_with("nothing to sign"), "{again}");
}

#[tokio::test]
async fn a_directory_whose_root_is_not_signed_says_by_whom_it_can_be() {
    let rooms = Rooms::new();
    rooms.init().await;
    let error = rooms.run("publish @hub", None).await.unwrap_err();
    let text = error.to_string();
    assert!(text.starts_with("root 1 needs 2 more signatures, by keys/"), "{text}");
    for (name, _) in &HOLDERS[..3] {
        assert!(text.contains(&format!("keys/{name}.pub")), "{text}");
    }
    assert_eq!(error.exit().code(), 1);
    assert!(error.hint_text().unwrap().contains("fairway root sign"));
    let error = rooms.run("root publish @hub @hub/root-1.request.json", None).await.unwrap_err();
    assert!(error.to_string().ends_with("root 1 still needs signatures: 2 at least"), "{error}");
    assert!(!rooms.path("hub/root.json").exists());

    rooms.sign_apart("hub/root-1.request.json", ["alice", "carol"]).await;
    let error = rooms.run("publish @hub", None).await.unwrap_err();
    assert!(error.to_string().starts_with("root 1 is signed and not in its place yet"), "{error}");
    assert!(error.hint_text().unwrap().contains("fairway root publish"));
}

#[tokio::test]
async fn root_2_without_enough_of_the_old_keys_is_not_published() {
    let rooms = Rooms::new();
    rooms.published().await;
    rooms.replace_carol_by_dave();
    rooms.run("root new @hub", None).await.unwrap();
    // Two of the new keys, and only one of the old.
    rooms.sign_apart("hub/root-2.request.json", ["alice", "dave"]).await;
    let hub = hub(Some(1)).await;
    let error =
        rooms.run("root publish @hub @hub/root-2.request.json", Some(&hub)).await.unwrap_err();
    assert!(error.to_string().ends_with("root 2 still needs signatures: 1 at least"), "{error}");
    assert_eq!(error.exit().code(), 1);
    let verify = "root verify @hub/root-2.request.json --from @hub/root.json";
    let (result, stdout, _) = rooms.run_all(verify, None).await;
    assert_eq!(result.unwrap_err().exit().code(), 1);
    assert!(stdout.contains("signatures by the keys of root 1: 1 of 2, 1 missing"), "{stdout}");
    assert!(stdout.contains("signatures by the keys of root 2: 2 of 2, enough"), "{stdout}");
    assert_eq!(hub.seen().len(), 0);
    assert!(!rooms.path("hub/metadata/2.root.json").exists());
}

#[tokio::test]
async fn another_root_1_than_the_drafted_one_is_not_put_into_place() {
    let rooms = Rooms::new();
    rooms.init().await;
    // Somebody swaps the request for one that also trusts a timestamp key of theirs.
    let own = crate::authoring::read_request(&rooms.path("hub/root-1.request.json")).unwrap();
    let root = own.as_root().unwrap();
    let list = |top| (root.keys(top).keys.values().cloned().collect(), 2);
    let mut roles: std::collections::BTreeMap<_, (Vec<_>, u32)> =
        TopRole::ALL.into_iter().map(|top| (top, list(top))).collect();
    for (top, (keys, threshold)) in &mut roles {
        if *top != TopRole::Root {
            *threshold = 1;
        }
        if *top == TopRole::Timestamp {
            keys.push(secret(66).public().clone());
        }
    }
    let spec = signing::RootSpec { version: 1, expires: root.expires, roles };
    let swapped = signing::SigningRequest::for_root(None, &spec).unwrap();
    crate::authoring::write_request(&rooms.path("swapped.json"), &swapped).unwrap();
    rooms.sign_apart("swapped.json", ["alice", "bob"]).await;
    let error = rooms.run("root publish @hub @swapped.json", None).await.unwrap_err();
    assert!(error.to_string().starts_with("this is not the root 1 of "), "{error}");
    assert!(!rooms.path("hub/root.json").exists());
}

#[tokio::test]
async fn a_new_root_is_drafted_only_for_a_change_and_never_over_signatures() {
    let rooms = Rooms::new();
    rooms.published().await;
    let error = rooms.run("root new @hub", None).await.unwrap_err();
    assert_eq!(error.to_string(), "nothing to draft: root 1 says so already");
    assert_eq!(error.exit().code(), 1);
    rooms.run("root new @hub --renew --expires-days 30", None).await.unwrap();
    let error = rooms.run("root new @hub --renew", None).await.unwrap_err();
    assert!(error.to_string().contains("exists already"), "{error}");

    let key = rooms.path("timestamp.pub");
    std::fs::write(&key, secret(77).public().to_spki_pem()).unwrap();
    let replace = "root new @hub --out @online.json --replace-online";
    let words = format!("{replace} timestamp={}", key.display());
    let text = rooms.run(&words, None).await.unwrap();
    assert!(text.contains("timestamp: 1 of 1 must sign"), "{text}");
    let request = crate::authoring::read_request(&rooms.path("online.json")).unwrap();
    assert!(
        request
            .as_root()
            .unwrap()
            .keys(TopRole::Timestamp)
            .keys
            .values()
            .any(|key| key == secret(77).public())
    );
}

#[tokio::test]
async fn a_hub_toml_that_locks_everyone_out_is_not_drafted() {
    let rooms = Rooms::new();
    rooms.published().await;
    let file = rooms.path("hub/hub.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replacen("threshold = 2", "threshold = 4", 1)).unwrap();
    let error = rooms.run("root new @hub", None).await.unwrap_err();
    assert!(error.to_string().contains("threshold 4 with 3 distinct keys"), "{error}");
    assert!(!rooms.path("hub/root-2.request.json").exists());
}

#[tokio::test]
async fn a_gap_and_a_missing_anchor_are_named() {
    let rooms = Rooms::new();
    rooms.published().await;
    rooms.replace_carol_by_dave();
    rooms.run("root new @hub", None).await.unwrap();
    let error = rooms.run("root verify @hub/root-2.request.json", None).await.unwrap_err();
    assert_eq!(error.to_string(), "--from is missing: the root that agents pin");
    rooms.sign_apart("hub/root-2.request.json", ["alice", "bob"]).await;
    let hub = hub(Some(1)).await;
    rooms.run("root publish @hub @hub/root-2.request.json", Some(&hub)).await.unwrap();
    rooms.run("root new @hub --renew", None).await.unwrap();
    rooms.sign_apart("hub/root-3.request.json", ["alice", "bob"]).await;
    rooms.run("root publish @hub @hub/root-3.request.json", Some(&hub)).await.unwrap();
    let verify = "root verify @hub/metadata/3.root.json --from @hub/root.json";
    let error = rooms.run(verify, None).await.unwrap_err();
    assert_eq!(error.to_string(), "root 2 is missing before 3");
    let verify = "root verify @hub/metadata/3.root.json @hub/metadata/1.root.json \
                  @hub/metadata/2.root.json --from @hub/root.json";
    let verify = verify.split_whitespace().collect::<Vec<_>>().join(" ");
    let text = rooms.run(&verify, None).await.unwrap();
    assert!(text.ends_with("agents accept root 3\n"), "{text}");
}

#[tokio::test]
async fn releases_are_signed_by_two_people_elsewhere_and_published_from_here() {
    let rooms = Rooms::new();
    let mut agent = rooms.published().await;
    // acme's releases now need bob and dave, whose private keys never come here.
    rooms.carry("dave/dave.pub", "hub/keys/dave.pub");
    let file = rooms.path("hub/hub.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let before = "keys = [\"keys/acme.releases.pub\"]\nthreshold = 1";
    assert!(text.contains(before));
    let after = "keys = [\"keys/bob.pub\", \"keys/dave.pub\"]\nthreshold = 2";
    std::fs::write(&file, text.replace(before, after)).unwrap();
    let drafted = hub(Some(1)).await;
    let publish = "publish @hub --out-requests @out";
    let (result, stdout, _) = rooms.run_all(publish, Some(&drafted)).await;
    let error = result.unwrap_err();
    assert_eq!(error.to_string(), "nothing was published: 1 request to be signed first");
    assert!(stdout.starts_with("acme.releases 2\n  follows acme.releases 1\n"), "{stdout}");
    assert!(!drafted.seen().iter().any(|line| line.starts_with("POST")));
    for name in ["bob", "dave"] {
        let sign =
            format!("request sign @out/acme.releases-2.request.json --key @{name}/{name}.pem");
        rooms.run(&format!("{sign} --yes"), None).await.unwrap();
    }
    let hub = hub(Some(1)).await;
    let publish = "publish @hub --signed @out/acme.releases-2.request.json";
    // acme's own role, which names the new keys, is signed here.
    let error = rooms.run(publish, Some(&hub)).await.unwrap_err();
    assert_eq!(error.to_string(), "keys or delegations change, and nobody has agreed to it");
    let publish = format!("{publish} --accept-key-changes");
    let text = rooms.run(&publish, Some(&hub)).await.unwrap();
    assert!(text.starts_with("signed acme.releases 2 (keys)\nsigned acme 2 (content)\n"), "{text}");
    assert!(text.contains("  ~ signatures that acme.releases needs: 1 -> 2\n"), "{text}");
    agent.takes(&hub);
}

#[tokio::test]
async fn a_root_key_of_another_directory_or_twice_the_same_makes_no_hub() {
    let rooms = Rooms::new();
    let hub = hub(None).await;
    rooms.carry("alice/alice.pub", "alice/twin.pub");
    let start = "init @hub --vendor acme --product app --root-key @alice/alice.pub --root-key";
    let twin = rooms.run(&format!("{start} @alice/twin.pub"), Some(&hub)).await.unwrap_err();
    assert!(twin.to_string().ends_with("it is the same key as alice.pub"), "{twin}");
    rooms.carry("bob/bob.pub", "bob/targets.pub");
    let taken = rooms.run(&format!("{start} @bob/targets.pub"), Some(&hub)).await.unwrap_err();
    assert!(taken.to_string().contains("another key of this directory has that name"), "{taken}");
    let few = format!("{start} @bob/bob.pub --root-threshold 3");
    let few = rooms.run(&few, Some(&hub)).await.unwrap_err();
    assert_eq!(few.to_string(), "2 root keys cannot give 3 signatures");
    assert!(!Path::new(&rooms.path("hub")).exists());
}

#[tokio::test]
async fn status_names_open_signatures_and_the_next_command() {
    let rooms = Rooms::new();
    rooms.init().await;
    let (result, stdout, _) = rooms.run_all("status @hub --offline", None).await;
    assert_eq!(result.unwrap_err().exit().code(), 1);
    let line = stdout.lines().find(|line| line.starts_with("request root 1")).unwrap();
    assert!(line.starts_with("request root 1 needs 2 more, of keys/"), "{line}");
    assert!(line.contains(".pub: fairway root sign "), "{line}");
    rooms.sign_apart("hub/root-1.request.json", ["alice", "bob"]).await;
    let (_, stdout, _) = rooms.run_all("status @hub --offline", None).await;
    assert!(stdout.contains("has every signature: fairway root publish "), "{stdout}");
    rooms.run("root publish @hub @hub/root-1.request.json", None).await.unwrap();
    rooms.run("publish @hub", Some(&hub(None).await)).await.unwrap();
    let (result, stdout, stderr) = rooms.run_all("status @hub --offline", None).await;
    result.unwrap();
    assert!(stderr.contains("not seen: snapshot, timestamp"), "{stderr}");
    let root = stdout.lines().find(|line| line.starts_with("root ")).unwrap();
    assert!(root.contains("ok") && root.ends_with("2 of 3  -"), "{root}");

    rooms.replace_carol_by_dave();
    let (result, stdout, _) = rooms.run_all("status @hub --offline", None).await;
    assert_eq!(result.unwrap_err().to_string(), "1 thing for a person to do");
    assert!(
        stdout.contains("root 1 is not what hub.toml says: for root, it lists the strange key")
    );
    assert!(stdout.contains("fairway root new "), "{stdout}");
}
