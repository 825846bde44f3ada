//! Cookies that the hub sets: their names, how they are read, how they are written.

use actix_web::http::header::{COOKIE, HeaderMap, HeaderValue, InvalidHeaderValue};
use reqwest::Url;

/// Header bytes of cookies that are searched; browsers send no more.
const COOKIES_MAX_BYTES: usize = 16 * 1024;

/// A cookie of the hub.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cookie {
    /// The secret of a session.
    Session,
    /// The secret of a sign-in that is under way.
    SignIn,
}

impl Cookie {
    /// Its name. Behind `https` the prefix makes browsers refuse it from other hosts, over plain
    /// HTTP and for one path only; on a loopback address there is no such protection to have.
    fn name(self, hub: &Url) -> &'static str {
        match (self, is_secure(hub)) {
            (Self::Session, true) => "__Host-fairway",
            (Self::SignIn, true) => "__Host-fairway-sign-in",
            (Self::Session, false) => "fairway",
            (Self::SignIn, false) => "fairway-sign-in",
        }
    }

    /// Its value in a request; `None` also if it is there twice.
    pub fn read(self, headers: &HeaderMap, hub: &Url) -> Option<String> {
        let name = self.name(hub);
        let mut found = headers
            .get_all(COOKIE)
            .filter(|value| value.len() <= COOKIES_MAX_BYTES)
            .filter_map(|value| value.to_str().ok())
            .flat_map(|header| header.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .filter(|(key, _)| *key == name)
            .map(|(_, value)| value.to_owned());
        let value = found.next()?;
        found.next().is_none().then_some(value)
    }

    /// `Set-Cookie` that sets it for so many seconds; 0 takes it away. Scripts never see it, and
    /// other sites' requests carry it only when they lead a person here.
    pub fn set(
        self,
        value: &str,
        max_age_s: i64,
        hub: &Url,
    ) -> Result<HeaderValue, InvalidHeaderValue> {
        let secure = if is_secure(hub) { "; Secure" } else { "" };
        let name = self.name(hub);
        HeaderValue::from_str(&format!(
            "{name}={value}; Path=/; Max-Age={max_age_s}; HttpOnly; SameSite=Lax{secure}"
        ))
    }
}

fn is_secure(hub: &Url) -> bool {
    hub.scheme() == "https"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        text.parse().unwrap()
    }

    #[test]
    fn cookies_are_bound_to_the_host_and_hidden_from_scripts() {
        let hub = url("https://hub.example");
        let set = Cookie::Session.set("x", 60, &hub).unwrap();
        assert_eq!(
            set.to_str().unwrap(),
            "__Host-fairway=x; Path=/; Max-Age=60; HttpOnly; SameSite=Lax; Secure"
        );
        let here = Cookie::Session.set("x", 0, &url("http://127.0.0.1:8480")).unwrap();
        assert_eq!(here.to_str().unwrap(), "fairway=x; Path=/; Max-Age=0; HttpOnly; SameSite=Lax");
    }

    #[test]
    fn a_cookie_is_read_by_its_whole_name_and_only_if_it_is_there_once() {
        let hub = url("https://hub.example");
        for (header, value) in [
            ("__Host-fairway=x", Some("x")),
            ("a=b; __Host-fairway=x; c=d", Some("x")),
            ("fairway=x", None),
            ("__Host-fairway-sign-in=x", None),
            ("__Host-fairway=x; __Host-fairway=y", None),
            ("", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(COOKIE, HeaderValue::from_static(header));
            assert_eq!(Cookie::Session.read(&headers, &hub).as_deref(), value, "{header}");
        }
    }
}
