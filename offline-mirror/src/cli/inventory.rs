//! `offline-mirror inventory`: asks the target what it has, and signs the answer.

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::target::TargetArgs;
use super::{Output, now, say};
use crate::import::take_inventory;
use crate::site::SiteDir;

#[derive(Debug, Args)]
pub(super) struct InventoryArgs {
    /// The site's directory; the inventory is kept there as inventory.json.
    site: PathBuf,
    #[command(flatten)]
    target: TargetArgs,
    /// How to say it: the signed document itself with json.
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

pub(super) async fn run(args: InventoryArgs) -> anyhow::Result<()> {
    let site = SiteDir::open(&args.site)?;
    let target = args.target.open(&site)?;
    let mut ledger = site.ledger()?;
    let taken = take_inventory(&site, &target, &mut ledger, &BTreeSet::new(), now()).await?;
    let (inventory, digest) = taken;
    let path = site.inventory_path();
    match args.output {
        Output::Json => {
            let bytes = inventory.sign(&site.key()?)?;
            say(&String::from_utf8(bytes).unwrap_or_else(|_| json!(inventory).to_string()))
        }
        Output::Text => say(&format!(
            "inventory {} of {}: {} manifests and blobs at {}\n{} ({digest})",
            inventory.counter,
            inventory.site,
            inventory.contents.len(),
            inventory.target,
            path.display(),
        )),
    }
}
