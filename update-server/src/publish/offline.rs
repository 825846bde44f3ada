//! The part of the repository that others sign: roots, targets roles, targets.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use signing::metadata::{Document, Root, Targets};
use signing::{
    BuildError, PublicKey, RoleName, Sha256Digest, StagedRepository, TargetPath, TopRole,
};

use super::error::PublishError;
use super::incoming::Incoming;
use super::keys::OnlineKeys;

/// Everything but snapshot and timestamp. Clones share the bytes.
#[derive(Debug, Clone, Default)]
pub(super) struct Offline {
    /// The whole root chain by version, from 1.
    pub(super) roots: BTreeMap<u64, Arc<[u8]>>,
    /// The newest version of every targets role. A role that was ever published stays: a client
    /// that has seen it in a snapshot takes its absence for an attack (TUF 1.0.34 §5.5.5).
    pub(super) roles: BTreeMap<RoleName, (u64, Arc<[u8]>)>,
    /// Bytes of targets by path.
    pub(super) targets: BTreeMap<TargetPath, (Sha256Digest, Arc<[u8]>)>,
}

/// What a publication changes.
#[derive(Debug)]
pub(super) struct Merged {
    pub(super) offline: Offline,
    /// Roles whose file is new.
    pub(super) changed_roles: BTreeSet<RoleName>,
    /// Whether anything differs from what is served.
    pub(super) changed: bool,
}

impl Offline {
    /// Puts a publication on top. Refuses versions that go back and second files of one version.
    pub(super) fn merge(&self, incoming: &Incoming) -> Result<Merged, PublishError> {
        let mut offline = self.clone();
        let mut changed = offline.add_roots(&incoming.roots)?;
        let mut changed_roles = BTreeSet::new();
        for (role, (version, bytes)) in &incoming.roles {
            if self.is_new(role, *version, bytes)? {
                offline.roles.insert(role.clone(), (*version, bytes.clone()));
                changed_roles.insert(role.clone());
            }
        }
        changed |= !changed_roles.is_empty();
        for (path, bytes) in &incoming.targets {
            let digest = Sha256Digest::of(bytes);
            let before = offline.targets.insert(path.clone(), (digest, bytes.clone()));
            changed |= before.is_none_or(|(before, _)| before != digest);
        }
        Ok(Merged { offline, changed_roles, changed })
    }

    fn add_roots(&mut self, roots: &BTreeMap<u64, Arc<[u8]>>) -> Result<bool, PublishError> {
        let mut changed = false;
        for (version, bytes) in roots {
            if let Some(known) = self.roots.get(version) {
                if known != bytes {
                    let role = TopRole::Root.into();
                    return Err(PublishError::Equivocation { role, version: *version });
                }
                continue;
            }
            let expected = self.root_version().saturating_add(1);
            if self.roots.is_empty() && *version != 1 {
                return Err(PublishError::RootMissing);
            }
            if *version != expected {
                return Err(PublishError::RootGap { found: *version, expected });
            }
            self.roots.insert(*version, bytes.clone());
            changed = true;
        }
        if self.roots.is_empty() { Err(PublishError::RootMissing) } else { Ok(changed) }
    }

    fn is_new(&self, role: &RoleName, found: u64, bytes: &[u8]) -> Result<bool, PublishError> {
        let Some((served, known)) = self.roles.get(role) else { return Ok(true) };
        let role = role.clone();
        match found.cmp(served) {
            std::cmp::Ordering::Greater => Ok(true),
            std::cmp::Ordering::Less => Err(PublishError::Older { role, found, served: *served }),
            std::cmp::Ordering::Equal if **known == *bytes => Ok(false),
            std::cmp::Ordering::Equal => Err(PublishError::Equivocation { role, version: found }),
        }
    }

    /// The newest root's version; 0 before the first publication.
    pub(super) fn root_version(&self) -> u64 {
        self.roots.last_key_value().map_or(0, |(version, _)| *version)
    }

    /// Root 1, from which everything is verified.
    pub(super) fn pinned_root(&self) -> Result<&Arc<[u8]>, PublishError> {
        self.roots.get(&1).ok_or(PublishError::RootMissing)
    }

    /// Metadata and targets, staged for the hub's own two roles to be added.
    pub(super) fn staged(&self) -> Result<StagedRepository, BuildError> {
        let mut staged = StagedRepository::new();
        for bytes in self.roots.values() {
            staged.put_metadata(&TopRole::Root.into(), bytes.to_vec())?;
        }
        for (role, (_, bytes)) in &self.roles {
            staged.put_metadata(role, bytes.to_vec())?;
        }
        for (path, (_, bytes)) in &self.targets {
            staged.put_target(path, bytes.to_vec());
        }
        Ok(staged)
    }

    /// The newest root, parsed.
    pub(super) fn newest_root(&self) -> Result<Document<Root>, PublishError> {
        let (_, bytes) = self.roots.last_key_value().ok_or(PublishError::RootMissing)?;
        Document::parse(&TopRole::Root.into(), bytes).map_err(PublishError::verify)
    }

    /// Requires that the newest root lets each of the hub's keys sign its role alone.
    pub(super) fn check_online_keys(&self, keys: &OnlineKeys) -> Result<(), PublishError> {
        let root = self.newest_root()?;
        for (top, key) in [
            (TopRole::Snapshot, keys.snapshot.public()),
            (TopRole::Timestamp, keys.timestamp.public()),
        ] {
            if !signs_alone(&root, top, key) {
                let (root, role) = (root.body.version, top.as_str());
                return Err(PublishError::OnlineKeys { root, role });
            }
        }
        Ok(())
    }

    /// Expiry of root and of every targets role that is reached by delegations; for a delegated role
    /// beside its own the earliest of all that lead to it.
    pub(super) fn expiries(&self) -> Result<BTreeMap<RoleName, Expiry>, PublishError> {
        let root = self.newest_root()?.body.expires;
        let mut found =
            BTreeMap::from([(RoleName::from(TopRole::Root), Expiry { own: root, earliest: root })]);
        let mut open = vec![(RoleName::from(TopRole::Targets), root)];
        while let Some((role, above)) = open.pop() {
            let Some((_, bytes)) = self.roles.get(&role).filter(|_| !found.contains_key(&role))
            else {
                continue;
            };
            let document: Document<Targets> =
                Document::parse(&role, bytes).map_err(PublishError::verify)?;
            let own = document.body.expires;
            let earliest = own.min(above);
            // Pushed last to first: the first delegation, the most trusted one, is followed first.
            let delegates = document.body.delegations.iter().rev();
            open.extend(delegates.map(|delegate| (delegate.name.clone(), earliest)));
            found.insert(role, Expiry { own, earliest });
        }
        Ok(found)
    }

    /// A moment at which nothing in here had expired: `now`, or just before the earliest expiry.
    pub(super) fn valid_moment(&self, now: Timestamp) -> Result<Timestamp, PublishError> {
        let expiries = self.expiries()?;
        let earliest = expiries.values().map(|expiry| expiry.own).min().unwrap_or(now);
        let before = earliest.saturating_sub(SignedDuration::from_secs(1)).unwrap_or(earliest);
        Ok(now.min(before))
    }
}

/// When a role's metadata expires.
#[derive(Debug, Clone, Copy)]
pub(super) struct Expiry {
    /// Its own.
    pub(super) own: Timestamp,
    /// The earliest of its own and of all roles above it, root included.
    pub(super) earliest: Timestamp,
}

fn signs_alone(root: &Document<Root>, role: TopRole, key: &PublicKey) -> bool {
    let allowed = root.body.keys(role);
    allowed.threshold == 1 && allowed.keys.values().any(|allowed| allowed == key)
}
