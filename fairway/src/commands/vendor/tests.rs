//! Vendors and the admin of their hub, each in a directory of their own, over a hub that serves a
//! really signed repository.

use std::path::{Path, PathBuf};

use channels::wire::{Publication, PublicationReply};
use clap::Parser as _;
use jiff::Timestamp;
use signing::client::Versions;
use signing::{PublicKey, RoleName, StagedRepository, build_targets, keyfile};

use super::introduction::Introduction;
use super::*;
use crate::authoring::{Directory, read_public};
use crate::error::CliError;
use crate::hub::testing::{Answer, FakeHub};
use crate::out::capture;
use crate::publisher::testing::{World, content, day, secret};
use crate::publisher::{Content, ImportedVendor, RoleKeys};

#[derive(clap::Parser)]
struct Cli {
    #[command(flatten)]
    args: VendorArgs,
}

/// Directories of the admin (`hub`, vendor acme) and of a third party (`beta`).
struct Stage {
    temp: tempfile::TempDir,
    world: World,
}

/// What a command printed, and whether it did its work.
struct Told {
    result: Result<()>,
    stdout: String,
    stderr: String,
}

impl Told {
    #[track_caller]
    fn refused(self, exit: u8) -> CliError {
        let error = self.result.unwrap_err();
        assert_eq!(error.exit().code(), exit, "{error}");
        error
    }

    #[track_caller]
    fn done(self) -> Self {
        if let Err(error) = &self.result {
            panic!("{error}\n{}", self.stderr);
        }
        self
    }
}

const DISAGREED: &str = "keys or delegations change, and nobody has agreed to it";

const HUB: &str = r#"
server = "http://127.0.0.1:9"
[root]
keys = ["keys/root-1.pub"]
threshold = 1
[targets]
keys = ["keys/targets.pub"]
threshold = 1

# Ours.
[vendors.acme]
keys = ["keys/acme.pub"]
threshold = 1
releases = { keys = ["keys/acme.releases.pub"], threshold = 1 }
channels = { keys = ["keys/acme.channels.pub"], threshold = 1 }
"#;

impl Stage {
    /// The admin has published acme's role; there is nothing of beta yet.
    fn new() -> Self {
        let (temp, mut world) = (tempfile::tempdir().unwrap(), World::new());
        let hub = temp.path().join("hub");
        for below in ["keys", "metadata"] {
            std::fs::create_dir_all(hub.join(below)).unwrap();
        }
        std::fs::write(hub.join("hub.toml"), HUB).unwrap();
        std::fs::write(hub.join("root.json"), &world.root).unwrap();
        let names = ["root-1", "targets", "acme", "acme.releases", "acme.channels"];
        for (seed, name) in (1..).zip(names) {
            let key = secret(seed);
            let public = hub.join(format!("keys/{name}.pub"));
            std::fs::write(public, key.public().to_spki_pem()).unwrap();
            let pem = keyfile::to_plain_pem(&key).unwrap();
            keyfile::write_new(hub.join(format!("keys/{name}.pem")), &pem).unwrap();
        }
        world.publish(&Content::default(), day(0));
        for (name, bytes) in world.published.files() {
            std::fs::write(hub.join(name.relative_path()), bytes).unwrap();
        }
        Self { temp, world }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.temp.path().join(name)
    }

    /// A public key file that belongs to nothing yet.
    fn key_file(&self, seed: u8) -> String {
        let path = self.path(&format!("key-{seed}.pub"));
        std::fs::write(&path, secret(seed).public().to_spki_pem()).unwrap();
        path.display().to_string()
    }

    /// Words are split at spaces; `@x` is the path of `x` on the stage.
    async fn vendor(&self, command: &str, server: &str) -> Told {
        let words = command.split(' ').map(|word| match word.strip_prefix('@') {
            Some(name) => self.path(name).display().to_string(),
            None => word.to_owned(),
        });
        let words = ["vendor".to_owned()].into_iter().chain(words);
        let all = words.chain(["--server".to_owned(), server.to_owned()]);
        let args = Cli::try_parse_from(all).unwrap_or_else(|error| panic!("{error}")).args;
        let (mut out, stdout, stderr) = capture::out();
        let result = run(&args, Passphrases::given("pass"), day(1), &mut out).await;
        Told { result, stdout: stdout.text(), stderr: stderr.text() }
    }

    async fn init_beta(&self) -> Told {
        let command = "init @beta --vendor beta --product app --root @hub/root.json";
        self.vendor(command, "http://127.0.0.1:9").await.done()
    }

    async fn publish(&self, name: &str, server: &str) -> Told {
        self.publish_as(name, server, false).await
    }

    /// `fairway publish`, with or without `--accept-key-changes`.
    async fn publish_as(&self, name: &str, server: &str, accepts: bool) -> Told {
        let hub = HubArgs { server: Some(server.to_owned()), ..HubArgs::default() };
        let mut args = PublishArgs::of(self.path(name), String::new(), hub, None);
        args.accept_key_changes = accepts;
        let (mut out, stdout, stderr) = capture::out();
        let passphrases = Passphrases::given("pass");
        let result = crate::commands::publish::run(&args, passphrases, day(1), &mut out).await;
        Told { result, stdout: stdout.text(), stderr: stderr.text() }
    }

    /// What targets says of beta from now on.
    fn delegate(&mut self, key: PublicKey, paths: &str) {
        let (keys, paths) = (RoleKeys::single(key), vec![paths.to_owned()]);
        let beta = ImportedVendor { keys, paths, terminating: true };
        self.world.layout.imported.insert("beta".parse().unwrap(), beta);
    }

    fn beta_key(&self) -> PublicKey {
        read_public(&self.path("beta/keys/beta.pub")).unwrap()
    }

    /// A hub with what was published, and with `more` metadata.
    async fn hub(&mut self, more: &[(&str, Vec<u8>)]) -> FakeHub {
        self.hub_of(&content(&["1.0.0"]), more).await
    }

    async fn hub_of(&mut self, content: &Content, more: &[(&str, Vec<u8>)]) -> FakeHub {
        let (mut assembly, _) = self.world.publish(content, day(1));
        for (role, bytes) in more {
            let role = RoleName::new(*role).unwrap();
            assembly.repository.put_metadata(&role, bytes.clone()).unwrap();
        }
        let (snapshot, timestamp) = (&self.world.snapshot, &self.world.timestamp);
        let staged = assembly.repository;
        serve(&staged.with_online_roles(snapshot, timestamp, day(1), Versions::default()).unwrap())
            .await
    }
}

pub(crate) async fn serve(staged: &StagedRepository) -> FakeHub {
    let mut script: Vec<(String, Answer)> = Vec::new();
    for (name, bytes) in staged.files() {
        let content_type = "application/octet-stream";
        let answer = Answer { status: 200, content_type, body: bytes.to_vec() };
        script.push((format!("GET /tuf/{}", name.url_path()), answer));
    }
    let reply = PublicationReply {
        changed: true,
        root_version: 1,
        snapshot_version: 7,
        timestamp_version: 7,
        graphs: vec![],
    };
    script.push(("POST /api/v1/publications".to_owned(), Answer::json(&reply)));
    let script = script.iter().map(|(request, answer)| (request.as_str(), answer.clone()));
    FakeHub::start(script.collect()).await
}

/// Metadata without targets, as somebody else signed it.
fn metadata(version: u64, expires: Timestamp, seed: u8) -> Vec<u8> {
    let none = std::collections::BTreeMap::new();
    build_targets(version, expires, &none, &[], &[&secret(seed)]).unwrap()
}

/// Paths of the one publication that a hub was sent.
fn sent(hub: &FakeHub) -> Vec<String> {
    let seen = hub.seen();
    let mut posts = seen.iter().filter_map(|r| r.strip_prefix("POST /api/v1/publications - "));
    let publication: Publication = serde_json::from_str(posts.next().unwrap()).unwrap();
    publication.files.into_iter().map(|file| file.path).collect()
}

fn toml(dir: &Path) -> String {
    std::fs::read_to_string(dir.join("hub.toml")).unwrap()
}

#[tokio::test]
async fn a_vendors_directory_has_three_keys_of_its_own_and_an_introduction() {
    let stage = Stage::new();
    let told = stage.init_beta().await;
    assert!(told.stdout.contains("vendor beta: 1 of 1 must sign\n  "), "{}", told.stdout);
    let dir = stage.path("beta");
    let Directory::Vendor(directory) = Directory::open(&dir).unwrap() else { panic!("a hub's") };
    assert_eq!(directory.layout().vendor.as_str(), "beta");
    assert_eq!(directory.pinned(), stage.world.root);
    let introduction = Introduction::read(&dir.join("beta.vendor.json")).unwrap();
    assert_eq!(introduction.role().unwrap(), directory.layout().keys.vendor);
    for name in ["root-1", "targets"] {
        assert!(!dir.join(format!("keys/{name}.pub")).exists());
    }
    let error = crate::authoring::Authoring::open(&dir).unwrap_err();
    assert!(error.to_string().ends_with("no root and targets keys, only those of beta"), "{error}");
}

#[tokio::test]
async fn a_file_that_is_no_root_makes_no_directory() {
    let stage = Stage::new();
    let command = "init @beta --vendor beta --product app --root @hub/hub.toml";
    let error = stage.vendor(command, "http://127.0.0.1:9").await.refused(2);
    assert!(error.to_string().contains("is not a usable root"), "{error}");
    assert!(!stage.path("beta").exists());
}

#[tokio::test]
async fn a_hub_that_does_not_delegate_to_the_vendor_is_not_sent_anything() {
    let mut stage = Stage::new();
    stage.init_beta().await;
    let hub = stage.hub(&[]).await;
    let error = stage.publish("beta", &hub.url).await.refused(1);
    assert!(error.to_string().ends_with("does not delegate to vendor beta"), "{error}");
    let hint = error.hint_text().unwrap();
    assert!(hint.contains("send beta.vendor.json to the hub's admin"), "{hint}");
    assert!(hub.seen().iter().all(|request| request.starts_with("GET ")));
}

#[tokio::test]
async fn a_hub_that_delegates_to_other_keys_or_paths_is_not_sent_anything() {
    let mut stage = Stage::new();
    stage.init_beta().await;
    stage.delegate(secret(70).public().clone(), "beta/*/*");
    let hub = stage.hub(&[]).await;
    let error = stage.publish("beta", &hub.url).await.refused(1);
    let strange = secret(70).public().key_id();
    let expected = format!("it lists the strange key {strange}, it does not list the key ");
    assert!(error.to_string().contains(&expected), "{error}");
    assert!(error.hint_text().unwrap().contains("fairway vendor rotate"));

    stage.delegate(stage.beta_key(), "beta/other/*");
    let hub = stage.hub(&[]).await;
    let error = stage.publish("beta", &hub.url).await.refused(1);
    let expected = "lets beta list beta/other/*, and not beta/app/1.0.0.release.json";
    assert!(error.to_string().contains(expected), "{error}");
    assert!(hub.seen().iter().all(|request| request.starts_with("GET ")));
}

#[tokio::test]
async fn a_hub_that_takes_an_old_key_as_well_is_published_to_with_a_warning() {
    let mut stage = Stage::new();
    stage.init_beta().await;
    stage.delegate(stage.beta_key(), "beta/*/*");
    let beta = stage.world.layout.imported.values_mut().next().unwrap();
    beta.keys.keys.push(secret(70).public().clone());
    let hub = stage.hub(&[("beta", metadata(1, day(300), 70))]).await;
    let told = stage.publish_as("beta", &hub.url, true).await.done();
    assert!(told.stderr.contains("takes other signatures for beta, too: "), "{}", told.stderr);
    assert!(told.stdout.contains("signed beta 2 (keys)"), "{}", told.stdout);
    // With a threshold that these keys do not reach, nothing would be taken.
    stage.world.layout.imported.values_mut().next().unwrap().keys.threshold = 2;
    let hub = stage.hub(&[]).await;
    let error = stage.publish("beta", &hub.url).await.refused(1);
    assert!(error.to_string().ends_with("it asks for 2 signatures instead of 1"), "{error}");
}

#[tokio::test]
async fn a_hub_under_another_root_is_an_attack_by_name() {
    let mut stage = Stage::new();
    stage.init_beta().await;
    stage.world = World::with_seed(100);
    let hub = stage.hub(&[]).await;
    let error = stage.publish("beta", &hub.url).await.refused(1);
    assert!(error.to_string().ends_with("(attack: arbitrary_software)"), "{error}");
}

#[tokio::test]
async fn three_roles_are_sent_above_the_versions_that_the_hub_has_seen() {
    let mut stage = Stage::new();
    stage.init_beta().await;
    stage.delegate(stage.beta_key(), "beta/*/*");
    // Left by a vendor of that name whose keys are gone.
    let old = metadata(4, day(300), 90);
    let hub = stage.hub(&[("beta", old.clone()), ("beta.releases", old)]).await;
    let error = stage.publish("beta", &hub.url).await.refused(1);
    assert_eq!(error.to_string(), DISAGREED);
    let told = stage.publish_as("beta", &hub.url, true).await.done();
    assert!(told.stdout.contains("signed beta.releases 5 (keys)"), "{}", told.stdout);
    assert_eq!(
        sent(&hub),
        [
            "metadata/5.beta.json",
            "metadata/1.beta.channels.json",
            "metadata/5.beta.releases.json",
            "targets/beta/app/1.0.0.release.json",
            "targets/beta/app/stable.amd64.graph.json",
        ]
    );
    assert!(stage.path("beta/metadata/5.beta.json").exists());
}

#[tokio::test]
async fn a_vendor_is_added_with_its_keys_and_never_twice() {
    let stage = Stage::new();
    stage.init_beta().await;
    let add = "add @hub beta --introduction @beta/beta.vendor.json";
    let told = stage.vendor(add, "http://127.0.0.1:9").await.done();
    assert!(told.stderr.contains("makes it so"), "{}", told.stderr);
    assert!(toml(&stage.path("hub")).starts_with(HUB), "nothing else moved");
    let Directory::Hub(authoring) = Directory::open(&stage.path("hub")).unwrap() else {
        panic!("a vendor's");
    };
    let (vendor, imported) = authoring.layout().imported.first_key_value().unwrap();
    assert_eq!((vendor.as_str(), imported.paths.as_slice()), ("beta", &["beta/*/*".into()][..]));
    assert_eq!(imported.keys, RoleKeys::single(stage.beta_key()));
    let error = stage.vendor(add, "http://127.0.0.1:9").await.refused(1);
    assert_eq!(error.to_string(), "hub.toml has [delegated.beta] already");
}

#[tokio::test]
async fn keys_that_nobody_should_delegate_to_are_refused() {
    let stage = Stage::new();
    stage.init_beta().await;
    let before = toml(&stage.path("hub"));
    // Of acme's releases; of the hub's own timestamp; a threshold above them; another's name.
    let [releases, timestamp, new] = [4, 9, 70].map(|seed| stage.key_file(seed));
    for (command, expected) in [
        (format!("add @hub gamma --key {releases}"), "is in use already: it is "),
        (format!("add @hub gamma --key {timestamp}"), "it is the key of timestamp"),
        (format!("add @hub gamma --key {new} --threshold 2"), "1 keys cannot give 2 signatures"),
        (format!("add @hub gamma --key {new} --key {new}"), "a key is there twice"),
        (
            "add @hub gamma --introduction @beta/beta.vendor.json".to_owned(),
            "introduces beta, not gamma",
        ),
    ] {
        let error = stage.vendor(&command, "http://127.0.0.1:9").await.refused(1);
        assert!(error.to_string().contains(expected), "{error}");
    }
    for name in ["root", "targets", "snapshot", "timestamp", "mirrors", "a.b", "-a", "A"] {
        let words = ["vendor", "add", "hub", name, "--key", "k.pub"];
        assert!(Cli::try_parse_from(words).is_err(), "{name}");
    }
    assert_eq!(toml(&stage.path("hub")), before);
}

#[tokio::test]
async fn own_keys_are_added_and_removed_and_never_fall_below_the_threshold() {
    let stage = Stage::new();
    let new = stage.key_file(70);
    let rotate = |words: &str| format!("rotate @hub acme --role channels {words}");
    let run = async |words: &str| stage.vendor(&rotate(words), "http://127.0.0.1:9").await;
    run(&format!("--add {new} --threshold 2")).await.done();
    let layout = || {
        let directory = Directory::open(&stage.path("hub")).unwrap();
        let Directory::Hub(authoring) = directory else { panic!("a vendor's") };
        authoring.layout().vendors.values().next().unwrap().channels.clone()
    };
    let [old, added] = [5, 70].map(|seed| secret(seed).public().clone());
    assert_eq!(layout(), RoleKeys { keys: vec![old.clone(), added.clone()], threshold: 2 });
    let error = run("--remove keys/acme.channels.pub").await.refused(1);
    assert_eq!(error.to_string(), "1 keys cannot give 2 signatures");
    let id = &old.key_id().to_string()[..12];
    run(&format!("--remove {id} --threshold 1")).await.done();
    assert_eq!(layout(), RoleKeys::single(added));
    let error = run("--threshold 1").await.refused(1);
    assert!(error.to_string().ends_with("has these keys and this threshold already"), "{error}");
    let error = run("--remove 0123456789").await.refused(1);
    assert!(error.to_string().ends_with("is none of the keys of this role"), "{error}");
}

#[tokio::test]
async fn the_keys_below_a_third_partys_role_are_not_the_admins_to_change() {
    let stage = Stage::new();
    let new = stage.key_file(70);
    let add = format!("add @hub beta --key {new}");
    stage.vendor(&add, "http://127.0.0.1:9").await.done();
    let rotate = format!("rotate @hub beta --role releases --add {}", stage.key_file(71));
    let error = stage.vendor(&rotate, "http://127.0.0.1:9").await.refused(1);
    assert_eq!(error.to_string(), "the keys of beta.releases are beta's own");
    let error = stage.vendor("rotate @hub zeta --threshold 1", "http://127.0.0.1:9").await;
    assert!(error.refused(1).to_string().ends_with("has no vendor zeta"));
}

#[tokio::test]
async fn a_vendor_that_changes_its_own_key_is_introduced_anew() {
    let stage = Stage::new();
    stage.init_beta().await;
    let rotate = format!("rotate @beta beta --add {} --remove keys/beta.pub", stage.key_file(70));
    let told = stage.vendor(&rotate, "http://127.0.0.1:9").await.done();
    assert!(told.stderr.contains("beta.vendor.json to the admin"), "{}", told.stderr);
    let introduction = Introduction::read(&stage.path("beta/beta.vendor.json")).unwrap();
    assert_eq!(introduction.role().unwrap(), RoleKeys::single(secret(70).public().clone()));
}

#[tokio::test]
async fn an_admin_that_rotates_a_vendors_key_is_told_which_roles_wait() {
    let mut stage = Stage::new();
    let old = secret(70).public().clone();
    let add = format!("add @hub beta --key {}", stage.key_file(70));
    stage.vendor(&add, "http://127.0.0.1:9").await.done();
    stage.delegate(old, "beta/*/*");
    let hub = stage.hub_of(&Content::default(), &[("beta", metadata(1, day(300), 70))]).await;
    // What the admin published last is what the hub has.
    std::fs::remove_dir_all(stage.path("hub/metadata")).unwrap();
    std::fs::create_dir_all(stage.path("hub/metadata")).unwrap();
    for (name, bytes) in stage.world.published.files() {
        if name.relative_path().starts_with("metadata/") {
            std::fs::write(stage.path("hub").join(name.relative_path()), bytes).unwrap();
        }
    }
    product(&stage.path("hub"), "acme");
    let rotate = format!(
        "rotate @hub beta --add {} --remove {} --publish",
        stage.key_file(71),
        secret(70).public().key_id()
    );
    let told = stage.vendor(&rotate, &hub.url).await.done();
    let expected = "beta, beta.releases and beta.channels will not verify until beta has";
    assert!(told.stderr.contains(expected), "{}", told.stderr);
    assert!(sent(&hub).contains(&"metadata/3.targets.json".to_owned()), "{:?}", sent(&hub));
}

#[tokio::test]
async fn a_revoked_vendor_is_gone_from_the_settings_and_named_when_that_is_published() {
    let stage = Stage::new();
    product(&stage.path("hub"), "acme");
    let error = stage.vendor("revoke @hub acme", "http://127.0.0.1:9").await.refused(1);
    assert!(error.to_string().starts_with("acme/app is published from here"), "{error}");
    std::fs::remove_dir_all(stage.path("hub/app")).unwrap();
    let told = stage.vendor("revoke @hub acme", "http://127.0.0.1:9").await.done();
    assert!(told.stderr.contains("not_published"), "{}", told.stderr);
    assert!(!toml(&stage.path("hub")).contains("acme"));
    let hub = serve(&StagedRepository::new()).await;
    let error = stage.publish("hub", &hub.url).await.refused(1);
    assert_eq!(error.to_string(), DISAGREED);
    let told = stage.publish_as("hub", &hub.url, true).await.done();
    assert!(told.stderr.contains("what the hub has of vendors is not known"), "{}", told.stderr);
    let expected = "warning: acme is delegated to no longer: agents refuse its products";
    assert!(told.stderr.contains(expected), "{}", told.stderr);
    assert_eq!(sent(&hub), ["metadata/1.root.json", "metadata/2.targets.json"]);
}

/// A product with a release and a channel.
fn product(dir: &Path, vendor: &str) {
    use crate::authoring::scaffold::{Scaffold, Top};
    let scaffold = Scaffold {
        top: Top::Other { server: String::new() },
        vendor: vendor.parse().unwrap(),
        product: "app".parse().unwrap(),
        role: "workload".into(),
        now: day(0),
    };
    for (path, text) in scaffold.files() {
        if path.starts_with("app") {
            let path = dir.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
    }
}

#[tokio::test]
async fn a_list_says_what_the_hub_has_of_every_vendor_and_what_is_wrong_with_it() {
    let mut stage = Stage::new();
    for (vendor, seed) in [("beta", 70), ("gamma", 71)] {
        let add = format!("add @hub {vendor} --key {}", stage.key_file(seed));
        stage.vendor(&add, "http://127.0.0.1:9").await.done();
    }
    stage.delegate(secret(70).public().clone(), "beta/*/*");
    let (old, other) = (metadata(3, day(1), 70), metadata(2, day(300), 99));
    let hub = stage.hub(&[("beta", old), ("beta.releases", other)]).await;
    let told = stage.vendor("list @hub", &hub.url).await.done();
    insta::assert_snapshot!(told.stdout, @r"
    VENDOR  KIND       ROLE            MUST-SIGN  VERSION  VALID-FOR  PROBLEM
    acme    own        acme            1 of 1     1        364d       -
    acme    own        acme.releases   1 of 1     2        365d       -
    acme    own        acme.channels   1 of 1     2        365d       -
    beta    delegated  beta            1 of 1     3        expired    expired
    beta    delegated  beta.releases   -          2        299d       its delegator does not name it
    beta    delegated  beta.channels   -          -        -          not published
    gamma   delegated  gamma           1 of 1     -        -          the hub does not delegate to it
    gamma   delegated  gamma.releases  -          -        -          not published
    gamma   delegated  gamma.channels  -          -        -          not published
    ");
    let told = stage.vendor("keys @hub acme", &hub.url).await.done();
    let [first, second] = [3, 5].map(|seed| crate::words::fingerprint(secret(seed).public()));
    let is_there = |line: String| told.stdout.contains(&line);
    assert!(is_there(format!("acme           1 of 1     {first}  keys/acme.pub\n")));
    assert!(is_there(format!("acme.channels  1 of 1     {second}  keys/acme.channels.pub\n")));
    let told = stage.vendor("list @hub --output json", &hub.url).await.done();
    let json: serde_json::Value = serde_json::from_str(&told.stdout).unwrap();
    assert_eq!(json[2]["roles"][0]["problem"], "the hub does not delegate to it");
    assert_eq!(json[1]["kind"], "delegated");
}

#[tokio::test]
async fn without_the_hub_a_list_shows_what_was_published_from_here() {
    let told = Stage::new().vendor("list @hub", "http://127.0.0.1:9").await.done();
    assert!(told.stderr.contains("shown as last published from here"), "{}", told.stderr);
    assert!(told.stdout.contains("acme.releases  1 of 1     1 "), "{}", told.stdout);
}

/// Gives a stranger a key of acme's releases and a vendor of its own, as a commit would.
fn plant(stage: &Stage) {
    let dir = stage.path("hub");
    let mallory = secret(200).public().to_spki_pem();
    std::fs::write(dir.join("keys/mallory.pub"), mallory).unwrap();
    let text = toml(&dir).replace(
        "releases = { keys = [\"keys/acme.releases.pub\"]",
        "releases = { keys = [\"keys/acme.releases.pub\", \"keys/mallory.pub\"]",
    );
    let evil = "\n[delegated.evil]\nkeys = [\"keys/mallory.pub\"]\nthreshold = 1\n";
    std::fs::write(dir.join("hub.toml"), text + evil).unwrap();
}

#[tokio::test]
async fn keys_and_vendors_that_a_commit_added_are_signed_only_when_somebody_agrees() {
    let mut stage = Stage::new();
    let hub = stage.hub_of(&Content::default(), &[]).await;
    product(&stage.path("hub"), "acme");
    plant(&stage);
    let told = stage.publish("hub", &hub.url).await;
    let mallory = crate::words::fingerprint(secret(200).public());
    let lines = [
        format!("+ key of acme.releases: {mallory}"),
        "+ delegates evil/*/* to evil".to_owned(),
        format!("+ key of evil: {mallory}"),
    ];
    for line in &lines {
        assert!(told.stderr.contains(line), "{line}: {}", told.stderr);
    }
    let error = told.refused(1);
    assert_eq!(error.to_string(), DISAGREED);
    assert!(error.hint_text().unwrap().contains("--accept-key-changes"));
    assert!(hub.seen().iter().all(|request| request.starts_with("GET ")));
    assert!(!stage.path("hub/metadata/2.targets.json").exists());
    let told = stage.publish_as("hub", &hub.url, true).await.done();
    for line in &lines {
        assert!(told.stdout.contains(line), "{line}: {}", told.stdout);
    }
    assert!(sent(&hub).contains(&"metadata/2.targets.json".to_owned()));
}

#[tokio::test]
async fn a_command_agrees_to_its_own_change_of_keys_and_to_no_other() {
    let mut stage = Stage::new();
    let hub = stage.hub_of(&Content::default(), &[]).await;
    product(&stage.path("hub"), "acme");
    let add = format!("add @hub beta --key {} --publish", stage.key_file(70));
    let told = stage.vendor(&add, &hub.url).await.done();
    assert!(told.stdout.contains("+ delegates beta/*/* to beta"), "{}", told.stdout);
    plant(&stage);
    let rotate = format!("rotate @hub beta --add {} --publish", stage.key_file(71));
    let told = stage.vendor(&rotate, &hub.url).await;
    let own = crate::words::fingerprint(secret(71).public());
    assert!(told.stderr.contains("+ delegates evil/*/* to evil"), "{}", told.stderr);
    assert!(!told.stderr.contains(&format!("+ key of beta: {own}")), "{}", told.stderr);
    assert_eq!(told.refused(1).to_string(), DISAGREED);
}
