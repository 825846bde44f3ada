//! The first ceremony: a key for every role of a new hub, and root 1 over them.

use std::collections::BTreeMap;

use channels::names::VendorName;
use channels::wire::HubKeys;
use jiff::Timestamp;
use signing::{PublicKey, SecretKey, StagedRepository, TopRole};

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
    let mut keys = BTreeMap::new();
    let mut keyring = MemoryKeyring::default();
    let mut make = |name: String| -> Result<PublicKey, PublisherError> {
        let key = SecretKey::generate().map_err(|source| PublisherError::Key { source })?;
        let public = keyring.add(key.clone());
        keys.insert(name, key);
        Ok(public)
    };
    let mut root = RoleKeys { keys: Vec::new(), threshold: spec.root_threshold };
    for number in 1..=spec.root_keys {
        root.keys.push(make(format!("root-{number}"))?);
    }
    let targets = RoleKeys::single(make("targets".to_owned())?);
    let mut vendors = BTreeMap::new();
    for vendor in &spec.vendors {
        let mut single = |suffix| make(format!("{vendor}{suffix}")).map(RoleKeys::single);
        let roles = VendorKeys {
            vendor: single("")?,
            releases: single(".releases")?,
            channels: single(".channels")?,
        };
        vendors.insert(vendor.clone(), roles);
    }
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
