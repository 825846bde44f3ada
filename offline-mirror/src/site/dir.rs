//! The site directory as an opened thing: one command at a time writes to it.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use channels::names::{SiteName, VendorName};
use serde::de::DeserializeOwned;
use signing::client::limits::MAX_ROOT_BYTES;
use signing::metadata::{Document, Root};
use signing::{PublicKey, SecretKey, Sha256Digest, TopRole, keyfile};

use super::config::{CONFIG_BYTES_MAX, SiteConfig};
use super::error::SiteError;
use super::files::{read_at_most, read_file, write_file};
use super::inventory::{INVENTORY_BYTES_MAX, Inventory};
use super::ledger::{LEDGER_BYTES_MAX, Ledger};
use super::pattern::ImagePattern;
use super::receipt::{RECEIPT_BYTES_MAX, Receipt};
use crate::bundle::BundleName;

const CONFIG: &str = "site.toml";
const ROOT: &str = "root.json";
const KEY: &str = "site.key";
const PUBLIC: &str = "site.pub";
const LEDGER: &str = "ledger.json";
const LOCK: &str = "lock";
const INVENTORY: &str = "inventory.json";
/// Longest public key file, in bytes: an RSA-4096 key has 800.
const PUBLIC_BYTES_MAX: u64 = 16 * 1024;

/// What a new site is made from.
#[derive(Debug, Clone)]
pub struct SiteInit {
    /// Its name.
    pub name: SiteName,
    /// Root of the view that its bundles are made under.
    pub root: Vec<u8>,
    /// Extra images that it takes.
    pub images: Vec<ImagePattern>,
}

/// An opened site directory.
#[derive(Debug)]
pub struct SiteDir {
    dir: PathBuf,
    config: SiteConfig,
    root: Vec<u8>,
    /// Held by whoever may write; ends with the value.
    lock: Option<File>,
}

impl SiteDir {
    /// Makes a site directory, which must not be there or be empty.
    ///
    /// # Errors
    /// When it is not empty, the root is none, or something cannot be written.
    pub fn init(dir: &Path, init: SiteInit) -> Result<Self, SiteError> {
        check_root(Path::new("--root"), &init.root)?;
        std::fs::create_dir_all(dir).map_err(SiteError::io("create", dir))?;
        let mut entries = std::fs::read_dir(dir).map_err(SiteError::io("read", dir))?;
        if entries.next().is_some() {
            return Err(SiteError::NotEmpty { dir: dir.to_owned() });
        }
        let lock = lock(dir)?;
        let key = SecretKey::generate().map_err(|source| SiteError::NewKey { source })?;
        let path = dir.join(KEY);
        let failed = |source| SiteError::KeyFile { path: path.clone(), source };
        let pem = keyfile::to_plain_pem(&key).map_err(failed)?;
        keyfile::write_new(&path, &pem).map_err(failed)?;
        write_file(&dir.join(PUBLIC), key.public().to_spki_pem().as_bytes())?;
        write_file(&dir.join(ROOT), &init.root)?;
        let config = SiteConfig { images: init.images, ..SiteConfig::new(init.name) };
        let text = toml::to_string(&config)
            .map_err(|e| SiteError::Malformed { path: dir.join(CONFIG), why: e.to_string() })?;
        // Last: without it the directory is no site.
        write_file(&dir.join(CONFIG), text.as_bytes())?;
        Ok(Self { dir: dir.to_owned(), config, root: init.root, lock: Some(lock) })
    }

    /// Opens a site to write to it.
    ///
    /// # Errors
    /// [`SiteError::Busy`] while somebody else does, or when it is no site directory.
    pub fn open(dir: &Path) -> Result<Self, SiteError> {
        let mut site = Self::open_to_read(dir)?;
        site.lock = Some(lock(dir)?);
        Ok(site)
    }

    /// Opens a site to look at it; nothing is locked or written.
    ///
    /// # Errors
    /// When it is no site directory.
    pub fn open_to_read(dir: &Path) -> Result<Self, SiteError> {
        let path = dir.join(CONFIG);
        let Some(bytes) = read_at_most(&path, CONFIG_BYTES_MAX)? else {
            let why = format!("it has no {CONFIG}");
            return Err(SiteError::NotASite { dir: dir.to_owned(), why });
        };
        let malformed = |why: String| SiteError::Malformed { path: path.clone(), why };
        let text = String::from_utf8(bytes).map_err(|e| malformed(e.to_string()))?;
        let config: SiteConfig = toml::from_str(&text).map_err(|e| malformed(e.to_string()))?;
        let path = dir.join(&config.root);
        let root = read_file(&path, MAX_ROOT_BYTES)?;
        check_root(&path, &root)?;
        Ok(Self { dir: dir.to_owned(), config, root, lock: None })
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.dir
    }

    /// Its configuration.
    pub fn config(&self) -> &SiteConfig {
        &self.config
    }

    /// A path of the configuration, relative to the directory.
    pub fn resolve(&self, path: &Path) -> PathBuf {
        self.dir.join(path)
    }

    /// The view's pinned root.
    pub fn root(&self) -> &[u8] {
        &self.root
    }

    /// Digest of the pinned root.
    pub fn pinned(&self) -> Sha256Digest {
        Sha256Digest::of(&self.root)
    }

    /// The floors of the view.
    pub fn seen(&self) -> PathBuf {
        self.dir.join("seen")
    }

    /// TUF files of the newest bundle.
    pub fn metadata(&self) -> PathBuf {
        self.dir.join("metadata")
    }

    /// TUF files of the newest bundle that carried releases of a vendor.
    pub fn metadata_of(&self, vendor: &VendorName) -> PathBuf {
        self.dir.join("metadata-of").join(vendor.as_str())
    }

    /// The site's private key.
    ///
    /// # Errors
    /// When the file is not there, is readable by others, or holds no key.
    pub fn key(&self) -> Result<SecretKey, SiteError> {
        let path = self.dir.join(KEY);
        let failed = |source| SiteError::KeyFile { path: path.clone(), source };
        let pem = keyfile::read(&path).map_err(failed)?;
        keyfile::from_plain_pem(&pem).map_err(failed)
    }

    /// The public half of the site's key.
    ///
    /// # Errors
    /// When the file is not there or holds no key.
    pub fn public_key(&self) -> Result<PublicKey, SiteError> {
        let path = self.dir.join(PUBLIC);
        let bytes = read_file(&path, PUBLIC_BYTES_MAX)?;
        let malformed = |why: String| SiteError::Malformed { path: path.clone(), why };
        let pem = String::from_utf8(bytes).map_err(|e| malformed(e.to_string()))?;
        PublicKey::from_spki_pem(&pem).map_err(|e| malformed(e.to_string()))
    }

    /// What was taken in.
    ///
    /// # Errors
    /// When the ledger cannot be read: without it an older bundle could not be told from a newer.
    pub fn ledger(&self) -> Result<Ledger, SiteError> {
        let path = self.dir.join(LEDGER);
        let Some(bytes) = read_at_most(&path, LEDGER_BYTES_MAX)? else {
            return Ok(Ledger::default());
        };
        let ledger: Ledger = parse(&path, &bytes)?;
        if ledger.format != Ledger::FORMAT {
            let (what, known) = ("ledger", Ledger::FORMAT);
            return Err(SiteError::Format { what, found: ledger.format, known });
        }
        Ok(ledger)
    }

    /// Writes what was taken in.
    ///
    /// # Errors
    /// When the site was opened to read, or the file cannot be written.
    pub fn save_ledger(&self, ledger: &Ledger) -> Result<(), SiteError> {
        self.check_locked()?;
        let path = self.dir.join(LEDGER);
        let mut bytes = serde_json::to_vec_pretty(ledger)
            .map_err(|e| SiteError::Malformed { path: path.clone(), why: e.to_string() })?;
        bytes.push(b'\n');
        check_length(&path, &bytes, LEDGER_BYTES_MAX)?;
        write_file(&path, &bytes)
    }

    /// Signs an inventory and keeps it as the newest; returns its bytes.
    ///
    /// # Errors
    /// When it cannot be signed, is too long to be read again, or cannot be written.
    pub fn save_inventory(&self, inventory: &Inventory) -> Result<Vec<u8>, SiteError> {
        self.check_locked()?;
        let path = self.dir.join(INVENTORY);
        let bytes = inventory.sign(&self.key()?)?;
        check_length(&path, &bytes, INVENTORY_BYTES_MAX)?;
        write_file(&path, &bytes)?;
        Ok(bytes)
    }

    /// Path of the newest inventory.
    pub fn inventory_path(&self) -> PathBuf {
        self.dir.join(INVENTORY)
    }

    /// Path of a bundle's receipt.
    pub fn receipt_path(&self, sequence: u64, bundle: &BundleName) -> PathBuf {
        // Two views may name a bundle alike; a sequence is spent once.
        self.dir.join("receipts").join(format!("{sequence:06}-{bundle}.receipt.json"))
    }

    /// Signs a receipt and keeps it; returns its path.
    ///
    /// # Errors
    /// When it cannot be signed or written.
    pub fn save_receipt(&self, receipt: &Receipt) -> Result<PathBuf, SiteError> {
        self.check_locked()?;
        let path = self.receipt_path(receipt.sequence, &receipt.bundle);
        let bytes = receipt.sign(&self.key()?)?;
        check_length(&path, &bytes, RECEIPT_BYTES_MAX)?;
        write_file(&path, &bytes)?;
        Ok(path)
    }

    /// Every path below the directory that a command writes is behind this.
    fn check_locked(&self) -> Result<(), SiteError> {
        if self.lock.is_some() { Ok(()) } else { Err(SiteError::Busy { dir: self.dir.clone() }) }
    }
}

fn parse<T: DeserializeOwned>(path: &Path, bytes: &[u8]) -> Result<T, SiteError> {
    serde_json::from_slice(bytes)
        .map_err(|e| SiteError::Malformed { path: path.to_owned(), why: e.to_string() })
}

fn check_length(path: &Path, bytes: &[u8], limit: u64) -> Result<(), SiteError> {
    if u64::try_from(bytes.len()).is_ok_and(|length| length <= limit) {
        return Ok(());
    }
    Err(SiteError::TooLong { path: path.to_owned(), limit })
}

fn check_root(path: &Path, bytes: &[u8]) -> Result<(), SiteError> {
    let parsed = Document::<Root>::parse(&TopRole::Root.into(), bytes);
    let refuse = |why: String| SiteError::Malformed { path: path.to_owned(), why };
    parsed.map(|_| ()).map_err(|e| refuse(format!("it is no TUF root: {e}")))
}

fn lock(dir: &Path) -> Result<File, SiteError> {
    let path = dir.join(LOCK);
    let file = File::create(&path).map_err(SiteError::io("create", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(SiteError::Busy { dir: dir.to_owned() }),
        Err(TryLockError::Error(error)) => Err(SiteError::io("lock", path)(error)),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use signing::{RootSpec, build_root};

    use super::*;

    fn root() -> Vec<u8> {
        let key = SecretKey::from_seed([1; 32]);
        let roles = TopRole::ALL.map(|role| (role, (vec![key.public().clone()], 1)));
        let expires = "2027-01-01T00:00:00Z".parse().unwrap();
        build_root(&RootSpec { version: 1, expires, roles: roles.into() }, &[&key], None).unwrap()
    }

    /// A new site `north`, below a folder that ends with the first value.
    pub(in super::super) fn made() -> (tempfile::TempDir, SiteDir) {
        let folder = tempfile::tempdir().unwrap();
        let init = SiteInit { name: "north".parse().unwrap(), root: root(), images: vec![] };
        let site = SiteDir::init(&folder.path().join("north"), init).unwrap();
        (folder, site)
    }

    #[test]
    fn a_new_site_has_a_key_of_its_own_that_nobody_else_reads() {
        let (_folder, site) = made();
        let mode = std::fs::metadata(site.path().join(KEY)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(&site.public_key().unwrap(), site.key().unwrap().public());
        assert_eq!(site.ledger().unwrap(), Ledger::default());
        assert_eq!(site.root(), root());
        let init = SiteInit { name: "south".parse().unwrap(), root: root(), images: vec![] };
        let error = SiteDir::init(site.path(), init).unwrap_err();
        assert!(matches!(error, SiteError::NotEmpty { .. }), "{error}");
    }

    #[test]
    fn two_commands_never_write_to_one_site() {
        let (_folder, site) = made();
        let error = SiteDir::open(site.path()).unwrap_err();
        assert!(matches!(error, SiteError::Busy { .. }), "{error}");
        let looking = SiteDir::open_to_read(site.path()).unwrap();
        let error = looking.save_ledger(&Ledger::default()).unwrap_err();
        assert!(matches!(error, SiteError::Busy { .. }), "{error}");
        let path = site.path().to_owned();
        drop(site);
        SiteDir::open(&path).unwrap();
    }

    #[test]
    fn a_broken_ledger_is_not_taken_for_a_new_site() {
        let (_folder, site) = made();
        std::fs::write(site.path().join(LEDGER), "{").unwrap();
        assert!(matches!(site.ledger(), Err(SiteError::Malformed { .. })));
    }
}
