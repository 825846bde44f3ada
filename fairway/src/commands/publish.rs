//! `fairway publish DIR`: lint, compile, sign what changed, hand it to the hub.

use std::path::{Path, PathBuf};

use channels::wire::{PublicationReply, media_type};
use jiff::Timestamp;
use serde::Serialize;
use signing::StagedRepository;

use super::consent::{Consent, OwnChange, line};
use super::request::TurnArgs;
use super::vendor::publish::{Served, is_published, look};
use super::{lint, vendor};
use crate::authoring::{
    Authoring, Directory, MetadataDir, PassphraseArgs, Passphrases, unpublished,
};
use crate::error::{CliError, Result};
use crate::hub::{Hub, HubArgs};
use crate::out::Out;
use crate::publisher::{
    Assembly, Change, Content, Drafting, Floors, PublisherError, Returned, TrustChange, Why,
    assemble_above, plan, plan_above, targets_role,
};
use crate::span::until;
use crate::table::{Format, Table};

/// Arguments of `fairway publish`.
#[derive(Debug, clap::Args)]
pub(crate) struct PublishArgs {
    /// The directory that init made
    pub(super) dir: PathBuf,
    /// Say what would be signed; sign nothing, send nothing
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Why, for the hub's audit log
    #[arg(long, short, default_value = "", value_name = "TEXT", hide_default_value = true)]
    pub(super) message: String,
    /// How to print the result; CSV has what was signed, or would be
    #[arg(long, value_enum, default_value_t)]
    output: Format,
    /// Sign the changes of keys and delegations that hub.toml holds, without asking on a terminal
    #[arg(long)]
    pub(super) accept_key_changes: bool,
    /// The change of keys that the command made which publishes
    #[arg(skip)]
    own_change: Option<OwnChange>,
    #[command(flatten)]
    pub(super) turns: TurnArgs,
    #[command(flatten)]
    pub(super) hub: HubArgs,
    #[command(flatten)]
    pub(crate) passphrase: PassphraseArgs,
}

/// `--output json`.
#[derive(Serialize)]
struct Outcome<'a> {
    /// Roles signed now, or that would be.
    signed: Vec<SignedRole<'a>>,
    /// The hub's answer; absent in a dry run.
    #[serde(skip_serializing_if = "Option::is_none")]
    reply: Option<&'a PublicationReply>,
}

#[derive(Serialize)]
struct SignedRole<'a> {
    role: String,
    version: u64,
    why: &'static str,
    added: Vec<String>,
    removed: Vec<String>,
    /// Changes of delegates, keys, thresholds and paths.
    trust: &'a [TrustChange],
}

impl PublishArgs {
    /// `fairway publish DIR` as another command runs it, after it changed keys by itself.
    pub(super) fn of(dir: PathBuf, message: String, hub: HubArgs, own: Option<OwnChange>) -> Self {
        Self {
            dir,
            dry_run: false,
            message,
            output: Format::default(),
            accept_key_changes: false,
            own_change: own,
            turns: TurnArgs::default(),
            hub,
            passphrase: PassphraseArgs::default(),
        }
    }

    /// What was agreed to on the command line.
    pub(super) fn consent(&self, passphrases: &Passphrases) -> Consent<'_> {
        Consent {
            to_all: self.accept_key_changes,
            to_own: self.own_change.as_ref(),
            is_unpublished: unpublished::is_marked(&self.dir),
            may_ask: passphrases.may_ask(),
        }
    }
}

/// Runs `fairway publish`.
pub(crate) async fn run(
    args: &PublishArgs,
    passphrases: Passphrases,
    now: Timestamp,
    out: &mut Out,
) -> Result<()> {
    match Directory::open(&args.dir)? {
        Directory::Hub(authoring) => as_admin(args, &authoring, passphrases, now, out).await,
        Directory::Vendor(directory) => {
            vendor::publish::run(args, &directory, passphrases, now, out).await
        }
    }
}

async fn as_admin(
    args: &PublishArgs,
    authoring: &Authoring,
    passphrases: Passphrases,
    now: Timestamp,
    out: &mut Out,
) -> Result<()> {
    let content = if authoring.layout().vendors.is_empty() && lint::has_no_product(authoring.root())
    {
        Content::default()
    } else {
        compile(authoring.root(), now, out)?
    };
    let previous = authoring.metadata().load()?;
    let (layout, terms) = (authoring.layout(), authoring.terms());
    let changes =
        plan(&content, layout, &previous, &terms, now).map_err(|error| explain(&error))?;
    let connection = args.hub.connection_of(&args.dir, authoring.server())?;
    // Vendors come, go or change: what the hub has of them matters.
    let touches_vendors = |change: &Change| change.role == targets_role() || change.why == Why::New;
    let served = if is_published(&previous) && changes.iter().any(touches_vendors) {
        look(authoring, &connection.server, now, out).await?
    } else {
        None
    };
    let floors = served.map(|served| new_roles(&served, &previous)).unwrap_or_default();
    let changes = plan_above(&content, layout, &previous, &floors, &terms, now)
        .map_err(|error| explain(&error))?;
    if args.dry_run {
        return report(args, &changes, None, out);
    }
    let hub = Hub::new(&connection)?;
    let consent = args.consent(&passphrases);
    let (mut files, signed) = (authoring.keyring(passphrases), args.turns.returned()?);
    if let Some(dir) = &args.turns.out_requests {
        let mut keyring = Drafting::new(&files, &signed);
        assemble_above(&content, layout, &mut keyring, &previous, &floors, &terms, now)
            .map_err(|error| explain(&error))?;
        let drafts = keyring.into_drafts();
        TurnArgs::write(dir, &drafts, &|key| authoring.name_of(key), now, out)?;
    }
    consent.check(&changes, &signed.keys().cloned().collect(), out)?;
    let mut keyring = Returned::new(&mut files, &signed);
    let assembly = assemble_above(&content, layout, &mut keyring, &previous, &floors, &terms, now)
        .map_err(|error| explain(&error))?;
    if let Some(expires) = assembly.root_expires {
        out.warn(&format!(
            "root expires in {} and its private keys are not here; publish once with them at hand",
            until(expires, now)
        ))?;
    }
    for vendor in &assembly.revoked {
        out.warn(&format!("{vendor} is delegated to no longer: agents refuse its products"))?;
    }
    let reply = send(&authoring.metadata(), &assembly, &hub, &args.message).await?;
    unpublished::unmark(&args.dir)?;
    report(args, &assembly.changes, Some(&reply), out)
}

/// Versions on the hub of roles that were not published from here last: those of a vendor that
/// comes back.
fn new_roles(served: &Served, previous: &StagedRepository) -> Floors {
    let mut floors = served.floors();
    floors.retain(|role, _| previous.newest(role).is_none());
    floors
}

/// Lints and compiles every product below `root`.
pub(super) fn compile(root: &Path, now: Timestamp, out: &mut Out) -> Result<Content> {
    let workspace = lint::check(root, now, out)?;
    let mut content = Content::default();
    for product in &workspace.products {
        let compiled = channels::compile::compile(product).map_err(|errors| {
            let all: Vec<String> = errors.iter().map(|error| crate::error::chain(error)).collect();
            CliError::no(all.join("; "))
        })?;
        content
            .add_product(&compiled)
            .map_err(|error| CliError::because("failed to compile", &error))?;
    }
    Ok(content)
}

/// Keeps the new metadata, sends it, and takes it back only if the hub surely refused: when the
/// answer was lost, signing the same versions again with other bytes would be a conflict.
pub(super) async fn send(
    metadata: &MetadataDir,
    assembly: &Assembly,
    hub: &Hub,
    message: &str,
) -> Result<PublicationReply> {
    let publication = assembly.publication(message).map_err(|error| explain(&error))?;
    let added = metadata.add(&assembly.repository)?;
    let sent = hub.post("api/v1/publications", media_type::PUBLICATION, &publication).await;
    match sent {
        Ok(reply) => {
            metadata.prune(&assembly.repository)?;
            Ok(reply)
        }
        Err(error) => {
            if error.is_refusal() {
                metadata.take_back(&added)?;
            }
            Err(error)
        }
    }
}

pub(super) fn explain(error: &PublisherError) -> CliError {
    let text = CliError::because("failed to publish", error);
    match error {
        PublisherError::ReleaseChanged { .. } => {
            text.hint("restore its file from git, and release the change as a new version")
        }
        PublisherError::ReleaseRemoved { .. } => text.hint(
            "restore its file from git; to withdraw a release, list it as a tombstone in its \
             channels",
        ),
        PublisherError::NoRoot
        | PublisherError::RootChain { .. }
        | PublisherError::Unverified { .. }
        | PublisherError::Undelegated { .. } => {
            text.hint("nothing was signed; restore metadata/ from git, and look at who changed it")
        }
        PublisherError::PinnedRoot { .. } | PublisherError::OtherRoot { .. } => text.hint(
            "nothing was signed; restore root.json and metadata/ from git, and look at who \
             changed them",
        ),
        PublisherError::RootKeys { .. } => text.hint(
            "nothing was signed; [root] of hub.toml names the keys and how many must sign: \
             restore it from git and look at who changed it, or, if that was you: \
             fairway root new DIR",
        ),
        PublisherError::StrangeVendor { .. } => text.hint(
            "fairway.toml of a product says whose it is; hub.toml needs a [vendors.<name>] \
                 table for every vendor that publishes from here",
        ),
        PublisherError::TargetsKeys { .. } => {
            text.hint("a new targets key needs a new root: fairway root new DIR")
        }
        PublisherError::Keys { .. } => text.hint(
            "hub.toml names the public half x.pub; the private half x.pem lies beside it; \
             for holders elsewhere: --out-requests DIR",
        ),
        PublisherError::OtherDraft { .. } => {
            text.hint("draft it again with --out-requests DIR, and have it signed again")
        }
        PublisherError::Request { .. } => {
            text.hint("`fairway request show FILE` says what it holds and who may still sign")
        }
        PublisherError::VersionJump { .. } | PublisherError::VersionLimit { .. } => text.hint(
            "nothing was signed; somebody raised versions with the hub's online keys: its admin \
             runs `fairway recover fast-forward`; if the file lies in metadata/, restore that from \
             git",
        ),
        PublisherError::Key { .. }
        | PublisherError::Delegations { .. }
        | PublisherError::Draft { .. }
        | PublisherError::Signatures { .. }
        | PublisherError::Build { .. }
        | PublisherError::Previous { .. }
        | PublisherError::Expiry { .. }
        | PublisherError::TooLarge { .. } => text,
    }
}

pub(super) fn report(
    args: &PublishArgs,
    changes: &[Change],
    reply: Option<&PublicationReply>,
    out: &mut Out,
) -> Result<()> {
    match args.output {
        Format::Json => {
            return out.json(&Outcome { signed: changes.iter().map(signed).collect(), reply });
        }
        Format::Csv => {
            out.csv(&rows(changes))?;
            return told(changes, reply).iter().try_for_each(|line| out.note(line));
        }
        Format::Table => {}
    }
    let verb = if args.dry_run { "would sign" } else { "signed" };
    for change in changes {
        let SignedRole { role, version, why, added, removed, trust: _ } = signed(change);
        out.line(&format!("{verb} {role} {version} ({why})"))?;
        for path in added {
            out.line(&format!("  + {path}"))?;
        }
        for path in removed {
            out.line(&format!("  - {path}"))?;
        }
        for change in &change.trust {
            out.line(&format!("  {}", line(change)))?;
        }
    }
    told(changes, reply).iter().try_for_each(|line| out.line(line))
}

/// What there was to sign, and what the hub made of it.
fn told(changes: &[Change], reply: Option<&PublicationReply>) -> Vec<String> {
    let mut lines = Vec::new();
    if changes.is_empty() {
        lines.push("nothing to sign: the repository is as it was published".to_owned());
    }
    match reply {
        None => {}
        Some(reply) if reply.changed => {
            lines.push(format!(
                "published: root {}, snapshot {}, timestamp {}",
                reply.root_version, reply.snapshot_version, reply.timestamp_version
            ));
            lines.extend(reply.graphs.iter().map(|graph| format!("  serves {graph}")));
        }
        Some(_) => lines.push("the hub serves this already".to_owned()),
    }
    lines
}

/// One row per file or change of trust; a role that is only signed anew has one row all the same.
fn rows(changes: &[Change]) -> Table {
    let mut table = Table::new(&["role", "version", "why", "change", "what"]);
    for one in changes {
        let SignedRole { role, version, why, added, removed, trust } = signed(one);
        let first = [role, version.to_string(), why.to_owned()];
        let mut row = |change: &str, what: String| {
            table.row(first.iter().cloned().chain([change.to_owned(), what]).collect());
        };
        if added.is_empty() && removed.is_empty() && trust.is_empty() {
            row("", String::new());
        }
        for path in added {
            row("added", path);
        }
        for path in removed {
            row("removed", path);
        }
        for change in trust {
            row("trust", line(change));
        }
    }
    table
}

fn signed(change: &Change) -> SignedRole<'_> {
    let paths = |paths: &[signing::TargetPath]| paths.iter().map(ToString::to_string).collect();
    SignedRole {
        role: change.role.to_string(),
        version: change.version,
        why: match change.why {
            Why::New => "new",
            Why::Content => "content",
            Why::Keys => "keys",
            Why::Expiry => "expiry",
        },
        added: paths(&change.added),
        removed: paths(&change.removed),
        trust: &change.trust,
    }
}
