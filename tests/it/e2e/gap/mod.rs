//! A release crosses an air gap: hub and registry A with a view for those who carry, a bundle, hub
//! and registry B with a root of its own.

use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::mpsc;

use serde_json::Value;

use self::registry::Server as Registry;
use super::images;
use super::process::{run, run_ok};
use super::vendor::Vendor;
use super::world::Hub;

mod doctor;
#[path = "../../../../offline-mirror/tests/import/registry.rs"]
#[expect(dead_code, reason = "the mirror's own tests use the rest of it")]
mod registry;
mod vendors;
mod view;

/// Passphrase of all keys.
const PASSPHRASE: (&str, &str) = ("FAIRWAY_PASSPHRASE", "correct horse battery staple");
/// Served without a token to every client.
const GRAPH: &str = "/api/upgrades_info/acme/kafka/v1/graph?channel=stable&arch=amd64";

/// An in-process registry on a thread of its own: scenarios block theirs.
fn start_registry() -> Registry {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        actix_web::rt::System::new().block_on(async move {
            sender.send(Registry::start()).unwrap();
            std::future::pending::<()>().await;
        });
    });
    receiver.recv().unwrap()
}

/// Both sides of the gap and what is carried over it.
struct Gap {
    origin: Hub,
    site: Hub,
    origin_registry: Registry,
    site_registry: Registry,
    vendor: Vendor,
    dir: tempfile::TempDir,
}

impl Gap {
    /// Hub A with acme's Kafka 3.9.1, whose image is in registry A, and a second product; hub B is
    /// empty.
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let hub = |name: &str| {
            let dir = dir.path().join(name);
            std::fs::create_dir(&dir).unwrap();
            Hub::start(&dir, "")
        };
        let (origin, site) = (hub("a"), hub("b"));
        let (origin_registry, site_registry) = (start_registry(), start_registry());
        let vendor = Vendor::init(&origin, &dir.path().join("acme"));
        vendor.product("platform");
        vendor.release("platform", "node", "1.33.6", "[]");
        vendor.channel("platform", "stable", &["1.33.6"]);
        let gap = Self { origin, site, origin_registry, site_registry, vendor, dir };
        gap.release("kafka", "3.9.1", "[]", &["3.9.1"]);
        gap.make_view();
        let (north, root) = (gap.path("north"), gap.view_root());
        run_ok(&["mirror", "site", "init", &north, "--name", "north", "--root", &root], &[]);
        gap
    }

    /// Publishes a release of a product of acme, with an image of its own, at hub A.
    fn release(&self, product: &str, version: &str, upgrade_from: &str, channel: &[&str]) {
        self.release_of("acme", product, version, upgrade_from, channel);
    }

    fn release_of(
        &self,
        vendor: &str,
        product: &str,
        version: &str,
        upgrade_from: &str,
        channel: &[&str],
    ) {
        let image = format!("{vendor}/{product}");
        let layers = [&b"a layer of every release"[..], version.as_bytes()];
        let digest = images::push(&self.origin_registry.host, &image, &layers);
        self.vendor.write(
            &format!("{product}/releases/{version}.yaml"),
            &format!(
                "version: {version}\nreleased_at: 2026-01-01\npayload: {image}@{digest}\n\
                 components:\n  - role: controller\n    version: {version}\n    image: \
                 {image}@{digest}\nupgrade_from: {upgrade_from}\n"
            ),
        );
        self.vendor.channel(product, "stable", channel);
        // Some of these tests give acme other keys beforehand.
        self.vendor.publish_key_changes();
    }

    fn path(&self, below: &str) -> String {
        self.dir.path().join(below).to_str().unwrap().to_owned()
    }

    /// The root that agents of hub A pin, carried by a way of its own.
    fn origin_root(&self) -> String {
        self.vendor.root().to_str().unwrap().to_owned()
    }

    /// The root that sites pin, carried by a way of its own.
    fn view_root(&self) -> String {
        self.path("view/root.json")
    }

    fn create(&self, version: &str) {
        self.create_of("acme/kafka", version, "carry");
    }

    /// A bundle of one release in a directory of its own; one of the same name is thrown away.
    fn create_of(&self, product: &str, version: &str, dir: &str) {
        let (carry, root, view) = (self.path(dir), self.origin_root(), self.path("view"));
        drop(std::fs::remove_dir_all(&carry));
        let url = self.origin.url();
        let words = ["mirror", "create", &carry, "--server", &url, "--root", &root];
        let what = ["--view", &view, "--product", product, "--version", version, "--name", dir];
        let from = ["--plain-http", "--registry", &self.origin_registry.host];
        run_ok(&[&words[..], &what, &from].concat(), &[]);
    }

    /// `fairway init` of the site's directory from the bundle in `carry`.
    fn init_site(&self) -> Output {
        self.init_site_from(&self.view_root())
    }

    fn init_site_from(&self, root: &str) -> Output {
        let (site, carry) = (self.path("site"), self.path("carry"));
        let url = self.site.url();
        let words = ["init", &site, "--server", &url, "--from-bundle", &carry, "--root", root];
        run(&words, &[PASSPHRASE])
    }

    /// `fairway publish` of the site's directory; what it printed.
    fn publish_site(&self) -> String {
        let (site, token) = (self.path("site"), self.site.token_file());
        run_ok(&["publish", &site, "--token-file", &token], &[PASSPHRASE])
    }

    /// The same after `hub.toml` was given other keys of a vendor.
    fn publish_site_keys(&self) -> String {
        let (site, token) = (self.path("site"), self.site.token_file());
        let words = ["publish", &site, "--accept-key-changes", "--token-file", &token];
        run_ok(&words, &[PASSPHRASE])
    }

    fn try_import(&self) -> Output {
        self.try_import_of("carry")
    }

    fn try_import_of(&self, dir: &str) -> Output {
        let (carry, north) = (self.path(dir), self.path("north"));
        let words = ["mirror", "import", &north, &carry];
        let (url, token) = (self.site.url(), self.site.token_file());
        let to = ["--server", &url, "--token-file", &token, "--output", "json"];
        let registry = ["--registry", &self.site_registry.host, "--plain-http"];
        run(&[&words[..], &to, &registry].concat(), &[])
    }

    /// An import that must succeed; its account of itself.
    fn import(&self) -> Value {
        self.import_of("carry")
    }

    fn import_of(&self, dir: &str) -> Value {
        let output = self.try_import_of(dir);
        assert!(output.status.success(), "{}", stderr(&output));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// `fairway verify` of the site as its agents see it.
    fn verify_site(&self) -> Value {
        let (url, root) = (self.site.url(), self.path("site/root.json"));
        let words = ["verify", "--server", &url, "--root", &root, "--output", "json"];
        serde_json::from_str(&run_ok(&words, &[])).unwrap()
    }

    /// A site that has its root and everything of one bundle.
    fn with_site() -> Self {
        let gap = Self::new();
        gap.create("3.9.1");
        let made = gap.init_site();
        assert!(made.status.success(), "{}", stderr(&made));
        gap.publish_site();
        gap.import();
        gap
    }

    /// The files of the bundle that are the vendor's, by their path below `/tuf/`.
    fn vendor_files(&self) -> Vec<String> {
        let bundle = self.bundle();
        let entries = bundle["entries"].as_array().unwrap();
        let paths = entries.iter().map(|entry| entry["path"].as_str().unwrap());
        let tuf = paths.filter_map(|path| path.strip_prefix("tuf/"));
        tuf.filter(|path| path.contains("acme")).map(ToOwned::to_owned).collect()
    }

    /// What the manifest of the bundle in `carry` says.
    fn bundle(&self) -> Value {
        let file = std::fs::read(self.path("carry/carry.manifest.json")).unwrap();
        serde_json::from_slice::<Value>(&file).unwrap()["signed"].take()
    }

    /// Where the content of an entry begins.
    fn entry(&self, path: &str) -> (PathBuf, u64) {
        let bundle = self.bundle();
        let mut entries = bundle["entries"].as_array().unwrap().iter();
        let entry = entries.find(|entry| entry["path"] == path).unwrap();
        (self.path("carry/carry-0001.tar").into(), entry["offset"].as_u64().unwrap())
    }

    fn both_serve(&self, path: &str) -> [Vec<u8>; 2] {
        [&self.origin, &self.site].map(|hub| served(hub, path))
    }

    /// Replaces text in the vendor's or the site's `hub.toml`.
    fn edit(&self, dir: &str, from: &str, to: &str) {
        let path = self.path(&format!("{dir}/hub.toml"));
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{from} is not in {text}");
        std::fs::write(path, text.replace(from, to)).unwrap();
    }
}

fn served(hub: &Hub, path: &str) -> Vec<u8> {
    let answer = hub.request("GET", path, &[("accept", "application/json")], &[]).unwrap();
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    answer.body
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn files_below(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files.extend(files_below(&path)) } else { files.push(path) }
    }
    files.sort();
    files
}

/// Flips one bit.
fn flip_bit(path: &Path, offset: u64) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[usize::try_from(offset).unwrap()] ^= 1;
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn a_site_with_its_own_root_serves_the_vendors_files_byte_for_byte() {
    let gap = Gap::new();
    gap.create("3.9.1");
    let made = gap.init_site();
    assert!(made.status.success(), "{}", stderr(&made));
    let private: Vec<_> = files_below(Path::new(&gap.path("site/keys")))
        .into_iter()
        .filter(|file| file.extension().is_some_and(|extension| extension == "pem"))
        .map(|file| file.file_name().unwrap().to_str().unwrap().to_owned())
        .collect();
    assert_eq!(private, ["root-1.pem", "targets.pem"], "no private key of a vendor");

    let first = gap.publish_site();
    assert!(first.contains("signed targets 1 (new)"), "{first}");
    assert_eq!(gap.verify_site()["releases"], 0);

    let imported = gap.import();
    assert_eq!(imported["publications"][0]["changed"], true);
    let verified = gap.verify_site();
    assert_eq!((&verified["releases"], &verified["graphs"]), (&2.into(), &2.into()));
    assert_eq!(verified["faults"], Value::Array(vec![]));

    let files = gap.vendor_files();
    assert_eq!(files.len(), 7, "3 roles, 2 releases, 2 graphs: {files:#?}");
    for file in files {
        let [origin, site] = gap.both_serve(&format!("/tuf/{file}"));
        assert_eq!(origin, site, "{file}");
    }
    let [origin, site] = gap.both_serve(GRAPH);
    assert_eq!(origin, site);
    let [origin, site] = gap.both_serve("/tuf/metadata/1.root.json");
    assert_ne!(origin, site, "the site has a root of its own");
}

#[test]
fn a_second_import_and_a_second_publish_change_nothing() {
    let gap = Gap::with_site();
    let timestamp = served(&gap.site, "/tuf/metadata/timestamp.json");
    let again = gap.import();
    assert_eq!(again["publications"][0]["changed"], false);
    assert_eq!(again["told"]["objects_written"], 0);
    let published = gap.publish_site();
    assert!(published.contains("nothing to sign"), "{published}");
    assert!(published.contains("the hub serves this already"), "{published}");
    assert_eq!(served(&gap.site, "/tuf/metadata/timestamp.json"), timestamp);
    assert_eq!(gap.verify_site()["releases"], 2, "what the import brought is there still");
}

#[test]
fn a_tampered_bundle_is_refused_and_the_site_stays_as_it_was() {
    let gap = Gap::with_site();
    let before =
        [GRAPH, "/tuf/metadata/timestamp.json"].map(|path| (path, served(&gap.site, path)));
    gap.release("kafka", "4.3.1", "[\">=3.9.0, <4.3.1\"]", &["3.9.1", "4.3.1"]);
    gap.create("4.3.1");
    gap.site_registry.asked();

    let blob = format!("blobs/sha256/{}", signing::Sha256Digest::of(b"4.3.1").hex());
    for entry in [blob.as_str(), "tuf/metadata/2.acme.releases.json", "oci-layout"] {
        let (file, offset) = gap.entry(entry);
        flip_bit(&file, offset);
        let refused = gap.try_import();
        let told = stderr(&refused);
        assert_eq!(refused.status.code(), Some(1), "{entry}: {told}");
        assert!(told.contains("error: arbitrary_software: "), "{entry}: {told}");
        assert!(told.contains("carry-0001.tar") && told.contains(&offset.to_string()), "{told}");
        assert!(told.contains("hint: "), "{told}");
        assert_eq!(gap.site_registry.asked(), Vec::<String>::new(), "{entry}");
        for (path, bytes) in &before {
            assert_eq!(served(&gap.site, path), *bytes, "{entry}: {path}");
        }
        flip_bit(&file, offset);
    }

    assert_eq!(gap.import()["publications"][0]["changed"], true);
    let [origin, site] = gap.both_serve(GRAPH);
    assert_eq!(origin, site);
    assert_ne!(site, before[0].1, "mended, the new release arrives");
}

#[test]
fn no_site_is_made_from_a_bundle_that_another_root_signed() {
    let gap = Gap::new();
    gap.create("3.9.1");
    let other = gap.path("other");
    std::fs::create_dir(&other).unwrap();
    let stranger = Hub::start(Path::new(&other), "");
    let stranger = Vendor::init(&stranger, Path::new(&gap.path("stranger")));
    let refused = gap.init_site_from(stranger.root().to_str().unwrap());
    assert_eq!(refused.status.code(), Some(1), "{}", stderr(&refused));
    assert!(stderr(&refused).contains("arbitrary_software: "), "{}", stderr(&refused));
    assert!(!Path::new(&gap.path("site")).exists());
}

/// The commands that docs/air-gap.md quotes, in its order.
fn documented_commands() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/air-gap.md");
    let text = std::fs::read_to_string(path).unwrap();
    let mut script = String::new();
    let mut goes_on = false;
    for line in text.lines() {
        let Some(words) = line.strip_prefix("    ") else { continue };
        if goes_on || words.starts_with("fairway ") || words.starts_with("offline-mirror ") {
            script.push_str(words);
            script.push('\n');
            goes_on = words.ends_with('\\');
        }
    }
    script
}

#[test]
fn the_commands_of_the_document_run_as_written() {
    let gap = Gap::new();
    gap.vendor.product("app");
    gap.release("app", "1.2.0", "[]", &["1.2.0"]);
    gap.release("app", "1.3.0", "[\">=1.2.0, <1.3.0\"]", &["1.2.0", "1.3.0"]);
    let reader = PathBuf::from(gap.path("reader"));
    std::fs::create_dir(&reader).unwrap();
    std::fs::copy(gap.vendor.root(), reader.join("hub-root.json")).unwrap();
    for name in ["admin.token", "publisher.token"] {
        std::fs::copy(gap.site.token_file(), reader.join(name)).unwrap();
    }
    std::fs::copy(gap.path("acme/keys/root-1.pem"), reader.join("root-1.pem")).unwrap();
    let binary = super::process::binary();
    let script = format!(
        "set -eu\nfairway() {{ '{0}' \"$@\"; }}\nmirror() {{ '{0}' mirror \"$@\"; }}\n{1}",
        binary.display(),
        documented_commands()
            .replace("offline-mirror ", "mirror ")
            // Nobody is asked in a test.
            .replace("fairway root sign ", "fairway root sign --yes ")
    );
    assert!(script.matches("\nmirror import").count() >= 4, "{script}");
    assert!(script.matches("\nmirror view").count() >= 4, "{script}");
    let output = std::process::Command::new("sh")
        .args(["-c", &script])
        .current_dir(&reader)
        // Nothing of ours inherited from whoever runs the tests.
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HUB", gap.origin.url())
        .env("SITE", gap.site.url())
        .env("REGISTRY", &gap.origin_registry.host)
        .env("SITE_REGISTRY", &gap.site_registry.host)
        .envs([PASSPHRASE, ("FAIRWAY_PLAIN_HTTP", "true")])
        .output()
        .unwrap();
    assert!(output.status.success(), "{script}\n{}", stderr(&output));
    let (url, root) = (gap.site.url(), gap.path("reader/site/root.json"));
    let words = ["verify", "--server", &url, "--root", &root, "--output", "json"];
    let verified: Value = serde_json::from_str(&run_ok(&words, &[])).unwrap();
    assert_eq!((&verified["releases"], &verified["faults"]), (&4.into(), &Value::Array(vec![])));
    for layer in ["1.2.0", "1.3.0"] {
        let digest = signing::Sha256Digest::of(layer.as_bytes());
        let found = gap.site_registry.blob("acme/app", digest);
        assert_eq!(found.as_deref(), Some(layer.as_bytes()));
    }
    let runtime = reader.join("runtime");
    assert!(files_below(&runtime).iter().any(|file| file.ends_with("hosts.toml")));
}
