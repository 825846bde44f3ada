//! `fairway publish DIR` from a vendor's own directory, and what the admin's publish asks the hub
//! about vendors that publish by themselves.

use channels::names::VendorName;
use jiff::Timestamp;
use signing::metadata::DelegatedRole;
use signing::{NameError, RoleName, StagedRepository};

use super::introduction::Introduction;
pub(crate) use super::served::Served;
use crate::authoring::{Authoring, Passphrases, VendorDirectory, unpublished};
use crate::commands::publish::{PublishArgs, compile, explain, report, send};
use crate::commands::request::TurnArgs;
use crate::error::{CliError, Result};
use crate::hub::Hub;
use crate::out::Out;
use crate::publisher::{
    Content, Drafting, Returned, VendorLayout, VendorSet, assemble_vendor, channels_role,
    plan_vendor, releases_role, vendor_role,
};
use crate::words::fingerprint;

/// Signs the vendor's three roles and sends them, and nothing else.
pub(crate) async fn run(
    args: &PublishArgs,
    directory: &VendorDirectory,
    passphrases: Passphrases,
    now: Timestamp,
    out: &mut Out,
) -> Result<()> {
    let content = compile(directory.root(), now, out)?;
    let connection = args.hub.connection_of(&args.dir, directory.server())?;
    let (layout, terms) = (directory.layout(), directory.terms());
    let served = Served::refresh(&connection.server, directory.pinned(), now).await?;
    check_delegation(&served, layout, &content, out)?;
    let roles = roles_of(&layout.vendor)?;
    let (on_hub, here) = (served.staged(&roles).await?, directory.metadata().load_if_there()?);
    let floors = served.floors();
    let found = [&on_hub, &here];
    let delegated = served.delegation(&roles[0]).map(|delegation| &delegation.keys);
    let set = VendorSet { content: &content, layout, found: &found, floors: &floors, delegated };
    let changes = plan_vendor(set, &terms, now).map_err(|error| explain(&error))?;
    if args.dry_run {
        return report(args, &changes, None, out);
    }
    let hub = Hub::new(&connection)?;
    let consent = args.consent(&passphrases);
    let (mut files, signed) = (directory.keyring(passphrases), args.turns.returned()?);
    if let Some(dir) = &args.turns.out_requests {
        let mut keyring = Drafting::new(&files, &signed);
        assemble_vendor(set, &mut keyring, &terms, now).map_err(|error| explain(&error))?;
        TurnArgs::write(dir, &keyring.into_drafts(), &fingerprint, now, out)?;
    }
    consent.check(&changes, &signed.keys().cloned().collect(), out)?;
    let mut keyring = Returned::new(&mut files, &signed);
    let assembly =
        assemble_vendor(set, &mut keyring, &terms, now).map_err(|error| explain(&error))?;
    let reply = send(&directory.metadata(), &assembly, &hub, &args.message).await?;
    unpublished::unmark(&args.dir)?;
    report(args, &assembly.changes, Some(&reply), out)
}

/// The names of a vendor's roles, the delegator first.
pub(super) fn roles_of(vendor: &VendorName) -> Result<[RoleName; 3]> {
    let all = || -> std::result::Result<_, NameError> {
        Ok([vendor_role(vendor)?, releases_role(vendor)?, channels_role(vendor)?])
    };
    all().map_err(|error| CliError::because(format!("{vendor} makes no role name"), &error))
}

/// Requires that the hub takes what these keys sign, before anybody is asked for a passphrase.
fn check_delegation(
    served: &Served,
    layout: &VendorLayout,
    content: &Content,
    out: &mut Out,
) -> Result<()> {
    let (vendor, hub) = (&layout.vendor, served.server());
    let [own, ..] = roles_of(vendor)?;
    let file = Introduction::file_name(vendor);
    let Some(delegation) = served.delegation(&own) else {
        let error = CliError::no(format!("the hub at {hub} does not delegate to vendor {vendor}"));
        return Err(error.hint(format!(
            "send {file} to the hub's admin, who runs: fairway vendor add DIR {vendor} \
             --introduction {file} --publish"
        )));
    };
    let difference = layout.keys.vendor.difference(&delegation.keys).unwrap_or_default();
    if !layout.keys.vendor.suffices_for(&delegation.keys) {
        let error = CliError::no(format!(
            "the hub at {hub} delegates {vendor} to other keys than hub.toml names: {difference}"
        ));
        return Err(error.hint(format!(
            "if the keys changed here, run `fairway vendor introduce` and send {file} to the \
             hub's admin, who runs: fairway vendor rotate DIR {vendor} --introduction {file}; \
             otherwise ask the admin who changed them"
        )));
    }
    if !difference.is_empty() {
        // As it should be in the middle of a rotation, and never for long.
        out.warn(&format!("the hub takes other signatures for {vendor}, too: {difference}"))?;
    }
    check_paths(delegation, vendor, content)
}

fn check_paths(delegation: &DelegatedRole, vendor: &VendorName, content: &Content) -> Result<()> {
    let foreign = |path: &&signing::TargetPath| {
        path.as_str().starts_with(&format!("{vendor}/")) && !delegation.covers(path)
    };
    match content.targets().keys().find(foreign) {
        None => Ok(()),
        Some(path) => {
            let allowed = delegation.patterns().join(", ");
            Err(CliError::no(format!("the hub lets {vendor} list {allowed}, and not {path}"))
                .hint("ask the hub's admin, whose hub.toml says which paths are this vendor's"))
        }
    }
}

/// Asks the hub what it has of vendors, and warns of those whose metadata the new keys refuse. A
/// hub that cannot be asked is no reason to stop: it may need this publication to be usable again.
pub(crate) async fn look(
    authoring: &Authoring,
    server: &reqwest::Url,
    now: Timestamp,
    out: &mut Out,
) -> Result<Option<Served>> {
    let served = match Served::refresh(server, &authoring.layout().root.pinned, now).await {
        Ok(served) => served,
        Err(error) => {
            out.warn(&format!("what the hub has of vendors is not known: {error}"))?;
            return Ok(None);
        }
    };
    for (vendor, imported) in &authoring.layout().imported {
        let [own, releases, channels] = roles_of(vendor)?;
        let refused = match served.role(&own).await {
            Ok(Some(document)) => document.verify(&imported.keys.key_set()).is_err(),
            Ok(None) => false,
            Err(error) => {
                out.warn(&error.to_string())?;
                false
            }
        };
        if refused {
            out.warn(&format!(
                "{own} as published is not signed by the keys that hub.toml names: {own}, \
                 {releases} and {channels} will not verify until {vendor} has signed anew \
                 and published that; only its products wait"
            ))?;
        }
    }
    Ok(Some(served))
}

/// Whether targets was ever published from here: before that there is nothing to look at.
pub(crate) fn is_published(previous: &StagedRepository) -> bool {
    previous.newest(&crate::publisher::targets_role()).is_some()
}
