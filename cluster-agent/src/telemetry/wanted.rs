//! Which metric families a page is read for.

use std::collections::BTreeMap;

/// Longest metric name that can be wanted; real ones stay below 120 bytes.
pub const NAME_MAX_BYTES: usize = 256;

/// What a family is expected to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FamilyKind {
    /// Counter, gauge, info or untyped: plain samples of the family's own name.
    Number,
    /// `_bucket`, `_sum`, `_count`.
    Histogram,
    /// Quantiles, `_sum`, `_count`.
    Summary,
}

/// What a sample line of a wanted family is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LineKind {
    /// A plain sample.
    Plain,
    /// A `_bucket` line; needs `le`.
    Bucket,
    /// A quantile line; needs `quantile`.
    Quantile,
}

/// Why a set of families cannot be wanted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WantedError {
    /// Empty, too long, or with characters no exposition line can start with.
    #[error("{name:?} is not a metric name: letters, digits, '_' and ':' up to 256 bytes")]
    BadName {
        /// The refused name.
        name: String,
    },
    /// Two wanted families claim the same sample lines.
    #[error("samples named {name:?} would belong to two wanted families")]
    Overlap {
        /// The sample name claimed twice.
        name: String,
    },
}

/// A checked set of families, indexed for the filter.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    families: Vec<(String, FamilyKind)>,
    /// Sample name → index of its family and what such a line is.
    lines: BTreeMap<String, (usize, LineKind)>,
    /// Sample names by length, so that most lines cost one look.
    by_length: Vec<Vec<(String, usize, LineKind)>>,
}

impl Wanted {
    /// Builds the set; a family named twice with the same kind is one family.
    pub fn new<'a>(
        families: impl IntoIterator<Item = (&'a str, FamilyKind)>,
    ) -> Result<Self, WantedError> {
        let mut wanted = Self::default();
        for (name, kind) in families {
            wanted.add(name, kind)?;
        }
        Ok(wanted)
    }

    fn add(&mut self, name: &str, kind: FamilyKind) -> Result<(), WantedError> {
        let good = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b':');
        let starts_well = name.bytes().next().is_some_and(|b| !b.is_ascii_digit());
        if !good || !starts_well || name.len() > NAME_MAX_BYTES {
            return Err(WantedError::BadName { name: name.chars().take(80).collect() });
        }
        if self.families.iter().any(|(known, of)| known == name && *of == kind) {
            return Ok(());
        }
        let index = self.families.len();
        self.families.push((name.to_owned(), kind));
        match kind {
            FamilyKind::Number => self.claim(name.to_owned(), index, LineKind::Plain)?,
            FamilyKind::Histogram => {
                self.claim(format!("{name}_bucket"), index, LineKind::Bucket)?;
            }
            FamilyKind::Summary => self.claim(name.to_owned(), index, LineKind::Quantile)?,
        }
        if kind != FamilyKind::Number {
            self.claim(format!("{name}_sum"), index, LineKind::Plain)?;
            self.claim(format!("{name}_count"), index, LineKind::Plain)?;
        }
        Ok(())
    }

    /// Samples named `other` belong to the wanted number family `name` as well.
    pub fn also_spelled(&mut self, name: &str, other: &str) -> Result<(), WantedError> {
        let known =
            self.families.iter().position(|(of, kind)| of == name && *kind == FamilyKind::Number);
        match known {
            Some(index) if self.family(other.as_bytes()).is_none() => {
                self.claim(other.to_owned(), index, LineKind::Plain)
            }
            // A family of its own keeps its samples; one that is not wanted has none.
            Some(_) | None => Ok(()),
        }
    }

    fn claim(&mut self, name: String, family: usize, kind: LineKind) -> Result<(), WantedError> {
        if self.lines.contains_key(&name) {
            return Err(WantedError::Overlap { name });
        }
        if self.by_length.len() <= name.len() {
            self.by_length.resize_with(name.len() + 1, Vec::new);
        }
        if let Some(slot) = self.by_length.get_mut(name.len()) {
            slot.push((name.clone(), family, kind));
        }
        self.lines.insert(name, (family, kind));
        Ok(())
    }

    /// The families, in the order they were named.
    pub fn families(&self) -> impl Iterator<Item = (&str, FamilyKind)> {
        self.families.iter().map(|(name, kind)| (name.as_str(), *kind))
    }

    /// The family a sample of this name belongs to.
    pub(super) fn line(&self, name: &[u8]) -> Option<(usize, LineKind)> {
        self.by_length
            .get(name.len())?
            .iter()
            .find(|(known, ..)| known.as_bytes() == name)
            .map(|&(_, family, kind)| (family, kind))
    }

    /// The family of this very name.
    pub(super) fn family(&self, name: &[u8]) -> Option<(usize, FamilyKind)> {
        let index = self.families.iter().position(|(known, _)| known.as_bytes() == name)?;
        self.families.get(index).map(|&(_, kind)| (index, kind))
    }

    /// Every sample name with its family.
    pub(super) fn sample_names(&self) -> impl Iterator<Item = (&str, usize)> {
        self.lines.iter().map(|(name, &(family, _))| (name.as_str(), family))
    }
}
