//! `site.toml`: what a site is called, what it takes, and where things usually go.

use std::path::PathBuf;

use channels::names::SiteName;
use serde::{Deserialize, Serialize};

use super::pattern::ImagePattern;
use crate::registry::RegistryAccess;

/// Longest configuration read, in bytes: it is written by people.
pub(super) const CONFIG_BYTES_MAX: u64 = 1024 * 1024;

/// Contents of `site.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SiteConfig {
    /// The site's name: bundles for other sites are refused.
    pub name: SiteName,
    /// Images that the site takes although no release names them: `host/repository`, or
    /// `host/path/*`.
    #[serde(default)]
    pub images: Vec<ImagePattern>,
    /// The view's pinned root, relative to the site directory.
    #[serde(default = "pinned_root")]
    pub root: PathBuf,
    /// Own store that bundles go to, relative to the site directory; `--store` and `--registry`
    /// override it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store: Option<PathBuf>,
    /// Registry that bundles go to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registry: Option<RegistryAccess>,
    /// The site's update server, which is fed at the end of an import.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<ServerConfig>,
}

/// A site's update server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerConfig {
    /// Base URL.
    pub url: String,
    /// File with an API token of role publisher, relative to the site directory.
    pub token_file: PathBuf,
}

/// Name of the pinned root when nothing else is said.
fn pinned_root() -> PathBuf {
    PathBuf::from("root.json")
}

impl SiteConfig {
    /// The configuration of a new site.
    pub fn new(name: SiteName) -> Self {
        Self {
            name,
            images: Vec::new(),
            root: pinned_root(),
            store: None,
            registry: None,
            server: None,
        }
    }

    /// Whether an extra image may be taken in.
    pub fn allows(&self, image: &crate::bundle::CarriedImage) -> bool {
        self.images.iter().any(|pattern| pattern.allows(&image.source, &image.repository))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_option_is_refused() {
        let good = "name = \"north\"\nimages = [\"r.example/tools/*\"]\nstore = \"store\"\n\
                    [server]\nurl = \"https://hub\"\ntoken_file = \"t\"\n";
        let read: SiteConfig = toml::from_str(good).unwrap();
        assert_eq!(read.root, PathBuf::from("root.json"));
        assert_eq!(toml::from_str::<SiteConfig>(&toml::to_string(&read).unwrap()).unwrap(), read);
        for bad in ["image", "stores"] {
            let text = format!("name = \"north\"\n{bad} = []\n");
            assert!(toml::from_str::<SiteConfig>(&text).is_err(), "{bad}");
        }
    }
}
