//! New online keys on a real hub, typed as a person types the commands.

use std::fs::File;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use channels::wire::{HubKeys, HubStatus, Publication, PublicationReply};
use clap::Parser as _;
use signing::repository::MetaPin;
use signing::{
    Attack, Client, DirSource, MemStore, SecretKey, StagedRepository, TopRole, build_timestamp,
    keyfile,
};
use update_server::Running;
use update_server::config::Fragments;

use crate::cli::Cli;
use crate::error::CliError;
use crate::hub::testing::{Answer, FakeHub};
use crate::out::capture;

/// A hub, the directory that publishes to it, and who sits in front.
struct Scene {
    temp: tempfile::TempDir,
    hub: Running,
    /// Kept open: commands read the passphrase from its descriptor.
    passphrase: File,
}

struct Said {
    result: Result<(), CliError>,
    out: String,
    err: String,
}

impl Said {
    #[track_caller]
    fn fine(self) -> String {
        assert!(self.result.is_ok(), "{:?}\n{}", self.result, self.err);
        self.out
    }

    #[track_caller]
    fn refused(self, exit: u8) -> String {
        let error = self.result.expect_err(&self.out);
        assert_eq!(error.exit().code(), exit, "{error}");
        format!("{error} ({})", error.hint_text().unwrap_or_default())
    }
}

impl Scene {
    /// A hub that serves what the directory published, copied from one that was made in earnest.
    async fn published() -> Self {
        let temp = tempfile::tempdir().unwrap();
        Self::restore(temp.path(), "").await;
        Self::open(temp).await
    }

    /// Puts files of the first publication (back) in their place.
    async fn restore(temp: &Path, below: &str) {
        static TEMPLATE: tokio::sync::OnceCell<Vec<(PathBuf, Vec<u8>)>> =
            tokio::sync::OnceCell::const_new();
        let files = TEMPLATE.get_or_init(Self::made_in_earnest).await;
        for (path, bytes) in files.iter().filter(|(path, _)| path.starts_with(below)) {
            let path = temp.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, bytes).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        }
    }

    async fn open(temp: tempfile::TempDir) -> Self {
        let text = format!("data_dir = {:?}\nlisten = '127.0.0.1:0'", temp.path().join("hub"));
        let settings = Fragments::parse(&text).unwrap().try_into().unwrap();
        let hub = Running::start(settings).await.unwrap();
        let file = temp.path().join("passphrase");
        std::fs::write(&file, "correct horse\n").unwrap();
        Self { passphrase: File::open(&file).unwrap(), hub, temp }
    }

    /// All files of a first publication. Private keys lose their encryption: opening them is meant
    /// to be slow.
    async fn made_in_earnest() -> Vec<(PathBuf, Vec<u8>)> {
        let scene = Self::open(tempfile::tempdir().unwrap()).await;
        scene.run("init DIR --vendor acme --product app").await.fine();
        scene.run("publish DIR").await.fine();
        scene.hub.stop().await.unwrap();
        let mut files = Vec::new();
        let mut open = vec![scene.temp.path().to_owned()];
        while let Some(dir) = open.pop() {
            for entry in std::fs::read_dir(dir).unwrap() {
                let path = entry.unwrap().path();
                let below = path.strip_prefix(scene.temp.path()).unwrap().to_owned();
                if path.is_dir() {
                    open.push(path);
                } else if below.starts_with("acme/keys") && below.extension().unwrap() == "pem" {
                    let text = keyfile::read(&path).unwrap();
                    let key = keyfile::from_pem(&text, b"correct horse").unwrap();
                    let plain = keyfile::to_plain_pem(&key).unwrap();
                    files.push((below, plain.as_bytes().to_vec()));
                } else {
                    files.push((below, std::fs::read(path).unwrap()));
                }
            }
        }
        files
    }

    fn dir(&self) -> PathBuf {
        self.temp.path().join("acme")
    }

    fn data_dir(&self) -> PathBuf {
        self.temp.path().join("hub")
    }

    async fn run(&self, command: &str) -> Said {
        self.run_at(command, &format!("http://{}", self.hub.address)).await
    }

    async fn run_at(&self, command: &str, server: &str) -> Said {
        let dir = self.dir().display().to_string();
        let mut words: Vec<String> =
            format!("fairway {command}").split(' ').map(|word| word.replace("DIR", &dir)).collect();
        let token = self.data_dir().join("admin.token");
        if !command.starts_with("root sign") {
            words.extend(["--server".to_owned(), server.to_owned()]);
            words.extend(["--token-file".to_owned(), token.display().to_string()]);
        }
        words.extend(["--passphrase-fd".to_owned(), self.passphrase.as_raw_fd().to_string()]);
        let cli = Cli::try_parse_from(words).unwrap();
        let (mut out, stdout, stderr) = capture::out();
        let result = crate::dispatch(&cli.command, crate::clock::now(), &mut out).await;
        Said { result, out: stdout.text(), err: stderr.text() }
    }

    fn root_json(&self) -> Vec<u8> {
        std::fs::read(self.dir().join("root.json")).unwrap()
    }

    /// What an agent trusts after a poll: version of its root and of its timestamp.
    async fn agent(&self, store: &MemStore) -> Result<(u64, u64), Option<Attack>> {
        let source = DirSource::new(self.data_dir().join("tuf"));
        let mut client = Client::open(&self.root_json(), source, store.clone()).unwrap();
        let refreshed = client.refresh(crate::clock::now()).await;
        refreshed.map(|now| (now.root_version, now.timestamp_version)).map_err(|e| e.attack())
    }

    async fn keys(&self) -> HubKeys {
        let server = crate::hub::server_url(&format!("http://{}", self.hub.address)).unwrap();
        let connection = crate::hub::Connection::anonymous(server);
        crate::hub::Hub::new(&connection).unwrap().get("api/v1/hub/keys", &[]).await.unwrap()
    }

    fn key_files(&self) -> Vec<String> {
        names(&self.data_dir().join("keys"))
    }
}

fn names(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_rotation_gives_the_hub_a_new_key_and_agents_follow() {
    let scene = Scene::published().await;
    let (before, store) = (scene.keys().await, MemStore::new());
    let (_, version) = scene.agent(&store).await.unwrap();
    let said = scene.run("rotate timestamp DIR --yes").await.fine();
    let after = scene.keys().await;
    assert_ne!(after.timestamp, before.timestamp);
    assert_eq!((&after.snapshot, &after.timestamp_next), (&before.snapshot, &None));
    assert!(said.contains("published: root 2, "), "{said}");
    let key = signing::PublicKey::from_spki_pem(&after.timestamp).unwrap();
    let fingerprint = crate::words::fingerprint(&key);
    assert!(said.contains(&format!("timestamp next  {fingerprint}")), "{said}");
    assert!(said.ends_with(&format!("timestamp is signed with {fingerprint}\n")), "{said}");
    let (root, newer) = scene.agent(&store).await.unwrap();
    assert_eq!(root, 2);
    assert!(newer > version);
    // The directory has the new root, and publishing goes on.
    assert!(scene.dir().join("metadata/2.root.json").exists());
    scene.run("publish DIR").await.fine();
    scene.run("rotate snapshot DIR --yes").await.fine();
    assert_eq!(scene.agent(&store).await.unwrap().0, 3);
    assert_ne!(scene.keys().await.snapshot, before.snapshot);
    assert_eq!(scene.key_files(), ["snapshot.pem", "timestamp.pem"]);
}

#[tokio::test]
async fn without_the_root_keys_the_request_goes_to_their_holders() {
    let scene = Scene::published().await;
    let before = scene.keys().await;
    let away = scene.temp.path().join("root-1.pem");
    std::fs::rename(scene.dir().join("keys/root-1.pem"), &away).unwrap();
    let said = scene.run("rotate timestamp DIR").await;
    assert!(said.err.contains("root-2.request.json"), "{}", said.err);
    said.fine();
    assert_eq!(scene.keys().await.timestamp, before.timestamp, "nothing is in force yet");
    // Asking again neither makes another key nor spoils the request.
    let again = scene.run("rotate timestamp DIR").await.refused(2);
    assert!(again.contains("exists already, perhaps with signatures"), "{again}");
    let next = scene.keys().await.timestamp_next.unwrap();
    scene
        .run(&format!("root sign DIR/root-2.request.json --key {} --yes", away.display()))
        .await
        .fine();
    scene.run("root publish DIR DIR/root-2.request.json").await.fine();
    assert_eq!(scene.keys().await.timestamp, next);
    assert_eq!(scene.agent(&MemStore::new()).await.unwrap().0, 2);
}

#[tokio::test]
async fn a_key_that_waits_without_a_request_of_ours_never_comes_into_force() {
    let scene = Scene::published().await;
    let (here, away) = (scene.dir().join("keys/root-1.pem"), scene.temp.path().join("root-1.pem"));
    let request = scene.dir().join("root-2.request.json");
    // Somebody had the hub make a key, or put it there.
    std::fs::rename(&here, &away).unwrap();
    scene.run("rotate timestamp DIR").await.fine();
    std::fs::rename(&away, &here).unwrap();
    let known = scene.keys().await.timestamp_next.unwrap();

    // Our own request names it; recovering believes not even that, and spoils nothing.
    let refused = scene.run("recover fast-forward DIR --yes --force").await.refused(2);
    assert!(refused.contains("root-2.request.json exists already"), "{refused}");
    assert_eq!(scene.keys().await.timestamp_next.as_ref(), Some(&known));
    std::fs::remove_file(&request).unwrap();
    scene.run("recover fast-forward DIR --yes --force").await.fine();
    let recovered = scene.keys().await;
    assert_ne!(recovered.timestamp, known);

    std::fs::rename(&here, &away).unwrap();
    scene.run("rotate snapshot DIR").await.fine();
    std::fs::rename(&away, &here).unwrap();
    std::fs::remove_file(scene.dir().join("root-3.request.json")).unwrap();
    let known = scene.keys().await.snapshot_next.unwrap();
    scene.run("rotate snapshot DIR --yes").await.fine();
    let rotated = scene.keys().await;
    assert!(rotated.snapshot != known && rotated.snapshot != recovered.snapshot);
}

#[tokio::test]
async fn a_hub_that_gives_the_waiting_key_for_a_fresh_one_is_not_believed() {
    let scene = Scene::published().await;
    let next = SecretKey::from_seed([51; 32]).public().to_spki_pem();
    let keys = HubKeys { timestamp_next: Some(next), ..scene.keys().await };
    let hub = FakeHub::start(vec![
        ("GET /api/v1/hub", Answer::json(&status(Some(1)))),
        ("GET /api/v1/hub/keys", Answer::json(&keys)),
        ("POST /api/v1/hub/keys/timestamp/next", Answer::json(&keys)),
    ])
    .await;
    let refused = scene.run_at("rotate timestamp DIR --yes", &hub.url).await.refused(2);
    assert!(refused.contains("asked for a fresh timestamp key"), "{refused}");
    assert!(!scene.dir().join("metadata/2.root.json").exists());
}

#[tokio::test]
async fn agents_that_saw_a_thief_s_versions_come_back() {
    let scene = Scene::published().await;
    let store = MemStore::new();
    let (_, honest) = scene.agent(&store).await.unwrap();
    // The thief of the timestamp key answers one poll.
    let file = scene.data_dir().join("keys/timestamp.pem");
    let stolen = keyfile::from_plain_pem(&keyfile::read(file).unwrap()).unwrap();
    let tuf = scene.data_dir().join("tuf/metadata");
    let mut staged = StagedRepository::new();
    for name in names(&tuf).iter().filter(|name| *name != "timestamp.json") {
        staged
            .put_file(&format!("metadata/{name}"), std::fs::read(tuf.join(name)).unwrap())
            .unwrap();
    }
    let (_, snapshot) = staged.newest(&TopRole::Snapshot.into()).unwrap();
    let pin = MetaPin::of_snapshot(snapshot).unwrap();
    let now = crate::clock::now();
    let expires = now + jiff::SignedDuration::from_hours(1);
    let bytes = build_timestamp(u64::MAX - 1, expires, now, pin, &[&stolen]).unwrap();
    staged.put_metadata(&TopRole::Timestamp.into(), bytes).unwrap();
    let mut client = Client::open(&scene.root_json(), staged.as_source(), store.clone()).unwrap();
    assert_eq!(client.refresh(now).await.unwrap().timestamp_version, u64::MAX - 1);
    assert_eq!(scene.agent(&store).await, Err(Some(Attack::Rollback)));

    let command = "recover fast-forward DIR --yes --seen";
    let said = scene.run(&format!("{command} {honest}")).await.refused(1);
    assert!(said.starts_with("nothing is wrong: an agent that saw timestamp "), "{said}");
    assert!(said.contains("--force"), "{said}");
    let said = scene.run(&format!("{command} {}", u64::MAX - 1)).await;
    assert!(said.err.contains("every agent forgets what the old keys told it"), "{}", said.err);
    let out = said.fine();
    assert!(out.starts_with("the hub serves root 1, snapshot "), "{out}");
    let (root, version) = scene.agent(&store).await.unwrap();
    assert_eq!(root, 2);
    assert!(version > honest, "the hub goes on with its own versions");
    let keys = scene.keys().await;
    assert_ne!(keys.timestamp, stolen.public().to_spki_pem());
    assert!(client.refresh(now).await.is_ok(), "the thief's mirror still answers old agents");
    // To one that polled the hub since, the thief's file is worth nothing.
    let mut later = Client::open(&scene.root_json(), staged.as_source(), store).unwrap();
    assert!(later.refresh(now).await.is_err());
    // Both keys are new, and --force does it again though nothing is wrong.
    scene.run("recover fast-forward DIR --yes --seen snapshot=1 --force").await.fine();
    let again = scene.keys().await;
    assert!(again.snapshot != keys.snapshot && again.timestamp != keys.timestamp);
}

#[tokio::test]
async fn a_rotation_carries_no_other_change_of_hub_toml() {
    let scene = Scene::published().await;
    let extra = SecretKey::from_seed([50; 32]).public().to_spki_pem();
    std::fs::write(scene.dir().join("keys/targets-2.pub"), extra).unwrap();
    let toml = scene.dir().join("hub.toml");
    let text = std::fs::read_to_string(&toml).unwrap();
    let text =
        text.replace(r#"["keys/targets.pub"]"#, r#"["keys/targets.pub", "keys/targets-2.pub"]"#);
    std::fs::write(&toml, text).unwrap();
    let said = scene.run("rotate timestamp DIR --yes").await.refused(1);
    assert!(said.starts_with("hub.toml asks for other changes to root"), "{said}");
    assert!(!scene.dir().join("metadata/2.root.json").exists());
}

fn status(root_version: Option<u64>) -> HubStatus {
    HubStatus {
        version: "0.1.0".into(),
        at: crate::clock::now(),
        root_version,
        expires: None,
        products: vec![],
        default_product: None,
    }
}

#[tokio::test]
async fn a_hub_without_a_root_has_no_key_to_replace() {
    let scene = Scene::published().await;
    let hub = FakeHub::start(vec![("GET /api/v1/hub", Answer::json(&status(None)))]).await;
    let said = scene.run_at("rotate snapshot DIR --yes", &hub.url).await.refused(1);
    assert!(said.starts_with("the hub has no root yet"), "{said}");
}

#[tokio::test]
async fn a_directory_behind_its_hub_signs_nothing() {
    let scene = Scene::published().await;
    scene.run("rotate timestamp DIR --yes").await.fine();
    std::fs::remove_file(scene.dir().join("metadata/2.root.json")).unwrap();
    let said = scene.run("rotate timestamp DIR --yes").await.refused(2);
    assert!(said.starts_with("the hub serves root 2, and metadata/ ends at root 1"), "{said}");
}

#[tokio::test]
async fn an_interrupted_publication_is_finished_and_no_further_key_is_made() {
    let scene = Scene::published().await;
    let next = SecretKey::from_seed([51; 32]).public().to_spki_pem();
    let keys = HubKeys { timestamp_next: Some(next), ..scene.keys().await };
    let before = scene.keys().await;
    let script = |shown: &HubKeys| {
        vec![
            ("GET /api/v1/hub", Answer::json(&status(Some(1)))),
            ("GET /api/v1/hub/keys", Answer::json(shown)),
            ("POST /api/v1/hub/keys/timestamp/next", Answer::json(&keys)),
        ]
    };
    // A hub whose answer to the publication is lost: the signed root is kept.
    let mut lost = script(&before);
    let gateway = Answer { status: 502, content_type: "text/plain", body: b"gone".to_vec() };
    lost.push(("POST /api/v1/publications", gateway));
    let silent = FakeHub::start(lost).await;
    assert!(scene.run_at("rotate timestamp DIR --yes", &silent.url).await.result.is_err());
    assert!(scene.dir().join("metadata/2.root.json").exists());
    let reply = PublicationReply {
        changed: true,
        root_version: 2,
        snapshot_version: 9,
        timestamp_version: 9,
        graphs: vec![],
    };
    let mut good = script(&keys);
    good.push(("POST /api/v1/publications", Answer::json(&reply)));
    let hub = FakeHub::start(good).await;
    let said = scene.run_at("rotate timestamp DIR --yes", &hub.url).await;
    assert!(said.err.contains("root 2 names the next keys already"), "{}", said.err);
    // This hub does not switch, and that is noticed.
    let error = said.refused(2);
    assert!(error.starts_with("the hub took root 2 and still signs timestamp"), "{error}");
    let seen = hub.seen();
    assert!(!seen.iter().any(|request| request.contains("/timestamp/next")), "{seen:?}");
    let sent = seen.iter().find_map(|request| request.strip_prefix("POST /api/v1/publications "));
    let body = sent.unwrap().split_once(" {").map(|(_, body)| format!("{{{body}")).unwrap();
    let publication: Publication = serde_json::from_str(&body).unwrap();
    assert!(publication.files.iter().any(|file| file.path == "metadata/2.root.json"));
    assert!(!scene.dir().join("metadata/3.root.json").exists());
}

#[tokio::test]
async fn a_hub_restored_from_before_a_rotation_is_mended_by_another_one() {
    let scene = Scene::published().await;
    let store = MemStore::new();
    scene.run("rotate timestamp DIR --yes").await.fine();
    assert_eq!(scene.agent(&store).await.unwrap().0, 2);
    let Scene { temp, hub, .. } = scene;
    hub.stop().await.unwrap();
    std::fs::remove_dir_all(temp.path().join("hub")).unwrap();
    Scene::restore(temp.path(), "hub").await;
    let scene = Scene::open(temp).await;
    assert_eq!(scene.keys().await.timestamp_next, None, "the key of root 2 is lost");
    assert!(scene.agent(&store).await.is_err(), "nothing that root 1 allows is accepted");
    // The root that was lost cannot come back alone: nobody has its key.
    let said = scene.run("publish DIR").await.refused(2);
    assert!(said.contains("root 2 must name a timestamp key of this hub"), "{said}");
    scene.run("rotate timestamp DIR --yes").await.fine();
    assert_eq!(scene.agent(&store).await.unwrap().0, 3);
}
