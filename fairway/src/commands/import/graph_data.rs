//! `fairway import graph-data DIR OUT`.

use std::path::PathBuf;

use channels::import::{Options, PAYLOADS_MAX_BYTES, Payloads, graph_data};
use channels::wire::Role;
use jiff::Timestamp;

use super::{Common, failed, finish};
use crate::error::{CliError, Result};
use crate::files::read_bounded;
use crate::out::Out;

/// Arguments of `fairway import graph-data`.
#[derive(Debug, clap::Args)]
pub(super) struct GraphDataArgs {
    /// The checkout: channels, blocked-edges, build-suggestions
    dir: PathBuf,
    /// The product's directory to make; it must be missing, empty, or this very import
    out: PathBuf,
    #[command(flatten)]
    common: Common,
    /// Payloads of releases, which graph data does not hold: CSV with the columns version, arch,
    /// digest and, if you have it, `released_at`; or a JSON list of objects with these keys
    #[arg(long, value_name = "FILE")]
    payloads: Option<PathBuf>,
    /// Repository of payloads that name only a digest, such as quay.io/acme/release
    #[arg(long, requires = "payloads")]
    repository: Option<String>,
    /// Day of releases that the payloads give none for
    #[arg(long, value_name = "DATE", requires = "payloads", value_parser = day)]
    released_at: Option<Timestamp>,
    /// What kind of unit runs the payload
    #[arg(long, default_value = "node", value_parser = role)]
    role: Role,
}

fn day(text: &str) -> std::result::Result<Timestamp, String> {
    text.parse()
        .or_else(|_| format!("{text}T00:00:00Z").parse())
        .map_err(|_| "write 2025-03-18 or 2025-03-18T10:00:00Z".to_owned())
}

fn role(text: &str) -> std::result::Result<Role, String> {
    let all = [Role::Controller, Role::Broker, Role::Node, Role::Workload];
    all.into_iter()
        .find(|role| role.to_string() == text)
        .ok_or_else(|| "write controller, broker, node or workload".to_owned())
}

pub(super) fn run(args: &GraphDataArgs, out: &mut Out) -> Result<()> {
    let payloads = match &args.payloads {
        None => Payloads::default(),
        Some(file) => {
            let unusable = |error: &dyn std::fmt::Display| {
                CliError::failed(format!("cannot read {}: {error}", file.display()))
            };
            let bytes = read_bounded(file, PAYLOADS_MAX_BYTES).map_err(|error| unusable(&error))?;
            let text = String::from_utf8(bytes).map_err(|error| unusable(&error))?;
            Payloads::parse(file, &text, args.repository.as_deref())
                .map_err(|error| unusable(&error))?
        }
    };
    let options = Options {
        product: args.common.product(),
        arches: args.common.arches(),
        payloads,
        released_at: args.released_at,
        role: args.role,
    };
    let import = graph_data(&args.dir, &options).map_err(|error| failed(&error, out))?;
    let check = |written: &std::path::Path| import.check(written).map(Some);
    finish(&args.out, &args.common, &import.files, &import.report, check, out)
}
