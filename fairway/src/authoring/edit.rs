//! Changes to `hub.toml` that keep its comments and its order.
//!
//! The text that comes out is parsed as every other command will parse it before it replaces the
//! file.

use std::path::{Path, PathBuf};

use channels::names::VendorName;
use toml_edit::{Array, DocumentMut, Item, TableLike, value};

use super::CONFIG_FILE;
use super::config::{HubConfig, MAX_CONFIG_BYTES};
use crate::error::{CliError, Result};
use crate::files::{read_bounded, replace};

/// Which kind of table a vendor has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Table {
    /// `[vendors.<name>]`: published from here.
    Own,
    /// `[delegated.<name>]`: publishes by itself.
    Delegated,
    /// `[imported.<name>]`: imported ready signed.
    Imported,
}

impl Table {
    /// Its name in the file.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Own => "vendors",
            Self::Delegated => "delegated",
            Self::Imported => "imported",
        }
    }
}

/// A `hub.toml` that is being changed.
#[derive(Debug)]
pub(crate) struct ConfigEdit {
    path: PathBuf,
    document: DocumentMut,
}

impl ConfigEdit {
    /// Reads the file of a directory.
    pub(crate) fn open(root: &Path) -> Result<Self> {
        let path = root.join(CONFIG_FILE);
        let failed =
            |why: String| CliError::failed(format!("failed to read {}: {why}", path.display()));
        let bytes = read_bounded(&path, MAX_CONFIG_BYTES).map_err(|e| failed(e.to_string()))?;
        let text = String::from_utf8(bytes).map_err(|e| failed(e.to_string()))?;
        let document = text.parse().map_err(|e: toml_edit::TomlError| failed(e.to_string()))?;
        Ok(Self { path, document })
    }

    /// Adds `[delegated.<vendor>]`.
    pub(crate) fn add_delegated(
        &mut self,
        vendor: &VendorName,
        files: &[String],
        threshold: u32,
    ) -> Result<()> {
        let table = Table::Delegated;
        let not_a_table = self.path_error(table, vendor);
        let vendors = self.document.entry(table.as_str()).or_insert_with(|| {
            let mut parent = toml_edit::Table::new();
            parent.set_implicit(true);
            Item::Table(parent)
        });
        let mut own = toml_edit::Table::new();
        own.insert("keys", value(files.iter().collect::<Array>()));
        own.insert("threshold", value(i64::from(threshold)));
        own.decor_mut().set_prefix(format!(
            "\n# {vendor} publishes by itself, with keys of its own. Compare them with its own word.\n"
        ));
        let vendors = vendors.as_table_like_mut().ok_or(not_a_table)?;
        vendors.insert(vendor.as_str(), Item::Table(own));
        Ok(())
    }

    /// Sets keys and threshold of a role; `below` is `releases` or `channels`, or none for the
    /// vendor's own. Keys that stay keep their place.
    pub(crate) fn set_role(
        &mut self,
        table: Table,
        vendor: &VendorName,
        below: Option<&str>,
        files: &[String],
        threshold: u32,
    ) -> Result<()> {
        let missing = self.path_error(table, vendor);
        let own =
            self.document.get_mut(table.as_str()).and_then(|all| all.get_mut(vendor.as_str()));
        let role = match below {
            None => own,
            Some(below) => own.and_then(|own| own.get_mut(below)),
        };
        let role = role.and_then(Item::as_table_like_mut).ok_or_else(|| missing.clone())?;
        let keys = role.get_mut("keys").and_then(Item::as_array_mut).ok_or(missing)?;
        keys.retain(|key| key.as_str().is_some_and(|key| files.iter().any(|file| file == key)));
        // What was the second may be the first now.
        if let Some(first) = keys.get_mut(0)
            && first.decor().prefix().and_then(|prefix| prefix.as_str()) == Some(" ")
        {
            first.decor_mut().set_prefix("");
        }
        let known: Vec<String> =
            keys.iter().filter_map(|key| key.as_str().map(str::to_owned)).collect();
        for file in files.iter().filter(|file| !known.contains(file)) {
            push(keys, file);
        }
        set_number(role, "threshold", threshold);
        Ok(())
    }

    /// Removes a vendor's table and those below it.
    pub(crate) fn remove(&mut self, table: Table, vendor: &VendorName) -> Result<()> {
        let missing = self.path_error(table, vendor);
        let all = self.document.get_mut(table.as_str()).and_then(Item::as_table_like_mut);
        let removed = all.and_then(|all| all.remove(vendor.as_str()));
        removed.map(drop).ok_or(missing)
    }

    fn path_error(&self, table: Table, vendor: &VendorName) -> CliError {
        CliError::failed(format!(
            "{}: [{}.{vendor}] is not a table that can be edited; change it by hand",
            self.path.display(),
            table.as_str()
        ))
    }

    /// Replaces the file, if what came out is usable.
    pub(crate) fn save(&self) -> Result<()> {
        let text = self.document.to_string();
        HubConfig::parse(&self.path, text.as_bytes())?;
        replace(&self.path, text.as_bytes()).map_err(|error| {
            CliError::failed(format!("failed to write {}: {error}", self.path.display()))
        })
    }
}

/// Adds a string; in an array of several lines, on a line of its own behind what is there.
fn push(array: &mut Array, text: &str) {
    let mut new = toml_edit::Value::from(text);
    let end = array.trailing().as_str().filter(|end| end.contains('\n')).map(str::to_owned);
    if let Some(end) = end {
        new.decor_mut().set_prefix(format!("{end}    "));
        array.push_formatted(new);
        array.set_trailing("\n");
        array.set_trailing_comma(true);
    } else {
        array.push(new);
    }
}

/// Replaces a number and keeps the comment behind it.
fn set_number(table: &mut dyn TableLike, key: &str, number: u32) {
    let mut new = toml_edit::Value::from(i64::from(number));
    if let Some(old) = table.get(key).and_then(Item::as_value) {
        *new.decor_mut() = old.decor().clone();
    }
    table.insert(key, Item::Value(new));
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: &str = r#"# Where.
server = "https://hub.example"   # ours

[root]
keys = ["keys/root-1.pub"]
threshold = 1

[targets]
keys = ["keys/targets.pub"]
threshold = 1

# Ours.
[vendors.acme]
keys = [
    "keys/acme.pub", # safe
]
threshold = 1 # of one
releases = { keys = ["keys/acme.releases.pub"], threshold = 1 }

[vendors.acme.channels]
keys = ["keys/acme.channels.pub"]
threshold = 1

# How long.
[expiry_days]
root = 365
"#;

    fn name(vendor: &str) -> VendorName {
        vendor.parse().unwrap()
    }

    fn edited(change: impl FnOnce(&mut ConfigEdit) -> Result<()>) -> String {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(CONFIG_FILE);
        std::fs::write(&path, BEFORE).unwrap();
        let mut edit = ConfigEdit::open(dir.path()).unwrap();
        change(&mut edit).unwrap();
        edit.save().unwrap();
        std::fs::read_to_string(&path).unwrap()
    }

    #[test]
    fn a_file_that_is_not_changed_stays_as_it_was() {
        assert_eq!(edited(|_| Ok(())), BEFORE);
    }

    #[test]
    fn a_new_vendor_comes_last_and_moves_nothing() {
        let files = ["keys/beta.1.pub".to_owned(), "keys/beta.2.pub".to_owned()];
        let text = edited(|edit| edit.add_delegated(&name("beta"), &files, 2));
        let added = text.strip_prefix(BEFORE).unwrap();
        insta::assert_snapshot!(added, @r#"

        # beta publishes by itself, with keys of its own. Compare them with its own word.
        [delegated.beta]
        keys = ["keys/beta.1.pub", "keys/beta.2.pub"]
        threshold = 2
        "#);
    }

    #[test]
    fn changed_keys_keep_comments_and_the_place_of_the_others() {
        let own = ["keys/acme.pub".to_owned(), "keys/new.pub".to_owned()];
        let releases = ["keys/new.releases.pub".to_owned()];
        let text = edited(|edit| {
            edit.set_role(Table::Own, &name("acme"), None, &own, 2)?;
            edit.set_role(Table::Own, &name("acme"), Some("releases"), &releases, 1)
        });
        let (start, end) = (text.find("# Ours"), text.find("\n[vendors.acme.ch"));
        insta::assert_snapshot!(&text[start.unwrap()..end.unwrap()], @r#"
        # Ours.
        [vendors.acme]
        keys = [
            "keys/acme.pub", # safe
            "keys/new.pub",
        ]
        threshold = 2 # of one
        releases = { keys = ["keys/new.releases.pub"], threshold = 1 }
        "#);
    }

    #[test]
    fn a_list_whose_first_key_goes_is_written_as_by_hand() {
        let set = |edit: &mut ConfigEdit, files: &[&str]| {
            let files: Vec<String> = files.iter().map(|file| (*file).to_owned()).collect();
            edit.set_role(Table::Own, &name("acme"), Some("channels"), &files, 1)
        };
        let text = edited(|edit| {
            set(edit, &["keys/acme.channels.pub", "keys/new.pub"])?;
            set(edit, &["keys/new.pub"])
        });
        assert!(text.contains("\n[vendors.acme.channels]\nkeys = [\"keys/new.pub\"]\n"), "{text}");
    }

    #[test]
    fn a_removed_vendor_leaves_the_rest_alone() {
        let text = edited(|edit| edit.remove(Table::Own, &name("acme")));
        let start = BEFORE.find("# Ours.").unwrap();
        let end = BEFORE.find("\n# How long.").unwrap();
        assert_eq!(text, format!("{}{}", &BEFORE[..start], &BEFORE[end + 1..]));
    }

    #[test]
    fn nothing_unusable_is_saved() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(CONFIG_FILE);
        std::fs::write(&path, BEFORE).unwrap();
        let mut edit = ConfigEdit::open(dir.path()).unwrap();
        edit.set_role(Table::Own, &name("acme"), None, &["a.pub".to_owned()], 2).unwrap();
        let error = edit.save().unwrap_err();
        assert!(error.to_string().contains("1 keys cannot give 2 signatures"), "{error}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), BEFORE);
    }
}
