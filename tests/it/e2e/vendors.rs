//! Two organisations on one hub, with the real commands and the client that agents use: whatever
//! happens to one of them, the other's releases reach their clusters.

use std::collections::BTreeMap;
use std::path::PathBuf;

use base64::Engine as _;
use channels::wire::{Problem, Publication, PublicationFile};
use jiff::{SignedDuration, Timestamp};
use signing::source::HttpLimits;
use signing::{
    Attack, Client, Delegation, DirStore, Error, HttpSource, SecretKey, Sha256Digest, TargetEntry,
    TargetPath, build_targets, keyfile,
};

use super::process::{now, run, run_ok};
use super::vendor::Vendor;
use super::world::Hub;

const PASSPHRASE: (&str, &str) = ("FAIRWAY_PASSPHRASE", "correct horse battery staple");
/// What clusters of the two vendors ask for.
const ACME: &str = "acme/kafka/stable.amd64.graph.json";
const BETA: &str = "beta/db/stable.amd64.graph.json";

/// A hub whose admin publishes acme; beta has a directory and a publisher token of its own.
struct Scene {
    hub: Hub,
    acme: Vendor,
    dir: tempfile::TempDir,
}

impl Scene {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let hub = Hub::start(dir.path(), "");
        let acme = Vendor::init(&hub, &dir.path().join("acme"));
        acme.release("kafka", "controller", "3.9.1", "[]");
        acme.channel("kafka", "stable", &["3.9.1"]);
        acme.publish();
        let scene = Self { hub, acme, dir };
        let token = scene.hub.fairway(&["token", "new", "beta-ci", "--access", "publisher"]);
        let token = token.split_whitespace().find(|word| word.starts_with("fw_"));
        std::fs::write(scene.path("beta.token"), token.expect("a token")).expect("a token file");
        scene.ok(&[
            "vendor",
            "init",
            "@beta",
            "--vendor",
            "beta",
            "--product",
            "db",
            "--root",
            "@acme/root.json",
        ]);
        scene
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Words that begin with `@` are paths of the scene; beta's commands show beta's token.
    fn words(&self, words: &[&str]) -> Vec<String> {
        let path = |word: &&str| match word.strip_prefix('@') {
            Some(name) => self.path(name).to_str().expect("utf-8").to_owned(),
            None => (*word).to_owned(),
        };
        let of_beta = words.contains(&"@beta");
        let token = if of_beta { self.path("beta.token") } else { self.hub.token_file().into() };
        let flags = ["--server", &self.hub.url(), "--token-file", token.to_str().expect("utf-8")];
        words.iter().map(path).chain(flags.map(str::to_owned)).collect()
    }

    #[track_caller]
    fn ok(&self, words: &[&str]) -> String {
        let words = self.words(words);
        run_ok(&words.iter().map(String::as_str).collect::<Vec<_>>(), &[PASSPHRASE])
    }

    /// A command whose answer is no; what it said.
    #[track_caller]
    fn no(&self, words: &[&str]) -> String {
        let words = self.words(words);
        let output = run(&words.iter().map(String::as_str).collect::<Vec<_>>(), &[PASSPHRASE]);
        assert_eq!(output.status.code(), Some(1), "{words:?}");
        String::from_utf8(output.stderr).expect("text")
    }

    /// An agent's client, which remembers what it has seen.
    fn client(&self) -> Client<HttpSource, DirStore> {
        let source = HttpSource::new(&format!("{}/tuf/", self.hub.url()), HttpLimits::default());
        let store = DirStore::open(self.path("client")).expect("a memory");
        let root = std::fs::read(self.acme.root()).expect("a root");
        Client::open(&root, source.expect("a source"), store).expect("a root that is one")
    }

    /// Refreshes and fetches one graph as an agent does.
    async fn fetch(&self, path: &str, now: Timestamp) -> Result<Option<Vec<u8>>, Error> {
        let mut client = self.client();
        client.refresh(now).await.expect("the top-level roles verify, whatever a vendor did");
        let path = TargetPath::new(path).expect("a path");
        match client.target(&path, now).await? {
            Some(target) => {
                client.fetch_target(&target).await.map(|bytes| Some(bytes.into_inner()))
            }
            None => Ok(None),
        }
    }

    async fn beta_is_refused(&self) -> Attack {
        let error = self.fetch(BETA, now()).await.expect_err("a graph nobody stands for");
        error.attack().unwrap_or_else(|| panic!("no attack: {error}"))
    }

    /// acme releases once more and its clusters see it.
    async fn acme_goes_on(&self, versions: &[&str], now: Timestamp) {
        if let [.., last] = versions {
            self.acme.release("kafka", "controller", last, "[\">=3.9.0, <9.0.0\"]");
        }
        self.acme.channel("kafka", "stable", versions);
        self.acme.publish();
        let graph = self.fetch(ACME, now).await.expect("acme's graph verifies").expect("listed");
        let last = versions.last().expect("a version");
        assert!(String::from_utf8_lossy(&graph).contains(last), "{last} did not arrive");
    }

    fn key(&self, name: &str) -> SecretKey {
        let pem = keyfile::read(self.path(&format!("beta/keys/{name}.pem"))).expect("a key file");
        keyfile::from_pem(&pem, PASSPHRASE.1.as_bytes()).expect("the passphrase")
    }

    /// Sends metadata with beta's token, past the command line.
    fn send(&self, path: &str, bytes: &[u8]) -> Result<(), Problem> {
        let base64 = base64::engine::general_purpose::STANDARD.encode(bytes);
        let files = vec![PublicationFile { path: path.to_owned(), base64 }];
        let body = serde_json::to_vec(&Publication { message: "raw".to_owned(), files });
        let token = std::fs::read_to_string(self.path("beta.token")).expect("a token");
        let bearer = format!("Bearer {token}");
        let headers = [
            ("authorization", bearer.as_str()),
            ("content-type", channels::wire::media_type::PUBLICATION),
        ];
        let address = self.hub.url().strip_prefix("http://").expect("http").parse();
        let address = address.expect("an address");
        let path = "/api/v1/publications";
        let answer = super::client::request(address, "POST", path, &headers, &body.expect("JSON"));
        let answer = answer.expect("an answer");
        if answer.status == 200 {
            return Ok(());
        }
        Err(serde_json::from_slice(&answer.body).expect("a problem"))
    }

    #[track_caller]
    fn refused(&self, path: &str, bytes: &[u8], slug: &str, attack: Option<Attack>) {
        let problem = self.send(path, bytes).expect_err("a refusal");
        assert!(problem.kind.ends_with(slug), "{problem:?}");
        assert_eq!(problem.attack.as_deref(), attack.map(Attack::as_str), "{problem:?}");
    }
}

fn entries(paths: &[&str]) -> BTreeMap<TargetPath, TargetEntry> {
    let entry = |path: &&str| {
        let digest = Sha256Digest::of(b"{}");
        (TargetPath::new(*path).expect("a path"), TargetEntry { length: 2, digest, custom: None })
    };
    paths.iter().map(entry).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_vendor_that_is_added_rotated_and_revoked_never_stops_the_other() {
    let mut scene = Scene::new();
    // Nobody delegates to beta yet: it is told what to send, and to whom.
    let told = scene.no(&["publish", "@beta"]);
    assert!(told.contains("send beta.vendor.json to the hub's admin"), "{told}");
    let introduction = ["--introduction", "@beta/beta.vendor.json"];
    scene.ok(&[&["vendor", "add", "@acme", "beta", "--publish"][..], &introduction].concat());
    assert_eq!(scene.fetch(BETA, now()).await.expect("nothing is wrong"), None);
    scene.acme_goes_on(&["3.9.1", "4.0.0"], now()).await;
    scene.ok(&["publish", "@beta"]);
    assert!(scene.fetch(BETA, now()).await.expect("beta's graph verifies").is_some());

    // Its key is changed: refused by name until it has signed anew.
    let key = scene.path("beta/keys/beta-2.pem");
    run_ok(&["key", "new", key.to_str().expect("utf-8")], &[PASSPHRASE]);
    let rotate = ["vendor", "rotate", "@beta", "beta", "--remove", "keys/beta.pub", "--add"];
    scene.ok(&[&rotate[..], &["@beta/keys/beta-2.pub"]].concat());
    let told = scene.no(&["publish", "@beta"]);
    assert!(told.contains("delegates beta to other keys than hub.toml names"), "{told}");
    scene.ok(&[&["vendor", "rotate", "@acme", "beta", "--publish"][..], &introduction].concat());
    assert_eq!(scene.beta_is_refused().await, Attack::ArbitrarySoftware);
    scene.acme_goes_on(&["3.9.1", "4.0.0", "4.1.0"], now()).await;
    scene.hub.kill();
    scene.hub.restart();
    assert_eq!(scene.beta_is_refused().await, Attack::ArbitrarySoftware);
    // Nothing is left that the hub's delegation vouches for: beta says that it means these keys.
    let told = scene.no(&["publish", "@beta"]);
    assert!(told.contains("nobody has agreed to it"), "{told}");
    let told = scene.ok(&["publish", "@beta", "--accept-key-changes"]);
    assert!(told.contains("signed beta 2 (keys)"), "{told}");
    assert!(scene.fetch(BETA, now()).await.expect("beta's graph verifies").is_some());

    // Withdrawn: listed by nobody, and to no client a rollback.
    scene.ok(&["vendor", "revoke", "@acme", "beta", "--publish"]);
    scene.hub.kill();
    scene.hub.restart();
    assert_eq!(scene.fetch(BETA, now()).await.expect("nothing is wrong"), None);
    scene.acme_goes_on(&["3.9.1", "4.0.0", "4.1.0", "4.2.0"], now()).await;

    // Back again, above its old versions.
    scene.ok(&[&["vendor", "add", "@acme", "beta", "--publish"][..], &introduction].concat());
    scene.ok(&["publish", "@beta"]);
    assert!(scene.fetch(BETA, now()).await.expect("beta's graph verifies").is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_vendor_signs_or_lets_expire_is_its_own_affair() {
    let scene = Scene::new();
    let introduction = ["--introduction", "@beta/beta.vendor.json"];
    scene.ok(&[&["vendor", "add", "@acme", "beta", "--publish"][..], &introduction].concat());
    scene.ok(&["publish", "@beta"]);
    let (none, year) = (BTreeMap::new(), now() + SignedDuration::from_hours(24 * 365));
    let [own, channels] = ["beta", "beta.channels"].map(|name| scene.key(name));
    let software = Some(Attack::ArbitrarySoftware);

    // A valid token signs nothing.
    let forged = build_targets(9, year, &none, &[], &[&own]).expect("metadata");
    for role in ["acme", "acme.releases", "acme.channels", "targets"] {
        scene.refused(
            &format!("metadata/9.{role}.json"),
            &forged,
            "publication_unverified",
            software,
        );
    }
    // Nor does it take what is another's: a path, a name.
    let stray = build_targets(9, year, &entries(&[ACME]), &[], &[&channels]).expect("metadata");
    scene.refused("metadata/9.beta.channels.json", &stray, "publication_unverified", software);
    let taken = Delegation {
        role: "acme.extra".parse().expect("a name"),
        keys: vec![own.public().clone()],
        threshold: 1,
        paths: vec!["beta/*/*".to_owned()],
        terminating: true,
    };
    let taken = build_targets(9, year, &none, &[taken], &[&own]).expect("metadata");
    scene.refused("metadata/9.beta.json", &taken, "invalid_publication", None);
    assert!(scene.fetch(BETA, now()).await.expect("nothing of that was taken").is_some());

    // In three hours its graphs have expired; acme's go on reaching their clusters.
    let (soon, later) =
        (now() + SignedDuration::from_hours(2), now() + SignedDuration::from_hours(3));
    let graph = scene.fetch(BETA, now()).await.expect("a graph").expect("listed");
    let listed =
        BTreeMap::from([(TargetPath::new(BETA).expect("a path"), TargetEntry::of(&graph))]);
    let short = build_targets(2, soon, &listed, &[], &[&channels]).expect("metadata");
    scene.send("metadata/2.beta.channels.json", &short).expect("taken: it is valid for two hours");
    let error = scene.fetch(BETA, later).await.expect_err("an expired role");
    assert_eq!(error.attack(), Some(Attack::Freeze), "{error}");
    scene.acme_goes_on(&["3.9.1", "4.0.0"], later).await;
}
