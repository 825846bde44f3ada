//! The vendors of a directory, with what its hub has of them.

use std::collections::BTreeSet;

use channels::names::VendorName;
use jiff::Timestamp;
use serde::Serialize;
use signing::metadata::{Document, KeySet, Targets};
use signing::{RoleName, StagedRepository};

use super::publish::roles_of;
use super::served::Served;
use crate::authoring::{Directory, Table};
use crate::error::Result;
use crate::hub::{HubArgs, server_url};
use crate::out::Out;
use crate::publisher::VendorKeys;
use crate::words::fingerprint;

/// One vendor.
#[derive(Debug, Serialize)]
pub(super) struct Found {
    pub(super) vendor: VendorName,
    /// `own`, `delegated` or `imported`.
    pub(super) kind: &'static str,
    /// Its role, then that of its releases and that of its channels.
    pub(super) roles: Vec<FoundRole>,
}

/// One role of a vendor.
#[derive(Debug, Serialize)]
pub(super) struct FoundRole {
    pub(super) role: String,
    /// Keys that must sign; absent when only the vendor could say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) threshold: Option<u64>,
    pub(super) keys: Vec<FoundKey>,
    /// As last seen on the hub, or published from here when the hub cannot be asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) version: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) expires: Option<Timestamp>,
    /// Why agents refuse it, or what is still to be done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) problem: Option<String>,
}

/// One key.
#[derive(Debug, Serialize)]
pub(super) struct FoundKey {
    pub(super) key_id: String,
    pub(super) fingerprint: String,
    /// Where its public half lies here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) file: Option<String>,
}

/// A vendor as `hub.toml` has it.
struct Named<'a> {
    vendor: &'a VendorName,
    kind: &'static str,
    own: KeySet,
    /// Absent for a vendor that keeps them elsewhere.
    keys: Option<&'a VendorKeys>,
}

/// Asks the hub of a directory about its vendors; warns when it does not answer.
pub(super) async fn collect(
    directory: &Directory,
    hub: &HubArgs,
    now: Timestamp,
    out: &mut Out,
) -> Result<Vec<Found>> {
    // Nothing of it asks for a token.
    let server = server_url(hub.server.as_deref().unwrap_or(directory.server()))?;
    let served = match Served::refresh(&server, directory.pinned(), now).await {
        Ok(served) => Some(served),
        Err(error) => {
            out.warn(&format!("shown as last published from here: {error}"))?;
            None
        }
    };
    let here = directory.metadata().load_if_there()?;
    let mut all = Vec::new();
    for named in named(directory) {
        all.push(vendor(&named, directory, served.as_ref(), &here, now).await?);
    }
    Ok(all)
}

fn named(directory: &Directory) -> Vec<Named<'_>> {
    let own = |(vendor, keys)| {
        let keys: &VendorKeys = keys;
        Named { vendor, kind: "own", own: keys.vendor.key_set(), keys: Some(keys) }
    };
    match directory {
        Directory::Vendor(directory) => {
            let layout = directory.layout();
            vec![own((&layout.vendor, &layout.keys))]
        }
        Directory::Hub(authoring) => {
            let layout = authoring.layout();
            let mut all: Vec<Named<'_>> = layout.vendors.iter().map(own).collect();
            all.extend(layout.imported.iter().map(|(vendor, imported)| Named {
                vendor,
                kind: match directory.config().table_of(vendor) {
                    Some(Table::Imported) => "imported",
                    Some(Table::Delegated | Table::Own) | None => "delegated",
                },
                own: imported.keys.key_set(),
                keys: None,
            }));
            all.sort_by_key(|named| named.vendor);
            all
        }
    }
}

async fn vendor(
    named: &Named<'_>,
    directory: &Directory,
    served: Option<&Served>,
    here: &StagedRepository,
    now: Timestamp,
) -> Result<Found> {
    let [own, releases, channels] = roles_of(named.vendor)?;
    let document = newest(&own, served, here).await?;
    let mut first = role(&own, document.as_ref(), Some(&named.own), directory, now);
    if let Some(problem) = served.and_then(|served| undelegated(served, &own, &named.own)) {
        first.problem = Some(problem);
    }
    let trusted = document.filter(|document| document.verify(&named.own).is_ok());
    let mut roles = vec![first];
    let below = [
        (releases, named.keys.map(|keys| keys.releases.key_set())),
        (channels, named.keys.map(|keys| keys.channels.key_set())),
    ];
    for (name, configured) in below {
        let delegations = trusted.as_ref().map(|own| own.body.delegations.iter());
        let delegated = delegations.and_then(|mut all| all.find(|found| found.name == name));
        let keys = configured.or_else(|| delegated.map(|delegation| delegation.keys.clone()));
        let document = newest(&name, served, here).await?;
        let mut found = role(&name, document.as_ref(), keys.as_ref(), directory, now);
        if document.is_some() && keys.is_none() {
            let problem = match trusted {
                Some(_) => "its delegator does not name it",
                None => "its delegator must be signed anew",
            };
            found.problem = Some(problem.to_owned());
        }
        roles.push(found);
    }
    Ok(Found { vendor: named.vendor.clone(), kind: named.kind, roles })
}

async fn newest(
    role: &RoleName,
    served: Option<&Served>,
    here: &StagedRepository,
) -> Result<Option<Document<Targets>>> {
    match served {
        Some(served) => served.role(role).await,
        None => Ok(here.newest(role).and_then(|(_, bytes)| Document::parse(role, bytes).ok())),
    }
}

/// What the hub's targets says otherwise than `hub.toml`.
fn undelegated(served: &Served, own: &RoleName, keys: &KeySet) -> Option<String> {
    let same = |found: &KeySet| {
        let values = |keys: &KeySet| {
            keys.keys.values().map(signing::PublicKey::to_spki_pem).collect::<BTreeSet<String>>()
        };
        values(found) == values(keys) && found.threshold == keys.threshold
    };
    match served.delegation(own) {
        None => Some("the hub does not delegate to it".to_owned()),
        Some(found) if !same(&found.keys) => Some("the hub delegates to other keys".to_owned()),
        Some(_) => None,
    }
}

fn role(
    name: &RoleName,
    document: Option<&Document<Targets>>,
    keys: Option<&KeySet>,
    directory: &Directory,
    now: Timestamp,
) -> FoundRole {
    let problem = match (document, keys) {
        (None, _) => Some("not published"),
        (Some(_), None) => None,
        (Some(document), Some(keys)) if document.verify(keys).is_err() => {
            Some("not signed by these keys: must be signed anew")
        }
        (Some(document), Some(_)) => document.check_expiry(now).is_err().then_some("expired"),
    };
    let found = keys.into_iter().flat_map(|keys| keys.keys.values()).map(|key| FoundKey {
        key_id: key.key_id().to_string(),
        fingerprint: fingerprint(key),
        file: directory.file_of(key),
    });
    FoundRole {
        role: name.to_string(),
        threshold: keys.map(|keys| keys.threshold),
        keys: found.collect(),
        version: document.map(|document| document.body.version),
        expires: document.map(|document| document.body.expires),
        problem: problem.map(str::to_owned),
    }
}
