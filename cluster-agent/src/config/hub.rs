//! `[hub]`: where signed metadata comes from, who grants, and how both are reached.

use std::path::{Path, PathBuf};

use reqwest::Url;
use signing::source::MAX_MIRRORS;

use super::ConfigError;
use super::fragments;
use super::ranges::{DAY_MS, ranged};
use crate::hub::{Address, Network, ProxyChoice};

/// What `proxy` says to take the environment's.
const ENVIRONMENT: &str = "environment";

/// Where metadata comes from and who grants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HubSettings {
    /// As configured: base URL, below which `tuf/` and `api/v1/` lie, or a directory.
    pub url: String,
    /// Copies of the signed repository, the hub's first.
    pub addresses: Vec<Address>,
    /// How all of them are reached.
    pub network: Network,
    /// The pinned root metadata.
    pub root: PathBuf,
    /// Whether the agent reports and needs grants. Without, it is on its own: policy alone decides.
    pub reports: Reports,
    /// How often metadata is refreshed, milliseconds, with jitter.
    pub refresh_ms: u64,
}

impl HubSettings {
    /// The preferred copy's address as it may be shown.
    pub fn upstream(&self) -> String {
        self.addresses.first().map_or_else(String::new, ToString::to_string)
    }
}

/// Whether a hub is reported to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reports {
    /// Yes, and starts need its grant.
    On,
    /// No: metadata only, no grants.
    Off,
}

pub(super) fn hub(hub: &fragments::Hub, base: &Path) -> Result<HubSettings, ConfigError> {
    let url = hub.url.clone().ok_or(ConfigError::Missing {
        key: "hub.url".to_owned(),
        hint: "where metadata comes from, e.g. https://updates.example; see also hub.reports",
    })?;
    let first = Address::parse(&url, base).map_err(|e| ConfigError::invalid("hub.url", e))?;
    let root = hub.root.clone().ok_or(ConfigError::Missing {
        key: "hub.root".to_owned(),
        hint: "the pinned root metadata, as `fairway init` wrote it (root.json)",
    })?;
    let reports = match (&first, hub.reports) {
        (Address::Directory(_), Some(true)) => {
            let why = "a directory takes no reports; leave it out, or name a hub in hub.url";
            return Err(ConfigError::invalid("hub.reports", why));
        }
        (Address::Directory(_), _) | (Address::Http(_), Some(false)) => Reports::Off,
        (Address::Http(_), _) => Reports::On,
    };
    Ok(HubSettings {
        url,
        addresses: addresses(first, &hub.mirrors, base)?,
        network: Network {
            proxy: proxy(hub.proxy.as_deref(), hub.no_proxy.clone())?,
            ca_file: hub.ca_file.as_ref().map(|path| base.join(path)),
        },
        root: base.join(root),
        reports,
        refresh_ms: ranged("hub.refresh_ms", hub.refresh_ms, 120_000, 500..=DAY_MS)?,
    })
}

fn addresses(first: Address, mirrors: &[String], base: &Path) -> Result<Vec<Address>, ConfigError> {
    let invalid = |why: String| ConfigError::invalid("hub.mirrors", why);
    let mut all = vec![first];
    for text in mirrors {
        let address = Address::parse(text, base).map_err(|e| invalid(e.to_string()))?;
        if all.contains(&address) {
            return Err(invalid(format!("{address} is listed twice")));
        }
        all.push(address);
    }
    if all.len() > MAX_MIRRORS {
        return Err(invalid(format!("{} with the hub itself, at most {MAX_MIRRORS}", all.len())));
    }
    Ok(all)
}

fn proxy(proxy: Option<&str>, except: Option<String>) -> Result<ProxyChoice, ConfigError> {
    let invalid = |why: &str| Err(ConfigError::invalid("hub.proxy", why));
    match proxy {
        None | Some(ENVIRONMENT) if except.is_some() => Err(ConfigError::invalid(
            "hub.no_proxy",
            "it belongs to a proxy named in hub.proxy; the environment has its own NO_PROXY",
        )),
        None => Ok(ProxyChoice::Direct),
        Some(ENVIRONMENT) => Ok(ProxyChoice::Environment),
        Some(text) => match Url::parse(text) {
            Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => {
                Ok(ProxyChoice::Through { url, except })
            }
            // The text may hold a password: it is not repeated.
            Ok(_) | Err(_) => {
                invalid("it must be http://HOST:PORT, https://HOST:PORT or environment")
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(text: &str) -> Result<HubSettings, String> {
        let fragment: fragments::Hub = toml::from_str(text).unwrap();
        hub(&fragment, Path::new("/etc/fairway")).map_err(|error| error.to_string())
    }

    #[test]
    fn a_directory_alone_is_metadata_without_reports() {
        let settings = given("url = 'dir:///srv/fairway'\nroot = 'root.json'").unwrap();
        assert_eq!(settings.reports, Reports::Off);
        assert_eq!(settings.addresses, [Address::Directory("/srv/fairway".into())]);
        let error = given("url = 'dir:///srv/fairway'\nroot = 'r'\nreports = true").unwrap_err();
        assert!(error.contains("a directory takes no reports"), "{error}");
    }

    #[test]
    fn mirrors_follow_the_hub_in_order_and_none_twice() {
        let settings =
            given("url = 'https://h'\nroot = 'r'\nmirrors = ['dir:m', 'https://n/x']").unwrap();
        let names: Vec<String> = settings.addresses.iter().map(ToString::to_string).collect();
        assert_eq!(names, ["https://h", "dir:/etc/fairway/m", "https://n/x"]);
        assert_eq!(settings.reports, Reports::On);
        let error = given("url = 'https://h'\nroot = 'r'\nmirrors = ['https://h/']").unwrap_err();
        assert!(error.contains("listed twice"), "{error}");
        let many: Vec<String> = (0..9).map(|n| format!("'dir:{n}'")).collect();
        let error =
            given(&format!("url = 'https://h'\nroot = 'r'\nmirrors = [{}]", many.join(",")));
        assert!(error.unwrap_err().contains("at most 8"));
    }

    #[test]
    fn a_proxy_is_none_unless_it_is_named_and_its_password_is_in_no_message() {
        let network = |more: &str| {
            given(&format!("url = 'https://h'\nroot = 'r'\n{more}")).map(|hub| hub.network)
        };
        assert_eq!(network("").unwrap(), Network::default());
        assert_eq!(network("proxy = 'environment'").unwrap().proxy, ProxyChoice::Environment);
        let proxy = network("proxy = 'http://p:3128'\nno_proxy = 'localhost'").unwrap().proxy;
        assert!(matches!(proxy, ProxyChoice::Through { except: Some(_), .. }));
        let error = network("proxy = 'socks://fleet:hunter2@p'").unwrap_err();
        assert!(error.starts_with("hub.proxy") && !error.contains("hunter2"), "{error}");
        assert!(network("no_proxy = 'localhost'").unwrap_err().starts_with("hub.no_proxy"));
        let ca = network("ca_file = 'ca.pem'").unwrap().ca_file;
        assert_eq!(ca, Some("/etc/fairway/ca.pem".into()));
    }
}
