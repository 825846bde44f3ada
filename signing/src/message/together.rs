//! The last step of a verification, for one request or for a crowd.

use super::MessageError;
use crate::key::PublicKey;
use crate::key::batch::{Check, all_good};
use crate::{Sha256Digest, Verified};

/// Fewer than this are checked one by one: together they would cost as much.
const MIN_TOGETHER: usize = 4;

/// A request of which everything was checked but the signature itself.
#[derive(Debug, Clone)]
pub struct Pending {
    pub(super) key: PublicKey,
    /// The signature base.
    pub(super) base: String,
    pub(super) signature: Vec<u8>,
    pub(super) body: Option<Sha256Digest>,
}

impl Pending {
    /// Checks the signature strictly. Returns the digest of the body, if there is one.
    pub fn verify(self) -> Result<Verified<Option<Sha256Digest>>, MessageError> {
        self.key.verify(self.base.as_bytes(), &self.signature).map_err(MessageError::Signature)?;
        Ok(Verified::new(self.body))
    }

    fn to_check(&self) -> Check<'_> {
        Check { key: &self.key, message: self.base.as_bytes(), signature: &self.signature }
    }
}

/// What became of requests that were checked together.
#[derive(Debug)]
pub struct Together {
    /// For each request, in order, what [`Pending::verify`] would have said.
    pub each: Vec<Result<Verified<Option<Sha256Digest>>, MessageError>>,
    /// Together they did not verify, so that each was checked alone as well: the work was done one
    /// and a half times. Whoever sends bad signatures causes it.
    pub in_vain: bool,
}

/// Checks the signatures of many requests, of many keys, together: for less than half of what
/// checking each alone costs, if there are a hundred. If they do not verify together, each is
/// checked alone, so that a bad one harms no other.
///
/// Together the check is not the strict one: it may take a signature that the holder of the key
/// displaced on purpose by a point of low order. Nobody else can make such a one, and over no other
/// request, so it still says who sent this; but two verifiers may differ on it. For requests that
/// one hub judges, never for metadata, on which all have to agree (ADR 12).
pub fn verify_together(pending: Vec<Pending>) -> Together {
    if pending.len() >= MIN_TOGETHER {
        if all_good(&pending.iter().map(Pending::to_check).collect::<Vec<_>>()) {
            let each = pending.into_iter().map(|one| Ok(Verified::new(one.body))).collect();
            return Together { each, in_vain: false };
        }
        return Together {
            each: pending.into_iter().map(Pending::verify).collect(),
            in_vain: true,
        };
    }
    Together { each: pending.into_iter().map(Pending::verify).collect(), in_vain: false }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SecretKey;
    use crate::key::KeyError;

    fn pending(seed: u8) -> Pending {
        let (key, base) = (SecretKey::from_seed([seed; 32]), format!("request {seed}"));
        Pending {
            key: key.public().clone(),
            signature: key.sign(base.as_bytes()),
            body: Some(Sha256Digest::of(&[seed])),
            base,
        }
    }

    fn bodies(together: &Together) -> Vec<Option<Sha256Digest>> {
        together.each.iter().map(|one| *one.as_deref().unwrap()).collect()
    }

    #[test]
    fn each_gets_its_own_digest_in_order() {
        for count in [0, 1, 3, 4, 50] {
            let together = verify_together((0..count).map(pending).collect());
            assert!(!together.in_vain);
            let expected: Vec<_> = (0..count).map(|n| Some(Sha256Digest::of(&[n]))).collect();
            assert_eq!(bodies(&together), expected);
        }
    }

    #[test]
    fn a_bad_one_is_named_and_harms_no_other() {
        for count in [1, 3, 4, 50] {
            for bad in [0, count - 1] {
                let mut all: Vec<_> = (0..count).map(pending).collect();
                let key_id = all[usize::from(bad)].key.key_id();
                all[usize::from(bad)].base.push('x');
                let together = verify_together(all);
                assert_eq!(together.in_vain, count >= 4);
                for (n, one) in (0..).zip(together.each) {
                    let refused =
                        MessageError::Signature(KeyError::Signature { key_id: key_id.clone() });
                    let expected =
                        if n == bad { Err(refused) } else { Ok(Some(Sha256Digest::of(&[n]))) };
                    assert_eq!(one.map(Verified::into_inner), expected, "{n} of {count}");
                }
            }
        }
    }
}
