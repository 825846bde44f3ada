//! Which addresses events may be sent to.
//!
//! The hub stands inside a network and an admin's token may be stolen: a webhook must not become a way
//! to talk to the hub's own machine or to a cloud's metadata service. Private networks are allowed,
//! most receivers live there.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use reqwest::Url;

use super::MAX_URL_BYTES;

/// An address that nothing is sent to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Not a URL.
    #[error("url is not a URL: {why}")]
    Malformed {
        /// What the parser says.
        why: String,
    },
    /// Longer than any real one.
    #[error("url has more than {MAX_URL_BYTES} bytes")]
    TooLong,
    /// Neither encrypted nor this machine's.
    #[error("url must begin with https:// (http:// only with webhooks_to_local_addresses)")]
    NotHttps,
    /// A user or a password in it, which would be shown to everyone who may list webhooks.
    #[error("url must not hold a user or a password: the signature says who sends")]
    Credentials,
    /// It names this machine, its link, or nobody.
    #[error(
        "url names {host}, which is this machine's own, of its link, or no single host's; \
         webhooks_to_local_addresses allows it"
    )]
    Local {
        /// The host in it.
        host: String,
    },
}

/// Checks what can be known of an address before its name is looked up.
pub fn check_url(text: &str, local_allowed: bool) -> Result<Url, AddressError> {
    if text.len() > MAX_URL_BYTES {
        return Err(AddressError::TooLong);
    }
    let url: Url =
        text.parse().map_err(|error| AddressError::Malformed { why: format!("{error}") })?;
    let is_plain = url.scheme() == "http" && local_allowed;
    if url.scheme() != "https" && !is_plain {
        return Err(AddressError::NotHttps);
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(AddressError::Credentials);
    }
    let host = url.host_str().unwrap_or_default();
    let literal = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().ok();
    let name = host.trim_end_matches('.');
    let is_local_name = name == "localhost" || name.ends_with(".localhost") || name.is_empty();
    if !local_allowed && (is_local_name || literal.is_some_and(|ip| !is_allowed(ip))) {
        return Err(AddressError::Local { host: host.to_owned() });
    }
    Ok(url)
}

/// Whether an address is some other machine's.
pub fn is_allowed(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => v4(ip),
        IpAddr::V6(ip) => match embedded(ip) {
            Some(inner) => v4(inner),
            None => v6(ip),
        },
    }
}

fn v4(ip: Ipv4Addr) -> bool {
    let [first, ..] = ip.octets();
    !(ip.is_loopback()
        || ip.is_link_local()
        || ip.is_multicast()
        || ip.is_broadcast()
        || first == 0)
}

fn v6(ip: Ipv6Addr) -> bool {
    let [first, ..] = ip.segments();
    let is_link_local = first & 0xffc0 == 0xfe80;
    // fd00:ec2::254 is where a cloud keeps its machines' secrets.
    let is_metadata = ip == Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0254);
    !(ip.is_loopback() || ip.is_unspecified() || ip.is_multicast() || is_link_local || is_metadata)
}

/// The IPv4 address that an IPv6 one stands for: mapped, compatible, NAT64 or 6to4.
fn embedded(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    let join = |a: u16, b: u16| {
        let ([a, b], [c, d]) = (a.to_be_bytes(), b.to_be_bytes());
        Ipv4Addr::new(a, b, c, d)
    };
    match ip.segments() {
        [0, 0, 0, 0, 0, 0xffff, a, b] | [0x64, 0xff9b, 0, 0, 0, 0, a, b] | [0x2002, a, b, ..] => {
            Some(join(a, b))
        }
        // `::` and `::1` are not meant.
        [0, 0, 0, 0, 0, 0, a, b] if a != 0 => Some(join(a, b)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_its_link_and_metadata_services_are_refused_in_every_spelling() {
        for host in [
            "127.0.0.1",
            "127.9.9.9",
            "2130706433",
            "0x7f.1",
            "169.254.169.254",
            "0.0.0.0",
            "224.0.0.1",
            "255.255.255.255",
            "[::1]",
            "[::]",
            "[fe80::1]",
            "[::ffff:127.0.0.1]",
            "[::127.0.0.1]",
            "[64:ff9b::a9fe:a9fe]",
            "[2002:7f00:1::]",
            "[fd00:ec2::254]",
            "localhost",
            "LOCALHOST.",
            "x.localhost",
        ] {
            let url = format!("https://{host}/hook");
            let refused = check_url(&url, false);
            assert!(matches!(refused, Err(AddressError::Local { .. })), "{url}: {refused:?}");
            assert!(check_url(&url, true).is_ok(), "{url}");
        }
    }

    #[test]
    fn other_machines_are_allowed_and_plain_http_is_not() {
        for url in
            ["https://hooks.example.org/a?b=c", "https://10.1.2.3:8443/", "https://[fd00::1]/"]
        {
            assert!(check_url(url, false).is_ok(), "{url}");
        }
        assert_eq!(check_url("http://hooks.example.org/", false), Err(AddressError::NotHttps));
        assert_eq!(check_url("ftp://hooks.example.org/", true), Err(AddressError::NotHttps));
        assert_eq!(check_url("https://me:pw@example.org/", false), Err(AddressError::Credentials));
        let malformed = check_url("https://", false);
        assert!(matches!(malformed, Err(AddressError::Malformed { .. })), "{malformed:?}");
    }
}
