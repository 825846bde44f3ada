//! Which vendors a bundle's hub delegates to, for a site that makes a root of its own.
//!
//! Reads and verifies only; whoever holds the site's keys signs what follows from it.

use std::path::PathBuf;

use channels::names::VendorName;
use jiff::Timestamp;
use signing::metadata::DelegatedRole;
use signing::{Delegation, MemStore, TopRole};

use crate::belief::{
    AcceptExpired, TufFiles, at_a_good_moment, keep_seen, recording, refreshed, seen,
};
use crate::bundle::{BundleDir, BundleManifest};
use crate::error::Error;
use crate::import::{ImportError, tuf_files};
use crate::metadata::{fetch_release, trust};

/// Which bundle to read, and from which root.
#[derive(Debug)]
pub struct VendorsRequest {
    /// The bundle: its directory or its manifest.
    pub bundle: PathBuf,
    /// The root of the view it was made under, pinned beforehand by a way of its own.
    pub root: Vec<u8>,
    /// Where the site remembers which versions of the view's metadata it has seen.
    pub state: Option<PathBuf>,
    /// A person's leave to use metadata that expired on its way.
    pub accept_expired: Option<AcceptExpired>,
}

/// The vendors of a verified bundle's hub.
#[derive(Debug, Clone)]
pub struct CarriedVendors {
    /// What the bundle says of itself.
    pub manifest: BundleManifest,
    /// Each vendor with the delegation of the hub's top-level targets, in the order written there.
    pub vendors: Vec<(VendorName, Delegation)>,
    /// The moment the metadata was verified as of, if it has expired since and that was accepted.
    pub expired_as_of: Option<Timestamp>,
}

/// Verifies the bundle's metadata from the pinned root, down to the releases it carries, and its
/// manifest, and reads the vendors' delegations. Images are not looked at.
///
/// # Errors
/// Whatever an import would refuse of the metadata, and delegations that a site cannot repeat.
pub async fn vendors(
    request: &VendorsRequest,
    now: Timestamp,
) -> Result<CarriedVendors, ImportError> {
    if let Some(leave) = &request.accept_expired {
        leave.check(request.state.as_deref())?;
    }
    let dir = BundleDir::open(&request.bundle, &[])?;
    let files = tuf_files(&dir)?;
    let floors = request.state.as_deref().map(seen).transpose()?.unwrap_or_default();
    let believed = believe(request, &files, &floors, dir.claims(), now).await?;
    let ((keys, found), expired_as_of) = believed;
    let manifest = dir.verify(&keys)?.into_inner();
    if let Some(state) = &request.state {
        keep_seen(state, &floors)?;
    }
    let vendors = found.iter().map(vendor).collect::<Result<Vec<_>, _>>()?;
    Ok(CarriedVendors { manifest, vendors, expired_as_of })
}

type Found = (signing::KeySet, Vec<DelegatedRole>);

async fn believe(
    request: &VendorsRequest,
    files: &TufFiles,
    floors: &MemStore,
    claims: &BundleManifest,
    now: Timestamp,
) -> Result<(Found, Option<Timestamp>), Error> {
    let refused = "the carried repository";
    let verify = async |now: Timestamp| {
        let recording = recording(files);
        let mut client = refreshed(&recording, files, &request.root, floors, now).await?;
        for release in &claims.releases {
            fetch_release(&mut client, &release.product, &release.version, now).await?;
        }
        let keys = client.keys(TopRole::Snapshot, now).map_err(trust(refused))?.clone();
        Ok((keys, client.delegations(now).map_err(trust(refused))?))
    };
    at_a_good_moment(files, request.accept_expired.as_ref(), now, verify).await
}

/// The delegation as a site can sign it again, meaning exactly the same.
fn vendor(role: &DelegatedRole) -> Result<(VendorName, Delegation), Error> {
    let refuse = |why: &str| Error::Delegation { role: role.name.to_string(), why: why.to_owned() };
    let name: VendorName =
        role.name.as_str().parse().map_err(|_| refuse("the name is not a vendor's"))?;
    let own = format!("{name}/");
    if role.patterns().is_empty() || !role.patterns().iter().all(|path| path.starts_with(&own)) {
        return Err(refuse("it covers more than the vendor's own paths"));
    }
    // Signatures name keys by the ids their delegator gave them, and a site writes its own.
    if role.keys.keys.iter().any(|(id, key)| *id != key.key_id()) {
        return Err(refuse("a key has an id of another kind than this version writes"));
    }
    let threshold = u32::try_from(role.keys.threshold).ok();
    let reachable =
        threshold.filter(|t| usize::try_from(*t).is_ok_and(|t| t <= role.keys.keys.len()));
    let threshold =
        reachable.ok_or_else(|| refuse("fewer usable keys than signatures that it asks for"))?;
    let delegation = Delegation {
        role: role.name.clone(),
        keys: role.keys.keys.values().cloned().collect(),
        threshold,
        paths: role.patterns().to_vec(),
        terminating: role.terminating,
    };
    Ok((name, delegation))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use signing::metadata::{Document, Targets};
    use signing::{RoleName, SecretKey, TopRole, build_targets};

    use super::*;

    /// The delegation as a site reads it, from metadata with `from` replaced by `to`.
    fn read(name: &str, path: &str, from: &str, to: &str) -> Result<Delegation, String> {
        let key = SecretKey::from_seed([1; 32]);
        let delegation = Delegation {
            role: RoleName::new(name).unwrap(),
            keys: vec![key.public().clone()],
            threshold: 1,
            paths: vec![path.to_owned()],
            terminating: true,
        };
        let expires = "2027-01-01T00:00:00Z".parse().unwrap();
        let bytes = build_targets(1, expires, &BTreeMap::new(), &[delegation], &[&key]).unwrap();
        let text = String::from_utf8(bytes).unwrap().replace(from, to);
        let role = TopRole::Targets.into();
        let document = Document::<Targets>::parse(&role, text.as_bytes()).unwrap();
        let [role] = &document.body.delegations[..] else { unreachable!("one delegation") };
        vendor(role).map(|(_, delegation)| delegation).map_err(|error| error.to_string())
    }

    #[test]
    fn a_delegation_is_repeated_as_it_is() {
        let found = read("acme", "acme/*/*", "\"terminating\":true", "\"terminating\":false");
        let found = found.unwrap();
        assert_eq!((found.threshold, found.terminating), (1, false));
        assert_eq!(found.paths, ["acme/*/*"]);
        assert_eq!(found.keys, [SecretKey::from_seed([1; 32]).public().clone()]);
    }

    #[test]
    fn a_delegation_that_a_site_cannot_repeat_is_refused() {
        let id = SecretKey::from_seed([1; 32]).public().key_id();
        for (name, path, from, to, why) in [
            ("acme.releases", "acme/*/*", "", "", "the name is not a vendor's"),
            ("acme", "*/*/*", "", "", "more than the vendor's own paths"),
            ("acme", "acme/*/*", id.as_str(), "1", "a key has an id of another kind"),
            ("acme", "acme/*/*", "\"threshold\":1", "\"threshold\":2", "fewer usable keys"),
            (
                "acme",
                "acme/*/*",
                "\"paths\":[\"acme/*/*\"]",
                "\"path_hash_prefixes\":[\"0\"]",
                "more than",
            ),
        ] {
            let error = read(name, path, from, to).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }
}
