//! Signs what changed and keeps the rest byte for byte.

use std::collections::BTreeMap;

use channels::names::VendorName;
use jiff::Timestamp;
use signing::metadata::{Body, Document, KeySet, Root, Targets};
use signing::repository::request::delegation_changes;
use signing::{
    Delegation, FileName, NameError, RoleName, Signer, StagedRepository, TargetEntry, TargetPath,
    TopRole, repository,
};

use super::assembly::{Assembly, Change, Why};
use super::content::{Content, Kind, vendor_of};
use super::error::{self, PublisherError};
use super::keyring::{Keyring, Turn};
use super::layout::{
    Floors, Layout, RoleKeys, Terms, VendorKeys, channels_role, expiry, is_due, next_version,
    releases_role, targets_role, top_delegations, vendor_delegations, vendor_role,
};
use super::previous::{Previous, Roles};
use super::root;
use super::turns::Next;

/// Makes the signed set out of `content`, keeping whatever `previous` has that is still right.
///
/// `previous` holds the metadata as it was last published, root 1 at the least. Refuses it unless
/// its signatures lead back to the pinned root, and refuses a release that changed or vanished
/// since. A role that is new here is signed above its version in `floors`: a hub forgets none.
pub fn assemble_above(
    content: &Content,
    layout: &Layout,
    keyring: &mut dyn Keyring,
    previous: &StagedRepository,
    floors: &Floors,
    terms: &Terms,
    now: Timestamp,
) -> Result<Assembly, PublisherError> {
    let repository = roots(previous)?;
    let Previous { root, roles } = Previous::verify(previous, layout)?;
    let known = Known::of_hub(&roles);
    let mut work = Work::new(roles, known, floors, Some(keyring), repository, now);
    let root_expires = work.run(&root, content, layout, terms)?;
    let revoked = work.revoked(layout)?;
    Ok(work.finish(content, root_expires, revoked))
}

/// [`assemble_above`] for a publisher whose vendors never were published from elsewhere.
pub fn assemble(
    content: &Content,
    layout: &Layout,
    keyring: &mut dyn Keyring,
    previous: &StagedRepository,
    terms: &Terms,
    now: Timestamp,
) -> Result<Assembly, PublisherError> {
    assemble_above(content, layout, keyring, previous, &Floors::new(), terms, now)
}

/// What [`assemble`] would sign, without any key.
pub fn plan(
    content: &Content,
    layout: &Layout,
    previous: &StagedRepository,
    terms: &Terms,
    now: Timestamp,
) -> Result<Vec<Change>, PublisherError> {
    plan_above(content, layout, previous, &Floors::new(), terms, now)
}

/// What [`assemble_above`] would sign, without any key.
pub fn plan_above(
    content: &Content,
    layout: &Layout,
    previous: &StagedRepository,
    floors: &Floors,
    terms: &Terms,
    now: Timestamp,
) -> Result<Vec<Change>, PublisherError> {
    let repository = roots(previous)?;
    let Previous { root, roles } = Previous::verify(previous, layout)?;
    let known = Known::of_hub(&roles);
    let mut work = Work::new(roles, known, floors, None, repository, now);
    work.run(&root, content, layout, terms)?;
    Ok(work.changes)
}

/// What a change of keys is measured against.
#[derive(Debug)]
pub(super) struct Known {
    /// A vendor's own role as agents believe it, where that is not what its keys of now signed.
    pub(super) own: Option<Document<Targets>>,
    /// Whether nothing was published by this publisher.
    pub(super) is_first: bool,
}

impl Known {
    /// The admin has published once targets was.
    fn of_hub(roles: &Roles) -> Self {
        Self { own: None, is_first: roles.get(&targets_role()).is_none() }
    }
}

/// One run of a publisher.
pub(super) struct Work<'a> {
    previous: Roles,
    known: Known,
    floors: &'a Floors,
    /// Absent in a plan, which signs nothing.
    keyring: Option<&'a mut dyn Keyring>,
    now: Timestamp,
    repository: StagedRepository,
    pub(super) changes: Vec<Change>,
}

impl<'a> Work<'a> {
    /// Begins with what needs no signature: the roots, where there are any.
    pub(super) fn new(
        previous: Roles,
        known: Known,
        floors: &'a Floors,
        keyring: Option<&'a mut dyn Keyring>,
        repository: StagedRepository,
        now: Timestamp,
    ) -> Self {
        Self { previous, known, floors, keyring, now, repository, changes: Vec::new() }
    }

    /// The set with the bytes of its targets.
    pub(super) fn finish(
        mut self,
        content: &Content,
        root_expires: Option<Timestamp>,
        revoked: Vec<RoleName>,
    ) -> Assembly {
        for (path, bytes) in content.targets() {
            self.repository.put_target(path, bytes.clone());
        }
        Assembly { repository: self.repository, changes: self.changes, root_expires, revoked }
    }

    /// All roles, delegates before their delegators; returns [`Assembly::root_expires`].
    fn run(
        &mut self,
        root: &Document<Root>,
        content: &Content,
        layout: &Layout,
        terms: &Terms,
    ) -> Result<Option<Timestamp>, PublisherError> {
        check_vendors(content, |vendor| layout.vendors.keys().any(|name| name.as_str() == vendor))?;
        let root_expires = self.root(root, layout, terms)?;
        for (vendor, keys) in &layout.vendors {
            self.vendor(vendor, keys, content, terms)?;
        }
        let top = targets_role();
        let delegations = named(&top, top_delegations(layout))?;
        let none = BTreeMap::new();
        self.role(&top, &layout.targets, terms.targets_days, &none, &delegations)?;
        Ok(root_expires)
    }

    /// Vendors that the published targets name and the layout does not.
    fn revoked(&self, layout: &Layout) -> Result<Vec<RoleName>, PublisherError> {
        let top = targets_role();
        let after = named(&top, top_delegations(layout))?;
        let before = self.previous.get(&top).map(|top| top.body.delegations.as_slice());
        let before = before.unwrap_or_default().iter().map(|delegation| &delegation.name);
        let gone = before.filter(|name| !after.iter().any(|delegation| delegation.role == **name));
        Ok(gone.cloned().collect())
    }

    /// Renews root when it is due and its keys are at hand; otherwise says until when it is valid.
    fn root(
        &mut self,
        newest: &Document<Root>,
        layout: &Layout,
        terms: &Terms,
    ) -> Result<Option<Timestamp>, PublisherError> {
        if !layout.targets.accepts_like(newest.body.keys(TopRole::Targets)) {
            return Err(PublisherError::TargetsKeys { version: newest.body.version });
        }
        if !root::is_root_due(newest, terms, self.now) {
            return Ok(None);
        }
        let (role, keys) = (RoleName::from(TopRole::Root), &layout.root.keys);
        if let Some(keyring) = self.keyring.as_deref_mut() {
            let here = keys.keys.iter().filter(|key| keyring.is_at_hand(key)).count();
            if !usize::try_from(keys.threshold).is_ok_and(|threshold| here >= threshold) {
                // Root keys are offline more often than not; the caller warns and goes on.
                return Ok(Some(newest.body.expires));
            }
            // In a run that only drafts, they sign in a later one.
            if !matches!(keyring.turn(&role, keys), Turn::Skip) {
                let bytes = root::renew(newest, keyring, terms, self.now)?;
                self.stage(&role, bytes)?;
            }
        }
        let version = newest.body.version.saturating_add(1);
        let none = (BTreeMap::new(), BTreeMap::new());
        self.changes.push(Change::of(&role, version, Why::Expiry, &none.0, &none.1));
        Ok(None)
    }

    /// The three roles of one vendor.
    pub(super) fn vendor(
        &mut self,
        vendor: &VendorName,
        keys: &VendorKeys,
        content: &Content,
        terms: &Terms,
    ) -> Result<(), PublisherError> {
        let releases = named(&targets_role(), releases_role(vendor))?;
        let channels = named(&targets_role(), channels_role(vendor))?;
        let own = named(&targets_role(), vendor_role(vendor))?;
        let entries = |kind| -> BTreeMap<TargetPath, TargetEntry> {
            let entry =
                |(path, bytes): (&TargetPath, &Vec<u8>)| (path.clone(), TargetEntry::of(bytes));
            content.of(vendor, kind).map(entry).collect()
        };
        let documents = entries(Kind::Releases);
        self.check_immutable(&releases, &documents)?;
        self.role(&releases, &keys.releases, terms.releases_days, &documents, &[])?;
        let graphs = entries(Kind::Channels);
        self.role(&channels, &keys.channels, terms.channels_days, &graphs, &[])?;
        let delegations = named(&own, vendor_delegations(vendor, keys))?;
        self.role(&own, &keys.vendor, terms.vendor_days, &BTreeMap::new(), &delegations)
    }

    fn check_immutable(
        &self,
        role: &RoleName,
        documents: &BTreeMap<TargetPath, TargetEntry>,
    ) -> Result<(), PublisherError> {
        let Some(before) = self.previous.get(role) else { return Ok(()) };
        for (path, info) in &before.body.targets {
            let path = named(role, TargetPath::new(path.clone()))?;
            match documents.get(&path) {
                None => return Err(PublisherError::ReleaseRemoved { path }),
                Some(entry) if info.hashes.as_sha256() != Some(entry.digest) => {
                    return Err(PublisherError::ReleaseChanged { path });
                }
                Some(_) => {}
            }
        }
        Ok(())
    }

    /// Keeps the published metadata of a role, or signs it anew under the next version.
    fn role(
        &mut self,
        role: &RoleName,
        keys: &RoleKeys,
        days: u32,
        targets: &BTreeMap<TargetPath, TargetEntry>,
        delegations: &[Delegation],
    ) -> Result<(), PublisherError> {
        let floor = self.floors.get(role).copied().unwrap_or(0);
        let before = self.previous.get(role);
        let Some(why) = self.why(role, keys, days, floor, |version, expires| {
            build(role, version, expires, targets, delegations, &[])
        })?
        else {
            let raw = before.map(|before| before.raw().to_vec()).unwrap_or_default();
            return self.stage(role, raw);
        };
        let version = next_version(role, before.map_or(0, |before| before.body.version), floor)?;
        let out_of_range = || PublisherError::Expiry { role: role.clone() };
        let expires = expiry(self.now, days).ok_or_else(out_of_range)?;
        let unsigned = build(role, version, expires, targets, delegations, &[])?;
        let mut change =
            Change::of(role, version, why, &before.map(listed).unwrap_or_default(), targets);
        let known = self.known.own.as_ref().filter(|known| known.role() == role).or(before);
        let known = known.map(|known| known.body.delegations.as_slice()).unwrap_or_default();
        change.trust = delegation_changes(known, &parse(role, &unsigned)?.body.delegations);
        change.is_first = self.known.is_first;
        let signed = match self.keyring.as_deref_mut() {
            None => None,
            Some(keyring) => {
                let build = |expires, signers: &[&dyn Signer]| {
                    build(role, version, expires, targets, delegations, signers)
                };
                let next = Next { role, keys, unsigned: |expires| build(expires, &[]) };
                match keyring.turn(role, keys) {
                    Turn::Here => Some(sign(role, keys, keyring, |all| build(expires, all))?),
                    Turn::Signed(request) => Some(next.accept(request, self.now)?),
                    Turn::Skip => None,
                    Turn::Draft => {
                        let keys_before = self.previous.keys_of(role);
                        keyring.take_draft(next.draft(before, keys_before, expires)?);
                        None
                    }
                }
            }
        };
        if let Some(bytes) = signed {
            self.stage(role, bytes)?;
        }
        self.changes.push(change);
        Ok(())
    }

    /// Why a role must be signed again; nothing if what was published of it is still right.
    fn why(
        &self,
        role: &RoleName,
        keys: &RoleKeys,
        days: u32,
        floor: u64,
        build: impl Fn(u64, Timestamp) -> Result<Vec<u8>, PublisherError>,
    ) -> Result<Option<Why>, PublisherError> {
        let Some(before) = self.previous.get(role) else {
            // Somebody's, but not signed by keys that sign now.
            return Ok(Some(if floor > 0 { Why::Keys } else { Why::New }));
        };
        let (version, expires) = (before.body.version, before.body.expires);
        if version < floor {
            return Ok(Some(Why::Keys));
        }
        let same = parse(role, &build(version, expires)?)?.canonical() == before.canonical();
        Ok(if !same {
            Some(Why::Content)
        } else if before.verify(&keys.key_set()).is_err() {
            Some(Why::Keys)
        } else if is_due(expires, days, self.now) {
            Some(Why::Expiry)
        } else {
            None
        })
    }

    fn stage(&mut self, role: &RoleName, bytes: Vec<u8>) -> Result<(), PublisherError> {
        self.repository.put_metadata(role, bytes).map(|_version| ()).map_err(error::build(role))
    }
}

/// Signs a role with keys that are here.
pub(super) fn sign(
    role: &RoleName,
    keys: &RoleKeys,
    keyring: &mut dyn Keyring,
    build: impl Fn(&[&dyn Signer]) -> Result<Vec<u8>, PublisherError>,
) -> Result<Vec<u8>, PublisherError> {
    let signers = keyring
        .open(role, keys)
        .map_err(|source| PublisherError::Keys { role: role.clone(), source })?;
    let signers: Vec<&dyn Signer> = signers.iter().map(AsRef::as_ref).collect();
    let bytes = build(&signers)?;
    check_threshold(&parse(role, &bytes)?, &keys.key_set())?;
    Ok(bytes)
}

/// Every root that was published: a client walks them all.
fn roots(previous: &StagedRepository) -> Result<StagedRepository, PublisherError> {
    let root = RoleName::from(TopRole::Root);
    let mut roots = StagedRepository::new();
    for (name, bytes) in previous.files() {
        if matches!(name, FileName::Metadata { role, .. } if *role == root) {
            roots.put_metadata(&root, bytes.to_vec()).map_err(error::build(&root))?;
        }
    }
    Ok(roots)
}

/// Requires that every target is of a vendor whose keys are configured here.
pub(super) fn check_vendors(
    content: &Content,
    is_ours: impl Fn(&str) -> bool,
) -> Result<(), PublisherError> {
    for path in content.targets().keys() {
        let vendor = vendor_of(path);
        if !is_ours(vendor) {
            let vendor = vendor.to_owned();
            return Err(PublisherError::StrangeVendor { vendor, path: path.clone() });
        }
    }
    Ok(())
}

/// Fails unless enough of `keys` have signed.
pub(super) fn check_threshold<T: Body>(
    document: &Document<T>,
    keys: &KeySet,
) -> Result<(), PublisherError> {
    let valid = u64::try_from(document.signers(keys).len()).unwrap_or(u64::MAX);
    if valid < keys.threshold {
        let role = document.role().clone();
        return Err(PublisherError::Signatures { role, valid, threshold: keys.threshold });
    }
    Ok(())
}

fn build(
    role: &RoleName,
    version: u64,
    expires: Timestamp,
    targets: &BTreeMap<TargetPath, TargetEntry>,
    delegations: &[Delegation],
    signers: &[&dyn Signer],
) -> Result<Vec<u8>, PublisherError> {
    repository::build_targets(version, expires, targets, delegations, signers)
        .map_err(error::build(role))
}

fn parse(role: &RoleName, bytes: &[u8]) -> Result<Document<Targets>, PublisherError> {
    Document::parse(role, bytes).map_err(error::previous(role))
}

fn listed(document: &Document<Targets>) -> BTreeMap<String, Option<signing::Sha256Digest>> {
    let entry = |(path, info): (&String, &signing::metadata::TargetInfo)| {
        (path.clone(), info.hashes.as_sha256())
    };
    document.body.targets.iter().map(entry).collect()
}

/// Names the role that a bad name would have spoiled.
pub(super) fn named<T>(role: &RoleName, result: Result<T, NameError>) -> Result<T, PublisherError> {
    result.map_err(|source| error::build(role)(source.into()))
}
