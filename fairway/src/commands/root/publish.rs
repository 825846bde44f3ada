//! `fairway root publish`: a fully signed root goes into its place, and to the hub.

use std::path::{Path, PathBuf};

use channels::wire::{HubStatus, PublicationReply, media_type};
use jiff::Timestamp;
use signing::metadata::{Document, Root};
use signing::repository::RequestError;
use signing::repository::request::Finding;
use signing::{RoleName, Sha256Digest, SigningRequest, StagedRepository, TopRole};

use crate::authoring::{Authoring, Passphrases, ROOT_FILE, read_request, refusal, request_file};
use crate::commands::consent::{Consent, line};
use crate::commands::request::{Scope, TurnArgs};
use crate::error::{CliError, Result};
use crate::files::replace;
use crate::hub::{Hub, HubArgs};
use crate::out::Out;
use crate::publisher::{
    Assembly, Drafting, Keyring, PublisherError, Returned, check_first_root, succeed,
};

/// Arguments of `fairway root publish`.
#[derive(Debug, clap::Args)]
pub(super) struct PublishArgs {
    /// The directory that init made
    dir: PathBuf,
    /// The request with all its signatures
    request: PathBuf,
    /// Why, for the hub's audit log
    #[arg(long, short, default_value = "", value_name = "TEXT", hide_default_value = true)]
    message: String,
    /// Sign targets that delegate otherwise than the published ones, without asking on a terminal
    #[arg(long)]
    accept_key_changes: bool,
    #[command(flatten)]
    turns: TurnArgs,
    #[command(flatten)]
    hub: HubArgs,
}

/// Runs `fairway root publish`.
pub(super) async fn run(
    args: &PublishArgs,
    passphrases: Passphrases,
    now: Timestamp,
    out: &mut Out,
) -> Result<()> {
    let request = read_request(&args.request)?;
    Scope::Root.check(&request)?;
    let what = args.request.display().to_string();
    let finding = request.review(now).findings.into_iter().find(Finding::blocks);
    if let Some(finding) = finding {
        let (role, version) = (request.role().clone(), request.version());
        let refused = RequestError::Refused { role, version, finding };
        return Err(refusal(&what, &refused));
    }
    let root = request.completed().map_err(|error| refusal(&what, &error))?;
    if request.version() == 1 {
        return first(&args.dir, &request, &root, out);
    }
    following(args, root, passphrases, now, out).await
}

/// Root 1: nothing is published yet, so it only takes its place in the directory.
fn first(dir: &Path, request: &SigningRequest, root: &[u8], out: &mut Out) -> Result<()> {
    let authoring = Authoring::open_with_root(dir, root.to_vec())?;
    check_first_root(root, authoring.layout()).map_err(|error| explain(&error))?;
    let drafted = dir.join(request_file(request.role(), 1));
    if drafted.exists() && !read_request(&drafted)?.is_same_draft(request) {
        return Err(CliError::no(format!("this is not the root 1 of {}", drafted.display()))
            .hint("sign the request that init wrote"));
    }
    let place = dir.join(ROOT_FILE);
    let digest = Sha256Digest::of(root);
    if place.exists() {
        let pinned = Authoring::open(dir)?.layout().root.pinned.clone();
        let same = canonical(&pinned)? == canonical(root)?;
        return if same {
            out.line("root 1 is in its place already")
        } else {
            Err(CliError::no(format!("{} is another root 1", place.display())))
        };
    }
    let mut staged = StagedRepository::new();
    staged
        .put_metadata(&TopRole::Root.into(), root.to_vec())
        .map_err(|error| CliError::because("failed to keep root 1", &error))?;
    authoring.metadata().add(&staged)?;
    replace(&place, root).map_err(|error| {
        CliError::failed(format!("failed to write {}: {error}", place.display()))
    })?;
    out.line(&format!("root 1       {digest}"))?;
    let dir = dir.display();
    out.note(&format!("agents pin {dir}/{ROOT_FILE}; next: fairway publish {dir}"))
}

/// Root N+1: checked as an agent would, kept, and handed over with what must accompany it.
async fn following(
    args: &PublishArgs,
    root: Vec<u8>,
    passphrases: Passphrases,
    now: Timestamp,
    out: &mut Out,
) -> Result<()> {
    let authoring = Authoring::open(&args.dir)?;
    let (to_all, may_ask) = (args.accept_key_changes, passphrases.may_ask());
    let consent = Consent { to_all, may_ask, ..Consent::default() };
    let (mut files, signed) = (authoring.keyring(passphrases), args.turns.returned()?);
    if let Some(dir) = &args.turns.out_requests {
        let published = authoring.metadata().load()?;
        let root = kept_bytes(&published, root.clone())?;
        let (layout, terms) = (authoring.layout(), authoring.terms());
        let mut keyring = Drafting::new(&files, &signed);
        // Whoever signs the request is shown what changes.
        succeed(&published, layout, &root, true, &mut keyring, &terms, now)
            .map_err(|error| explain(&error))?;
        let drafts = keyring.into_drafts();
        TurnArgs::write(dir, &drafts, &|key| authoring.name_of(key), now, out)?;
    }
    let mut keyring = Returned::new(&mut files, &signed);
    let hub = Hub::new(&args.hub.connection_of(&args.dir, authoring.server())?)?;
    let message = &args.message;
    hand_over(&authoring, root, &mut keyring, Handover { hub: &hub, message, consent }, now, out)
        .await
}

/// To whom a root goes, and what a person said with it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Handover<'a> {
    /// The hub.
    pub(crate) hub: &'a Hub,
    /// Why, for its audit log.
    pub(crate) message: &'a str,
    /// Changes of delegations that may be signed with it.
    pub(crate) consent: Consent<'a>,
}

/// Keeps a signed root N+1 in the directory and hands it to the hub.
pub(crate) async fn hand_over(
    authoring: &Authoring,
    root: Vec<u8>,
    keyring: &mut dyn Keyring,
    Handover { hub, message, consent }: Handover<'_>,
    now: Timestamp,
    out: &mut Out,
) -> Result<()> {
    let metadata = authoring.metadata();
    let published = metadata.load()?;
    let root = kept_bytes(&published, root)?;
    let (layout, terms) = (authoring.layout(), authoring.terms());
    let mut changes = Vec::new();
    let succession = match succeed(&published, layout, &root, false, keyring, &terms, now) {
        Err(PublisherError::Delegations { changes: found, .. }) => {
            consent.check_all(&found.iter().collect::<Vec<_>>(), out)?;
            changes = found;
            succeed(&published, layout, &root, true, keyring, &terms, now)
        }
        other => other,
    };
    let succession = succession.map_err(|error| explain(&error))?;
    let status: HubStatus = hub.get("api/v1/hub", &[]).await?;
    let version = succession.root_version;
    let assembly = Assembly {
        repository: succession.repository,
        changes: Vec::new(),
        root_expires: None,
        revoked: Vec::new(),
    };
    let publication = assembly.publication(message).map_err(|error| explain(&error))?;
    let added = metadata.add(&assembly.repository)?;
    if let Some(targets) = succession.targets_version {
        out.line(&format!("signed targets {targets} (keys)"))?;
        for change in &changes {
            out.line(&format!("  {}", line(change)))?;
        }
    }
    if status.root_version.is_none() {
        out.line(&format!("root {version} is kept; the hub has nothing yet"))?;
        return out.note(&format!("next: fairway publish {}", authoring.root().display()));
    }
    match hub
        .post::<_, PublicationReply>("api/v1/publications", media_type::PUBLICATION, &publication)
        .await
    {
        Ok(reply) => {
            let (snapshot, timestamp) = (reply.snapshot_version, reply.timestamp_version);
            let verb = if reply.changed { "published" } else { "the hub serves this already" };
            out.line(&format!(
                "{verb}: root {}, snapshot {snapshot}, timestamp {timestamp}",
                reply.root_version
            ))
        }
        Err(error) => {
            if error.is_refusal() {
                metadata.take_back(&added)?;
            }
            Err(error)
        }
    }
}

/// The bytes of this root that were kept before, after a run whose answer was lost: other copies of
/// the request may carry more signatures, and one version has one file.
fn kept_bytes(published: &StagedRepository, root: Vec<u8>) -> Result<Vec<u8>> {
    let role = RoleName::from(TopRole::Root);
    let version = parse(&root)?.body.version;
    let name = signing::FileName::Metadata { role, version: Some(version) };
    match published.get(&name) {
        None => Ok(root),
        Some(kept) if canonical(kept)? == canonical(&root)? => Ok(kept.to_vec()),
        Some(_) => Err(CliError::no(format!("another root {version} was published"))),
    }
}

fn parse(bytes: &[u8]) -> Result<Document<Root>> {
    Document::parse(&TopRole::Root.into(), bytes)
        .map_err(|error| CliError::because("failed to read a root", &error))
}

fn canonical(bytes: &[u8]) -> Result<Vec<u8>> {
    Ok(parse(bytes)?.canonical().to_vec())
}

fn explain(error: &PublisherError) -> CliError {
    let text = crate::error::chain(error);
    let no = CliError::no(format!("failed to publish the root: {text}"));
    if matches!(error, PublisherError::RootKeys { .. } | PublisherError::TargetsKeys { .. }) {
        return no.hint(
            "hub.toml and the signed root must say the same; was hub.toml edited since it was \
             drafted?",
        );
    }
    if matches!(error, PublisherError::RootChain { .. }) {
        return no
            .hint("agents would refuse it; was it drafted over the newest root in metadata/?");
    }
    if let PublisherError::Keys { role, .. } = error {
        return CliError::failed(no.to_string()).hint(format!(
            "the new root names other {role} keys, so {role} is signed again with it: bring those \
             private keys, or have their holders sign a request (--out-requests DIR)"
        ));
    }
    no
}
