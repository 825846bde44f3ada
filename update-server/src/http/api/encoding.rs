//! Compressed bodies: unpacked only after the signature over the bytes as received was verified, and
//! never to more than the limit that a plain body has.

use std::io::Read;

use actix_web::HttpRequest;
use actix_web::http::header::CONTENT_ENCODING;
use actix_web::web::Bytes;

use super::super::problem::{ApiError, Code};

/// How far a zstd frame may look back, as a power of two: 8 MiB, which is what content codings may want
/// (RFC 9659). A packer that streams does not know that a report is small.
const ZSTD_WINDOW_LOG: u32 = 23;

/// How a body is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    Identity,
    Gzip,
    Zstd,
}

impl Encoding {
    /// What a request says; one of these, and only once.
    pub(super) fn of(request: &HttpRequest) -> Result<Self, ApiError> {
        let mut values = request.headers().get_all(CONTENT_ENCODING);
        let (first, second) = (values.next(), values.next());
        let refuse = || {
            let detail = "send the body plainly, or with Content-Encoding gzip or zstd, once";
            Err(ApiError::new(Code::UnsupportedMediaType, detail))
        };
        let known = match first.map(|value| value.as_bytes().to_ascii_lowercase()) {
            None => Self::Identity,
            Some(name) => match name.as_slice() {
                b"identity" => Self::Identity,
                b"gzip" => Self::Gzip,
                b"zstd" => Self::Zstd,
                _ => return refuse(),
            },
        };
        if second.is_some() { refuse() } else { Ok(known) }
    }

    /// The plain body, of at most `limit` bytes.
    pub(super) fn unpack(self, body: Bytes, limit: usize) -> Result<Bytes, ApiError> {
        let packed = body.as_ref();
        match self {
            Self::Identity => Ok(body),
            Self::Gzip => read_all(flate2::bufread::GzDecoder::new(packed), limit),
            Self::Zstd => {
                let frame =
                    zstd::stream::read::Decoder::with_buffer(packed).and_then(|mut frame| {
                        frame.window_log_max(ZSTD_WINDOW_LOG)?;
                        Ok(frame.single_frame())
                    });
                read_all(frame.map_err(|e| broken(&e))?, limit)
            }
        }
    }
}

fn read_all(from: impl Read, limit: usize) -> Result<Bytes, ApiError> {
    let mut plain = Vec::new();
    // One byte more than there may be tells a body of the limit from a larger one.
    let bound = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    from.take(bound).read_to_end(&mut plain).map_err(|e| broken(&e))?;
    if plain.len() > limit {
        let detail = format!("the body unpacks to more than {limit} bytes");
        return Err(ApiError::new(Code::CompressionBomb, detail));
    }
    Ok(plain.into())
}

fn broken(error: &std::io::Error) -> ApiError {
    ApiError::new(Code::InvalidRequest, format!("the body cannot be unpacked: {error}"))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;
    use actix_web::test::TestRequest;
    use proptest::prelude::*;

    fn gzip(plain: &[u8]) -> Vec<u8> {
        let mut to = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        to.write_all(plain).unwrap();
        to.finish().unwrap()
    }

    fn pack(encoding: Encoding, plain: &[u8]) -> Bytes {
        let packed = match encoding {
            Encoding::Identity => plain.to_vec(),
            Encoding::Gzip => gzip(plain),
            Encoding::Zstd => zstd::bulk::compress(plain, 3).unwrap(),
        };
        packed.into()
    }

    fn code(result: Result<Bytes, ApiError>) -> Code {
        result.unwrap_err().code()
    }

    #[test]
    fn a_body_of_the_limit_comes_back_and_one_byte_more_is_a_bomb() {
        let plain = [b'x'; 1000];
        for encoding in [Encoding::Gzip, Encoding::Zstd] {
            let body = pack(encoding, &plain);
            assert!(body.len() < 100, "{encoding:?}");
            assert_eq!(encoding.unpack(body.clone(), 1000).unwrap(), plain[..]);
            assert_eq!(code(encoding.unpack(body, 999)), Code::CompressionBomb, "{encoding:?}");
        }
    }

    #[test]
    fn a_bomb_is_not_unpacked_to_find_out_how_large_it_is() {
        let plain = vec![0; 64 * 1024 * 1024];
        for encoding in [Encoding::Gzip, Encoding::Zstd] {
            let bomb = pack(encoding, &plain);
            assert_eq!(code(encoding.unpack(bomb, 64 * 1024)), Code::CompressionBomb);
        }
    }

    #[test]
    fn a_frame_that_wants_much_memory_and_bytes_that_are_no_frame_are_refused() {
        // A window of 2^27 bytes, announced by the frame's header.
        let wide = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x88, 0x01, 0x00, 0x00];
        for body in [&wide[..], b"plain", b""] {
            assert_eq!(
                code(Encoding::Zstd.unpack(body.to_vec().into(), 1000)),
                Code::InvalidRequest
            );
        }
        for body in [&b"plain"[..], b"", &gzip(b"cut off")[..12]] {
            assert_eq!(
                code(Encoding::Gzip.unpack(body.to_vec().into(), 1000)),
                Code::InvalidRequest
            );
        }
    }

    #[test]
    fn other_encodings_and_two_of_them_are_refused() {
        let of = |values: &[&str]| {
            let mut request = TestRequest::post();
            for value in values {
                request = request.append_header((CONTENT_ENCODING, *value));
            }
            Encoding::of(&request.to_http_request()).map_err(|error| error.code())
        };
        assert_eq!(of(&[]), Ok(Encoding::Identity));
        assert_eq!(of(&["GZIP"]), Ok(Encoding::Gzip));
        assert_eq!(of(&["zstd"]), Ok(Encoding::Zstd));
        for values in [&["br"][..], &["gzip, gzip"], &["gzip", "gzip"], &["identity", "gzip"]] {
            assert_eq!(of(values), Err(Code::UnsupportedMediaType), "{values:?}");
        }
    }

    /// Both ways in which bodies are packed, with what their frames begin with.
    const FRAMES: [(Encoding, &[u8]); 2] =
        [(Encoding::Gzip, &[0x1f, 0x8b, 0x08]), (Encoding::Zstd, &[0x28, 0xb5, 0x2f, 0xfd])];

    /// What there may be of a body that anybody may have sent: no more than the limit, or a refusal
    /// by name.
    fn bounded(encoding: Encoding, body: &[u8], limit: usize) -> Result<Option<Bytes>, Code> {
        match encoding.unpack(Bytes::copy_from_slice(body), limit) {
            Ok(plain) if plain.len() <= limit => Ok(Some(plain)),
            Err(error) if matches!(error.code(), Code::InvalidRequest | Code::CompressionBomb) => {
                Ok(None)
            }
            Ok(_) => Err(Code::BodyTooLarge),
            Err(error) => Err(error.code()),
        }
    }

    /// As a report is: text that packs well, and parts that do not.
    fn plain() -> impl Strategy<Value = Vec<u8>> {
        let part = prop_oneof![
            (any::<u8>(), 1..400_usize).prop_map(|(byte, times)| vec![byte; times]),
            prop::collection::vec(any::<u8>(), 1..100),
        ];
        prop::collection::vec(part, 1..12).prop_map(|parts| parts.concat())
    }

    proptest! {
        #[test]
        fn bytes_of_anybody_are_unpacked_within_the_limit_or_refused_by_name(
            bytes in prop::collection::vec(any::<u8>(), 0..600),
            begins in any::<bool>(),
            limit in 0..4000_usize,
        ) {
            for (encoding, magic) in FRAMES {
                let body = if begins { [magic, &bytes].concat() } else { bytes.clone() };
                let found = bounded(encoding, &body, limit);
                prop_assert!(found.is_ok(), "{encoding:?}: {found:?}");
            }
        }

        #[test]
        fn a_body_that_was_cut_off_is_never_taken_for_a_whole_one(
            plain in plain(),
            cut in any::<prop::sample::Index>(),
            limit in 0..8000_usize,
        ) {
            for (encoding, _) in FRAMES {
                let body = pack(encoding, &plain);
                let found = bounded(encoding, &body[..cut.index(body.len())], limit);
                prop_assert_eq!(found, Ok(None), "{:?}", encoding);
                let whole = bounded(encoding, &body, limit);
                let fits = (plain.len() <= limit).then(|| Bytes::from(plain.clone()));
                prop_assert_eq!(whole, Ok(fits), "{:?}", encoding);
            }
        }

        #[test]
        fn a_body_with_bits_turned_over_is_unpacked_within_the_limit_or_refused_by_name(
            plain in plain(),
            turned in prop::collection::vec((any::<prop::sample::Index>(), 0..8_u8), 1..4),
            limit in 0..8000_usize,
        ) {
            for (encoding, _) in FRAMES {
                let mut body = pack(encoding, &plain).to_vec();
                for (at, bit) in &turned {
                    let at = at.index(body.len());
                    body[at] ^= 1 << bit;
                }
                let found = bounded(encoding, &body, limit);
                prop_assert!(found.is_ok(), "{encoding:?}: {found:?}");
                // The sum at the end of a gzip member; zstd's is optional, and JSON has the last word.
                if let (Encoding::Gzip, Ok(Some(found))) = (encoding, found) {
                    prop_assert_eq!(&found[..], &plain[..]);
                }
            }
        }

        #[test]
        fn a_bomb_of_any_size_is_refused_as_one(
            byte in any::<u8>(),
            limit in 0..100_000_usize,
            beyond in 1..3_000_000_usize,
        ) {
            for (encoding, _) in FRAMES {
                let bomb = pack(encoding, &vec![byte; limit + beyond]);
                prop_assert_eq!(code(encoding.unpack(bomb, limit)), Code::CompressionBomb);
            }
        }

        #[test]
        fn no_more_is_unpacked_than_tells_that_it_is_too_much(limit in 0..100_000_usize) {
            let mut endless = Counted { read: 0 };
            prop_assert_eq!(code(read_all(&mut endless, limit)), Code::CompressionBomb);
            prop_assert_eq!(endless.read, limit + 1);
        }
    }

    /// Never ends, and counts what was taken of it.
    struct Counted {
        read: usize,
    }

    impl Read for Counted {
        fn read(&mut self, to: &mut [u8]) -> std::io::Result<usize> {
            to.fill(b' ');
            self.read += to.len();
            Ok(to.len())
        }
    }
}
