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
}
