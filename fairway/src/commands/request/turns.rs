//! Publishing when the keys of a role are with people somewhere else: requests go out, and come back
//! signed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use signing::{PublicKey, RoleName, SigningRequest, TopRole};

use super::render::describe;
use crate::authoring::{read_request, refusal, request_file, write_request};
use crate::error::{CliError, Result};
use crate::out::Out;
use crate::words::count;

/// Flags of commands that publish.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct TurnArgs {
    /// Write a request for every role whose keys are not here; publish nothing while there is one
    #[arg(long, value_name = "DIR")]
    pub(crate) out_requests: Option<PathBuf>,
    /// Requests that came back with all their signatures
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub(crate) signed: Vec<PathBuf>,
}

impl TurnArgs {
    /// What came back, by role; copies of one request are joined.
    pub(crate) fn returned(&self) -> Result<BTreeMap<RoleName, SigningRequest>> {
        let mut requests: BTreeMap<RoleName, SigningRequest> = BTreeMap::new();
        for path in &self.signed {
            let request = read_request(path)?;
            let role = request.role().clone();
            if role.as_top() == Some(TopRole::Root) {
                return Err(CliError::failed(format!("{} is a new root", path.display()))
                    .hint("roots go out with `fairway root publish`"));
            }
            let joined = match requests.remove(&role) {
                None => request,
                Some(before) => before
                    .merge(&request)
                    .map_err(|error| refusal(&path.display().to_string(), &error))?,
            };
            requests.insert(role, joined);
        }
        Ok(requests)
    }

    /// Writes drafts for their holders; with any, the answer to "publish" is not yet.
    pub(crate) fn write(
        dir: &Path,
        drafts: &[SigningRequest],
        name_of: &dyn Fn(&PublicKey) -> String,
        now: Timestamp,
        out: &mut Out,
    ) -> Result<()> {
        std::fs::create_dir_all(dir).map_err(|error| {
            CliError::failed(format!("failed to make {}: {error}", dir.display()))
        })?;
        for draft in drafts {
            let path = dir.join(request_file(draft.role(), draft.version()));
            write_new(&path, draft, name_of, now, out)?;
        }
        if drafts.is_empty() {
            return Ok(());
        }
        let number = count(drafts.len(), "request");
        Err(CliError::no(format!("nothing was published: {number} to be signed first"))
            .hint("then run the same command with --signed and the files that came back"))
    }
}

/// Shows a request and writes it. A file that is there stays: it may carry signatures.
pub(crate) fn write_new(
    path: &Path,
    request: &SigningRequest,
    name_of: &dyn Fn(&PublicKey) -> String,
    now: Timestamp,
    out: &mut Out,
) -> Result<()> {
    let (role, version, place) = (request.role(), request.version(), path.display());
    if path.exists() {
        return Err(CliError::failed(format!("{place} exists already, perhaps with signatures"))
            .hint("have it signed, or remove it to draft again"));
    }
    for line in describe(request, &request.review(now), now) {
        out.line(&line)?;
    }
    write_request(path, request)?;
    out.note(&format!("wrote {place}: {role} {version} for its holders to sign"))?;
    for key in request.wanted().values() {
        out.note(&format!("  may sign: {}", name_of(key)))?;
    }
    let command = if role.as_top() == Some(TopRole::Root) { "root sign" } else { "request sign" };
    out.note(&format!("next, each holder: fairway {command} {place} --key FILE"))
}
