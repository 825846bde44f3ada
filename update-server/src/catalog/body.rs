//! Bodies that are compressed and named once, when they are swapped in, and never per request.

use std::io::{self, Write};

use actix_web::http::header::HeaderValue;
use actix_web::web::Bytes;
use signing::Sha256Digest;

use crate::http::negotiate::Encoding;

/// zlib's own default: a 412 KB graph becomes 48 KB; level 9 saves another percent for twice the
/// time.
const GZIP_LEVEL: u32 = 6;

/// Smaller than gzip's result on graphs, and still faster to make.
const ZSTD_LEVEL: i32 = 6;

/// One document in one content coding.
#[derive(Debug, Clone)]
pub struct Variant {
    /// The coding.
    pub encoding: Encoding,
    /// The bytes as sent.
    pub bytes: Bytes,
    /// A strong entity tag with its quotes, different for every coding (RFC 9110 §8.8.3.3).
    pub etag: HeaderValue,
}

/// One document in every coding the server offers.
#[derive(Debug, Clone)]
pub struct Body {
    /// SHA-256 of the bytes without content coding.
    pub digest: Sha256Digest,
    /// Identity first. A coding that could not be made is left out: it only saves traffic.
    variants: Vec<Variant>,
    /// Coding and length of every variant, for negotiation.
    ready: Vec<(Encoding, usize)>,
}

impl Body {
    /// Compresses and names `bytes`, whose digest is `digest`.
    pub fn new(bytes: Bytes, digest: Sha256Digest) -> Self {
        let hex = digest.hex();
        let coded = [
            (Encoding::Gzip, gzip(&bytes), entity_tag(&format!("{hex}-gzip"))),
            (
                Encoding::Zstd,
                zstd::encode_all(&bytes[..], ZSTD_LEVEL),
                entity_tag(&format!("{hex}-zstd")),
            ),
        ];
        let identity = Variant { encoding: Encoding::Identity, bytes, etag: entity_tag(&hex) };
        let mut variants = vec![identity];
        for (encoding, result, etag) in coded {
            match result {
                Ok(bytes) => variants.push(Variant { encoding, bytes: bytes.into(), etag }),
                Err(error) => {
                    tracing::warn!(encoding = encoding.as_str(), %error, "body not compressed");
                }
            }
        }
        let ready = variants.iter().map(|variant| (variant.encoding, variant.bytes.len()));
        Self { digest, ready: ready.collect(), variants }
    }

    /// The codings at hand with the lengths of their bodies, for negotiation.
    pub fn ready(&self) -> &[(Encoding, usize)] {
        &self.ready
    }

    /// The document in one coding.
    pub fn variant(&self, encoding: Encoding) -> Option<&Variant> {
        self.variants.iter().find(|variant| variant.encoding == encoding)
    }
}

/// A strong tag with its quotes, ready to send. `name` is hexadecimal digits, letters and dashes.
pub(super) fn entity_tag(name: &str) -> HeaderValue {
    // No such name is refused; an empty tag would match nothing.
    HeaderValue::try_from(format!("\"{name}\"")).unwrap_or_else(|_| HeaderValue::from_static(""))
}

fn gzip(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let level = flate2::Compression::new(GZIP_LEVEL);
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), level);
    encoder.write_all(bytes)?;
    encoder.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn every_coding_decodes_to_the_same_bytes_and_has_its_own_tag() {
        let document = Bytes::from("{\"nodes\":[]}".repeat(100));
        let body = Body::new(document.clone(), Sha256Digest::of(&document));
        let gzip = body.variant(Encoding::Gzip).unwrap();
        let mut plain = Vec::new();
        flate2::read::GzDecoder::new(&gzip.bytes[..]).read_to_end(&mut plain).unwrap();
        assert_eq!(plain, document);
        let zstd = body.variant(Encoding::Zstd).unwrap();
        assert_eq!(zstd::decode_all(&zstd.bytes[..]).unwrap(), document);
        let tags: std::collections::BTreeSet<_> =
            body.variants.iter().map(|variant| variant.etag.as_bytes()).collect();
        assert_eq!(tags.len(), 3);
        assert!(body.ready().iter().skip(1).all(|(_, length)| *length < document.len()));
    }
}
