//! `fairway vendor rotate`: other keys for a role of a vendor. Nothing is signed here.

use std::path::{Path, PathBuf};

use channels::names::VendorName;
use signing::PublicKey;

use super::change::{check_new, check_reachable, introduced, keep};
use super::keys::unknown;
use super::publish::roles_of;
use super::{AtOnce, init};
use crate::authoring::{ConfigEdit, Directory, read_public};
use crate::commands::consent::{Extent, OwnChange};
use crate::error::{CliError, Result};
use crate::out::Out;
use crate::publisher::RoleKeys;

/// Fewest characters of a key id that name a key: 32 bits, and a typo that fits another key of the
/// same role is not to be feared.
const MIN_ID_CHARS: usize = 8;

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

/// Runs `fairway vendor rotate`; says what comes next, and what was changed.
pub(super) fn rotate(args: &RotateArgs, out: &mut Out) -> Result<(String, OwnChange)> {
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
    let extent = match &args.introduction {
        Some(_) => Extent::Replaced(role.clone()),
        None => new.extent(),
    };
    let [own, releases, channels] = roles_of(vendor)?;
    let changed = match args.role {
        RoleChoice::Vendor => own,
        RoleChoice::Releases => releases,
        RoleChoice::Channels => channels,
    };
    let next = match (&directory, args.role) {
        // The hub must hear of it first.
        (Directory::Vendor(_), RoleChoice::Vendor) => {
            init::introduce(&args.dir, out)?;
            format!("then, once the hub delegates to these keys: fairway publish {}", dir.display())
        }
        (Directory::Vendor(_) | Directory::Hub(_), _) => {
            init::tell(vendor, &role, out)?;
            super::makes_it_so(&args.dir)
        }
    };
    Ok((next, OwnChange { role: changed, extent }))
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

    /// What was typed, as far as it goes.
    fn extent(&self) -> Extent {
        let stays = |key: &PublicKey| self.entries.iter().any(|e| e.key.value() == key.value());
        let removed = self.before.iter().map(|entry| &entry.key).filter(|key| !stays(key));
        Extent::Edited {
            added: self.added().cloned().collect(),
            removed: removed.cloned().collect(),
            threshold: (self.before_threshold, self.threshold),
        }
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
