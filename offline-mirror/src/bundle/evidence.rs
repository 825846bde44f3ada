//! What a check looked at and what it found, as a document for people and auditors.

use serde::Serialize;

use crate::oci::Digest;

/// Most damaged places that are listed; more of them say nothing more than "copy it again".
pub const DAMAGE_MAX: usize = 64;

/// Everything that was compared, and every place that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Evidence {
    /// Name of the bundle.
    pub name: String,
    /// What was looked at, by segment.
    pub segments: Vec<SegmentEvidence>,
    /// Places that are not as they were written, in order of segment and offset, at most
    /// [`DAMAGE_MAX`]. In an entry only the first is found.
    pub damage: Vec<Damage>,
    /// How many places were found altogether.
    pub damage_count: u64,
}

/// What was looked at in one segment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SegmentEvidence {
    /// File name.
    pub file: String,
    /// Its length; every byte of it was compared or hashed, unless damage ended that early.
    pub bytes: u64,
    /// Entries whose digest was compared.
    pub entries: u64,
    /// Damaged places in it.
    pub damage_count: u64,
}

/// One place that is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Damage {
    /// Segment file.
    pub file: String,
    /// Offset of the first byte that may differ.
    pub offset: u64,
    /// The difference lies within so many bytes.
    pub within: u64,
    /// Path of the entry there, or of the one behind a damaged header.
    pub path: String,
    /// The blob it belongs to, where it is one.
    pub blob: Option<Digest>,
    /// How it differs.
    pub kind: DamageKind,
}

/// How a place differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DamageKind {
    /// Other content.
    Content,
    /// Another tar header, or something else than zeros in the padding or the end.
    Framing,
    /// The medium cannot be read there.
    Unreadable,
    /// Every part is as it was written, and together they are another blob than the manifest says.
    Whole,
}

impl Evidence {
    /// One line with the first damaged place.
    pub fn summary(&self) -> String {
        let Some(first) = self.damage.first() else {
            return format!("{}: nothing is damaged", self.name);
        };
        let Damage { file, offset, within, path, kind, .. } = first;
        let what = match kind {
            DamageKind::Content => "other bytes than were written",
            DamageKind::Framing => "not the tar file that was written",
            DamageKind::Unreadable => "cannot be read",
            DamageKind::Whole => "the parts are not the blob they are named after",
        };
        let place = if *within > 1 {
            format!("in the {within} bytes from {offset}")
        } else {
            format!("at byte {offset}")
        };
        let more = match self.damage_count {
            0 | 1 => String::new(),
            count => format!("; {count} damaged places in all"),
        };
        format!("{file} {place} ({path}): {what}{more}")
    }
}
