//! The directory `fairway init` makes: channel repository, `hub.toml`, public keys and the metadata
//! as last published, all in git; private keys beside them, outside git.

mod config;
mod edit;
#[cfg(test)]
mod external_tests;
mod keys;
mod metadata;
mod passphrase;
pub(crate) mod private;
mod requests;
pub(crate) mod scaffold;
mod signer;
mod signers;
pub(crate) mod site;
pub(crate) mod unpublished;
mod vendor;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use channels::names::VendorName;
use signing::client::limits::MAX_ROOT_BYTES;
use signing::{KeyId, PublicKey};

pub(crate) use config::HubConfig;
use config::{Kind, MAX_CONFIG_BYTES, RoleConfig, VendorConfig};
pub(crate) use edit::{ConfigEdit, Table};
pub(crate) use keys::FileKeyring;
pub(crate) use metadata::MetadataDir;
pub(crate) use passphrase::{PassphraseArgs, Passphrases, next_passphrase};
pub(crate) use requests::{read_request, refusal, request_file, requests_in, write_request};
pub(crate) use signers::open_signer;
pub(crate) use vendor::{Directory, VendorDirectory};

use crate::error::{CliError, Result};
use crate::files::read_bounded;
use crate::publisher::{ImportedVendor, Layout, RoleKeys, RootTrust, Terms, VendorKeys};

/// Name of the file that makes a directory publishable.
pub(crate) const CONFIG_FILE: &str = "hub.toml";

/// Name of the root that agents pin.
pub(crate) const ROOT_FILE: &str = "root.json";

/// Largest public key file read; an RSA-8192 SPKI PEM has 1.5 kB.
pub(crate) const MAX_PUBLIC_KEY_BYTES: u64 = 16 * 1024;

/// An opened authoring directory.
#[derive(Debug)]
pub(crate) struct Authoring {
    root: PathBuf,
    config: HubConfig,
    layout: Layout,
    files: BTreeMap<KeyId, PathBuf>,
}

impl Authoring {
    /// Reads `hub.toml`, every public key it names and the root that agents pin. A vendor's own
    /// directory is refused: it has no root and targets keys.
    pub(crate) fn open(root: &Path) -> Result<Self> {
        let path = root.join(ROOT_FILE);
        match read_bounded(&path, MAX_ROOT_BYTES) {
            Ok(pinned) => Self::open_with_root(root, pinned),
            Err(error) => {
                // What is wrong with hub.toml comes first.
                let authoring = Self::open_with_root(root, Vec::new())?;
                Err(requests::no_root(&authoring, &path, &error))
            }
        }
    }

    /// The same with a root that is not in its place yet.
    pub(crate) fn open_with_root(root: &Path, pinned: Vec<u8>) -> Result<Self> {
        let (path, config) = read_config(root)?;
        let mut files = BTreeMap::new();
        let mut role = |role: &RoleConfig| role_keys(root, role, &mut files);
        let wrong = |what: String| CliError::failed(format!("{}: {what}", path.display()));
        let (root_keys, targets) = match config.kind().map_err(wrong)? {
            Kind::Hub { root, targets } => (role(root)?, role(targets)?),
            Kind::Vendor { vendor, .. } => {
                return Err(wrong(format!(
                    "it has no root and targets keys, only those of {vendor}"
                ))
                .hint("run this in the directory of the hub's admin"));
            }
        };
        let mut vendors: BTreeMap<VendorName, VendorKeys> = BTreeMap::new();
        for (name, vendor) in &config.vendors {
            vendors.insert(name.clone(), vendor_keys(root, vendor, &mut files)?);
        }
        let mut role = |role: &RoleConfig| role_keys(root, role, &mut files);
        let mut imported = BTreeMap::new();
        for (name, vendor) in &config.imported {
            let (paths, terminating) = (vendor.paths.clone(), vendor.terminating);
            let vendor = ImportedVendor { keys: role(&vendor.own())?, paths, terminating };
            imported.insert(name.clone(), vendor);
        }
        for (name, vendor) in &config.delegated {
            let (keys, paths) = (role(&vendor.own())?, vendor.paths(name));
            imported.insert(name.clone(), ImportedVendor { keys, paths, terminating: true });
        }
        let trust = RootTrust { pinned, keys: root_keys };
        let layout = Layout { root: trust, targets, vendors, imported };
        Ok(Self { root: root.to_owned(), config, layout, files })
    }

    /// The directory.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Address of the hub, as written.
    pub(crate) fn server(&self) -> &str {
        &self.config.server
    }

    /// Who may sign what.
    pub(crate) fn layout(&self) -> &Layout {
        &self.layout
    }

    /// How long signatures last.
    pub(crate) fn terms(&self) -> Terms {
        self.config.expiry_days.terms()
    }

    /// Where the public half of a key lies, as hub.toml names it; its id for a key of others.
    pub(crate) fn name_of(&self, key: &PublicKey) -> String {
        let id = key.key_id();
        match self.files.get(&id) {
            Some(file) => file.strip_prefix(&self.root).unwrap_or(file).display().to_string(),
            None => format!("key {id}"),
        }
    }

    /// The private keys, opened when needed.
    pub(crate) fn keyring(&self, passphrases: Passphrases) -> FileKeyring {
        FileKeyring::new(self.files.clone(), passphrases)
    }

    /// The metadata as last published.
    pub(crate) fn metadata(&self) -> MetadataDir {
        MetadataDir::new(self.root.join("metadata"))
    }
}

fn read_config(root: &Path) -> Result<(PathBuf, HubConfig)> {
    let path = root.join(CONFIG_FILE);
    let bytes = read_bounded(&path, MAX_CONFIG_BYTES).map_err(|error| {
        let error = CliError::failed(format!("failed to read {}: {error}", path.display()));
        error.hint("`fairway init DIR --server URL` makes a directory to publish from")
    })?;
    let config = HubConfig::parse(&path, &bytes)?;
    Ok((path, config))
}

fn read_pinned(root: &Path) -> Result<Vec<u8>> {
    let path = root.join(ROOT_FILE);
    read_bounded(&path, MAX_ROOT_BYTES).map_err(|error| {
        CliError::failed(format!("failed to read {}: {error}", path.display()))
            .hint("restore the root that agents pin from git")
    })
}

fn vendor_keys(
    root: &Path,
    vendor: &VendorConfig,
    files: &mut BTreeMap<KeyId, PathBuf>,
) -> Result<VendorKeys> {
    Ok(VendorKeys {
        vendor: role_keys(root, &vendor.own(), files)?,
        releases: role_keys(root, &vendor.releases, files)?,
        channels: role_keys(root, &vendor.channels, files)?,
    })
}

fn role_keys(
    root: &Path,
    role: &RoleConfig,
    files: &mut BTreeMap<KeyId, PathBuf>,
) -> Result<RoleKeys> {
    let mut keys = Vec::new();
    for file in &role.keys {
        let path = root.join(file);
        let key = read_public(&path)?;
        files.insert(key.key_id(), path);
        keys.push(key);
    }
    Ok(RoleKeys { keys, threshold: role.threshold })
}

/// Reads the public half of a key, SPKI PEM.
pub(crate) fn read_public(path: &Path) -> Result<PublicKey> {
    let failed = |why: &str| {
        CliError::failed(format!("failed to read the public key {}: {why}", path.display()))
    };
    let bytes = read_bounded(path, MAX_PUBLIC_KEY_BYTES).map_err(|e| failed(&e.to_string()))?;
    let text = String::from_utf8(bytes).map_err(|_| failed("it is not text"))?;
    PublicKey::from_spki_pem(&text).map_err(|error| failed(&error.to_string()))
}
