//! What is published together with a new root, and only that.
//!
//! A root that names other targets keys makes the published `targets` worthless, so it goes out with
//! the next version of `targets`, the same in all but signature and date.

use jiff::Timestamp;
use signing::metadata::{DelegatedRole, Document, Root, TargetInfo, Targets};
use signing::{
    Delegation, RoleName, Signer, StagedRepository, TargetEntry, TargetPath, TopRole, repository,
};

use super::assemble::{check_threshold, named};
use super::error::{self, PublisherError};
use super::keyring::Keyring;
use super::layout::{Layout, Terms, expiry, targets_role};
use super::previous::TrustedRoots;
use super::root::key_list;

/// A new root and what must accompany it.
#[derive(Debug, Clone)]
pub struct Succession {
    /// Every root, and `targets` if it had to be signed again.
    pub repository: StagedRepository,
    /// Version of the new root.
    pub root_version: u64,
    /// Version of `targets`, if it goes out with the root.
    pub targets_version: Option<u64>,
}

/// Puts `root` on top of what was published. It must follow the published roots as a client would
/// follow them, and name the root and targets keys of `layout`.
pub fn succeed(
    published: &StagedRepository,
    layout: &Layout,
    root: &[u8],
    keyring: &mut dyn Keyring,
    terms: &Terms,
    now: Timestamp,
) -> Result<Succession, PublisherError> {
    let role = RoleName::from(TopRole::Root);
    let mut roots = StagedRepository::new();
    for (_, bytes) in TrustedRoots::files(published) {
        roots.put_metadata(&role, bytes.to_vec()).map_err(error::build(&role))?;
    }
    roots.put_metadata(&role, root.to_vec()).map_err(error::build(&role))?;
    let trusted = TrustedRoots::verify(&roots, &layout.root.pinned)?;
    trusted.check_keys(&layout.root.keys)?;
    let newest = trusted.newest();
    let root_version = newest.body.version;
    if !layout.targets.accepts_like(newest.body.keys(TopRole::Targets)) {
        return Err(PublisherError::TargetsKeys { version: root_version });
    }
    newest
        .check_expiry(now)
        .map_err(|source| PublisherError::RootChain { source: Box::new(source) })?;

    let mut succession = Succession { repository: roots, root_version, targets_version: None };
    let targets = targets_role();
    let Some((_, bytes)) = published.newest(&targets) else { return Ok(succession) };
    let document =
        Document::<Targets>::parse(&targets, bytes).map_err(error::previous(&targets))?;
    if document.verify(newest.body.keys(TopRole::Targets)).is_ok() {
        // Signed again in a run whose answer was lost: it has to be sent once more.
        if trusted.changed_targets_keys() {
            let staged = succession.repository.put_metadata(&targets, bytes.to_vec());
            succession.targets_version = Some(staged.map_err(error::build(&targets))?);
        }
        return Ok(succession);
    }
    trusted.check_targets(&document)?;
    let bytes = sign_again(&document, layout, keyring, terms, now)?;
    let staged = succession.repository.put_metadata(&targets, bytes);
    succession.targets_version = Some(staged.map_err(error::build(&targets))?);
    Ok(succession)
}

fn sign_again(
    document: &Document<Targets>,
    layout: &Layout,
    keyring: &mut dyn Keyring,
    terms: &Terms,
    now: Timestamp,
) -> Result<Vec<u8>, PublisherError> {
    let role = targets_role();
    let range = || PublisherError::Expiry { role: role.clone() };
    let Targets { version, targets, delegations, .. } = &document.body;
    let version = version.checked_add(1).ok_or_else(range)?;
    let expires = expiry(now, terms.targets_days).ok_or_else(range)?;
    let entry = |(path, info): (&String, &TargetInfo)| {
        let path = named(&role, TargetPath::new(path.clone()))?;
        let digest = info.hashes.as_sha256().ok_or_else(|| PublisherError::Previous {
            role: role.clone(),
            source: Box::new(signing::Error::NoSha256 { path: path.clone() }),
        })?;
        Ok((path, TargetEntry { length: info.length, digest, custom: info.custom.clone() }))
    };
    let targets = targets.iter().map(entry).collect::<Result<_, PublisherError>>()?;
    let delegation = |delegate: &DelegatedRole| {
        let (keys, threshold) = key_list(&delegate.keys).ok_or_else(range)?;
        Ok(Delegation {
            role: delegate.name.clone(),
            keys,
            threshold,
            paths: delegate.patterns().to_vec(),
            terminating: delegate.terminating,
        })
    };
    let delegations: Vec<Delegation> =
        delegations.iter().map(delegation).collect::<Result<_, PublisherError>>()?;
    let signers = keyring
        .open(&role, &layout.targets)
        .map_err(|source| PublisherError::Keys { role: role.clone(), source })?;
    let signers: Vec<&dyn Signer> = signers.iter().map(AsRef::as_ref).collect();
    let bytes = repository::build_targets(version, expires, &targets, &delegations, &signers)
        .map_err(error::build(&role))?;
    let signed = Document::<Targets>::parse(&role, &bytes).map_err(error::previous(&role))?;
    check_threshold(&signed, &layout.targets.key_set())?;
    Ok(bytes)
}

/// Requires that a finished root 1 says what `layout` says: there is no earlier root to hold it
/// against.
pub fn check_first_root(root: &[u8], layout: &Layout) -> Result<(), PublisherError> {
    let mut staged = StagedRepository::new();
    let role = RoleName::from(TopRole::Root);
    staged.put_metadata(&role, root.to_vec()).map_err(error::build(&role))?;
    let trusted = TrustedRoots::verify(&staged, root)?;
    trusted.check_keys(&layout.root.keys)?;
    let newest: &Document<Root> = trusted.newest();
    if newest.body.version != 1 {
        return Err(PublisherError::OtherRoot { version: 1 });
    }
    if layout.targets.accepts_like(newest.body.keys(TopRole::Targets)) {
        Ok(())
    } else {
        Err(PublisherError::TargetsKeys { version: 1 })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use signing::SecretKey;
    use signing::repository::request::{Signing, SigningRequest};

    use super::*;
    use crate::publisher::testing::{World, content, day, secret};
    use crate::publisher::{MemoryKeyring, NextRoot, RoleKeys, draft_next_root};

    fn draft(world: &World, root: RoleKeys, targets: RoleKeys) -> SigningRequest {
        let trusted = TrustedRoots::verify(&world.published, &world.root).unwrap();
        let next =
            NextRoot { root, targets, replace_online: BTreeMap::new(), days: 365, renew: true };
        draft_next_root(trusted.newest(), &next, day(1)).unwrap()
    }

    fn signed(request: &SigningRequest, keys: &[SecretKey]) -> Vec<u8> {
        let mut request = request.clone();
        for key in keys {
            if let Signing::Added(more) = request.add_signature(key, day(1)).unwrap() {
                request = *more;
            }
        }
        request.completed().unwrap()
    }

    fn try_succeed(world: &mut World, root: &[u8]) -> Result<Succession, PublisherError> {
        let terms = Terms::default();
        succeed(&world.published, &world.layout, root, &mut world.keyring, &terms, day(1))
    }

    #[test]
    fn a_rotated_root_key_goes_out_alone_and_clients_follow() {
        let mut world = World::new();
        world.publish(&content(&["1.0.0"]), day(0));
        let keys = RoleKeys::single(secret(50).public().clone());
        let request = draft(&world, keys.clone(), world.layout.targets.clone());
        let root = signed(&request, &[secret(1), secret(50)]);
        world.layout.root.keys = keys;
        let succession = try_succeed(&mut world, &root).unwrap();
        assert_eq!((succession.root_version, succession.targets_version), (2, None));
        assert_eq!(succession.repository.files().count(), 2);
        world.published.put_metadata(&TopRole::Root.into(), root).unwrap();
        let (_, verified) = world.publish(&content(&["1.0.0"]), day(2));
        assert_eq!(verified.versions.root, 2);
    }

    #[test]
    fn new_targets_keys_sign_the_same_targets_again() {
        let mut world = World::new();
        world.publish(&content(&["1.0.0"]), day(0));
        let targets = RoleKeys::single(world.keyring.add(secret(51)));
        let root =
            signed(&draft(&world, world.layout.root.keys.clone(), targets.clone()), &[secret(1)]);
        world.layout.targets = targets;
        let succession = try_succeed(&mut world, &root).unwrap();
        assert_eq!(succession.targets_version, Some(2));
        for (name, bytes) in succession.repository.files() {
            world.published.put_file(&name.relative_path(), bytes.to_vec()).unwrap();
        }
        let (assembly, verified) = world.publish(&content(&["1.0.0"]), day(2));
        assert_eq!((assembly.changes.len(), verified.versions.root), (0, 2));
    }

    #[test]
    fn new_targets_keys_that_are_not_at_hand_are_asked_for() {
        let mut world = World::new();
        world.publish(&content(&["1.0.0"]), day(0));
        let targets = RoleKeys::single(secret(51).public().clone());
        let request = draft(&world, world.layout.root.keys.clone(), targets.clone());
        let root = signed(&request, &[secret(1)]);
        world.layout.targets = targets;
        let error = try_succeed(&mut world, &root).unwrap_err();
        assert!(
            matches!(&error, PublisherError::Keys { role, .. } if *role == targets_role()),
            "{error}"
        );
    }

    #[test]
    fn a_root_that_says_otherwise_than_the_configuration_is_not_published() {
        let mut world = World::new();
        world.publish(&content(&["1.0.0"]), day(0));
        let keys = RoleKeys::single(secret(50).public().clone());
        let request = draft(&world, keys, world.layout.targets.clone());
        let root = signed(&request, &[secret(1), secret(50)]);
        let error = try_succeed(&mut world, &root).unwrap_err();
        assert!(matches!(error, PublisherError::RootKeys { version: 2, .. }), "{error}");
    }

    #[test]
    fn a_root_that_the_old_keys_did_not_sign_is_not_published() {
        let mut world = World::new();
        world.publish(&content(&["1.0.0"]), day(0));
        let keys = RoleKeys::single(secret(50).public().clone());
        let request = draft(&world, keys.clone(), world.layout.targets.clone());
        world.layout.root.keys = keys;
        let Signing::Added(half) = request.add_signature(&secret(50), day(1)).unwrap() else {
            panic!()
        };
        let error = try_succeed(&mut world, half.draft()).unwrap_err();
        assert!(matches!(error, PublisherError::RootChain { .. }), "{error}");
    }

    #[test]
    fn a_first_root_is_held_against_the_configuration() {
        let mut world = World::new();
        let root = world.root.clone();
        check_first_root(&root, &world.layout).unwrap();
        world.layout.targets = RoleKeys::single(secret(60).public().clone());
        let error = check_first_root(&root, &world.layout).unwrap_err();
        assert!(matches!(error, PublisherError::TargetsKeys { .. }), "{error}");
        world.layout.root.keys = RoleKeys::single(secret(60).public().clone());
        let error = check_first_root(&root, &world.layout).unwrap_err();
        assert!(matches!(error, PublisherError::RootKeys { .. }), "{error}");
        world.keyring = MemoryKeyring::default();
    }
}
