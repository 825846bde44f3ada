//! Names that travel in metadata and in URLs, parsed once at the edge.

mod file;
mod path;
mod role;

pub use file::{FileName, HashPrefix};
pub use path::TargetPath;
pub use role::{RoleName, TopRole};

/// A name that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Not a role name: empty, longer than 200 bytes percent-encoded, or with control characters.
    #[error("not a role name: {found:?}")]
    Role {
        /// What was read.
        found: String,
    },
    /// Not a target path: empty, absolute, over 512 bytes, a segment over 160 bytes, or with `.`,
    /// `..`, empty segments, backslashes or control characters.
    #[error("not a target path: {found:?}")]
    Target {
        /// What was read.
        found: String,
    },
    /// Not a lower-case hex hash.
    #[error("not a hexadecimal hash: {found:?}")]
    Hash {
        /// What was read.
        found: String,
    },
    /// Not a file of a TUF repository.
    #[error("not a file of a TUF repository: {found:?}")]
    File {
        /// What was read.
        found: String,
    },
}

/// Percent-encodes everything but letters, digits and `_.-~` (as Python's `quote(name, "")`,
/// which is what other TUF repositories use for their file names).
pub(crate) fn percent_encode(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"_.-~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push_str(&hex::encode_upper([byte]));
        }
    }
    out
}

/// Undoes percent-encoding, once; `None` for a broken escape or bytes that are not UTF-8.
pub fn percent_decode(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let escape = [bytes.next()?, bytes.next()?];
            out.extend(hex::decode(escape).ok()?);
        } else {
            out.push(byte);
        }
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests;
