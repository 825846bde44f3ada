//! A vendor that publishes with the real commands: `fairway init`, then files, then
//! `fairway publish`.

use std::path::{Path, PathBuf};

use super::process::run_ok;
use super::world::Hub;

/// Passphrase of the vendor's keys.
const PASSPHRASE: (&str, &str) = ("FAIRWAY_PASSPHRASE", "correct horse battery staple");

/// Digest of a payload that no scenario pulls.
const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// Vendor `acme` with its channel repository.
#[derive(Debug)]
pub(super) struct Vendor {
    dir: PathBuf,
    server: String,
    token_file: String,
}

impl Vendor {
    /// Runs `fairway init` for product `kafka` and empties the example release it makes.
    pub(super) fn init(hub: &Hub, dir: &Path) -> Self {
        Self::init_as(hub, dir, "acme", "kafka")
    }

    /// The same for another vendor's product.
    pub(super) fn init_as(hub: &Hub, dir: &Path, name: &str, product: &str) -> Self {
        let vendor = Self { dir: dir.to_owned(), server: hub.url(), token_file: hub.token_file() };
        let words = ["init", vendor.path(), "--vendor", name, "--product", product];
        run_ok(&[&words[..], &vendor.hub_flags()].concat(), &[PASSPHRASE]);
        vendor.remove(&format!("{product}/releases/1.0.0.yaml"));
        vendor
    }

    fn path(&self) -> &str {
        self.dir.to_str().expect("a utf-8 path")
    }

    fn hub_flags(&self) -> [&str; 4] {
        ["--server", &self.server, "--token-file", &self.token_file]
    }

    /// What agents pin.
    pub(super) fn root(&self) -> PathBuf {
        self.dir.join("root.json")
    }

    /// Writes a file of the channel repository.
    pub(super) fn write(&self, path: &str, text: &str) {
        let path = self.dir.join(path);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder is made");
        std::fs::write(path, text).expect("a file is written");
    }

    /// Removes a file of the channel repository.
    pub(super) fn remove(&self, path: &str) {
        std::fs::remove_file(self.dir.join(path)).expect("a file is removed");
    }

    /// Makes another product of this vendor.
    pub(super) fn product(&self, product: &str) {
        self.write(
            &format!("{product}/fairway.toml"),
            &format!(
                "vendor = \"acme\"\nproduct = \"{product}\"\n[defaults]\narches = [\"amd64\"]\n"
            ),
        );
    }

    /// Writes a release whose units of `role` report its version; `upgrade_from` is YAML.
    pub(super) fn release(&self, product: &str, role: &str, version: &str, upgrade_from: &str) {
        self.write(
            &format!("{product}/releases/{version}.yaml"),
            &format!(
                "version: {version}\nreleased_at: 2026-01-01\npayload: acme/{product}@{DIGEST}\n\
                 components:\n  - role: {role}\n    version: {version}\n    image: \
                 acme/{product}@{DIGEST}\nupgrade_from: {upgrade_from}\n"
            ),
        );
    }

    /// Writes a channel.
    pub(super) fn channel(&self, product: &str, channel: &str, versions: &[&str]) {
        let list: Vec<String> = versions.iter().map(|version| format!("  - {version}\n")).collect();
        let text = format!("name: {channel}\nversions:\n{}", list.concat());
        self.write(&format!("{product}/channels/{channel}.yaml"), &text);
    }

    /// `fairway publish`; what it printed.
    pub(super) fn publish(&self) -> String {
        self.publish_to(&self.server)
    }

    /// The same where hub.toml names other keys or vendors, which the test means.
    pub(super) fn publish_key_changes(&self) -> String {
        let hub = ["--server", &self.server, "--token-file", &self.token_file];
        let words = ["publish", self.path(), "--accept-key-changes"];
        run_ok(&[&words[..], &hub].concat(), &[PASSPHRASE])
    }

    /// The same to a hub at another address.
    pub(super) fn publish_to(&self, server: &str) -> String {
        let hub = ["--server", server, "--token-file", &self.token_file];
        run_ok(&[&["publish", self.path()][..], &hub].concat(), &[PASSPHRASE])
    }
}
