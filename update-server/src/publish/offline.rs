//! The part of the repository that others sign: roots, targets roles, targets.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use channels::cincinnati::{self, TargetKind};
use jiff::{SignedDuration, Timestamp};
use signing::metadata::{DelegatedRole, Document, Root, Targets};
use signing::{
    BuildError, FileName, RoleName, Sha256Digest, StagedRepository, TargetPath, TopRole,
};

use super::error::PublishError;
use super::incoming::Incoming;

/// Most roles of one vendor, its own included. Roles are never forgotten, so without a bound a vendor
/// could grow every client's snapshot for ever. Ours have three.
const MAX_ROLES_PER_VENDOR: usize = 64;

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
    /// Vendors of which anything was sent that is new.
    pub(super) vendors: BTreeSet<String>,
    /// Whether anything differs from what is served.
    pub(super) changed: bool,
}

impl Offline {
    /// Puts a publication on top. Refuses versions that go back, second files of one version, and
    /// delegations to names that are another's to give.
    pub(super) fn merge(&self, incoming: &Incoming) -> Result<Merged, PublishError> {
        let mut offline = self.clone();
        let mut changed = offline.add_roots(&incoming.roots)?;
        let mut changed_roles = BTreeSet::new();
        for (role, (version, bytes)) in &incoming.roles {
            if self.is_new(role, *version, bytes)? {
                check_delegates(role, bytes)?;
                offline.roles.insert(role.clone(), (*version, bytes.clone()));
                changed_roles.insert(role.clone());
            }
        }
        changed |= !changed_roles.is_empty();
        offline.check_role_counts(&changed_roles)?;
        let delegated = changed_roles.iter().filter(|role| role.as_top().is_none());
        let mut vendors: BTreeSet<String> =
            delegated.map(|role| vendor_of(role).to_owned()).collect();
        for (path, bytes) in &incoming.targets {
            let digest = Sha256Digest::of(bytes);
            let before = offline.targets.insert(path.clone(), (digest, bytes.clone()));
            if before.is_none_or(|(before, _)| before != digest) {
                vendors.insert(vendor_of_path(path).to_owned());
                changed = true;
            }
        }
        Ok(Merged { offline, changed_roles, vendors, changed })
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

    /// Requires that no vendor of `changed` has too many roles.
    fn check_role_counts(&self, changed: &BTreeSet<RoleName>) -> Result<(), PublishError> {
        let vendors: BTreeSet<&str> = changed.iter().map(vendor_of).collect();
        for vendor in vendors {
            let found = self.roles.keys().filter(|role| vendor_of(role) == vendor).count();
            if found > MAX_ROLES_PER_VENDOR {
                let (vendor, limit) = (vendor.to_owned(), MAX_ROLES_PER_VENDOR);
                return Err(PublishError::TooManyRoles { vendor, found, limit });
            }
        }
        Ok(())
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

    /// Lets the targets of `paths` share the memory of their staged copies, which are what is served.
    pub(super) fn share<'p>(
        &mut self,
        staged: &StagedRepository,
        paths: impl IntoIterator<Item = &'p TargetPath>,
    ) {
        for path in paths {
            if let Some((digest, bytes)) = self.targets.get_mut(path)
                && let Some(copy) = staged.get(&FileName::target(path.clone(), *digest))
            {
                *bytes = copy.clone();
            }
        }
    }

    /// The newest root, parsed.
    pub(super) fn newest_root(&self) -> Result<Document<Root>, PublishError> {
        let (_, bytes) = self.roots.last_key_value().ok_or(PublishError::RootMissing)?;
        Document::parse(&TopRole::Root.into(), bytes).map_err(PublishError::verify)
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

    /// What top-level targets delegates; nothing before the first publication.
    pub(super) fn delegations(&self) -> Result<Vec<DelegatedRole>, PublishError> {
        let role = RoleName::from(TopRole::Targets);
        let Some((_, bytes)) = self.roles.get(&role) else { return Ok(Vec::new()) };
        let top: Document<Targets> = Document::parse(&role, bytes).map_err(PublishError::verify)?;
        Ok(top.body.delegations)
    }

    /// The release documents that the newest metadata of these vendors lists, whether or not
    /// anybody delegates to them: what was published once keeps its bytes, also when its vendor
    /// was away in between.
    pub(super) fn listed_releases(
        &self,
        vendors: &BTreeSet<String>,
    ) -> Result<BTreeMap<String, Sha256Digest>, PublishError> {
        let mut listed = BTreeMap::new();
        for (role, (_, bytes)) in &self.roles {
            if role.as_top().is_some() || !vendors.contains(vendor_of(role)) {
                continue;
            }
            let document: Document<Targets> =
                Document::parse(role, bytes).map_err(PublishError::verify)?;
            let releases = document.body.targets.into_iter();
            let releases = releases.filter_map(|(path, info)| {
                let kind = cincinnati::parse_target_path(&path);
                let digest = info.hashes.as_sha256()?;
                matches!(kind, Some(TargetKind::Release { .. })).then_some((path, digest))
            });
            listed.extend(releases);
        }
        Ok(listed)
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

/// The first part of a role's name.
pub(super) fn vendor_of(role: &RoleName) -> &str {
    let name = role.as_str();
    name.split_once('.').map_or(name, |(vendor, _)| vendor)
}

/// The first part of a target's path.
pub(super) fn vendor_of_path(path: &TargetPath) -> &str {
    path.as_str().split('/').next().unwrap_or_default()
}

/// Names are first come, first served, and a version once published is never undercut: whoever
/// publishes another vendor's role keeps it from its owner for good. So top-level targets names the
/// vendors, without a dot, and every other role only names below its own. This is the hub's rule;
/// a TUF client knows no owners of names.
fn check_delegates(role: &RoleName, bytes: &[u8]) -> Result<(), PublishError> {
    let document: Document<Targets> = Document::parse(role, bytes).map_err(PublishError::verify)?;
    let below = format!("{role}.");
    let allowed = |delegate: &RoleName| match role.as_top() {
        Some(_) => !delegate.as_str().contains('.'),
        None => delegate.as_str().starts_with(&below),
    };
    match document.body.delegations.into_iter().find(|delegate| !allowed(&delegate.name)) {
        Some(delegate) => {
            Err(PublishError::ForeignRole { role: role.clone(), delegate: delegate.name })
        }
        None => Ok(()),
    }
}
