//! The first ceremony: a key for every role of a new hub, and root 1 over them.

use std::collections::BTreeMap;

use channels::names::VendorName;
use channels::wire::HubKeys;
use jiff::Timestamp;
use signing::{PublicKey, SecretKey, SigningRequest, StagedRepository, TopRole};

use super::draft::draft_first_root;
use super::error::{self, PublisherError};
use super::keyring::MemoryKeyring;
use super::layout::{Layout, RoleKeys, RootTrust, Terms, VendorKeys};
use super::root::{RootKeys, first_root};

/// What to make keys for.
#[derive(Debug, Clone)]
pub struct CeremonySpec {
    /// Vendors, each with three roles of one key.
    pub vendors: Vec<VendorName>,
    /// Root keys to make, at least 1.
    pub root_keys: u32,
    /// Root keys that must sign a new root, at most `root_keys`.
    pub root_threshold: u32,
}

/// Everything that came out of it.
#[derive(Debug)]
pub struct Ceremony {
    /// All private keys, by the name of their file: `root-1`, `targets`, `<vendor>`,
    /// `<vendor>.releases`, `<vendor>.channels`.
    pub keys: BTreeMap<String, SecretKey>,
    /// The same keys, ready to sign.
    pub keyring: MemoryKeyring,
    /// Who may sign what.
    pub layout: Layout,
    /// Root 1: what agents pin.
    pub root: Vec<u8>,
    /// The repository before its first publication: root 1 alone.
    pub repository: StagedRepository,
}

/// Makes the keys and signs root 1 over them and the hub's online keys.
pub fn hold_ceremony(
    spec: &CeremonySpec,
    hub: &HubKeys,
    terms: &Terms,
    now: Timestamp,
) -> Result<Ceremony, PublisherError> {
    let mut made = Made::default();
    let mut root = RoleKeys { keys: Vec::new(), threshold: spec.root_threshold };
    for number in 1..=spec.root_keys {
        root.keys.push(made.make(format!("root-{number}"))?);
    }
    let (targets, vendors) = made.make_below_root(&spec.vendors)?;
    let Made { keys, mut keyring } = made;
    let root_keys = RootKeys::with_hub(root.clone(), targets.clone(), hub)
        .map_err(|source| PublisherError::Key { source })?;
    let pinned = first_root(&root_keys, &mut keyring, terms, now)?;
    let mut repository = StagedRepository::new();
    let role = TopRole::Root.into();
    repository.put_metadata(&role, pinned.clone()).map_err(error::build(&role))?;
    let root = RootTrust { pinned: pinned.clone(), keys: root };
    let layout = Layout { root, targets, vendors, imported: BTreeMap::new() };
    Ok(Ceremony { keys, keyring, layout, root: pinned, repository })
}

/// The first ceremony up to the signatures on root 1.
#[derive(Debug)]
pub struct Preparation {
    /// The private keys of all roles but root, by the name of their file.
    pub keys: BTreeMap<String, SecretKey>,
    /// Root 1, for its holders to sign.
    pub request: SigningRequest,
}

/// Makes the keys of all roles but root, and drafts root 1 over them and the root keys that exist
/// already, each with its holder.
pub fn prepare_ceremony(
    vendors: &[VendorName],
    root: RoleKeys,
    hub: &HubKeys,
    terms: &Terms,
    now: Timestamp,
) -> Result<Preparation, PublisherError> {
    let mut made = Made::default();
    let (targets, _) = made.make_below_root(vendors)?;
    let root_keys =
        RootKeys::with_hub(root, targets, hub).map_err(|source| PublisherError::Key { source })?;
    let request = draft_first_root(&root_keys, terms, now)
        .map_err(|source| PublisherError::Draft { source: Box::new(source) })?;
    Ok(Preparation { keys: made.keys, request })
}

/// Keys made so far.
#[derive(Default)]
struct Made {
    keys: BTreeMap<String, SecretKey>,
    keyring: MemoryKeyring,
}

impl Made {
    fn make(&mut self, name: String) -> Result<PublicKey, PublisherError> {
        let key = SecretKey::generate().map_err(|source| PublisherError::Key { source })?;
        let public = self.keyring.add(key.clone());
        self.keys.insert(name, key);
        Ok(public)
    }

    fn single(&mut self, name: String) -> Result<RoleKeys, PublisherError> {
        self.make(name).map(RoleKeys::single)
    }

    fn make_below_root(
        &mut self,
        vendors: &[VendorName],
    ) -> Result<(RoleKeys, BTreeMap<VendorName, VendorKeys>), PublisherError> {
        let targets = self.single("targets".to_owned())?;
        let mut all = BTreeMap::new();
        for vendor in vendors {
            let roles = VendorKeys {
                vendor: self.single(vendor.to_string())?,
                releases: self.single(format!("{vendor}.releases"))?,
                channels: self.single(format!("{vendor}.channels"))?,
            };
            all.insert(vendor.clone(), roles);
        }
        Ok((targets, all))
    }
}
