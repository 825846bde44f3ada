//! What lies around the entries of a segment: tar headers, padding, the end. Pure.
//!
//! Every byte of it follows from the paths and lengths in the manifest, so it needs no hash: a reader
//! computes it and compares. POSIX.1-2017 `pax` interchange format; only `tar` knows more than this
//! module, because its `Header` writes the fields.

use tar::{EntryType, Header};

/// Unit of tar files.
pub(super) const BLOCK_BYTES: u64 = 512;
/// Two empty blocks end a tar file.
pub(super) const END_BYTES: u64 = 2 * BLOCK_BYTES;
/// Longest path that an ustar header holds in its name field; the prefix field is never used.
const NAME_BYTES_MAX: usize = 100;
/// Largest content that eleven octal digits can say.
pub(super) const CONTENT_BYTES_MAX: u64 = 8 * 1024 * 1024 * 1024 - 1;
/// Name in the header in front of a pax record.
const PAX_NAME: &str = "pax_header";

/// `size` rounded up to whole blocks.
pub(super) fn padded(size: u64) -> u64 {
    size.saturating_add(BLOCK_BYTES - 1) / BLOCK_BYTES * BLOCK_BYTES
}

/// How many bytes of headers stand in front of the content of an entry with this path.
pub(super) fn header_bytes(path: &str) -> u64 {
    pax_record(path).map_or(BLOCK_BYTES, |record| {
        let record = u64::try_from(record.len()).unwrap_or(u64::MAX);
        padded(record).saturating_add(2 * BLOCK_BYTES)
    })
}

/// The headers in front of the content of an entry.
pub(super) fn headers(path: &str, size: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Some(record) = pax_record(path) {
        let length = u64::try_from(record.len()).unwrap_or(u64::MAX);
        bytes.extend_from_slice(&block(PAX_NAME, length, EntryType::XHeader));
        bytes.extend_from_slice(record.as_bytes());
        bytes.resize(bytes.len().next_multiple_of(512), 0);
    }
    bytes.extend_from_slice(&block(path, size, EntryType::Regular));
    bytes
}

/// One header block: owner 0, mode 0644, time 0, no names.
fn block(path: &str, size: u64, kind: EntryType) -> [u8; 512] {
    let mut header = Header::new_ustar();
    for (slot, byte) in header.as_old_mut().name.iter_mut().zip(path.bytes()) {
        *slot = byte;
    }
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_size(size);
    header.set_entry_type(kind);
    header.set_cksum();
    *header.as_bytes()
}

/// `<length> path=<path>\n` for a path that the name field does not hold; its length counts itself.
fn pax_record(path: &str) -> Option<String> {
    if path.len() <= NAME_BYTES_MAX {
        return None;
    }
    let rest = format!(" path={path}\n");
    let with = |digits: usize| rest.len().saturating_add(digits);
    let digits = (1..=20).find(|digits| with(*digits).to_string().len() == *digits)?;
    Some(format!("{}{rest}", with(digits)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_path_of_a_hundred_bytes_needs_one_block_and_one_more_needs_three() {
        assert_eq!(header_bytes(&"a".repeat(100)), 512);
        assert_eq!(header_bytes(&"a".repeat(101)), 3 * 512);
        assert_eq!(headers(&"a".repeat(101), 7).len(), 3 * 512);
    }

    proptest! {
        #[test]
        fn the_tar_crate_reads_what_the_headers_say(
            path in "[a-z]{1,80}(/[a-z0-9.]{1,90}){0,6}", size in 0_u64..2000
        ) {
            let mut file = headers(&path, size);
            prop_assert_eq!(u64::try_from(file.len()).unwrap(), header_bytes(&path));
            let end = file.len() + usize::try_from(padded(size) + END_BYTES).unwrap();
            file.resize(end, 0);
            let mut archive = tar::Archive::new(file.as_slice());
            let mut entries = archive.entries().unwrap();
            let entry = entries.next().unwrap().unwrap();
            let found = entry.path().unwrap().into_owned();
            prop_assert_eq!(found.to_str().unwrap(), path);
            prop_assert_eq!(entry.size(), size);
            prop_assert_eq!(entry.raw_file_position(), header_bytes_before(&entry));
            prop_assert!(entries.next().is_none());
        }

        #[test]
        fn the_length_of_a_pax_record_counts_itself(length in 101_usize..2000) {
            let record = pax_record(&"p".repeat(length)).unwrap();
            let (said, _) = record.split_once(' ').unwrap();
            prop_assert_eq!(said.parse::<usize>().unwrap(), record.len());
        }
    }

    fn header_bytes_before(entry: &tar::Entry<'_, &[u8]>) -> u64 {
        header_bytes(entry.path().unwrap().to_str().unwrap())
    }
}
