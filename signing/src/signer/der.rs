//! ECDSA signatures: tokens answer with r‖s, TUF carries the DER sequence.

/// Bytes of r and of s on P-256.
const SCALAR_BYTES: usize = 32;

/// The DER form of a P-256 signature given as r‖s; `None` if it has another length.
pub(super) fn from_raw(signature: &[u8]) -> Option<Vec<u8>> {
    if signature.len() != 2 * SCALAR_BYTES {
        return None;
    }
    let (r, s) = signature.split_at(SCALAR_BYTES);
    let body = [integer(r), integer(s)].concat();
    let mut der = vec![0x30, u8::try_from(body.len()).ok()?];
    der.extend(body);
    Some(der)
}

/// An unsigned number as a DER INTEGER.
fn integer(bytes: &[u8]) -> Vec<u8> {
    let start = bytes.iter().position(|byte| *byte != 0).unwrap_or(bytes.len() - 1);
    let digits = bytes.get(start..).unwrap_or_default();
    // A first bit of one would make it negative.
    let sign = digits.first().is_some_and(|byte| byte & 0x80 != 0);
    let length = digits.len() + usize::from(sign);
    // 33 at most, so the length is one byte.
    let mut der = vec![0x02, u8::try_from(length).unwrap_or(u8::MAX)];
    if sign {
        der.push(0);
    }
    der.extend(digits);
    der
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_shortest_and_never_negative() {
        let mut raw = [0; 64];
        raw[31] = 0x7f;
        raw[32] = 0x80;
        let der = from_raw(&raw).unwrap();
        assert_eq!(&der[..6], [0x30, 38, 2, 1, 0x7f, 2]);
        assert_eq!((der[6], der[7], der[8], der.len()), (33, 0, 0x80, 40));
        assert_eq!(from_raw(&[0; 64]).unwrap(), [0x30, 6, 2, 1, 0, 2, 1, 0]);
        assert_eq!(from_raw(&[0; 63]), None);
    }
}
