//! `hub.toml`: which hub, which keys sign which role, for how long.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use channels::names::VendorName;
use serde::Deserialize;

use crate::error::{CliError, Result};
use crate::publisher::Terms;

/// Largest `hub.toml` read: a thousand vendors fit.
pub(super) const MAX_CONFIG_BYTES: u64 = 1024 * 1024;

/// Longest life of a signature, in days. Longer ones are never renewed by anybody who still knows
/// how.
const MAX_DAYS: u32 = 3_660;

/// The file.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HubConfig {
    /// Address of the hub.
    pub(super) server: String,
    /// Keys of root.
    pub(super) root: RoleConfig,
    /// Keys of targets.
    pub(super) targets: RoleConfig,
    /// Keys of the vendors that publish from here.
    #[serde(default)]
    pub(super) vendors: BTreeMap<VendorName, VendorConfig>,
    /// Vendors whose files are imported.
    #[serde(default)]
    pub(super) imported: BTreeMap<VendorName, ImportedConfig>,
    /// Lives of signatures.
    #[serde(default)]
    pub(super) expiry_days: ExpiryConfig,
}

/// Keys of one role.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RoleConfig {
    /// Files of the public halves; the private half of `x.pub` is looked for in `x.pem`.
    pub(super) keys: Vec<PathBuf>,
    /// Keys that must sign.
    pub(super) threshold: u32,
}

/// Keys of a vendor's three roles.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct VendorConfig {
    keys: Vec<PathBuf>,
    threshold: u32,
    pub(super) releases: RoleConfig,
    pub(super) channels: RoleConfig,
}

impl VendorConfig {
    /// The vendor's own role.
    pub(super) fn own(&self) -> RoleConfig {
        RoleConfig { keys: self.keys.clone(), threshold: self.threshold }
    }
}

/// A vendor that `targets` delegates to, and whose files come ready signed.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ImportedConfig {
    keys: Vec<PathBuf>,
    threshold: u32,
    pub(super) paths: Vec<String>,
    pub(super) terminating: bool,
}

impl ImportedConfig {
    /// The vendor's own role.
    pub(super) fn own(&self) -> RoleConfig {
        RoleConfig { keys: self.keys.clone(), threshold: self.threshold }
    }
}

/// Days that signatures are valid.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ExpiryConfig {
    root: u32,
    targets: u32,
    vendor: u32,
    releases: u32,
    channels: u32,
}

impl Default for ExpiryConfig {
    fn default() -> Self {
        let terms = Terms::default();
        Self {
            root: terms.root_days,
            targets: terms.targets_days,
            vendor: terms.vendor_days,
            releases: terms.releases_days,
            channels: terms.channels_days,
        }
    }
}

impl ExpiryConfig {
    pub(super) fn terms(&self) -> Terms {
        Terms {
            root_days: self.root,
            targets_days: self.targets,
            vendor_days: self.vendor,
            releases_days: self.releases,
            channels_days: self.channels,
        }
    }
}

impl HubConfig {
    /// Parses and checks the file.
    pub(super) fn parse(path: &Path, bytes: &[u8]) -> Result<Self> {
        let wrong = |what: &str| CliError::failed(format!("{}: {what}", path.display()));
        let text = std::str::from_utf8(bytes).map_err(|_| wrong("it is not UTF-8 text"))?;
        let config: Self = toml::from_str(text).map_err(|error| {
            let start = error.span().map_or(0, |span| span.start);
            let line = text.bytes().take(start).filter(|byte| *byte == b'\n').count() + 1;
            wrong(&format!("line {line}: {}", error.message()))
        })?;
        config.check_vendors().map_err(|what| wrong(&what))?;
        let days = [
            ("root", config.expiry_days.root),
            ("targets", config.expiry_days.targets),
            ("vendor", config.expiry_days.vendor),
            ("releases", config.expiry_days.releases),
            ("channels", config.expiry_days.channels),
        ];
        if let Some((name, days)) = days.iter().find(|(_, days)| !(1..=MAX_DAYS).contains(days)) {
            return Err(wrong(&format!(
                "expiry_days.{name} is {days}; it must be 1 to {MAX_DAYS}"
            )));
        }
        Ok(config)
    }

    fn check_vendors(&self) -> std::result::Result<(), String> {
        if self.vendors.is_empty() && self.imported.is_empty() {
            return Err("no vendor is named; add a [vendors.<name>] table".to_owned());
        }
        for (vendor, imported) in &self.imported {
            if self.vendors.contains_key(vendor) {
                return Err(format!("{vendor} is both in [vendors] and in [imported]"));
            }
            let own = format!("{vendor}/");
            if let Some(path) = imported.paths.iter().find(|path| !path.starts_with(&own)) {
                return Err(format!("imported.{vendor}: {path:?} does not begin with {own}"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
        server = "https://hub.example"
        [root]
        keys = ["keys/root-1.pub"]
        threshold = 1
        [targets]
        keys = ["keys/targets.pub"]
        threshold = 1
        [vendors.acme]
        keys = ["keys/acme.pub"]
        threshold = 1
        releases = { keys = ["keys/acme.releases.pub"], threshold = 1 }
        channels = { keys = ["keys/acme.channels.pub"], threshold = 1 }
    "#;

    fn error(text: &str) -> String {
        HubConfig::parse(Path::new("hub.toml"), text.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn lives_default_to_a_year() {
        let config = HubConfig::parse(Path::new("hub.toml"), GOOD.as_bytes()).unwrap();
        assert_eq!(config.expiry_days.terms(), Terms::default());
    }

    #[test]
    fn a_misspelt_setting_names_its_line() {
        let text = error(&GOOD.replace("server", "sever"));
        assert!(text.starts_with("hub.toml: line 2: unknown field `sever`"), "{text}");
    }

    #[test]
    fn a_life_of_no_days_is_refused() {
        let text = error(&format!("{GOOD}\n[expiry_days]\nroot = 0"));
        assert_eq!(text, "hub.toml: expiry_days.root is 0; it must be 1 to 3660");
    }

    const IMPORTED: &str = r#"
        [imported.zeta]
        keys = ["keys/zeta.pub"]
        threshold = 1
        paths = ["zeta/*/*"]
        terminating = true
    "#;

    #[test]
    fn imported_vendors_alone_are_enough() {
        let own = GOOD.find("[vendors.acme]").unwrap();
        let text = format!("{}{IMPORTED}", &GOOD[..own]);
        let config = HubConfig::parse(Path::new("hub.toml"), text.as_bytes()).unwrap();
        assert_eq!((config.vendors.len(), config.imported.len()), (0, 1));
        assert!(error(&GOOD[..own]).contains("no vendor is named"));
    }

    #[test]
    fn a_vendor_is_published_or_imported_and_never_both() {
        let text = format!("{GOOD}{}", IMPORTED.replace("zeta", "acme"));
        assert_eq!(error(&text), "hub.toml: acme is both in [vendors] and in [imported]");
    }

    #[test]
    fn an_imported_vendor_keeps_to_its_own_paths() {
        let text = format!("{GOOD}{}", IMPORTED.replace("zeta/*", "*/*"));
        assert_eq!(error(&text), r#"hub.toml: imported.zeta: "*/*/*" does not begin with zeta/"#);
    }
}
