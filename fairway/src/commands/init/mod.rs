//! `fairway init DIR`: a channel repository and keys, ready to publish.

mod holders;
#[cfg(test)]
mod site_tests;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use channels::names::{ProductName, VendorName};
use channels::wire::{HubKeys, HubStatus};
use jiff::Timestamp;
use signing::{PublicKey, SecretKey, Sha256Digest, SigningRequest, TopRole};

use self::holders::Holders;
use super::key::write_pair;
use crate::authoring::scaffold::{Scaffold, Top, TopRoles};
use crate::authoring::site::SiteScaffold;
use crate::authoring::{PassphraseArgs, Passphrases, refusal, request_file, unpublished};
use crate::error::{CliError, Result};
use crate::hub::{Hub, HubArgs, confirm};
use crate::origin::{Origin, OriginArgs};
use crate::out::Out;
use crate::publisher::{
    Ceremony, CeremonySpec, Preparation, Terms, hold_ceremony, prepare_ceremony,
};
use crate::words::{count, fingerprint};

/// Arguments of `fairway init`.
#[derive(Debug, clap::Args)]
pub(crate) struct InitArgs {
    /// The directory to make
    dir: PathBuf,
    /// The vendor that publishes
    #[arg(long, required_unless_present = "from_bundle",
          conflicts_with_all = ["root", "state", "accept_expired_until", "reason"])]
    vendor: Option<VendorName>,
    /// Its first product
    #[arg(long, required_unless_present = "from_bundle")]
    product: Option<ProductName>,
    /// What kind of unit the example release is for
    #[arg(long, value_name = "ROLE", default_value = "workload",
          value_parser = ["controller", "broker", "node", "workload"])]
    role: String,
    /// For a site behind an air gap: delegate to the vendors of this verified bundle's hub instead
    #[arg(long, value_name = "BUNDLE", requires = "root",
          conflicts_with_all = ["vendor", "product", "role"])]
    from_bundle: Option<PathBuf>,
    #[command(flatten)]
    origin: OriginArgs,
    /// Root keys to make
    #[arg(long, value_name = "N", default_value_t = 1,
          value_parser = clap::value_parser!(u32).range(1..=20))]
    root_keys: u32,
    /// Instead: the public half of a root key that its holder keeps elsewhere; once per holder
    #[arg(long, value_name = "FILE.pub", conflicts_with = "root_keys")]
    root_key: Vec<PathBuf>,
    /// Root keys that must sign a new root
    #[arg(long, value_name = "M", default_value_t = 1,
          value_parser = clap::value_parser!(u32).range(1..=20))]
    root_threshold: u32,
    #[command(flatten)]
    hub: HubArgs,
    #[command(flatten)]
    pub(crate) passphrase: PassphraseArgs,
}

/// Runs `fairway init`.
pub(crate) async fn run(
    args: &InitArgs,
    mut passphrases: Passphrases,
    now: Timestamp,
    out: &mut Out,
) -> Result<()> {
    let holders = Holders::read(&args.root_key, &holders::taken(args))?;
    let number = match holders.names().len() {
        0 => args.root_keys,
        given => u32::try_from(given).unwrap_or(u32::MAX),
    };
    if args.root_threshold > number {
        return Err(CliError::failed(format!(
            "{number} root keys cannot give {} signatures",
            args.root_threshold
        )));
    }
    check_empty(&args.dir)?;
    let origin = match &args.from_bundle {
        Some(bundle) => Some(args.origin.verified(bundle, now).await?),
        None => None,
    };
    let hub = Hub::new(&args.hub.connection(None)?)?;
    let hub_keys = keys_of_new_hub(&hub).await?;
    let passphrase = passphrases.for_new_keys()?;
    let (keys, first) = hold(args, &holders, &hub_keys, now)?;
    let texts = texts(args, &hub, &holders, origin.as_ref(), now)?;
    let mut imported = origin.as_ref().map(Origin::key_files).unwrap_or_default();
    imported.extend(holders.into_files());
    let request = match &first {
        First::Root(_) => Vec::new(),
        First::Request(request) => request.to_json().map_err(|error| refusal("root 1", &error))?,
    };
    let name = request_file(&TopRole::Root.into(), 1);
    let roots = match &first {
        First::Root(root) => {
            vec![("root.json", root.as_slice()), ("metadata/1.root.json", root.as_slice())]
        }
        First::Request(_) => vec![(name.as_str(), request.as_slice())],
    };
    let contents = Contents { texts, keys: &keys, imported, roots };
    contents.write(&args.dir, &passphrase)?;
    unpublished::mark(&args.dir)?;
    confirm(&args.dir, hub.base())?;
    if let Some(origin) = &origin {
        origin.report(out)?;
    }
    report(args, &hub, &hub_keys, &first, out)
}

/// Root 1, or what is still to be signed of it.
enum First {
    Root(Vec<u8>),
    Request(Box<SigningRequest>),
}

/// The first ceremony, with keys made here or with those of the holders.
fn hold(
    args: &InitArgs,
    holders: &Holders,
    hub: &HubKeys,
    now: Timestamp,
) -> Result<(BTreeMap<String, SecretKey>, First)> {
    let failed = |error| CliError::because("failed to make root 1", &error);
    let vendors: Vec<VendorName> = args.vendor.iter().cloned().collect();
    let (terms, root_threshold) = (Terms::default(), args.root_threshold);
    if args.root_key.is_empty() {
        let spec = CeremonySpec { vendors, root_keys: args.root_keys, root_threshold };
        let Ceremony { keys, root, .. } = hold_ceremony(&spec, hub, &terms, now).map_err(failed)?;
        return Ok((keys, First::Root(root)));
    }
    let root = holders.role_keys(root_threshold);
    let Preparation { keys, request } =
        prepare_ceremony(&vendors, root, hub, &terms, now).map_err(failed)?;
    Ok((keys, First::Request(Box::new(request))))
}

/// The online keys of a hub that has no root yet.
async fn keys_of_new_hub(hub: &Hub) -> Result<HubKeys> {
    let status: HubStatus = hub.get("api/v1/hub", &[]).await?;
    if let Some(version) = status.root_version {
        return Err(CliError::no(format!(
            "the hub at {} already has a root (version {version})",
            hub.base()
        ))
        .hint("publish from the directory it was made with, or use a hub with an empty data dir"));
    }
    hub.get("api/v1/hub/keys", &[]).await
}

/// The text files of the directory, by path.
fn texts(
    args: &InitArgs,
    hub: &Hub,
    holders: &Holders,
    origin: Option<&Origin>,
    now: Timestamp,
) -> Result<Vec<(PathBuf, String)>> {
    let server = hub.base().as_str().trim_end_matches('/').to_owned();
    let made = || (1..=args.root_keys).map(|number| format!("root-{number}.pub")).collect();
    let root_keys = if args.root_key.is_empty() { made() } else { holders.names() };
    let root_threshold = args.root_threshold;
    let top = TopRoles { server, root_keys, root_threshold };
    match (origin, &args.vendor, &args.product) {
        (Some(origin), _, _) => Ok(SiteScaffold { top, origin }.files()),
        (None, Some(vendor), Some(product)) => {
            let (vendor, product) = (vendor.clone(), product.clone());
            let (top, role) = (Top::Own(top), args.role.clone());
            Ok(Scaffold { top, vendor, product, role, now }.files())
        }
        (None, _, _) => Err(CliError::failed("--vendor and --product are missing")),
    }
}

fn report(args: &InitArgs, hub: &Hub, keys: &HubKeys, first: &First, out: &mut Out) -> Result<()> {
    match first {
        First::Root(root) => out.line(&format!("root 1       {}", Sha256Digest::of(root)))?,
        First::Request(request) => {
            for key in request.wanted().values() {
                out.line(&format!("root key     {}", fingerprint(key)))?;
            }
        }
    }
    for (name, pem) in [("timestamp", &keys.timestamp), ("snapshot", &keys.snapshot)] {
        let key = hub_key(pem)?;
        out.line(&format!("{name:<12} {}", fingerprint(&key)))?;
    }
    if hub.is_open_to_tampering() {
        out.warn(
            "the hub's keys came over plain HTTP; compare their fingerprints above with the \
             server's own before you hand out root.json",
        )?;
    }
    next_steps(args, first, out)
}

fn next_steps(args: &InitArgs, first: &First, out: &mut Out) -> Result<()> {
    let dir = args.dir.display();
    if let First::Request(request) = first {
        let file = args.dir.join(request_file(request.role(), request.version()));
        let (file, threshold) = (file.display(), args.root_threshold);
        out.note(&format!(
            "root 1 needs {}: {file}",
            count(usize::try_from(threshold).unwrap_or(usize::MAX), "signature")
        ))?;
        out.note(&format!("next, each holder: fairway root sign {file} --key FILE"))?;
        out.note(&format!("then: fairway root publish {dir} {file}"))?;
    } else {
        out.note(&format!(
            "{dir} is ready: agents pin {dir}/root.json; private keys are in {dir}/keys"
        ))?;
    }
    match (&args.product, &args.from_bundle) {
        (Some(product), _) => out.note(&format!(
            "next: edit {dir}/{product}/releases/1.0.0.yaml, then: fairway publish {dir}"
        )),
        (None, Some(bundle)) => out.note(&format!(
            "next: compare the vendors' keys with their own word, then: fairway publish {dir}, \
             then: offline-mirror import SITEDIR {}",
            bundle.display()
        )),
        (None, None) => Ok(()),
    }
}

fn hub_key(pem: &str) -> Result<PublicKey> {
    PublicKey::from_spki_pem(pem)
        .map_err(|error| CliError::because("the hub's keys are not usable", &error))
}

/// Nothing but git's own directory may be there.
pub(super) fn check_empty(dir: &Path) -> Result<()> {
    let failed = |error: std::io::Error| {
        CliError::failed(format!("failed to look into {}: {error}", dir.display()))
    };
    if !dir.exists() {
        return Ok(());
    }
    for entry in std::fs::read_dir(dir).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        if name != ".git" {
            return Err(CliError::no(format!("{} is not empty", dir.display()))
                .hint("name a directory that does not exist yet"));
        }
    }
    Ok(())
}

/// What a new directory holds.
pub(super) struct Contents<'a> {
    pub(super) texts: Vec<(PathBuf, String)>,
    /// Keys made now, by the name of their file.
    pub(super) keys: &'a BTreeMap<String, SecretKey>,
    /// Public keys of others, by file.
    pub(super) imported: Vec<(String, PublicKey)>,
    /// Copies of the hub's root, by file, or the request to sign it.
    pub(super) roots: Vec<(&'a str, &'a [u8])>,
}

impl Contents<'_> {
    /// Writes everything into a hidden directory first, then moves it into place: a failure in the
    /// middle leaves nothing that looks ready.
    pub(super) fn write(&self, dir: &Path, passphrase: &str) -> Result<()> {
        let failed = |error: std::io::Error| {
            CliError::failed(format!("failed to fill {}: {error}", dir.display()))
        };
        std::fs::create_dir_all(dir).map_err(failed)?;
        let staging =
            tempfile::Builder::new().prefix(".fairway-init-").tempdir_in(dir).map_err(failed)?;
        let stage = staging.path();
        self.write_public(stage).map_err(failed)?;
        for (name, key) in self.keys {
            // Not `with_extension`, which would cut `acme.releases` to `acme`.
            write_pair(&stage.join("keys").join(format!("{name}.pem")), key, passphrase)?;
        }
        for entry in std::fs::read_dir(stage).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            std::fs::rename(entry.path(), dir.join(entry.file_name())).map_err(failed)?;
        }
        staging.close().map_err(failed)
    }

    fn write_public(&self, stage: &Path) -> std::io::Result<()> {
        for (path, text) in &self.texts {
            let path = stage.join(path);
            if let Some(parent) = path.parent() {
                std::fs::create_dir_all(parent)?;
            }
            std::fs::write(path, text)?;
        }
        for below in ["keys", "metadata"] {
            std::fs::create_dir_all(stage.join(below))?;
        }
        for (path, root) in &self.roots {
            std::fs::write(stage.join(path), root)?;
        }
        for (name, key) in &self.imported {
            std::fs::write(stage.join("keys").join(name), key.to_spki_pem())?;
        }
        Ok(())
    }
}
