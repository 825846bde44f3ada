//! `hub.toml`: which hub, which keys sign which role, for how long.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use channels::names::VendorName;
use serde::Deserialize;

use super::edit::Table;
use crate::error::{CliError, Result};
use crate::publisher::Terms;

/// Largest `hub.toml` read: a thousand vendors fit.
pub(super) const MAX_CONFIG_BYTES: u64 = 1024 * 1024;

/// Longest life of a signature, in days. Longer ones are never renewed by anybody who still knows
/// how.
const MAX_DAYS: u32 = 3_660;

/// The file. With `root` and `targets` it is that of a hub's admin; without both, that of a vendor
/// that publishes to a hub of somebody else.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HubConfig {
    /// Address of the hub.
    pub(super) server: String,
    /// Keys of root.
    root: Option<RoleConfig>,
    /// Keys of targets.
    targets: Option<RoleConfig>,
    /// Keys of the vendors that publish from here.
    #[serde(default)]
    pub(super) vendors: BTreeMap<VendorName, VendorConfig>,
    /// Vendors that publish by themselves, from directories of their own.
    #[serde(default)]
    pub(super) delegated: BTreeMap<VendorName, DelegatedConfig>,
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
    pub(crate) keys: Vec<PathBuf>,
    /// Keys that must sign.
    pub(crate) threshold: u32,
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

/// A vendor that `targets` delegates to, and that publishes by itself.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DelegatedConfig {
    keys: Vec<PathBuf>,
    threshold: u32,
    /// All of the vendor's products, unless it says less.
    paths: Option<Vec<String>>,
}

impl DelegatedConfig {
    /// The vendor's own role.
    pub(super) fn own(&self) -> RoleConfig {
        RoleConfig { keys: self.keys.clone(), threshold: self.threshold }
    }

    /// What the vendor may list.
    pub(super) fn paths(&self, vendor: &VendorName) -> Vec<String> {
        self.paths.clone().unwrap_or_else(|| vec![format!("{vendor}/*/*")])
    }
}

/// Which directory a file makes.
pub(super) enum Kind<'a> {
    /// A hub's admin's.
    Hub {
        /// Keys of root.
        root: &'a RoleConfig,
        /// Keys of targets.
        targets: &'a RoleConfig,
    },
    /// A vendor's own.
    Vendor {
        /// Its name.
        vendor: &'a VendorName,
        /// Its keys.
        keys: &'a VendorConfig,
    },
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

    /// Which directory this is.
    pub(super) fn kind(&self) -> std::result::Result<Kind<'_>, String> {
        match (&self.root, &self.targets) {
            (Some(root), Some(targets)) => Ok(Kind::Hub { root, targets }),
            (None, None) => {
                let mut vendors = self.vendors.iter();
                match (vendors.next(), vendors.next()) {
                    (Some((vendor, keys)), None)
                        if self.delegated.is_empty() && self.imported.is_empty() =>
                    {
                        Ok(Kind::Vendor { vendor, keys })
                    }
                    _ => Err("without [root] and [targets] it is a vendor's own and names that \
                              vendor alone, in [vendors.<name>]"
                        .to_owned()),
                }
            }
            (Some(_), None) => Err("it has [root] and lacks [targets]".to_owned()),
            (None, Some(_)) => Err("it has [targets] and lacks [root]".to_owned()),
        }
    }

    /// Which table a vendor has.
    pub(crate) fn table_of(&self, vendor: &VendorName) -> Option<Table> {
        if self.vendors.contains_key(vendor) {
            Some(Table::Own)
        } else if self.delegated.contains_key(vendor) {
            Some(Table::Delegated)
        } else {
            self.imported.contains_key(vendor).then_some(Table::Imported)
        }
    }

    /// The keys of a vendor's role: its own, or `releases` or `channels` below it. None where they
    /// are not in this file.
    pub(crate) fn role_of(
        &self,
        table: Table,
        vendor: &VendorName,
        below: Option<&str>,
    ) -> Option<RoleConfig> {
        match (table, below) {
            (Table::Own, None) => self.vendors.get(vendor).map(VendorConfig::own),
            (Table::Own, Some("releases")) => {
                self.vendors.get(vendor).map(|vendor| vendor.releases.clone())
            }
            (Table::Own, Some("channels")) => {
                self.vendors.get(vendor).map(|vendor| vendor.channels.clone())
            }
            (Table::Delegated, None) => self.delegated.get(vendor).map(DelegatedConfig::own),
            (Table::Imported, None) => self.imported.get(vendor).map(ImportedConfig::own),
            (Table::Own | Table::Delegated | Table::Imported, Some(_)) => None,
        }
    }

    fn check_vendors(&self) -> std::result::Result<(), String> {
        self.kind()?;
        for (vendor, own) in &self.vendors {
            for role in [&own.own(), &own.releases, &own.channels] {
                role.check().map_err(|what| format!("vendors.{vendor}: {what}"))?;
            }
            if self.delegated.contains_key(vendor) {
                return Err(format!("{vendor} is both in [vendors] and in [delegated]"));
            }
        }
        for (vendor, delegated) in &self.delegated {
            let wrong = |what: String| format!("delegated.{vendor}: {what}");
            delegated.own().check().map_err(wrong)?;
            check_paths(vendor, &delegated.paths(vendor)).map_err(wrong)?;
        }
        for (vendor, imported) in &self.imported {
            if self.vendors.contains_key(vendor) {
                return Err(format!("{vendor} is both in [vendors] and in [imported]"));
            }
            if self.delegated.contains_key(vendor) {
                return Err(format!("{vendor} is both in [delegated] and in [imported]"));
            }
            let wrong = |what: String| format!("imported.{vendor}: {what}");
            imported.own().check().map_err(wrong)?;
            check_paths(vendor, &imported.paths).map_err(wrong)?;
        }
        Ok(())
    }
}

impl RoleConfig {
    /// Requires that its keys can give as many signatures as it asks for.
    fn check(&self) -> std::result::Result<(), String> {
        let keys = self.keys.len();
        match usize::try_from(self.threshold) {
            Ok(0) => Err("threshold 0 would ask for no signature".to_owned()),
            Ok(threshold) if threshold <= keys => Ok(()),
            Ok(_) | Err(_) => Err(format!("{keys} keys cannot give {} signatures", self.threshold)),
        }
    }
}

/// A vendor keeps to its own paths, so that no two vendors can list the same.
fn check_paths(vendor: &VendorName, paths: &[String]) -> std::result::Result<(), String> {
    let own = format!("{vendor}/");
    match paths.iter().find(|path| !path.starts_with(&own)) {
        Some(path) => Err(format!("{path:?} does not begin with {own}")),
        None => Ok(()),
    }
}
