//! `fairway root verify`: would an agent that pins this root follow to that one?

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use signing::client::limits::MAX_ROOT_BYTES;
use signing::metadata::{Document, Root};
use signing::repository::request::MAX_REQUEST_BYTES;
use signing::{RoleName, SigningRequest, TopRole};

use super::chain::walk;
use crate::authoring::{read_request, refusal};
use crate::commands::request::{Scope, describe};
use crate::error::{CliError, Result};
use crate::files::read_bounded;
use crate::out::Out;
use crate::span::until;

/// Arguments of `fairway root verify`.
#[derive(Debug, clap::Args)]
pub(super) struct VerifyArgs {
    /// Root files and at most one request, in any order
    #[arg(required = true, value_name = "REQUEST|ROOT")]
    files: Vec<PathBuf>,
    /// The root that agents pin; only a request for root 1 needs none
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
}

/// Runs `fairway root verify`.
pub(super) fn run(args: &VerifyArgs, now: Timestamp, out: &mut Out) -> Result<()> {
    let mut roots = Vec::new();
    if let Some(from) = &args.from {
        roots.push(parse(from, &read(from, MAX_ROOT_BYTES)?)?);
    }
    let pinned = roots.first().map(|root| root.body.version);
    let mut request: Option<SigningRequest> = None;
    for path in &args.files {
        let bytes = read(path, MAX_REQUEST_BYTES)?;
        if !is_request(&bytes) {
            roots.push(parse(path, &bytes)?);
        } else if request.replace(read_request(path)?).is_some() {
            return Err(CliError::failed("more than one request is named")
                .hint("copies of one request are joined by `fairway root merge`"));
        }
    }
    if let Some(request) = &request {
        Scope::Root.check(request)?;
        if let Some(previous) = request.previous() {
            roots.push(parse(Path::new("the request"), previous)?);
        }
    }
    let is_first = request.as_ref().is_some_and(|request| request.version() == 1);
    if args.from.is_none() && !is_first {
        return Err(CliError::failed("--from is missing: the root that agents pin")
            .hint("a root proves nothing by itself; it is root.json of the directory"));
    }
    // Older files than the pinned one prove nothing and harm nothing: agents never read them.
    roots.retain(|root| pinned.is_none_or(|pinned| root.body.version >= pinned));
    let steps = walk(roots)?;
    for step in &steps {
        let root = &step.root;
        let (version, digest) = (root.body.version, root.digest());
        let how = if Some(version) == pinned { "pinned" } else { "follows" };
        let valid = until(root.body.expires, now);
        out.line(&format!("root {version}  {how}  {digest}  valid for {valid}"))?;
    }
    let newest = match &request {
        Some(request) => {
            for line in describe(request, &request.review(now), now) {
                out.line(&line)?;
            }
            let bytes = request.completed().map_err(|error| refusal("not yet", &error))?;
            let review = request.review(now);
            if let Some(finding) = review.findings.iter().find(|finding| finding.blocks()) {
                return Err(CliError::no(format!("agents would be locked out: {finding}")));
            }
            let mut all: Vec<Document<Root>> = steps.into_iter().map(|step| step.root).collect();
            all.push(parse(Path::new("the request"), &bytes)?);
            walk(all)?.pop()
        }
        None => steps.into_iter().next_back(),
    };
    let Some(newest) = newest else { return Ok(()) };
    let (version, expires) = (newest.root.body.version, newest.root.body.expires);
    if expires <= now {
        return Err(CliError::no(format!("root {version} expired at {expires} (attack: freeze)")));
    }
    out.line(&format!("agents accept root {version}"))
}

fn read(path: &Path, max_bytes: u64) -> Result<Vec<u8>> {
    read_bounded(path, max_bytes)
        .map_err(|error| CliError::failed(format!("failed to read {}: {error}", path.display())))
}

fn parse(path: &Path, bytes: &[u8]) -> Result<Document<Root>> {
    Document::parse(&RoleName::from(TopRole::Root), bytes)
        .map_err(|error| CliError::because(format!("{} is not a root", path.display()), &error))
}

/// Whether a file is a request and not a root.
fn is_request(bytes: &[u8]) -> bool {
    signing::json::parse(bytes).is_ok_and(|value| value.get("draft").is_some())
}
