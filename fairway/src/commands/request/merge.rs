//! `fairway request merge`: copies of one request become one with all their signatures.

use std::path::PathBuf;

use jiff::Timestamp;

use super::Scope;
use super::render::describe;
use crate::authoring::{read_request, refusal, write_request};
use crate::error::{CliError, Result};
use crate::out::Out;

/// Arguments of `fairway request merge` and `fairway root merge`.
#[derive(Debug, clap::Args)]
pub(crate) struct MergeArgs {
    /// Copies of one request
    #[arg(required = true, num_args = 2.., value_name = "REQUEST")]
    pub(super) requests: Vec<PathBuf>,
    /// Where to write the joined request; may be one of the copies
    #[arg(long, value_name = "FILE")]
    pub(super) out: PathBuf,
}

/// Joins signatures. Needs no key: who signed what is checked, whoever merges.
pub(crate) fn merge(args: &MergeArgs, scope: Scope, now: Timestamp, out: &mut Out) -> Result<()> {
    if args.out.exists() && !args.requests.contains(&args.out) {
        return Err(CliError::failed(format!("{} exists already", args.out.display()))
            .hint("name a new file, or merge it too"));
    }
    let mut joined: Option<signing::SigningRequest> = None;
    for path in &args.requests {
        let request = read_request(path)?;
        scope.check(&request)?;
        joined = Some(match joined {
            None => request,
            Some(before) => before
                .merge(&request)
                .map_err(|error| refusal(&path.display().to_string(), &error))?,
        });
    }
    let Some(joined) = joined else { return Ok(()) };
    write_request(&args.out, &joined)?;
    for line in describe(&joined, &joined.review(now), now) {
        out.line(&line)?;
    }
    out.note(&format!("wrote {}", args.out.display()))
}
