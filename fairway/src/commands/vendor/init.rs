//! `fairway vendor init DIR`: a vendor's own directory, for a hub of somebody else.
//!
//! Asks no hub anything: the root comes from its admin, by a way the vendor trusts.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use channels::names::{ProductName, VendorName};
use jiff::Timestamp;
use signing::client::limits::MAX_ROOT_BYTES;
use signing::{Client, MemSource, MemStore, SecretKey, Sha256Digest};

use super::introduction::Introduction;
use crate::authoring::scaffold::{Scaffold, Top};
use crate::authoring::{Directory, Passphrases, ROOT_FILE, VendorDirectory, unpublished};
use crate::commands::init::{Contents, check_empty};
use crate::error::{CliError, Result};
use crate::files::{read_bounded, replace};
use crate::hub::{HubArgs, confirm};
use crate::out::Out;
use crate::publisher::RoleKeys;
use crate::words::fingerprint;

/// Arguments of `fairway vendor init`.
#[derive(Debug, clap::Args)]
pub(super) struct VendorInitArgs {
    /// The directory to make
    dir: PathBuf,
    /// The vendor
    #[arg(long)]
    vendor: VendorName,
    /// Its first product
    #[arg(long)]
    product: ProductName,
    /// The hub's root, from its admin: what agents pin
    #[arg(long, value_name = "FILE")]
    root: PathBuf,
    /// What kind of unit the example release is for
    #[arg(long, value_name = "ROLE", default_value = "workload",
          value_parser = ["controller", "broker", "node", "workload"])]
    role: String,
}

/// Runs `fairway vendor init`.
pub(super) fn run(
    args: &VendorInitArgs,
    hub: &HubArgs,
    mut passphrases: Passphrases,
    now: Timestamp,
    out: &mut Out,
) -> Result<()> {
    check_empty(&args.dir)?;
    let url = hub.connection(None)?.server;
    let server = url.as_str().trim_end_matches('/').to_owned();
    let root = read_root(&args.root)?;
    let passphrase = passphrases.for_new_keys()?;
    let vendor = &args.vendor;
    let mut keys = BTreeMap::new();
    for suffix in ["", ".releases", ".channels"] {
        let key = SecretKey::generate()
            .map_err(|error| CliError::because("failed to make a key", &error))?;
        keys.insert(format!("{vendor}{suffix}"), key);
    }
    let own = keys.get(vendor.as_str()).map(|key| key.public().clone());
    let role = RoleKeys { keys: own.into_iter().collect(), threshold: 1 };
    let introduction = Introduction::of(vendor, &role).to_json()?;
    let scaffold = Scaffold {
        top: Top::Other { server: server.clone() },
        vendor: vendor.clone(),
        product: args.product.clone(),
        role: args.role.clone(),
        now,
    };
    let mut texts = scaffold.files();
    texts.push((Introduction::file_name(vendor).into(), introduction));
    let contents =
        Contents { texts, keys: &keys, imported: Vec::new(), roots: vec![(ROOT_FILE, &root)] };
    contents.write(&args.dir, &passphrase)?;
    unpublished::mark(&args.dir)?;
    confirm(&args.dir, &url)?;
    let dir = args.dir.display();
    out.line(&format!("root         {}", Sha256Digest::of(&root)))?;
    tell(vendor, &role, out)?;
    out.note(&format!("{dir} is ready; private keys are in {dir}/keys"))?;
    out.note(&format!(
        "next: send {dir}/{} to the admin of {server}, and read the fingerprints to each other",
        Introduction::file_name(vendor)
    ))?;
    out.note(&format!(
        "then: edit {dir}/{}/releases/1.0.0.yaml, fairway publish {dir}",
        args.product
    ))
}

/// Runs `fairway vendor introduce`.
pub(super) fn introduce(dir: &Path, out: &mut Out) -> Result<()> {
    let Directory::Vendor(directory) = Directory::open(dir)? else {
        return Err(CliError::failed(format!("{} is the directory of a hub", dir.display()))
            .hint("a vendor introduces itself from its own directory"));
    };
    let (path, role) = write(&directory)?;
    tell(&directory.layout().vendor, &role, out)?;
    out.note(&format!(
        "next: send {} to the admin of {}, and read the fingerprints to each other",
        path.display(),
        directory.server()
    ))
}

fn write(directory: &VendorDirectory) -> Result<(PathBuf, RoleKeys)> {
    let layout = directory.layout();
    let path = directory.root().join(Introduction::file_name(&layout.vendor));
    let role = layout.keys.vendor.clone();
    let text = Introduction::of(&layout.vendor, &role).to_json()?;
    replace(&path, text.as_bytes()).map_err(|error| {
        CliError::failed(format!("failed to write {}: {error}", path.display()))
    })?;
    Ok((path, role))
}

/// The keys of a vendor's role, for people to compare.
pub(super) fn tell(vendor: &VendorName, role: &RoleKeys, out: &mut Out) -> Result<()> {
    let (threshold, keys) = (role.threshold, role.keys.len());
    out.line(&format!("vendor {vendor}: {threshold} of {keys} must sign"))?;
    for key in &role.keys {
        out.line(&format!("  {}", fingerprint(key)))?;
    }
    Ok(())
}

/// Reads a root that a client can begin with.
fn read_root(path: &Path) -> Result<Vec<u8>> {
    let root = read_bounded(path, MAX_ROOT_BYTES)
        .map_err(|error| CliError::failed(format!("failed to read {}: {error}", path.display())))?;
    let nothing = MemSource::new(BTreeMap::new());
    match Client::open(&root, nothing, MemStore::new()) {
        Ok(_) => Ok(root),
        Err(error) => {
            Err(CliError::because(format!("{} is not a usable root", path.display()), &error)
                .hint("--root takes the root.json that agents of the hub pin"))
        }
    }
}
