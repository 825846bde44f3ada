//! What must hold for any input, as plain functions: the fuzz targets and the test that replays
//! their corpora (`signing/tests/corpus.rs`) include these same files.

pub(crate) mod canonical_json;
pub(crate) mod key_files;
pub(crate) mod metadata;
pub(crate) mod signature_headers;

/// Canonical JSON leaves control characters as they are; escaped, it is JSON again. Outside of
/// strings there are none.
pub(crate) fn as_json(canonical: &[u8]) -> Vec<u8> {
    let mut json = Vec::with_capacity(canonical.len());
    for &byte in canonical {
        if byte < 0x20 {
            json.extend_from_slice(format!("\\u{byte:04x}").as_bytes());
        } else {
            json.push(byte);
        }
    }
    json
}
