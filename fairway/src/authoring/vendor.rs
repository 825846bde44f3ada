//! A vendor's own directory: its channel repository, its keys, and the root of somebody else's hub.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use signing::metadata::{Document, Root};
use signing::{KeyId, PublicKey, TopRole};

use super::config::Kind;
use super::{
    Authoring, FileKeyring, HubConfig, MetadataDir, Passphrases, read_config, read_pinned,
    vendor_keys,
};
use crate::error::{CliError, Result};
use crate::publisher::{Terms, VendorLayout};

/// An opened directory of a vendor.
#[derive(Debug)]
pub(crate) struct VendorDirectory {
    root: PathBuf,
    config: HubConfig,
    layout: VendorLayout,
    pinned: Vec<u8>,
    files: BTreeMap<KeyId, PathBuf>,
}

/// A directory to publish from.
#[derive(Debug)]
pub(crate) enum Directory {
    /// Of a hub's admin.
    Hub(Authoring),
    /// Of a vendor.
    Vendor(VendorDirectory),
}

impl Directory {
    /// Opens whichever it is.
    pub(crate) fn open(root: &Path) -> Result<Self> {
        let (path, config) = read_config(root)?;
        let kind = config.kind();
        match kind.map_err(|what| CliError::failed(format!("{}: {what}", path.display())))? {
            Kind::Hub { .. } => Authoring::open(root).map(Self::Hub),
            Kind::Vendor { vendor, keys } => {
                let mut files = BTreeMap::new();
                let keys = vendor_keys(root, keys, &mut files)?;
                let layout = VendorLayout { vendor: vendor.clone(), keys };
                let (root, pinned) = (root.to_owned(), read_pinned(root)?);
                Ok(Self::Vendor(VendorDirectory { root, config, layout, pinned, files }))
            }
        }
    }
}

impl Directory {
    /// Its settings.
    pub(crate) fn config(&self) -> &HubConfig {
        match self {
            Self::Hub(authoring) => &authoring.config,
            Self::Vendor(directory) => &directory.config,
        }
    }

    /// Address of the hub, as written.
    pub(crate) fn server(&self) -> &str {
        &self.config().server
    }

    /// The root that agents pin.
    pub(crate) fn pinned(&self) -> &[u8] {
        match self {
            Self::Hub(authoring) => &authoring.layout.root.pinned,
            Self::Vendor(directory) => &directory.pinned,
        }
    }

    /// Files of the public keys that `hub.toml` names.
    pub(crate) fn files(&self) -> &BTreeMap<KeyId, PathBuf> {
        match self {
            Self::Hub(authoring) => &authoring.files,
            Self::Vendor(directory) => &directory.files,
        }
    }

    /// The metadata as last published from here.
    pub(crate) fn metadata(&self) -> MetadataDir {
        match self {
            Self::Hub(authoring) => authoring.metadata(),
            Self::Vendor(directory) => directory.metadata(),
        }
    }

    /// Where the public half of a key lies, as `hub.toml` writes it.
    pub(crate) fn file_of(&self, key: &PublicKey) -> Option<String> {
        let root = match self {
            Self::Hub(authoring) => &authoring.root,
            Self::Vendor(directory) => &directory.root,
        };
        let file = self.files().get(&key.key_id())?;
        Some(file.strip_prefix(root).unwrap_or(file).display().to_string())
    }

    /// The top-level role that the pinned root gives a key.
    pub(crate) fn top_role_of(&self, key: &PublicKey) -> Result<Option<TopRole>> {
        let root = Document::<Root>::parse(&TopRole::Root.into(), self.pinned())
            .map_err(|error| CliError::because("the pinned root is not usable", &error))?;
        let signs = |top: &TopRole| {
            root.body.keys(*top).keys.values().any(|known| known.value() == key.value())
        };
        Ok(TopRole::ALL.into_iter().find(signs))
    }
}

impl VendorDirectory {
    /// The directory.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Address of the hub, as written.
    pub(crate) fn server(&self) -> &str {
        &self.config.server
    }

    /// The vendor and its keys.
    pub(crate) fn layout(&self) -> &VendorLayout {
        &self.layout
    }

    /// The root that agents pin.
    pub(crate) fn pinned(&self) -> &[u8] {
        &self.pinned
    }

    /// How long signatures last.
    pub(crate) fn terms(&self) -> Terms {
        self.config.expiry_days.terms()
    }

    /// The private keys, opened when needed.
    pub(crate) fn keyring(&self, passphrases: Passphrases) -> FileKeyring {
        FileKeyring::new(self.files.clone(), passphrases)
    }

    /// The vendor's metadata as last published from here.
    pub(crate) fn metadata(&self) -> MetadataDir {
        MetadataDir::new(self.root.join("metadata"))
    }
}
