//! `fairway request show`: the request, in words or as JSON.

use std::path::PathBuf;

use jiff::Timestamp;
use serde::Serialize;
use signing::KeyId;
use signing::repository::request::{Authority, Change, Finding, Follows, Review, SignerSet};

use super::render::describe;
use crate::authoring::read_request;
use crate::error::Result;
use crate::out::Out;
use crate::table::{Format, Table};

/// Arguments of `fairway request show`.
#[derive(Debug, clap::Args)]
pub(crate) struct ShowArgs {
    /// The request
    request: PathBuf,
    /// How to print it; CSV has who must sign
    #[arg(long, value_enum, default_value_t)]
    output: Format,
}

#[derive(Serialize)]
struct Shown<'a> {
    role: &'a str,
    version: u64,
    follows: Option<Follows>,
    expires: Timestamp,
    complete: bool,
    changes: &'a [Change],
    signatures: Vec<Signatures<'a>>,
    findings: &'a [Finding],
}

#[derive(Serialize)]
struct Signatures<'a> {
    by_keys_of: Authority,
    threshold: u64,
    signed: Vec<&'a KeyId>,
    may_sign: Vec<&'a KeyId>,
}

/// Prints a request; changes nothing.
pub(crate) fn show(args: &ShowArgs, now: Timestamp, out: &mut Out) -> Result<()> {
    let request = read_request(&args.request)?;
    let review = request.review(now);
    match args.output {
        Format::Json => out.json(&shown(&review)),
        Format::Csv => out.csv(&signers(&review)),
        Format::Table => {
            for line in describe(&request, &review, now) {
                out.line(&line)?;
            }
            Ok(())
        }
    }
}

/// One row per set of keys that must sign.
fn signers(review: &Review) -> Table {
    let columns = ["role", "version", "by_keys_of", "threshold", "signed", "may_sign"];
    let mut table = Table::new(&columns);
    let ids = |ids: Vec<&KeyId>| ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    for set in shown(review).signatures {
        table.row(vec![
            review.role.to_string(),
            review.version.to_string(),
            match set.by_keys_of {
                Authority::Previous => "previous",
                Authority::Draft => "draft",
                Authority::Delegator => "delegator",
            }
            .to_owned(),
            set.threshold.to_string(),
            ids(set.signed),
            ids(set.may_sign),
        ]);
    }
    table
}

fn shown(review: &Review) -> Shown<'_> {
    fn signatures(set: &SignerSet) -> Signatures<'_> {
        Signatures {
            by_keys_of: set.of,
            threshold: set.progress.threshold,
            signed: set.progress.signed.iter().collect(),
            may_sign: set.progress.open.iter().collect(),
        }
    }
    Shown {
        role: review.role.as_str(),
        version: review.version,
        follows: review.follows,
        expires: review.expires,
        complete: review.is_complete(),
        changes: &review.changes,
        signatures: review.signers.iter().map(signatures).collect(),
        findings: &review.findings,
    }
}
