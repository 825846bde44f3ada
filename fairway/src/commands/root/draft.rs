//! `fairway root new`: compares hub.toml with the newest root and writes a request.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use jiff::Timestamp;
use signing::SigningRequest;

use crate::authoring::{Authoring, read_public, request_file, write_request};
use crate::commands::request::describe;
use crate::error::{CliError, Result};
use crate::out::Out;
use crate::publisher::{DraftError, NextRoot, OnlineRole, TrustedRoots, draft_next_root};

/// Longest life of a root, in days, as for expiry_days in hub.toml.
const MAX_DAYS: i64 = 3_660;

/// Arguments of `fairway root new`.
#[derive(Debug, clap::Args)]
pub(super) struct NewArgs {
    /// The directory that init made
    dir: PathBuf,
    /// Replace the hub's key of an online role by this public key (timestamp=FILE.pub)
    #[arg(long, value_name = "ROLE=FILE")]
    replace_online: Vec<Replacement>,
    /// How long the root is valid; hub.toml says otherwise
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=MAX_DAYS))]
    expires_days: Option<u32>,
    /// Draft a root that changes nothing but its expiry
    #[arg(long)]
    renew: bool,
    /// Where to write the request instead of DIR
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// `timestamp=FILE.pub`.
#[derive(Debug, Clone)]
struct Replacement {
    role: OnlineRole,
    file: PathBuf,
}

impl FromStr for Replacement {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let (role, file) =
            text.split_once('=').ok_or_else(|| format!("{text:?} is not ROLE=FILE"))?;
        Ok(Self { role: role.parse()?, file: file.into() })
    }
}

/// Runs `fairway root new`.
pub(super) fn run(args: &NewArgs, now: Timestamp, out: &mut Out) -> Result<()> {
    let authoring = Authoring::open(&args.dir)?;
    let layout = authoring.layout();
    let mut replace_online = BTreeMap::new();
    for Replacement { role, file } in &args.replace_online {
        if replace_online.insert(*role, read_public(file)?).is_some() {
            return Err(CliError::failed(format!("{role} has two replacements")));
        }
    }
    let next = NextRoot {
        root: layout.root.keys.clone(),
        targets: layout.targets.clone(),
        replace_online,
        days: args.expires_days.unwrap_or(authoring.terms().root_days),
        renew: args.renew,
    };
    let request = draft(&authoring, &next, now)?;
    write(&authoring, &request, args.out.as_deref(), now, out)
}

/// Drafts the root that follows the published ones.
pub(crate) fn draft(
    authoring: &Authoring,
    next: &NextRoot,
    now: Timestamp,
) -> Result<SigningRequest> {
    let published = authoring.metadata().load()?;
    let roots =
        TrustedRoots::verify(&published, &authoring.layout().root.pinned).map_err(|error| {
            CliError::because("failed to draft a root", &error)
                .hint("restore root.json and metadata/ from git, and look at who changed them")
        })?;
    draft_next_root(roots.newest(), next, now).map_err(|error| {
        let text = crate::error::chain(&error);
        match error {
            DraftError::NothingChanges { .. } => CliError::no(format!("nothing to draft: {text}"))
                .hint(
                    "edit [root] or [targets] of hub.toml first; --renew drafts a new expiry only",
                ),
            DraftError::Request(_) => CliError::no(format!("failed to draft a root: {text}"))
                .hint("correct [root] and [targets] of hub.toml"),
            DraftError::Expiry { .. } | DraftError::Range { .. } => {
                CliError::failed(format!("failed to draft a root: {text}"))
            }
        }
    })
}

/// Shows a drafted request and writes it, into the directory unless told otherwise. A file that is
/// there stays: it may carry signatures.
pub(crate) fn write(
    authoring: &Authoring,
    request: &SigningRequest,
    file: Option<&Path>,
    now: Timestamp,
    out: &mut Out,
) -> Result<()> {
    let dir = authoring.root();
    let path = file
        .map_or_else(|| dir.join(request_file(request.role(), request.version())), Path::to_owned);
    let (role, version, path_text) = (request.role(), request.version(), path.display());
    if path.exists() {
        return Err(CliError::failed(format!(
            "{path_text} exists already, perhaps with signatures"
        ))
        .hint("have it signed, or remove it to draft again"));
    }
    for line in describe(request, &request.review(now), now) {
        out.line(&line)?;
    }
    write_request(&path, request)?;
    out.note(&format!("wrote {path_text}: {role} {version} for its holders to sign"))?;
    let mine = request.wanted();
    for key in mine.values() {
        out.note(&format!("  may sign: {}", authoring.name_of(key)))?;
    }
    out.note(&format!("next, each holder: fairway root sign {path_text} --key FILE"))?;
    out.note(&format!("then: fairway root publish {} {path_text}", dir.display()))
}
