//! Until when a certificate is good (RFC 5280 §4.1.2.5), read from its bytes.
//!
//! Nothing is verified here: clients do that. What cannot be read has no expiry, and a certificate
//! that rustls took can be read.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

const INTEGER: u8 = 0x02;
const SEQUENCE: u8 = 0x30;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
/// The version of the certificate, present in all but those of the nineties.
const VERSION: u8 = 0xa0;

/// The end of a certificate's validity.
pub(super) fn of(certificate: &[u8]) -> Option<Timestamp> {
    let (_, certificate, _) = element(certificate, &[SEQUENCE])?;
    let (_, mut rest, _) = element(certificate, &[SEQUENCE])?;
    if let Some((_, _, after)) = element(rest, &[VERSION]) {
        rest = after;
    }
    // Serial number, algorithm, issuer.
    for tag in [INTEGER, SEQUENCE, SEQUENCE] {
        (_, _, rest) = element(rest, &[tag])?;
    }
    let (_, validity, _) = element(rest, &[SEQUENCE])?;
    let times = [UTC_TIME, GENERALIZED_TIME];
    let (_, _, rest) = element(validity, &times)?;
    let (tag, text, _) = element(rest, &times)?;
    time(tag, text)
}

/// Tag, content and what follows, if the first element has one of these tags. Lengths of up to four
/// bytes: a certificate is small.
fn element<'b>(bytes: &'b [u8], tags: &[u8]) -> Option<(u8, &'b [u8], &'b [u8])> {
    let (tag, rest) = bytes.split_first()?;
    let (first, rest) = rest.split_first()?;
    if !tags.contains(tag) {
        return None;
    }
    let (length, rest) = match first {
        0..=0x7f => (usize::from(*first), rest),
        0x81..=0x84 => {
            let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            let length = digits.iter().try_fold(0_usize, |length, digit| {
                length.checked_mul(256)?.checked_add(usize::from(*digit))
            })?;
            (length, rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((*tag, content, rest))
}

fn time(tag: u8, text: &[u8]) -> Option<Timestamp> {
    let text = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
    let text = if tag == UTC_TIME {
        // Two digits of the year stand for 1950 to 2049.
        let century = if text.get(..2)?.parse::<u8>().ok()? < 50 { "20" } else { "19" };
        format!("{century}{text}")
    } else {
        text.to_owned()
    };
    let civil = DateTime::strptime("%Y%m%d%H%M%S", &text).ok()?;
    TimeZone::UTC.to_ambiguous_timestamp(civil).compatible().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_time_are_read_and_the_century_is_the_one_meant() {
        for (tag, text, expected) in [
            (UTC_TIME, "260102030405Z", "2026-01-02T03:04:05Z"),
            (UTC_TIME, "491231235959Z", "2049-12-31T23:59:59Z"),
            (UTC_TIME, "500101000000Z", "1950-01-01T00:00:00Z"),
            (GENERALIZED_TIME, "20500101000000Z", "2050-01-01T00:00:00Z"),
        ] {
            assert_eq!(
                time(tag, text.as_bytes()).map(|at| at.to_string()).as_deref(),
                Some(expected)
            );
        }
        for text in ["260102030405", "2601020304Z", "26010203040é", "xx0102030405Z", "Z", ""] {
            assert_eq!(time(UTC_TIME, text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn what_is_cut_off_anywhere_has_no_expiry() {
        use rustls::pki_types::CertificateDer;
        use rustls::pki_types::pem::PemObject as _;
        let pem = include_bytes!("../tests/certificates/first.pem");
        let der = CertificateDer::from_pem_slice(pem).unwrap();
        let expires = of(&der).unwrap();
        assert_eq!(expires.to_string(), "2126-10-28T06:05:53Z", "as openssl says");
        for length in 0..der.len() {
            // Its signature comes last; what stands before must be whole for the outer length.
            assert_eq!(of(&der[..length]), None, "{length} bytes");
        }
    }
}
