//! Whether a request that a browser sends by itself was meant: its page, and a token that only our
//! own pages know.
//!
//! Browsers add cookies and remembered passwords to requests that other pages make. Two things they
//! cannot do: name another `Origin`, and read the token, which is derived from the cookie.

use actix_web::http::Method;
use actix_web::http::header::{HOST, HeaderMap, ORIGIN};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Url;
use signing::Sha256Digest;

use crate::auth::Secret;

/// Header that carries the token of a page.
pub const TOKEN_HEADER: &str = "x-fairway-csrf";

/// Whether a request of this method changes nothing.
pub fn is_safe(method: &Method) -> bool {
    [Method::GET, Method::HEAD, Method::OPTIONS].contains(method)
}

/// Whether the request says that one of the hub's own pages made it. Programs send no `Origin`;
/// browsers always do with what changes something.
pub fn is_own(headers: &HeaderMap, hub: Option<&Url>) -> bool {
    let mut origins = headers.get_all(ORIGIN);
    let (Some(origin), None) = (origins.next(), origins.next()) else { return false };
    let Ok(origin) = origin.to_str() else { return false };
    if let Some(hub) = hub {
        return origin == hub.origin().ascii_serialization();
    }
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    let named = origin.split_once("://").map(|(_, authority)| authority);
    named.is_some() && named == host
}

/// Whether any page at all made it.
pub fn is_named(headers: &HeaderMap) -> bool {
    headers.contains_key(ORIGIN)
}

/// Bytes of a token before it is masked.
const TOKEN_BYTES: usize = 32;

/// A token of a session's pages, another one at every call. It says nothing about the cookie it is
/// derived from.
///
/// Pages are packed, and their length tells somebody on the way how much of what an address says is
/// in the page already. So the token stands there under a mask that no two pages share.
pub fn token(session: &Secret) -> String {
    let mut mask = [0; TOKEN_BYTES];
    // Without randomness the token is as good, only without its mask.
    let _ = getrandom::fill(&mut mask);
    let masked = masked(&mask, plain(session).as_bytes());
    URL_SAFE_NO_PAD.encode([mask.as_slice(), masked.as_slice()].concat())
}

fn plain(session: &Secret) -> Sha256Digest {
    let text = format!("fairway-csrf-v1 {}", session.reveal());
    Sha256Digest::of(text.as_bytes())
}

fn masked(mask: &[u8], bytes: &[u8]) -> Vec<u8> {
    mask.iter().zip(bytes).map(|(mask, byte)| mask ^ byte).collect()
}

/// Whether `given` is a token of the session. Digests are compared, so that time tells nothing.
pub fn is_token(session: &Secret, given: &str) -> bool {
    let given = URL_SAFE_NO_PAD.decode(given).unwrap_or_default();
    let Some((mask, rest)) = given.split_at_checked(TOKEN_BYTES) else { return false };
    rest.len() == TOKEN_BYTES
        && Sha256Digest::of(&masked(mask, rest)) == Sha256Digest::of(plain(session).as_bytes())
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;
    use crate::auth::SecretKind;

    fn headers(origins: &[&'static str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_static("hub.example"));
        for origin in origins {
            headers.append(ORIGIN, HeaderValue::from_static(origin));
        }
        headers
    }

    #[test]
    fn only_the_hubs_own_pages_are_its_own() {
        let hub: Url = "https://hub.example/".parse().unwrap();
        for (origins, own) in [
            (vec!["https://hub.example"], true),
            (vec!["http://hub.example"], false),
            (vec!["https://hub.example.evil.example"], false),
            (vec!["https://hub.example:444"], false),
            (vec!["null"], false),
            (vec![], false),
            (vec!["https://hub.example", "https://evil.example"], false),
        ] {
            assert_eq!(is_own(&headers(&origins), Some(&hub)), own, "{origins:?}");
        }
        assert!(is_own(&headers(&["http://hub.example"]), None), "its address is not configured");
        assert!(!is_own(&headers(&["http://evil.example"]), None));
        assert!(!is_own(&headers(&["null"]), None));
    }

    #[test]
    fn a_token_is_its_sessions_and_no_others() {
        let [one, other] = [0, 1].map(|_| Secret::generate(SecretKind::Session).unwrap());
        assert!(is_token(&one, &token(&one)));
        let longer = format!("{}AAAA", token(&one));
        for wrong in [token(&other), String::new(), one.reveal().to_owned(), longer] {
            assert!(!is_token(&one, &wrong), "{wrong}");
        }
    }

    #[test]
    fn no_two_pages_show_the_same_token() {
        let session = Secret::generate(SecretKind::Session).unwrap();
        let [one, other] = [0, 1].map(|_| token(&session));
        assert_ne!(one, other);
        assert!(is_token(&session, &one) && is_token(&session, &other));
    }
}
