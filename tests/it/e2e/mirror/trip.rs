//! Both sides of the gap: hub, registry and view here; registry, hub and clusters there.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use signing::Sha256Digest;

use super::peer::{Registry, push_index};
use super::{make_view, registry, runs};
use crate::e2e::cluster::{Cluster, Shape};
use crate::e2e::images;
use crate::e2e::process::{Process, binary, eventually, run, run_ok};
use crate::e2e::vendor::Vendor;
use crate::e2e::world::Hub;

/// Passphrase of all keys.
pub(super) const PASSPHRASE: (&str, &str) = ("FAIRWAY_PASSPHRASE", "correct horse battery staple");
/// In every image.
const SHARED: &[u8] = b"a layer of every release";

/// A release that was pushed and published.
pub(super) struct Released {
    /// Digest of its image.
    pub(super) image: String,
    /// Digest of the signature over it.
    pub(super) signature: String,
    /// Its own layer, and the signature's.
    layers: [String; 2],
}

impl Released {
    /// What a registry that has an earlier release lacks of it.
    pub(super) fn new_objects(&self) -> BTreeSet<String> {
        let [layer, payload] = self.layers.clone();
        BTreeSet::from([self.image.clone(), self.signature.clone(), layer, payload])
    }
}

/// An image that no release names.
pub(super) struct Tools {
    /// Where it is, with its tag.
    pub(super) name: String,
    /// What a site allows.
    pub(super) pattern: String,
    pub(super) repository: &'static str,
    pub(super) digest: String,
}

pub(super) struct Trip {
    /// Before the folder: processes end before their files go.
    pub(super) site_registry: Registry,
    pub(super) site: Hub,
    served: Vec<Process>,
    /// None while the site is cut off.
    upstream: Option<Registry>,
    hub: Hub,
    vendor: Vendor,
    dir: tempfile::TempDir,
}

impl Trip {
    /// An empty hub with a vendor and a view, two empty registries, an empty hub at the site.
    pub(super) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let hub = |name: &str, settings: &str| {
            let dir = dir.path().join(name);
            std::fs::create_dir(&dir).unwrap();
            Hub::start(&dir, &format!("report_interval_s = 1\n{settings}"))
        };
        let (origin, site) = (hub("a", ""), hub("b", "site = \"north\"\n"));
        let vendor = Vendor::init(&origin, &dir.path().join("acme"));
        Self {
            site_registry: registry(&dir.path().join("registry-b")),
            site,
            served: Vec::new(),
            upstream: Some(registry(&dir.path().join("registry-a"))),
            hub: origin,
            vendor,
            dir,
        }
    }

    pub(super) fn path(&self, below: &str) -> PathBuf {
        self.dir.path().join(below)
    }

    pub(super) fn text(&self, below: &str) -> String {
        self.path(below).to_str().unwrap().to_owned()
    }

    /// The connected hub.
    pub(super) fn hub(&self) -> &Hub {
        &self.hub
    }

    fn upstream(&self) -> &str {
        &self.upstream.as_ref().expect("connected").host
    }

    /// Pushes the image of a release and a cosign signature of it, then publishes the release.
    pub(super) fn release(&self, version: &str, upgrade_from: &str, channel: &[&str]) -> Released {
        self.release_of(version, upgrade_from, channel, &[])
    }

    /// The same with further layers.
    pub(super) fn release_of(
        &self,
        version: &str,
        upgrade_from: &str,
        channel: &[&str],
        more: &[Vec<u8>],
    ) -> Released {
        let (host, repository) = (self.upstream(), "acme/kafka");
        let mut layers = vec![SHARED, version.as_bytes()];
        layers.extend(more.iter().map(Vec::as_slice));
        let image = images::push(host, repository, &layers);
        let payload = format!("signature of {version}");
        let tag = format!("sha256-{}.sig", image.hex());
        let signature = images::push_as(host, repository, Some(&tag), &[payload.as_bytes()]);
        self.vendor.write(
            &format!("kafka/releases/{version}.yaml"),
            &format!(
                "version: {version}\nreleased_at: 2026-01-01\npayload: {repository}@{image}\n\
                 components:\n  - role: controller\n    version: {version}\n    image: \
                 {repository}@{image}\nupgrade_from: {upgrade_from}\n"
            ),
        );
        self.vendor.channel("kafka", "stable", channel);
        self.vendor.publish();
        if !self.path("view").exists() {
            let (root, key) = (self.vendor.root(), self.text("acme/keys/root-1.pem"));
            make_view(&self.text("view"), &self.hub.url(), root.to_str().unwrap(), &key);
        }
        let layers = [version.as_bytes(), payload.as_bytes()];
        let layers = layers.map(|layer| Sha256Digest::of(layer).to_string());
        Released { image: image.to_string(), signature: signature.to_string(), layers }
    }

    /// Has `skopeo` push an index over two architectures that no release names.
    pub(super) fn push_tools(&self) -> Tools {
        let (host, repository) = (self.upstream(), "acme/tools");
        let digest = push_index(host, repository, "1.0", &self.path("layout"));
        let (name, pattern) = (format!("{host}/{repository}:1.0"), format!("{host}/{repository}"));
        Tools { name, pattern, repository, digest }
    }

    /// The words of `create` into a directory named like the bundle.
    pub(super) fn create_words(&self, name: &str, more: &[&str]) -> Vec<String> {
        let (dir, view) = (self.text(name), self.text("view"));
        let (url, root) = (self.hub.url(), self.vendor.root());
        let mut words = vec!["mirror", "create", &dir, "--server", &url, "--view", &view];
        words.extend(["--root", root.to_str().unwrap(), "--registry", self.upstream()]);
        words.extend(["--plain-http", "--name", name, "--output", "json"]);
        if !more.contains(&"--repair") {
            words.extend(["--product", "acme/kafka"]);
        }
        words.extend(more);
        words.into_iter().map(ToOwned::to_owned).collect()
    }

    /// Makes a bundle; its account of itself.
    pub(super) fn create(&self, name: &str, more: &[&str]) -> Value {
        let words = self.create_words(name, more);
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        serde_json::from_str(&run_ok(&words, &[])).unwrap()
    }

    /// The manifests and blobs that a bundle carries.
    pub(super) fn carried(&self, name: &str) -> BTreeSet<String> {
        let file = self.path(name).join(format!("{name}.manifest.json"));
        let bundle: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
        let entries = bundle["signed"]["entries"].as_array().unwrap();
        let objects = entries.iter().filter(|entry| entry["content"]["kind"] != "file");
        objects.map(|entry| entry["digest"].as_str().unwrap().to_owned()).collect()
    }

    /// From here on nothing of the connected side can be reached.
    pub(super) fn cut_off(&mut self) {
        self.upstream = None;
        self.hub.kill();
    }

    /// The connected side is back, its registry at another port.
    pub(super) fn reconnect(&mut self) {
        self.hub.restart();
        self.upstream = Some(registry(&self.path("registry-a")));
    }

    /// `verify` in a network namespace that has no interface at all.
    pub(super) fn verify_without_a_network(&self, name: &str) {
        let verified = Command::new("unshare")
            .args(["--net", "--map-root-user"])
            .arg(binary())
            .args(["mirror", "verify"])
            .arg(self.path(name))
            .arg("--root")
            .arg(self.path("view/root.json"))
            .output()
            .unwrap();
        assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
    }

    /// The site's directory and the root of its hub, from the bundle `first`.
    pub(super) fn make_site(&self, allowed: &str) {
        self.make_site_from("first", allowed);
    }

    pub(super) fn make_site_from(&self, bundle: &str, allowed: &str) {
        let root = self.text("view/root.json");
        for name in ["north", "south"] {
            let words = ["mirror", "site", "init", &self.text(name), "--name", name];
            run_ok(&[&words[..], &["--root", &root, "--image", allowed]].concat(), &[]);
        }
        let (site, token) = (self.text("site"), self.site.token_file());
        let words = ["init", &site, "--from-bundle", &self.text(bundle), "--root", &root];
        let to = ["--server", &self.site.url(), "--token-file", &token];
        run_ok(&[&words[..], &to].concat(), &[PASSPHRASE]);
        run_ok(&["publish", &site, "--token-file", &token], &[PASSPHRASE]);
    }

    /// The words of `import` into the site's registry and hub.
    pub(super) fn import_words(&self, bundles: &[&str], more: &[&str]) -> Vec<String> {
        let (north, token) = (self.text("north"), self.site.token_file());
        let bundles: Vec<_> = bundles.iter().map(|bundle| self.text(bundle)).collect();
        let mut words = vec!["mirror", "import", &north];
        words.extend(bundles.iter().map(String::as_str));
        words.extend(["--registry", &self.site_registry.host, "--plain-http"]);
        let url = self.site.url();
        words.extend(["--server", &url, "--token-file", &token, "--output", "json"]);
        words.extend(more);
        words.into_iter().map(ToOwned::to_owned).collect()
    }

    pub(super) fn try_import(&self, bundles: &[&str], more: &[&str]) -> Output {
        let words = self.import_words(bundles, more);
        run(&words.iter().map(String::as_str).collect::<Vec<_>>(), &[])
    }

    /// An import that must succeed; its evidence.
    pub(super) fn import(&self, bundle: &str) -> Value {
        let output = self.try_import(&[bundle], &[]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// The same into a store, by a site directory of its own; the store.
    pub(super) fn import_into_a_store(&self, bundle: &str) -> PathBuf {
        let store = self.path("store");
        let (south, bundle) = (self.text("south"), self.text(bundle));
        run_ok(&["mirror", "import", &south, &bundle, "--store", store.to_str().unwrap()], &[]);
        store
    }

    /// Serves a store; its address.
    pub(super) fn serve(&mut self, store: &Path) -> String {
        let words = ["mirror", "serve", store.to_str().unwrap(), "--listen", "127.0.0.1:0"];
        let log = self.path("serve.log");
        self.served.push(Process::start(&words, &[], &log));
        eventually("serve says where it listens", || {
            let log = std::fs::read_to_string(&log).map_err(|error| error.to_string())?;
            let (_, rest) = log.split_once("127.0.0.1:").ok_or_else(|| log.clone())?;
            let port: String = rest.chars().take_while(char::is_ascii_digit).collect();
            Ok(format!("127.0.0.1:{port}"))
        })
    }

    /// A cluster behind the gap, which follows the site's hub and pins its root.
    pub(super) fn add_cluster(&self, name: &str) -> Cluster {
        let root = self.path("site/root.json");
        let shape = Shape::default();
        let mut cluster = Cluster::prepare(self.dir.path(), name, &shape, &self.site, &root);
        cluster.enrol(&self.site);
        cluster.run(None);
        cluster
    }

    /// Waits until the site's hub has heard that a cluster runs a release and is idle.
    pub(super) fn settled(&self, name: &str, version: &str) {
        runs(&self.site, name, version);
    }

    /// The one receipt.
    pub(super) fn receipt(&self) -> Value {
        let found: Vec<_> = std::fs::read_dir(self.path("north/receipts")).unwrap().collect();
        let [Ok(receipt)] = &found[..] else { panic!("one receipt: {found:?}") };
        let receipt: Value =
            serde_json::from_slice(&std::fs::read(receipt.path()).unwrap()).unwrap();
        receipt["signed"].clone()
    }

    /// What the site's newest inventory lists.
    pub(super) fn inventory(&self) -> Value {
        let bytes = std::fs::read(self.path("north/inventory.json")).unwrap();
        let inventory: Value = serde_json::from_slice(&bytes).unwrap();
        inventory["signed"]["contents"].clone()
    }

    /// An empty registry at the site, as if the old one had burnt down.
    pub(super) fn new_site_registry(&mut self) {
        self.site_registry = registry(&self.path("registry-c"));
    }
}
