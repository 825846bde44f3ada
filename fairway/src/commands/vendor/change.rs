//! `fairway vendor add|revoke`: who is in `hub.toml`, with which keys. Nothing is signed here.

use std::path::{Path, PathBuf};

use channels::names::VendorName;
use channels::repository::Workspace;
use signing::{PublicKey, RoleName};

use super::AtOnce;
use super::init;
use super::introduction::Introduction;
use super::keys::unknown;
use super::publish::roles_of;
use crate::authoring::{Authoring, ConfigEdit, Directory, read_public};
use crate::commands::consent::{Extent, OwnChange};
use crate::error::{CliError, Result};
use crate::files::replace;
use crate::origin::key_file;
use crate::out::Out;
use crate::publisher::RoleKeys;

/// Arguments of `fairway vendor add`.
#[derive(Debug, clap::Args)]
pub(super) struct AddArgs {
    /// The directory of the hub's admin
    pub(super) dir: PathBuf,
    /// The vendor
    vendor: VendorName,
    /// The vendor's introduction: its keys, and how many of them must sign
    #[arg(long, value_name = "FILE", required_unless_present = "key",
          conflicts_with_all = ["key", "threshold"])]
    introduction: Option<PathBuf>,
    /// A public key of the vendor's role; may be given several times
    #[arg(long, value_name = "FILE")]
    key: Vec<PathBuf>,
    /// How many of these keys must sign
    #[arg(long, value_name = "N", default_value_t = 1, requires = "key")]
    threshold: u32,
    #[command(flatten)]
    pub(super) at_once: AtOnce,
}

/// Arguments of `fairway vendor revoke`.
#[derive(Debug, clap::Args)]
pub(super) struct RevokeArgs {
    /// The directory of the hub's admin
    pub(super) dir: PathBuf,
    /// The vendor
    vendor: VendorName,
    #[command(flatten)]
    pub(super) at_once: AtOnce,
}

/// Runs `fairway vendor add`.
pub(super) fn add(args: &AddArgs, out: &mut Out) -> Result<OwnChange> {
    let (dir, vendor) = (&args.dir, &args.vendor);
    let directory = Directory::Hub(Authoring::open(dir)?);
    if let Some(table) = directory.config().table_of(vendor) {
        let table = table.as_str();
        return Err(CliError::no(format!("hub.toml has [{table}.{vendor}] already"))
            .hint("`fairway vendor rotate` changes its keys, `fairway vendor revoke` removes it"));
    }
    let role = if let Some(file) = &args.introduction {
        introduced(file, vendor)?
    } else {
        let keys: Result<Vec<_>> = args.key.iter().map(|file| read_public(file)).collect();
        RoleKeys { keys: keys?, threshold: args.threshold }
    };
    check_reachable(&role)?;
    for key in &role.keys {
        check_new(&directory, key)?;
    }
    let files: Result<Vec<String>> = role.keys.iter().map(|key| keep(dir, vendor, key)).collect();
    let mut edit = ConfigEdit::open(dir)?;
    edit.add_delegated(vendor, &files?, role.threshold)?;
    edit.save()?;
    init::tell(vendor, &role, out)?;
    out.note(&format!("compare these with {vendor}'s own word, by telephone or in person"))?;
    Ok(OwnChange { role: role_of(vendor)?, extent: Extent::Added(role) })
}

/// Runs `fairway vendor revoke`.
pub(super) fn revoke(args: &RevokeArgs, out: &mut Out) -> Result<OwnChange> {
    let (dir, vendor) = (&args.dir, &args.vendor);
    let directory = Directory::Hub(Authoring::open(dir)?);
    let table = directory.config().table_of(vendor).ok_or_else(|| unknown(dir, vendor))?;
    if let Ok(workspace) = Workspace::load(dir)
        && let Some(product) =
            workspace.products.iter().find(|product| product.product.vendor == *vendor)
    {
        let (name, place) = (&product.product, product.directory.display());
        return Err(CliError::no(format!("{name} is published from here, out of {place}"))
            .hint("move the directory away first: a product needs a vendor"));
    }
    let mut edit = ConfigEdit::open(dir)?;
    edit.remove(table, vendor)?;
    edit.save()?;
    out.note(&format!(
        "{vendor} is out of hub.toml; once published, agents that follow its products refuse them \
         as not_published and stay where they are"
    ))?;
    Ok(OwnChange { role: role_of(vendor)?, extent: Extent::Removed })
}

/// The vendor's own role.
fn role_of(vendor: &VendorName) -> Result<RoleName> {
    let [own, ..] = roles_of(vendor)?;
    Ok(own)
}

pub(super) fn introduced(file: &Path, vendor: &VendorName) -> Result<RoleKeys> {
    let introduction = Introduction::read(file)?;
    if introduction.vendor != *vendor {
        let found = &introduction.vendor;
        return Err(CliError::no(format!("{} introduces {found}, not {vendor}", file.display())));
    }
    introduction.role()
}

/// Requires that the keys can give as many signatures as are asked for.
pub(super) fn check_reachable(role: &RoleKeys) -> Result<()> {
    let values: std::collections::BTreeSet<_> = role.keys.iter().map(PublicKey::value).collect();
    if values.len() < role.keys.len() {
        return Err(CliError::no("a key is there twice"));
    }
    match usize::try_from(role.threshold) {
        Ok(0) => Err(CliError::no("threshold 0 would ask for no signature")),
        Ok(threshold) if threshold <= values.len() => Ok(()),
        Ok(_) | Err(_) => {
            let (keys, threshold) = (values.len(), role.threshold);
            Err(CliError::no(format!("{keys} keys cannot give {threshold} signatures"))
                .hint("pass --threshold N as well, or another key"))
        }
    }
}

/// Refuses a key that already signs something else: whoever held it could sign both.
pub(super) fn check_new(directory: &Directory, key: &PublicKey) -> Result<()> {
    let id = key.key_id();
    let file = directory.files().iter().find(|(known, _)| **known == id);
    let place = match file {
        Some((_, file)) => Some(file.display().to_string()),
        None => directory.top_role_of(key)?.map(|role| format!("the key of {role}")),
    };
    match place {
        Some(place) => Err(CliError::no(format!("key {id} is in use already: it is {place}"))
            .hint("every role has keys of its own")),
        None => Ok(()),
    }
}

/// Writes a public key below `keys/`, unless it is there.
pub(super) fn keep(dir: &Path, vendor: &VendorName, key: &PublicKey) -> Result<String> {
    let name = format!("keys/{}", key_file(vendor, key));
    let path = dir.join(&name);
    if path.exists() {
        if read_public(&path)? != *key {
            return Err(CliError::failed(format!("{} holds another key", path.display())));
        }
        return Ok(name);
    }
    let failed = |error: std::io::Error| {
        CliError::failed(format!("failed to write {}: {error}", path.display()))
    };
    std::fs::create_dir_all(dir.join("keys")).map_err(failed)?;
    replace(&path, key.to_spki_pem().as_bytes()).map_err(failed)?;
    Ok(name)
}
