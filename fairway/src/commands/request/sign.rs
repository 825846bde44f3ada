//! `fairway request sign`: shows a request, asks, and adds one signature.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use signing::metadata::{Document, Root};
use signing::repository::request::{Finding, MAX_REQUEST_BYTES, RequestError, Signing};
use signing::{PublicKey, SigningRequest, TopRole};

use super::Scope;
use super::render::{describe, everything};
use crate::authoring::{
    Passphrases, open_signer, read_public, read_request, refusal, write_request,
};
use crate::commands::root::chain::{Step, walk};
use crate::error::{CliError, Result};
use crate::files::read_bounded;
use crate::out::Out;
use crate::words::{count, fingerprint};

/// Longest answer read from a terminal, in bytes.
const MAX_ANSWER_BYTES: u64 = 64;

/// Arguments of `fairway request sign` and `fairway root sign`.
#[derive(Debug, clap::Args)]
pub(crate) struct SignArgs {
    /// The request; the signature is added to this file
    request: PathBuf,
    /// The private key to sign with
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// What you know yourself of the same role: the version that is followed, or older roots that
    /// lead to it
    #[arg(long, value_name = "FILE", num_args = 1..)]
    from: Vec<PathBuf>,
    /// Sign without asking, for scripts
    #[arg(long)]
    yes: bool,
}

/// Asks a person whether to go on.
pub(crate) type Ask = dyn Fn(&str) -> Result<bool>;

/// Shows, asks, signs.
pub(crate) fn sign(
    args: &SignArgs,
    scope: Scope,
    mut passphrases: Passphrases,
    ask: &Ask,
    now: Timestamp,
    out: &mut Out,
) -> Result<()> {
    let file = args.request.display().to_string();
    let request = read_request(&args.request)?;
    scope.check(&request)?;
    let review = request.review(now);
    for line in describe(&request, &review, now) {
        out.line(&line)?;
    }
    if let (Some(targets), Some(_), true) =
        (request.as_targets(), request.previous(), args.from.is_empty())
    {
        for line in everything(targets) {
            out.line(&line)?;
        }
    }
    let (role, version) = (request.role().clone(), request.version());
    if let Some(finding) = review.findings.iter().find(|finding| finding.blocks()) {
        let finding: Finding = finding.clone();
        return Err(refusal(&file, &RequestError::Refused { role, version, finding }));
    }
    match (request.previous(), args.from.is_empty()) {
        (_, false) => check_origin(&request, &args.from)?,
        (Some(_), true) => out.note(&format!(
            "the {role} it follows came with the request: compare its digest with your own copy, \
             or let --from FILE do it"
        ))?,
        (None, true) => {}
    }
    // The public half beside the key tells early what its passphrase would tell late.
    let public = args.key.with_extension("pub");
    if public.exists() && is_settled(&request, &read_public(&public)?, &file, out)? {
        return Ok(());
    }
    let question = format!("Sign {role} {version} with {}?", args.key.display());
    if !args.yes && !ask(&question)? {
        return Err(CliError::no(format!("{role} {version} was not signed")));
    }
    let signer = open_signer(&args.key, &mut passphrases)?;
    if is_settled(&request, signer.public(), &file, out)? {
        return Ok(());
    }
    match request.add_signature(signer.as_ref(), now).map_err(|error| refusal(&file, &error))? {
        Signing::Already => Ok(()),
        Signing::Added(signed) => {
            write_request(&args.request, &signed)?;
            out.line(&format!("signed by {}", fingerprint(signer.public())))?;
            report(&signed, &args.request, out)
        }
    }
}

/// Whether the key has signed; an error if it may not.
fn is_settled(
    request: &SigningRequest,
    key: &PublicKey,
    file: &str,
    out: &mut Out,
) -> Result<bool> {
    let (role, version) = (request.role().clone(), request.version());
    if !request.may_sign(key) {
        let key_id = key.key_id();
        return Err(refusal(file, &RequestError::MayNotSign { role, version, key_id }));
    }
    if request.has_signed(key) {
        out.line(&format!("this key has signed {role} {version} already; nothing changed"))?;
        return Ok(true);
    }
    Ok(false)
}

fn report(request: &SigningRequest, file: &Path, out: &mut Out) -> Result<()> {
    let missing = request.missing();
    let (role, version) = (request.role(), request.version());
    let next = if missing == 0 {
        format!("{role} {version} has every signature it needs; send {} back", file.display())
    } else {
        let missing = usize::try_from(missing).unwrap_or(usize::MAX);
        format!("{role} {version} needs at least {}", count(missing, "more signature"))
    };
    out.note(&next)
}

/// Requires that what the request follows is, or for root follows from, what the holder knows.
fn check_origin(request: &SigningRequest, known: &[PathBuf]) -> Result<()> {
    let (role, version) = (request.role(), request.version());
    let Some(previous) = request.previous() else {
        return Err(CliError::failed(format!("{role} {version} follows nothing; omit --from")));
    };
    let other = |what: &str| {
        Err(CliError::no(format!("the {role} that this request follows {what}"))
            .hint("do not sign it; ask whoever drafted it where that file came from"))
    };
    let mut files = Vec::new();
    for path in known {
        files.push(read_bounded(path, MAX_REQUEST_BYTES).map_err(|error| {
            CliError::failed(format!("failed to read {}: {error}", path.display()))
        })?);
    }
    if role.as_top() != Some(TopRole::Root) {
        let canonical = |bytes: &[u8]| {
            Document::<signing::metadata::Targets>::parse(role, bytes)
                .map(|document| document.canonical().to_vec())
                .map_err(|error| CliError::because("failed to read what --from names", &error))
        };
        let previous = canonical(previous)?;
        for file in &files {
            if canonical(file)? == previous {
                return Ok(());
            }
        }
        return other("is not the one you know");
    }
    let parse = |bytes: &[u8]| {
        Document::<Root>::parse(role, bytes)
            .map_err(|error| CliError::because("failed to read what --from names", &error))
    };
    let mut steps = files.iter().map(|bytes| parse(bytes)).collect::<Result<Vec<_>>>()?;
    steps.push(parse(previous)?);
    let walked = walk(steps).map_err(|error| error.hint("do not sign it"))?;
    match walked.last() {
        Some(Step { root, .. }) if root.canonical() == parse(previous)?.canonical() => Ok(()),
        Some(_) | None => other("does not follow from the ones you know"),
    }
}

/// Asks on the terminal itself, whatever stdin is.
pub(crate) fn ask_terminal(question: &str) -> Result<bool> {
    let nobody = |error: std::io::Error| {
        CliError::failed(format!("nobody can be asked: there is no terminal ({error})"))
            .hint("in a script, pass --yes")
    };
    let mut terminal =
        std::fs::OpenOptions::new().read(true).write(true).open("/dev/tty").map_err(nobody)?;
    write!(terminal, "{question} Type yes: ").and_then(|()| terminal.flush()).map_err(nobody)?;
    let mut answer = String::new();
    BufReader::new(terminal.take(MAX_ANSWER_BYTES)).read_line(&mut answer).map_err(nobody)?;
    Ok(answer.trim() == "yes")
}
