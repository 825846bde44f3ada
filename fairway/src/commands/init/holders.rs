//! Root keys that exist already, each on the machine of its holder: only their public halves come
//! here.

use std::path::PathBuf;

use signing::PublicKey;

use super::InitArgs;
use crate::authoring::read_public;
use crate::error::{CliError, Result};
use crate::publisher::RoleKeys;

/// Public halves of root keys, by the name of their file below `keys`.
#[derive(Debug)]
pub(super) struct Holders(Vec<(String, PublicKey)>);

impl Holders {
    /// Reads the files; `taken` are the names of keys that init makes itself.
    pub(super) fn read(files: &[PathBuf], taken: &[String]) -> Result<Self> {
        let mut keys: Vec<(String, PublicKey)> = Vec::new();
        for file in files {
            let wrong = |why: &str| Err(CliError::failed(format!("{}: {why}", file.display())));
            let name = match file.file_name().and_then(|name| name.to_str()) {
                Some(name) if is_plain(name) => name.to_owned(),
                Some(_) | None => {
                    return wrong(
                        "the name of a root key must end in .pub and hold no odd character",
                    );
                }
            };
            let key = read_public(file)?;
            if taken.contains(&name) || keys.iter().any(|(other, _)| *other == name) {
                return wrong("another key of this directory has that name; rename the file");
            }
            if let Some((other, _)) = keys.iter().find(|(_, other)| *other == key) {
                return wrong(&format!("it is the same key as {other}"));
            }
            keys.push((name, key));
        }
        Ok(Self(keys))
    }

    /// The keys as root lists them.
    pub(super) fn role_keys(&self, threshold: u32) -> RoleKeys {
        RoleKeys { keys: self.0.iter().map(|(_, key)| key.clone()).collect(), threshold }
    }

    /// Names of their files.
    pub(super) fn names(&self) -> Vec<String> {
        self.0.iter().map(|(name, _)| name.clone()).collect()
    }

    /// The files to write.
    pub(super) fn into_files(self) -> Vec<(String, PublicKey)> {
        self.0
    }
}

/// Names of the public files that init makes for the roles below root.
pub(super) fn taken(args: &InitArgs) -> Vec<String> {
    let mut names = vec!["targets.pub".to_owned()];
    if let Some(vendor) = &args.vendor {
        names.extend(["", ".releases", ".channels"].map(|suffix| format!("{vendor}{suffix}.pub")));
    }
    names
}

fn is_plain(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    name.strip_suffix(".pub").is_some_and(|stem| !stem.is_empty() && !stem.starts_with('.'))
        && name.chars().all(plain)
}
