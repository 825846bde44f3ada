//! `mirror.toml`: what is carried, for whom, and where it is read.
//!
//! Which registry holds a repository is said here and nowhere else: no document of a vendor chooses
//! a host.

use std::path::{Path, PathBuf};

use channels::names::{Arch, ChannelName, ProductRef, SiteName};
use channels::version::{ReleaseVersion, Requirement};
use serde::{Deserialize, Serialize};

use super::error::PlanError;

use crate::belief::read_bounded;
use crate::oci::Repository;
use crate::registry::{ImageName, RegistryAccess};

/// Longest configuration file, in bytes; thousands of images fit.
const CONFIG_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// The file. Paths are relative to the folder it lies in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The hub that releases come from.
    pub hub: Option<HubConfig>,
    /// Directory of the view that bundles are made under.
    pub view: Option<PathBuf>,
    /// Where images are read.
    #[serde(default)]
    pub registries: RegistriesConfig,
    /// Releases to carry.
    #[serde(default)]
    pub products: Vec<ProductRequest>,
    /// Images to carry beside those that releases name.
    #[serde(default)]
    pub images: Vec<ImageConfig>,
    /// Sites whose inventories are believed.
    #[serde(default)]
    pub sites: Vec<SiteConfig>,
    /// Largest length of a segment file, as `--segment-size` has it.
    pub segment_size: Option<String>,
    /// Most bytes per second over all downloads, as `--limit-rate` has it.
    pub byte_rate: Option<String>,
    /// Most blobs downloaded at once.
    pub concurrency: Option<u16>,
}

/// A hub.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HubConfig {
    /// Base URL.
    pub server: String,
    /// File with its root, as its agents pin it.
    pub root: PathBuf,
}

/// Registries by what they hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegistriesConfig {
    /// The one that holds everything no other is named for.
    pub default: Option<RegistryAccess>,
    /// The others.
    #[serde(default)]
    pub others: Vec<OtherRegistry>,
}

/// A registry for some repositories, or for extra images only.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OtherRegistry {
    /// Repositories, or paths above them, whose images it holds for releases. The longest path that
    /// fits decides.
    #[serde(default)]
    pub repositories: Vec<Repository>,
    /// The registry.
    pub access: RegistryAccess,
}

/// Releases of one product. Without `versions`, `releases` and `from`: the head of the channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProductRequest {
    /// Product, as vendor/product.
    pub product: ProductRef,
    /// Its channel; only `releases` does without.
    #[serde(default)]
    pub channel: Option<ChannelName>,
    /// A semver requirement: every release of the channel that it matches.
    #[serde(default)]
    pub versions: Option<Requirement>,
    /// These releases.
    #[serde(default)]
    pub releases: Vec<ReleaseVersion>,
    /// What clusters run: the releases behind it on the recommended way are carried, it is not.
    #[serde(default)]
    pub from: Option<ReleaseVersion>,
    /// End of that way; the head of the channel when left out.
    #[serde(default)]
    pub to: Option<ReleaseVersion>,
    /// Architectures; all of the channel, or of the release, when left out.
    #[serde(default)]
    pub arches: Vec<Arch>,
    /// Risks, by name, that do not keep a release off the way.
    #[serde(default)]
    pub accept_risks: Vec<String>,
}

/// An extra image.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageConfig {
    /// `host/repository:tag`, `host/repository@digest` or both: then the digest says which image,
    /// and the tag what it is called at the site.
    pub image: ImageName,
}

/// A site.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SiteConfig {
    /// Its name.
    pub name: SiteName,
    /// File with its public key, as `site init` printed it.
    pub key: PathBuf,
}

impl Config {
    /// Reads the file.
    ///
    /// # Errors
    /// When it cannot be read or says something that is not known here.
    pub fn read(path: &Path) -> Result<Self, PlanError> {
        let bytes = read_bounded(path, CONFIG_BYTES_MAX)?;
        let refuse = |why: String| PlanError::Config { path: path.to_owned(), why };
        let text = String::from_utf8(bytes).map_err(|e| refuse(e.to_string()))?;
        let config: Self = toml::from_str(&text).map_err(|e| refuse(e.to_string()))?;
        Ok(config.below(path.parent().unwrap_or(Path::new(""))))
    }

    /// The same with every path taken from `folder`.
    fn below(mut self, folder: &Path) -> Self {
        let below = |path: &mut PathBuf| *path = folder.join(&*path);
        self.hub.iter_mut().for_each(|hub| below(&mut hub.root));
        self.view.iter_mut().for_each(below);
        self.sites.iter_mut().for_each(|site| below(&mut site.key));
        let others = self.registries.others.iter_mut().map(|other| &mut other.access);
        for access in self.registries.default.iter_mut().chain(others) {
            access.ca_files.iter_mut().for_each(below);
            let files = [
                &mut access.password_file,
                &mut access.auth_file,
                &mut access.client_certificate,
                &mut access.client_key,
            ];
            files.into_iter().flatten().for_each(below);
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Config, PlanError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("mirror.toml");
        std::fs::write(&path, text).unwrap();
        Config::read(&path).map(|mut config| {
            if let Some(view) = &mut config.view {
                *view = view.strip_prefix(dir.path()).unwrap().to_owned();
            }
            config
        })
    }

    #[test]
    fn the_example_names_every_option_and_is_read() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("example.toml");
        let text = std::fs::read_to_string(&path).unwrap();
        Config::read(&path).unwrap();
        // Options that stand alone or exclude one another are shown as comments.
        let all: String = text
            .lines()
            .map(|line| line.strip_prefix("#= ").unwrap_or(line))
            .flat_map(|line| [line, "\n"])
            .collect();
        for option in [
            "server",
            "root",
            "view",
            "segment_size",
            "byte_rate",
            "concurrency",
            "host",
            "prefix",
            "plain_http",
            "user",
            "password_file",
            "auth_file",
            "anonymous",
            "realm_hosts",
            "ca_files",
            "client_certificate",
            "client_key",
            "proxy",
            "no_proxy",
            "requests_at_once",
            "repositories",
            "product",
            "channel",
            "versions",
            "releases",
            "from",
            "to",
            "arches",
            "accept_risks",
            "image",
            "name",
            "key",
        ] {
            let named = all.lines().any(|line| line.starts_with(&format!("{option} = ")));
            assert!(named, "{option}");
        }
        let everything: Config = toml::from_str(&all).unwrap();
        assert!(everything.byte_rate.is_some() && everything.concurrency.is_some());
    }

    #[test]
    fn paths_are_relative_to_the_file() {
        let config = read("view = \"v\"\n[hub]\nserver = \"https://h\"\nroot = \"/r\"").unwrap();
        assert_eq!(config.view.unwrap(), Path::new("v"));
        assert_eq!(config.hub.unwrap().root, Path::new("/r"), "absolute ones stay");
    }

    #[test]
    fn what_is_not_known_is_refused_with_its_place() {
        for bad in [
            "veiw = \"v\"",
            "[[images]]\nimage = \"https://r.example/x:1\"",
            "[[products]]\nproduct = \"acme/app\"\nverions = \"1\"",
            "[registries.default]\nhost = \"http://r\"",
        ] {
            let refused = read(bad).unwrap_err();
            assert!(
                matches!(&refused, PlanError::Config { why, .. } if why.contains("line")),
                "{bad}"
            );
        }
    }
}
