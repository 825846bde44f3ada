//! How large the segments of a bundle may become.

use std::fmt;
use std::str::FromStr;

use super::framing::{BLOCK_BYTES, CONTENT_BYTES_MAX, END_BYTES};

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;
const GIB: u64 = 1024 * MIB;

/// Blobs are cut at multiples of this. Eight chunks: a part begins where a chunk does.
const PART_BYTES: u64 = 64 * MIB;
/// FAT32 holds files of up to 4 GiB - 1; the rest is room for people who count in other units.
const FAT32: u64 = 4 * GIB - 64 * KIB;
/// A single-layer DVD holds 4 700 372 992 bytes; this leaves 86 MB for the file system and the
/// manifest.
const DVD: u64 = 4_400 * MIB;
/// A single-layer BD-R holds 24 220 008 448 bytes after formatting; this leaves 100 MB.
const BD25: u64 = 23_000 * MIB;
/// Below this a segment would not hold one part of a blob and everything that is never cut.
const SMALLEST: u64 = 128 * MIB;
/// No medium that is carried holds a larger file.
const LARGEST: u64 = 1024 * GIB;
/// Headers and end around the only entry of a segment, with room to spare.
const AROUND: u64 = 8 * BLOCK_BYTES + END_BYTES;

/// A size that segments cannot have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "segment size {value:?}: wanted 128MiB to 1024GiB, as bytes, with MB, MiB, GB or GiB behind, or \
     fat32, dvd or bd25"
)]
pub struct SegmentSizeError {
    /// What was given.
    pub value: String,
}

/// Largest length of one segment file, in bytes. From text: `fat32` (the default, 4 GiB - 64 KiB),
/// `dvd`, `bd25`, or a number, alone or with `MB`, `MiB`, `GB` or `GiB` behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentSize {
    bytes: u64,
    part_bytes: u64,
}

impl SegmentSize {
    /// A size of so many bytes.
    ///
    /// # Errors
    /// Below 128 MiB, where a segment would not hold one 64 MiB part of a blob beside everything
    /// that is never cut; above 1 TiB.
    pub fn new(bytes: u64) -> Result<Self, SegmentSizeError> {
        if (SMALLEST..=LARGEST).contains(&bytes) {
            return Ok(Self { bytes, part_bytes: PART_BYTES });
        }
        Err(SegmentSizeError { value: bytes.to_string() })
    }

    /// Segments of a few kilobytes with parts to match, for rehearsals and tests of sets with several
    /// segments. Readers take them as any other. At least 8 KiB.
    #[must_use]
    pub fn rehearsal(bytes: u64) -> Self {
        let bytes = bytes.max(8 * KIB);
        let part_bytes = ((bytes - AROUND) / 2 / BLOCK_BYTES).max(1) * BLOCK_BYTES;
        Self { bytes, part_bytes }
    }

    /// The largest length of a segment file.
    pub fn bytes(self) -> u64 {
        self.bytes
    }

    /// What parts of blobs are multiples of.
    pub(super) fn part_bytes(self) -> u64 {
        self.part_bytes
    }

    /// The largest content of one entry, whatever its path: tar headers count to 8 GiB.
    pub(super) fn content_bytes_max(self) -> u64 {
        (self.bytes - AROUND).min(CONTENT_BYTES_MAX)
    }
}

impl Default for SegmentSize {
    fn default() -> Self {
        Self { bytes: FAT32, part_bytes: PART_BYTES }
    }
}

impl FromStr for SegmentSize {
    type Err = SegmentSizeError;

    fn from_str(text: &str) -> Result<Self, SegmentSizeError> {
        let refuse = || SegmentSizeError { value: text.chars().take(40).collect() };
        let bytes = match text {
            "fat32" => FAT32,
            "dvd" => DVD,
            "bd25" => BD25,
            _ => {
                let digits =
                    text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
                let (number, unit) = text.split_at(digits);
                let factor = match unit {
                    "" | "B" => 1,
                    "MB" => 1_000_000,
                    "MiB" => MIB,
                    "GB" => 1_000_000_000,
                    "GiB" => GIB,
                    _ => return Err(refuse()),
                };
                let number: u64 = number.parse().map_err(|_| refuse())?;
                number.checked_mul(factor).ok_or_else(refuse)?
            }
        };
        Self::new(bytes).map_err(|_| refuse())
    }
}

impl fmt::Display for SegmentSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_in_both_kinds_of_units() {
        for (text, bytes) in [
            ("fat32", 4_294_901_760),
            ("dvd", 4_613_734_400),
            ("bd25", 24_117_248_000),
            ("134217728", 134_217_728),
            ("700MB", 700_000_000),
            ("2GiB", 2 * GIB),
        ] {
            assert_eq!(text.parse::<SegmentSize>().unwrap().bytes(), bytes, "{text}");
        }
        for bad in ["", "1", "127MiB", "2 GiB", "2gib", "GiB", "2000000GiB", "-4GiB"] {
            assert!(bad.parse::<SegmentSize>().is_err(), "{bad}");
        }
        assert_eq!(SegmentSize::default().to_string(), "4294901760");
    }

    #[test]
    fn the_smallest_segment_holds_a_part() {
        let smallest = SegmentSize::new(SMALLEST).unwrap();
        assert!(smallest.content_bytes_max() >= smallest.part_bytes());
        let rehearsal = SegmentSize::rehearsal(0);
        assert!(rehearsal.content_bytes_max() >= rehearsal.part_bytes());
        assert!(SegmentSize::new(LARGEST).unwrap().content_bytes_max() <= CONTENT_BYTES_MAX);
    }
}
