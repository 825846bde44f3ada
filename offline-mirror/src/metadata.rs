//! Copies a TUF repository by watching a verifying client read it.
//!
//! Among what the client fetched is everything that another client needs to come to the same
//! belief, so the copy is complete without a second walk over the repository. It may hold more: the
//! older roots, and a file that the client fetched and refused. Nothing is believed for being in
//! the copy; whoever reads it verifies it again.

use std::collections::{BTreeMap, BTreeSet};

use channels::names::{ProductRef, VendorName};
use channels::version::ReleaseVersion;
use channels::wire::{Critical as _, ReleaseDocument};
use jiff::Timestamp;
use signing::client::limits::{MAX_ROOT_BYTES, MAX_ROOT_ROTATIONS};
use signing::metadata::{Document, Root, Snapshot, Targets, TimestampMetadata};
use signing::{
    Client, Fetched, FileName, MemStore, Recording, RoleName, Source, SourceError, Store, Target,
    TargetPath, TopRole, Verified,
};

use crate::error::Error;
use crate::feed::belongs_to;

/// Folder of the TUF repository in a bundle.
pub(crate) const TUF_DIR: &str = "tuf";

/// Copies the roots before `pinned` too, for sites that pinned one of those. They are taken as they
/// come: a site's client walks the chain from its own root and believes nothing else.
pub(crate) async fn copy_roots_before<S: Source>(
    recording: &Recording<S>,
    pinned: u64,
) -> Result<(), SourceError> {
    for version in (pinned.saturating_sub(MAX_ROOT_ROTATIONS).max(1)..pinned).rev() {
        let root = FileName::root(version);
        if recording.fetch(&root, MAX_ROOT_BYTES, None).await? == Fetched::NotFound {
            break;
        }
    }
    Ok(())
}

/// Names the step a TUF error belongs to.
pub(crate) fn trust(what: impl Into<String>) -> impl FnOnce(signing::Error) -> Error {
    let what = what.into();
    move |source| Error::Trust { what, source: Box::new(source) }
}

/// Fetches and checks the release document: signed, and saying what its path says.
pub(crate) async fn fetch_release<S: Source, T: Store>(
    client: &mut Client<S, T>,
    product: &ProductRef,
    version: &ReleaseVersion,
    now: Timestamp,
) -> Result<ReleaseDocument, Error> {
    let path = ReleaseDocument::target_path(product, version);
    let bytes = fetch(client, &path, now).await?;
    let refuse = |why: String| Error::Document { path: path.clone(), why };
    let document: ReleaseDocument =
        serde_json::from_slice(&bytes).map_err(|e| refuse(e.to_string()))?;
    document.check_critical().map_err(|e| refuse(e.to_string()))?;
    if document.product_ref() != *product || document.version != *version {
        let found = format!("{} {}", document.product_ref(), document.version);
        return Err(Error::WrongSoftware { path, found });
    }
    Ok(document)
}

async fn fetch<S: Source, T: Store>(
    client: &mut Client<S, T>,
    path: &str,
    now: Timestamp,
) -> Result<Vec<u8>, Error> {
    let refuse = |why: String| Error::Document { path: path.to_owned(), why };
    let target_path: TargetPath = path.parse().map_err(|e| refuse(format!("{e}")))?;
    let target = client
        .target(&target_path, now)
        .await
        .map_err(trust(path))?
        .ok_or_else(|| Error::NotListed { what: path.to_owned() })?;
    Ok(client.fetch_target(&target).await.map_err(trust(path))?.into_inner())
}

/// Reads every release document and graph of the vendor. The roles that list them cross whole and
/// cannot be cut, and a server takes no role whose files it does not have.
pub(crate) async fn copy_targets<S: Source>(
    client: &mut Client<S, MemStore>,
    vendor: &VendorName,
    now: Timestamp,
) -> Result<Vec<(TargetPath, Vec<u8>)>, Error> {
    let mut found = Vec::new();
    for kind in ["releases", "channels"] {
        let role: RoleName = format!("{vendor}.{kind}").parse().map_err(|e| Error::Document {
            path: format!("{vendor}.{kind}"),
            why: format!("{e}"),
        })?;
        let targets: Vec<Verified<Target>> =
            client.listed_targets(&role, now).await.map_err(trust(role.to_string()))?;
        for target in &targets {
            let bytes =
                client.fetch_target(target).await.map_err(trust(target.path.to_string()))?;
            found.push((target.path.clone(), bytes.into_inner()));
        }
    }
    Ok(found)
}

/// When the first of these files expires: top-level roles, and the targets roles of `vendors`. Of the
/// roots only the newest counts, which is the last by name: older ones are carried unread, and what
/// they say of themselves is nobody's word.
///
/// # Errors
/// When a file, which a client believed, cannot be read again.
pub(crate) fn good_until(
    files: &BTreeMap<FileName, Vec<u8>>,
    vendors: &BTreeSet<VendorName>,
) -> Result<Option<Timestamp>, signing::Error> {
    let mut earliest: Option<Timestamp> = None;
    let newest_root = files.keys().filter_map(root_version).max();
    for (name, bytes) in files {
        let FileName::Metadata { role, .. } = name else { continue };
        let expires = match role.as_top() {
            Some(TopRole::Root) if root_version(name) != newest_root => continue,
            Some(TopRole::Root) => Document::<Root>::parse(role, bytes)?.body.expires,
            Some(TopRole::Timestamp) => {
                Document::<TimestampMetadata>::parse(role, bytes)?.body.expires
            }
            Some(TopRole::Snapshot) => Document::<Snapshot>::parse(role, bytes)?.body.expires,
            None if !vendors.iter().any(|v| belongs_to(v.as_str(), role.as_str())) => continue,
            Some(TopRole::Targets) | None => Document::<Targets>::parse(role, bytes)?.body.expires,
        };
        earliest = Some(earliest.map_or(expires, |earliest| earliest.min(expires)));
    }
    Ok(earliest)
}

/// The version in a root's name.
fn root_version(name: &FileName) -> Option<u64> {
    match name {
        FileName::Metadata { role, version } if role.as_top() == Some(TopRole::Root) => *version,
        FileName::Metadata { .. } | FileName::Target { .. } => None,
    }
}
