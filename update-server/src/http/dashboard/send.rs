//! A page on its way to a browser: rendered, packed where that is worth it, with its headers.

use std::io::Write as _;

use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_ENCODING, VARY};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};
use askama::Template;
use flate2::Compression;
use flate2::write::GzEncoder;

use super::super::assets::security_headers;
use super::super::negotiate::{self, Encoding};
use super::super::problem::ApiError;

/// Shorter pages fit into one packet as they are.
const PACK_FROM_BYTES: usize = 1024;
/// A page is packed at every request: a third of the time of the usual level for a tenth more bytes.
const GZIP_LEVEL: u32 = 3;

/// The page.
pub(super) fn page(
    request: &HttpRequest,
    template: &impl Template,
) -> Result<HttpResponse, ApiError> {
    page_as(StatusCode::OK, request, template)
}

/// The page with a status of its own: of a form that was refused, of something that is not there.
pub(super) fn page_as(
    status: StatusCode,
    request: &HttpRequest,
    template: &impl Template,
) -> Result<HttpResponse, ApiError> {
    let html = template.render().map_err(|error| ApiError::internal("render a page", &error))?;
    let mut response = HttpResponseBuilder::new(status);
    for header in security_headers() {
        response.insert_header(header);
    }
    response
        .insert_header((CACHE_CONTROL, "no-store"))
        .insert_header((VARY, "Accept-Encoding"))
        .content_type("text/html; charset=utf-8");
    if html.len() >= PACK_FROM_BYTES && takes_gzip(request, html.len()) {
        let packed = pack(&html).map_err(|error| ApiError::internal("pack a page", &error))?;
        response.insert_header((CONTENT_ENCODING, Encoding::Gzip.as_str()));
        return Ok(response.body(packed));
    }
    Ok(response.body(html))
}

fn takes_gzip(request: &HttpRequest, length: usize) -> bool {
    // How short it will be is not known; shorter is enough to be chosen among equals.
    let ready = [(Encoding::Identity, length), (Encoding::Gzip, length / 2)];
    negotiate::encoding(request.headers(), &ready) == Some(Encoding::Gzip)
}

fn pack(html: &str) -> std::io::Result<Vec<u8>> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::new(GZIP_LEVEL));
    packed.write_all(html.as_bytes())?;
    packed.finish()
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use actix_web::body::MessageBody as _;
    use actix_web::test::TestRequest;

    use super::*;

    #[derive(Template)]
    #[template(source = "<p>{{ text }}</p>", ext = "html")]
    struct Text {
        text: String,
    }

    fn sent(accept: &str, length: usize) -> (Option<String>, Vec<u8>) {
        let request =
            TestRequest::get().insert_header(("accept-encoding", accept)).to_http_request();
        let response = page(&request, &Text { text: "x".repeat(length) }).unwrap();
        let coding = response.headers().get(CONTENT_ENCODING);
        let coding = coding.map(|coding| coding.to_str().unwrap().to_owned());
        assert_eq!(response.headers().get(VARY).unwrap(), "Accept-Encoding");
        (coding, response.into_body().try_into_bytes().unwrap().to_vec())
    }

    #[test]
    fn long_pages_are_packed_for_those_who_take_it() {
        let (coding, body) = sent("gzip, br", 5000);
        assert_eq!(coding.as_deref(), Some("gzip"));
        let mut plain = String::new();
        flate2::read::GzDecoder::new(&body[..]).read_to_string(&mut plain).unwrap();
        assert_eq!(plain, format!("<p>{}</p>", "x".repeat(5000)));
        for (accept, length) in [("identity", 5000), ("gzip;q=0", 5000), ("gzip", 10)] {
            let (coding, body) = sent(accept, length);
            assert_eq!((coding, body.len()), (None, length + 7), "{accept}, {length}");
        }
    }
}
