//! How much work a key file may ask for before its passphrase is even tried.
//!
//! The cost of the key derivation stands in the file, so whoever wrote the file chose it: without
//! a bound, one key file could take all memory or run for days. A cost that is no cost at all
//! (scrypt with N = 0) is refused here too.

use super::KeyFileError;
use pkcs8::pkcs5::EncryptionScheme;
use pkcs8::pkcs5::pbes2::Kdf;

/// Ceilings on the key derivation of a key file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MaxCost {
    /// Memory of scrypt (128 · r · (N + p)), in bytes.
    pub scrypt_bytes: u64,
    /// Work of scrypt (N · r · p), in block mixes.
    pub scrypt_work: u64,
    /// Iterations of PBKDF2.
    pub pbkdf2_iterations: u32,
}

impl MaxCost {
    /// What [`super::from_pem`] accepts: memory for N = 2^17 with r = 8 and its lanes (129 MiB),
    /// eight times the work of the files we write, and ten times the iterations that are
    /// recommended for PBKDF2. A few seconds on a slow machine.
    pub const DEFAULT: Self = Self {
        scrypt_bytes: 129 * 1024 * 1024,
        scrypt_work: 8 * 5 * (1 << 17),
        pbkdf2_iterations: 10_000_000,
    };

    pub(super) fn check(&self, scheme: &EncryptionScheme) -> Result<(), KeyFileError> {
        // The older scheme is not compiled in: decryption refuses it by itself.
        let Some(parameters) = scheme.pbes2() else { return Ok(()) };
        if let Kdf::Pbkdf2(kdf) = &parameters.kdf {
            let (found, limit) = (kdf.iteration_count.into(), self.pbkdf2_iterations.into());
            return within("PBKDF2 iterations", found, limit);
        }
        let Some(kdf) = parameters.kdf.scrypt() else { return Ok(()) };
        if !kdf.cost_parameter.is_power_of_two() {
            let reason = format!("scrypt with N = {}, not a power of two", kdf.cost_parameter);
            return Err(KeyFileError::Format { expected: super::ENCRYPTED, reason });
        }
        let (r, p) = (u64::from(kdf.block_size), u64::from(kdf.parallelization));
        // Each of the p lanes is held in memory beside the N blocks of the one that is mixed.
        let bytes = kdf.cost_parameter.saturating_add(p).saturating_mul(128 * r);
        within("bytes of scrypt memory", bytes, self.scrypt_bytes)?;
        let work = kdf.cost_parameter.saturating_mul(r).saturating_mul(p);
        within("scrypt block mixes", work, self.scrypt_work)
    }
}

fn within(what: &'static str, found: u64, limit: u64) -> Result<(), KeyFileError> {
    if found <= limit { Ok(()) } else { Err(KeyFileError::Cost { what, found, limit }) }
}
