//! One export under a view: the hub's files without its root, snapshot and timestamp, and the
//! view's own in their place.

use std::path::Path;

use channels::names::ProductRef;
use channels::version::ReleaseVersion;
use jiff::Timestamp;
use signing::metadata::{Document, Root};
use signing::{
    Attack, Client, DirStore, FileName, MetaPin, RoleName, TopRole, build_snapshot, build_timestamp,
};

use super::dir::{Signed, View};
use super::error::ViewError;
use super::hub::{Files, Hub, Origin, as_source};
use super::plan::HolderKind;
use super::{keys, plan};
use crate::error::Error;
use crate::export::{fetch_release, trust};

/// Signs the view of what was fetched from the hub, for an export of one release.
///
/// What comes back was read by a client as a site has it, from the view's first root and with the
/// floors of everything that this view gave out before.
pub(crate) async fn publish(
    dir: &Path,
    hub: Hub<'_>,
    product: &ProductRef,
    version: &ReleaseVersion,
    now: Timestamp,
) -> Result<Files, Error> {
    let mut view = View::open(dir)?;
    let roots = view.roots()?;
    let newest = view.newest_root()?.ok_or_else(|| ViewError::NoRoot { dir: dir.to_owned() })?;
    hub.no_older_than(&view.seen(), now).await?;
    let origin = hub.origin()?;
    check_root(&newest, &origin, view.state.holders, now)?;
    let signers = keys::open(&view.keys(), &newest.body)?;

    // Spent before they are signed: a version is never given to two sets, whatever breaks here.
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
    fetch_release(&mut site, product, version, now).await?;
    Ok(files)
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
    signers: &[signing::SecretKey; 2],
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
