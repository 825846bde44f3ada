//! `Fairway-Signature`: `t=<unix seconds>,v1=<hex>`, HMAC-SHA-256 over `<t>.<body>`.

use jiff::Timestamp;
use ring::hmac;

/// The value of the header.
pub fn sign(secret: &str, at: Timestamp, body: &[u8]) -> String {
    let t = at.as_second();
    let tag = hmac::sign(&key(secret), &signed(t, body));
    format!("t={t},v1={}", hex::encode(tag))
}

/// Whether the header was made with this secret over this body; what a receiver does, beside looking
/// at the age of `t`.
pub fn verify(secret: &str, header: &str, body: &[u8]) -> bool {
    let part = |name: &str| header.split(',').find_map(|part| part.trim().strip_prefix(name));
    let (Some(t), Some(tag)) = (part("t="), part("v1=")) else { return false };
    let (Ok(t), Ok(tag)) = (t.parse::<i64>(), hex::decode(tag)) else { return false };
    hmac::verify(&key(secret), &signed(t, body), &tag).is_ok()
}

fn key(secret: &str) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes())
}

fn signed(t: i64, body: &[u8]) -> Vec<u8> {
    let mut text = format!("{t}.").into_bytes();
    text.extend_from_slice(body);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_the_one_any_hmac_program_makes() {
        // printf '1790000000.{}' | openssl dgst -sha256 -hmac fwh_test
        let at = Timestamp::from_second(1_790_000_000).unwrap();
        assert_eq!(
            sign("fwh_test", at, b"{}"),
            "t=1790000000,v1=e635ebc5b98dc454c63758008f21e2c27835796fe75660a83b2b802b34c4604c"
        );
    }

    #[test]
    fn another_body_time_or_secret_does_not_verify() {
        let at = Timestamp::from_second(1_790_000_000).unwrap();
        let header = sign("s", at, b"body");
        assert!(verify("s", &header, b"body"));
        assert!(!verify("s", &header, b"bodY"));
        assert!(!verify("S", &header, b"body"));
        assert!(!verify("s", &header.replace("1790000000", "1790000001"), b"body"));
        for bad in ["", "t=1", "v1=00", "t=x,v1=00", "t=1,v1=zz"] {
            assert!(!verify("s", bad, b"body"), "{bad}");
        }
    }
}
