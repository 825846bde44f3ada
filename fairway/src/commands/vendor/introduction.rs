//! How a vendor introduces itself to the admin of a hub: its name, the public keys of its role and
//! how many of them sign. The file proves nothing; people compare the fingerprints by another way.

use std::path::Path;

use channels::names::VendorName;
use serde::{Deserialize, Serialize};
use signing::PublicKey;

use crate::error::{CliError, Result};
use crate::files::read_bounded;
use crate::publisher::RoleKeys;
use crate::words::fingerprint;

/// Largest file read: 64 RSA keys fit.
const MAX_BYTES: u64 = 256 * 1024;

/// Most keys in one introduction, as many as a client reads in one delegation.
const MAX_KEYS: usize = 64;

/// The one form there is.
const FORMAT: u32 = 1;

/// The document, `<vendor>.vendor.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Introduction {
    /// Form of the document.
    format: u32,
    /// Who introduces itself.
    pub(super) vendor: VendorName,
    /// Keys that must sign the vendor's role.
    threshold: u32,
    /// The keys.
    keys: Vec<IntroducedKey>,
}

/// One key, with what people compare.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct IntroducedKey {
    fingerprint: String,
    public_key: String,
}

impl Introduction {
    /// The introduction of a vendor.
    pub(super) fn of(vendor: &VendorName, role: &RoleKeys) -> Self {
        let key = |key: &PublicKey| IntroducedKey {
            fingerprint: fingerprint(key),
            public_key: key.to_spki_pem(),
        };
        let keys = role.keys.iter().map(key).collect();
        Self { format: FORMAT, vendor: vendor.clone(), threshold: role.threshold, keys }
    }

    /// Name of its file.
    pub(super) fn file_name(vendor: &VendorName) -> String {
        format!("{vendor}.vendor.json")
    }

    /// The document as text.
    pub(super) fn to_json(&self) -> Result<String> {
        serde_json::to_string_pretty(self)
            .map(|text| text + "\n")
            .map_err(|error| CliError::because("failed to write the introduction", &error))
    }

    /// Reads and checks a document.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let wrong = |why: String| CliError::failed(format!("{}: {why}", path.display()));
        let bytes = read_bounded(path, MAX_BYTES)
            .map_err(|error| wrong(format!("failed to read it: {error}")))?;
        let found: Self = serde_json::from_slice(&bytes)
            .map_err(|error| wrong(format!("it is not a vendor's introduction: {error}")))?;
        if found.format != FORMAT {
            return Err(wrong(format!("its format is {}, not {FORMAT}", found.format))
                .hint("it needs a newer fairway"));
        }
        if found.keys.len() > MAX_KEYS {
            return Err(wrong(format!("it has more than {MAX_KEYS} keys")));
        }
        found.keys().map_err(wrong)?;
        Ok(found)
    }

    /// The keys, each under the fingerprint that is written beside it.
    fn keys(&self) -> std::result::Result<RoleKeys, String> {
        let mut keys = Vec::new();
        for IntroducedKey { fingerprint: written, public_key } in &self.keys {
            let key = PublicKey::from_spki_pem(public_key).map_err(|error| error.to_string())?;
            // People compare what is written.
            if fingerprint(&key) != *written {
                return Err(format!("the fingerprint of a key is not {written}"));
            }
            keys.push(key);
        }
        Ok(RoleKeys { keys, threshold: self.threshold })
    }

    /// The keys and how many must sign.
    pub(super) fn role(&self) -> Result<RoleKeys> {
        self.keys().map_err(CliError::failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(seed: u8) -> PublicKey {
        signing::SecretKey::from_seed([seed; 32]).public().clone()
    }

    fn read(text: &str) -> Result<Introduction> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("acme.vendor.json");
        std::fs::write(&path, text).unwrap();
        Introduction::read(&path)
    }

    fn introduction() -> Introduction {
        let role = RoleKeys { keys: vec![key(1), key(2)], threshold: 2 };
        Introduction::of(&"acme".parse().unwrap(), &role)
    }

    #[test]
    fn what_is_written_is_read() {
        let written = introduction();
        let found = read(&written.to_json().unwrap()).unwrap();
        assert_eq!(found, written);
        assert_eq!(found.role().unwrap(), RoleKeys { keys: vec![key(1), key(2)], threshold: 2 });
    }

    #[test]
    fn a_key_under_another_fingerprint_is_refused() {
        let mut swapped = introduction();
        swapped.keys[0].public_key = key(3).to_spki_pem();
        let error = read(&swapped.to_json().unwrap()).unwrap_err();
        assert!(error.to_string().contains("the fingerprint of a key is not"), "{error}");
    }

    #[test]
    fn reserved_names_newer_formats_and_other_files_are_refused() {
        let text = introduction().to_json().unwrap();
        for (from, to, expected) in [
            ("\"acme\"", "\"targets\"", "TUF top-level role"),
            ("\"format\": 1", "\"format\": 2", "its format is 2, not 1"),
            ("\"vendor\"", "\"vend\"", "is not a vendor's introduction"),
        ] {
            let error = read(&text.replace(from, to)).unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
        }
    }
}
