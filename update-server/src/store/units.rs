//! Units as last reported: on disk only, compressed, read for the answer about one cluster.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use channels::names::ProductRef;
use channels::wire::UnitState;
use zstd::bulk::Compressor;

/// Units by product.
pub(super) type Units = BTreeMap<ProductRef, Vec<UnitState>>;

/// First byte of a blob: the rest is JSON.
const PLAIN: u8 = 0;
/// First byte of a blob: the rest is a zstd frame of JSON.
const ZSTD: u8 = 1;
/// Below this a frame's header eats the gain.
const COMPRESS_FROM_BYTES: usize = 256;
/// Fast: reports are frequent, blobs small.
const LEVEL: i32 = 1;
/// Eight products with 64 units each, several times over.
const MAX_PLAIN_BYTES: usize = 1024 * 1024;

/// Tells units from others, well enough for whoever reports about himself. Never 0.
pub(super) fn mark(units: &Units) -> u64 {
    let mut hasher = DefaultHasher::new();
    for (product, units) in units {
        product.hash(&mut hasher);
        for unit in units {
            let UnitState { name, role, pool, version, health, why } = unit;
            (name, role, pool, version, health, why).hash(&mut hasher);
        }
        units.len().hash(&mut hasher);
    }
    hasher.finish().max(1)
}

/// The blob of the `units` column.
pub(super) fn encode(units: &Units) -> Vec<u8> {
    // Names, versions and sentences: always serialises.
    let json = serde_json::to_vec(units).unwrap_or_default();
    let compressed = (json.len() >= COMPRESS_FROM_BYTES).then(|| compress(&json)).flatten();
    let (kind, body) = compressed.map_or((PLAIN, json), |frame| (ZSTD, frame));
    let mut blob = Vec::with_capacity(body.len() + 1);
    blob.push(kind);
    blob.extend(body);
    blob
}

thread_local! {
    /// Kept, because setting one up costs several times what it does to a blob. One thread writes.
    static COMPRESSOR: RefCell<Option<Compressor<'static>>> =
        RefCell::new(Compressor::new(LEVEL).ok());
}

fn compress(json: &[u8]) -> Option<Vec<u8>> {
    COMPRESSOR.with_borrow_mut(|compressor| compressor.as_mut()?.compress(json).ok())
}

/// Reads a blob; one that is not ours reads as no units, because the next full report brings them
/// again.
pub(super) fn decode(blob: &[u8]) -> Units {
    let json = match blob.split_first() {
        Some((&PLAIN, json)) => Ok(json.to_vec()),
        Some((&ZSTD, frame)) => zstd::bulk::decompress(frame, MAX_PLAIN_BYTES),
        _ => return Units::new(),
    };
    json.ok().and_then(|json| serde_json::from_slice(&json).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use channels::wire::{HealthVerdict, Role};

    fn units(n: usize) -> Units {
        let unit = |i| UnitState {
            name: format!("controller-{i}").parse().unwrap(),
            role: Role::Controller,
            pool: "controllers".parse().unwrap(),
            version: Some("4.1.0".to_owned()),
            health: HealthVerdict::Healthy,
            why: None,
        };
        Units::from([("acme/kafka".parse().unwrap(), (0..n).map(unit).collect())])
    }

    #[test]
    fn units_survive_the_blob_compressed_or_not() {
        for (n, kind) in [(1, PLAIN), (60, ZSTD)] {
            let blob = encode(&units(n));
            assert_eq!((blob[0], decode(&blob)), (kind, units(n)));
        }
    }

    #[test]
    fn a_foreign_blob_reads_as_no_units() {
        for blob in [&b""[..], b"\x07abc", b"\x00{", b"\x01nonsense"] {
            assert_eq!(decode(blob), Units::new(), "{blob:?}");
        }
    }
}
