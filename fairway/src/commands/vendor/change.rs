//! `fairway vendor add|rotate|revoke`: changes to `hub.toml` and `keys/`. Nothing is signed here.

use std::path::{Path, PathBuf};

use channels::names::VendorName;
use channels::repository::Workspace;
use signing::PublicKey;

use super::AtOnce;
use super::init;
use super::introduction::Introduction;
use super::keys::unknown;
use crate::authoring::{Authoring, ConfigEdit, Directory, read_public};
use crate::error::{CliError, Result};
use crate::files::replace;
use crate::origin::key_file;
use crate::out::Out;
use crate::publisher::RoleKeys;

/// Fewest characters of a key id that name a key: 32 bits, and a typo that fits another key of the
/// same role is not to be feared.
const MIN_ID_CHARS: usize = 8;

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

/// Arguments of `fairway vendor rotate`.
#[derive(Debug, clap::Args)]
pub(super) struct RotateArgs {
    /// The directory
    pub(super) dir: PathBuf,
    /// The vendor
    vendor: VendorName,
    /// The vendor's new introduction: takes its keys and threshold as they are
    #[arg(long, value_name = "FILE", conflicts_with_all = ["add", "remove", "threshold", "role"],
          required_unless_present_any = ["add", "remove", "threshold"])]
    introduction: Option<PathBuf>,
    /// A public key to add; may be given several times
    #[arg(long, value_name = "FILE")]
    add: Vec<PathBuf>,
    /// A key to remove, by its file or the first 8 or more characters of its id; several times
    #[arg(long, value_name = "FILE|KEYID")]
    remove: Vec<String>,
    /// How many keys must sign from now on
    #[arg(long, value_name = "N")]
    threshold: Option<u32>,
    /// Which of the vendor's roles
    #[arg(long, value_enum, default_value_t)]
    role: RoleChoice,
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

/// A role of a vendor.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
enum RoleChoice {
    /// The vendor's own, which names the other two.
    #[default]
    Vendor,
    /// Release documents.
    Releases,
    /// Graphs.
    Channels,
}

impl RoleChoice {
    /// Its table below the vendor's.
    fn below(self) -> Option<&'static str> {
        match self {
            Self::Vendor => None,
            Self::Releases => Some("releases"),
            Self::Channels => Some("channels"),
        }
    }
}

/// Runs `fairway vendor add`.
pub(super) fn add(args: &AddArgs, out: &mut Out) -> Result<()> {
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
    out.note(&format!("compare these with {vendor}'s own word, by telephone or in person"))
}

/// Runs `fairway vendor rotate`.
pub(super) fn rotate(args: &RotateArgs, out: &mut Out) -> Result<()> {
    let (dir, vendor) = (&args.dir, &args.vendor);
    let directory = Directory::open(dir)?;
    let table = directory.config().table_of(vendor).ok_or_else(|| unknown(dir, vendor))?;
    let below = args.role.below();
    let before = directory.config().role_of(table, vendor, below).ok_or_else(|| {
        CliError::no(format!("the keys of {vendor}.{} are {vendor}'s own", below.unwrap_or("")))
            .hint("they are changed in the vendor's own directory; `--role vendor` is yours")
    })?;
    let mut new = Rotation::of(dir, before.keys, before.threshold)?;
    if let Some(file) = &args.introduction {
        new.replace(introduced(file, vendor)?);
    } else {
        for text in &args.remove {
            new.remove(text)?;
        }
        for file in &args.add {
            new.add(read_public(file)?, relative(dir, file));
        }
        new.threshold = args.threshold.unwrap_or(new.threshold);
    }
    let role = new.role();
    check_reachable(&role)?;
    if !new.is_changed() {
        return Err(CliError::no(format!("{vendor} has these keys and this threshold already")));
    }
    for key in new.added() {
        check_new(&directory, key)?;
    }
    let files = new.files(dir, vendor)?;
    let mut edit = ConfigEdit::open(dir)?;
    edit.set_role(table, vendor, below, &files, role.threshold)?;
    edit.save()?;
    init::tell(vendor, &role, out)?;
    match (&directory, args.role) {
        // The hub must hear of it first.
        (Directory::Vendor(_), RoleChoice::Vendor) => init::introduce(dir, out),
        (Directory::Vendor(_) | Directory::Hub(_), _) => Ok(()),
    }
}

/// Runs `fairway vendor revoke`.
pub(super) fn revoke(args: &RevokeArgs, out: &mut Out) -> Result<()> {
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
    ))
}

fn introduced(file: &Path, vendor: &VendorName) -> Result<RoleKeys> {
    let introduction = Introduction::read(file)?;
    if introduction.vendor != *vendor {
        let found = &introduction.vendor;
        return Err(CliError::no(format!("{} introduces {found}, not {vendor}", file.display())));
    }
    introduction.role()
}

/// Requires that the keys can give as many signatures as are asked for.
fn check_reachable(role: &RoleKeys) -> Result<()> {
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
fn check_new(directory: &Directory, key: &PublicKey) -> Result<()> {
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
fn keep(dir: &Path, vendor: &VendorName, key: &PublicKey) -> Result<String> {
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

/// The place of a file below the directory, as `hub.toml` writes it.
fn relative(dir: &Path, file: &Path) -> Option<String> {
    let (dir, file) = (dir.canonicalize().ok()?, file.canonicalize().ok()?);
    file.strip_prefix(dir).ok()?.to_str().map(str::to_owned)
}

/// One key of a role that is being changed.
#[derive(Debug, Clone)]
struct Entry {
    key: PublicKey,
    /// Where it lies below the directory; none for a key that comes from elsewhere.
    file: Option<String>,
}

/// A role that is being changed.
#[derive(Debug)]
struct Rotation {
    before: Vec<Entry>,
    before_threshold: u32,
    entries: Vec<Entry>,
    threshold: u32,
}

impl Rotation {
    fn of(dir: &Path, files: Vec<PathBuf>, threshold: u32) -> Result<Self> {
        let entry = |file: PathBuf| -> Result<Entry> {
            let key = read_public(&dir.join(&file))?;
            Ok(Entry { key, file: Some(file.display().to_string()) })
        };
        let entries: Vec<Entry> = files.into_iter().map(entry).collect::<Result<_>>()?;
        Ok(Self { before: entries.clone(), before_threshold: threshold, entries, threshold })
    }

    fn replace(&mut self, role: RoleKeys) {
        self.threshold = role.threshold;
        self.entries = Vec::new();
        for key in role.keys {
            let file = self.before.iter().find(|entry| entry.key.value() == key.value());
            self.entries.push(Entry { file: file.and_then(|entry| entry.file.clone()), key });
        }
    }

    fn remove(&mut self, text: &str) -> Result<()> {
        let of_file = read_public(Path::new(text)).ok();
        let id: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        let is_meant = |entry: &Entry| {
            let by_id = id.len() >= MIN_ID_CHARS && entry.key.key_id().as_str().starts_with(&id);
            let by_key = of_file.as_ref().is_some_and(|key| key.value() == entry.key.value());
            by_id || by_key || entry.file.as_deref() == Some(text)
        };
        let meant = self.entries.iter().filter(|entry| is_meant(entry)).count();
        match meant {
            0 => Err(CliError::no(format!("{text} is none of the keys of this role"))
                .hint("`fairway vendor keys DIR VENDOR` shows them")),
            1 => {
                self.entries.retain(|entry| !is_meant(entry));
                Ok(())
            }
            _ => Err(CliError::no(format!("{text} fits {meant} keys; write more of the id"))),
        }
    }

    fn add(&mut self, key: PublicKey, file: Option<String>) {
        self.entries.push(Entry { key, file });
    }

    fn role(&self) -> RoleKeys {
        let keys = self.entries.iter().map(|entry| entry.key.clone()).collect();
        RoleKeys { keys, threshold: self.threshold }
    }

    /// Keys that the role did not have.
    fn added(&self) -> impl Iterator<Item = &PublicKey> {
        let is_known =
            |key: &PublicKey| self.before.iter().any(|entry| entry.key.value() == key.value());
        self.entries.iter().map(|entry| &entry.key).filter(move |key| !is_known(key))
    }

    fn is_changed(&self) -> bool {
        self.threshold != self.before_threshold
            || self.entries.len() != self.before.len()
            || self.added().next().is_some()
    }

    /// The files of all keys; those that come from elsewhere are copied below `keys/`.
    fn files(&self, dir: &Path, vendor: &VendorName) -> Result<Vec<String>> {
        let file = |entry: &Entry| match &entry.file {
            Some(file) => Ok(file.clone()),
            None => keep(dir, vendor, &entry.key),
        };
        self.entries.iter().map(file).collect()
    }
}
