//! What is published together with a new root, and only that.
//!
//! A root that names other targets keys makes the published `targets` worthless, so it goes out with
//! the next version of `targets`, which delegates as is configured.

use std::collections::BTreeMap;

use jiff::Timestamp;
use signing::metadata::{Document, KeySet, Root, Targets};
use signing::repository::request::delegation_changes;
use signing::{Delegation, RoleName, Signer, StagedRepository, TopRole, repository};

use super::TrustChange;
use super::assemble::{named, sign};
use super::error::{self, PublisherError};
use super::keyring::{Keyring, Turn};
use super::layout::{Layout, Terms, expiry, next_version, targets_role, top_delegations};
use super::previous::TrustedRoots;
use super::turns::Next;

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
///
/// What the former targets keys signed is followed and never copied: they may have been stolen. The
/// new keys sign the delegations of `layout`; where those differ from the published ones, only if
/// the caller `accepts_changes` or the holders of the keys signed by request.
pub fn succeed(
    published: &StagedRepository,
    layout: &Layout,
    root: &[u8],
    accepts_changes: bool,
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
    let is_signed = document.verify(newest.body.keys(TopRole::Targets)).is_ok();
    if is_signed && !trusted.changed_targets_keys() {
        return Ok(succession);
    }
    let before = trusted.former_targets_keys(&document)?;
    let delegations = named(&targets, top_delegations(layout))?;
    // Signed again in a run whose answer was lost: it has to be sent once more.
    let again = if is_signed && is_as_configured(&document, &delegations)? {
        Some(bytes.to_vec())
    } else {
        let changes = changes(&document, &delegations)?;
        // Whoever signed by request was shown the changes.
        let accepted =
            accepts_changes || matches!(keyring.turn(&targets, &layout.targets), Turn::Signed(_));
        if !changes.is_empty() && !accepted {
            return Err(PublisherError::Delegations { version: document.body.version, changes });
        }
        sign_again(&document, before, layout, keyring, terms, now)?
    };
    if let Some(bytes) = again {
        let staged = succession.repository.put_metadata(&targets, bytes);
        succession.targets_version = Some(staged.map_err(error::build(&targets))?);
    }
    Ok(succession)
}

/// Whether `document` is what would be signed now, but for its version and date.
fn is_as_configured(
    document: &Document<Targets>,
    delegations: &[Delegation],
) -> Result<bool, PublisherError> {
    let (role, Targets { version, expires, .. }) = (targets_role(), &document.body);
    let same = repository::build_targets(*version, *expires, &BTreeMap::new(), delegations, &[])
        .map_err(error::build(&role))?;
    let same = Document::<Targets>::parse(&role, &same).map_err(error::previous(&role))?;
    Ok(same.canonical() == document.canonical())
}

/// What the configured delegations change of `document`, which was published.
fn changes(
    document: &Document<Targets>,
    delegations: &[Delegation],
) -> Result<Vec<TrustChange>, PublisherError> {
    let (role, before) = (targets_role(), &document.body);
    let next = repository::build_targets(1, before.expires, &BTreeMap::new(), delegations, &[])
        .map_err(error::build(&role))?;
    let next = Document::<Targets>::parse(&role, &next).map_err(error::previous(&role))?;
    let mut changes = delegation_changes(&before.delegations, &next.body.delegations);
    let listed = before.targets.keys().cloned();
    changes.extend(listed.map(|path| TrustChange::TargetRemoved { path }));
    Ok(changes)
}

/// The configured delegations under the next version; nothing while they are only drafted.
fn sign_again(
    document: &Document<Targets>,
    before: &KeySet,
    layout: &Layout,
    keyring: &mut dyn Keyring,
    terms: &Terms,
    now: Timestamp,
) -> Result<Option<Vec<u8>>, PublisherError> {
    let role = targets_role();
    let version = next_version(&role, document.body.version, 0)?;
    let expires = expiry(now, terms.targets_days)
        .ok_or_else(|| PublisherError::Expiry { role: role.clone() })?;
    let delegations = named(&role, top_delegations(layout))?;
    let build = |expires, signers: &[&dyn Signer]| {
        repository::build_targets(version, expires, &BTreeMap::new(), &delegations, signers)
            .map_err(error::build(&role))
    };
    let keys = &layout.targets;
    let next = Next { role: &role, keys, unsigned: |expires| build(expires, &[]) };
    match keyring.turn(&role, keys) {
        Turn::Here => sign(&role, keys, keyring, |all| build(expires, all)).map(Some),
        Turn::Signed(request) => next.accept(request, now).map(Some),
        Turn::Skip => Ok(None),
        Turn::Draft => {
            keyring.take_draft(next.draft(Some(document), Some(before), expires)?);
            Ok(None)
        }
    }
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
mod tests;
