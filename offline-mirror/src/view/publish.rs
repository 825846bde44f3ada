//! One bundle under a view: the hub's files without its root, snapshot and timestamp, and the view's
//! own in their place; and the key that signs the bundle's manifest beside them.

use std::path::Path;

use channels::names::ProductRef;
use channels::version::ReleaseVersion;
use jiff::Timestamp;
use signing::metadata::{Document, Root};
use signing::{
    Attack, Client, DirStore, FileName, MetaPin, RoleName, SecretKey, TopRole, build_snapshot,
    build_timestamp,
};

use super::dir::{Signed, View};
use super::error::ViewError;
use super::hub::{Files, Hub, Origin, as_source};
use super::plan::HolderKind;
use super::{keys, plan};
use crate::error::Error;
use crate::metadata::{fetch_release, trust};

/// What a view signed for one bundle.
#[derive(Debug)]
pub(crate) struct Published {
    /// The TUF repository that a site reads.
    pub(crate) files: Files,
    /// The root that they end at, which names the key of the bundle's manifest.
    pub(crate) root: Vec<u8>,
    /// Sequence of the bundle.
    pub(crate) sequence: u64,
}

/// Signs the view of what was fetched from the hub, for one bundle with these releases. `at_sites` is
/// the newest sequence that any of its sites says it has.
///
/// What comes back was read by a client as a site has it, from the view's first root and with the
/// floors of everything that this view gave out before.
///
/// # Errors
/// When the hub went back or its root changed what the view's repeats, when the view's root has
/// ended, or when a site would not believe what was signed.
pub(crate) async fn publish(
    dir: &Path,
    hub: Hub<'_>,
    releases: &[(ProductRef, ReleaseVersion)],
    at_sites: u64,
    now: Timestamp,
) -> Result<Published, Error> {
    let mut view = View::open(dir)?;
    let roots = view.roots()?;
    let newest = view.newest_root()?.ok_or_else(|| ViewError::NoRoot { dir: dir.to_owned() })?;
    hub.no_older_than(&view.seen(), now).await?;
    let origin = hub.origin()?;
    check_root(&newest, &origin, view.state.holders, now)?;
    let signers = keys::open(&view.keys(), &newest.body)?;

    // Spent before they are signed: a version or a sequence is never given to two sets, whatever
    // breaks here.
    let sequence = plan::next_sequence(view.state.bundles, at_sites, now)?;
    view.state.bundles = sequence;
    let before = view.state.versions;
    view.state.versions = Signed {
        snapshot: plan::next_version(TopRole::Snapshot, before.snapshot, now)?,
        timestamp: plan::next_version(TopRole::Timestamp, before.timestamp, now)?,
    };
    view.save()?;

    let mut files = hub.files;
    files.retain(|name, _| !is_replaced(name));
    for (version, bytes) in &roots {
        files.insert(FileName::root(*version), bytes.clone());
    }
    add_online(&mut files, &view, &origin, &signers, now)?;

    let refused = "the view as its sites would see it";
    let store = DirStore::open(view.published())
        .map_err(|source| Error::State { dir: view.published(), source })?;
    let (_, first) = roots.first().ok_or_else(|| ViewError::NoRoot { dir: dir.to_owned() })?;
    let mut site = Client::open(first, as_source(&files), store).map_err(trust(refused))?;
    site.refresh(now).await.map_err(|source| match source.attack() {
        Some(Attack::Rollback) => ViewError::GoesBack { source: Box::new(source) }.into(),
        _ => trust(refused)(source),
    })?;
    for (product, version) in releases {
        fetch_release(&mut site, product, version, now).await?;
    }
    Ok(Published { files, root: newest.raw().to_vec(), sequence })
}

/// The key that signs the manifest of a bundle: that of the snapshot role in the root that the bundle
/// carries, which need not be the newest any more when a long download ends.
///
/// # Errors
/// When the root cannot be read or the key is not in the view's folder.
pub(crate) fn manifest_key(dir: &Path, root: &[u8]) -> Result<SecretKey, Error> {
    let root = Document::<Root>::parse(&TopRole::Root.into(), root)
        .map_err(trust("the root that the bundle carries"))?;
    let [snapshot, _timestamp] = keys::open(&super::dir::keys(dir), &root.body)?;
    Ok(snapshot)
}

/// The files of a bundle that would be made now, as far as they are known: the hub's own snapshot and
/// timestamp stand for the view's, which have nearly the same length.
pub(crate) fn foreseen(hub: &Files, roots: &[(u64, Vec<u8>)]) -> Files {
    let is_root = |name: &FileName| matches!(name, FileName::Metadata { role, .. } if role.as_top() == Some(TopRole::Root));
    let mut files = hub.clone();
    if !roots.is_empty() {
        files.retain(|name, _| !is_root(name));
    }
    files.extend(roots.iter().map(|(version, bytes)| (FileName::root(*version), bytes.clone())));
    files
}

/// Refuses to sign below a root that sites would refuse, that names other targets keys than those
/// that signed what would be carried, or that is still in the hands of holders whom the hub has
/// replaced: keys stolen one after the other must not add up here when they no longer do there.
fn check_root(
    newest: &Document<Root>,
    origin: &Origin,
    holders: HolderKind,
    now: Timestamp,
) -> Result<(), ViewError> {
    let (version, expires) = (newest.body.version, newest.body.expires);
    if expires <= now {
        return Err(ViewError::RootExpired { version, expires });
    }
    let targets = TopRole::Targets;
    if !plan::same_keys(newest.body.keys(targets), origin.root.body.keys(targets)) {
        return Err(ViewError::TargetsKeys { version });
    }
    let root = TopRole::Root;
    let same = plan::same_keys(newest.body.keys(root), origin.root.body.keys(root));
    if holders == HolderKind::Hub && !same {
        return Err(ViewError::RootKeys { version });
    }
    Ok(())
}

/// The hub's own root, snapshot and timestamp mean nothing to a site that pinned a view.
fn is_replaced(name: &FileName) -> bool {
    let FileName::Metadata { role, .. } = name else { return false };
    matches!(role.as_top(), Some(TopRole::Root | TopRole::Snapshot | TopRole::Timestamp))
}

fn add_online(
    files: &mut Files,
    view: &View,
    origin: &Origin,
    signers: &[SecretKey; 2],
    now: Timestamp,
) -> Result<(), ViewError> {
    let [snapshot_key, timestamp_key] = signers;
    let Signed { snapshot, timestamp } = view.state.versions;
    let role = TopRole::Snapshot;
    let expires = plan::expiry(role, now, view.state.days)?;
    let pins = plan::pins(&origin.snapshot.body)?;
    let bytes = build_snapshot(snapshot, expires, &pins, &[snapshot_key])
        .map_err(ViewError::build(role))?;
    let pin = MetaPin::of_snapshot(&bytes).map_err(ViewError::build(role))?;
    let name = FileName::Metadata { role: RoleName::from(role), version: Some(snapshot) };
    files.insert(name, bytes);
    let role = TopRole::Timestamp;
    let expires = plan::expiry(role, now, view.state.days)?;
    let bytes = build_timestamp(timestamp, expires, now, pin, &[timestamp_key])
        .map_err(ViewError::build(role))?;
    files.insert(FileName::timestamp(), bytes);
    Ok(())
}
