//! Files of a site's directory: settings that delegate to vendors whose files are imported.

use std::path::PathBuf;

use channels::names::VendorName;
use signing::Delegation;

use super::scaffold::{GITIGNORE, TopRoles};
use crate::origin::{Origin, key_file};
use crate::out::printable;

/// What the texts are about.
#[derive(Debug)]
pub(crate) struct SiteScaffold<'a> {
    /// Hub and top-level keys.
    pub(crate) top: TopRoles,
    /// Where the vendors are known from.
    pub(crate) origin: &'a Origin,
}

impl SiteScaffold<'_> {
    /// Every text file with its path below the directory.
    pub(crate) fn files(&self) -> Vec<(PathBuf, String)> {
        vec![(super::CONFIG_FILE.into(), self.hub()), (".gitignore".into(), GITIGNORE.to_owned())]
    }

    fn hub(&self) -> String {
        // A reason typed by a person must not end the comment it stands in.
        let told = printable(&self.origin.told()).replace('\n', " ");
        let vendors: Vec<String> = self.origin.vendors().iter().map(table).collect();
        format!(
            "{}
# Vendors whose files come ready signed with `offline-mirror import`: targets delegates to these
# keys, and nothing of theirs is signed here. Compare the keys with the vendor's own word
# (`fairway key show FILE`), and remove a vendor that this site does not use.
# Known from {told}.
{}
# How long signatures are valid, in days. `fairway publish` renews in the last third.
[expiry_days]
root = 365
targets = 365
",
            self.top.text(),
            vendors.join("\n")
        )
    }
}

fn table((vendor, delegation): &(VendorName, Delegation)) -> String {
    let keys = delegation.keys.iter().map(|key| format!("keys/{}", key_file(vendor, key)));
    format!(
        "[imported.{vendor}]\nkeys = {}\nthreshold = {}\npaths = {}\nterminating = {}\n",
        list(keys),
        delegation.threshold,
        list(delegation.paths.iter().cloned()),
        delegation.terminating,
    )
}

/// A TOML array of strings, escaped.
fn list(items: impl Iterator<Item = String>) -> String {
    toml::Value::Array(items.map(toml::Value::String).collect()).to_string()
}
