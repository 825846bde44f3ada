//! What a writer knows to be on disk, in an append-only file that survives a crash at any byte.
//!
//! One line per record: 16 hex digits of the SHA-256 of the rest, then the rest. That an item is done is
//! written after its bytes were synced, and is believed; what else is written of it is compared with the
//! file before it is believed. The first line that is torn or does not follow from the ones before ends
//! the journal; what came behind it is written again.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{FlockOperation, flock};
use signing::Sha256Digest;

use crate::bundle::error::BundleError;
use crate::oci::Digest;

/// First word of the header; the number is the form of the records.
const MAGIC: &str = "fairway-bundle-work 1";
/// A record is about 100 bytes per 8 MiB of content: this is 20 TB. Behind it, work is done again.
const JOURNAL_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// Hex digits of the checksum in front of a record.
const CHECK_DIGITS: usize = 16;

/// One thing that is on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Record {
    /// The next chunk of a piece; the digest is that of the piece up to its end.
    Chunk { item: usize, piece: usize, prefix: Digest },
    /// All of a piece.
    Piece { item: usize, piece: usize, digest: Digest },
    /// All of an item, and it has the digest it must have.
    Done { item: usize },
    /// Forget everything of an item behind so many pieces and chunks of the next one.
    Back { item: usize, pieces: usize, chunks: usize },
}

impl Record {
    fn line(&self) -> String {
        let body = match self {
            Self::Chunk { item, piece, prefix } => format!("chunk {item} {piece} {prefix}"),
            Self::Piece { item, piece, digest } => format!("piece {item} {piece} {digest}"),
            Self::Done { item } => format!("done {item}"),
            Self::Back { item, pieces, chunks } => format!("back {item} {pieces} {chunks}"),
        };
        with_check(&body)
    }

    fn parse(body: &str) -> Option<Self> {
        let words: Vec<&str> = body.split(' ').collect();
        let number = |text: &str| text.parse::<usize>().ok();
        Some(match words.as_slice() {
            ["chunk", item, piece, prefix] => Self::Chunk {
                item: number(item)?,
                piece: number(piece)?,
                prefix: prefix.parse().ok()?,
            },
            ["piece", item, piece, digest] => Self::Piece {
                item: number(item)?,
                piece: number(piece)?,
                digest: digest.parse().ok()?,
            },
            ["done", item] => Self::Done { item: number(item)? },
            ["back", item, pieces, chunks] => {
                Self::Back { item: number(item)?, pieces: number(pieces)?, chunks: number(chunks)? }
            }
            _ => return None,
        })
    }
}

fn with_check(body: &str) -> String {
    let check = Sha256Digest::of(body.as_bytes()).to_string();
    let check: String = check.chars().take(CHECK_DIGITS).collect();
    format!("{check} {body}\n")
}

/// The body of a whole line, if its checksum is right.
fn checked(line: &str) -> Option<&str> {
    let (_, body) = line.strip_suffix('\n')?.split_once(' ')?;
    (with_check(body) == line).then_some(body)
}

/// What a journal says, as far as its lines are whole.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Replayed {
    /// Digest of the layout that the last header names, and where that header ends.
    pub(super) layout: Option<(Digest, usize)>,
    /// The records behind it, each with the offset of its end.
    pub(super) records: Vec<(Record, usize)>,
}

/// Reads a journal. Pure.
pub(super) fn replay(bytes: &[u8]) -> Replayed {
    let mut replayed = Replayed { layout: None, records: Vec::new() };
    let mut end = 0_usize;
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let Some(body) = std::str::from_utf8(line).ok().and_then(checked) else { break };
        end = end.saturating_add(line.len());
        let header = body.strip_prefix(MAGIC).and_then(|rest| rest.trim_start().parse().ok());
        if let Some(layout) = header {
            replayed = Replayed { layout: Some((layout, end)), records: Vec::new() };
        } else if let (Some(record), Some(_)) = (Record::parse(body), replayed.layout) {
            replayed.records.push((record, end));
        } else {
            break;
        }
    }
    replayed
}

/// The open journal; the process that has it open is the only writer of the set.
#[derive(Debug)]
pub(super) struct Journal {
    file: Arc<File>,
    path: PathBuf,
}

impl Journal {
    /// Opens or makes the journal in the working state `work` and locks it.
    pub(super) fn open(work: &Path) -> Result<(Self, Vec<u8>), BundleError> {
        std::fs::create_dir_all(work).map_err(BundleError::io("make", work))?;
        let path = work.join("journal");
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(false);
        let file = options.open(&path).map_err(BundleError::io("open", &path))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Err(e) if e == rustix::io::Errno::WOULDBLOCK => {
                return Err(BundleError::Locked { work: work.to_owned() });
            }
            // Some network file systems have no locks; two processes there are people's own fault.
            Ok(()) | Err(_) => {}
        }
        let mut bytes = Vec::new();
        let read = (&file).take(JOURNAL_BYTES_MAX).read_to_end(&mut bytes);
        read.map_err(BundleError::io("read", &path))?;
        Ok((Self { file: Arc::new(file), path }, bytes))
    }

    /// Begins anew behind what stands there: nothing before this is true any more.
    pub(super) fn begin(&mut self, layout: &Digest) -> Result<(), BundleError> {
        self.write(with_check(&format!("{MAGIC} {layout}")).as_bytes())?;
        self.file.sync_data().map_err(BundleError::io("sync", &self.path))
    }

    /// The file, for syncing it without holding the journal.
    pub(super) fn file(&self) -> Arc<File> {
        Arc::clone(&self.file)
    }

    /// Drops everything behind `end`.
    pub(super) fn cut(&mut self, end: usize) -> Result<(), BundleError> {
        let end = u64::try_from(end).unwrap_or(u64::MAX);
        let cut = self.file.set_len(end).and_then(|()| (&*self.file).seek(SeekFrom::Start(end)));
        cut.map(drop).map_err(BundleError::io("cut", &self.path))
    }

    /// Appends records.
    pub(super) fn append(&mut self, records: &[Record]) -> Result<(), BundleError> {
        let text: String = records.iter().map(Record::line).collect();
        self.write(text.as_bytes())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), BundleError> {
        (&*self.file).write_all(bytes).map_err(BundleError::io("write", &self.path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn records() -> Vec<Record> {
        let digest = Digest::of(b"x");
        vec![
            Record::Chunk { item: 3, piece: 0, prefix: digest },
            Record::Piece { item: 3, piece: 0, digest },
            Record::Done { item: 3 },
            Record::Back { item: 4, pieces: 1, chunks: 2 },
        ]
    }

    fn text() -> String {
        let header = with_check(&format!("{MAGIC} {}", Digest::of(b"layout")));
        header + &records().iter().map(Record::line).collect::<String>()
    }

    #[test]
    fn a_journal_torn_at_any_byte_has_its_whole_records() {
        let text = text();
        for end in 0..=text.len() {
            let whole = text[..end].matches('\n').count();
            let replayed = replay(&text.as_bytes()[..end]);
            assert_eq!(replayed.layout.is_some(), whole > 0, "at byte {end}");
            let expected = &records()[..whole.saturating_sub(1)];
            assert!(replayed.records.iter().map(|(record, _)| record).eq(expected), "{end}");
        }
    }

    #[test]
    fn a_flipped_byte_ends_the_journal_before_its_record() {
        let text = text();
        for at in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[at] ^= 1;
            let before = text[..at].matches('\n').count().saturating_sub(1);
            let found = replay(&bytes).records.len();
            assert_eq!(found, before, "byte {at}");
        }
    }

    #[test]
    fn a_second_header_voids_what_stands_before_it() {
        let second = with_check(&format!("{MAGIC} {}", Digest::of(b"other")));
        let text = text() + &second + &Record::Done { item: 9 }.line();
        let replayed = replay(text.as_bytes());
        assert_eq!(replayed.layout.unwrap().0, Digest::of(b"other"));
        assert_eq!(replayed.records, [(Record::Done { item: 9 }, text.len())]);
    }

    #[test]
    fn two_writers_of_one_set_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let first = Journal::open(dir.path()).unwrap();
        assert!(matches!(Journal::open(dir.path()), Err(BundleError::Locked { .. })));
        drop(first);
        assert!(Journal::open(dir.path()).is_ok());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let replayed = replay(&bytes);
            prop_assert!(replayed.records.is_empty());
        }
    }
}
