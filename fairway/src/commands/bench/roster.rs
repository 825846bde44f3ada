//! Who is in the fleet: the seed of its keys, and the ids that the hub gave. One file, 16 bytes per
//! cluster.

use std::path::Path;

use channels::names::ClusterId;
use signing::{SecretKey, Sha256Digest};

use crate::error::{CliError, Result};

/// First bytes of the file.
const MAGIC: &[u8; 8] = b"FWBENCH1";
/// Bytes of the magic, the seed and the number of products.
const HEADER_BYTES: usize = 8 + 8 + 8;
/// Bytes of an id.
const ID_BYTES: usize = 16;
/// Largest fleet: the hub's rows are numbered with 32 bits, memory ends long before.
pub(super) const CLUSTERS_MAX: u32 = 10_000_000;

/// A fleet that was enrolled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Roster {
    /// What keys and states are drawn from.
    pub(super) seed: u64,
    /// Products per cluster.
    pub(super) products: usize,
    /// Ids by number.
    pub(super) ids: Vec<ClusterId>,
}

/// The key of one cluster.
pub(super) fn key(seed: u64, number: u32) -> SecretKey {
    let mut text = b"fairway bench key ".to_vec();
    text.extend(seed.to_be_bytes());
    text.extend(number.to_be_bytes());
    SecretKey::from_seed(*Sha256Digest::of(&text).as_bytes())
}

impl Roster {
    /// Writes the file.
    pub(super) fn save(&self, path: &Path) -> Result<()> {
        let mut bytes = Vec::with_capacity(HEADER_BYTES + self.ids.len() * ID_BYTES);
        bytes.extend(MAGIC);
        bytes.extend(self.seed.to_le_bytes());
        bytes.extend(u64::try_from(self.products).unwrap_or(0).to_le_bytes());
        for id in &self.ids {
            bytes.extend(id.0.as_bytes());
        }
        std::fs::write(path, bytes)
            .map_err(|e| CliError::because(format!("failed to write {}", path.display()), &e))
    }

    /// Reads the file.
    pub(super) fn load(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path)
            .map_err(|e| CliError::because(format!("failed to read {}", path.display()), &e))?;
        Self::parse(&bytes).ok_or_else(|| {
            CliError::failed(format!("{} is not a roster", path.display()))
                .hint("`fairway bench seed` writes one")
        })
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let (magic, rest) = bytes.split_first_chunk::<8>()?;
        let (seed, rest) = rest.split_first_chunk::<8>()?;
        let (products, rest) = rest.split_first_chunk::<8>()?;
        let (ids, left) = rest.as_chunks::<ID_BYTES>();
        let count = u32::try_from(ids.len()).ok()?;
        if magic != MAGIC || !left.is_empty() || count > CLUSTERS_MAX {
            return None;
        }
        Some(Self {
            seed: u64::from_le_bytes(*seed),
            products: usize::try_from(u64::from_le_bytes(*products)).ok()?,
            ids: ids.iter().map(|id| ClusterId(uuid::Uuid::from_bytes(*id))).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_roster_comes_back_as_it_was_written_and_nothing_else_is_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("fleet");
        let ids = (1..4).map(|n| ClusterId(uuid::Uuid::from_u128(n))).collect();
        let roster = Roster { seed: 7, products: 2, ids };
        roster.save(&path).unwrap();
        assert_eq!(Roster::load(&path).unwrap(), roster);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes.pop();
        assert_eq!(Roster::parse(&bytes), None, "cut");
        assert_eq!(Roster::parse(b"FWBENCH2"), None, "another magic");
    }

    #[test]
    fn keys_differ_by_seed_and_number_and_are_the_same_every_time() {
        assert_eq!(key(1, 2).public(), key(1, 2).public());
        assert_ne!(key(1, 2).public(), key(1, 3).public());
        assert_ne!(key(1, 2).public(), key(2, 2).public());
    }
}
