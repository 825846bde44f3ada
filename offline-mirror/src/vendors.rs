//! Which vendors an export's hub delegates to, for a site that makes a root of its own.
//!
//! Reads and verifies only; whoever holds the site's keys signs what follows from it.

use std::path::PathBuf;

use channels::names::VendorName;
use jiff::Timestamp;
use signing::Delegation;
use signing::metadata::DelegatedRole;

use crate::belief::{AcceptExpired, at_a_good_moment, recording, refreshed};
use crate::error::Error;
use crate::export::fetch_release;
use crate::record::ExportRecord;

/// Which export to read, and from which root.
#[derive(Debug)]
pub struct VendorsRequest {
    /// The export directory.
    pub dir: PathBuf,
    /// The root of the hub it came from, pinned beforehand by a way of its own.
    pub root: Vec<u8>,
    /// Where the site remembers which versions of the hub's metadata it has seen.
    pub state: Option<PathBuf>,
    /// A person's leave to use metadata that expired on its way.
    pub accept_expired: Option<AcceptExpired>,
}

/// The vendors of a verified export's hub.
#[derive(Debug, Clone)]
pub struct ExportedVendors {
    /// The record of the export.
    pub record: ExportRecord,
    /// Each vendor with the delegation of the hub's top-level targets, in the order written there.
    pub vendors: Vec<(VendorName, Delegation)>,
    /// The moment the metadata was verified as of, if it has expired since and that was accepted.
    pub expired_as_of: Option<Timestamp>,
}

/// Verifies the export's metadata from the pinned root, down to the release it carries, and reads
/// the vendors' delegations. Images are not looked at.
///
/// # Errors
/// Whatever an import would refuse of the metadata, and delegations that a site cannot repeat.
pub async fn vendors(request: &VendorsRequest, now: Timestamp) -> Result<ExportedVendors, Error> {
    if let Some(leave) = &request.accept_expired {
        leave.check(request.state.as_deref())?;
    }
    let record = ExportRecord::read(&request.dir)?;
    let verify = async |now: Timestamp| {
        let recording = recording(&request.dir);
        let state = request.state.as_ref();
        let mut client = refreshed(&recording, &request.dir, &request.root, state, now).await?;
        fetch_release(&mut client, &record.product, &record.version, now).await?;
        let found = client.delegations(now);
        found.map_err(crate::export::trust("the exported repository"))
    };
    let leave = request.accept_expired.as_ref();
    let (found, expired_as_of) = at_a_good_moment(&request.dir, leave, now, verify).await?;
    let vendors = found.iter().map(vendor).collect::<Result<Vec<_>, _>>()?;
    Ok(ExportedVendors { record, vendors, expired_as_of })
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
