//! What a registry wants to see before it answers: `WWW-Authenticate` (RFC 9110 §11.6.1, the
//! distribution project's token specification), and who may get our credentials. Pure.

use std::collections::BTreeMap;
use std::net::IpAddr;

use reqwest::Url;

/// Longest header read; real ones have two hundred bytes.
const HEADER_BYTES_MAX: usize = 8 * 1024;
/// Most challenges read out of one answer.
const CHALLENGES_MAX: usize = 16;

/// One way to sign in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Challenge {
    /// User and password with every request.
    Basic,
    /// A token, fetched from the realm.
    Bearer {
        /// URL of the token service.
        realm: String,
        /// Whom the token is for.
        service: Option<String>,
    },
}

/// The best challenge of an answer: tokens go before passwords.
pub(super) fn best<'h>(headers: impl IntoIterator<Item = &'h str>) -> Option<Challenge> {
    let mut basic = None;
    for raw in headers.into_iter().flat_map(parse).take(CHALLENGES_MAX) {
        if raw.scheme.eq_ignore_ascii_case("basic") {
            basic = Some(Challenge::Basic);
        } else if raw.scheme.eq_ignore_ascii_case("bearer")
            && let Some(realm) = raw.parameters.get("realm")
        {
            let service = raw.parameters.get("service").cloned();
            return Some(Challenge::Bearer { realm: realm.clone(), service });
        }
    }
    basic
}

#[derive(Debug, PartialEq, Eq)]
struct Raw {
    scheme: String,
    parameters: BTreeMap<String, String>,
}

/// Reads a list of challenges. A comma separates parameters and challenges alike, so a word is a
/// parameter when `=` follows and a scheme otherwise. What fits neither is skipped.
fn parse(header: &str) -> Vec<Raw> {
    let mut found: Vec<Raw> = Vec::new();
    let mut rest = if header.len() > HEADER_BYTES_MAX { "" } else { header };
    while let Some(first) = rest.chars().next() {
        let end = rest.find(|c| !is_token(c)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        if word.is_empty() {
            rest = rest.get(first.len_utf8()..).unwrap_or_default();
            continue;
        }
        rest = after;
        if let Some(text) = after.trim_start().strip_prefix('=') {
            let (value, following) = value(text.trim_start());
            rest = following;
            if let Some(raw) = found.last_mut() {
                raw.parameters.entry(word.to_ascii_lowercase()).or_insert(value);
            }
        } else {
            found.push(Raw { scheme: word.to_owned(), parameters: BTreeMap::new() });
        }
    }
    found
}

/// A parameter's value, a token or a quoted string, and what follows it.
fn value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([',', ' ', '\t']).unwrap_or(text.len());
        let (value, rest) = text.split_at(end);
        return (value.to_owned(), rest);
    };
    let mut value = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (value, quoted.get(at + 1..).unwrap_or_default()),
            '\\' => value.extend(chars.next().map(|(_, c)| c)),
            c => value.push(c),
        }
    }
    (value, "")
}

fn is_token(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c)
}

/// Whether the credentials of the registry at `registry` may be shown to the token service at
/// `realm`.
///
/// Over HTTPS: on the registry's own host, below it, at or below the domain that the registry is
/// directly in (`auth.docker.io` and `docker.io` for `registry-1.docker.io`), or on a host that
/// local configuration allows. A domain that looks like one in which strangers register names
/// (`co.uk`) does not count, nor does any domain of an address. Over plain HTTP: only for a registry
/// that is itself spoken to in plain HTTP, and only on its own host.
pub(super) fn may_have_credentials(registry: &Url, realm: &Url, allowed: &[String]) -> bool {
    let (Some(own), Some(other)) = (registry.host_str(), realm.host_str()) else { return false };
    let bare = realm.username().is_empty() && realm.password().is_none();
    match realm.scheme() {
        "http" => bare && registry.scheme() == "http" && own == other,
        "https" => {
            let with_port = realm.port().map(|port| format!("{other}:{port}"));
            let is_allowed = |a: &String| a == other || Some(a) == with_port.as_ref();
            bare && (own == other || allowed.iter().any(is_allowed) || is_related(own, other))
        }
        _ => false,
    }
}

fn is_related(own: &str, other: &str) -> bool {
    if is_address(own) || is_address(other) {
        return false;
    }
    let below = |domain: &str| other.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'));
    let parent = own.split_once('.').map(|(_, parent)| parent).filter(|p| is_owned(p));
    below(own) || parent.is_some_and(|parent| other == parent || below(parent))
}

/// Whether a domain looks like somebody's own: two labels at least, and not `co.uk` or the like.
fn is_owned(domain: &str) -> bool {
    /// Second labels below countries are at most this long where strangers register below them.
    const PUBLIC_LABEL_BYTES: usize = 3;
    match domain.split_once('.') {
        None => false,
        Some((label, top)) => {
            top.contains('.') || top.len() > 2 || label.len() > PUBLIC_LABEL_BYTES
        }
    }
}

fn is_address(host: &str) -> bool {
    host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bearer(realm: &str, service: Option<&str>) -> Challenge {
        Challenge::Bearer { realm: realm.to_owned(), service: service.map(str::to_owned) }
    }

    #[test]
    fn tokens_go_before_passwords_however_the_list_is_written() {
        let docker =
            r#"Bearer realm="https://a/token",service="reg, \"x\"",scope="repository:b:pull""#;
        assert_eq!(best([docker]), Some(bearer("https://a/token", Some("reg, \"x\""))));
        let both = r#"Basic realm="x", Bearer service=s , realm="https://a""#;
        assert_eq!(best([both]), Some(bearer("https://a", Some("s"))));
        assert_eq!(best(["Negotiate abc==", "basic realm=\"x\""]), Some(Challenge::Basic));
        for none in ["", "Bearer service=x", "realm=\"x\"", "Digest realm=\"x\"", ",,=,\"", "é"] {
            assert_eq!(best([none]), None, "{none}");
        }
    }

    #[test]
    fn credentials_stay_with_the_registry_and_its_own_domain() {
        let may = |registry: &str, realm: &str| {
            let url = |text: &str| Url::parse(text).unwrap();
            may_have_credentials(
                &url(registry),
                &url(realm),
                &["sso.other.example:8443".to_owned()],
            )
        };
        for (registry, realm) in [
            ("https://registry-1.docker.io", "https://auth.docker.io/token"),
            ("https://registry.gitlab.com", "https://gitlab.com/jwt/auth"),
            ("https://quay.io", "https://quay.io/v2/auth"),
            ("https://registry.example", "https://auth.registry.example/"),
            ("https://r.corp.example", "https://sso.other.example:8443/"),
            ("http://127.0.0.1:5000", "http://127.0.0.1:5001/token"),
            ("http://127.0.0.1:5000", "https://127.0.0.1:5001/token"),
        ] {
            assert!(may(registry, realm), "{registry} {realm}");
        }
        for (registry, realm) in [
            ("https://registry-1.docker.io", "https://auth.docker.io.evil.example/token"),
            ("https://registry-1.docker.io", "https://evildocker.io/token"),
            ("https://registry-1.docker.io", "http://auth.docker.io/token"),
            ("https://acme.co.uk", "https://evil.co.uk/"),
            ("https://quay.io", "https://evil.io/"),
            ("https://10.0.0.1", "https://11.0.0.1/"),
            ("https://r.corp.example", "https://sso.other.example/"),
            ("https://r.corp.example", "https://user@r.corp.example/"),
            ("http://r.corp.example", "http://auth.corp.example/"),
            ("https://r.corp.example", "ftp://r.corp.example/"),
        ] {
            assert!(!may(registry, realm), "{registry} {realm}");
        }
    }

    proptest! {
        #[test]
        fn quoted_values_come_back_as_they_were(realm in "[ -~]{0,40}", service in "[ -~]{0,20}") {
            let quote = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
            let text = format!("bearer service=\"{}\", realm=\"{}\"", quote(&service), quote(&realm));
            prop_assert_eq!(best([text.as_str()]), Some(bearer(&realm, Some(&service))));
        }

        #[test]
        fn nothing_a_server_sends_panics(text in ".{0,120}") {
            let _ = best([text.as_str()]);
        }
    }
}
