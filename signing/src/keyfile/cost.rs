//! What opening an encrypted key may cost. The file says how long its passphrase is hashed and in
//! how much memory, before anything in it is proven: without a bound a file from elsewhere could
//! keep a machine busy for ever or take all its memory.

use super::KeyFileError;
use pkcs8::EncryptedPrivateKeyInfoRef;

/// Most memory that scrypt may take, in bytes. Ours takes 16 MiB; the costliest parameters in
/// common advice (N=2^17, r=8) take 128 MiB.
const MAX_SCRYPT_MEMORY_BYTES: u64 = 256 * 1024 * 1024;
/// Most scrypt work, as N·r·p. Ours is 2^19.3; 2^23 is some ten seconds on a small machine.
const MAX_SCRYPT_WORK: u64 = 1 << 23;
/// Most PBKDF2 iterations. OpenSSL writes 2048, common advice is 600 000.
const MAX_PBKDF2_ITERATIONS: u64 = 10_000_000;

/// Refuses a key whose opening would cost more than the bounds, or that is encrypted in a way whose
/// cost is not known here.
pub(super) fn check(info: &EncryptedPrivateKeyInfoRef<'_>) -> Result<(), KeyFileError> {
    let unknown = |what: &str| KeyFileError::Format {
        expected: super::ENCRYPTED,
        reason: format!("it is encrypted with {what}; PBES2 with scrypt or PBKDF2 is read"),
    };
    let scheme = info.encryption_algorithm.pbes2().ok_or_else(|| unknown("PBES1"))?;
    if let Some(kdf) = scheme.kdf.scrypt() {
        let (r, p) = (u64::from(kdf.block_size), u64::from(kdf.parallelization));
        let n = kdf.cost_parameter;
        // 128·r bytes for each of N blocks, and for each of p lanes.
        bounded(
            "bytes of memory",
            n.saturating_add(p).saturating_mul(128 * r),
            MAX_SCRYPT_MEMORY_BYTES,
        )?;
        return bounded("scrypt steps", n.saturating_mul(r).saturating_mul(p), MAX_SCRYPT_WORK);
    }
    let kdf = scheme.kdf.pbkdf2().ok_or_else(|| unknown("another key derivation"))?;
    bounded("PBKDF2 iterations", u64::from(kdf.iteration_count), MAX_PBKDF2_ITERATIONS)
}

fn bounded(what: &'static str, found: u64, limit: u64) -> Result<(), KeyFileError> {
    if found > limit { Err(KeyFileError::Cost { what, found, limit }) } else { Ok(()) }
}
